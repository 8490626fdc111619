"""Amounts as people read and write them."""

from __future__ import annotations

import re

import pytest

from collgs_async.models.text import (
    format_bytes,
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_rate,
    plural,
)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("0 requests", (0, "request")),
        ("1 request", (1, "request")),
        ("2 requests", (2, "request")),
        ("1 entry", (1, "entry", "entries")),
        ("3 entries", (3, "entry", "entries")),
    ],
)
def test_a_noun_follows_its_count(expected: str, words: tuple[int, str, str]) -> None:
    assert expected == plural(*words)


def test_an_estimated_whole_is_marked() -> None:
    assert "3.4/~14.1 GB" == format_share(3.4e9, 14.1e9, estimated=True)


@pytest.mark.parametrize(
    ("expected", "amount"),
    [
        ("0 B", 0),
        ("12 B", 12),
        ("999 B", 999),
        ("1.0 kB", 1000),
        ("512 kB", 512_000),
        ("99.9 kB", 99_940),
        ("100 kB", 99_960),
        ("1.0 MB", 999_600),
        ("812 MB", 812_345_678),
        ("3.4 GB", 3.4e9),
        ("14.1 GB", 14.1e9),
        ("5000 EB", 5e21),
    ],
)
def test_bytes_are_written_with_three_digits(expected: str, amount: float) -> None:
    assert expected == format_bytes(amount)


@pytest.mark.parametrize(
    ("expected", "part", "whole"),
    [("3.4/14.1 GB", 3.4e9, 14.1e9), ("340/812 MB", 340e6, 812e6), ("0.0/14.1 GB", 12, 14.1e9), ("0/0 B", 0, 0)],
)
def test_a_share_is_written_in_the_unit_of_the_whole(expected: str, part: float, whole: float) -> None:
    assert expected == format_share(part, whole)


def test_a_rate_is_written_in_bytes_a_second() -> None:
    assert "85.3 MB/s" == format_rate(85_300_000)


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [("00:00", 0), ("00:59", 59.9), ("02:05", 125), ("1:02:05", 3725), ("139:00:00", 139 * 3600)],
)
def test_a_duration_is_written_as_a_clock_would(expected: str, seconds: float) -> None:
    assert expected == format_duration(seconds)


@pytest.mark.parametrize(
    ("expected", "text"),
    [(1, "1"), (500_000, "500k"), (500_000, "500K"), (20e6, "20M"), (1.5e9, "1.5g"), (7, " 7 ")],
)
def test_a_rate_is_read_with_its_suffix(expected: float, text: str) -> None:
    assert expected == parse_rate(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [(0, "0"), (90, "90"), (1.5, "1.5"), (45, "45s"), (900, "15m"), (900, "15 min"), (7200, "2H"), (86400, " 1d ")],
)
def test_a_length_of_time_is_read_with_its_unit(expected: float, text: str) -> None:
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["", "-1", "15 minutes", "1h30", "1:30", "1e3", "inf", "nan", "9" * 400, "٣"])
def test_a_length_of_time_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected seconds, or a number with m, h or d such as 15m, found "):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "0", "0k", "-1", "20MB", "20 M", "1e6", "inf", "nan", "fast", "9" * 400, "٣"])
def test_a_rate_that_is_none_is_refused_with_an_example(text: str) -> None:
    message = f"expected bytes a second such as 500k, 20M or 1G, found {text!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_rate(text)
