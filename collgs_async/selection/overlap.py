"""Compute how much of one footprint lies in another, to distinguish a copy of a scene from another part of it.

Footprints of one tile are bounded by the tile, the edge of the swath and the ends of receptions, all of them straight,
so their convex hulls are nearly exact. A ratio of areas needs no projection over a hundred kilometres. `aoi` could
compute it, too, but needs shapely, which is optional.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    _Point: TypeAlias = tuple[float, float]

__all__ = ["overlap_fraction"]


def overlap_fraction(footprint: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> float | None:
    """Return the fraction of a footprint, 0 to 1, that lies in another one; None when either is not a polygon."""
    try:
        here, there = _points(footprint), _points(other)
    except (TypeError, ValueError, LookupError, OverflowError):
        return None
    if not here or not there:
        return None
    near = here[0][0]  # longitudes relative to this one, so that the antimeridian does not separate the two
    ours, theirs = _hull(_unwound(here, near)), _hull(_unwound(there, near))
    area = _area(ours)
    if area <= 0 or _area(theirs) <= 0:
        return None
    return min(1.0, max(0.0, _area(_clipped(ours, theirs)) / area))


def _points(footprint: Mapping[str, Any] | None) -> list[_Point]:
    """Return the vertices of all exterior rings; holes do not change the hull."""
    match footprint:
        case {"type": "Polygon", "coordinates": rings}:
            polygons = [rings]
        case {"type": "MultiPolygon", "coordinates": several}:
            polygons = several
        case _:
            return []
    points = [(float(point[0]), float(point[1])) for rings in polygons for point in rings[0]]
    return points if all(math.isfinite(x) and abs(y) <= 90 for x, y in points) else []


def _unwound(points: Iterable[_Point], near: float) -> list[_Point]:
    return [(near + (x - near + 180) % 360 - 180, y) for x, y in points]


def _hull(points: Iterable[_Point]) -> list[_Point]:
    """Return the convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return lower[:-1] + upper[:-1]


def _chain(points: Iterable[_Point]) -> list[_Point]:
    chain: list[_Point] = []
    for point in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: _Point, b: _Point, c: _Point) -> float:
    """Return on which side of the line from `a` to `b` a point lies: positive is left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _clipped(polygon: list[_Point], window: Sequence[_Point]) -> list[_Point]:
    """Clip a polygon by each edge of a convex window (Sutherland and Hodgman)."""
    for a, b in pairwise([*window, window[0]]):
        if not polygon:
            break
        kept: list[_Point] = []
        for here, there in pairwise([*polygon, polygon[0]]):
            side, other = _turn(a, b, here), _turn(a, b, there)
            if side >= 0:
                kept.append(here)
            if side * other < 0:
                t = side / (side - other)
                kept.append((here[0] + t * (there[0] - here[0]), here[1] + t * (there[1] - here[1])))
        polygon = kept
    return polygon


def _area(polygon: Sequence[_Point]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise([*polygon, *polygon[:1]])) / 2
