"""Validate a plan as ``plan.schema.json`` defines it, with readable messages."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.links import exact_url
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["FORMAT", "LISTS", "VERSION", "CheckedItems", "check_form"]

FORMAT: Final = "collgs-async plan"
VERSION: Final = 1

_HTTP = re.compile(r"((?i:https?)://[^\s/?#@]+)(?:[/?#]\S*)?")
_PASSWORD = re.compile(r"(://[^\s/?#:@]*:)[^\s/?#]*@")
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")


class CheckedItems(list[Any]):
    """Stands for a list of a plan, a key of `LISTS`, of which each item is checked as it is read, and none is held.

    Attributes
    ----------
    problem
        What is wrong at the first invalid place; None: nothing.
    problems
        The number of invalid places.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._form = LISTS[name]
        self._next = 0
        self.problem: str | None = None
        self.problems = 0

    def check(self, item: object) -> bool:
        """Whether the next item is right."""
        place = f"{self._name}[{self._next}]"
        self._next += 1
        if self._form.is_held_by(item):
            return True
        found = list(self._form.problems(place, item))
        self.problem = self.problem or found[0]
        self.problems += len(found)
        return False


def check_form(values: Mapping[str, Any], twin: Callable[[], tuple[int, int, str] | None]) -> None:
    """Validate the content of a file.

    Parameters
    ----------
    values
        Its object; lists may be `CheckedItems`.
    twin
        Called when all is right: returns the first product that stands twice, its earlier place and its name.

    Raises
    ------
    ValueError
        One line: the first invalid place, what was expected there and what was found, and how many other places are
        invalid.
    """
    if values.get("format") != FORMAT:
        raise ValueError("expected a plan, written by `collgs-async plan`, found another JSON file")
    version = values.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(f"version: expected {VERSION} or less, found {version}: a newer collgs-async wrote it")
    if problems := list(_PLAN.problems("", values)):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ValueError(problems[0] + more)
    if (found := twin()) is not None:
        at, first, name = found
        raise ValueError(
            f"products[{at}].identifier: expected each product once, found {name} at products[{first}] too"
        )


@dataclass(frozen=True, slots=True)
class _Form:
    """The permitted values at a place; their members or items have forms as well."""

    expected: str
    is_right: Callable[[Any], bool]
    parts: Mapping[str, _Form] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: _Form | None = None
    or_null: bool = False

    def problems(self, place: str, value: Any) -> Iterator[str]:
        """Yield what is wrong at this place, such as ``products[3]``, and below it."""
        if value is None and self.or_null:
            return
        if not self.is_right(value):
            yield f"{place}: expected {self.expected}, found {_quote(value)}"
        elif isinstance(value, CheckedItems):
            yield from ([value.problem, *[""] * (value.problems - 1)] if value.problem else ())
        elif self.items:
            for at, item in enumerate(value):
                yield from self.items.problems(f"{place}[{at}]", item)
        elif self.parts:
            yield from self._problems_inside(f"{place}." if place else "", value)

    def is_held_by(self, value: Any) -> bool:
        """Whether there are no problems; known in a quarter of the time that it takes to describe them."""
        if value is None and self.or_null:
            return True
        if not self.is_right(value):
            return False
        if self.items:
            return all(map(self.items.is_held_by, value))
        if not self.parts:
            return True
        known = all(name in self.parts and self.parts[name].is_held_by(held) for name, held in value.items())
        return known and self.required <= value.keys()

    def _problems_inside(self, before: str, values: Mapping[str, Any]) -> Iterator[str]:
        for name, part in self.parts.items():
            if name in values:
                yield from part.problems(before + name, values[name])
            elif name in self.required:
                yield f"{before}{name}: expected {part.expected}, found nothing"
        for unknown in (before + name for name in values if name not in self.parts):
            yield f"{unknown if unknown.isprintable() else quote_value(unknown)}: unknown key"


def _quote(value: object) -> str:
    """Quote the value found, without the password that a URL may hold."""
    return quote_value(_PASSWORD.sub(r"\1***@", value) if isinstance(value, str) else value)


def _is_address(value: Any) -> bool:
    """Whether a request to this URL is possible; an invalid port would otherwise fail during the run, too late."""
    try:
        found = _HTTP.fullmatch(value) if isinstance(value, str) else None
        return found is not None and _has_host(found[1])
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _has_host(origin: str) -> bool:
    return bool(exact_url(origin).host)


def _is_moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(_UTC.fullmatch(value) and datetime.fromisoformat(value))
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    try:
        return type(value) in {int, float} and math.isfinite(value)
    except OverflowError:
        return False


def _is_geometry(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _is_selection(value: Any) -> bool:
    """Whether this is a selection; file names are refused, since they mean another file on each computer."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("aoi", {}), dict) and isinstance(value.get("ids", []), list)


def _object(parts: Mapping[str, _Form], *required: str) -> _Form:
    return _Form("an object", lambda value: isinstance(value, dict), parts, frozenset(required))


def _list(items: _Form) -> _Form:
    return _Form("a list", lambda value: isinstance(value, list), items=items)


def _or_null(form: _Form) -> _Form:
    return replace(form, or_null=True)


_TEXT: Final = _Form("text", lambda value: isinstance(value, str))
_NAME: Final = _Form("the name of a product", lambda value: isinstance(value, str) and value != "")
_ADDRESS: Final = _Form("an http or https address without user name", _is_address)
_MOMENT: Final = _Form("a time in UTC such as 2025-08-26T10:30:00Z", _is_moment)
_NUMBER: Final = _Form("a number", _is_number)
_WHOLE: Final = _Form("a whole number", lambda value: type(value) is int)
_SIZE: Final = _Form("a whole number of bytes", lambda value: type(value) is int and value >= 0)
_PRODUCT: Final = _object(
    {
        "identifier": _NAME,
        "url": _or_null(_ADDRESS),
        "collection": _or_null(_TEXT),
        "start": _or_null(_MOMENT),
        "end": _or_null(_MOMENT),
        "footprint": _or_null(_Form("a GeoJSON geometry", _is_geometry)),
        "cloud_cover": _or_null(_NUMBER),
        "orbit_direction": _or_null(_TEXT),
        "orbit_number": _or_null(_WHOLE),
        "platform": _or_null(_TEXT),
        "size": _or_null(_SIZE),
        "wanted": _or_null(_SIZE),
        "quicklook": _or_null(_ADDRESS),
        "problem": _or_null(_TEXT),
        "overlap": _or_null(_NUMBER),
        "alternatives": _list(_ADDRESS),
        "product_type": _or_null(_TEXT),
        "polarisation": _or_null(_TEXT),
        "tile": _or_null(_TEXT),
        "relative_orbit": _or_null(_WHOLE),
    },
    "identifier",
)
_LEFT_OUT: Final = _object({"identifier": _NAME, "reason": _TEXT, "kind": _TEXT}, "identifier", "reason")
_QUERY: Final = _object(
    {
        "parameters": _object({}),
        "parts": _object(
            {
                "bands": _list(_TEXT),
                "resolution": _Form("a list of metres or all", lambda value: value == "all" or isinstance(value, list)),
                "metadata_only": _Form("true or false", lambda value: isinstance(value, bool)),
                "members": _list(_TEXT),
            }
        ),
        "selection": _Form("an object, its aoi one of GeoJSON and its ids a list", _is_selection),
    },
    "parameters",
)
_PLAN: Final = _object(
    {
        "format": _TEXT,
        "version": _Form(str(VERSION), lambda value: type(value) is int and value == VERSION),
        "created": _MOMENT,
        "catalogue": _ADDRESS,
        "query": _QUERY,
        "products": _list(_PRODUCT),
        "left_out": _list(_LEFT_OUT),
    },
    "version",
    "created",
    "catalogue",
    "query",
    "products",
)

LISTS: Final = {"products": _PRODUCT, "left_out": _LEFT_OUT}
"""The lists of a plan, and the form of their items."""
