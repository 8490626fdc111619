"""Spans cover the time axis, are cut where products are known to be, and are listed in order of importance."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.mirror.spans import (
    DAY,
    OPEN,
    WHOLE,
    Span,
    by_age,
    clipped,
    cut,
    first_division,
    halves,
    has_any,
    joined,
    merged,
    pages_of,
    urgent,
    years,
)

NOW = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp()) * 1000
TIMES = st.lists(st.integers(NOW - 3000 * DAY, NOW), max_size=300).map(sorted)
CROWDED = st.lists(st.integers(NOW - 20_000, NOW), max_size=300).map(sorted)


def covers(spans: list[Span], span: Span) -> bool:
    inner = all(one.last == two.first for one, two in pairwise(spans))
    return inner and (spans[0].first, spans[-1].last) == (span.first, span.last)


@given(starts=TIMES | CROWDED, page=st.integers(1, 100))
def test_a_cut_span_covers_the_same_time(starts: list[int], page: int) -> None:
    parts = cut(replace(WHOLE, surplus=3, settled=NOW), starts, page)
    assert covers(parts, WHOLE)
    assert all(part.first < part.last for part in parts)
    assert sum(part.total or 0 for part in parts) == len(starts)
    assert sum(part.surplus for part in parts) == 3
    assert {part.settled for part in parts} == {NOW}


@given(starts=TIMES, page=st.integers(2, 100))
def test_no_part_has_more_than_its_share_of_a_page_unless_times_are_equal(starts: list[int], page: int) -> None:
    for part in cut(WHOLE, starts, page):
        inside = starts[bisect_left(starts, part.first) : bisect_left(starts, part.last)]
        assert len(inside) == part.total
        seconds = {moment // 1000 for moment in inside}
        assert len(inside) <= max(1, int(page * 0.6)) or len(seconds) <= 2


@given(starts=TIMES | CROWDED, counted=st.booleans())
def test_halves_cover_the_same_time_and_are_smaller(starts: list[int], counted: bool) -> None:
    span = Span(NOW - 4000 * DAY, OPEN, settled=NOW)
    parts = halves(span, starts, WHOLE, counted=counted)
    assert covers(parts, span)
    assert len(parts) == 2
    assert [part.settled for part in parts] == [NOW, NOW]


def test_a_second_cannot_be_halved() -> None:
    span = Span(NOW, NOW + 1000)
    assert halves(span, [NOW + 1, NOW + 2], WHOLE, counted=True) == [span]


def test_halves_lie_within_the_times_that_are_asked_for() -> None:
    bounds = Span(NOW - 2 * DAY, NOW)
    one, two = halves(WHOLE, [], bounds, counted=True)
    assert bounds.first < one.last == two.first < bounds.last


def test_repeated_halving_ends() -> None:
    waiting, count = [WHOLE], 0
    while waiting:
        span = waiting.pop()
        parts = halves(span, [NOW + 1, NOW + 2], WHOLE, counted=False)
        count += 1
        waiting += [part for part in parts if len(parts) > 1 and has_any(part, [NOW + 1])]
    assert count < 60


@pytest.mark.parametrize(
    ("total", "page", "requests"), [(0, 20, 1), (20, 20, 1), (21, 20, 2), (39, 20, 2), (40, 20, 3), (None, 20, 1)]
)
def test_pages_overlap_by_one_product(total: int | None, page: int, requests: int) -> None:
    assert pages_of(total, page) == requests


def test_the_first_division_is_by_years_within_the_times_asked_for() -> None:
    assert covers(first_division(NOW), WHOLE)
    assert len(first_division(NOW)) == 12
    assert first_division(NOW, Span(NOW - 30 * DAY, OPEN)) == [WHOLE]


@given(starts=TIMES, page=st.integers(2, 60))
def test_years_are_runs_of_neighbours_that_cover_everything(starts: list[int], page: int) -> None:
    spans = cut(WHOLE, starts, page)
    runs = [joined(run) for run in years(spans, NOW)][::-1]
    assert covers(runs, WHOLE)
    assert sum(run.total or 0 for run in runs) == len(starts)


@given(starts=TIMES, page=st.integers(2, 60), data=st.data())
def test_merged_spans_are_neighbours_of_a_few_pages(starts: list[int], page: int, data: st.DataObject) -> None:
    spans = cut(WHOLE, starts, page)
    chosen = data.draw(st.lists(st.sampled_from(spans), unique=True))
    groups = merged(chosen, page)
    for group in groups:
        inner = [span for span in chosen if group.first <= span.first and span.last <= group.last]
        assert covers(sorted(inner, key=lambda span: span.first), group)
        assert len(inner) == 1 or pages_of(group.total, page) <= 10
    assert sum(group.total or 0 for group in groups) == sum(span.total or 0 for span in chosen)


def test_spans_that_were_never_read_are_not_merged() -> None:
    spans = [Span(0, 1), Span(1, 2)]
    assert merged(spans, 20) == spans


def test_unread_spans_come_first_then_those_in_doubt_then_the_last_weeks() -> None:
    unread, doubtful = Span(-OPEN, 0), Span(0, DAY, total=5, settled=1)
    quiet, recent = Span(DAY, NOW - 40 * DAY, total=5, settled=1), Span(NOW - 40 * DAY, OPEN, total=5, settled=2)
    order = urgent([unread, doubtful, quiet, recent], NOW, 30 * DAY, {doubtful})
    assert order == [[unread], [doubtful], [recent]]


@given(ages=st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True), pages=st.integers(0, 30))
def test_the_oldest_listings_come_next_as_many_as_fit(ages: list[int], pages: int) -> None:
    spans = [Span(at, at + 1, total=12, listed=age, settled=age) for at, age in enumerate(ages)]
    chosen = by_age(spans, 60, pages, 20)
    assert [span.settled for span in chosen] == sorted(age for age in ages if age != 60)[: len(chosen)]
    assert sum(pages_of(span.total, 20) for span in merged(chosen, 20)) <= max(pages * 2, 1)
    if pages >= 60:
        assert len(chosen) == len([age for age in ages if age != 60])


def test_spans_before_a_moving_begin_are_left_out() -> None:
    spans = [Span(-OPEN, 10), Span(10, 20), Span(20, OPEN)]
    assert clipped(spans, Span(15, OPEN)) == spans[1:]
    assert clipped([], Span(15, OPEN)) == [WHOLE]
    assert clipped(spans, WHOLE) == spans


def test_a_time_counts_for_the_span_that_begins_with_it() -> None:
    assert has_any(Span(10, 20), [10])
    assert not has_any(Span(10, 20), [9, 20])
    assert not has_any(Span(10, 20), [])
