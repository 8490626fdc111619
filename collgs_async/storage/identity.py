"""Whose archive is it? The top folder of a Sentinel product's archive names the product.

``<identifier>.SAFE/`` for Sentinel-1 and -2, ``<identifier>.SEN3/`` for Sentinel-3; other missions put a file of that
name there. What lies beside it does not matter, nor one more folder around it. Only the name of *another* product, and
none of its own, is a reason to refuse: an archive in which no product is named so says nothing.
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
"""How the names of all Sentinel products begin: the satellite, and sooner or later a time."""

_SUFFIX = re.compile(r"(?:\.(?:safe|sen[0-9]|eof|nc|zip|tar|tgz|gz))+\Z", re.IGNORECASE)
_FORMAT = re.compile(r"\.(?:SAFE|SEN[0-9])\Z", re.IGNORECASE)
_CLOUD_OPTIMISED = "_COG"
_UNIQUE_ID = re.compile(r"_[0-9A-F]{4}\Z")
_OLD_FORM = re.compile(r"S2[A-Z]_(?:OPER|USER)_([A-Z]{3})_")
_BESIDE = re.compile(r"__MACOSX|\.DS_Store", re.IGNORECASE)


class OtherProductError(IntegrityError):
    """It is a whole archive, as far as is known, and of another product.

    Parameters
    ----------
    product
        The name of the product that the archive is of.
    """

    def __init__(self, product: str) -> None:
        self.product = product
        super().__init__(f"it is the archive of {quoted(product)}")


def top_folder(names: Collection[str]) -> str | None:
    """Give the folder, or the single file, in which all members lie; None when there is no such one."""
    tops = {_pieces(name)[0] for name in names if _pieces(name)}
    tops = {top for top in tops if not _BESIDE.fullmatch(top)}
    return tops.pop() if len(tops) == 1 else None


def refuse_another(names: Collection[str], identifier: str) -> bool:
    """Refuse the archive of another product; tell whether it says which one it is of.

    Parameters
    ----------
    names
        The names of its members.
    identifier
        The product's identifier, as the catalogue has it, or the name of a file that was made of one.

    Returns
    -------
    bool
        Whether a product is named: this one; or another one of which it cannot be told whether it is the same, as where
        the identifier is no Sentinel product's.

    Raises
    ------
    OtherProductError
        The top folder names another product.
    """
    ours = _stem(identifier).upper()
    said = [_stem(name) for name in _named(names)]
    if any(_are_one(ours, theirs.upper()) for theirs in said):
        return True
    # A granule may lie within the folder of its product.
    within = any(_stem(piece).upper() == ours for name in names for piece in _pieces(name))
    others = [theirs for theirs in said if _are_two_products(ours, theirs.upper())]
    if others and not within:
        raise OtherProductError(others[0])
    return within or any(map(_PRODUCT.match, said))


def _named(names: Collection[str]) -> list[str]:
    """Give the names that may be those of products: of what is at the top, else of ``.SAFE`` folders one below."""
    tops: dict[str, None] = {} if (top := top_folder(names)) is None else {top: None}
    below: dict[str, None] = {}
    for name in names:
        folders = _pieces(name)
        if name[-1:] not in ("/", "\\"):
            file = folders.pop() if folders else ""
            if not folders and file.lower().endswith(".nc"):
                tops[file] = None
        tops |= dict.fromkeys(folders[:1])
        below |= dict.fromkeys(folder for folder in folders[1:2] if _FORMAT.search(folder))
    return [*tops] if any(map(_PRODUCT.match, tops)) else [*tops, *below]


def _are_one(ours: str, theirs: str) -> bool:
    """Compare two names: what was shortened or has something added is the same, and so is a cloud-optimised twin."""
    if ours.startswith(theirs) or theirs.startswith(ours):
        return bool(_PRODUCT.match(ours) and _PRODUCT.match(theirs)) or ours == theirs
    if ours.endswith(_CLOUD_OPTIMISED) == theirs.endswith(_CLOUD_OPTIMISED):
        return False
    # The conversion has a unique identifier of its own; all that comes before it is the scene's.
    return _UNIQUE_ID.sub("", ours.removesuffix(_CLOUD_OPTIMISED)) == _UNIQUE_ID.sub(
        "", theirs.removesuffix(_CLOUD_OPTIMISED)
    )


def _are_two_products(ours: str, theirs: str) -> bool:
    """Tell whether both are names of products, and of the same kind: some stores rename Sentinel-2's old form."""
    forms = [found and found[1] for found in map(_OLD_FORM.match, (ours, theirs))]
    both_of_sentinel_2 = ours.startswith("S2") and theirs.startswith("S2")
    renamed = both_of_sentinel_2 and forms[0] != forms[1]
    return bool(_PRODUCT.match(ours) and _PRODUCT.match(theirs)) and not renamed


def _stem(name: str) -> str:
    return _SUFFIX.sub("", name)


def _pieces(name: str) -> list[str]:
    return [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".")]
