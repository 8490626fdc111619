"""Outcomes that runs hand in which do not write the ledger: a file of JSON lines for each process.

The first line names the process, the last one says that it has ended. Only whole lines count, and the ledger remembers
how many bytes of a file it has taken in, in the same transaction: so each line is taken in once, whatever is killed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from collgs_async import __version__
from collgs_async.ledger.values import as_integer
from collgs_async.storage.files import is_at, open_regular, write_all
from collgs_async.storage.lock import LockOwner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LONGEST_LINE", "SpoolFile", "SpoolHeader", "SpoolWriter", "is_spool_name", "waiting_files", "whole_lines"]

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}-[0-9]{1,10}-[0-9a-f]{32}\.jsonl")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")

LONGEST_LINE: Final = 2**20
"""Bytes; a longer line is none of this package, and is passed over."""

_READ_AT_ONCE: Final = 2**18


def is_spool_name(name: str) -> bool:
    """Whether a file of this name is one of outcomes."""
    return _NAME.fullmatch(name) is not None


def waiting_files(folder: Path) -> int:
    """Return the number of files of outcomes; 0 where there is no such folder."""
    try:
        return sum(is_spool_name(path.name) for path in folder.iterdir())
    except OSError:
        return 0


class SpoolWriter:
    """Appends lines to the file of this process, which is made with the first line. All methods block.

    Parameters
    ----------
    folder
        The folder of the spool, which exists.
    words
        The command of this run.
    """

    def __init__(self, folder: Path, words: str) -> None:
        self._folder = folder
        self._words = words
        self._path: Path | None = None
        self._descriptor: int | None = None
        self._length = 0

    def append(self, lines: bytes) -> None:
        """Append whole lines.

        Raises
        ------
        OSError
            They cannot be written. What was written of them does not count, unless they are appended again.
        """
        if self._descriptor is None or self._path is None or not is_at(self._descriptor, self._path):
            self._begin()
        self._write(lines)

    def close(self) -> None:
        """Say that nothing more comes, and close the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            line = json.dumps({"ended": _now()}).encode() + b"\n"
            write_all(descriptor, line, self._length)
        finally:
            os.close(descriptor)

    def _begin(self) -> None:
        """Make the file; the one before is closed, since a writer of the ledger has removed it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        owner = LockOwner.here()
        host = _UNSAFE.sub("_", socket.gethostname())[:64] or "_"
        self._path = self._folder / f"{host}-{owner.pid}-{owner.token}.jsonl"
        self._descriptor, self._length = open_regular(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL), 0
        header = {"owner": asdict(owner), "words": self._words, "version": __version__, "begun": _now()}
        self._write(json.dumps(header).encode() + b"\n")

    def _write(self, lines: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101  (for mypy)
        # At the end of what counts: after a full disk, the same lines are written over what was left of them.
        write_all(self._descriptor, lines, self._length)
        self._length += len(lines)


class SpoolHeader:
    """What the first line of a file says of its process.

    Attributes
    ----------
    owner
        None: the line is not readable.
    words, version, begun
        The command, the release and the begin of the run in milliseconds UTC.
    """

    def __init__(self, line: bytes) -> None:
        values: Any = None
        with suppress(ValueError, RecursionError):
            values = json.loads(line)
        read: dict[str, Any] = values if isinstance(values, dict) else {}
        self.owner = LockOwner.parse(json.dumps(read.get("owner")).encode()) if "owner" in read else None
        self.words = str(read.get("words", ""))[:100] or "unknown"
        self.version = str(read.get("version", ""))[:100]
        self.begun = as_integer(read.get("begun")) or 0

    @property
    def is_one(self) -> bool:
        """Whether the line was a header."""
        return self.owner is not None

    @property
    def host(self) -> str:
        """The name of the computer."""
        return self.owner.host.partition(" ")[0] if self.owner else ""


class SpoolFile:
    """A file of outcomes that is being read; a context manager.

    Raises
    ------
    FileError
        On entry: it is no regular file.
    OSError
        On entry: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def __enter__(self) -> SpoolFile:
        self._descriptor = open_regular(self.path, os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def header(self) -> SpoolHeader:
        """Return what the first line says."""
        return SpoolHeader(os.pread(self._descriptor, 4096, 0).partition(b"\n")[0])

    def modified(self) -> float:
        """Return when it was last written: seconds since 1970, by the clock of the file system."""
        return os.fstat(self._descriptor).st_mtime

    def lines(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yield each whole line from an offset on, with the offset of what follows it."""
        return whole_lines(self._descriptor, offset)


def whole_lines(descriptor: int, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield each line that ends with a line feed, with the offset behind it; one that is too long counts as empty."""
    rest, is_too_long = b"", False
    at = offset
    while block := os.pread(descriptor, _READ_AT_ONCE, at):
        at += len(block)
        *lines, rest = (rest + block).split(b"\n")
        behind = at - len(rest) - sum(len(line) + 1 for line in lines)
        for line in lines:
            behind += len(line) + 1
            yield behind, b"" if is_too_long else line
            is_too_long = False
        if len(rest) > LONGEST_LINE:
            rest, is_too_long = b"", True


def _now() -> int:
    return time.time_ns() // 10**6
