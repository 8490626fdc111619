"""Helpers for reading archives: exact reads, cancellation, and wording of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

__all__ = ["Stopped", "check_cancelled", "exactly", "never", "quoted"]


class Stopped(Exception):  # noqa: N818 - not an error of the archive: the caller cancelled
    """`stop()` returned True; the archive was neither accepted nor rejected."""


def never() -> bool:
    """Return False; the default for `stop`."""
    return False


def check_cancelled(stop: Callable[[], bool]) -> None:
    """Raise `Stopped` if `stop()` returns True."""
    if stop():
        raise Stopped


def exactly(file: BufferedReader, at: int, length: int) -> bytes:
    """Read exactly `length` bytes at an offset.

    Raises
    ------
    IntegrityError
        The file is too short.
    """
    file.seek(at)
    data = file.read(length)
    if len(data) != length:
        raise IntegrityError(f"the file ends within the {plural(length, 'byte')} from byte {at} on")
    return data


def quoted(name: str) -> str:
    """Quote a name for a one-line message; unprintable characters are escaped, long names truncated."""
    return repr(name if len(name) <= 200 else f"…{name[-199:]}")
