"""Convert boxes, geometries and circles in a search to tests of a footprint (OGC 10-032r8, as GeoServer reads it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collgs_async.demo.criteria import RequestError
from collgs_async.demo.geometry import bounds_of, rings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.geometry import Bounds

__all__ = ["place_tests"]


def place_tests(parameters: Mapping[str, str]) -> list[Callable[[Any], bool]]:
    """Return a test for each way in which a request specifies a place."""
    tests = []
    if "box" in parameters:
        tests.append(_box_test(parameters["box"]))
    if parameters.keys() & {"lat", "lon", "radius", "geometry", "geoRelation"}:
        try:
            from collgs_async.demo.shapes import shape_tests
        except ModuleNotFoundError as error:
            needed = f"the Python package {error.name}: python -m pip install 'collgs-async[geo]'"
            raise RequestError(f"Searches by geometry or radius need {needed}") from None
        tests += shape_tests(parameters)
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
    return lambda item: any(_touch(bounds_of(rings_of(item.footprint)), box) for box in boxes)


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


def _touch(one: Bounds, other: Bounds) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
