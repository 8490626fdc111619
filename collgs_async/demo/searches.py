"""What a search request asks for: its parameters read, checked and echoed as the catalogue does (protocol §1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collgs_async.demo.criteria import RequestError, box_test, column_test, parse_time
from collgs_async.demo.scenes import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.scenes import Collection, Scene

__all__ = ["Limits", "Search", "read_search"]

_Column = tuple[type[int | str], "Callable[[Any], Any]"]

_COLLECTION_COLUMNS: Mapping[str, _Column] = {
    "identifier": (str, lambda collection: collection.identifier),
    "platform": (str, lambda collection: collection.platform),
    "instrument": (str, lambda collection: collection.instrument),
    "sensorType": (str, lambda collection: "OPTICAL" if collection.optical else "RADAR"),
    "processingLevel": (str, lambda collection: collection.level),
}
_PRODUCT_COLUMNS: Mapping[str, _Column] = {
    "identifier": (str, lambda scene: scene.identifier),
    "productionStatus": (str, lambda _: "ARCHIVED"),
    "acquisitionType": (str, lambda _: "NOMINAL"),
    "sensorMode": (str, lambda scene: COLLECTIONS[scene.collection].mode),
    "orbitNumber": (int, lambda scene: scene.orbit_number),
    "orbitDirection": (str, lambda scene: scene.orbit_direction),
}
_OPTICAL_COLUMNS: Mapping[str, _Column] = {"cloudCover": (int, lambda scene: scene.cloud_cover)}

_ORDINARY_KEYS = ("count", "startIndex", "uid", "box", "timeStart", "timeEnd")
_ECHO_PREFIXES = {
    "count": "os",
    "startIndex": "os",
    "uid": "geo",
    "box": "geo",
    "timeStart": "time",
    "timeEnd": "time",
    "cloudCover": "opt",
}
_LINK_KEYS = {"uid": "geo:uid", "box": "geo:box", "timeStart": "time:start", "timeEnd": "time:end"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Products on a page: the most that may be asked for, and how many there are when nobody asks."""

    page_maximum: int
    records_per_page: int


@dataclass(frozen=True, slots=True)
class Search:
    """A search request, understood.

    Attributes
    ----------
    parent
        The collection whose products are searched; None: collections are searched.
    start_index, count
        Which page; the index counts from 1.
    known
        The texts of all parameters that the catalogue knows, paging included.
    tests
        What a product or collection must pass.
    """

    parent: str | None
    start_index: int
    count: int
    known: Mapping[str, str]
    tests: tuple[Callable[[Any], bool], ...]

    def matches(self, item: Scene | Collection) -> bool:
        """Whether a product, or a collection, is found."""
        return all(test(item) for test in self.tests)

    def filters(self) -> Mapping[str, str]:
        """Give the known parameters without paging: equal ones find the same things."""
        return {key: text for key, text in self.known.items() if key not in {"count", "startIndex"}}

    def echo(self) -> Mapping[str, str]:
        """Give the parameters as ``queries.request`` has them (§2.1)."""
        return {f"{_ECHO_PREFIXES.get(key, 'eo')}:{key}": text for key, text in self.known.items()}

    def link_parameters(self) -> Mapping[str, str]:
        """Give the parameters as links have them: with names that no request knows (§1.6)."""
        return {_LINK_KEYS.get(key, f"eo:{key}"): text for key, text in self.filters().items()}


def read_search(pairs: list[tuple[str, str]], limits: Limits, dialect: Dialect) -> Search:
    """Understand a search request.

    Parameters
    ----------
    pairs
        The decoded query of the URL. Keys are read without regard to case, as over HTTP; empty values are
        dropped, identical repeats collapse, different ones of a column must all match.
    limits
        Of a page.
    dialect
        Says which name of the parent is known.

    Raises
    ------
    RequestError
        When a value is wrong, in the server's own words where they are known.
    """
    given: dict[str, list[str]] = {}
    for key, text in pairs:
        if text and text not in given.setdefault(key.lower(), []):
            given[key.lower()].append(text)
    parent = _read_parent(given, dialect)
    columns = _columns(parent)
    ordinary = {key: texts[0] for key in _ORDINARY_KEYS if (texts := given.get(key.lower()))}
    listed = {key: texts for key in columns if (texts := given.get(key.lower()))}
    known = ordinary | {key: ",".join(texts) for key, texts in listed.items()}
    return Search(
        parent=parent,
        start_index=_read_start_index(ordinary),
        count=_read_count(ordinary, limits),
        known=known if parent is None else {dialect.parent_key: parent, **known},
        tests=(*_place_and_time_tests(ordinary, parent), *_column_tests(listed, columns)),
    )


def _read_parent(given: Mapping[str, list[str]], dialect: Dialect) -> str | None:
    names = ("parentId",) if dialect.parent_key == "parentId" else ("parentIdentifier", "parentId")
    for name in names:
        for parent in given.get(name.lower(), ()):
            if parent not in COLLECTIONS:
                raise RequestError(f"Unknown parentId '{parent}'")
            return parent
    return None


def _columns(parent: str | None) -> Mapping[str, _Column]:
    if parent is None:
        return _COLLECTION_COLUMNS
    return {**_PRODUCT_COLUMNS, **(_OPTICAL_COLUMNS if COLLECTIONS[parent].optical else {})}


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


def _place_and_time_tests(given: Mapping[str, str], parent: str | None) -> list[Callable[[Any], bool]]:
    tests: list[Callable[[Any], bool]] = []
    if "uid" in given:
        tests.append(lambda item: item.identifier == given["uid"])
    # Stock text; the refusal of a bad end quotes the start, which is a mistake of the server's that we keep.
    words = "Invalid expression for {} time, use a ISO time or date instead: " + given.get("timeStart", "null")
    if "timeStart" in given:
        start = parse_time(given["timeStart"], RequestError(words.format("start"), "timeStart"))
        tests.append(lambda scene: parent is None or scene.end >= start)
    if "timeEnd" in given:
        end = parse_time(given["timeEnd"], RequestError(words.format("end"), "timeEnd"))
        tests.append(lambda scene: parent is None or scene.start <= end)
    if "box" in given:
        touches = box_test(given["box"])
        tests.append(lambda scene: parent is None or touches(scene))
    return tests


def _column_tests(listed: Mapping[str, list[str]], columns: Mapping[str, _Column]) -> list[Callable[[Any], bool]]:
    return [_column_test(key, text, *columns[key]) for key, texts in listed.items() for text in texts]


def _column_test(key: str, text: str, kind: type[int | str], value_of: Callable[[Any], Any]) -> Callable[[Any], bool]:
    test = column_test(key, text, kind)
    return lambda item: test(value_of(item))
