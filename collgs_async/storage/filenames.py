"""Derive an archive's file name from the product's identifier, which may not be a safe one, and those beside it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "archive_of",
    "file_name",
    "folds_case",
    "former_file_name",
    "is_parts_folder",
    "part_of",
    "parts_folder",
    "sidecar_of",
]

_LONGEST_NAME = 255 - len(".zip.part.lease~~~")
_DIGITS = 32
"""Hexadecimal digits of SHA-256 in a changed name: 128 bits, so that collisions cannot be constructed."""

_FORMER_DIGITS = 8
"""The same in earlier releases: 32 bits, for which a collision is found within seconds."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LOOKS_CHANGED = re.compile(r"-([0-9a-f]{8}|[0-9a-f]{32})$")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def folds_case(folder: Path) -> bool:
    """Whether a folder's file system ignores case in names; the folder need not exist yet."""
    here = folder.absolute()
    while not here.exists() or here.name.swapcase() == here.name:
        if here == here.parent:
            return False
        here = here.parent
    other = here.with_name(here.name.swapcase())
    return other.exists() and other.samefile(here)


def file_name(identifier: str, *, folds_case: bool = False) -> str:
    """Return the archive's file name for a product's identifier, which comes from a server and may be anything.

    A name that had to be changed or shortened contains a digest of the identifier, so that no two products share a
    file.

    Parameters
    ----------
    identifier
        The product's name.
    folds_case
        Whether the file system ignores case, so that lower-case letters count as changed; names of Sentinel products
        have none.
    """
    return _named(identifier, _DIGITS, folds_case=folds_case)


def former_file_name(identifier: str, *, folds_case: bool = False) -> str | None:
    """Return the file name that earlier releases used; None if it is the same.

    Two identifiers could share such a name, so the caller must check whose archive it is.
    """
    former = _named(identifier, _FORMER_DIGITS, folds_case=folds_case)
    return None if former == file_name(identifier, folds_case=folds_case) else former


def part_of(final: Path) -> Path:
    """Return the path of an archive's part file."""
    return final.with_name(f"{final.name}.part")


def sidecar_of(final: Path) -> Path:
    """Return the path of the sidecar of an archive's part file."""
    return final.with_name(f"{final.name}.part.json")


def parts_folder(final: Path) -> Path:
    """Return the folder for members of an archive that is not here as a whole."""
    return final.with_name(f"{final.name.removesuffix('.zip')}.parts")


def archive_of(folder: Path) -> Path:
    """Return the path of the archive whose members a folder is for; the inverse of `parts_folder`."""
    return folder.with_name(f"{folder.name.removesuffix('.parts')}.zip")


def is_parts_folder(name: str) -> bool:
    """Whether a folder's name is that of a tree of members."""
    return name.lower().endswith(".parts")


def _named(identifier: str, digits: int, *, folds_case: bool) -> str:
    safe = _UNSAFE.sub("_", identifier)[:_LONGEST_NAME]
    if safe.startswith((".", "-")) or _RESERVED.match(safe) or not safe:
        safe = f"_{safe}"
    if safe != identifier or _LOOKS_CHANGED.search(safe) or (folds_case and safe != safe.upper()):
        digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
        safe = f"{safe[: _LONGEST_NAME - digits - 1]}-{digest}"
    return f"{safe}.zip"
