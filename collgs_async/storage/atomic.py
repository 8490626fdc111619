"""Write files atomically, and write to standard output, pipes and devices."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STDOUT", "is_stream", "write_file", "write_whole"]

STDOUT = Path("-")


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
        The disk is full, the folder is missing or read-only, or the reader of a pipe has closed it.
    """
    if path == STDOUT:
        _write_to_stdout(chunks)
    elif is_stream(path):
        with path.open("wb") as stream:
            stream.writelines(chunks)
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
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_to_stdout(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(chunks)  # JSON is UTF-8, whatever the terminal's encoding (RFC 8259 §8.1)
    sys.stdout.buffer.flush()
