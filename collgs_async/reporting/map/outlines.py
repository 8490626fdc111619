"""Convert geometries for the map: plain rings without jumps in longitude.

Catalogues write a footprint across the antimeridian in three ways: split into two polygons (RFC 7946), with longitudes
beyond 180, or with a jump from 179 to -179. The map draws the first two as they are, since it repeats around the world;
the third is converted to the second.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    _Line = list[tuple[float, float]]

__all__ = ["outlines"]

_DIGITS: Final = 4
"""Decimals of a degree: eleven metres, less than a pixel at the highest zoom."""

_FARTHEST: Final = 540.0
_DEEPEST: Final = 8
"""Limit on the nesting of geometry collections."""


def outlines(geometry: Mapping[str, Any] | None, *, unroll: bool = True) -> dict[str, list[Any]]:
    """Collect the shapes to draw; malformed ones are left out.

    Parameters
    ----------
    geometry
        GeoJSON of any kind, also a Feature or a FeatureCollection; None: nothing.
    unroll
        Whether a step of more than 180 degrees means the short way, across the antimeridian.

    Returns
    -------
    dict
        ``polygons`` (each a list of rings, the outer one first), ``lines`` and ``points``, without empty ones. Rings
        and lines are flat: longitude, latitude, longitude, latitude, ...
    """
    found: dict[str, list[Any]] = {"polygons": [], "lines": [], "points": []}
    for kind, coordinates in _parts(geometry, _DEEPEST):
        match kind:
            case "polygons":
                found[kind] += _polygon(coordinates, unroll=unroll)
            case "lines":
                line = _line(coordinates)
                found[kind] += [_flat(_unrolled(line) if unroll else line)] if len(line) > 1 else []
            case _:
                found[kind] += [_flat([point]) for point in _line([coordinates])]
    return {kind: shapes for kind, shapes in found.items() if shapes}


def _parts(geometry: object, deepest: int) -> Iterator[tuple[str, Any]]:
    """Split a geometry into polygons, lines and points."""
    if deepest == 0:
        return
    match geometry:
        case {"type": "Feature", "geometry": inner}:
            yield from _parts(inner, deepest - 1)
        case {"type": "FeatureCollection", "features": list() | tuple() as many} | {
            "type": "GeometryCollection",
            "geometries": list() | tuple() as many,
        }:
            for inner in many:
                yield from _parts(inner, deepest - 1)
        case {"type": "Polygon" | "LineString" | "Point" as name, "coordinates": coordinates}:
            yield _KINDS[name], coordinates
        case {
            "type": "MultiPolygon" | "MultiLineString" | "MultiPoint" as name,
            "coordinates": list() | tuple() as many,
        }:
            for coordinates in many:
                yield _KINDS[name.removeprefix("Multi")], coordinates


_KINDS = {"Polygon": "polygons", "LineString": "lines", "Point": "points"}


def _polygon(rings: object, *, unroll: bool) -> list[list[list[float]]]:
    if not isinstance(rings, (list, tuple)):
        return []
    lines = [line for ring in rings if len(line := _line(ring)) > 2]
    if unroll:
        lines = [_round_the_pole(_unrolled(line)) for line in lines]
        lines = [_shift_to(line, lines[0]) for line in lines]
    return [[_flat(line) for line in lines]] if lines else []


def _line(points: object) -> _Line:
    """Parse positions; one that is malformed or out of range invalidates the whole line."""
    if not isinstance(points, (list, tuple)):
        return []
    line = []
    for point in points:
        match point:
            case [int() | float() as east, int() | float() as north, *_] if (
                abs(east) <= _FARTHEST and abs(north) <= 90  # so neither NaN nor infinity
            ):
                line.append((float(east), float(north)))
            case _:
                return []
    return line


def _unrolled(line: _Line) -> _Line:
    """Continue beyond 180 where the next longitude would be more than half the world away."""
    turns = 0
    unrolled = line[:1]
    for (before, _), (east, north) in pairwise(line):
        # A step of 360 is the edge of a map of the whole world, not a point that stays in place.
        if 180 < abs(east - before) < 360:
            turns += 1 if east < before else -1
        unrolled.append((east + 360 * turns, north))
    return unrolled


def _round_the_pole(ring: _Line) -> _Line:
    """Close a ring that ends one turn from its start over the pole it encloses."""
    (first, _), (last, _) = ring[0], ring[-1]
    if not math.isclose(abs(last - first), 360, abs_tol=1e-6):
        return ring
    pole = math.copysign(90, sum(north for _, north in ring))
    return [*ring, (last, pole), (first, pole), ring[0]]


def _shift_to(ring: _Line, shell: _Line) -> _Line:
    """Shift a hole by whole turns, to where its polygon is."""
    turns = 360 * round((_middle(shell) - _middle(ring)) / 360)
    return [(east + turns, north) for east, north in ring]


def _middle(ring: _Line) -> float:
    longitudes = [east for east, _ in ring]
    return (min(longitudes) + max(longitudes)) / 2


def _flat(line: Sequence[tuple[float, float]]) -> list[float]:
    return [round(number, _DIGITS) for point in line for number in point]
