"""Where the picture of a product lies: the four corners of its frame on the Earth.

Pictures are what the archives carry as previews, and these are in the geometry of the product:

- Sentinel-2: the whole tile, north upwards, whatever part of it was seen (S2 Products Specification, section 4.9.8).
- Sentinel-1: lines in the order of acquisition, from near to far range; the radar looks to the right. So a picture of
  a descending orbit is mirrored left to right, and one of an ascending orbit upside down (S1 Product Specification,
  section 3.4).
- Sentinel-3: lines in the order of acquisition, seen along the flight.
- anything else: north upwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from collgs_async.models.facts import facts_of
from collgs_async.models.tiles import tile_corners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collgs_async.models.facts import Facts
    from collgs_async.models.product import Product

__all__ = ["frame"]

_Point: TypeAlias = tuple[float, float]

_INCLINATION: Final = math.radians(98.4)
"""Of the orbits of Sentinel-1, -2 and -3, which differ by half a degree."""

_SLACK: Final = 0.01
"""Degrees by which a footprint may leave its tile."""

_LEAST_SHARE: Final = 0.9
"""The least part of a footprint that its four corners must enclose, so that it counts as a quadrilateral."""

_FARTHEST: Final = 84.0
"""Latitude beyond which a footprint is not taken for a quadrilateral: the pole is too near."""

_SIDES: Final = 4


def frame(product: Product, shape: Mapping[str, Any]) -> list[float] | None:
    """Return the corners of a product's picture: upper left, upper right, lower right, lower left.

    Parameters
    ----------
    product
        The product.
    shape
        Its footprint, as of `outlines`.

    Returns
    -------
    list of float or None
        Longitude, latitude, longitude, latitude, ... in degrees, continuous across the antimeridian. None where the
        picture cannot be placed: there is no footprint, it is no quadrilateral, or the direction of a radar's orbit is
        unknown.
    """
    points = _positions(shape)
    if not points:
        return None
    facts = facts_of(product)
    corners = _tile(facts, points) or _quadrilateral(facts, points)
    return [round(degrees, 5) for corner in corners for degrees in corner] if corners else None


def _positions(shape: Mapping[str, Any]) -> list[_Point]:
    """Return the positions of all outer rings, each longitude near the first one: a footprint may be cut at 180°."""
    flat = [degrees for rings in shape.get("polygons", ()) for degrees in rings[0]]
    points = list(zip(flat[::2], flat[1::2], strict=True))
    return [(east - 360 * round((east - points[0][0]) / 360), north) for east, north in points]


def _tile(facts: Facts, points: Sequence[_Point]) -> list[_Point] | None:
    """Return the corners of the tile that contains the footprint; None without one."""
    if not facts.tile or not (facts.platform or "S2").startswith("S2"):
        return None
    try:
        upper_left, lower_left, lower_right, upper_right = tile_corners(facts.tile)
    except ValueError:  # no zone has this column
        return None
    turn = 360 * round((points[0][0] - upper_left[0]) / 360)
    corners = [(east + turn, north) for east, north in (upper_left, upper_right, lower_right, lower_left)]
    for axis in (0, 1):
        least, most = (function(corner[axis] for corner in corners) for function in (min, max))
        if any(not least - _SLACK <= point[axis] <= most + _SLACK for point in points):
            return None
    return corners


def _quadrilateral(facts: Facts, points: Sequence[_Point]) -> list[_Point] | None:
    """Return the corners of the footprint in the order of the picture's; None when it has not four of them."""
    if max(abs(north) for _, north in points) > _FARTHEST:
        return None
    middle = sum(north for _, north in points) / len(points)
    narrow = math.cos(math.radians(middle))
    hull = _hull([(east * narrow, north) for east, north in points])
    corners = _four(hull)
    if len(corners) != _SIDES or _area(corners) < _LEAST_SHARE * _area(hull):
        return None
    mission = (facts.platform or "")[:2]
    if mission == "S1" and facts.orbit_direction is None:
        return None
    down = _heading(facts, narrow) if mission in {"S1", "S3"} else (0.0, -1.0)
    # Clockwise from the upper left corner, as pictures are seen from above; those of a radar are mirrored.
    ordered = corners if mission == "S1" else corners[::-1]
    rotations = [ordered[start:] + ordered[:start] for start in range(_SIDES)]
    best = max(rotations, key=lambda rotation: _fall(rotation, down))
    return [(x / narrow, north) for x, north in best]


def _heading(facts: Facts, narrow: float) -> _Point:
    """Return the direction of flight over a latitude with this cosine: east and north."""
    east = max(-1.0, math.cos(_INCLINATION) / narrow)
    north = math.sqrt(1 - east**2)
    return east, north if facts.orbit_direction == "ASCENDING" else -north


def _fall(corners: Sequence[_Point], down: _Point) -> float:
    """Return how well the edges from the upper to the lower corners follow a direction: 1 is exactly."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    x, y = dx - ax + cx - bx, dy - ay + cy - by
    return (x * down[0] + y * down[1]) / (math.hypot(x, y) or 1)


def _hull(points: Sequence[_Point]) -> list[_Point]:
    """Return the convex hull, counterclockwise (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    halves = []
    for line in (ordered, ordered[::-1]):
        half: list[_Point] = []
        for point in line:
            while len(half) > 1 and _turn(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves += half[:-1]
    return halves


def _four(ring: Sequence[_Point]) -> list[_Point]:
    """Leave out the corners of a convex ring that enclose least, until four remain."""
    corners = list(ring)
    while len(corners) > _SIDES:
        losses = [_turn(corners[at - 1], corners[at], corners[(at + 1) % len(corners)]) for at in range(len(corners))]
        del corners[losses.index(min(losses))]
    return corners


def _area(ring: Sequence[_Point]) -> float:
    return sum(_turn(ring[0], ring[at], ring[at + 1]) for at in range(1, len(ring) - 1)) / 2


def _turn(start: _Point, end: _Point, point: _Point) -> float:
    """Return twice the area of a triangle; positive when it turns counterclockwise."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
