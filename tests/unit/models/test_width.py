"""Columns that a text takes on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from collgs_async.models.width import cut, elide, pad, text_width, wrap

letters = st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("漢é️🇱🇺👩🚀❤ก็a ")
texts = st.text(letters, max_size=40)


@pytest.mark.parametrize(
    ("width", "text"),
    [(0, ""), (3, "abc"), (2, "é!"), (4, "漢字"), (4, "ＡＢ"), (4, "🇱🇺"), (2, "❤️"), (1, "…"), (1, "█")],
)
def test_columns_are_counted(width: int, text: str) -> None:
    assert width == text_width(text)


@given(texts)
def test_no_text_takes_more_columns_than_counted(text: str) -> None:
    assert text_width(text) >= wcswidth(text)


@given(texts, st.integers(1, 50))
def test_a_text_is_cut_at_the_width_and_never_earlier(text: str, width: int) -> None:
    start = cut(text, width)
    assert text.startswith(start)
    assert text_width(start) <= width
    assert start == text or text_width(text[: len(start) + 1]) > width


@given(texts, st.integers(1, 50))
def test_an_elided_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    short = elide(text, width)
    assert text_width(short) <= width
    head, _, tail = short.rpartition("…")
    assert short == text or (text.startswith(head) and text.endswith(tail))
    assert short == text or text_width(short) >= width - 2


@given(texts, st.integers(0, 50), st.booleans())
def test_a_padded_text_has_the_width(text: str, width: int, right: bool) -> None:
    padded = pad(text, width, right=right)
    assert max(width, text_width(text)) == text_width(padded)
    assert text.strip() == padded.strip()


@given(st.lists(texts.filter(lambda text: " " not in text), max_size=12), st.integers(8, 40))
def test_a_line_breaks_between_words_only(words: list[str], width: int) -> None:
    text = " ".join(words)
    lines = wrap(text, width)
    assert [word for word in words if word] == [word for line in lines for word in line.split(" ") if word]
    assert all(text_width(line) <= width or " " not in line.strip(" ") for line in lines)


def test_further_lines_are_indented_and_long_words_stay_whole() -> None:
    url = "https://store.example/a/very/long/path/to/an/archive.zip"
    assert ["  the archive at", f"    {url}", "    was not found"] == wrap(f"  the archive at {url} was not found", 20)


def test_spaces_within_a_line_that_fits_stay() -> None:
    assert ["  S1    8 downloaded"] == wrap("  S1    8 downloaded", 20)
