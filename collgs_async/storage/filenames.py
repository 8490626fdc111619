"""What an archive's file is called: as its product, where that is a safe name."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_name", "folds_case", "former_file_name"]

_LONGEST_NAME = 255 - len(".zip.part.lease~~~")
_DIGITS = 32
"""Hexadecimal digits of SHA-256 in a changed name: 128 bits, of which nobody finds two alike."""

_FORMER_DIGITS = 8
"""What they were in earlier versions: 32 bits, of which two alike are found within seconds by who looks for them."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LOOKS_CHANGED = re.compile(r"-([0-9a-f]{8}|[0-9a-f]{32})$")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def folds_case(folder: Path) -> bool:
    """Tell whether names that differ only in case are the same there; the folder need not exist yet."""
    here = folder.absolute()
    while not here.exists() or here.name.swapcase() == here.name:
        if here == here.parent:
            return False
        here = here.parent
    other = here.with_name(here.name.swapcase())
    return other.exists() and other.samefile(here)


def file_name(identifier: str, *, folds_case: bool = False) -> str:
    """Make the archive's file name of a product's identifier, which is not ours and may be anything.

    A name that had to be changed or shortened carries a digest of the identifier, so that two never share a file.

    Parameters
    ----------
    identifier
        The product's name.
    folds_case
        Whether small letters have to count as changed: names of Sentinels have none.
    """
    return _named(identifier, _DIGITS, folds_case=folds_case)


def former_file_name(identifier: str, *, folds_case: bool = False) -> str | None:
    """Give the name that an earlier version gave the archive; None when it was the same.

    Two identifiers could share it: whose archive it is has to be looked at.
    """
    former = _named(identifier, _FORMER_DIGITS, folds_case=folds_case)
    return None if former == file_name(identifier, folds_case=folds_case) else former


def _named(identifier: str, digits: int, *, folds_case: bool) -> str:
    safe = _UNSAFE.sub("_", identifier)[:_LONGEST_NAME]
    if safe.startswith((".", "-")) or _RESERVED.match(safe) or not safe:
        safe = f"_{safe}"
    if safe != identifier or _LOOKS_CHANGED.search(safe) or (folds_case and safe != safe.upper()):
        digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
        safe = f"{safe[: _LONGEST_NAME - digits - 1]}-{digest}"
    return f"{safe}.zip"
