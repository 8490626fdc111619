"""Rates by the time of the week, and when a wall clock shows a time next, across changes of the clock."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from collgs_async.models.timetable import RateTimetable, next_local_time, parse_clock_time

LUXEMBOURG = ZoneInfo("Europe/Luxembourg")
"""Its clocks went from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25."""


def at(text: str) -> float:
    """Return a moment that is written with its offset, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


DAILY = "08:00,2M 18:00,20M 23:00,off"
WEEKLY = "Mon-00:00,512k 12:00,1M fri-23:59,10M Sunday-20:00,off"


@pytest.mark.parametrize(
    ("text", "moment", "rate"),
    [
        (DAILY, "2026-06-03T07:59:59+02:00", None),
        (DAILY, "2026-06-03T08:00:00+02:00", 2e6),
        (DAILY, "2026-06-03T17:59:59+02:00", 2e6),
        (DAILY, "2026-06-03T18:00:00+02:00", 20e6),
        (DAILY, "2026-06-03T23:00:00+02:00", None),
        (DAILY, "2026-06-01T00:00:00+02:00", None),  # a Monday: the last entry of Sunday
        (DAILY, "2026-01-14T07:30:00+00:00", 2e6),  # 08:30 in winter
        (WEEKLY, "2026-06-01T00:00:00+02:00", 512e3),
        (WEEKLY, "2026-06-01T12:00:00+02:00", 1e6),
        (WEEKLY, "2026-06-05T23:58:59+02:00", 1e6),
        (WEEKLY, "2026-06-06T03:00:00+02:00", 10e6),
        (WEEKLY, "2026-06-06T12:00:00+02:00", 1e6),  # an entry without a day is for every one
        (WEEKLY, "2026-06-07T20:00:00+02:00", None),
        ("Wed-08:00,0", "2026-06-01T00:00:00+02:00", 0.0),  # the only entry always holds
        ("02:30,1M 12:00,2M", "2026-03-29T01:59:00+01:00", 2e6),
        ("02:30,1M 12:00,2M", "2026-03-29T03:00:00+02:00", 1e6),  # the clock has skipped 02:30
        ("02:30,1M 12:00,2M", "2026-10-25T02:30:00+02:00", 1e6),
        ("02:30,1M 12:00,2M", "2026-10-25T02:10:00+01:00", 2e6),  # and shows 02:10 once more
    ],
)
def test_the_last_entry_before_the_local_time_holds(text: str, moment: str, rate: float | None) -> None:
    assert rate == RateTimetable.parse(text).rate_at(at(moment), LUXEMBOURG)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8,2M", "8,2M"),
        ("08:00", "08:00"),
        ("24:00,2M", "24:00,2M"),
        ("08:60,2M", "08:60,2M"),
        ("08:00,fast", "08:00,fast"),
        ("08:00,-1", "08:00,-1"),
        ("08:00,2M,3M", "08:00,2M,3M"),
        ("Mo-08:00,2M", "Mo-08:00,2M"),
        ("Mon-Fri-08:00,2M", "Mon-Fri-08:00,2M"),
        ("08:00,2M 18:00,", "18:00,"),
        ("08:00,2M 8:00,3M", "8:00,3M"),
        ("Mon-08:00,2M 08:00,3M", "08:00,3M"),
        ("08:00,2M;18:00,3M", "08:00,2M;18:00,3M"),
        ("٠٨:00,2M", "٠٨:00,2M"),
    ],
)
def test_an_entry_that_is_none_is_named(text: str, found: str) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, found ") as caught:
        RateTimetable.parse(text)

    assert str(caught.value).endswith(f'"{found}"')


def test_a_rate_holds_until_the_next_whole_minute() -> None:
    assert 60.0 == RateTimetable.holds(at("2026-06-03T07:59:00+02:00"))
    assert 0.5 == RateTimetable.holds(at("2026-06-03T07:59:59.500+02:00"))


@pytest.mark.parametrize(
    ("clock", "now", "then"),
    [
        ("06:00", "2026-06-03T22:17:00+02:00", "2026-06-04T06:00:00+02:00"),
        ("06:00", "2026-06-03T05:59:59+02:00", "2026-06-03T06:00:00+02:00"),
        ("06:00", "2026-06-03T06:00:00+02:00", "2026-06-04T06:00:00+02:00"),
        ("06:00", "2026-03-28T22:17:00+01:00", "2026-03-29T06:00:00+02:00"),
        ("06:00", "2026-10-24T22:17:00+02:00", "2026-10-25T06:00:00+01:00"),
        ("02:30", "2026-03-28T22:17:00+01:00", "2026-03-29T03:00:00+02:00"),  # skipped
        ("02:30", "2026-03-29T03:10:00+02:00", "2026-03-30T02:30:00+02:00"),
        ("02:30", "2026-10-24T22:17:00+02:00", "2026-10-25T02:30:00+02:00"),  # shown twice
        ("02:30", "2026-10-25T02:45:00+02:00", "2026-10-25T02:30:00+01:00"),
        ("02:30", "2026-10-25T02:45:00+01:00", "2026-10-26T02:30:00+01:00"),
        ("00:00", "2026-12-31T23:59:59+01:00", "2027-01-01T00:00:00+01:00"),
    ],
)
def test_a_time_of_the_day_is_the_next_one(clock: str, now: str, then: str) -> None:
    assert at(then) == next_local_time(parse_clock_time(clock), at(now), LUXEMBOURG)


@pytest.mark.parametrize(("text", "clock"), [("06:00", time(6)), (" 6:05 ", time(6, 5)), ("23:59", time(23, 59))])
def test_a_time_of_the_day_is_read(text: str, clock: time) -> None:
    assert clock == parse_clock_time(text)


@pytest.mark.parametrize("text", ["", "6", "24:00", "06:60", "06:00:00", "6 pm", "-1:00", "06:00Z", "٠٦:٠٠"])
def test_a_time_of_the_day_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a time of the day such as 06:00, found "):
        parse_clock_time(text)
