"""The two well-known forms, text (WKT) and binary (WKB), in their plain and in PostGIS's extended dialect.

Both are read here and not by shapely because GEOS stops at the first ring that is not closed, without saying which,
and follows collections as deep as a file pretends that they go.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from collgs_async.area.places import Found, refusal
from collgs_async.query import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.errors import ConfigError

__all__ = ["looks_like_wkt", "parse_wkb", "parse_wkt"]

_KINDS = {
    "POINT": ("Point", 0),
    "LINESTRING": ("LineString", 1),
    "POLYGON": ("Polygon", 2),
    "MULTIPOINT": ("MultiPoint", 1),
    "MULTILINESTRING": ("MultiLineString", 2),
    "MULTIPOLYGON": ("MultiPolygon", 3),
}
"""Each kind in upper case: its name in GeoJSON, and how deep its lists of points lie."""

_COLLECTION = "GEOMETRYCOLLECTION"
_START = re.compile(
    rf"\s*(?:SRID\s*=[^;]*;\s*)?(?:{'|'.join(_KINDS)}|{_COLLECTION})\s*(?:Z|M|ZM)?\s*(?:\(|EMPTY)", re.I
)
_SRID = re.compile(r"\s*SRID\s*=\s*([^;]*);", re.I)
_TOKEN = re.compile(r"\s*([(),]|[A-Za-z]+|[-+.0-9][-+.0-9eE\s,]*|\S)")


def looks_like_wkt(text: str) -> bool:
    """Tell whether a text begins as WKT does."""
    return _START.match(text) is not None


def parse_wkt(text: str, place: str) -> Iterator[Found]:
    """Read WKT, or EWKT if its SRID is 4326."""
    srid = _SRID.match(text)
    if srid and srid[1].strip() != "4326":
        raise refusal(place, "SRID=4326", shown(f"SRID={srid[1].strip()}"))
    words = _Words(text, srid.end() if srid else 0, place)
    yield from _geometry(words, place)
    if words.next:
        raise words.refusal("the end")


class _Words:
    """The words of a text, one after the other; an empty one is the end."""

    def __init__(self, text: str, start: int, place: str) -> None:
        self._text = text
        self._place = place
        self._end = start
        self.next = ""
        self.take()

    def take(self) -> str:
        """Go on to the following word, and give the one that was next."""
        taken = self.next
        found = _TOKEN.match(self._text, self._end)
        self._start, self._end = (found.start(1), found.end()) if found else (len(self._text), len(self._text))
        self.next = found[1] if found else ""
        return taken

    def expect(self, *wanted: str) -> str:
        if self.next not in wanted:
            raise self.refusal(" or ".join(wanted))
        return self.take()

    def refusal(self, expected: str, found: str | None = None) -> ConfigError:
        found = self.next if found is None else found
        return refusal(f"{self._place}, character {self._start + 1}", expected, shown(found) if found else "nothing")


def _geometry(words: _Words, place: str) -> Iterator[Found]:
    kind = words.next.upper()
    for ending in ("ZM", "Z", "M"):  # POINTZ
        kind = kind if kind in _KINDS or kind == _COLLECTION else kind.removesuffix(ending)
    if kind not in _KINDS and kind != _COLLECTION:
        raise words.refusal(f"one of {', '.join((*_KINDS, _COLLECTION))}")
    words.take()
    if words.next.upper() in {"Z", "M", "ZM"}:
        words.take()
    if words.next.upper() == "EMPTY":
        words.take()
    elif kind == _COLLECTION:
        yield from _members(words, place)
    else:
        name, depth = _KINDS[kind]
        coordinates = _lists(words, max(depth, 1))
        if name == "Point" and len(coordinates) != 1:
            raise refusal(place, "one point in a POINT", str(len(coordinates)))
        yield Found(place, {"type": name, "coordinates": coordinates if depth else coordinates[0]})


def _members(words: _Words, place: str) -> Iterator[Found]:
    words.expect("(")
    number = 1
    yield from _geometry(words, f"{place}, geometry {number}")
    while words.expect(",", ")") == ",":
        number += 1
        yield from _geometry(words, f"{place}, geometry {number}")


def _lists(words: _Words, depth: int) -> list[Any]:
    """Read lists of points within lists; a MULTIPOINT may have each of its points in parentheses of its own."""
    if words.next.upper() == "EMPTY":
        words.take()
        return []
    words.expect("(")
    if depth == 1 and words.next != "(":
        return _points(words)
    items = [_lists(words, depth - 1)] if depth > 1 else _lists(words, 1)
    while words.expect(",", ")") == ",":
        items += [_lists(words, depth - 1)] if depth > 1 else _lists(words, 1)
    return items


def _points(words: _Words) -> list[list[float]]:
    """Read the points up to the closing parenthesis; they are one word, for an area may have a million of them."""
    points = []
    for number, written in enumerate(words.next.split(","), 1):
        try:
            point = [float(part) for part in written.split()]
        except ValueError:
            point = []
        if not 2 <= len(point) <= 4:
            raise words.refusal(f"longitude and latitude such as 6.13 49.61 as point {number} from here", written)
        points.append(point)
    words.take()
    words.expect(")")
    return points


def parse_wkb(blob: bytes, place: str) -> Iterator[Found]:
    """Read WKB: that of ISO, and PostGIS's with flags for height, measure and SRID."""
    try:
        yield from _Binary(blob, place).geometry(place)
    except (struct.error, ValueError):  # ValueError: fewer bytes than numpy was to take
        raise refusal(place, "a whole WKB geometry", f"{len(blob)} bytes that are cut") from None


class _Binary:
    def __init__(self, blob: bytes, place: str) -> None:
        self._blob = blob
        self._place = place
        self._at = 0
        self._order = "<"

    def geometry(self, place: str) -> Iterator[Found]:
        kind, width = self._head()
        if kind == len(_KINDS) + 1:
            for number in range(1, self._count() + 1):
                yield from self.geometry(f"{place}, geometry {number}")
        elif 1 <= kind <= len(_KINDS):
            name, _ = list(_KINDS.values())[kind - 1]
            yield Found(place, {"type": name, "coordinates": self._coordinates(kind, width)})
        else:
            raise refusal(place, "points, lines or polygons", f"WKB geometry of type {kind}")

    def _head(self) -> tuple[int, int]:
        """Read byte order and type, and give the type and how many numbers a point has."""
        self._order = "<" if self._blob[self._at : self._at + 1] == b"\x01" else ">"
        self._at += 1
        code = self._count()
        if code & 0x20000000 and (srid := self._count()) != 4326:
            raise refusal(self._place, "SRID 4326", f"SRID {srid}")
        extra = bool(code & 0x80000000) + bool(code & 0x40000000)
        dimensions, kind = divmod(code & 0x0FFFFFFF, 1000)
        return kind, 2 + extra + (0, 1, 1, 2)[dimensions % 4]

    def _count(self) -> int:
        (number,) = struct.unpack_from(f"{self._order}I", self._blob, self._at)
        self._at += 4
        return int(number)

    def _coordinates(self, kind: int, width: int) -> Any:
        match kind:
            case 1:
                point = self._run(1, width)[0].tolist()
                return [] if all(map(math.isnan, point)) else point  # what WKB has for an empty point
            case 2:
                return self._run(self._count(), width)
            case 3:
                return [self._run(self._count(), width) for _ in range(self._count())]
            case _:
                return [self._coordinates(*self._head()) for _ in range(self._count())]

    def _run(self, count: int, width: int) -> Any:
        run = np.frombuffer(self._blob, f"{self._order}f8", count * width, self._at)
        self._at += run.nbytes
        return run.reshape(count, width)[:, :2].astype(float)
