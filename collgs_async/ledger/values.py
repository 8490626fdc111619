"""Values that SQLite can hold, of what servers and files say."""

from __future__ import annotations

from collgs_async.models.redaction import without_userinfo
from collgs_async.models.text import printable

__all__ = ["as_integer", "as_line", "as_text"]

_GREATEST = 2**63 - 1
_LONGEST_LINE = 500


def as_text(text: str) -> str:
    """Return text that UTF-8 can hold: half a character of JSON becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_line(text: str) -> str:
    """Return a message as one printable line of at most 500 characters, without passwords in its URLs."""
    line = as_text(printable(without_userinfo(text)))
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def as_integer(number: object) -> int | None:
    """Return a whole number that is not negative and fits 64 bits; None for anything else."""
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    return number if is_whole and 0 <= number <= _GREATEST else None  # type: ignore[operator,return-value]  # it is an int
