"""Read a file here and there, and compute the digest of all of it in the same pass."""

from __future__ import annotations

from io import BufferedReader
from typing import TYPE_CHECKING, Any, Final

from collgs_async.storage.archive_reading import check_cancelled, never

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

__all__ = ["HashedReader", "open_hashed"]

_BLOCK: Final = 2**20


class HashedReader(BufferedReader):
    """A file whose bytes reach a digest in order, each once, whatever is read of them.

    Bytes that are skipped are read when something behind them is; so a reader that goes forward, apart from short
    steps back, reads the file once.

    Parameters
    ----------
    raw
        The file, at its beginning.
    digest
        An object of `hashlib`.
    stop
        Called before every block of skipped bytes; returns True to cancel.
    """

    def __init__(self, raw: FileIO, digest: Any, stop: Callable[[], bool] = never) -> None:
        super().__init__(raw)
        self._digest = digest
        self._stop = stop
        self._end = 0
        """Offset behind the last byte that the digest has."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any other file does."""
        at = self.tell()
        data = super().read(size)
        self._take(at, memoryview(data))
        return data

    def readinto(self, buffer: Any, /) -> int:
        """Read as any other file does."""
        at = self.tell()
        count = super().readinto(buffer)
        self._take(at, memoryview(buffer)[:count])
        return count

    def finish(self) -> None:
        """Read to the end of the file."""
        self._catch_up(None)

    def _take(self, at: int, data: memoryview) -> None:
        if at > self._end:
            here = self.tell()
            self._catch_up(at)
            self.seek(here)
        if at + len(data) > self._end >= at:  # nothing was skipped, unless the file has become shorter meanwhile
            self._digest.update(data[self._end - at :])
            self._end = at + len(data)

    def _catch_up(self, end: int | None) -> None:
        self.seek(self._end)
        while end is None or self._end < end:
            check_cancelled(self._stop)
            block = super().read(_BLOCK if end is None else min(_BLOCK, end - self._end))
            if not block:
                break
            self._digest.update(block)
            self._end += len(block)


def open_hashed(path: Path, digest: Any, stop: Callable[[], bool]) -> BufferedReader:
    """Open a file for reading: a `HashedReader` if there is a digest, else an ordinary one."""
    return path.open("rb") if digest is None else HashedReader(path.open("rb", buffering=0), digest, stop)
