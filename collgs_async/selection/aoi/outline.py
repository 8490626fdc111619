"""Simplify a shape to WKT of limited length that contains it, so that no scene is missed."""

from __future__ import annotations

from contextlib import suppress
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from collgs_async.selection.aoi.antimeridian import WINDOW, of_dimension

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["merge_nearby", "repeated_outline", "simplified_wkt", "whole_degrees"]

_DIGITS = 6
"""Decimals of a degree: a tenth of a metre."""

_NOISE = 1e-10
"""Tolerance in degrees for floating-point noise."""

_SHORTEST_POINT = 4
"""Minimum characters per point: two digits, a blank, a comma."""

_SHORTEST_POLYGON = 20
"""Minimum characters per polygon: ``((0 0,1 0,0 1,0 0)),``."""

_COARSEST = 45.0

_REACH = 30.0
"""Degrees from the antimeridian within which footprints may cross it."""

_SHARES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Fractions of the room that a repeated shape itself may take; where it is cut at the antimeridian, half of it is
repeated, and the seams go."""


def merge_nearby(parts: NDArray[Any], longest: int) -> NDArray[Any]:
    """Replace groups of nearby parts by their hulls, if there are more than can ever be written."""
    most, cell = max(1, longest // _SHORTEST_POLYGON), 10.0**-3
    corners = shapely.bounds(parts)[:, :2]
    cells = group = np.arange(len(parts))
    while len(cells) > most:
        cells, group = np.unique(np.floor(corners / cell) @ (2.0**20, 1), return_inverse=True)
        cell *= 2
    if len(cells) == len(parts):
        return parts
    order = np.argsort(group, kind="stable")
    together: Any = shapely.geometrycollections(parts[order], indices=group[order])
    hulls: NDArray[Any] = shapely.convex_hull(together)
    return hulls


def simplified_wkt(shape: BaseGeometry, longest: int) -> str | None:
    """Return the polygons unchanged where they fit, else ever coarser ones around them; None when none fits."""
    if (text := _exact(shape, longest)) is not None:
        return text
    tolerance = 10.0**-_DIGITS
    while tolerance < _COARSEST:
        digits = max(0, min(_DIGITS, 1 - floor(log10(tolerance))))
        rough = shapely.simplify(shape, tolerance, preserve_topology=False)
        if shapely.get_num_coordinates(rough) * _SHORTEST_POINT <= longest:  # longer for certain
            with suppress(shapely.GEOSException):  # where GEOS fails at this resolution, it may work at a coarser one
                shape = _grow_and_simplify(shape, tolerance, digits)
                text = _text(shape, digits)
                if len(text) <= longest:
                    return text
        tolerance *= 1.5
    return None


def repeated_outline(shape: BaseGeometry, longest: int) -> str | None:
    """Return the polygons with copies of parts near the antimeridian beyond ±180°; None when that is too long."""
    if shape.bounds[0] > _REACH - 180 and shape.bounds[2] < 180 - _REACH:
        return simplified_wkt(shape, longest)
    for share in _SHARES:
        plain = simplified_wkt(shape, int(longest * share))
        if plain is None:
            return None
        whole = shapely.from_wkt(plain)
        west, east = shapely.box(-180, -90, -180 + _REACH, 90), shapely.box(180 - _REACH, -90, 180, 90)
        near = [shapely.intersection(whole, side) for side in (west, east)]
        copies = [_moved(part, turn) for part, turn in zip(near, (360, -360), strict=True)]
        everything = of_dimension(shapely.union_all([whole, *copies, *_spikes(near)]), 2)
        text = _text(shapely.set_precision(everything, 10.0**-_DIGITS), _DIGITS)
        if len(text) <= longest:
            return text
    return None


def _spikes(near: list[BaseGeometry]) -> Iterator[BaseGeometry]:
    """Yield a spike that meets rings with a jump from 179 to -179, which on the plane of degrees span all the Earth.

    It lies in the Atlantic, where there are few other scenes.
    """
    for part in near:
        if not part.is_empty:
            _, south, _, north = part.bounds
            yield shapely.box(-30.001, south, -30, north)


def _moved(shape: BaseGeometry, degrees: float) -> BaseGeometry:
    return shapely.transform(shape, lambda points: np.add(points, (degrees, 0)))


def _exact(shape: BaseGeometry, longest: int) -> str | None:
    """Return the polygons with all their digits, if they fit."""
    points = shapely.get_coordinates(shape)
    if len(points) * _SHORTEST_POINT > longest or np.abs(points - np.round(points, _DIGITS)).max() > _NOISE:
        return None
    text = _text(shape, _DIGITS)
    return text if len(text) <= longest else None


def _grow_and_simplify(shape: BaseGeometry, tolerance: float, digits: int) -> BaseGeometry:
    """Simplify outward.

    Simplification moves edges by at most the tolerance, and rounding by at most one unit of the last digit; so a shape
    grown by both contains the original.
    """
    grid = 10.0**-digits
    grown = shape.simplify(tolerance).buffer(tolerance + grid, join_style="mitre")
    return of_dimension(shapely.set_precision(shapely.intersection(grown, WINDOW), grid), 2)


def whole_degrees(boxes: list[tuple[float, float, float, float]]) -> str:
    """Write boxes (west, south, east, north), enlarged to whole degrees."""
    grown = [shapely.box(floor(west), floor(south), ceil(east), ceil(north)) for west, south, east, north in boxes]
    return _text(shapely.union_all(grown), 0)


def _text(shape: BaseGeometry, digits: int) -> str:
    polygons = [f"({','.join(_ring(ring, digits) for ring in _rings(part))})" for part in shapely.get_parts(shape)]
    return f"POLYGON{polygons[0]}" if len(polygons) == 1 else f"MULTIPOLYGON({','.join(polygons)})"


def _rings(polygon: BaseGeometry) -> NDArray[Any]:
    return shapely.get_rings(shapely.orient_polygons(polygon))


def _ring(ring: BaseGeometry, digits: int) -> str:
    """Write a ring without exponents and trailing zeros."""
    points = np.round(shapely.get_coordinates(ring), digits) + 0.0  # no -0
    return f"({','.join(f'{_number(x, digits)} {_number(y, digits)}' for x, y in points)})"


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text
