"""Plane geometry, as in a database that ignores the antimeridian.

Longitudes and latitudes are taken as x and y. Footprints have few vertices, but thousands are tested, so bounding boxes
are compared first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Shape", "area", "clip", "contains", "distance", "intersects", "shape_of", "wrapped"]

Point = tuple[float, float]
Ring = tuple[Point, ...]
Polygon = tuple[Ring, ...]
Edge = tuple[Point, Point]
Bounds = tuple[float, float, float, float]

_TOLERANCE: Final = 1e-9
"""Tolerance in degrees, a tenth of a millimetre: anything thinner is ignored."""

_METRES: Final = 111_195.0
"""Metres per degree of latitude."""


@dataclass(frozen=True)
class Shape:
    """A collection of points, lines and polygons; each polygon is an outer ring and its holes.

    Attributes
    ----------
    points
        Isolated points.
    lines
        Each has at least two points.
    polygons
        Closed rings, the outer one of each polygon first.
    """

    points: tuple[Point, ...] = ()
    lines: tuple[Ring, ...] = ()
    polygons: tuple[Polygon, ...] = ()

    @cached_property
    def bounds(self) -> Bounds | None:
        """West, south, east and north; None when it is empty."""
        corners = [*self.points, *chain.from_iterable(self.lines)]
        corners += [point for polygon in self.polygons for point in polygon[0]]
        if not corners:
            return None
        xs, ys = [point[0] for point in corners], [point[1] for point in corners]
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """All edges; a point is an edge without length."""
        rings = chain(self.lines, chain.from_iterable(self.polygons))
        return (*((point, point) for point in self.points), *chain.from_iterable(map(pairwise, rings)))

    @cached_property
    def boxes(self) -> tuple[tuple[Bounds, Edge], ...]:
        """All edges, each after its bounding box."""
        return tuple((_box(edge), edge) for edge in self.edges)

    @property
    def parts(self) -> Iterator[Point]:
        """Yield one point of each part."""
        yield from self.points
        yield from (line[0] for line in self.lines)
        yield from (polygon[0][0] for polygon in self.polygons)

    def covers(self, point: Point) -> bool:
        """Whether a point, not on an edge, lies in a polygon."""
        return any(sum(_in_ring(point, ring) for ring in polygon) % 2 for polygon in self.polygons)


def shape_of(geometry: Mapping[str, Any]) -> Shape:
    """Parse a footprint: a GeoJSON Polygon or MultiPolygon."""
    drawn = geometry["coordinates"]
    polygons = [drawn] if geometry["type"] == "Polygon" else drawn
    return Shape(polygons=tuple(tuple(tuple((x, y) for x, y, *_ in ring) for ring in polygon) for polygon in polygons))


def intersects(one: Shape, other: Shape) -> bool:
    """Whether they have a point in common, including edges."""
    if one.bounds is None or other.bounds is None or not _meet(one.bounds, other.bounds):
        return False
    theirs = _near(other, one.bounds)
    ours = _near(one, other.bounds)
    if any(_meet(box, their_box) and _cross(edge, their) for box, edge in ours for their_box, their in theirs):
        return True
    # No edges intersect: each part lies in the other shape wholly or not at all.
    return any(map(other.covers, one.parts)) or any(map(one.covers, other.parts))


def contains(whole: Shape, part: Shape) -> bool:
    """Whether no point of a part, which consists of polygons, lies outside of the whole."""
    if whole.bounds is None or part.bounds is None or not whole.polygons:
        return False
    if not _holds(_expand(whole.bounds), part.bounds):
        return False
    edges = [edge for _, edge in _near(whole, part.bounds) if edge[0] != edge[1]]
    if not edges:
        return all(map(whole.covers, part.parts))
    # Each face into which all edges split the part is bounded by a piece of them, so that it is enough to test both
    # sides of each piece.
    lines = [*edges, *part.edges]
    sides = (side for line in lines for piece in _pieces(line, lines) for side in _both_sides(piece))
    return all(whole.covers(side) for side in sides if part.covers(side))


def distance(point: Point, shape: Shape) -> float:
    """Return the metres from a point to the nearest one of a shape, on a plane accurate near the point."""
    if shape.covers(point):
        return 0.0
    squeeze = math.cos(math.radians(point[1]))

    def flat(corner: Point) -> Point:
        return (corner[0] - point[0]) * squeeze * _METRES, (corner[1] - point[1]) * _METRES

    return min((_to_edge(flat(start), flat(end)) for start, end in shape.edges), default=math.inf)


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


def _in_ring(point: Point, ring: Ring) -> bool:
    x, y = point
    inside = False
    for (ax, ay), (bx, by) in pairwise(ring):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside


def _cross(one: Edge, other: Edge) -> bool:
    """Whether two edges have a point in common."""
    (a, b), (c, d) = one, other
    of_c, of_d, of_a, of_b = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if ((of_c > 0 > of_d) or (of_c < 0 < of_d)) and ((of_a > 0 > of_b) or (of_a < 0 < of_b)):
        return True
    on_line = ((of_c, one, c), (of_d, one, d), (of_a, other, a), (of_b, other, b))
    return any(turn == 0 and _meet(_box(edge), (*point, *point)) for turn, edge, point in on_line)


def _pieces(line: Edge, others: Sequence[Edge]) -> Iterator[Edge]:
    """Split a line where others meet it."""
    (ax, ay), (bx, by) = line
    length = math.hypot(bx - ax, by - ay)
    cuts = {0.0, 1.0}
    for other in others:
        if other is not line and _meet(_expand(_box(line)), _box(other)):
            cuts.update(share for share in _cuts(line, other, length) if 0 < share < 1)
    for start, stop in pairwise(sorted(cuts)):
        if (stop - start) * length > _TOLERANCE:
            yield (
                (ax + start * (bx - ax), ay + start * (by - ay)),
                (ax + stop * (bx - ax), ay + stop * (by - ay)),
            )


def _cuts(line: Edge, other: Edge, length: float) -> Iterable[float]:
    """Return where along the line, from 0 to 1, another one crosses it or, lying on it, begins and ends."""
    a, b = line
    before, after = _turn(a, b, other[0]), _turn(a, b, other[1])
    if abs(before) <= _TOLERANCE * length and abs(after) <= _TOLERANCE * length:
        for point in other:
            yield ((point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])) / length**2
    elif before != after and min(before, after) <= _TOLERANCE * length and max(before, after) >= -_TOLERANCE * length:
        from_a, from_b = _turn(*other, a), _turn(*other, b)
        if from_a != from_b:
            yield from_a / (from_a - from_b)


def _both_sides(piece: Edge) -> tuple[Point, Point]:
    """Return points at a small distance to either side of its middle."""
    (ax, ay), (bx, by) = piece
    length = math.hypot(bx - ax, by - ay)
    across, up = (ay - by) / length * _TOLERANCE, (bx - ax) / length * _TOLERANCE
    x, y = (ax + bx) / 2, (ay + by) / 2
    return (x + across, y + up), (x - across, y - up)


def _to_edge(start: Point, end: Point) -> float:
    """Return the distance from the origin to an edge."""
    along, up = end[0] - start[0], end[1] - start[1]
    square = along**2 + up**2
    share = min(1.0, max(0.0, -(start[0] * along + start[1] * up) / square)) if square else 0.0
    return math.hypot(start[0] + share * along, start[1] + share * up)


def _near(shape: Shape, bounds: Bounds) -> list[tuple[Bounds, Edge]]:
    return [(box, edge) for box, edge in shape.boxes if _meet(box, bounds)]


def _box(edge: Edge) -> Bounds:
    (ax, ay), (bx, by) = edge
    return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)


def _expand(box: Bounds) -> Bounds:
    return box[0] - _TOLERANCE, box[1] - _TOLERANCE, box[2] + _TOLERANCE, box[3] + _TOLERANCE


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _holds(outer: Bounds, inner: Bounds) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
