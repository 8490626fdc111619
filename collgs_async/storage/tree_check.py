"""Check the files of a tree of members; one is read only if its time of change is not the recorded one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError, IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import check_cancelled
from collgs_async.storage.files import readable
from collgs_async.storage.member_names import safe_path
from collgs_async.storage.parts_record import HeldMember
from collgs_async.storage.zip_format import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

    from collgs_async.storage.manifest_check import ContentDigests
    from collgs_async.storage.tree_files import TreeFiles
    from collgs_async.storage.zip_directory import Member

__all__ = ["adopted_member", "confirmed_member", "problem_of_file", "read_file"]

_MIB: Final = 2**20


def problem_of_file(
    files: TreeFiles,
    member: HeldMember,
    stop: Callable[[], bool],
    *,
    reads: bool | None = None,
    digests: ContentDigests | None = None,
) -> str | None:
    """Describe why a member's file in a tree is not right; None if it is.

    Parameters
    ----------
    files
        The tree.
    member
        The member, as recorded.
    stop
        Called before every block; returns True to cancel.
    reads
        Whether the file is read, or only its length compared; None: it is read if its time of change is not the
        recorded one.
    digests
        Compares the content of a file that is read with what a manifest states; None: it is not compared.

    Raises
    ------
    StorageError, ExhaustedError
        The disk failed, or no file descriptor is left.
    Stopped
        `stop()` returned True.
    """
    try:
        path = safe_path(member.name)
        descriptor = files.open(path)
        if descriptor is None:
            return "it is missing"
        with files.trouble(path), readable(), os.fdopen(descriptor, "rb", buffering=0) as file:
            return _problem_of_content(file, member, stop, reads, digests)
    except (FileError, IntegrityError) as error:
        return str(error)


def _problem_of_content(
    file: FileIO, member: HeldMember, stop: Callable[[], bool], reads: bool | None, digests: ContentDigests | None
) -> str | None:
    status = os.fstat(file.fileno())
    if status.st_size != member.size:
        return f"it has {plural(status.st_size, 'byte')}, {member.size} expected"
    if reads is False or (reads is None and status.st_mtime_ns == member.mtime_ns):
        return None
    crc, content = 0, _pieces(file, stop)
    for piece in digests.observe(content) if digests else content:
        crc = codec.crc32(piece, crc)
    return None if crc == member.crc else f"its CRC-32 is {crc:08x}, {member.crc:08x} expected"


def read_file(files: TreeFiles, name: str, stop: Callable[[], bool]) -> Iterator[memoryview]:
    """Yield the content of a member's file in a tree; each piece is valid until the next one.

    Raises
    ------
    IntegrityError
        It is missing, or cannot be the name of a file here.
    FileError, StorageError
        It is no regular file; the disk failed.
    """
    path = safe_path(name)
    descriptor = files.open(path)
    if descriptor is None:
        raise IntegrityError("it is missing")
    with files.trouble(path), readable(), os.fdopen(descriptor, "rb", buffering=0) as file:
        yield from _pieces(file, stop)


def _pieces(file: FileIO, stop: Callable[[], bool]) -> Iterator[memoryview]:
    """Yield the content of a file; each piece is valid until the next one."""
    buffer = memoryview(bytearray(_MIB))
    while got := file.readinto(buffer):
        check_cancelled(stop)
        yield buffer[:got]


def confirmed_member(files: TreeFiles, member: HeldMember, stop: Callable[[], bool]) -> HeldMember | None:
    """Return a recorded member with the time that its file has now; None if the file is not right."""
    check_cancelled(stop)
    try:
        # The time is taken before the file is read, so that a change meanwhile is noticed by the next check.
        modified = files.modified(safe_path(member.name))
    except (FileError, IntegrityError):
        return None
    if modified is None or problem_of_file(files, member, stop) is not None:
        return None
    return replace(member, mtime_ns=modified)


def adopted_member(files: TreeFiles, member: Member, stop: Callable[[], bool]) -> HeldMember | None:
    """Return what to record of a member that has no record; None if its file is not right."""
    check_cancelled(stop)
    digest, crc = hashlib.sha256(), 0
    try:
        path = safe_path(member.name)
        modified, descriptor = files.modified(path), files.open(path)
        if modified is None or descriptor is None:
            return None
        with files.trouble(path), readable(), os.fdopen(descriptor, "rb", buffering=0) as file:
            if os.fstat(descriptor).st_size != member.uncompressed:
                return None
            for piece in _pieces(file, stop):
                crc = codec.crc32(piece, crc)
                digest.update(piece)
    except (FileError, IntegrityError):
        return None
    if crc != member.crc:
        return None
    size = member.uncompressed
    return HeldMember(member.name, crc, digest.hexdigest(), size, member.header, member.method, modified)
