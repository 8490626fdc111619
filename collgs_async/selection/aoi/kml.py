"""Parse KML: the points, lines, tracks and polygons of placemarks, and the boxes of overlays.

It is parsed as a stream, since most of a KML is style and description. Entities may expand a small file enormously, so
the expanded text is limited like the file itself; external entities are never fetched.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.aoi.places import ParsedGeometry, check_count, refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from collgs_async.selection.aoi.places import ParseNotes

__all__ = ["parse"]

_AROUND_COMMA = re.compile(r"\s*,\s*")
_ROOTS = {"kml", "Document", "Folder", "Placemark", "GroundOverlay"}
_FEATURES = {"Placemark": "placemark", "GroundOverlay": "overlay"}
_EDGES = ("north", "south", "east", "west", "rotation")
_TEXTS = {"coordinates", "coord", "href", *_EDGES}
_MAX_TEXT: Final = 100 * 10**6
"""Limit in characters, with entities expanded."""


def parse(text: str, place: str, notes: ParseNotes, beside: Collection[str] = ()) -> list[ParsedGeometry]:
    """Parse KML of any version; namespace prefixes are ignored, declared or not.

    Parameters
    ----------
    text, place
        The document, and its name for messages.
    notes
        Receives the names of unsupported elements.
    beside
        Names, in lower case, of files that are read as well, so that links to them need no note.
    """
    reader = _Reader(place, notes, beside)
    parser = expat.ParserCreate()
    parser.UseForeignDTD(True)  # makes undeclared entities, such as those of HTML, no error
    parser.buffer_text = True
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(text.lstrip(), True)
    except expat.ExpatError as error:
        raise refusal(f"{place}, line {parser.CurrentLineNumber}", "XML", f"what is none: {error}") from None
    return reader.found


class _Reader:
    """Handles elements as they begin and end, and collects their geometries.

    Attributes
    ----------
    found
        The geometries parsed so far.
    """

    def __init__(self, place: str, notes: ParseNotes, beside: Collection[str]) -> None:
        self.found: list[ParsedGeometry] = []
        self._place = place
        self._notes = notes
        self._beside = beside
        self._path: list[str] = []
        self._counts = dict.fromkeys(_FEATURES, 0)
        self._feature = ""
        self._geometries: list[dict[str, Any]] = []
        self._outer: list[list[float]] = []
        self._holes: list[list[list[float]]] = []
        self._points: list[list[float]] = []
        self._edges: dict[str, float] = {}
        self._text: list[str] = []
        self._left = _MAX_TEXT
        self._read_so_far = 0

    def begin(self, tag: str, _: object) -> None:
        tag = tag.rpartition(":")[2]
        if not self._path and tag not in _ROOTS:
            raise refusal(self._place, "KML", f"XML of <{tag}>")
        self._path.append(tag)
        self._text = []
        if tag in _FEATURES:
            self._counts[tag] += 1
            self._feature = f"{self._place}, {_FEATURES[tag]} {self._counts[tag]}"
            self._geometries = []
        elif tag == "Model":
            self._notes.add(self._place, "has a Model, which is not read")
        elif tag == "Polygon":
            self._outer, self._holes = [], []
        elif tag in {"Point", "LineString", "LinearRing", "Track", "LatLonQuad"}:
            self._points = []

    def text(self, text: str) -> None:
        self._left -= len(text)
        if self._left < 0:
            raise refusal(self._place, "KML", "entities that make more text than a file may have")
        if self._path[-1] in _TEXTS:
            self._text.append(text)

    def end(self, _: str) -> None:
        tag = self._path.pop()
        parent = self._path[-1] if self._path else ""
        written = "".join(self._text).strip() if tag in _TEXTS else ""
        match tag:
            case "coordinates":
                tuples = written.split()
                if any(
                    part.strip(",").count(",") not in {1, 2} for part in tuples
                ):  # invalid but common: a blank beside a comma
                    tuples = _AROUND_COMMA.sub(",", written).split()
                self._points = self._read(tuples, ",")
            case "coord":
                self._points += self._read([written], None)
            case "href" if "NetworkLink" in self._path:
                if not any(name.endswith(written.lower().removeprefix("./")) for name in self._beside):
                    self._notes.add(self._place, f"has a NetworkLink to {quote_value(written)}, which is not followed")
            case _ if tag in _EDGES and parent == "LatLonBox":
                self._edges[tag] = self._number(written)
            case _ if tag in _FEATURES:
                self._finish()
            case _:
                self._end_geometry(tag, parent)

    def _end_geometry(self, tag: str, parent: str) -> None:
        match tag:
            case "LinearRing" if parent == "outerBoundaryIs":
                self._outer = self._points
            case "LinearRing" if parent == "innerBoundaryIs":  # invalid but common: several rings in one element
                self._holes += [self._points] if self._points else []
            case "Point" if parent in {"Placemark", "MultiGeometry"}:
                self._keep("MultiPoint", self._points)
            case "LineString" | "LinearRing" | "Track":
                self._keep("MultiPoint" if tag == "Track" and len(self._points) < 2 else "LineString", self._points)
            case "Polygon":
                self._keep("Polygon", [self._outer, *self._holes] if self._outer else [])
            case "LatLonQuad":
                self._keep("Polygon", [self._points + self._points[:1]] if self._points else [])
            case "LatLonBox":
                self._keep("Polygon", [self._box()])

    def _keep(self, kind: str, coordinates: list[Any]) -> None:
        if coordinates:
            self._geometries.append({"type": kind, "coordinates": coordinates})

    def _finish(self) -> None:
        many = len(self._geometries) > 1
        for number, geometry in enumerate(self._geometries, 1):
            self.found.append(
                ParsedGeometry(f"{self._feature}, geometry {number}" if many else self._feature, geometry)
            )
        self._geometries = []

    def _read(self, tuples: list[str], separator: str | None) -> list[list[float]]:
        """Parse ``lon,lat,height``, or the form with blanks, used in tracks."""
        self._read_so_far += len(tuples)
        check_count(self._read_so_far, self._place)
        boundary = next((f", {tag[:5]} boundary" for tag in self._path[-2:] if tag.endswith("BoundaryIs")), "")
        points = []
        for number, written in enumerate(tuples, 1):
            try:
                point = [float(part) for part in written.rstrip(",").split(separator)]
            except ValueError:
                point = []
            if not 2 <= len(point) <= 3:
                expected = "longitude and latitude such as 6.13,49.61"
                raise refusal(f"{self._feature}{boundary}, point {number}", expected, quote_value(written))
            points.append(point)
        return points

    def _number(self, written: str) -> float:
        try:
            return float(written)
        except ValueError:
            raise refusal(f"{self._feature}, LatLonBox", "degrees", quote_value(written)) from None

    def _box(self) -> list[list[float]]:
        """Return the ring of an overlay's box, rotated about its centre; east < west crosses the antimeridian."""
        edges, self._edges = self._edges, {}
        if missing := next((edge for edge in _EDGES[:4] if edge not in edges), None):
            raise refusal(f"{self._feature}, LatLonBox", "north, south, east and west", f"no {missing}")
        north, south, east, west = (edges[edge] for edge in _EDGES[:4])
        east += 360 if east < west else 0
        x, y = (west + east) / 2, (south + north) / 2
        turn, wide = math.radians(edges.get("rotation", 0)), math.cos(math.radians(min(90, abs(y)))) or 1
        corners = [(west - x, south - y), (east - x, south - y), (east - x, north - y), (west - x, north - y)]
        sine, cosine = math.sin(turn), math.cos(turn)
        ring = [
            [x + (right * wide * cosine - up * sine) / wide, y + right * wide * sine + up * cosine]
            for right, up in corners
        ]
        return [*ring, ring[0]]
