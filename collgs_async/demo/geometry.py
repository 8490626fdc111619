"""Plane geometry of footprints, as in a database that ignores the antimeridian: longitudes and latitudes are x and y.

Searches by geometry need shapely, an optional dependency; everything else of the catalogue needs no more than this.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Bounds", "Point", "Ring", "area", "bounds_of", "clip", "rings_of", "wrapped"]

Point = tuple[float, float]
Ring = tuple[Point, ...]
Bounds = tuple[float, float, float, float]
"""West, south, east and north."""


def rings_of(footprint: Mapping[str, Any]) -> list[Ring]:
    """Return all rings of a GeoJSON Polygon or MultiPolygon."""
    drawn = footprint["coordinates"]
    polygons = [drawn] if footprint["type"] == "Polygon" else drawn
    return [tuple((x, y) for x, y, *_ in ring) for polygon in polygons for ring in polygon]


def bounds_of(rings: list[Ring]) -> Bounds:
    """Return the bounding box of some rings."""
    xs, ys = zip(*(point for ring in rings for point in ring), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def clip(ring: Ring, start: Point, end: Point) -> Ring:
    """Clip a convex ring to the left of an infinite line; () when nothing remains."""
    kept: list[Point] = []
    for one, other in pairwise(ring):
        here, there = _turn(start, end, one), _turn(start, end, other)
        if here >= 0:
            kept.append(one)
        if (here > 0) != (there > 0) and here != there and here != 0 != there:
            share = here / (here - there)
            kept.append((one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])))
    return (*kept, kept[0]) if len(kept) > 2 else ()


def area(ring: Ring) -> float:
    """Return the area within a ring, in square degrees of the plane; counterclockwise is positive."""
    return sum(one[0] * other[1] - other[0] * one[1] for one, other in pairwise(ring)) / 2


def wrapped(longitude: float, centre: float = 0.0) -> float:
    """Normalise a longitude to within 180 degrees of a centre."""
    return (longitude - centre + 180) % 360 - 180 + centre


def _turn(start: Point, end: Point, point: Point) -> float:
    """Return a positive number where the point lies to the left of the line, 0 on it."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
