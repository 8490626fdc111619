"""The STAC item beside each archive: ``<identifier>.stac.json``, which says what the archive is and where it is from.

An item is written after its archive has its name, and as a whole or not at all. One that is missing, or older than its
archive, is written by the next run; so a failure here is a warning, and never that of a download.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from collgs_async import __version__
from collgs_async.errors import FileError
from collgs_async.models.product import read_time
from collgs_async.models.stac import Retrieval, StoredFile, multihash, stac_item
from collgs_async.storage.archive_reading import check_cancelled, never
from collgs_async.storage.atomic import write_whole
from collgs_async.storage.filenames import is_parts_folder
from collgs_async.storage.files import open_regular, read_small, readable, refuse_odd
from collgs_async.storage.member_names import RECORD
from collgs_async.storage.parts_record import load_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from io import FileIO
    from pathlib import Path

    from collgs_async.models.product import Product

__all__ = [
    "ITEM_SUFFIX",
    "PROGRAM",
    "Obtained",
    "checksum_of",
    "is_up_to_date",
    "item_path",
    "read_item",
    "write_item",
    "write_json",
]

ITEM_SUFFIX: Final = ".stac.json"
_LARGEST_ITEM: Final = 16 * 2**20
_BLOCK: Final = 2**20
_PARTED: Final = frozenset({"properties", "assets"})
PROGRAM: Final = "collgs-async"
_CLIENT: Final = "collgs:client"


@dataclass(frozen=True, slots=True)
class Obtained:
    """How an archive came to the disk; None: unknown, then what an earlier item says of the same bytes is kept.

    Attributes
    ----------
    retrieved, verified, how, etag, last_modified
        As in `Retrieval`.
    sha256
        SHA-256 of the archive in hexadecimal digits; None: the archive is read for it.
    """

    retrieved: datetime | None = None
    verified: datetime | None = None
    how: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    sha256: str | None = None


def item_path(files: Path) -> Path:
    """Return the path of the item of an archive, or of a folder with members of one."""
    return files.with_name(f"{files.name.removesuffix('.zip').removesuffix('.parts')}{ITEM_SUFFIX}")


def is_up_to_date(files: Path) -> bool:
    """Whether there is an item that is not older than its archive, or than the record of its members."""
    try:
        made = item_path(files).lstat()
        return stat.S_ISREG(made.st_mode) and made.st_mtime_ns >= _changing(files).stat().st_mtime_ns
    except OSError:
        return False


def read_item(files: Path) -> dict[str, Any] | None:
    """Read the item of an archive; None if there is none that can be read.

    Raises
    ------
    FileError
        Something that is no file, or an item of another program, has its name.
    """
    path = item_path(files)
    try:
        text = read_small(path, _LARGEST_ITEM)
        item = json.loads(text or b"")
    except (ValueError, RecursionError, OSError):
        return None
    if not isinstance(item, dict) or not isinstance(item.get("properties"), dict):
        return None
    if _CLIENT not in item["properties"]:
        raise FileError(f"{path}: expected an item of this program, found another one; move it away")
    return item


def checksum_of(item: dict[str, Any]) -> str | None:
    """Return the SHA-256 of the archive in an item, in hexadecimal digits; None: it has none."""
    try:
        checksum = item["assets"]["archive"]["file:checksum"]
    except (KeyError, TypeError):
        return None
    found = re.fullmatch(multihash("([0-9a-f]{64})"), checksum) if isinstance(checksum, str) else None
    return found and found[1]


def write_item(
    product: Product, files: Path, obtained: Obtained, *, catalogue: str, stop: Callable[[], bool] = never
) -> str | None:
    """Write the item of an archive, or of a folder with members of one.

    Parameters
    ----------
    files
        The archive or the folder; it must be verified.
    obtained
        How it came here.
    catalogue
        Search address of the catalogue.
    stop
        Called before every block of the archive that is read; returns True to cancel.

    Returns
    -------
    str or None
        SHA-256 of the archive in hexadecimal digits; None for members of one, each of which has its own.

    Raises
    ------
    CollgsError, OSError
        The archive cannot be read, or the item not written.
    ValueError
        The product has no sensing time, which STAC requires.
    Stopped
        `stop()` returned True.
    """
    stac_item(product)  # before the archive is read for nothing
    former = read_item(files)
    before = _changing(files).stat()
    stored = _members(files) if is_parts_folder(files.name) else (_archive(files, obtained.sha256, stop),)
    sha256 = stored[0].sha256 if stored and stored[0].member is None else None
    if former is not None and sha256 is not None and checksum_of(former) == sha256:
        obtained = _completed(obtained, former["properties"])
    how = (obtained.retrieved, obtained.verified, obtained.how, obtained.etag, obtained.last_modified)
    item = stac_item(product, Retrieval(stored, *how, catalogue, f"{PROGRAM} {__version__}"))
    after = _changing(files).stat()
    if (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
        raise FileError(f"{files}: it has changed while it was read")
    write_json(item_path(files), [_text_of(item).encode()])
    return sha256


def _text_of(item: dict[str, Any]) -> str:
    """Return an item as JSON: a line for each property and asset, and for anything else at the top."""
    lines = []
    for name, value in item.items():
        text = json.dumps(value, allow_nan=False)
        if name in _PARTED and value:
            parts = ",\n".join(f"  {json.dumps(key)}: {json.dumps(one, allow_nan=False)}" for key, one in value.items())
            text = f"{{\n{parts}\n }}"
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_json(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file atomically; nothing but a regular file is replaced.

    Raises
    ------
    FileError
        Something that is no file has its name.
    OSError
        As from `write_whole`.
    """
    with suppress(FileNotFoundError):
        refuse_odd(path, path.lstat().st_mode)
    write_whole(path, chunks)


def _changing(files: Path) -> Path:
    """Return the file whose time of change is that of the archive, or of the members that are here."""
    return files / RECORD if is_parts_folder(files.name) else files


def _archive(path: Path, sha256: str | None, stop: Callable[[], bool]) -> StoredFile:
    with readable(), os.fdopen(open_regular(path, os.O_RDONLY), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        return StoredFile(path.name, size, sha256 or _digest(file, stop))


def _digest(file: FileIO, stop: Callable[[], bool]) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    while got := file.readinto(buffer):
        check_cancelled(stop)
        digest.update(buffer[:got])
    return digest.hexdigest()


def _members(folder: Path) -> tuple[StoredFile, ...]:
    record = load_record(folder)
    if record is None:
        raise FileError(f"{folder}: there is no {RECORD}, which says what is here")
    return tuple(
        StoredFile(f"{folder.name}/{member.name}", member.size, member.sha256, member.name) for member in record.here
    )


def _completed(obtained: Obtained, former: dict[str, Any]) -> Obtained:
    """Add what an earlier item says of the same bytes."""
    verified = former.get("collgs:verified")
    verified = verified if isinstance(verified, dict) else {}
    known: dict[str, Any] = {
        "retrieved": read_time(_string(former.get("collgs:retrieved"))),
        "etag": _string(former.get("collgs:etag")),
        "last_modified": _string(former.get("collgs:last_modified")),
    }
    if obtained.verified is None:
        known |= {"verified": read_time(_string(verified.get("at"))), "how": _string(verified.get("how"))}
    return replace(obtained, **{name: value for name, value in known.items() if getattr(obtained, name) is None})


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None
