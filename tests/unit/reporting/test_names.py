"""Names of products, shortened for the screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.models.width import text_width
from collgs_async.reporting.names import short_name
from tests.support.products import S1, S2, S3


@pytest.mark.parametrize(
    ("expected", "identifier"),
    [
        ("S2A L2A 2021-09-24 T15SYR", S2),
        ("S2A L2A 2021-09-24 T15SYR", f"{S2}.SAFE"),
        ("S1A IW GRDH 2021-09-29 05:33", S1),
        ("S1B IW SLC 2021-09-29 05:33", S1.replace("S1A_IW_GRDH", "S1B_IW_SLC_")),
        ("S3A OL_1_EFR 2021-09-24 10:12", S3),
        ("short", "short"),
        ("a" * 28, "a" * 28),
        ("aaaaaaaaaaaaaa…bbbbbbbbbbbbb", "a" * 20 + "b" * 20),
        ("a?[31mb", "a\x1b[31mb"),
    ],
)
def test_a_name_is_shortened_to_what_people_look_for(expected: str, identifier: str) -> None:
    assert expected == short_name(identifier)


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_an_unknown_name_is_never_wider_than_asked(identifier: str, width: int) -> None:
    name = short_name(identifier, width)
    assert text_width(name) <= width
    assert len(name) == len(identifier) or len(name) + 2 > width / 2
    assert name.isprintable()
