"""Helpers for reading archives: exact reads, cancellation, and wording of messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from collgs_async.storage.ranges import ByteRanges

__all__ = ["MissingBytesError", "SparseFile", "Stopped", "check_cancelled", "exactly", "never", "quoted"]


class Stopped(Exception):  # noqa: N818 - not an error of the archive: the caller cancelled
    """`stop()` returned True; the archive was neither accepted nor rejected."""


class MissingBytesError(Exception):
    """Bytes of an incomplete archive are needed that are not here yet.

    Parameters
    ----------
    first, end
        Offsets of the first byte, and of the first byte after the last one; never an empty range.
    """

    def __init__(self, first: int, end: int) -> None:
        self.first, self.end = first, end
        super().__init__(f"bytes {first} to {end - 1} are not here yet")


class SparseFile:
    """An open archive that may have gaps, of which no byte is ever read.

    Parameters
    ----------
    file
        The file; it has the length of the whole archive, unless `base` is positive.
    held
        Ranges of the archive's bytes that are here; None: all of them.
    base
        Offset in the archive of the file's first byte; nothing before it can be read.

    Attributes
    ----------
    length
        Length of the whole archive in bytes.
    """

    def __init__(self, file: BinaryIO, held: ByteRanges | None = None, base: int = 0) -> None:
        self._file, self.held, self.base = file, held, base
        self.length = base + file.seek(0, os.SEEK_END)
        self._position = 0

    def require(self, first: int, end: int) -> None:
        """Raise unless all bytes of a range are here; what is beyond the end of the archive is not looked for.

        Raises
        ------
        MissingBytesError
            With the part of the range that has to be fetched, as one range.
        """
        if self.held is None:
            return
        if missing := [piece for piece in self.held.split(first, min(end, self.length)) if not piece[2]]:
            raise MissingBytesError(missing[0][0], missing[-1][1])

    def seek(self, at: int) -> int:
        """Set the position of the next read, in bytes from the beginning of the archive."""
        self._position = at
        return at

    def read(self, length: int) -> bytes:
        """Read up to `length` bytes; fewer at the end of the archive only.

        Raises
        ------
        MissingBytesError
            Not all of them are here.
        """
        self.require(self._position, self._position + length)
        self._file.seek(self._position - self.base)
        data = self._file.read(length)
        self._position += len(data)
        return data


def never() -> bool:
    """Return False; the default for `stop`."""
    return False


def check_cancelled(stop: Callable[[], bool]) -> None:
    """Raise `Stopped` if `stop()` returns True."""
    if stop():
        raise Stopped


def exactly(file: BinaryIO | SparseFile, at: int, length: int) -> bytes:
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
