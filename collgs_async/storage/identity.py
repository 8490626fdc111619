"""Determine which product an archive is of, by its top folder.

Sentinel-1 and -2 name the folder ``<identifier>.SAFE/``, Sentinel-3 ``<identifier>.SEN3/``; other missions have a
file of that name. Further entries beside it do not matter, nor do more folders around it. An archive is rejected only
if it names *another* product and not this one; an archive without any product name is accepted. An empty folder names
no product if there are files elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import quoted

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["OtherProductError", "refuse_another", "top_folder"]

_PRODUCT = re.compile(r"S[1-6][A-Z]?_.{0,200}?[0-9]{8}T[0-9]{6}", re.IGNORECASE)
"""The beginning of all Sentinel product names: the satellite, followed by a time somewhere."""

_SUFFIX = re.compile(r"(?:\.(?:safe|sen[0-9]|eof|nc|zip|tar|tgz|gz))+\Z", re.IGNORECASE)
_FORMAT = re.compile(r"\.(?:SAFE|SEN[0-9])\Z", re.IGNORECASE)
_CLOUD_OPTIMISED = "_COG"
_UNIQUE_ID = re.compile(r"_[0-9A-F]{4}\Z")
_OLD_FORM = re.compile(r"S2[A-Z]_(?:OPER|USER)_([A-Z]{3})_")
_BESIDE = re.compile(r"__MACOSX|\.DS_Store", re.IGNORECASE)


class OtherProductError(IntegrityError):
    """The archive is that of another product.

    Parameters
    ----------
    product
        Name of the product in the archive.
    """

    def __init__(self, product: str) -> None:
        self.product = product
        super().__init__(f"it is the archive of {quoted(product)}")


def top_folder(names: Collection[str]) -> str | None:
    """Return the folder that contains all members, or the single file; None if there is no such folder."""
    tops = {_pieces(name)[0] for name in names if _pieces(name)}
    tops = {top for top in tops if not _BESIDE.fullmatch(top)}
    return tops.pop() if len(tops) == 1 else None


def refuse_another(names: Collection[str], identifier: str) -> bool:
    """Raise for the archive of another product; return whether the archive names a product.

    Parameters
    ----------
    names
        Names of the members.
    identifier
        The catalogue's identifier of the product, or a file name derived from one.

    Returns
    -------
    bool
        Whether a product is named: this one, or one that cannot be compared, for example because `identifier` is not
        that of a Sentinel product.

    Raises
    ------
    OtherProductError
        The top folder names another product.
    """
    names = [name for name in names if not _is_folder(name)] or names
    ours = _stem(identifier).upper()
    said = [_stem(name) for name in _named(names)]
    if any(_are_same_product(ours, theirs.upper()) for theirs in said):
        return True
    # A granule's archive may have the folder of its product around it.
    within = any(_stem(piece).upper() == ours for name in names for piece in _pieces(name))
    others = [theirs for theirs in said if _are_different_products(ours, theirs.upper())]
    if others and not within:
        raise OtherProductError(others[0])
    return within or any(map(_PRODUCT.match, said))


def _named(names: Collection[str]) -> list[str]:
    """Return possible product names: those at the top level, otherwise also ``.SAFE`` folders below it."""
    tops: dict[str, None] = {} if (top := top_folder(names)) is None else {top: None}
    below: dict[str, None] = {}
    for name in names:
        folders = _pieces(name)
        if not _is_folder(name):
            file = folders.pop() if folders else ""
            if not folders and file.lower().endswith(".nc"):
                tops[file] = None
        tops |= dict.fromkeys(folders[:1])
        below |= dict.fromkeys(filter(_FORMAT.search, folders))
    return [*tops] if any(map(_PRODUCT.match, tops)) else [*tops, *below]


def _are_same_product(ours: str, theirs: str) -> bool:
    """Whether two names mean the same product: one a prefix of the other, or its cloud-optimised version."""
    if ours.startswith(theirs) or theirs.startswith(ours):
        return bool(_PRODUCT.match(ours) and _PRODUCT.match(theirs)) or ours == theirs
    if ours.endswith(_CLOUD_OPTIMISED) == theirs.endswith(_CLOUD_OPTIMISED):
        return False
    # The cloud-optimised version has its own unique identifier; everything before that is the scene's name.
    return _UNIQUE_ID.sub("", ours.removesuffix(_CLOUD_OPTIMISED)) == _UNIQUE_ID.sub(
        "", theirs.removesuffix(_CLOUD_OPTIMISED)
    )


def _are_different_products(ours: str, theirs: str) -> bool:
    """Whether both are product names, and comparable: some stores rename Sentinel-2 products from their old form."""
    forms = [found and found[1] for found in map(_OLD_FORM.match, (ours, theirs))]
    both_of_sentinel_2 = ours.startswith("S2") and theirs.startswith("S2")
    renamed = both_of_sentinel_2 and forms[0] != forms[1]
    return bool(_PRODUCT.match(ours) and _PRODUCT.match(theirs)) and not renamed


def _stem(name: str) -> str:
    return _SUFFIX.sub("", name)


def _is_folder(name: str) -> bool:
    return name[-1:] in ("/", "\\")


def _pieces(name: str) -> list[str]:
    return [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".")]
