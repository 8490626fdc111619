"""What all that read an archive share: exact reads, a way to stop them, and words for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

__all__ = ["Stopped", "check_cancelled", "counted", "exactly", "never", "quoted"]


class Stopped(Exception):  # noqa: N818 - nothing is wrong with the archive: the caller asked to stop
    """`stop()` turned true; the archive was neither accepted nor refused."""


def never() -> bool:
    """Do not stop."""
    return False


def check_cancelled(stop: Callable[[], bool]) -> None:
    """Raise `Stopped` if the caller asks to stop."""
    if stop():
        raise Stopped


def exactly(file: BufferedReader, at: int, length: int) -> bytes:
    """Read so many bytes from an offset on.

    Raises
    ------
    IntegrityError
        The file ends before.
    """
    file.seek(at)
    data = file.read(length)
    if len(data) != length:
        raise IntegrityError(f"the file ends within the {counted(length, 'byte')} from byte {at} on")
    return data


def quoted(name: str) -> str:
    """Quote a name for a message of one line, whatever characters it holds and however long it is."""
    return repr(name if len(name) <= 200 else f"…{name[-199:]}")


def counted(count: int, noun: str) -> str:
    """Write an amount with its noun, such as ``1 byte`` or ``3 members``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
