"""A query: search parameters, validated before any request.

A server answers an invalid value with an error 500, with the wrong products or with none, so known parameters are
validated here. Unknown ones are passed on unchanged, since the catalogue's database defines what exists.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Never

__all__ = ["NO_COLLECTION", "Query", "canonical_parameter", "given_names", "names_collection", "quote_value"]

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

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_INTERVAL = re.compile(
    rf"[\[\]]({_NUMBER}),({_NUMBER})[\[\]]|[\[\]]({_NUMBER})|({_NUMBER})[\[\]]",
)
_AGO = re.compile(r"([0-9]{1,5})([dw])")
_DAYS = {"today": 0, "yesterday": 1}
NO_COLLECTION = (
    "parameters.parentIdentifier: expected a collection such as S2_MSIL1C; "
    "without it the catalogue would search its collections"
)
_MAX_QUOTED = 80
_PLAIN_VALUE = "expected text, a number, true, false or a list of these"


@dataclass(frozen=True, slots=True)
class Query:
    """A query in the catalogue's parameters (protocol §1).

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


def quote_value(value: object) -> str:
    """Write a value as JSON on one short line, so that text and numbers can be distinguished."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
        if not text.isprintable():
            text = json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        return f"a value of type {type(value).__name__}"
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"


def _given(parameters: Mapping[str, object], problems: list[str]) -> dict[str, object]:
    """Return the parameters that have a value, by canonical name; two spellings of one name are an error."""
    given: dict[str, object] = {}
    for written, value in parameters.items():
        key = canonical_parameter(written)
        if not _is_clean(key) or not key:
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
            text, change = _READERS.get(key, _plain)(value)
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
        found.append(f"parameters.timeEnd: expected a time not before timeStart, {start}, found {end}")
    return found


def _plain(value: object) -> tuple[str, str]:
    if isinstance(value, list | tuple):
        return ",".join(_scalar(item) for item in value), ""
    return _scalar(value), ""


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else _number(value)
    if text is None:
        raise ValueError(f"{_PLAIN_VALUE}, found {quote_value(value)}")
    if not _is_clean(text):
        raise ValueError(f"expected text without control characters, found {quote_value(value)}")
    return text


def _is_clean(text: str) -> bool:
    """Whether text can be sent at all; lone surrogates (Cs) cannot even be encoded."""
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def _collection(value: object) -> tuple[str, str]:
    if not isinstance(value, str) or not _is_clean(value):
        raise ValueError(f"expected a collection such as S2_MSIL1C, found {quote_value(value)}")
    return value.strip(), ""


def _number(value: object) -> str | None:
    """Return the text of a finite number, with the user's own digits where it was text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        text = str(value).strip()
    except ValueError:  # an integer of thousands of digits
        return None
    return text if re.fullmatch(_NUMBER, text) and math.isfinite(float(text)) else None


def _whole(value: object) -> tuple[str, str]:
    text = "" if isinstance(value, float) else _number(value) or ""
    if not re.fullmatch(r"\+?[0-9]{1,18}", text) or int(text) < 1:
        raise ValueError(f"expected a whole number, at least 1, found {quote_value(value)}")
    return str(int(text)), ""


def _box(value: object) -> tuple[str, str]:
    items = value.split(",") if isinstance(value, str) else value
    texts = [_number(item) for item in items] if isinstance(items, list | tuple) else []
    corners = [text for text in texts if text is not None]
    if len(corners) != 4 or len(texts) != 4:
        raise ValueError(f"expected four numbers W,S,E,N in degrees, found {quote_value(value)}")
    west, south, east, north = map(float, corners)
    if max(abs(west), abs(east)) > 360:
        raise ValueError(f"expected longitudes from -360 to 360, found {quote_value(value)}")
    if max(abs(south), abs(north)) > 90:
        raise ValueError(f"expected latitudes from -90 to 90, found {quote_value(value)}")
    if south > north:
        raise ValueError(f"expected south below north (W,S,E,N), found {quote_value(value)}")
    if max(abs(west), abs(east)) <= 180:
        return ",".join(corners), ""
    corners[0], corners[2] = _normalise_longitudes(corners[0], corners[2])
    return ",".join(corners), "is brought within ±180°"


def _normalise_longitudes(west: str, east: str) -> tuple[str, str]:
    """Normalise longitudes to ±180°; the server does so only for those above 180 (protocol §1.7)."""
    if float(east) - float(west) >= 360:
        return "-180", "180"
    turn = {1: Decimal(-360), -1: Decimal(360)}
    west, east = (
        f"{Decimal(text) + turn[1 if float(text) > 0 else -1]:f}" if abs(float(text)) > 180 else text
        for text in (west, east)
    )
    return west, east


def _time_start(value: object) -> tuple[str, str]:
    return _format_time(value, "T00:00:00.000Z")[0], "is counted from today" if _parse_relative_day(value) else ""


def _time_end(value: object) -> tuple[str, str]:
    text, whole_day = _format_time(value, "T23:59:59.999Z")
    if _parse_relative_day(value):
        return text, "is counted from today"
    return text, "means the end of that day" if whole_day else ""


def _format_time(value: object, clock: str) -> tuple[str, bool]:
    """Format a time for the request; a date alone gets this time of day, and True beside it."""
    expected = (
        "expected an ISO 8601 date or time such as 2025-08-26 or 2025-08-26T10:30:00Z, or 30d, 2w, yesterday, today"
    )
    try:
        moment = _parse_date(value)
        if not isinstance(moment, datetime):
            return f"{moment.isoformat()}{clock}", True
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{expected}, found {quote_value(value)}") from None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z", False


def _parse_date(value: object) -> date:
    """Parse an ISO 8601 date or date-time; a datetime is a date too."""
    if isinstance(value, date):
        return value
    if ago := _parse_relative_day(value):
        return datetime.now(UTC).date() - ago[0]
    text = value.strip() if isinstance(value, str) else ""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _parse_relative_day(value: object) -> tuple[timedelta] | None:
    """Parse a relative day such as ``30d``, ``2w``, ``yesterday`` or ``today`` to its age; None for anything else."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in _DAYS:
        return (timedelta(days=_DAYS[text]),)
    found = _AGO.fullmatch(text)
    return (timedelta(days=int(found[1]) * (7 if found[2] == "w" else 1)),) if found else None


def _cloud_cover(value: object) -> tuple[str, str]:
    text = _interval_text(value)
    if hint := _catalogue_reading(text):
        raise ValueError(hint)
    interval = _INTERVAL.fullmatch(text)
    bounds = [float(bound) for bound in interval.groups() if bound] if interval else []
    if not bounds:
        raise ValueError(f"expected an interval such as [0,20], ]0,20[, [30 or 20], found {quote_value(value)}")
    if min(bounds) < 0 or max(bounds) > 100 or bounds != sorted(bounds):
        raise ValueError(f"expected an interval within 0 to 100 percent, least first, found {quote_value(value)}")
    return text, ""


def _interval_text(value: object) -> str:
    if isinstance(value, list | tuple):
        bounds = [_number(item) for item in value]
        return f"[{','.join(bound or '?' for bound in bounds)}]" if len(bounds) == 2 else ""
    return "".join(value.split()) if isinstance(value, str) else _number(value) or ""


def _catalogue_reading(text: str) -> str | None:
    """Return how the catalogue would interpret numbers without brackets (protocol §1.4); None where there are some."""
    if re.fullmatch(rf"{_NUMBER},{_NUMBER}", text):
        reading, meant = text.replace(",", " or "), f"[{text}]"
    elif re.fullmatch(_NUMBER, text):
        reading, meant = f"exactly {text}", f"[0,{text}]"
    else:
        return None
    found = f'{_short(text)}, which the catalogue would read as "{_short(reading)}"'
    return f"expected an interval such as {_short(meant)}, found {found}"


def _orbit_direction(value: object) -> tuple[str, str]:
    items = value.split(",") if isinstance(value, str) else value
    directions = [str(item).strip().upper() for item in items] if isinstance(items, list | tuple) else []
    if not directions or not {"ASCENDING", "DESCENDING"}.issuperset(directions):
        raise ValueError(f"expected ASCENDING or DESCENDING, found {quote_value(value)}")
    return ",".join(directions), ""


def _http_accept(value: object) -> tuple[str, str]:
    if value not in ("json", "application/json", "application/geo+json"):
        raise ValueError(f"expected json, found {quote_value(value)}")
    return "json", ""


_READERS: dict[str, Callable[[object], tuple[str, str]]] = {
    "parentIdentifier": _collection,
    "box": _box,
    "timeStart": _time_start,
    "timeEnd": _time_end,
    "cloudCover": _cloud_cover,
    "orbitDirection": _orbit_direction,
    "count": _whole,
    "startIndex": _whole,
    "httpAccept": _http_accept,
}
