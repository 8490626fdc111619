"""Parse well-known text (WKT) and binary (WKB), both standard and PostGIS's extended form.

Shapely is not used: GEOS recurses as deep as a file claims, which ends the process for a million nested collections
(WKT or WKB), shapely refuses curves, TIN, TRIANGLE and POLYHEDRALSURFACE, and neither says where a text is wrong.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from collgs_async.models.parameter_values import quote_value
from collgs_async.models.text import plural
from collgs_async.selection.aoi.curves import chords, joined
from collgs_async.selection.aoi.places import ParsedGeometry, check_count, refusal
from collgs_async.selection.aoi.reprojection import reprojected
from collgs_async.selection.aoi.systems import read_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.errors import ConfigError
    from collgs_async.selection.aoi.places import ParseNotes
    from collgs_async.selection.aoi.reprojection import Reprojection

    _Tree = tuple[str, Any]

__all__ = ["looks_like_wkb", "looks_like_wkt", "parse_wkb", "parse_wkt"]

_KINDS: dict[str, tuple[int, str, str]] = {
    "POINT": (1, "Point", ""),
    "LINESTRING": (2, "LineString", ""),
    "POLYGON": (3, "Polygon", "LINESTRING"),
    "MULTIPOINT": (4, "MultiPoint", "POINT"),
    "MULTILINESTRING": (5, "MultiLineString", "LINESTRING"),
    "MULTIPOLYGON": (6, "MultiPolygon", "POLYGON"),
    "GEOMETRYCOLLECTION": (7, "", "ANY"),
    "CIRCULARSTRING": (8, "LineString", ""),
    "COMPOUNDCURVE": (9, "LineString", "LINESTRING"),
    "CURVEPOLYGON": (10, "Polygon", "LINESTRING"),
    "MULTICURVE": (11, "MultiLineString", "LINESTRING"),
    "MULTISURFACE": (12, "MultiPolygon", "POLYGON"),
    "POLYHEDRALSURFACE": (15, "MultiPolygon", "POLYGON"),
    "TIN": (16, "MultiPolygon", "TRIANGLE"),
    "TRIANGLE": (17, "Polygon", "LINESTRING"),
}
"""Each kind: its number in WKB, its name in GeoJSON, and the kind of members that have no header of their own.

A parsed geometry is a pair of its kind and its members, or its points when it has no members.
"""

_BY_NUMBER = {number: kind for kind, (number, _, _) in _KINDS.items()}
_START = re.compile(rf"\s*(?:SRID\s*=[^;]*;\s*)?(?:{'|'.join(_KINDS)})\s*(?:Z|M|ZM)?\s*(?:\(|EMPTY)", re.I)
_SRID = re.compile(r"\s*SRID\s*=\s*([^;]*);", re.I)
_TOKEN = re.compile(r"\s*([(),]|[A-Za-z]+|[-+.0-9][-+.0-9eE\s,]*|\S)")


def looks_like_wkt(text: str) -> bool:
    """Whether a text begins like WKT, or is WKB in hexadecimal digits."""
    return _START.match(text) is not None or _from_digits(text) is not None


def _from_digits(text: str) -> bytes | None:
    """Decode hexadecimal digits, as databases print WKB; None when they are not WKB."""
    try:
        blob = bytes.fromhex(text.strip().removeprefix("\\x"))
    except ValueError:
        return None
    return blob if looks_like_wkb(blob) else None


def looks_like_wkb(data: bytes) -> bool:
    """Whether data begins like WKB: with a byte order and a type."""
    if len(data) < 9 or data[0] > 1:
        return False
    (code,) = struct.unpack_from("<I" if data[0] else ">I", data, 1)
    dimensions, number = divmod(code & 0x0FFFFFFF, 1000)
    return number in _BY_NUMBER and dimensions < 4


def parse_wkt(text: str, place: str, notes: ParseNotes) -> Iterator[ParsedGeometry]:
    """Parse WKT, EWKT of any SRID, or WKB in hexadecimal digits."""
    if (blob := _from_digits(text)) is not None:
        yield from parse_wkb(blob, place, notes)
        return
    check_count(text.count(","), place)
    srid = _SRID.match(text)
    system = _read_srid(srid[1].strip(), place, notes) if srid else None
    tokens = _Tokens(text, srid.end() if srid else 0, place)
    tree = _geometry(tokens)
    if tokens.next:
        raise tokens.refusal("the end")
    yield from reprojected(_flatten(tree, place), system)


def parse_wkb(blob: bytes, place: str, notes: ParseNotes) -> Iterator[ParsedGeometry]:
    """Parse ISO WKB, or PostGIS's with flags for height, measure and SRID."""
    binary = _Binary(blob, place, notes)
    try:
        tree = binary.geometry()
    except (struct.error, ValueError):  # ValueError: fewer bytes than numpy expects
        raise refusal(place, "a whole WKB geometry", f"one cut after {plural(len(blob), 'byte')}") from None
    yield from reprojected(_flatten(tree, place), binary.system)


def _read_srid(srid: str, place: str, notes: ParseNotes) -> Reprojection | None:
    if srid == "0":  # it means unknown
        return None
    return read_system(f"EPSG:{srid}", place, notes, expected="an SRID of WGS 84, such as 4326")


def _flatten(tree: _Tree, place: str) -> Iterator[ParsedGeometry]:
    kind, members = tree
    if kind == "GEOMETRYCOLLECTION":
        for number, member in enumerate(members, 1):
            yield from _flatten(member, f"{place}, geometry {number}")
    else:
        yield ParsedGeometry(place, {"type": _KINDS[kind][1], "coordinates": _coordinates(tree, place)})


def _coordinates(tree: _Tree, place: str) -> Any:
    """Return coordinates nested as in GeoJSON, curves as chords."""
    kind, members = tree
    match kind:
        case "POINT":
            if len(members) > 1:
                raise refusal(place, "one point in a POINT", str(len(members)))
            return members[0] if len(members) else []
        case "LINESTRING":
            return members
        case "CIRCULARSTRING":
            return chords(members, place)
    of = _KINDS[_KINDS[kind][2]][1]
    if strange := next((member for member, _ in members if _KINDS[member][1] != of), None):
        raise refusal(place, f"a {kind} of {of}s", f"a {strange} in it")
    parts = [_coordinates(member, place) for member in members]
    return joined(parts) if kind == "COMPOUNDCURVE" else parts


class _Tokens:
    """The tokens of a text; an empty one marks the end."""

    def __init__(self, text: str, start: int, place: str) -> None:
        self._text = text
        self._place = place
        self._end = start
        self.next = ""
        self.take()

    def take(self) -> str:
        """Return the current token and advance to the next one."""
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
        return refusal(
            f"{self._place}, character {self._start + 1}", expected, quote_value(found) if found else "nothing"
        )


def _geometry(tokens: _Tokens) -> _Tree:
    kind = tokens.next.upper()
    for ending in ("ZM", "Z", "M"):  # POINTZ
        kind = kind if kind in _KINDS else kind.removesuffix(ending)
    if kind not in _KINDS:
        raise tokens.refusal(f"one of {', '.join(_KINDS)}")
    tokens.take()
    if tokens.next.upper() in {"Z", "M", "ZM"}:
        tokens.take()
    return kind, _members(tokens, kind)


def _members(tokens: _Tokens, kind: str) -> Any:
    """Parse a list in parentheses: points, or members whose keyword may be missing."""
    if tokens.next.upper() == "EMPTY":
        tokens.take()
        return []
    of = _KINDS[kind][2]
    tokens.expect("(")
    if not of or (of == "POINT" and tokens.next != "("):
        points = _points(tokens)
        return points if not of else [(of, [point]) for point in points]
    members = [_member(tokens, of)]
    while tokens.expect(",", ")") == ",":
        members.append(_member(tokens, of))
    return members


def _member(tokens: _Tokens, of: str) -> _Tree:
    named = of == "ANY" or (tokens.next[:1].isalpha() and tokens.next.upper() != "EMPTY")
    return _geometry(tokens) if named else (of, _members(tokens, of))


def _points(tokens: _Tokens) -> list[list[float]]:
    """Parse the points up to the closing parenthesis; they are one token, since an area may have a million of them."""
    points = []
    for number, written in enumerate(tokens.next.split(","), 1):
        try:
            point = [float(part) for part in written.split()]
        except ValueError:
            point = []
        if not 2 <= len(point) <= 4:
            raise tokens.refusal(f"longitude and latitude such as 6.13 49.61 as point {number} from here", written)
        points.append(point)
    tokens.take()
    tokens.expect(")")
    return points


class _Binary:
    """Reads WKB; `system` is that of the SRID, which PostGIS writes into the outermost header."""

    def __init__(self, blob: bytes, place: str, notes: ParseNotes) -> None:
        self._blob = blob
        self._place = place
        self._notes = notes
        self._at = 0
        self._order = "<"
        self._srid: str | None = None
        self.system: Reprojection | None = None

    def geometry(self) -> _Tree:
        kind, width = self._read_header()
        if kind == "POINT":
            points = self._run(1, width)
            return kind, points[~np.isnan(points).all(axis=1)].tolist()  # an empty point is NaN
        count = self._count()
        if not _KINDS[kind][2]:
            return kind, self._run(count, width)
        if 4 * count > len(self._blob) - self._at:
            raise ValueError(count)
        check_count(count, self._place, "geometries")
        if kind in {"POLYGON", "TRIANGLE"}:  # their rings have no headers
            return kind, [("LINESTRING", self._run(self._count(), width)) for _ in range(count)]
        return kind, [self.geometry() for _ in range(count)]

    def _read_header(self) -> tuple[str, int]:
        """Read byte order and type; return the kind and the numbers per point."""
        self._order = "<" if self._blob[self._at : self._at + 1] == b"\x01" else ">"
        self._at += 1
        code = self._count()
        if code & 0x20000000:
            self._take_srid(str(self._count()))
        extra = bool(code & 0x80000000) + bool(code & 0x40000000)
        dimensions, number = divmod(code & 0x0FFFFFFF, 1000)
        if number not in _BY_NUMBER:
            raise refusal(self._place, "points, lines or polygons", f"WKB geometry of type {number}")
        return _BY_NUMBER[number], 2 + extra + (0, 1, 1, 2)[dimensions % 4]

    def _take_srid(self, srid: str) -> None:
        """Read the system of the first SRID; members may repeat it, and have no other."""
        if self._srid is None:
            self._srid, self.system = srid, _read_srid(srid, self._place, self._notes)
        elif srid != self._srid:
            raise refusal(self._place, f"one SRID, {self._srid}", f"{quote_value(srid)} in it")

    def _count(self) -> int:
        (number,) = struct.unpack_from(f"{self._order}I", self._blob, self._at)
        self._at += 4
        return int(number)

    def _run(self, count: int, width: int) -> Any:
        run = np.frombuffer(self._blob, f"{self._order}f8", count * width, self._at)
        self._at += run.nbytes
        return run.reshape(count, width)[:, :2].astype(float)
