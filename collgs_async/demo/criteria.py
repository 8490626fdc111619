"""One criterion of a search: the text of a parameter becomes a test of a scene or a collection (protocol §1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collgs_async.demo.scenes import Scene

__all__ = ["RequestError", "box_test", "column_test", "parse_time"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_BOUNDED = re.compile(r"([\[\]])([^,\[\]]*),([^,\[\]]*)([\[\]])")
_FROM = re.compile(r"([\[\]])([^,\[\]]*)")
_UNTIL = re.compile(r"([^,\[\]]*)([\[\]])")

Box = tuple[float, float, float, float]


class RequestError(Exception):
    """A request that the catalogue refuses.

    Parameters
    ----------
    text
        The words of the refusal.
    locator
        The parameter that is to blame; None: the catalogue does not say.
    status
        The HTTP status.
    """

    def __init__(self, text: str, locator: str | None = None, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.locator = locator
        self.status = status


def column_test(key: str, text: str, kind: type[int | str]) -> Callable[[Any], bool]:
    """Test the value of a column: equal to one of a list or, for numbers, in a range; None is in none (§1.4)."""
    if kind is int:
        if match := _BOUNDED.fullmatch(text):
            low, high = _above(key, match[1], match[2]), _below(key, match[3], match[4])
            return lambda value: value is not None and low(value) and high(value)
        if match := _FROM.fullmatch(text):
            low = _above(key, match[1], match[2])
            return lambda value: value is not None and low(value)
        if match := _UNTIL.fullmatch(text):
            high = _below(key, match[1], match[2])
            return lambda value: value is not None and high(value)
    wanted = {_integer(key, item) if kind is int else item for item in text.split(",")}
    return lambda value: value in wanted


def box_test(text: str) -> Callable[[Scene], bool]:
    """Test whether the bounding box of a footprint touches the box; the server fails, 500, at a bad one (§1.7)."""
    numbers, *crs = _box_items(text)
    if crs and not crs[0].upper().endswith(("WGS84", "CRS84", "4326")):
        raise RequestError(f"Unsupported CRS in box: {crs[0]}", "box")
    west, south, east, north = numbers
    west, east = _rolled(west), _rolled(east)
    boxes = (
        [(west, south, east, north)] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
    )
    return lambda scene: any(_touch(_bounds(scene), box) for box in boxes)


def parse_time(text: str, refusal: RequestError) -> datetime:
    """Read an ISO date (midnight at its start) or time; without a zone it is UTC (§1.3)."""
    if not _DATE.fullmatch(text):
        raise refusal
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise refusal from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _integer(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RequestError(f"Value '{text}' of key {key} cannot be converted to a Integer", key) from None


def _above(key: str, bracket: str, text: str) -> Callable[[Any], bool]:
    bound = _integer(key, text)
    return bound.__le__ if bracket == "[" else bound.__lt__


def _below(key: str, text: str, bracket: str) -> Callable[[Any], bool]:
    bound = _integer(key, text)
    return bound.__ge__ if bracket == "]" else bound.__gt__


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


def _bounds(scene: Scene) -> Box:
    points: Sequence[Sequence[float]] = scene.footprint["coordinates"][0]
    longitudes, latitudes = [point[0] for point in points], [point[1] for point in points]
    return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


def _touch(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
