"""Values of search parameters as users write them, read into what is sent.

A reader returns the text to send, and what to note about it; ValueError says what was expected and found.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READERS", "is_clean", "is_relative_day", "quote_value", "read_plain"]

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_INTERVAL = re.compile(
    rf"[\[\]]({_NUMBER}),({_NUMBER})[\[\]]|[\[\]]({_NUMBER})|({_NUMBER})[\[\]]",
)
_AGO = re.compile(r"([0-9]{1,5})([dw])")
_DAYS = {"today": 0, "yesterday": 1}
_MAX_QUOTED = 80
_PLAIN_VALUE = "expected text, a number, true, false or a list of these"


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


def read_plain(value: object) -> tuple[str, str]:
    """Read a parameter of any meaning: text, a number, true, false or a list of these."""
    if isinstance(value, list | tuple):
        return ",".join(_scalar(item) for item in value), ""
    return _scalar(value), ""


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else _number(value)
    if text is None:
        raise ValueError(f"{_PLAIN_VALUE}, found {quote_value(value)}")
    if not is_clean(text):
        raise ValueError(f"expected text without control characters, found {quote_value(value)}")
    return text


def is_clean(text: str) -> bool:
    """Whether text can be sent at all; lone surrogates (Cs) cannot even be encoded."""
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def _collection(value: object) -> tuple[str, str]:
    if not isinstance(value, str) or not is_clean(value):
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
        swapped = "; longitude comes first" if max(abs(west), abs(east)) <= 90 else ""
        raise ValueError(f"expected latitudes from -90 to 90, found {quote_value(value)}{swapped}")
    if south > north:
        raise ValueError(f"expected south below north (W,S,E,N), found {quote_value(value)}")
    if max(abs(west), abs(east)) <= 180:
        return ",".join(corners), ""
    corners[0], corners[2] = _normalise_longitudes(corners[0], corners[2])
    return ",".join(corners), "is brought within ±180°"


def _normalise_longitudes(west: str, east: str) -> tuple[str, str]:
    """Normalise longitudes to ±180°; GeoServer does so only for those above 180."""
    from decimal import Decimal  # deferred: slow to import, and few boxes need it

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


def is_relative_day(value: object) -> bool:
    """Whether a time is counted from today, such as ``30d`` or ``yesterday``."""
    return _parse_relative_day(value) is not None


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
    """Return how GeoServer would interpret numbers without brackets; None where there are some."""
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


READERS: dict[str, Callable[[object], tuple[str, str]]] = {
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
"""The readers of known parameters, by the catalogue's names."""
