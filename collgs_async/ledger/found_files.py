"""The archives in a folder, and what the STAC item beside one says of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import CollgsError, IntegrityError, ProductError
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.records import Event
from collgs_async.ledger.times import to_ms
from collgs_async.ledger.values import as_integer
from collgs_async.models.sentinel import recognise
from collgs_async.storage.filenames import file_name, is_parts_folder
from collgs_async.storage.files import read_small, refuse_odd
from collgs_async.storage.parts_record import read_record
from collgs_async.storage.verify import Level, verify_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collgs_async.ledger.records import FileRecord

__all__ = ["FoundFile", "ItemFacts", "examine", "find_files", "look_at", "read_item"]

_LARGEST_ITEM: Final = 2**22
_SHA256: Final = "1220"
"""The beginning of a multihash with SHA-256 (https://multiformats.io/multihash/): its code, and 32 bytes."""


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What the STAC item beside an archive says of it; None: it does not."""

    identifier: str
    collection: str | None = None
    size: int | None = None
    sha256: str | None = None
    etag: str | None = None
    modified: str | None = None
    fetched: int | None = None
    checked: int | None = None
    how: str | None = None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """An archive, or a folder with members of one.

    Attributes
    ----------
    path
        Where it is.
    record
        It, as an archive that is here already.
    item
        What its STAC item says; None: there is none for these bytes.
    is_ours
        Whether its name, its STAC item or its record tells of which product it is.
    """

    path: Path
    record: OutcomeRecord
    item: ItemFacts | None = None
    is_ours: bool = True


def find_files(folder: Path) -> Iterator[Path]:
    """Yield each archive and each tree of members below a folder; what begins with a dot is left out."""
    for where, folders, files in os.walk(folder):
        here = Path(where)
        yield from (here / name for name in sorted(files) if name.endswith(".zip") and not name.startswith("."))
        yield from (here / name for name in sorted(folders) if is_parts_folder(name) and not name.startswith("."))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not is_parts_folder(name))


def look_at(path: Path, folder: Path, *, at: int) -> FoundFile | None:
    """Return a file that was found, without reading it; None: it has gone, or is no regular file."""
    where = path.relative_to(folder).as_posix()
    try:
        if is_parts_folder(path.name):
            tree = read_record(path)
            if tree is None:
                return None
            record = OutcomeRecord(tree.identifier, Event.SKIPPED, at, path=where, members=len(tree.here))
            return FoundFile(path, replace(record, etag=tree.remote.etag, modified=tree.remote.last_modified))
        status = path.stat()
        refuse_odd(path, status.st_mode)
    except (OSError, CollgsError):
        return None
    item = read_item(path.with_name(f"{path.stem}.stac.json"))
    if item is not None and file_name(item.identifier) != path.name and item.identifier != path.stem:
        item = None
    identifier = item.identifier if item else path.stem
    facts = item if item and item.size == status.st_size else None
    record = OutcomeRecord(
        identifier,
        Event.SKIPPED,
        at,
        collection=item.collection if item else None,
        path=where,
        size=status.st_size,
        mtime=status.st_mtime_ns // 10**6,
    )
    return FoundFile(path, record, facts, is_ours=item is not None or recognise(identifier) is not None)


def examine(found: FoundFile, known: FileRecord | None, stop: Callable[[], bool]) -> ProductError | None:
    """Check the structure of an archive, unless the ledger has it with this length and time; return what is wrong."""
    record = found.record
    if record.members is not None:
        return None
    if known is not None and (known.path, known.size, known.mtime) == (record.path, record.size, record.mtime):
        return None
    try:
        verify_archive(found.path, level=Level.STRUCTURE, identifier=record.identifier, lenient=True, stop=stop)
    except ProductError as error:
        return error
    except OSError as error:
        return IntegrityError(f"cannot be read: {error.strerror}")
    return None


def read_item(path: Path) -> ItemFacts | None:
    """Read the STAC item of an archive; None if there is none, or if it is no readable one."""
    try:
        text = read_small(path, _LARGEST_ITEM)
        item = json.loads(text) if text else None
    except (OSError, CollgsError, ValueError, RecursionError):
        return None
    match item:
        case {"id": str(identifier), "properties": dict(properties), "assets": dict(assets)} if identifier:
            return _facts(identifier, item or {}, properties, list(assets.values()))
    return None


def _facts(identifier: str, item: dict[str, Any], properties: dict[str, Any], assets: list[Any]) -> ItemFacts:
    sized = [one for one in assets if isinstance(one, dict) and "file:size" in one]
    asset = next((one for one in sized if "file:checksum" in one), sized[0] if sized else {})
    digest, verified = asset.get("file:checksum"), properties.get("collgs:verified")
    is_sha256 = isinstance(digest, str) and digest.startswith(_SHA256) and len(digest) == 68
    read = verified if isinstance(verified, dict) else {}
    collection = item.get("collection") or properties.get("collection")
    return ItemFacts(
        identifier,
        collection=collection if isinstance(collection, str) else None,
        size=as_integer(asset.get("file:size")),
        sha256=digest[4:] if isinstance(digest, str) and is_sha256 and _is_hex(digest) else None,
        etag=_text(properties.get("collgs:etag")),
        modified=_text(properties.get("collgs:last_modified")),
        fetched=_time(properties.get("collgs:retrieved")),
        checked=_time(read.get("at")),
        how=_text(read.get("how")),
    )


def _is_hex(digits: str) -> bool:
    return {*digits} <= {*"0123456789abcdef"}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) < 1000 else None


def _time(value: object) -> int | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return to_ms(moment) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
