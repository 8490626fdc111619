"""Build shapes from parsed geometries: check each point, unwrap them on the globe, repair what is unambiguous."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from collgs_async.errors import ConfigError
from collgs_async.models.query import quote_value
from collgs_async.selection.aoi.antimeridian import (
    DIGITS,
    LEAST,
    clip_to_world,
    copies,
    of_dimension,
    signed_area,
    unwrap,
)
from collgs_async.selection.aoi.crossings import check_crossings
from collgs_async.selection.aoi.places import ParsedGeometry, ParseNotes, check_count, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    _Points = NDArray[np.float64]

__all__ = ["build"]

_FURTHEST = 360.0

_NOTHING = shapely.Polygon()

_MAX_IN_RING = 2000
"""Limit on self-crossings of a ring that is repaired."""


def build(found: ParsedGeometry, notes: ParseNotes, *, strict: bool = True) -> Iterator[BaseGeometry]:
    """Yield canonical shapes: valid points, lines and polygons.

    Parameters
    ----------
    found
        A geometry other than a collection.
    notes
        Receives notes on repairs.
    strict
        Whether to refuse a ring that overlaps itself; otherwise everything it encloses counts.

    Raises
    ------
    ConfigError
        With the place of the invalid part.
    """
    builder = _Builder(notes, strict)
    coordinates = found.geometry.get("coordinates")
    if isinstance(coordinates, list | tuple | np.ndarray) and not len(coordinates):
        return  # RFC 7946 §3.1: an empty geometry is to be read as null
    yield from _BUILD[found.geometry["type"]](builder, coordinates, found.place)


class _Builder:
    def __init__(self, notes: ParseNotes, strict: bool) -> None:
        self._notes = notes
        self._strict = strict

    def point(self, written: object, place: str) -> Iterator[BaseGeometry]:
        yield from self.points([written], place)

    def points(self, written: object, place: str) -> Iterator[BaseGeometry]:
        points = self._positions(written, place)
        points[:, 0] = np.round(points[:, 0] - 360 * np.round(points[:, 0] / 360), DIGITS)
        yield from map(shapely.Point, points)

    def line(self, written: object, place: str) -> Iterator[BaseGeometry]:
        points = self._positions(written, place)
        if len(np.unique(points, axis=0)) < 2:
            raise refusal(place, "a line of at least two points", "fewer")
        points, note = unwrap(points, closed=False)
        if note:
            self._notes.add(place, note)
        yield self._canonical(shapely.LineString(points), place)

    def polygon(self, written: object, place: str) -> Iterator[BaseGeometry]:
        """Build a polygon: the first ring without the others."""
        rings = _list(written, place, "a list of rings")
        if len(rings) == 1 and isinstance(rings[0], list | tuple | np.ndarray) and not len(rings[0]):
            return
        shapes = [self._ring(ring, f"{place}, ring {number}", number > 1) for number, ring in enumerate(rings, 1)]
        outer, *holes = shapes
        if holes:
            check_crossings(shapes, place)
        inside = shapely.union_all(holes) if holes else _NOTHING
        if not inside.is_empty and not outer.is_empty:
            if not outer.covers(inside):
                self._notes.add(place, "has a hole that reaches out of it; only what is within is cut out")
            outer = of_dimension(shapely.difference(outer, inside), 2)
            if outer.is_empty:
                raise refusal(place, "a polygon with an area", "one whose holes leave nothing of it")
        if not outer.is_empty:
            yield outer

    def rings(self, written: object, place: str) -> Iterator[BaseGeometry]:
        """Build polygons from rings in any order: what lies in an even number of them is a hole, as in shapefiles."""
        rings = _list(written, place, "a list of rings")
        shapes = [self._ring(ring, f"{place}, ring {number}", None) for number, ring in enumerate(rings, 1)]
        check_crossings(shapes, place)
        shape = of_dimension(_symmetric_difference(shapes), 2)
        if not shape.is_empty:
            yield shape

    def _ring(self, written: object, place: str, is_hole: bool | None) -> BaseGeometry:
        """Build the polygons enclosed by a ring; empty if there are none."""
        points = self._closed(self._positions(written, place), place)
        try:
            points, note = unwrap(points, closed=True)
            shape, repair = _valid(points, self._strict, place)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from None
        for words in filter(None, (note, repair)):
            self._notes.add(place, words)
        if self._notes.winding and not repair and (signed_area(points) > 0) is is_hole:
            self._notes.add(place, "runs the other way round than RFC 7946 wants it; that makes no difference here")
        return self._canonical(shape, place)

    def _canonical(self, shape: BaseGeometry, place: str) -> BaseGeometry:
        """Cut a shape at the antimeridian, also one that winds around the globe several times."""
        west, _, east, _ = shape.bounds
        if west < -180 or east > 180:  # NaN for an empty shape
            check_count(int(shapely.get_num_coordinates(shape)) * int((east - west) // 360 + 2), place)
            check_crossings(copies(shape), place)
        return clip_to_world(shape)

    def _positions(self, written: object, place: str) -> _Points:
        points = _positions(written, place)
        self._notes.points += len(points)
        check_count(self._notes.points, place)
        return points

    def _closed(self, points: _Points, place: str) -> _Points:
        """Close a ring, and drop repeated points."""
        east, north = (points[-1] - points[0]).tolist()
        if north or (east and abs(east - 360 * round(east / 360)) > 10**-DIGITS):
            self._notes.add(place, "is not closed; its last point is joined to its first")
            points = np.vstack([points, points[:1]])
        repeated = (points[1:] == points[:-1]).all(axis=1)
        if repeated.any():
            self._notes.add(place, "has a point twice in a row; one is dropped")
            points = points[np.append(True, ~repeated)]
        return points


_BUILD: dict[str, Callable[[_Builder, object, str], Iterator[BaseGeometry]]] = {
    "Point": _Builder.point,
    "MultiPoint": _Builder.points,
    "LineString": _Builder.line,
    "MultiLineString": lambda builder, written, place: _each(builder.line, written, place, "line"),
    "Polygon": _Builder.polygon,
    "MultiPolygon": lambda builder, written, place: _each(builder.polygon, written, place, "polygon"),
    "Rings": _Builder.rings,
}


def _each(
    draw_one: Callable[[object, str], Iterator[BaseGeometry]], written: object, place: str, name: str
) -> Iterator[BaseGeometry]:
    for number, item in enumerate(_list(written, place, f"a list of {name}s"), 1):
        if len(_list(item, f"{place}, {name} {number}", "a list")):
            yield from draw_one(item, f"{place}, {name} {number}")


def _symmetric_difference(shapes: Sequence[BaseGeometry]) -> BaseGeometry:
    """Return the points inside an odd number of shapes; by halves, for a coast may have ten thousand islands."""
    if len(shapes) < 2:
        return shapes[0] if shapes else shapely.Polygon()
    middle = len(shapes) // 2
    return shapely.symmetric_difference(_symmetric_difference(shapes[:middle]), _symmetric_difference(shapes[middle:]))


def _valid(ring: _Points, strict: bool, place: str) -> tuple[BaseGeometry, str]:
    """Return the valid polygons of a closed ring, and a note on the repair.

    The enclosed area is unambiguous where the even-odd and the winding rule agree.
    """
    polygon = shapely.Polygon(ring) if len(ring) >= 4 else shapely.Polygon()
    if polygon.is_valid and polygon.area > LEAST:
        return polygon, ""
    check_crossings([polygon.exterior], place, _MAX_IN_RING)
    by_turns = of_dimension(shapely.make_valid(polygon, method="structure", keep_collapsed=False), 2)
    by_crossings = of_dimension(shapely.make_valid(polygon, method="linework"), 2)
    if by_turns.area <= LEAST:
        return shapely.Polygon(), "encloses nothing, and is left out"
    reason = shapely.is_valid_reason(polygon)
    if strict and abs(by_turns.area - by_crossings.area) > 1e-6 * by_turns.area:
        raise ValueError(f"expected a ring that encloses nothing twice, found one that runs over itself ({reason})")
    return by_turns, f"meets itself ({reason}); the parts that it encloses are taken"


def _positions(written: object, place: str) -> _Points:
    """Check a list of positions; values beyond longitude and latitude, such as a height, are dropped."""
    points = _list(written, place, "a list of points")
    try:
        pairs = points if isinstance(points, np.ndarray) else [(point[0], point[1]) for point in points]
        if isinstance(points, np.ndarray) or {type(number) for pair in pairs for number in pair} <= {int, float}:
            array = np.array(pairs, float).reshape(-1, 2)
            if len(array) and np.all(np.abs(array) <= (_FURTHEST, 90)):  # false for NaN too
                return np.round(array, DIGITS)
    except (TypeError, LookupError, ValueError, OverflowError):
        pass
    if not len(points):
        raise refusal(place, "a list of points", "none")
    for number, point in enumerate(points, 1):
        _check_position(point, f"{place}, point {number}")
    raise refusal(place, "a list of points", quote_value(written))


def _list(written: object, place: str, expected: str) -> Any:
    if not isinstance(written, list | tuple | np.ndarray):
        raise refusal(place, expected, quote_value(written))
    return written


def _check_position(point: object, place: str) -> None:
    """Raise an error that describes the invalid position."""
    point = [float(number) for number in point] if isinstance(point, np.ndarray) else point
    expected = "longitude and latitude in degrees"
    if not isinstance(point, list | tuple) or len(point) < 2:
        raise refusal(place, expected, quote_value(point))
    pair = point[:2]
    if not all(type(number) in (int, float) and abs(number) < math.inf for number in pair):
        raise refusal(place, f"{expected}, finite numbers", quote_value(pair))
    longitude, latitude = pair
    if abs(latitude) > 90:
        swapped = "; are latitude and longitude swapped?" if abs(longitude) <= 90 and abs(latitude) <= _FURTHEST else ""
        raise refusal(place, "a latitude from -90 to 90, after the longitude", f"{quote_value(latitude)}{swapped}")
    if abs(longitude) > _FURTHEST:
        raise refusal(place, "a longitude from -360 to 360, before the latitude", quote_value(longitude))
