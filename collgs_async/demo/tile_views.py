"""Which parts of tiles the satellites see, from which orbits, and their footprints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from collgs_async.demo.geometry import Shape, area, clip, intersects
from collgs_async.demo.orbits import MISSIONS, Mission, wrapped
from collgs_async.demo.tiles import corners

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LEAST_SHARE",
    "SLICE",
    "Crossing",
    "Footprint",
    "Ring",
    "TileView",
    "draw",
    "optical_views",
    "radar_views",
]

Crossing: TypeAlias = Literal["split", "beyond", "jumping"]
Point = tuple[float, float]
Ring = tuple[Point, ...]
Footprint: TypeAlias = "Mapping[str, Any]"

SLICE: Final = 25
"""Seconds of a Sentinel-1 product."""

LEAST_SHARE: Final = 0.005
"""Minimum fraction of a tile for a product."""


@dataclass(frozen=True, slots=True)
class TileView:
    """A tile as seen from one orbit: the part within the swath, and its fraction of the tile."""

    tile: str
    ring: Ring
    share: float


@cache
def optical_views(tiles: tuple[str, ...]) -> Mapping[int, tuple[TileView, ...]]:
    """Return the orbits of Sentinel-2 that see some of the tiles, and what each of them sees."""
    mission = MISSIONS["Sentinel-2"]
    seen = {}
    for orbit in range(1, mission.orbits + 1):
        views = tuple(view for tile in tiles if (view := _see(mission, orbit, tile)) is not None)
        if views:
            seen[orbit] = views
    return seen


def _see(mission: Mission, orbit: int, tile: str) -> TileView | None:
    square = corners(tile)
    ring = (*square, square[0])
    middle = sum(x for x, _ in square) / 4
    south, north = min(y for _, y in square), max(y for _, y in square)
    # The ends of a swath lie south and north of the satellite: one more degree on either side covers both edges.
    ends = [mission.swath(orbit, mission.angle(latitude, ascending=False)) for latitude in (north + 1, south - 1)]
    (upper_east, upper_west), (lower_east, lower_west) = ([(wrapped(x, middle), y) for x, y in pair] for pair in ends)
    if upper_west[0] > upper_east[0]:
        return None
    part = clip(clip(ring, upper_west, lower_west), lower_east, upper_east)
    share = area(part) / area(ring)
    return TileView(tile, part, share) if share >= LEAST_SHARE else None


@cache
def radar_views(tiles: tuple[str, ...]) -> tuple[tuple[int, float, Ring], ...]:
    """Return the products of Sentinel-1 that touch the tiles: orbit, angle to the node at their start, footprint."""
    mission = MISSIONS["Sentinel-1"]
    squares = [corners(tile) for tile in tiles]
    wanted = [Shape(polygons=(((*square, square[0]),),)) for square in squares]
    middle = squares[0][0][0]
    latitude = sum(y for square in squares for _, y in square) / 4 / len(squares)
    step = 360 * timedelta(seconds=SLICE) / mission.period
    found = []
    for ascending in (False, True):
        nearest = round(mission.angle(latitude, ascending=ascending) / step)
        for orbit in range(1, mission.orbits + 1):
            for index in range(nearest - 3, nearest + 3):
                ring = _slice(mission, orbit, index * step, step, middle)
                if any(intersects(Shape(polygons=((ring,),)), square) for square in wanted):
                    found.append((orbit, index * step, ring))
    return tuple(found)


def _slice(mission: Mission, orbit: int, angle: float, step: float, middle: float) -> Ring:
    """Return the footprint of a product, counterclockwise, with longitudes near a given one."""
    near, far = mission.swath(orbit, angle)
    next_near, next_far = mission.swath(orbit, angle + step)
    shift = wrapped(near[0], middle) - near[0]
    drawn = tuple((x + shift, y) for x, y in (near, next_near, next_far, far, near))
    return drawn if area(drawn) > 0 else drawn[::-1]


@cache
def draw(ring: Ring, notation: Crossing) -> Footprint:
    """Return a footprint in the requested notation for longitudes beyond 180."""
    west, east = min(x for x, _ in ring), max(x for x, _ in ring)
    turns = -360 * round((west + east) / 720)
    # Towards the east, as in common practice: from 179 to 181, not from -181 to -179.
    turns += 360 if west + turns < -180 else 0
    ring = tuple((x + turns, y) for x, y in ring)
    if east + turns <= 180 or notation == "beyond":
        return {"type": "Polygon", "coordinates": [_drawn(ring)]}
    if notation == "jumping":
        return {"type": "Polygon", "coordinates": [_drawn(tuple((wrapped(x), y) for x, y in ring))]}
    before = clip(ring, (180, 0), (180, 1))
    after = tuple((x - 360, y) for x, y in clip(ring, (180, 1), (180, 0)))
    return {"type": "MultiPolygon", "coordinates": [[_drawn(before)], [_drawn(after)]]}


def _drawn(ring: Ring) -> list[list[float]]:
    return [[round(x, 6), round(y, 6)] for x, y in ring]
