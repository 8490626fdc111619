"""Convert search parameters on columns and times to tests of a scene, as GeoServer interprets them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.parameters import Kind

__all__ = ["TIME_RELATIONS", "RequestError", "column_test", "parse_time", "time_test"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_BOUNDED = re.compile(r"([\[\]])([^,\[\]]*),([^,\[\]]*)([\[\]])")
_FROM = re.compile(r"([\[\]])([^,\[\]]*)")
_UNTIL = re.compile(r"([^,\[\]]*)([\[\]])")
_COMMA = re.compile(r"\s*,\s*")


class RequestError(Exception):
    """A request that the catalogue refuses.

    Parameters
    ----------
    text
        The message.
    locator
        The invalid parameter; None: not stated.
    status
        The HTTP status.
    """

    def __init__(self, text: str, locator: str | None = None, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.locator = locator
        self.status = status


def column_test(key: str, text: str, kind: Kind) -> Callable[[Any], bool]:
    """Test a column: equal to a list item or, for numbers and dates, within a range; None never matches.

    Of a column with several values, one match is enough.
    """
    if kind is not str:
        if match := _BOUNDED.fullmatch(text):
            low, high = _above(key, match[1], match[2], kind), _below(key, match[3], match[4], kind)
            return lambda value: value is not None and low(value) and high(value)
        if match := _FROM.fullmatch(text):
            low = _above(key, match[1], match[2], kind)
            return lambda value: value is not None and low(value)
        if match := _UNTIL.fullmatch(text):
            high = _below(key, match[1], match[2], kind)
            return lambda value: value is not None and high(value)
    wanted = {_convert(key, item, kind) for item in _COMMA.split(text)}
    return lambda value: not wanted.isdisjoint(value if isinstance(value, tuple) else (value,))


def time_test(start: datetime | None, end: datetime | None, relation: str) -> Callable[[Any], bool]:
    """Test the sensing times of a scene, or the times of a collection, which may have no end."""
    return partial(_RELATIONS[relation], start, end)


def parse_time(text: str, refusal: RequestError) -> datetime:
    """Parse an ISO date (midnight at its start) or time; without a zone it is UTC."""
    if not _DATE.fullmatch(text):
        raise refusal
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise refusal from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _intersects(start: datetime | None, end: datetime | None, item: Any) -> bool:
    return (start is None or item.end is None or item.end >= start) and (end is None or item.start <= end)


def _during(start: datetime | None, end: datetime | None, item: Any) -> bool:
    return (start is None or item.start >= start) and (end is None or (item.end is not None and item.end <= end))


_RELATIONS: Mapping[str, Callable[[datetime | None, datetime | None, Any], bool]] = {
    "intersects": _intersects,
    "during": _during,
}

TIME_RELATIONS = tuple(_RELATIONS)
"""Values of the parameter ``timeRelation``, the default first."""


def _convert(key: str, text: str, kind: Kind) -> Any:
    names = {int: "Integer", float: "Double", datetime: "Date"}
    if kind is str:
        return text
    refusal = RequestError(f"Value '{text}' of key {key} cannot be converted to a {names[kind]}", key)
    if kind is datetime:
        return parse_time(text, refusal)
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        raise refusal from None


def _above(key: str, bracket: str, text: str, kind: Kind) -> Callable[[Any], bool]:
    bound = _convert(key, text, kind)
    return lambda value: bool(value >= bound if bracket == "[" else value > bound)


def _below(key: str, text: str, bracket: str, kind: Kind) -> Callable[[Any], bool]:
    bound = _convert(key, text, kind)
    return lambda value: bool(value <= bound if bracket == "]" else value < bound)
