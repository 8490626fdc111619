"""Measure text in the columns that a terminal needs for it, and shorten, pad and wrap it by these.

A wide character, as in Chinese or Japanese, takes two columns, and a combining mark none (Unicode Standard Annex 11).
Where terminals disagree, as about flags and emoji, the larger number counts, so that no text is wider than measured.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["cut", "elide", "elide_start", "from_a_letter", "pad", "text_width", "wrap"]

_EMOJI_STYLE: Final = "\ufe0f"
"""Makes a narrow character before it a wide one, so that it counts as a column itself."""

_WIDE: Final = (
    range(0x2630, 0x2638),  # trigrams, digrams and tetragrams: wide since Unicode 16
    range(0x268A, 0x2690),
    range(0x4DC0, 0x4E00),
    range(0x1D300, 0x1D377),
    range(0x1F1E6, 0x1F200),  # the letters of flags
)
"""Characters that are wide on some terminals only."""


def text_width(text: str) -> int:
    """Return the columns that a text takes; of control characters, one each."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(letter: str) -> int:
    if letter == _EMOJI_STYLE:
        return 1
    if unicodedata.category(letter) in {"Mn", "Me"}:
        return 0
    if unicodedata.east_asian_width(letter) in {"W", "F"} or any(ord(letter) in letters for letters in _WIDE):
        return 2
    return 1


def cut(text: str, width: int) -> str:
    """Return the beginning of a text that fits into `width` columns."""
    if text.isascii():
        return text[:width]
    taken = 0
    for at, letter in enumerate(text):
        taken += _width(letter)
        if taken > width:
            return text[:at]
    return text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text with spaces to `width` columns, on its right or, with `right`, on its left."""
    space = " " * (width - text_width(text))
    return space + text if right else text + space


def elide(text: str, width: int | None) -> str:
    """Replace the middle of a text with ``…`` when it takes more than `width` columns (1 or more; None: any)."""
    if width is None or text_width(text) <= width:
        return text
    tail = (width - 1) // 2
    end = from_a_letter(cut(text[::-1], tail)[::-1])
    return f"{cut(text, width - 1 - tail)}…{end}"


def elide_start(text: str, width: int) -> str:
    """Replace the beginning of a text with ``…`` when it takes more than `width` columns (1 or more)."""
    if text_width(text) <= width:
        return text
    return f"…{from_a_letter(cut(text[::-1], width - 1)[::-1])}"


def from_a_letter(text: str) -> str:
    """Drop marks at the beginning, which belong to no letter: a terminal puts them onto whatever stands before."""
    for at, letter in enumerate(text):
        if _width(letter):
            return text[at:]
    return ""


def wrap(text: str, width: int) -> list[str]:
    """Break a line between words so that each part fits into `width` columns, but never within a word.

    A longer word, such as a URL or a path, has a line of its own. Further lines are indented by two spaces more than
    the first.
    """
    if text_width(text) <= width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines, line = [], indent
    for word in text.split(" "):
        joined = f"{line} {word}" if line.strip() else line + word
        if line.strip() and text_width(joined) > width:
            lines.append(line.rstrip(" "))
            line = f"{indent}  {word}"
        else:
            line = joined
    return [*lines, line]
