"""Parse shapefiles: the geometries of the `.shp` for the records that the `.shx` and the `.dbf` beside it list.

Editors leave deleted and older versions of a record in the `.shp`; only the index shows which are current. The format
is unchanged since 1998 (ESRI Shapefile Technical Description). pyshp is not used: it iterates over shapes without the
index and the marks of deleted rows, has no fallback for an index that does not fit, and takes three times the memory.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from collgs_async.models.text import plural
from collgs_async.selection.aoi.places import ParsedGeometry, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collgs_async.selection.aoi.places import ParseNotes

__all__ = ["SIGNATURE", "parse"]

SIGNATURE: Final = b"\x00\x00\x27\x0a"
_HEADER: Final = 100
_KINDS: Final = {1: "Point", 8: "MultiPoint", 3: "MultiLineString", 5: "Rings"}
"""Supported types; those with height (10 more) and with measure (20 more) begin in the same way."""

_MULTIPATCH: Final = 31
_DELETED: Final = ord("*")
"""The first byte of a deleted row of a `.dbf` (dBASE III)."""


def parse(
    data: bytes, index: bytes | None, table: bytes | None, place: str, notes: ParseNotes
) -> Iterator[ParsedGeometry]:
    """Parse the records of a `.shp`.

    Parameters
    ----------
    data, index, table
        The contents of the `.shp`, the `.shx` and the `.dbf`; None: there is no such file.
    place
        The name of the `.shp`, for messages.
    notes
        Receives a note when the index is missing.
    """
    if data[:4] != SIGNATURE:
        raise refusal(place, "a shapefile", "something else")
    records: Iterable[tuple[int, int]] | None = _indexed(data, index)
    if records is None:
        notes.add(place, "has no .shx beside it that fits, so all records in it are taken, also deleted ones")
        records, table = _scanned(data), None
    deleted = _deleted(table)
    for number, (start, end) in enumerate(records):
        feature = f"{place}, feature {number + 1}"
        if number not in deleted:
            try:
                yield from _record(data[start:end], feature)
            except (struct.error, ValueError):  # ValueError: fewer bytes than numpy expects
                found = f"{plural(end - start, 'byte')} that cannot be read"
                raise refusal(feature, "a whole record", found) from None


def _indexed(data: bytes, index: bytes | None) -> list[tuple[int, int]] | None:
    """Return start and end of each record's content from the `.shx`; None where it does not match the `.shp`."""
    if index is None or index[:4] != SIGNATURE or len(index) < _HEADER:
        return None
    (words,) = struct.unpack_from(">i", index, 24)
    if not _HEADER <= 2 * words <= len(index):
        return None
    records = []
    for offset, length in np.frombuffer(index, ">i4", (2 * words - _HEADER) // 8 * 2, _HEADER).reshape(-1, 2).tolist():
        start = 2 * offset + 8
        if offset <= 0 or length <= 0:  # some programs write this for deleted records
            records.append((0, 0))
            continue
        if start < _HEADER + 8 or start + 4 > len(data):
            return None
        (inner,) = struct.unpack_from(">i", data, start - 4)  # should be the same length
        records.append((start, start + 2 * max(length, inner)))
    return records


def _scanned(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each record's content in order, up to the length in the header."""
    (words,) = struct.unpack_from(">i", data.ljust(_HEADER), 24)
    last = min(2 * words, len(data)) if 2 * words > _HEADER else len(data)
    at = _HEADER
    while at + 12 <= last:
        (words,) = struct.unpack_from(">i", data, at + 4)
        at += 8
        yield at, at + 2 * max(words, 2)
        at += 2 * max(words, 2)


def _deleted(table: bytes | None) -> set[int]:
    """Return the numbers, from 0, of the records whose row in the `.dbf` is marked as deleted."""
    if table is None or len(table) < 32:
        return set()
    count, header, width = struct.unpack_from("<IHH", table, 4)
    flags = table[header :: width or 1][:count]
    return {number for number, flag in enumerate(flags) if flag == _DELETED}


def _record(record: bytes, place: str) -> Iterator[ParsedGeometry]:
    (code,) = struct.unpack_from("<i", record) if record else (0,)
    if code == 0:  # a feature may have no geometry
        return
    kind = _KINDS.get(code % 10 if code // 10 in {0, 1, 2} else -1)
    match kind:
        case None:
            found = "a MultiPatch" if code == _MULTIPATCH else f"shapes of type {code}"
            raise refusal(place, "points, lines or polygons", found)
        case "Point":
            coordinates: Any = _points(record, 4, 1)[0].tolist()
        case "MultiPoint":
            coordinates = _points(record, 40, struct.unpack_from("<I", record, 36)[0])
        case _:
            coordinates = _parts(record)
    yield ParsedGeometry(place, {"type": kind, "coordinates": coordinates})


def _parts(record: bytes) -> list[Any]:
    parts, points = struct.unpack_from("<2I", record, 36)
    starts = np.frombuffer(record, "<i4", parts, 44).tolist()
    everything = _points(record, 44 + 4 * parts, points)
    edges = [*starts, points]
    if edges != sorted(edges) or edges[0] < 0:
        raise ValueError
    return [everything[start:end] for start, end in zip(starts, edges[1:], strict=True) if end > start]


def _points(record: bytes, at: int, count: int) -> Any:
    return np.frombuffer(record, "<f8", 2 * count, at).reshape(count, 2)
