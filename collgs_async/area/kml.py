"""KML: the points, lines and polygons of its placemarks.

Entities are where XML is dangerous, and only a document type can declare any; KML has none, so one is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from collgs_async.area.places import Found, refusal
from collgs_async.query import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["parse"]

_AROUND_COMMA = re.compile(r"\s*,\s*")


def parse(data: bytes, place: str) -> Iterator[Found]:
    """Read KML of any version."""
    root = _tree(data, place)
    if root.tag != "kml":
        raise refusal(place, "KML", f"XML of <{root.tag}>")
    for number, placemark in enumerate(root.iter("Placemark"), 1):
        yield from _geometries(placemark, f"{place}, placemark {number}")


def _tree(data: bytes, place: str) -> Element:
    """Parse XML without a document type; tags lose their namespace, for each version of KML has its own."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise refusal(f"{place}, line {parser.CurrentLineNumber}", "KML", "XML with a document type")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, _: builder.start(tag.rpartition(" ")[2], {})
    parser.EndElementHandler = lambda tag: builder.end(tag.rpartition(" ")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # an encoding that nobody knows
        raise refusal(f"{place}, line {parser.CurrentLineNumber}", "XML", f"what is none: {error}") from None
    return builder.close()


def _geometries(parent: Element, place: str) -> Iterator[Found]:
    number = 0
    for element in parent:
        match element.tag:
            case "MultiGeometry":
                yield from _geometries(element, place)
                continue
            case "Point":
                points = _points(element, "coordinates", place)
                geometry = {"type": "MultiPoint", "coordinates": points}
            case "LineString" | "LinearRing":
                geometry = {"type": "LineString", "coordinates": _points(element, "coordinates", place)}
            case "Polygon":
                geometry = {"type": "Polygon", "coordinates": list(_rings(element, place))}
            case _:
                continue
        number += 1
        yield Found(place if parent.tag == "Placemark" else f"{place}, geometry {number}", geometry)


def _rings(polygon: Element, place: str) -> Iterator[list[list[Any]]]:
    yield _points(polygon, "outerBoundaryIs/LinearRing/coordinates", f"{place}, outer boundary")
    for hole in polygon.iterfind("innerBoundaryIs/LinearRing"):  # several in one element is wrong, and seen
        yield _points(hole, "coordinates", f"{place}, inner boundary")


def _points(element: Element, path: str, place: str) -> list[list[Any]]:
    """Read ``lon,lat,height lon,lat,height``; a blank after a comma is wrong, and seen."""
    tuples = _AROUND_COMMA.sub(",", element.findtext(path, "")).split()
    points = []
    for number, written in enumerate(tuples, 1):
        try:
            points.append([float(part) for part in written.split(",")])
        except ValueError:
            expected = "longitude and latitude such as 6.13,49.61"
            raise refusal(f"{place}, point {number}", expected, shown(written)) from None
    return points
