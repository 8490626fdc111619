"""Whose archive is it? The top folder of a Sentinel product's archive names the product.

``<identifier>.SAFE/`` for Sentinel-1 and -2, ``<identifier>.SEN3/`` for Sentinel-3; other missions put a file of that
name there. Only the name of *another* product is a reason to refuse: an archive without a top folder, with several, or
with one that is no product's name says nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError
from collgs_async.integrity.reading import quoted

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["OtherProductError", "refuse_another", "top_folder"]

_PRODUCT = re.compile(r"S[1-6][A-Z]?_.{0,200}?[0-9]{8}T[0-9]{6}", re.IGNORECASE)
"""How the names of all Sentinel products begin: the satellite, and sooner or later a time."""

_SUFFIX = re.compile(r"(?:\.(?:safe|sen[0-9]|eof|nc|zip|tar|tgz|gz))+\Z", re.IGNORECASE)
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
    """Refuse the archive of another product; tell whether it says that it is this one's.

    Parameters
    ----------
    names
        The names of its members.
    identifier
        The product's identifier, as the catalogue has it, or the name of a file that was made of one.

    Raises
    ------
    OtherProductError
        The top folder names another product.
    """
    ours, top = _stem(identifier), top_folder(names)
    if top is None:
        return False
    theirs = _stem(top)
    if _are_one(ours.upper(), theirs.upper()):
        return True
    # A granule may lie within the folder of its product.
    within = any(_stem(piece).upper() == ours.upper() for name in names for piece in _pieces(name))
    if not within and _are_two_products(ours.upper(), theirs.upper()):
        raise OtherProductError(theirs)
    return False


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
