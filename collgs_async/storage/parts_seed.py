"""Make bytes of an archive again from the files of its members, so that only the others have to be downloaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError, IntegrityError, UnreadableError
from collgs_async.storage.archive_reading import check_cancelled, never
from collgs_async.storage.files import open_regular, readable, refuse_odd, storage_trouble, write_all
from collgs_async.storage.member_names import safe_path
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import sidecar_text, write_sidecar
from collgs_async.storage.tree_files import TreeFiles
from collgs_async.storage.zip_format import LOCAL, LOCAL_SIGNATURE, STORED, codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    from collgs_async.storage.parts_record import HeldMember, PartsRecord
    from collgs_async.storage.sidecar import RemoteVersion
    from collgs_async.storage.zip_directory import Directory

__all__ = ["fill_part", "seed_part"]

_MIB: Final = 2**20


def seed_part(
    folder: Path, part: Path, record: PartsRecord, remote: RemoteVersion | None, stop: Callable[[], bool] = never
) -> ByteRanges:
    """Write the bytes of an archive that follow from a tree into a new part file with gaps, and its sidecar.

    These are the central directory and the stored members. Another program that packs the data of the others again
    would make other bytes. A member whose file has changed is left out.

    Parameters
    ----------
    folder
        The top folder of the tree.
    part
        Path of the part file, which must not exist, unless it is empty. It appears, by a rename, after its sidecar:
        without that, its gaps would be taken for data.
    record
        The record of the tree.
    remote
        Version of the archive for the sidecar; None if only equal bytes are evidence for it.
    stop
        Called before every block; returns True to cancel.

    Returns
    -------
    ByteRanges
        What the part file has.

    Raises
    ------
    IntegrityError
        The record's directory is damaged.
    FileError, StorageError
        The part file cannot be written, or exists.
    Stopped
        `stop()` returned True.
    """
    directory = record.read_directory(stop)
    size = record.size
    if directory.start != size - len(record.directory):
        raise IntegrityError("the record is damaged (it has more than the directory)")
    unfinished = part.with_name(f"{part.name}.seed~")
    with storage_trouble(part):
        _refuse_existing(part)
        unfinished.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(unfinished, flags, 0o666)
            try:
                os.ftruncate(descriptor, size)
                write_all(descriptor, record.directory, directory.start)
                held = ByteRanges([(directory.start, size)])
                for first, end in _members(folder, descriptor, directory, record, stop):
                    held.add(first, end)
            finally:
                os.close(descriptor)
            write_sidecar(part.with_name(f"{part.name}.json"), sidecar_text(remote, held))
            unfinished.replace(part)
        finally:
            unfinished.unlink(missing_ok=True)
    return held


def fill_part(
    folder: Path, part: Path, record: PartsRecord, held: ByteRanges, stop: Callable[[], bool] = never
) -> ByteRanges:
    """Write the bytes of an archive that follow from a tree into the gaps of a part file of the same version.

    Parameters
    ----------
    folder, record, stop
        As for `seed_part`.
    part
        Path of the part file; its sidecar lists ranges.
    held
        Ranges that it has. A member of which bytes are among them is left out.

    Returns
    -------
    ByteRanges
        What was written.

    Raises
    ------
    IntegrityError
        The record's directory is damaged.
    FileError, StorageError
        The part file cannot be written.
    Stopped
        `stop()` returned True.
    """
    directory = record.read_directory(stop)
    with storage_trouble(part):
        descriptor = open_regular(part, os.O_RDWR)
        try:
            return ByteRanges(_members(folder, descriptor, directory, record, stop, held))
        finally:
            os.close(descriptor)


def _refuse_existing(part: Path) -> None:
    try:
        status = part.lstat()
    except FileNotFoundError:
        return
    refuse_odd(part, status.st_mode)
    if status.st_size:
        raise FileError(f"{part}: expected no file, found one of {status.st_size} bytes")


def _members(
    folder: Path,
    target: int,
    directory: Directory,
    record: PartsRecord,
    stop: Callable[[], bool],
    there: ByteRanges | None = None,
) -> Iterator[tuple[int, int]]:
    """Write the stored members that are right, and of which no byte is there, and yield the range of each."""
    recorded = {member.header: member for member in record.here}
    try:
        with TreeFiles(folder) as files:
            for entry, following in directory.extents():
                member = recorded.get(entry.header)
                facts = (entry.name, entry.crc, entry.uncompressed, entry.method)
                if member is None or facts != (member.name, member.crc, member.size, STORED):
                    continue
                data = member.header + len(member.local)
                end = data + member.size + len(member.trailer)
                if there and any(here for *_, here in there.split(member.header, end)):
                    continue
                if _is_local_header(member.local) and end <= following and _copied(files, target, member, data, stop):
                    write_all(target, member.local, member.header)
                    write_all(target, member.trailer, data + member.size)
                    yield member.header, end
    except FileNotFoundError:
        return


def _is_local_header(local: bytes) -> bool:
    if len(local) < LOCAL.size:
        return False
    signature, *_, name, extra = LOCAL.unpack_from(local)
    return bool(signature == LOCAL_SIGNATURE and LOCAL.size + name + extra == len(local))


def _copied(files: TreeFiles, target: int, member: HeldMember, at: int, stop: Callable[[], bool]) -> bool:
    """Copy a member's file to an offset of the part file; return whether it is right."""
    try:
        source = files.open(safe_path(member.name))
    except (FileError, IntegrityError):
        return False
    if source is None:
        return False
    with os.fdopen(source, "rb", buffering=0) as file:
        if os.fstat(source).st_size != member.size:
            return False
        buffer, crc, length = memoryview(bytearray(_MIB)), 0, 0
        try:
            while got := _read(file, buffer[: min(_MIB, member.size - length)]):
                check_cancelled(stop)
                crc = codec.crc32(buffer[:got], crc)
                write_all(target, buffer[:got], at + length)
                length += got
        except UnreadableError:
            return False
    return (length, crc) == (member.size, member.crc)


def _read(file: FileIO, buffer: memoryview) -> int:
    with readable():
        return file.readinto(buffer) or 0
