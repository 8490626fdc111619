"""Times of the local wall clock: when it shows a time next, and rates that change at times of the day or week.

The grammar of a timetable is that of rclone's ``--bwlimit``: ``08:00,2M 18:00,20M 23:00,off`` or ``Mon-08:00,2M``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from collgs_async.models.parameter_values import quote_value
from collgs_async.models.text import parse_rate

__all__ = ["RateTimetable", "next_local_time", "parse_clock_time"]

_MINUTE: Final = 60
_DAY: Final = 24 * 60
"""Minutes of a day."""

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_ENTRY: Final = re.compile(r"(?:([A-Za-z]+)-)?([^,-]+),([^,]+)", re.ASCII)


def parse_clock_time(text: str) -> time:
    """Parse a time of the day such as ``06:00``, from 00:00 to 23:59.

    Raises
    ------
    ValueError
        The text is none.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a time of the day such as 06:00, found {quote_value(text)}")
    return time(int(match[1]), int(match[2]))


def next_local_time(clock: time, after: float, zone: tzinfo | None = None) -> float:
    """Return when the wall clock shows a time next.

    A time that a clock change skips counts as shown when the clock is put forward; one that it repeats is shown twice.

    Parameters
    ----------
    clock
        The time of the day, in whole minutes.
    after
        Seconds since the epoch; the result is later.
    zone
        The time zone; None for that of the system.

    Returns
    -------
    float
        Seconds since the epoch.
    """
    today = datetime.fromtimestamp(after, zone).date()
    moments = [moment for day in range(3) for moment in _shown(today + timedelta(day), clock, zone)]
    return min(moment for moment in moments if moment > after)


def _shown(day: date, clock: time, zone: tzinfo | None) -> list[float]:
    """Return the moments of a day at which the wall clock shows a time: one, or two where the clock is put back."""
    wanted = datetime.combine(day, clock)
    # Of a time that is skipped, the two readings lie around the change; of one that is repeated, they are both right.
    early, late = sorted(wanted.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    minutes = (early + _MINUTE * step for step in range(int(late - early) // _MINUTE + 1))
    first = next(moment for moment in minutes if _wall(moment, zone) >= wanted)
    return [first, late] if _wall(late, zone) == wanted else [first]


def _wall(moment: float, zone: tzinfo | None) -> datetime:
    """Return what the wall clock shows, without the time zone."""
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class RateTimetable:
    """Rates by the local time of the week.

    Attributes
    ----------
    entries
        The minute of the week at which each rate begins, from Monday 00:00 on, with the rate: bytes a second, None for
        no limit, 0 for a pause. In order of time, at least one; before the first one, the last one holds.
    text
        As the user wrote it.
    """

    entries: tuple[tuple[int, float | None], ...] = field(repr=False)
    text: str

    @classmethod
    def parse(cls, text: str) -> RateTimetable:
        """Parse entries separated by blanks: ``HH:MM,RATE`` for each day, or ``Mon-HH:MM,RATE`` for one.

        Raises
        ------
        ValueError
            An entry is invalid, or begins when another one does; the message names it.
        """
        rates: dict[int, float | None] = {}
        for entry in text.split():
            minutes, rate = _parse_entry(entry)
            for minute in minutes:
                if minute in rates:
                    raise ValueError(f"expected one rate for each time, found another one in {quote_value(entry)}")
                rates[minute] = rate
        if not rates:
            raise ValueError
        return cls(tuple(sorted(rates.items())), " ".join(text.split()))

    def rate_at(self, moment: float, zone: tzinfo | None = None) -> float | None:
        """Return the rate that holds at a moment.

        Parameters
        ----------
        moment
            Seconds since the epoch.
        zone
            The time zone; None for that of the system.
        """
        now = datetime.fromtimestamp(moment, zone)
        minute = now.weekday() * _DAY + now.hour * 60 + now.minute
        return self.entries[bisect_right(self.entries, minute, key=lambda entry: entry[0]) - 1][1]

    @staticmethod
    def holds(moment: float) -> float:
        """Return the seconds for which `rate_at` holds at the least: until the next whole minute.

        No rate begins and no clock changes within a minute, and a clock that was set is noticed with the next one.
        """
        return _MINUTE - moment % _MINUTE

    @property
    def lowest(self) -> float | None:
        """The lowest rate that is neither a pause nor without limit, in bytes a second; None if there is none."""
        return min((rate for _, rate in self.entries if rate), default=None)

    def __str__(self) -> str:
        return self.text


def _parse_entry(entry: str) -> tuple[list[int], float | None]:
    """Parse an entry into the minutes of the week at which it begins, and its rate."""
    try:
        day, clock, rate = _split_entry(entry)
        begin = parse_clock_time(clock)
        days = range(7) if day is None else [_weekday(day)]
        return [number * _DAY + begin.hour * 60 + begin.minute for number in days], _parse_entry_rate(rate)
    except ValueError:
        expected = "HH:MM,RATE or Mon-HH:MM,RATE with a rate such as 2M, 0 (pause) or off"
        raise ValueError(f"expected {expected}, found {quote_value(entry)}") from None


def _split_entry(entry: str) -> tuple[str | None, str, str]:
    """Return the day of the week, None for each day, the time and the rate."""
    if not (found := _ENTRY.fullmatch(entry)):
        raise ValueError
    return found[1], found[2], found[3]


def _weekday(word: str) -> int:
    """Return the number of a day by its name or the first three letters of it, Monday being 0."""
    for number, name in enumerate(_DAYS):
        if word.lower() in {name, name[:3]}:
            return number
    raise ValueError


def _parse_entry_rate(text: str) -> float | None:
    if text.lower() == "off":
        return None
    return 0.0 if text == "0" else parse_rate(text)
