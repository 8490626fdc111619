"""What an archive's file is called: as its product, where that is a safe name."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_name", "folds_case"]

_LONGEST_NAME = 255 - len(".zip.part.lease~~~")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LOOKS_CHANGED = re.compile(r"-[0-9a-f]{8}$")
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
    safe = _UNSAFE.sub("_", identifier)[:_LONGEST_NAME]
    if safe.startswith((".", "-")) or _RESERVED.match(safe) or not safe:
        safe = f"_{safe}"
    if safe != identifier or _LOOKS_CHANGED.search(safe) or (folds_case and safe != safe.upper()):
        digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[: _LONGEST_NAME - 9]}-{digest}"
    return f"{safe}.zip"
