"""Files in a folder that others use, too: only regular ones are opened, and an error says whom it concerns."""

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
    "is_at",
    "kind_of",
    "open_regular",
    "read_small",
    "readable",
    "refuse_odd",
    "remove_file",
    "separate",
    "storage_trouble",
    "sync_folder",
    "trouble",
    "write_all",
    "write_out",
]

log = logging.getLogger("collgs_async")

_COPIED_AT_ONCE: Final = 64 * 2**20
"""Bytes between two heartbeats of whoever takes a part over."""

LOST: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""What the system says of bytes that it took and could not bring to the disk."""

_UNREADABLE: Final = frozenset({errno.EIO, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EIO)})
"""What the system says where a sector, a checksum of the file system or its record of a file is bad."""

_WHOLE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EAGAIN})
"""The last one says that there is no thread for what has to be done."""

NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def trouble(error: OSError, path: Path, folder: Path | None = None) -> ExhaustedError | FileError | StorageError:
    """Tell whom an error of the disk concerns.

    A full, read-only or missing folder concerns every product. Anything else may be about this file alone: too large
    for the file system, a name that it does not take, a folder in its place, rights. Numbers of errors do not tell
    (``EACCES`` and ``EIO`` may be either), so the folder is asked to take another file.

    Parameters
    ----------
    error
        What the system said.
    path
        The file that was worked on, where the error does not say.
    folder
        Where archives are put; None: the file's own folder.

    Returns
    -------
    ExhaustedError, FileError or StorageError
        No descriptor is left; this file's trouble alone; the folder's.
    """
    words = f"{error.filename or path}: {error.strerror or error}"
    if error.errno in NO_DESCRIPTOR:
        return ExhaustedError(words)
    if error.errno in _WHOLE_DISK or not _takes_files(folder or path.parent):
        return StorageError(words)
    return FileError(words)


@contextmanager
def storage_trouble(path: Path) -> Iterator[None]:
    """Turn an error of the system into ours; see `trouble`."""
    try:
        yield
    except OSError as error:
        raise trouble(error, path) from error


@contextmanager
def readable() -> Iterator[None]:
    """Turn what the system says of bytes that it cannot read back into a verdict on their file.

    Raises
    ------
    UnreadableError
        They cannot be read; any other error of the system is passed on.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise UnreadableError(f"it cannot be read back from the disk ({error.strerror})") from error


def _takes_files(folder: Path) -> bool:
    try:
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno in NO_DESCRIPTOR  # which says nothing about the folder
    return True


def kind_of(mode: int) -> str | None:
    """Name what is no regular file, such as ``a FIFO``; None for a regular one."""
    return next((name for is_one, name in _KINDS if is_one(mode)), None)


def open_regular(path: Path, flags: int) -> int:
    """Open a regular file and nothing else, without waiting and without following a link in its place.

    Parameters
    ----------
    path
        The file. Links on the way to its folder are followed.
    flags
        As for `os.open`.

    Raises
    ------
    FileError
        Something else has this name.
    OSError
        As from `os.open`.
    """
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
    except OSError:
        with suppress(OSError):
            refuse_odd(path, path.lstat().st_mode)
        raise
    try:
        refuse_odd(path, os.fstat(descriptor).st_mode)
    except FileError:
        os.close(descriptor)
        raise
    return descriptor


def refuse_odd(path: Path, mode: int) -> None:
    """Refuse what is no regular file.

    Raises
    ------
    FileError
        It says what has this name instead.
    """
    if kind := kind_of(mode):
        raise FileError(f"{path}: expected a file, found {kind}; move it away")


def read_small(path: Path, most: int) -> bytes | None:
    """Read a regular file, but no more than `most` bytes of it; None when it is not there.

    Raises
    ------
    FileError
        Something else has this name.
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


def create_file(path: Path) -> int:
    """Open a file to read and write, make it when it is missing, and its folder, too."""
    flags = os.O_RDWR | os.O_CREAT
    try:
        return open_regular(path, flags)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_regular(path, flags)


def remove_file(path: Path) -> None:
    """Remove a file of ours, and nothing else that has its name."""
    with suppress(FileNotFoundError):
        refuse_odd(path, path.lstat().st_mode)
        path.unlink()


def is_at(descriptor: int, path: Path) -> bool:
    """Whether a name leads to the file that is open."""
    try:
        named, ours = path.lstat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)


def separate(part: Path, beat: Callable[[], None] = lambda: None) -> None:
    """Make a part another file, of the same bytes: whoever has the old one open writes where it harms nobody.

    Where the file system can, the two share their blocks, which takes no time; else it is copied. Without room for a
    copy the part is given up.

    Parameters
    ----------
    part
        Its path; nothing happens when there is none.
    beat
        Called now and then meanwhile, and right before the copy gets the name; it may raise to give up.

    Raises
    ------
    FileError
        Something else has its name.
    OSError
        The folder is read-only or gone.
    """
    try:
        source = open_regular(part, os.O_RDONLY)
    except FileNotFoundError:
        return
    copy = part.with_name(f"{part.name}.{secrets.token_hex(3)}~")
    try:
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _copy(source, target, beat)
        finally:
            os.close(target)
        beat()
        copy.replace(part)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        log.warning("%s: cannot be copied (%s): it is fetched anew", part, error.strerror)
        part.unlink(missing_ok=True)
    finally:
        os.close(source)
        copy.unlink(missing_ok=True)


def _copy(source: int, target: int, beat: Callable[[], None]) -> None:
    length, offset = os.fstat(source).st_size, 0
    os.ftruncate(target, length)  # before: another one that writes meanwhile makes it no longer
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
            break  # it was cut meanwhile
        offset += copied
        beat()


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Find a call of Linux that Python does not hand on."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


_sync_file_range = _find_sync_file_range()
_SYNC_FILE_RANGE_WRITE = 2


def write_out(descriptor: int, offset: int, count: int) -> None:
    """Have the system begin to bring bytes to the disk, which it otherwise puts off until they are flushed.

    Raises
    ------
    OSError
        Bytes that it had taken before are lost.
    """
    if _sync_file_range is not None and _sync_file_range(descriptor, offset, count, _SYNC_FILE_RANGE_WRITE):
        number = ctypes.get_errno()
        if number in LOST:  # not where the file system merely knows no such thing
            raise OSError(number, os.strerror(number))


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder safely to the disk; once for many, since an archive without its name is a part.

    Raises
    ------
    StorageError
        The disk could not keep them. A folder that is not there, or that cannot be flushed, is none of that.
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
    """Write the whole block: a nearly full disk takes a piece of it and says so only at the next call."""
    view = memoryview(block)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
