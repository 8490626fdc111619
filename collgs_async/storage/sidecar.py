"""The sidecar of a part file: the version of the archive, and the ranges that the part file has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.storage.ranges import ByteRanges

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RemoteVersion", "parse_sidecar"]


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
