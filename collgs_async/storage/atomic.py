"""Write files atomically, and write to standard output, pipes and devices."""

from __future__ import annotations

import errno
import os
import secrets
import select
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from collgs_async.storage.files import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STDOUT", "is_stream", "may_replace", "unwritable_kind", "write_file", "write_whole"]

STDOUT = Path("-")

_READER_WITHIN: Final = 2.0
"""Seconds to wait for a process that opens a pipe for reading."""

_MAX_STALL: Final = 30.0
"""Seconds for which the reader of a pipe may accept nothing."""


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write an output file: a regular file atomically, a pipe or device directly.

    Parameters
    ----------
    path
        Path of the file; ``-`` is standard output. A symbolic link is kept, and its target replaced.
    chunks
        The content.

    Raises
    ------
    OSError
        The disk is full, the folder is missing or read-only, or a pipe has no reader, or one that has closed it or
        accepts nothing.
    """
    if path == STDOUT:
        _write_to_stdout(chunks)
    elif is_stream(path):
        _write_to_stream(path, chunks)
    else:
        write_whole(path.resolve(), chunks)


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file atomically: the old content stays until the new one is on the disk.

    On Linux and most file systems, the temporary file has no name until it is complete, so that not even SIGKILL
    leaves one behind.

    Raises
    ------
    OSError
        The disk is full, or the folder is missing or read-only.
    """
    sibling = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(sibling, "x+b", opener=_open_unnamed) as temporary:
            temporary.writelines(chunks)
            temporary.flush()
            os.fsync(temporary.fileno())
            if os.fstat(temporary.fileno()).st_nlink == 0:
                _link_or_copy(temporary, sibling)
        sibling.replace(path)
    except OSError as error:
        if error.filename == str(sibling):
            error.filename = str(path)  # the name that the user gave
        raise
    finally:
        sibling.unlink(missing_ok=True)


def _open_unnamed(name: str, flags: int) -> int:
    """Open a temporary file without a name; with the given name if the system does not support that."""
    if sys.platform == "linux":
        try:
            return os.open(Path(name).parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:
            pass  # not supported by the file system; a real error, such as a read-only one, is raised again below
    return os.open(name, flags, 0o666)


def _link_or_copy(temporary: BinaryIO, name: Path) -> None:
    fd = temporary.fileno()
    try:
        # With any src_dir_fd, Python uses linkat and follows the link in /proc, the only path to a file without a name.
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=fd)
    except OSError:  # no /proc, or a file system or a policy that forbids it
        temporary.seek(0)
        with name.open("xb") as copy:
            shutil.copyfileobj(temporary, copy)
            copy.flush()
            os.fsync(copy.fileno())


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe or a device, such as ``/dev/stderr``, which must not be replaced."""
    return path.is_fifo() or path.is_char_device()


def unwritable_kind(path: Path) -> str | None:
    """Return what is at a path if no file can be written there: a folder, a socket or a block device; else None."""
    if is_stream(path) or not path.exists():
        return None
    mode = path.stat().st_mode
    return "a block device" if stat.S_ISBLK(mode) else kind_of(mode)


def may_replace(path: Path, beginning: bytes) -> bool:
    """Whether nothing but an earlier result is at a path: no file, an empty one, or one that begins with these bytes.

    Results that each run writes anew are overwritten without a question; a configuration or a plan must not be.
    """
    if not path.is_file():
        return True
    try:
        with path.open("rb") as file:
            found = file.read(len(beginning))
    except OSError:
        return True  # whether it can be written, writing will show
    return found in (b"", beginning)


def _write_to_stream(path: Path, chunks: Iterable[bytes]) -> None:
    """Write to a pipe or a device; its reader cannot block this process without end."""
    descriptor = _open_stream(path)
    try:
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:
                    if not ready.poll(1000 * _MAX_STALL):
                        words = f"its reader has accepted nothing for {_MAX_STALL:.0f} s"
                        raise TimeoutError(errno.ETIMEDOUT, words, str(path)) from None
    finally:
        os.close(descriptor)


def _open_stream(path: Path) -> int:
    until = time.monotonic() + _READER_WITHIN
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                words = "no process reads from it" if error.errno == errno.ENXIO else error.strerror
                raise OSError(error.errno, words, str(path)) from None
        time.sleep(0.05)


def _write_to_stdout(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(chunks)  # JSON is UTF-8, whatever the terminal's encoding (RFC 8259 §8.1)
    sys.stdout.buffer.flush()
