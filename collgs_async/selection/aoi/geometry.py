"""Build shapes from parsed geometries: check each point, unwrap them on the globe, repair what is unambiguous.

Rings are handled together, by arrays of all their points; only those that need a repair are looked at one by one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.aoi.antimeridian import DIGITS, LEAST, clip_to_world, copies, of_dimension, unwrap
from collgs_async.selection.aoi.crossings import check_crossings
from collgs_async.selection.aoi.places import ParsedGeometry, ParseNotes, check_count, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    _Points = NDArray[np.float64]
    _Rings = tuple[_Points, NDArray[np.int64]]  # the points of all rings, and how many each has

__all__ = ["build"]

_FURTHEST = 360.0

_NOTHING = shapely.Polygon()

_LISTS = (list, tuple, np.ndarray)

_MAX_IN_RING: Final = 2000
"""Limit on self-crossings of a ring that is repaired."""

_BATCH: Final = 10_000
"""Rings that are handled together; their arrays take a few megabytes."""


def build(found: Iterable[ParsedGeometry], notes: ParseNotes, *, strict: bool = True) -> Iterator[BaseGeometry]:
    """Yield canonical shapes: valid points, lines and polygons.

    Parameters
    ----------
    found
        Geometries other than collections.
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
    for item in found:
        coordinates: Any = item.geometry.get("coordinates")
        if not (_is_list(coordinates) and not len(coordinates)):  # RFC 7946 §3.1: an empty geometry counts as null
            yield from _BUILD[item.geometry["type"]](builder, coordinates, item.place)
    yield from builder.finish()


class _Builder:
    """Builds points and lines at once, and polygons when their rings fill a batch."""

    def __init__(self, notes: ParseNotes, strict: bool) -> None:
        self._notes = notes
        self._strict = strict
        self._rings: list[object] = []
        self._places: list[str] = []
        self._is_hole: list[bool] = []
        self._polygons: list[tuple[int, str, Callable[[NDArray[Any], str], BaseGeometry]]] = []

    def point(self, written: object, place: str) -> Iterator[BaseGeometry]:
        yield from self.points([written], place)

    def points(self, written: object, place: str) -> Iterator[BaseGeometry]:
        points, _ = _positions([self._counted(written, place)], [place])
        points[:, 0] = np.round(points[:, 0] - 360 * np.round(points[:, 0] / 360), DIGITS)
        shapes: Any = shapely.points(points)
        yield from shapes

    def line(self, written: object, place: str) -> Iterator[BaseGeometry]:
        points, _ = _positions([self._counted(written, place)], [place])
        if len(np.unique(points, axis=0)) < 2:
            raise refusal(place, "a line of at least two points", "fewer")
        points, note = unwrap(points, closed=False)
        if note:
            self._notes.add(place, note)
        yield self._canonical(shapely.LineString(points), place)

    def polygon(self, written: object, place: str) -> Iterator[BaseGeometry]:
        """Add a polygon: the first ring without the others."""
        rings = _list(written, place, "a list of rings")
        if not (len(rings) == 1 and _is_list(rings[0]) and not len(rings[0])):
            yield from self._add(rings, place, self._without_holes)

    def rings(self, written: object, place: str) -> Iterator[BaseGeometry]:
        """Add polygons from rings in any order: what lies in an even number of them is a hole, as in shapefiles."""
        yield from self._add(_list(written, place, "a list of rings"), place, _even_odd)

    def _add(self, rings: Sequence[object], place: str, combine: Any) -> Iterator[BaseGeometry]:
        self._polygons.append((len(rings), place, combine))
        for number, ring in enumerate(rings, 1):
            self._places.append(f"{place}, ring {number}")
            self._is_hole.append(number > 1)
            self._rings.append(self._counted(ring, self._places[-1]))
        if len(self._rings) >= _BATCH:
            yield from self.finish()

    def finish(self) -> Iterator[BaseGeometry]:
        """Yield the polygons of the rings added so far."""
        if not self._rings:
            return
        shapes = self._enclosed()
        at = 0
        for count, place, combine in self._polygons:
            shape = combine(shapes[at : at + count], place) if count > 1 else shapes[at]
            at += count
            if not shape.is_empty:
                yield shape
        for batch in (self._rings, self._places, self._is_hole, self._polygons):
            batch.clear()

    def _enclosed(self) -> NDArray[Any]:
        """Return the polygons that each ring encloses; empty where there are none."""
        points, counts = self._unwrapped(*self._closed(*_positions(self._rings, self._places)))
        shapes = np.full(len(counts), _NOTHING)
        enough = counts >= 4
        lines = shapely.linearrings(points[np.repeat(enough, counts)], indices=_numbers(counts[enough]))
        shapes[enough] = shapely.polygons(lines)
        valid = shapely.is_valid(shapes) & (shapely.area(shapes) > LEAST)
        for number in np.flatnonzero(~valid):
            shapes[number] = self._repaired(shapes[number], self._places[number])
        if self._notes.winding:
            backwards = shapely.is_ccw(shapely.get_exterior_ring(shapes)) == self._is_hole
            for number in np.flatnonzero(valid & backwards):
                words = "runs the other way round than RFC 7946 wants it; that makes no difference here"
                self._notes.add(self._places[number], words)
        west, _, east, _ = shapely.bounds(shapes).T
        for number in np.flatnonzero((west < -180) | (east > 180)):
            shapes[number] = self._canonical(shapes[number], self._places[number])
        return shapes

    def _closed(self, points: _Points, counts: NDArray[np.int64]) -> _Rings:
        """Close rings, and drop repeated points."""
        ends = np.cumsum(counts)
        east, north = (points[ends - 1] - points[ends - counts]).T
        is_open = (north != 0) | (np.abs(east - 360 * np.round(east / 360)) > 10**-DIGITS)
        if is_open.any():
            for number in np.flatnonzero(is_open):
                self._notes.add(self._places[number], "is not closed; its last point is joined to its first")
            points = np.insert(points, ends[is_open], points[(ends - counts)[is_open]], axis=0)
            counts = counts + is_open
        repeated = (points[1:] == points[:-1]).all(axis=1)
        repeated[np.cumsum(counts)[:-1] - 1] = False  # the last point of one ring and the first of the next
        if repeated.any():
            ring = _numbers(counts)[1:][repeated]
            for number in np.unique(ring):
                self._notes.add(self._places[number], "has a point twice in a row; one is dropped")
            points = points[np.append(True, ~repeated)]
            counts = counts - np.bincount(ring, minlength=len(counts))
        return points, counts

    def _unwrapped(self, points: _Points, counts: NDArray[np.int64]) -> _Rings:
        """Undo the jumps of rings across the antimeridian, and close those around a pole."""
        first = np.cumsum(counts) - counts
        longitude = points[:, 0]
        wide = np.maximum.reduceat(longitude, first) - np.minimum.reduceat(longitude, first) > 180
        if not wide.any():
            return points, counts
        runs = np.split(points, first[1:])
        for number in np.flatnonzero(wide):
            try:
                runs[number], note = unwrap(runs[number], closed=True)
            except ValueError as error:
                raise ConfigError(f"{self._places[number]}: {error}") from None
            if note:
                self._notes.add(self._places[number], note)
        return _join(runs)

    def _repaired(self, polygon: BaseGeometry, place: str) -> BaseGeometry:
        """Return the polygons of a ring that meets itself.

        What it encloses is unambiguous where the even-odd and the winding rule agree.
        """
        check_crossings([polygon], place, _MAX_IN_RING)
        by_turns = of_dimension(shapely.make_valid(polygon, method="structure", keep_collapsed=False), 2)
        by_crossings = of_dimension(shapely.make_valid(polygon, method="linework"), 2)
        if by_turns.area <= LEAST:
            self._notes.add(place, "encloses nothing, and is left out")
            return _NOTHING
        reason = shapely.is_valid_reason(polygon)
        if self._strict and abs(by_turns.area - by_crossings.area) > 1e-6 * by_turns.area:
            raise refusal(place, "a ring that encloses nothing twice", f"one that runs over itself ({reason})")
        self._notes.add(place, f"meets itself ({reason}); the parts that it encloses are taken")
        return by_turns

    def _without_holes(self, shapes: NDArray[Any], place: str) -> BaseGeometry:
        """Cut the holes out of the first shape."""
        check_crossings(shapes, place)
        outer: BaseGeometry = shapes[0]
        inside = shapely.union_all(shapes[1:])
        if outer.is_empty or inside.is_empty:
            return outer
        if not outer.covers(inside):
            self._notes.add(place, "has a hole that reaches out of it; only what is within is cut out")
        outer = of_dimension(shapely.difference(outer, inside), 2)
        if outer.is_empty:
            raise refusal(place, "a polygon with an area", "one whose holes leave nothing of it")
        return outer

    def _canonical(self, shape: BaseGeometry, place: str) -> BaseGeometry:
        """Cut a shape at the antimeridian, also one that winds around the globe several times."""
        west, _, east, _ = shape.bounds
        if west < -180 or east > 180:
            check_count(int(shapely.get_num_coordinates(shape)) * int((east - west) // 360 + 2), place)
            check_crossings(copies(shape), place)
        return clip_to_world(shape)

    def _counted(self, written: object, place: str) -> Any:
        points = _list(written, place, "a list of points")
        self._notes.points += len(points)
        check_count(self._notes.points, place)
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
    build_one: Callable[[object, str], Iterator[BaseGeometry]], written: object, place: str, name: str
) -> Iterator[BaseGeometry]:
    for number, item in enumerate(_list(written, place, f"a list of {name}s"), 1):
        if len(_list(item, f"{place}, {name} {number}", "a list")):
            yield from build_one(item, f"{place}, {name} {number}")


def _even_odd(shapes: NDArray[Any], place: str) -> BaseGeometry:
    """Return the points inside an odd number of shapes."""
    check_crossings(shapes, place)
    return of_dimension(_symmetric_difference(shapes), 2)


def _symmetric_difference(shapes: NDArray[Any]) -> BaseGeometry:
    """Combine by halves, for a coast may have ten thousand islands."""
    if len(shapes) == 1:
        shape: BaseGeometry = shapes[0]
        return shape
    middle = len(shapes) // 2
    return shapely.symmetric_difference(_symmetric_difference(shapes[:middle]), _symmetric_difference(shapes[middle:]))


def _positions(written: Sequence[Any], places: Sequence[str]) -> _Rings:
    """Check lists of positions and join them; values beyond longitude and latitude, such as a height, are dropped."""
    try:
        points, counts = _join([_pairs(run) for run in written])
        if counts.all() and (np.abs(points) <= (_FURTHEST, 90)).all():  # false for NaN too
            return np.round(points, DIGITS), counts
    except (TypeError, LookupError, ValueError, OverflowError):
        pass
    for run, place in zip(written, places, strict=True):
        if not len(run):
            raise refusal(place, "a list of points", "none")
        for at, point in enumerate(run, 1):
            _check_position(point, f"{place}, point {at}")
    raise refusal(places[0], "a list of points", quote_value(written[0]))


def _pairs(run: Any) -> _Points:
    if isinstance(run, np.ndarray):
        return run.reshape(-1, 2)
    pairs = [(point[0], point[1]) for point in run]
    if not {type(number) for pair in pairs for number in pair} <= {int, float}:
        raise TypeError
    return np.array(pairs, float).reshape(-1, 2)


def _join(runs: Sequence[_Points]) -> _Rings:
    return np.concatenate(runs), np.array([len(run) for run in runs])


def _numbers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each point the number of the ring that it is of."""
    return np.repeat(np.arange(len(counts)), counts)


def _is_list(written: object) -> bool:
    return isinstance(written, _LISTS)


def _list(written: Any, place: str, expected: str) -> Any:
    if not _is_list(written):
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
        hint = ""
        if abs(latitude) > _FURTHEST:
            hint = "; an area in another reference system has to name it"
        elif abs(longitude) <= 90:
            hint = "; are latitude and longitude swapped?"
        raise refusal(place, "a latitude from -90 to 90, after the longitude", f"{quote_value(latitude)}{hint}")
    if abs(longitude) > _FURTHEST:
        raise refusal(place, "a longitude from -360 to 360, before the latitude", quote_value(longitude))
