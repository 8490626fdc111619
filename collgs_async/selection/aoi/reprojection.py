"""Convert coordinates of any system that pyproj knows to longitude and latitude in WGS 84.

An edge that is straight in a map projection is curved in longitude and latitude, so points are added to it first.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.aoi.places import MAX_POINTS, ParsedGeometry, check_count, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from collgs_async.selection.aoi.places import ParseNotes

__all__ = ["MissingPyprojError", "Reprojection", "reprojected"]

_LONGEST_EDGE: Final = 10_000.0
"""Metres; the curve of so long an edge lies within a few metres of its chord."""

_DEPTHS: Final = {"Point": -1, "MultiPoint": 0, "LineString": 0, "MultiLineString": 1, "Polygon": 1, "Rings": 1,
                  "MultiPolygon": 2}  # fmt: skip
"""How deep the lists of positions are in each kind of geometry."""

_MAX_SYSTEMS: Final = 20
"""Limit on the systems of one area, since each takes up to a tenth of a second."""

_NEARBY: Final = 0.5
"""Degrees around the area of use of a system in which its coordinates raise no question."""


class MissingPyprojError(ConfigError):
    """The system could be converted if pyproj were installed."""


class Reprojection:
    """Converts geometries from one system; made once for all of a file.

    Parameters
    ----------
    definition
        A code such as ``EPSG:2169``, WKT or a PROJ string. A name is none, since PROJ would guess what it means.
    place
        Its place, for messages.
    notes
        Receives what was converted.
    refused
        The error where the system is unknown, or no transformation to WGS 84 is.

    Raises
    ------
    ConfigError
        `refused`; or as `MissingPyprojError`.
    """

    def __init__(self, definition: str, place: str, notes: ParseNotes, refused: ConfigError) -> None:
        notes.systems.add(definition)
        if len(notes.systems) > _MAX_SYSTEMS:
            raise refusal(place, f"at most {_MAX_SYSTEMS} coordinate systems in an area", "more")
        try:
            self._transformer, system = _transformer(definition)
        except ImportError:
            hint = "other systems need the Python package pyproj: python -m pip install 'collgs-async[geo]'"
            raise MissingPyprojError(f"{refused}; {hint}") from None
        except (RuntimeError, ValueError):  # pyproj's own errors are RuntimeErrors
            raise refused from None
        self._name: str = system.name
        self._notes = notes
        self._is_projected = bool(system.is_projected)
        unit = system.axis_info[0].unit_conversion_factor if system.axis_info else 1.0
        self._step = _LONGEST_EDGE / unit if self._is_projected else math.inf
        area = system.area_of_use
        self._area: tuple[float, float, float, float] = area.bounds if area else (-180.0, -90.0, 180.0, 90.0)
        notes.add(place, f"is in {quote_value(self._name)}, and is converted to longitude and latitude in WGS 84")

    def __call__(self, found: ParsedGeometry) -> ParsedGeometry:
        """Convert a geometry.

        Raises
        ------
        ConfigError
            It is malformed, or outside of what the system can describe.
        """
        kind, written = found.geometry["type"], found.geometry.get("coordinates")
        if isinstance(written, list | tuple) and not written:  # an empty geometry
            return found
        convert = partial(self._run, place=found.place, edges=not kind.endswith("Point"))
        depth = _DEPTHS[kind]
        coordinates = (
            convert([written])[0].tolist() if depth < 0 else self._nested(written, depth, convert, found.place)
        )
        return ParsedGeometry(found.place, {"type": kind, "coordinates": coordinates})

    def _nested(self, written: Any, depth: int, convert: Callable[[Any], Any], place: str) -> Any:
        if not isinstance(written, list | tuple | np.ndarray):
            raise refusal(place, "a list of coordinates", quote_value(written))
        if depth == 0 or not len(written):
            return convert(written) if len(written) else written
        return [self._nested(inner, depth - 1, convert, place) for inner in written]

    def _run(self, written: Any, *, place: str, edges: bool) -> NDArray[np.float64]:
        """Convert the positions of a line, ring or group of points."""
        try:
            points = np.array([(point[0], point[1]) for point in written], float).reshape(-1, 2)
        except (TypeError, LookupError, ValueError, OverflowError):
            points = np.array([[np.nan, np.nan]])
        expected = f"coordinates in {quote_value(self._name)}"
        if not np.isfinite(points).all():
            raise refusal(place, expected, quote_value(written[0] if len(written) == 1 else list(written)[:2]))
        if self._is_projected and (np.abs(points) <= (180, 90)).all():
            raise refusal(place, expected, f"{quote_value(points[0].tolist())}, which looks like degrees")
        dense = self._dense(points, place) if edges else points
        # Lists, since pyproj takes an array of one number for a number, with a warning of numpy.
        converted = np.column_stack(self._transformer.transform(*dense.T.tolist()))
        if not np.isfinite(converted).all():
            wrong = dense[~np.isfinite(converted).all(axis=1)][0].tolist()
            raise refusal(place, expected, f"{quote_value(wrong)}, which is outside of it")
        self._check_area(converted, place)
        return converted

    def _dense(self, points: NDArray[np.float64], place: str) -> NDArray[np.float64]:
        """Add points to edges longer than the step."""
        lengths = np.hypot(*np.diff(points, axis=0).T)
        counts = np.clip(np.ceil(lengths / self._step), 1, MAX_POINTS + 1).astype(np.int64)
        check_count(int(counts.sum()) + 1, place)
        shares = np.concatenate([np.arange(count) / count for count in counts]) if len(counts) else np.array([])
        starts = np.repeat(points[:-1], counts, axis=0)
        steps = np.repeat(np.diff(points, axis=0), counts, axis=0)
        return np.vstack([starts + steps * shares[:, None], points[-1:]])

    def _check_area(self, points: NDArray[np.float64], place: str) -> None:
        """Add a note where coordinates lie far from where the system is meant to be used."""
        west, south, east, north = self._area
        along = (points[:, 0] - west + _NEARBY) % 360  # of a box that crosses the antimeridian, too
        outside = along > (east - west) % 360.001 + 2 * _NEARBY
        if (outside | (points[:, 1] < south - _NEARBY) | (points[:, 1] > north + _NEARBY)).any():
            self._notes.add(place, f"lies outside of the area in which {quote_value(self._name)} is used")


@lru_cache(maxsize=_MAX_SYSTEMS)  # a file may name its system in each feature
def _transformer(definition: str) -> tuple[Any, Any]:
    """Return the transformer of a system to WGS 84, and the system as pyproj has it."""
    pyproj = import_module("pyproj")
    system = pyproj.CRS.from_user_input(definition)
    system = system.sub_crs_list[0] if system.is_compound else system.to_2d()
    if not (system.is_projected or system.is_geographic):
        raise ValueError("neither a map projection nor longitude and latitude")
    # A ballpark transformation, which leaves the datum as it is, may be hundreds of metres off.
    return pyproj.Transformer.from_crs(system, "OGC:CRS84", always_xy=True, allow_ballpark=False), system


def reprojected(found: Iterable[ParsedGeometry], reprojection: Reprojection | None) -> Iterator[ParsedGeometry]:
    """Yield geometries in longitude and latitude; None: as they are."""
    for geometry in found:
        yield geometry if reprojection is None else reprojection(geometry)
