"""Convert geometries and circles in a search to tests of a footprint by shapely, an optional dependency."""

from __future__ import annotations

from math import cos, radians
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
import shapely.geometry

from collgs_async.demo.criteria import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["shape_tests"]

_METRES: Final = 111_195.0
"""Metres per degree of latitude."""

_CIRCLE: Final = "When specifying a distance search, lat, lon and radius must all be specified at the same time"


def shape_tests(parameters: Mapping[str, str]) -> list[Callable[[Any], bool]]:
    """Return the tests for a circle and a geometry."""
    tests = []
    if parameters.keys() & {"lat", "lon", "radius"}:
        tests.append(_circle_test(parameters))
    if parameters.keys() & {"geometry", "geoRelation"}:
        tests.append(_geometry_test(parameters.get("geometry", ""), parameters.get("geoRelation", "intersects")))
    return tests


def _circle_test(parameters: Mapping[str, str]) -> Callable[[Any], bool]:
    """Test the distance in metres from a point, on a plane that is accurate near it."""
    try:
        latitude, longitude, radius = (float(parameters[key]) for key in ("lat", "lon", "radius"))
    except (KeyError, ValueError):
        raise RequestError(_CIRCLE) from None
    if radius <= 0:
        raise RequestError("Search radius must be positive", "radius")
    scale = (cos(radians(latitude)) * _METRES, _METRES)

    def distance(footprint: Mapping[str, Any]) -> float:
        shape = shapely.geometry.shape(dict(footprint))
        flat = shapely.transform(shape, lambda points: (points - (longitude, latitude)) * scale)
        return float(shapely.distance(shapely.Point(0, 0), flat))

    return lambda item: distance(item.footprint) <= radius


def _geometry_test(text: str, relation: str) -> Callable[[Any], bool]:
    """Test the footprint itself; a relation without a geometry is taken for an invalid geometry."""
    try:
        wanted = _read_wkt(text)
    except (shapely.errors.ShapelyError, ValueError, NotImplementedError) as error:
        raise RequestError(f"Could not parse geometry parameter, expecting valid WKT syntax: {error}") from None
    if relation != "intersects":
        raise RequestError("Invalid value for relation, possible values are [intersects]", "geoRelation")
    shapely.prepare(wanted)
    return lambda item: bool(shapely.intersects(wanted, shapely.geometry.shape(dict(item.footprint))))


def _read_wkt(text: str) -> shapely.Geometry:
    with np.errstate(over="ignore"):  # numbers that are too large are refused below
        geometry = shapely.from_wkt(text)
    reason = shapely.is_valid_reason(geometry)
    # The stock software parses neither; it does take polygons that cross themselves.
    if reason.startswith(("Invalid Coordinate", "Too few points")):
        raise ValueError(reason)
    return geometry
