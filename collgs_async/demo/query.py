"""Parse, validate and echo the parameters of a search request as GeoServer does."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from collgs_async.demo.criteria import TIME_RELATIONS, RequestError, column_test, parse_time, time_test
from collgs_async.demo.parameters import known_parameters
from collgs_async.demo.places import place_tests
from collgs_async.demo.scenes import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.parameters import Limits, Parameter
    from collgs_async.demo.scenes import Collection, Scene

__all__ = ["Search", "read_parent", "read_search"]

_TERM = re.compile(r'([^"]\S*|".+?")\s*')
_PAGING = frozenset({"count", "startIndex"})


@dataclass(frozen=True, slots=True)
class Search:
    """A parsed search request.

    Attributes
    ----------
    parent
        The collection whose products are searched; None: collections are searched.
    start_index, count
        The page; the index counts from 1.
    known
        The texts of all known parameters, paging included.
    parameters
        The definitions of these parameters.
    tests
        Tests that a product or collection must pass.
    """

    parent: str | None
    start_index: int
    count: int
    known: Mapping[str, str]
    parameters: Mapping[str, Parameter]
    tests: tuple[Callable[[Any], bool], ...]

    def matches(self, item: Scene | Collection) -> bool:
        """Whether a product, or a collection, matches."""
        return all(test(item) for test in self.tests)

    def filters(self) -> Mapping[str, str]:
        """Return the known parameters without paging: equal ones find the same products."""
        return {key: text for key, text in self.known.items() if key not in _PAGING}

    def echo(self) -> Mapping[str, str]:
        """Return the parameters as in ``queries.request``."""
        return {f"{self.parameters[key].prefix}:{key}": text for key, text in self.known.items()}

    def link_parameters(self) -> Mapping[str, str]:
        """Return the parameters as in GeoServer's links: with the names of templates, which no request understands."""
        return {self.parameters[key].qualified: text for key, text in self.filters().items()}


def read_search(pairs: list[tuple[str, str]], limits: Limits, dialect: Dialect) -> Search:
    """Parse a search request.

    Parameters
    ----------
    pairs
        The decoded query of the URL. Keys are case-insensitive, as over HTTP; empty values are dropped, identical
        repeats collapse, different ones of a column must all match.
    limits
        Page sizes.
    dialect
        Determines the name of the parent parameter.

    Raises
    ------
    RequestError
        A value is invalid, in the server's own words where they are known.
    """
    given = _collect(pairs)
    parent = _find_parent(given, dialect)
    parameters = dict(known_parameters(parent, limits, dialect))
    if parent is not None:
        parameters[dialect.parent_key] = replace(parameters.pop("parentIdentifier"), key=dialect.parent_key)
        given[dialect.parent_key.lower()] = [parent]
    asked = {key: texts for key in parameters if (texts := given.get(key.lower()))}
    known = {key: ",".join(texts) if parameters[key].column else texts[0] for key, texts in asked.items()}
    return Search(
        parent=parent,
        start_index=_read_start_index(known),
        count=_read_count(known, limits),
        known=known,
        parameters=parameters,
        tests=(*_native_tests(known), *place_tests(known), *_column_tests(asked, parameters)),
    )


def read_parent(pairs: list[tuple[str, str]], dialect: Dialect) -> str | None:
    """Return the collection of a request; None without one.

    Raises
    ------
    RequestError
        There is no such collection.
    """
    return _find_parent(_collect(pairs), dialect)


def _collect(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Collect the values of each key, in lower case."""
    given: dict[str, list[str]] = {}
    for key, text in pairs:
        if text and text not in given.setdefault(key.lower(), []):
            given[key.lower()].append(text)
    return given


def _find_parent(given: Mapping[str, list[str]], dialect: Dialect) -> str | None:
    names = ("parentId",) if dialect.parent_key == "parentId" else ("parentIdentifier", "parentId")
    for name in names:
        for parent in given.get(name.lower(), ()):
            if parent not in COLLECTIONS:
                raise RequestError(f"Unknown parentId '{parent}'")
            return parent
    return None


def _read_start_index(given: Mapping[str, str]) -> int:
    start_index = _read_integer(given, "startIndex", 1)
    if start_index < 1:
        raise RequestError("Invalid 'startIndex' value, should be positive or zero")
    return start_index


def _read_count(given: Mapping[str, str], limits: Limits) -> int:
    count = _read_integer(given, "count", limits.records_per_page)
    if count < 0:
        raise RequestError("Invalid 'count' value, should be positive or zero")
    if count > limits.page_maximum:
        raise RequestError(f"Invalid 'count' value, should not be greater than {limits.page_maximum}")
    return count


def _read_integer(given: Mapping[str, str], key: str, default: int) -> int:
    try:
        return int(given.get(key, default))
    except ValueError:
        raise RequestError(f"Invalid '{key}' value, not an integer: {given[key]}", key) from None


def _native_tests(given: Mapping[str, str]) -> list[Callable[[Any], bool]]:
    tests: list[Callable[[Any], bool]] = []
    if "searchTerms" in given:
        terms = [term.strip('"') for term in _TERM.findall(given["searchTerms"])]
        tests.append(lambda item: any(term in item.description for term in terms))
    if "uid" in given:
        tests.append(lambda item: item.identifier == given["uid"])
    if given.keys() & {"timeStart", "timeEnd", "timeRelation"}:
        tests.append(_time_test(given))
    return tests


def _time_test(given: Mapping[str, str]) -> Callable[[Any], bool]:
    relation = given.get("timeRelation", TIME_RELATIONS[0])
    if relation not in TIME_RELATIONS:
        possible = ", ".join(TIME_RELATIONS)
        raise RequestError(f"Invalid value for relation, possible values are [{possible}]", "timeRelation")
    # The server's text: it quotes the start where the end is invalid, a fault that is kept here.
    words = "Invalid expression for {} time, use a ISO time or date instead: " + given.get("timeStart", "null")
    start, end = (
        parse_time(given[key], RequestError(words.format(name), key)) if key in given else None
        for key, name in (("timeStart", "start"), ("timeEnd", "end"))
    )
    if start is None and end is None:
        raise RequestError("Time relation specified, but start and end time values are missing", "timeRelation")
    return time_test(start, end, relation)


def _column_tests(asked: Mapping[str, list[str]], parameters: Mapping[str, Parameter]) -> list[Callable[[Any], bool]]:
    return [
        _column_test(column, column_test(key, text, parameters[key].kind))
        for key, texts in asked.items()
        if (column := parameters[key].column) is not None
        for text in texts
    ]


def _column_test(value_of: Callable[[Any], Any], test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda item: test(value_of(item))
