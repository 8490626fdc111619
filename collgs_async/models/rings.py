"""Rings of positions on the globe: continuous across the antimeridian, or cut there.

Catalogues write a footprint across the antimeridian in three ways: as two polygons (RFC 7946 §3.1.9), with longitudes
beyond 180, or with a jump from 179 to -179. The map draws continuous rings; GeoJSON has them cut.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Line",
    "Polygon",
    "close_over_pole",
    "cut_at_antimeridian",
    "shift_to",
    "signed_area",
    "smallest_span",
    "unroll",
]

Line: TypeAlias = list[tuple[float, float]]
"""Longitude and latitude in degrees; of a ring, the last position is the first one again."""

Polygon: TypeAlias = list[Line]
"""The outer ring, then the holes."""


_MAX_POSITIONS: Final = 10_000
"""Limit on the positions of a polygon that is cut; holes and parts are compared with each other."""


def unroll(line: Line) -> Line:
    """Continue beyond 180 where the next longitude would be more than half the world away."""
    turns = 0
    unrolled = line[:1]
    for (before, _), (east, north) in pairwise(line):
        # A step of 360 is the edge of a map of the whole world, not a point that stays in place.
        if 180 < abs(east - before) < 360:
            turns += 1 if east < before else -1
        unrolled.append((east + 360 * turns, north))
    return unrolled


def close_over_pole(ring: Line) -> Line:
    """Close a ring that ends one turn from its start over the pole it encloses."""
    (first, _), (last, _) = ring[0], ring[-1]
    if not math.isclose(abs(last - first), 360, abs_tol=1e-6):
        return ring
    pole = math.copysign(90, sum(north for _, north in ring))
    return [*ring, (last, pole), (first, pole), ring[0]]


def shift_to(ring: Line, shell: Line) -> Line:
    """Shift a hole by whole turns, to where its polygon is."""
    turns = 360 * round((_middle(shell) - _middle(ring)) / 360)
    return [(east + turns, north) for east, north in ring]


def _middle(ring: Line) -> float:
    longitudes = [east for east, _ in ring]
    return (min(longitudes) + max(longitudes)) / 2


def smallest_span(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the smallest span of longitudes around sorted spans: the complement of their widest gap.

    West greater than east crosses the antimeridian.
    """
    west, reached = spans[0]
    widest, best = 0.0, (-180.0, 180.0)
    for first, last in spans[1:]:
        if first - reached > widest:
            widest, best = first - reached, (first, reached)
        reached = max(reached, last)
    return (west, reached) if west + 360 - reached >= widest else best


def signed_area(ring: Sequence[Sequence[float]]) -> float:
    """Return twice the area in square degrees; negative for a clockwise ring."""
    return math.fsum(
        here[0] * there[1] - there[0] * here[1] for here, there in zip(ring, [*ring[1:], ring[0]], strict=True)
    )


def cut_at_antimeridian(rings: Polygon) -> list[Polygon]:
    """Cut a polygon of continuous rings at the antimeridian, and shift its parts to longitudes of -180 to 180.

    Raises
    ------
    ValueError
        It has too many positions to be cut in little time, as no footprint has.
    """
    longitudes = [east for east, _ in rings[0]]
    first, last = math.floor((min(longitudes) + 180) / 360), math.ceil((max(longitudes) - 180) / 360)
    if first == last == 0:
        return [rings]
    if sum(map(len, rings)) > _MAX_POSITIONS:
        raise ValueError(f"more than {_MAX_POSITIONS} positions across the antimeridian")
    parts = []
    for turn in range(first, last + 1):
        inside = [
            part for piece in _half(rings, 360.0 * turn - 180, -1) for part in _half(piece, 360.0 * turn + 180, 1)
        ]
        parts += [[[(east - 360 * turn, north) for east, north in ring] for ring in part] for part in inside]
    return parts


def _half(rings: Polygon, edge: float, side: int) -> list[Polygon]:
    """Return the parts of a polygon west of a meridian (side 1) or east of it (side -1).

    Rings that cross it are cut into chains. Along the meridian, inside and outside alternate: so the ends of chains,
    sorted by latitude, are joined in pairs.
    """
    whole, chains = [], []
    for ring in rings:
        inside = [side * (east - edge) <= 0 for east, _ in ring]
        if all(inside):
            whole.append(ring)
        elif any(inside):
            chains += list(_chains(ring, inside, edge))
    outer = [ring for ring in _joined(chains) if abs(signed_area(ring)) > 0]
    if rings[0] in whole:
        outer, whole = [rings[0]], whole[1:]
    return [[shell, *(hole for hole in whole if _contains(shell, hole[0]))] for shell in outer]


def _chains(ring: Line, inside: Sequence[bool], edge: float) -> Iterator[Line]:
    """Yield the parts of a ring on one side of a meridian, each from crossing to crossing."""
    start = inside.index(False)
    turned = [*ring[start:-1], *ring[:start], ring[start]]
    sides = [*inside[start:-1], *inside[:start], False]
    chain: Line = []
    for (here, there), (is_here, is_there) in zip(pairwise(turned), pairwise(sides), strict=True):
        if is_here != is_there:
            share = (edge - here[0]) / (there[0] - here[0])
            chain.append((edge, here[1] + share * (there[1] - here[1])))
        if is_there:
            chain.append(there)
        elif is_here:
            yield chain
            chain = []


def _joined(chains: Sequence[Line]) -> Iterator[Line]:
    """Join chains to rings."""
    ends = sorted(
        ((chain[at][1], number, at) for number, chain in enumerate(chains) for at in (0, -1)), key=lambda end: end[0]
    )
    other = {}
    for one, two in zip(ends[::2], ends[1::2], strict=True):
        other[one[1:]], other[two[1:]] = two[1:], one[1:]
    left = dict.fromkeys(range(len(chains)))
    while left:
        number, at = next(iter(left)), 0
        ring: Line = []
        while number in left:
            del left[number]
            ring += chains[number] if at == 0 else chains[number][::-1]
            number, at = other[number, -1 if at == 0 else 0]
        yield [*ring, ring[0]]


def _contains(ring: Line, point: tuple[float, float]) -> bool:
    """Whether a point is inside a ring, by the number of edges east of it."""
    east, north = point
    odd = False
    for (x, y), (u, v) in pairwise(ring):
        if (y > north) != (v > north) and east < x + (north - y) / (v - y) * (u - x):
            odd = not odd
    return odd
