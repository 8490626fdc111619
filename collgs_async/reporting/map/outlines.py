"""Convert geometries for the map: plain rings without jumps in longitude.

Of the three ways to write a footprint across the antimeridian (see `rings`), the map draws two polygons and longitudes
beyond 180 as they are, since it repeats around the world; jumps are converted to longitudes beyond 180.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.rings import close_over_pole, shift_to
from collgs_async.models.rings import unroll as unroll_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.models.rings import Line

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
                found[kind] += [_flat(unroll_line(line) if unroll else line)] if len(line) > 1 else []
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
        lines = [close_over_pole(unroll_line(line)) for line in lines]
        lines = [shift_to(line, lines[0]) for line in lines]
    return [[_flat(line) for line in lines]] if lines else []


def _line(points: object) -> Line:
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


def _flat(line: Sequence[tuple[float, float]]) -> list[float]:
    return [round(number, _DIGITS) for point in line for number in point]
