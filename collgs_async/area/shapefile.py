"""Shapefiles: the geometry of the `.shp`, and what the `.prj` beside it says of the coordinates.

The table of attributes is not needed. What is needed has stood in a paper of 1998 and has not changed since (ESRI
Shapefile Technical Description), so no library is asked for it.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from collgs_async.area.places import Found, refusal
from collgs_async.query import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SIGNATURE", "check_projection", "parse"]

SIGNATURE = b"\x00\x00\x27\x0a"
_HEADER = 100
_KINDS = {1: "Point", 8: "MultiPoint", 3: "MultiLineString", 5: "Rings"}
"""What is read, by type; those with height (10 more) and with measure (20 more) begin in the same way."""

_NAMED = re.compile(r'\s*(\w+)\s*\[\s*"([^"]*)"')
_DATUM = re.compile(r'\b(?:DATUM|ENSEMBLE)\s*\[\s*"([^"]*)"', re.I)
_WGS84 = {"wgs1984", "dwgs1984", "wgs84", "worldgeodeticsystem1984", "worldgeodeticsystem1984ensemble"}


def check_projection(text: str, place: str) -> None:
    """Refuse coordinates that are not longitude and latitude in WGS 84."""
    named = _NAMED.match(text)
    kind, name = (named[1].upper(), named[2]) if named else ("", text.strip())
    datum = _DATUM.search(text)
    plain = re.sub("[^a-z0-9]", "", datum[1].lower()) if datum else ""
    if kind not in {"GEOGCS", "GEOGCRS", "GEODCRS"} or plain not in _WGS84:
        raise refusal(place, "longitude and latitude in WGS 84", shown(name))


def parse(data: bytes, place: str) -> Iterator[Found]:
    """Read the records of a `.shp`."""
    if data[:4] != SIGNATURE:
        raise refusal(place, "a shapefile", "something else")
    at, number = _HEADER, 0
    while at + 12 <= len(data):
        number += 1
        feature = f"{place}, feature {number}"
        (words,) = struct.unpack_from(">i", data, at + 4)
        record = data[at + 8 : at + 8 + 2 * max(words, 2)]
        at += 8 + 2 * max(words, 2)
        try:
            yield from _record(record, feature)
        except (struct.error, ValueError):  # ValueError: fewer bytes than numpy was to take
            raise refusal(feature, "a whole record", f"{len(record)} bytes that are cut or wrong") from None


def _record(record: bytes, place: str) -> Iterator[Found]:
    (code,) = struct.unpack_from("<i", record)
    if code == 0:  # a feature may have no geometry
        return
    kind = _KINDS.get(code % 10 if code // 10 in {0, 1, 2} else -1)
    match kind:
        case None:
            raise refusal(place, "points, lines or polygons", f"shapes of type {code}")
        case "Point":
            coordinates: Any = _points(record, 4, 1)[0].tolist()
        case "MultiPoint":
            coordinates = _points(record, 40, struct.unpack_from("<I", record, 36)[0])
        case _:
            coordinates = list(_parts(record))
    yield Found(place, {"type": kind, "coordinates": coordinates})


def _parts(record: bytes) -> Iterator[Any]:
    parts, points = struct.unpack_from("<2I", record, 36)
    starts = np.frombuffer(record, "<i4", parts, 44)
    everything = _points(record, 44 + 4 * parts, points)
    ends = [*starts[1:], points]
    for start, end in zip(starts, ends, strict=True):
        yield everything[start:end]


def _points(record: bytes, at: int, count: int) -> Any:
    return np.frombuffer(record, "<f8", 2 * count, at).reshape(count, 2)
