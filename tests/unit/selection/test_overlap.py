"""How much of one footprint lies in another, against rectangles whose answer is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.selection.overlap import overlap_fraction
from tests.support.selection import box

checked = settings(deadline=None, derandomize=True, max_examples=100)


def rolled(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


SPANS = st.tuples(st.integers(-20, 20), st.integers(1, 20)).map(lambda span: (span[0], span[0] + span[1]))


def meet(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


@checked
@given(SPANS, SPANS, SPANS, SPANS, st.sampled_from([0, 6, 179, 180, -171]))
def test_rectangles_share_what_they_share_on_any_meridian(
    x: tuple[int, int], y: tuple[int, int], x2: tuple[int, int], y2: tuple[int, int], meridian: int
) -> None:
    """Some of them cross the antimeridian, in the habit of the ring that jumps from 179 to -179."""
    expected = meet(x, x2) * meet(y, y2) / ((x[1] - x[0]) * (y[1] - y[0]))

    share = overlap_fraction(
        box(rolled(x[0] + meridian), y[0], rolled(x[1] + meridian), y[1]),
        box(rolled(x2[0] + meridian), y2[0], rolled(x2[1] + meridian), y2[1]),
    )

    assert share == pytest.approx(expected, abs=1e-9)


def test_the_way_in_which_a_footprint_crosses_the_antimeridian_does_not_matter() -> None:
    west, east = box(178, -18, 180, -16)["coordinates"], box(-180, -18, -179, -16)["coordinates"]
    habits = [
        box(178, -18, 181, -16),
        box(178, -18, -179, -16),
        box(-182, -18, -179, -16),
        {"type": "MultiPolygon", "coordinates": [west, east]},
    ]

    shares = [overlap_fraction(one, other) for one in habits for other in habits]

    assert shares == pytest.approx([1.0] * len(shares))


def test_slanting_edges_are_followed() -> None:
    square = box(0, 0, 2, 2)
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [0, 2], [0, 0]]]}

    assert 0.5 == overlap_fraction(square, triangle)
    assert 1.0 == overlap_fraction(triangle, square)


@pytest.mark.parametrize(
    "hopeless",
    [
        None,
        {},
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": [[["a", "b"]]]},
        {"type": "Polygon", "coordinates": [[[1], [2]]]},
        {"type": "MultiPolygon", "coordinates": [{}]},
        box(1, 1, 1, 1),
        box(1, 1, 2, 1),
        box(math.nan, 0, 1, 1),
        box(0, 0, math.inf, 1),
        box(0, 0, 1, 1e300),
        box(0, 0, 10**400, 1),
    ],
)
def test_without_two_areas_nothing_is_known(hopeless: dict[str, Any] | None) -> None:
    assert None is overlap_fraction(hopeless, box(0, 0, 1, 1))
    assert None is overlap_fraction(box(0, 0, 1, 1), hopeless)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=20,
)


@checked
@given(st.sampled_from(["Polygon", "MultiPolygon"]), JSON, st.lists(st.lists(st.floats(), min_size=2), max_size=6))
def test_whatever_a_server_sends_is_borne(kind: str, coordinates: Any, ring: list[list[float]]) -> None:
    for footprint in ({"type": kind, "coordinates": coordinates}, {"type": "Polygon", "coordinates": [ring]}):
        for share in (overlap_fraction(footprint, box(0, 0, 1, 1)), overlap_fraction(box(0, 0, 1, 1), footprint)):
            assert share is None or 0 <= share <= 1
