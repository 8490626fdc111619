"""Files that are written whole or not at all, and what goes to standard output or a device."""

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
    """Write what a user asked for under a name: a file whole or not at all, a pipe or device as it goes.

    Parameters
    ----------
    path
        A symbolic link stays one, and ``-`` is standard output.
    chunks
        What is written.

    Raises
    ------
    OSError
        The disk is full, the folder is gone or read-only, or nobody reads any more.
    """
    if path == STDOUT:
        _write_to_stdout(chunks)
    elif is_stream(path):
        with path.open("wb") as stream:
            stream.writelines(chunks)
    else:
        write_whole(path.resolve(), chunks)


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all; what was there stays until all of the new is on disk.

    Where the OS can (Linux, most file systems), the draft has no name until it is whole, so that not even
    SIGKILL leaves litter.

    Raises
    ------
    OSError
        The disk is full, or the folder is gone or read-only.
    """
    sibling = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(sibling, "x+b", opener=_open_nameless) as draft:
            draft.writelines(chunks)
            draft.flush()
            os.fsync(draft.fileno())
            if os.fstat(draft.fileno()).st_nlink == 0:
                _give_name(draft, sibling)
        sibling.replace(path)
    finally:
        sibling.unlink(missing_ok=True)


def _open_nameless(name: str, flags: int) -> int:
    """Open a file that has no name yet; one with the name that was asked for where the OS knows no such thing."""
    if sys.platform == "linux":
        try:
            return os.open(Path(name).parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:
            pass  # the file system cannot; a real trouble, such as a read-only one, shows again below
    return os.open(name, flags, 0o666)


def _give_name(draft: BinaryIO, name: Path) -> None:
    fd = draft.fileno()
    try:
        # any src_dir_fd makes Python follow the link in /proc, which is the only way to the nameless file
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=fd)
    except OSError:  # no /proc, or a file system or a policy that forbids it
        draft.seek(0)
        with name.open("xb") as copy:
            shutil.copyfileobj(draft, copy)
            copy.flush()
            os.fsync(copy.fileno())


def is_stream(path: Path) -> bool:
    """Tell whether this is a pipe or a device, such as ``/dev/stderr``: nothing to be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_to_stdout(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(chunks)  # JSON is UTF-8, whatever the terminal speaks (RFC 8259 §8.1)
    sys.stdout.buffer.flush()
