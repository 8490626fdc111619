"""Ranges against the plainest thing that could do the same: a set of the positions of all bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.storage.ranges import ByteRanges

MOST = 40

SPANS = st.lists(st.tuples(st.integers(0, MOST), st.integers(0, MOST)), max_size=8)
"""Ranges in any order that may touch, overlap, be empty or run backwards."""

POSITIONS = st.integers(0, MOST)
checked = settings(deadline=None, derandomize=True, max_examples=100)


def positions(spans: list[tuple[int, int]]) -> set[int]:
    return {position for first, end in spans for position in range(first, end)}


def assert_holds(expected: set[int], found: ByteRanges) -> None:
    """These bytes and no others, as ranges in order with a gap between any two."""
    spans = list(found)
    assert expected == positions(spans)
    assert all(first < end for first, end in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


@checked
@given(SPANS)
def test_what_was_added_is_here(spans: list[tuple[int, int]]) -> None:
    assert_holds(positions(spans), ByteRanges(spans))


@checked
@given(SPANS, POSITIONS, POSITIONS)
def test_what_was_removed_is_not_here_and_all_else_is(spans: list[tuple[int, int]], first: int, end: int) -> None:
    ranges = ByteRanges(spans)

    ranges.remove(first, end)

    assert_holds(positions(spans) - set(range(first, end)), ranges)


@checked
@given(st.lists(st.tuples(st.booleans(), POSITIONS, POSITIONS), max_size=20))
def test_any_order_of_adding_and_removing_does_as_a_set_does(steps: list[tuple[bool, int, int]]) -> None:
    ranges, expected = ByteRanges(), set[int]()

    for adds, first, end in steps:
        if adds:
            ranges.add(first, end)
            expected |= set(range(first, end))
        else:
            ranges.remove(first, end)
            expected -= set(range(first, end))

        assert_holds(expected, ranges)


@checked
@given(SPANS)
def test_total_prefix_and_end_count_bytes(spans: list[tuple[int, int]]) -> None:
    ranges, here = ByteRanges(spans), positions(spans)

    assert len(here) == ranges.total
    assert next(position for position in range(MOST + 1) if position not in here) == ranges.prefix
    assert max(here, default=-1) + 1 == ranges.end


@checked
@given(SPANS, st.integers(0, MOST + 10))
def test_gaps_are_what_is_missing_of_a_file_of_that_size(spans: list[tuple[int, int]], size: int) -> None:
    gaps = ByteRanges(spans).gaps(size)

    assert_holds(set(range(size)) - positions(spans), ByteRanges(gaps))
    assert list(ByteRanges(gaps)) == gaps


@checked
@given(SPANS, st.integers(0, MOST + 10), st.integers(0, MOST + 10))
def test_pieces_of_a_range_follow_each_other_and_are_wholly_here_or_not(
    spans: list[tuple[int, int]], first: int, end: int
) -> None:
    here, position, before = positions(spans), first, None

    for low, high, held in ByteRanges(spans).split(first, end):
        assert position == low < high
        assert {held} == {byte in here for byte in range(low, high)}
        assert held is not before
        position, before = high, held

    assert max(first, end) == position


@checked
@given(SPANS, st.integers(0, MOST + 10), st.integers(0, MOST + 10))
def test_reaching_back_goes_as_far_as_bytes_are_here_without_a_gap(
    spans: list[tuple[int, int]], position: int, most: int
) -> None:
    here, expected = positions(spans), position
    while expected - 1 in here and position - expected < most:
        expected -= 1

    assert expected == ByteRanges(spans).held_before(position, most)


@checked
@given(SPANS, SPANS)
def test_equal_means_the_same_bytes(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    assert (positions(one) == positions(other)) is (ByteRanges(one) == ByteRanges(other))


@checked
@given(SPANS)
def test_iterating_gives_what_makes_the_same_ranges_again(spans: list[tuple[int, int]]) -> None:
    assert ByteRanges(spans) == ByteRanges(ByteRanges(spans))


def test_ranges_are_shown_and_change_and_so_are_no_key() -> None:
    ranges = ByteRanges([(5, 9), (0, 3)])

    assert "ByteRanges([(0, 3), (5, 9)])" == repr(ranges)
    assert ranges != [(0, 3), (5, 9)]
    with pytest.raises(TypeError):
        hash(ranges)
