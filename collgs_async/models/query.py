"""A query: search parameters, validated before any request.

A server answers an invalid value with an error 500, with the wrong products or with none, so known parameters are
validated here. Unknown ones are passed on unchanged, since the catalogue's database defines what exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import READERS, is_clean, quote_value, read_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from typing import Never

__all__ = ["NO_COLLECTION", "Query", "canonical_parameter", "given_names", "names_collection"]

_NAMES = """
    searchTerms startIndex count uid box geometry geoRelation lat lon radius name timeStart timeEnd timeRelation
    httpAccept identifier parentIdentifier parentId maxRecords productType platform platformSerialIdentifier
    instrument sensorType processingLevel productionStatus acquisitionType orbitNumber orbitDirection orbitType
    track frame swathIdentifier productQualityStatus processorName processingCenter creationDate modificationDate
    processingDate sensorMode archivingCenter processingMode availabilityTime acquisitionStation
    acquisitionSubtype startTimeFromAscendingNode completionTimeFromAscendingNode resolution cloudCover snowCover
    polarisationMode polarisationChannels antennaLookDirection dopplerFrequency
"""
_CANONICAL = {name.lower(): name for name in _NAMES.split()}

NO_COLLECTION = (
    "parameters.parentIdentifier: expected a collection such as S2_MSIL1C; "
    "without it the catalogue would search its collections"
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query in the parameters of OpenSearch Geo and Time (OGC 10-032r8) and EO (OGC 13-026r9).

    Attributes
    ----------
    parameters
        The parameters to send, without ``count``, ``startIndex`` and ``httpAccept``: names in canonical case, times in
        UTC with milliseconds, longitudes and latitudes in degrees, cloud cover in percent.
    count
        The most products to keep, over all pages; None: all.
    start_index
        The first product to request; 1 is the newest.
    notes
        Messages for the user about reinterpreted values.
    also_local
        Parameters that are checked locally as well: a catalogue that ignores them returns more pages, but no other
        products are kept.
    required
        Parameters without which the whole collection would be listed: a catalogue that ignores them is an error.
    fallbacks
        For a parameter that a catalogue may ignore, another one with its value.
    """

    parameters: Mapping[str, str]
    count: int | None = None
    start_index: int = 1
    notes: tuple[str, ...] = ()
    also_local: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    fallbacks: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def collection(self) -> str:
        """The collection to search."""
        return self.parameters["parentIdentifier"]

    def to_dict(self) -> dict[str, object]:
        """Return search parameters that `parse` reads as this query on any day: relative times become absolute."""
        paging = {"count": self.count, "startIndex": self.start_index if self.start_index > 1 else None}
        return {**self.parameters, **{key: number for key, number in paging.items() if number is not None}}

    @classmethod
    def parse(cls, parameters: Mapping[str, object]) -> Query:
        """Parse search parameters as users write them; None and empty text mean "not given".

        Raises
        ------
        ConfigError
            With one line per invalid value, beginning with its name: ``parameters.box: expected ..., found ...``.
        """
        problems: list[str] = []
        notes: list[str] = []
        given = _rename(_given(parameters, problems), notes)
        sent = _read(given, problems, notes)
        problems += _contradictions(given, sent)
        if problems:
            raise ConfigError(problems)
        sent.pop("httpAccept", None)
        count = sent.pop("count", None)
        start_index = int(sent.pop("startIndex", 1))
        return cls(sent, None if count is None else int(count), start_index, tuple(notes))

    @classmethod
    def create(
        cls,
        collection: str,
        *,
        bbox: Sequence[float] | None = None,
        start: str | date | datetime | None = None,
        end: str | date | datetime | None = None,
        cloud_cover: tuple[int, int] | None = None,
        count: int | None = None,
        extra: Mapping[str, object] | None = None,
        **unknown: Never,
    ) -> Query:
        """Create a query for the products of a collection.

        Parameters
        ----------
        collection
            Such as ``S2_MSIL1C``.
        bbox
            West, south, east, north in degrees; west greater than east crosses the antimeridian. None: the whole Earth.
        start, end
            Sensing time, both ends included; without an offset it is UTC, and a date alone means the whole day.
            None: no limit.
        cloud_cover
            Minimum and maximum in percent; None: any.
        count
            The most products to keep; None: all.
        extra
            Further search parameters, by the catalogue's own names, such as ``{"productType": "S2MSI1C"}``; None: none.

        Raises
        ------
        ConfigError
            With one line per invalid value, per unknown name, and per parameter that is in `extra` as well.
        """
        problems = [_unknown_name(name) for name in unknown]
        named = {
            "parentIdentifier": collection,
            "box": bbox,
            "timeStart": start,
            "timeEnd": end,
            "cloudCover": cloud_cover,
            "count": count,
        }
        given = {key: value for key, value in named.items() if value is not None}
        twice = given_names(extra or {}) & given.keys()
        problems += [f"parameters.{key}: expected it once, found it in extra as well" for key in sorted(twice)]
        try:
            others = {key: value for key, value in (extra or {}).items() if canonical_parameter(key) not in given}
            query = cls.parse({**others, **given})
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        return query


def _unknown_name(name: str) -> str:
    """Return the error for an unknown keyword of `Query.create`."""
    from collgs_async.models.criteria import CRITERIA_KEYS

    hint = ""
    if name in CRITERIA_KEYS:
        hint = f"; {name} is a criterion of Selection"
    elif name.lower() in _CANONICAL:
        hint = f'; the catalogue\'s own parameters go into extra={{"{canonical_parameter(name)}": ...}}'
    return f"{name}: expected one of bbox, start, end, cloud_cover, count, extra, found an unknown name{hint}"


def canonical_parameter(key: str) -> str:
    """Return the catalogue's spelling of a search parameter; unknown ones are unchanged."""
    return _CANONICAL.get(key.lower(), key)


def given_names(parameters: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the search parameters that have a value, as the catalogue spells them."""
    return frozenset(canonical_parameter(name) for name, value in parameters.items() if _is_given(value))


def names_collection(parameters: Mapping[str, object]) -> bool:
    """Whether search parameters name the collection to search."""
    return not given_names(parameters).isdisjoint({"parentIdentifier", "parentId"})


def _is_given(value: object) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def _given(parameters: Mapping[str, object], problems: list[str]) -> dict[str, object]:
    """Return the parameters that have a value, by canonical name; two spellings of one name are an error."""
    given: dict[str, object] = {}
    for written, value in parameters.items():
        key = canonical_parameter(written)
        if not is_clean(key) or not key:
            problems.append(f"parameters: expected the name of a search parameter, found {quote_value(written)}")
        elif key in given:
            problems.append(f"parameters.{written}: expected {key} once, found it in two spellings")
        elif _is_given(value):
            given[key] = value
    return given


def _rename(given: dict[str, object], notes: list[str]) -> dict[str, object]:
    """Replace former names by current ones, which take precedence."""
    renamed = dict(given)
    for old, new in (("parentId", "parentIdentifier"), ("maxRecords", "count")):
        if old in renamed:
            value = renamed.pop(old)
            notes.append(f"{old} is left out: {new} is given" if new in renamed else f"{old} is read as {new}")
            renamed.setdefault(new, value)
    return renamed


def _read(given: Mapping[str, object], problems: list[str], notes: list[str]) -> dict[str, str]:
    """Validate each value; return what to send, and add a note where that may surprise."""
    sent: dict[str, str] = {}
    for key, value in given.items():
        try:
            text, change = READERS.get(key, read_plain)(value)
        except ValueError as error:
            problems.append(f"parameters.{key}: {error}")
            continue
        if text:
            sent[key] = text
        if change:
            notes.append(f"{key} {value} {change}: sent as {text}")
    return sent


def _contradictions(given: Mapping[str, object], sent: Mapping[str, str]) -> list[str]:
    found = []
    if "parentIdentifier" not in given:
        found.append(NO_COLLECTION)
    start, end = sent.get("timeStart"), sent.get("timeEnd")
    if start and end and end < start:
        found.append(f"parameters.timeEnd: expected a time not before the start, {start}, found {end}")
    return found
