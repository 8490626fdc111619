"""The background of the map: the world, in detail where the products are.

``world.json`` has countries, coasts and the largest cities; ``details.json`` has the rivers and towns of everywhere, of
which a page carries those around its products, the important ones first, as far as there is room.
"""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collgs_async.reporting.map.arcs import decode, encode, simplify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collgs_async.reporting.map.arcs import Point

__all__ = ["Box", "box_around", "details", "read_world", "world_around"]

_RESOURCES: Final = files("collgs_async.reporting.map") / "resources"

_COARSE: Final = 0.6
"""The most by which a coast outside the box is off, in degrees."""

_LEAST_EXTENT: Final = 4.0
"""Degrees that an island outside the box must measure to be kept."""

_GROWTH: Final = 0.9
_MARGIN: Final = 1.0
"""The part of its size, and the least degrees, by which a box is grown: what lies outside is not seen at first."""


class Box(NamedTuple):
    """A part of the Earth in degrees; `east` is beyond 180 when it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, point: Point) -> bool:
        """Return whether a position lies in the box, in whichever turn its longitude is."""
        east, north = point
        return self.south <= north <= self.north and (east - self.west) % 360 <= self.east - self.west


def box_around(shapes: Iterable[Mapping[str, Any]]) -> Box | None:
    """Return the smallest box around shapes, grown by nearly its size on each side, and by a degree at least.

    What a map shows of the world depends on its own shape, too, so both sides are grown by the larger extent.

    Parameters
    ----------
    shapes
        As of `outlines`.

    Returns
    -------
    Box or None
        None without any shape.
    """
    lines = [line for shape in shapes for line in _lines(shape)]
    if not lines:
        return None
    spans = sorted((min(line[::2]) % 360, max(line[::2]) - min(line[::2])) for line in lines)
    west, width = _hull(spans)
    south, north = (function(function(line[1::2]) for line in lines) for function in (min, max))
    narrow = max(math.cos(math.radians((south + north) / 2)), 0.1)
    above = max(_GROWTH * max(north - south, width * narrow), _MARGIN)
    aside = above / narrow
    south, north = max(south - above, -90.0), min(north + above, 90.0)
    if width + 2 * aside >= 360:
        return Box(-180.0, south, 180.0, north)
    west = (west - aside + 180) % 360 - 180
    return Box(west, south, west + width + 2 * aside, north)


def _lines(shape: Mapping[str, Any]) -> Iterator[Sequence[float]]:
    yield from (rings[0] for rings in shape.get("polygons", ()))
    yield from chain(shape.get("lines", ()), shape.get("points", ()))


def _hull(spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return start and width of the smallest range of longitudes around spans: the rest is their widest gap."""
    reach, gaps = spans[0][0] + spans[0][1], []
    for start, width in spans[1:]:
        gaps.append((start - reach, start))
        reach = max(reach, start + width)
    gaps.append((spans[0][0] + 360 - reach, spans[0][0]))
    gap, start = max(gaps)
    return start, max(0.0, min(360 - gap, 360.0))


@cache
def _read(name: str) -> Any:
    return json.loads((_RESOURCES / name).read_text("utf-8"))


def read_world() -> dict[str, Any]:
    """Return the world as ``resources/NOTICE.md`` describes it."""
    return dict(_read("world.json"))


def details(box: Box | None, room: int) -> dict[str, Any]:
    """Return the rivers and towns in a box, the important ones first.

    Parameters
    ----------
    box
        None: nothing.
    room
        The most bytes that they may take in the page.

    Returns
    -------
    dict
        ``rivers``, each its rank, name and line, and ``towns``, each its rank, name, longitude and latitude. Ranks are
        0, the most important, to 10.
    """
    found: dict[str, list[Any]] = {"rivers": [], "towns": []}
    if box is None:
        return found
    everything = _read("details.json")
    ranked = sorted(((item[0], kind, item) for kind in found for item in everything[kind]), key=lambda one: one[0])
    for _, kind, item in ranked:
        for part in _inside(box, item) if kind == "rivers" else _if_inside(box, item):
            room -= len(json.dumps(part, separators=(",", ":"))) + 1
            if room < 0:
                return found
            found[kind].append(part)
    return found


def _if_inside(box: Box, town: list[Any]) -> Iterator[list[Any]]:
    *_, east, north = town
    if box.holds((east, north)):
        yield town


def _inside(box: Box, river: list[Any]) -> Iterator[list[Any]]:
    """Yield the stretches of a river that lie in the box, each with one point more on both sides."""
    rank, name, text = river
    line = _decoded(text)
    for begin, end in _stretches([box.holds(point) for point in line]):
        yield [rank, name, encode(line[max(begin - 1, 0) : end + 1])]


def _stretches(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each run of flags that are set."""
    begin = None
    for at, flag in enumerate([*flags, False]):
        if flag and begin is None:
            begin = at
        elif not flag and begin is not None:
            yield begin, at
            begin = None


@cache
def _decoded(text: str) -> list[Point]:
    return decode(text)


def world_around(box: Box | None) -> dict[str, Any]:
    """Return the world with its lines and cities as they are in a box, and coarse outside of it.

    It is some tens of kilobytes, and of the same form as `read_world`. Arcs keep both ends, so that neighbours still
    meet; what is outside may be off by two thirds of a degree, and small islands are left out there.

    Parameters
    ----------
    box
        None: the whole world, coarse.
    """
    world = read_world()
    near = None if box is None else Box(box.west - 1, box.south - 1, box.east + 1, box.north + 1)
    lines = [_thinned(text, near) for text in world["arcs"]]
    numbers: dict[int, int] = {}
    for index, line in enumerate(lines):
        if line is not None:
            numbers[index] = len(numbers)
    countries = [[name, list(_renumbered(rings, numbers))] for name, rings in world["countries"]]
    return {
        **world,
        "arcs": [encode(line) for line in lines if line is not None],
        "borders": [numbers[index] for index in world["borders"] if index in numbers],
        "countries": [country for country in countries if country[1]],
        "cities": [city for city in world["cities"] if near and near.holds((city[1], city[2]))],
    }


def _thinned(text: str, near: Box | None) -> list[Point] | None:
    """Simplify what of an arc lies outside a box; None for a small island there."""
    line = _decoded(text)
    inside = [at for at, point in enumerate(line) if near.holds(point)] if near else []
    if not inside:
        return _coarse(text)
    # The neighbours of what is inside stay, too, for the lines to them cross the edge of the box.
    keep = {beside for at in inside for beside in (at - 1, at, at + 1) if 0 <= beside < len(line)}
    return [line[at] for at in simplify(line, _COARSE, keep)]


@cache
def _coarse(text: str) -> list[Point] | None:
    """Simplify an arc that is in no box; None for a small island."""
    line = _decoded(text)
    if line[0] == line[-1] and _extent(line) < _LEAST_EXTENT:
        return None
    return [line[at] for at in simplify(line, _COARSE)]


def _extent(line: Sequence[Point]) -> float:
    longitudes, latitudes = zip(*line, strict=True)
    return float(max(max(longitudes) - min(longitudes), max(latitudes) - min(latitudes)))


def _renumbered(rings: Iterable[Sequence[int]], numbers: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield rings with new numbers; one without its arc was an island that is left out."""
    for ring in rings:
        if all(max(arc, ~arc) in numbers for arc in ring):
            yield [numbers[arc] if arc >= 0 else ~numbers[~arc] for arc in ring]
