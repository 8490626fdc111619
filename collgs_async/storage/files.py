"""Open and write files safely in a shared folder, and classify errors of the disk.

Only regular files are opened. An error is classified by what it affects: this file, or the whole folder.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from collgs_async.errors import ExhaustedError, FileError, StorageError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "NO_DESCRIPTOR",
    "create_file",
    "create_folder",
    "is_at",
    "is_same_mtime",
    "kind_of",
    "open_regular",
    "read_small",
    "readable",
    "refuse_odd",
    "remove_file",
    "separate",
    "start_writeback",
    "storage_trouble",
    "sync_folder",
    "trouble",
    "write_all",
]

log = logging.getLogger("collgs_async")

_COPIED_AT_ONCE: Final = 64 * 2**20
"""Bytes copied between two heartbeats while a part file is taken over."""

LOST: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""Errors for bytes that the kernel had accepted and could not write to the disk."""

_UNREADABLE: Final = frozenset({errno.EIO, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EIO)})
"""Errors for a bad sector, a wrong checksum of the file system, or damaged metadata."""

_WHOLE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EAGAIN})
"""Errors that affect all files; EAGAIN means that no thread could be started."""

NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})

_COARSE: Final = 2000
"""Milliseconds by which a file system may round times: those of FAT are even seconds."""

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_same_mtime(one: int, other: int) -> bool:
    """Whether two times of a file, in milliseconds, are the same as far as every file system keeps them."""
    return abs(one - other) <= _COARSE


def trouble(error: OSError, path: Path, folder: Path | None = None) -> ExhaustedError | FileError | StorageError:
    """Classify an error of the disk by what it affects.

    A full, read-only or missing folder affects every product. Other errors may affect this file alone: a size or a name
    that the file system does not support, a folder of the same name, permissions. The error number is not sufficient,
    since ``EACCES`` and ``EIO`` may mean either, so a temporary file is written to the folder as a test.

    Parameters
    ----------
    error
        The error.
    path
        The file concerned, if the error does not name one.
    folder
        The output folder; None for the file's own folder.

    Returns
    -------
    ExhaustedError, FileError or StorageError
        No file descriptor is left; this file is affected; the whole folder is affected.
    """
    words = f"{error.filename or path}: {error.strerror or error}"
    if error.errno in NO_DESCRIPTOR:
        return ExhaustedError(words)
    if error.errno in _WHOLE_DISK or not _is_writable(folder or path.parent):
        return StorageError(words)
    return FileError(words)


@contextmanager
def storage_trouble(path: Path) -> Iterator[None]:
    """Convert an OSError into an exception of this package; see `trouble`."""
    try:
        yield
    except OSError as error:
        raise trouble(error, path) from error


@contextmanager
def readable() -> Iterator[None]:
    """Convert read errors of the disk into `UnreadableError`.

    Raises
    ------
    UnreadableError
        Bytes cannot be read back; any other OSError is passed on.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise UnreadableError(f"it cannot be read back from the disk ({error.strerror})") from error


def _is_writable(folder: Path) -> bool:
    try:
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno in NO_DESCRIPTOR  # a missing descriptor is no evidence about the folder
    return True


def kind_of(mode: int) -> str | None:
    """Return the kind of a file that is not regular, such as ``a FIFO``; None for a regular one."""
    return next((name for is_one, name in _KINDS if is_one(mode)), None)


def open_regular(path: Path, flags: int, *, within: int | None = None) -> int:
    """Open a regular file; never block on a FIFO, and never follow a symbolic link of that name.

    Parameters
    ----------
    path
        The file; symbolic links to its folder are followed.
    flags
        As for `os.open`.
    within
        Descriptor of its folder; None to find that by the path.

    Raises
    ------
    FileError
        The path is not a regular file.
    OSError
        As from `os.open`.
    """
    name = path if within is None else path.name
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(name, flags, 0o666, dir_fd=within)
    except OSError:
        with suppress(OSError):
            refuse_odd(path, os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
        raise
    try:
        refuse_odd(path, os.fstat(descriptor).st_mode)
    except FileError:
        os.close(descriptor)
        raise
    return descriptor


def refuse_odd(path: Path, mode: int) -> None:
    """Raise unless a mode is that of a regular file.

    Raises
    ------
    FileError
        The path is not a regular file.
    """
    if kind := kind_of(mode):
        raise FileError(f"{path}: expected a file, found {kind}; move it away")


def read_small(path: Path, most: int) -> bytes | None:
    """Read at most `most` bytes of a regular file; return None if it does not exist.

    Raises
    ------
    FileError
        The path is not a regular file.
    OSError
        It cannot be read.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def create_folder(path: Path) -> None:
    """Create a folder and its parents if they are missing.

    Raises
    ------
    NotADirectoryError
        A file or a dangling link has its name. `Path.mkdir` raises `FileExistsError`, which means a lock that is held.
    OSError
        It cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from error


def create_file(path: Path) -> int:
    """Open a file for reading and writing; create it and its folder if they are missing."""
    flags = os.O_RDWR | os.O_CREAT
    try:
        return open_regular(path, flags)
    except FileNotFoundError:
        create_folder(path.parent)
        return open_regular(path, flags)


def remove_file(path: Path) -> None:
    """Remove a regular file if it exists; raise FileError for anything else of that name."""
    with suppress(FileNotFoundError):
        refuse_odd(path, path.lstat().st_mode)
        path.unlink()


def is_at(descriptor: int, path: Path) -> bool:
    """Whether a path still refers to the open file."""
    try:
        named, ours = path.lstat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)


def separate(part: Path, heartbeat: Callable[[], None] = lambda: None) -> None:
    """Replace a part file by a copy, so that a process that still has the old file open cannot change it.

    If the file system supports it, the copy shares its blocks, which takes no time. If there is no space for a copy,
    the part file is removed.

    Parameters
    ----------
    part
        Path of the part file; nothing is done if there is none.
    heartbeat
        Called regularly, and right before the copy replaces the file; may raise to cancel.

    Raises
    ------
    FileError
        The path is not a regular file.
    OSError
        The folder is read-only or missing.
    """
    try:
        source = open_regular(part, os.O_RDONLY)
    except FileNotFoundError:
        return
    copy = part.with_name(f"{part.name}.{secrets.token_hex(3)}~")
    try:
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _copy(source, target, heartbeat)
        finally:
            os.close(target)
        heartbeat()
        copy.replace(part)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        log.warning("%s: cannot be copied (%s): it is fetched anew", part, error.strerror)
        part.unlink(missing_ok=True)
    finally:
        os.close(source)
        copy.unlink(missing_ok=True)


def _copy(source: int, target: int, heartbeat: Callable[[], None]) -> None:
    length, offset = os.fstat(source).st_size, 0
    os.ftruncate(target, length)  # fix the length first, as the old owner may still append to the source
    by_system = hasattr(os, "copy_file_range")
    while offset < length:
        count = min(_COPIED_AT_ONCE, length - offset)
        if by_system:
            try:
                copied = os.copy_file_range(source, target, count, offset, offset)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                    raise
                by_system = False
                continue
        else:
            block = os.pread(source, min(count, 2**20), offset)
            write_all(target, block, offset)
            copied = len(block)
        if not copied:
            break  # the source was truncated in the meantime
        offset += copied
        heartbeat()


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Return ``sync_file_range`` of Linux, which Python does not provide; None on other systems."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


_sync_file_range = _find_sync_file_range()
_SYNC_FILE_RANGE_WRITE = 2


def start_writeback(descriptor: int, offset: int, count: int) -> None:
    """Ask the kernel to start writing bytes to the disk, so that the final fsync has less to do.

    Raises
    ------
    OSError
        Bytes that the kernel had accepted before are lost.
    """
    if _sync_file_range is not None and _sync_file_range(descriptor, offset, count, _SYNC_FILE_RANGE_WRITE):
        number = ctypes.get_errno()
        if number in LOST:  # any other error only means that the file system does not support the call
            raise OSError(number, os.strerror(number))


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of a folder, once for all archives of a run.

    An archive whose rename is lost in a power failure is still there as a part file.

    Raises
    ------
    StorageError
        The disk could not store them. A missing folder, or one that does not support fsync, is ignored.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in LOST:
            raise StorageError(
                f"{folder}: {error.strerror}; what this run has brought may be without its name after a restart"
            ) from error
    finally:
        os.close(descriptor)


def write_all(descriptor: int, block: bytes | bytearray | memoryview, offset: int) -> None:
    """Write a whole block; a nearly full disk writes part of it, and fails only at the next call."""
    view = memoryview(block)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
