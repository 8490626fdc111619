"""The sidecar of a part file: the version of the archive, and the ranges that the part file has."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.storage.files import create_file, read_small, write_all
from collgs_async.storage.ranges import ByteRanges

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["RemoteVersion", "parse_sidecar", "read_sidecar", "sidecar_text", "write_sidecar"]

_LARGEST: Final = 2**20
"""Maximum size in bytes; a longer file is not a sidecar of this package."""


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """The version of an archive, as stated by the server's headers.

    Attributes
    ----------
    url
        The requested URL.
    size
        Length of the whole archive in bytes; None if the server did not state it.
    etag
        Entity tag with its quotes, and with ``W/`` if weak (RFC 9110 §8.8.3); None if there was none.
    last_modified, date
        These header fields, unparsed; None if missing.
    """

    url: str
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    date: str | None = None


def read_sidecar(path: Path) -> tuple[RemoteVersion | None, ByteRanges | None]:
    """Read version and ranges; either is None if it is damaged or missing."""
    data = read_small(path, _LARGEST + 1)
    if data is None or len(data) > _LARGEST:
        return None, None
    try:
        return parse_sidecar(data.decode())
    except UnicodeDecodeError:
        return None, None


def sidecar_text(remote: RemoteVersion | None, ranges: ByteRanges | None) -> bytes:
    """Return the content of a sidecar; without `ranges`, the part file has no gaps."""
    fields = asdict(remote) if remote else {}
    if ranges is not None:
        fields["ranges"] = list(ranges)
    return json.dumps(fields).encode()


def write_sidecar(path: Path, text: bytes) -> None:
    """Write a sidecar with one system call, so that a killed process cannot leave half of it."""
    descriptor = create_file(path)
    try:
        status = os.fstat(descriptor)
        if status.st_nlink > 1 or status.st_size > _LARGEST:  # it has other hard links, or is not ours
            path.unlink()
            os.close(descriptor)
            descriptor = create_file(path)
            status = os.fstat(descriptor)
        write_all(descriptor, text.ljust(status.st_size), 0)
    finally:
        os.close(descriptor)


def parse_sidecar(text: str) -> tuple[RemoteVersion | None, ByteRanges | None]:
    """Parse a sidecar into version and ranges; either is None if it is damaged or missing."""
    try:
        fields = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None, None
    return _parse_remote(fields), _parse_ranges(fields.get("ranges"))


def _parse_remote(fields: Mapping[str, object]) -> RemoteVersion | None:
    match fields:
        case {"url": str(url), "size": None | int() as size} if type(size) is not bool and (size or 0) >= 0:
            words = [fields.get(name) for name in ("etag", "last_modified", "date")]
            if all(isinstance(value, str | None) for value in words):
                return RemoteVersion(url, size, *words)  # type: ignore[arg-type]  # each is text or None
    return None


def _parse_ranges(spans: object) -> ByteRanges | None:
    ranges = ByteRanges()
    for pair in spans if isinstance(spans, list) else [None]:
        match pair:
            case [int(first), int(end)] if type(first) is type(end) is int and 0 <= first < end:
                ranges.add(first, end)
            case _:
                return None
    return ranges
