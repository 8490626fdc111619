"""Lists that are longer than what a catalogue gives of them are read by spans of sensing time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.listings import NEWEST, Item, Listing, collected, mixed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RecordedSleeps

LENGTH, WINDOW = 130, 40

TOTALS = {
    "right": lambda _, found, __: len(found),
    "none": lambda _, __, ___: None,
    "capped": lambda _, found, __: min(len(found), WINDOW),
}


def scenes(*, together: int = 1, timeless: int = 0) -> list[Item]:
    """So many of one sensing time each, the newest first, and some without a time."""
    timed = [Item(f"P{number:05}", NEWEST - number // together * timedelta(hours=1)) for number in range(LENGTH)]
    return timed + [Item(f"N{number}") for number in range(timeless)]


@pytest.mark.parametrize("order", ["newest first", "oldest first", "any"])
@pytest.mark.parametrize(
    ("beyond", "total"),
    [
        (400, "right"),
        (500, "right"),
        ("empty", "right"),
        ("last", "right"),
        (400, "none"),
        (400, "capped"),
        ("last", "none"),
    ],
)
@pytest.mark.parametrize("timeless", [0, 3])
async def test_what_lies_beyond_the_window_comes_by_spans_of_time(
    tmp_path: Path, sleeps: RecordedSleeps, order: str, beyond: int | str, total: str, timeless: int
) -> None:
    items = scenes(together=7 if timeless else 1, timeless=timeless)
    items = {"newest first": items, "oldest first": items[::-1], "any": mixed(items)}[order]
    catalogue = Listing(items, window=WINDOW, beyond=beyond, total=TOTALS[total])

    came, error = await collected(catalogue, tmp_path, sleeps)

    assert error is None
    assert {item.name for item in items} == set(came)
    assert len(items) == len(came)
    assert len(catalogue.asked) <= 100


async def test_newest_first_costs_hardly_more_than_reading_through(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(scenes(), window=WINDOW)

    came, error = await collected(catalogue, tmp_path, sleeps)

    assert (LENGTH, None) == (len(came), error)
    assert len(catalogue.asked) <= 1.6 * LENGTH / 9


async def test_spans_stay_within_what_was_asked_for(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(scenes(), window=WINDOW)
    start, end = "2025-05-28T00:00:00.000Z", "2025-05-31T00:00:00.000Z"

    came, error = await collected(catalogue, tmp_path, sleeps, timeStart=start, timeEnd=end)

    assert error is None
    assert 73 == len(came)
    assert all(start <= query["timeStart"] <= query["timeEnd"] <= end for query in catalogue.asked)


@pytest.mark.parametrize("asked", [{"startIndex": 2}, {"timeRelation": "during", "timeStart": "2000-01-01"}])
async def test_search_that_cannot_be_divided_ends_in_the_servers_words(
    tmp_path: Path, sleeps: RecordedSleeps, asked: dict[str, object]
) -> None:
    catalogue = Listing(scenes(), window=WINDOW)

    came, error = await collected(catalogue, tmp_path, sleeps, **asked)

    assert 0 < len(came) < LENGTH
    assert "the catalogue answered HTTP 400: no further" == str(error)


async def test_more_of_one_moment_than_the_window_has_is_told(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(scenes(together=100), window=WINDOW, beyond="empty")

    came, error = await collected(catalogue, tmp_path, sleeps)

    assert len(set(came)) == len(came) < LENGTH
    assert error is not None
    assert len(catalogue.asked) <= 300


async def test_a_count_that_is_always_too_large_is_told_of_the_whole_list(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    items = scenes()[:30]
    catalogue = Listing(items, total=lambda _, found, __: len(found) + 7)

    came, error = await collected(catalogue, tmp_path, sleeps)

    assert len(items) == len(came)
    assert "30 of 37 results came, by the catalogue's count, also when it was asked by spans of time" == str(error)


async def test_products_without_times_beyond_the_window_are_told(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing([Item(f"P{number}") for number in range(100)], window=WINDOW, beyond="empty")

    came, error = await collected(catalogue, tmp_path, sleeps)

    assert WINDOW == len(came)
    assert "40 of 100 results came" in str(error)


@pytest.mark.parametrize("there", [1000, 1300])
async def test_count_that_may_be_the_most_that_is_counted_is_looked_behind(
    tmp_path: Path, sleeps: RecordedSleeps, there: int
) -> None:
    items = [Item(f"P{number:05}", NEWEST - number * timedelta(hours=1)) for number in range(there)]
    catalogue = Listing(items, 100, window=1000, beyond="empty", total=lambda _, found, __: min(len(found), 1000))

    came, error = await collected(catalogue, tmp_path, sleeps, page_size=100)

    assert (there, None) == (len(came), error)
    assert len(catalogue.asked) <= 24


async def test_count_that_cannot_be_looked_behind_is_told(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    items = [Item(f"P{number:05}") for number in range(1300)]
    catalogue = Listing(items, 100, window=1000, beyond="empty", total=lambda _, found, __: min(len(found), 1000))

    came, error = await collected(catalogue, tmp_path, sleeps, page_size=100)

    assert 1000 == len(came)
    assert "the catalogue gave 1000 results, and whether it has more of them cannot be known" == str(error)


@pytest.mark.parametrize("order", ["newest first", "oldest first", "any"])
@pytest.mark.parametrize(("cap", "page_size"), [(100, 100), (100, 50), (200, 100), (300, 100)])
async def test_a_count_that_ends_at_any_round_number_is_looked_behind(
    tmp_path: Path, sleeps: RecordedSleeps, order: str, cap: int, page_size: int
) -> None:
    items = [Item(f"P{number:05}", NEWEST - number * timedelta(hours=1)) for number in range(340)]
    items = {"newest first": items, "oldest first": items[::-1], "any": mixed(items)}[order]
    catalogue = Listing(items, 100, window=cap, beyond="empty", total=lambda _, found, __: min(len(found), cap))

    came, error = await collected(catalogue, tmp_path, sleeps, page_size=page_size)

    assert ({item.name for item in items}, 340, None) == (set(came), len(came), error)
    assert len(catalogue.asked) <= 60


@pytest.mark.parametrize("there", [100, 200, 300])
@pytest.mark.parametrize("falling", [True, False])
async def test_a_list_that_does_end_at_a_round_number_costs_a_request_or_two_more(
    tmp_path: Path, sleeps: RecordedSleeps, there: int, falling: bool
) -> None:
    items = [Item(f"P{number:05}", NEWEST - number * timedelta(hours=1)) for number in range(there)]
    catalogue = Listing(items if falling else items[::-1], 100)

    came, error = await collected(catalogue, tmp_path, sleeps, page_size=100)

    assert (there, None) == (len(came), error)
    assert len(catalogue.asked) <= there // 100 + 1 + 2


@pytest.mark.parametrize("asked", [{}, {"startIndex": 1, "count": 100}])
async def test_a_round_number_that_cannot_be_looked_behind_is_believed(
    tmp_path: Path, sleeps: RecordedSleeps, asked: dict[str, object]
) -> None:
    catalogue = Listing([Item(f"P{number:05}") for number in range(100)], 100)

    came, error = await collected(catalogue, tmp_path, sleeps, page_size=100, **asked)

    assert (100, None) == (len(came), error)
    assert len(catalogue.asked) <= 3
