"""Convert boxes, geometries and circles in a search to tests of a footprint (protocol §1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collgs_async.demo.criteria import RequestError
from collgs_async.demo.geometry import Shape, contains, distance, intersects, shape_of
from collgs_async.demo.wkt import read_wkt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["place_tests"]

Box = tuple[float, float, float, float]

_CIRCLE: Final = "When specifying a distance search, lat, lon and radius must all be specified at the same time"
_NAME: Final = "When specifying a distance search, name and radius must both be specified"
_RELATIONS: Final[Mapping[str, Callable[[Shape, Shape], bool]]] = {
    "intersects": intersects,
    "disjoint": lambda wanted, footprint: not intersects(wanted, footprint),
    "contains": contains,
}


def place_tests(parameters: Mapping[str, str]) -> list[Callable[[Any], bool]]:
    """Return a test for each way in which a request specifies a place."""
    tests = []
    if "box" in parameters:
        tests.append(_box_test(parameters["box"]))
    if "name" in parameters:
        raise _no_gazetteer(parameters)
    if parameters.keys() & {"lat", "lon", "radius"}:
        tests.append(_circle_test(parameters))
    if parameters.keys() & {"geometry", "geoRelation"}:
        tests.append(_geometry_test(parameters.get("geometry"), parameters.get("geoRelation", "intersects")))
    return tests


def _box_test(text: str) -> Callable[[Any], bool]:
    """Test whether the bounding box of a footprint touches the box; an invalid box is an error 500."""
    numbers, *crs = _box_items(text)
    if crs and not crs[0].upper().endswith(("WGS84", "CRS84", "4326")):
        raise RequestError(f"Unsupported CRS in box: {crs[0]}", "box")
    west, south, east, north = numbers
    west, east = _rolled(west), _rolled(east)
    boxes = (
        [(west, south, east, north)] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
    )
    return lambda item: any(_touch(shape_of(item.footprint).bounds, box) for box in boxes)


def _geometry_test(text: str | None, relation: str) -> Callable[[Any], bool]:
    """Test the footprint itself; a relation without a geometry is taken for an invalid geometry."""
    try:
        wanted = read_wkt(text or "")
    except ValueError as error:
        raise RequestError(f"Could not parse geometry parameter, expecting valid WKT syntax: {error}") from None
    if relation not in _RELATIONS:
        possible = ", ".join(_RELATIONS)
        raise RequestError(f"Invalid value for relation, possible values are [{possible}]", "geoRelation")
    related = _RELATIONS[relation]
    return lambda item: related(wanted, shape_of(item.footprint))


def _circle_test(parameters: Mapping[str, str]) -> Callable[[Any], bool]:
    try:
        latitude, longitude, radius = (float(parameters[key]) for key in ("lat", "lon", "radius"))
    except (KeyError, ValueError):
        raise RequestError(_CIRCLE) from None
    if radius <= 0:
        raise RequestError("Search radius must be positive", "radius")
    return lambda item: distance((longitude, latitude), shape_of(item.footprint)) <= radius


def _no_gazetteer(parameters: Mapping[str, str]) -> RequestError:
    """Refuse place names, which the stock software does not support."""
    if "radius" not in parameters:
        return RequestError(_NAME)
    return RequestError("Still have to code or or more ways to geocode a name", None, 500)


def _box_items(text: str) -> tuple[Any, ...]:
    items = text.split(",")
    if len(items) not in {4, 5}:
        raise RequestError(f"Requested bounding box contains wrong number of coordinates: {text}", None, 500)
    try:
        return ([float(item) for item in items[:4]], *items[4:])
    except ValueError:
        raise RequestError(f"Bounding box coordinate is not parsable: {text}", None, 500) from None


def _rolled(longitude: float) -> float:
    return longitude - 360 if longitude > 180 else longitude


def _touch(one: Box | None, other: Box) -> bool:
    return one is not None and one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
