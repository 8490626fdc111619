"""The tree of an archive's members, ``<id>.parts``: extract into it, check it, and make archive bytes from it again.

A file in the tree under the name of a member is complete and has the CRC-32 of the archive's directory: it is written
under another name, and renamed after that was checked and the disk has confirmed it.
"""

from __future__ import annotations

import hashlib
import os
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import check_cancelled, exactly, never
from collgs_async.storage.filenames import archive_of, part_of
from collgs_async.storage.files import (
    open_regular,
    readable,
    separate,
    start_writeback,
    storage_trouble,
    trouble,
    write_all,
)
from collgs_async.storage.lock import ProductLock
from collgs_async.storage.member_names import is_folder, safe_path
from collgs_async.storage.member_refusals import refuse_members
from collgs_async.storage.member_spans import member_end
from collgs_async.storage.parts_record import HeldMember, PartsRecord, read_record, write_record
from collgs_async.storage.parts_seed import fill_part, seed_part
from collgs_async.storage.tree_check import adopted_member, confirmed_member
from collgs_async.storage.tree_files import TreeFiles, open_folder
from collgs_async.storage.unpack import TooLargeError
from collgs_async.storage.zip_format import STORED
from collgs_async.storage.zip_members import Damage, Findings, MemberReader, method_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from io import BufferedReader
    from pathlib import Path

    from collgs_async.storage.ranges import ByteRanges
    from collgs_async.storage.sidecar import RemoteVersion
    from collgs_async.storage.zip_directory import Directory, Member

__all__ = ["MOVED_AWAY", "SET_ASIDE", "PartsTree"]

_MIB: Final = 2**20
_WRITEBACK: Final = 16 * _MIB

_LONGEST_LOCAL: Final = 4096
_LONGEST_TRAILER: Final = 256
"""Maximum bytes of a local header, and of what follows a member's data, that are recorded; those of Sentinel archives
have at most 300 and 24. Longer ones are downloaded again when the archive is completed."""

MOVED_AWAY: Final = ".collgs"
"""The folder, below the output folder, for what is no archive, or not wanted any more."""

SET_ASIDE: Final = PurePosixPath(MOVED_AWAY, "old/replaced")
"""Where trees are moved that belong to another version of the archive, below the output folder."""


def _ignore(_: HeldMember) -> None:
    """Do nothing with an extracted member."""


class PartsTree:
    """The tree of one archive's members; every call accesses the disk, and may be made in any thread.

    The caller holds the product's lock.

    Parameters
    ----------
    folder
        The top folder of the tree, which need not exist; see `filenames.parts_folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._touched: tuple[HeldMember, ...] = ()

    def read_record(self) -> PartsRecord | None:
        """Read the record; see `parts_record.read_record`."""
        return read_record(self.folder)

    def write_record(self, record: PartsRecord) -> None:
        """Write the record; see `parts_record.write_record`."""
        write_record(self.folder, record)

    def here(self, record: PartsRecord, stop: Callable[[], bool] = never) -> frozenset[str]:
        """Return the names of members whose files are in the tree, and right; see `confirmed`."""
        return frozenset(member.name for member in self.confirmed(record, stop))

    def confirmed(self, record: PartsRecord, stop: Callable[[], bool] = never) -> tuple[HeldMember, ...]:
        """Return the recorded members whose files are in the tree, and right, with the times that the files have now.

        A file is read if its time of change is not the recorded one. Whatever is not a regular file is not here.

        Raises
        ------
        FileError, StorageError
            The tree is no folder, or the disk failed.
        Stopped
            `stop()` returned True.
        """
        try:
            with TreeFiles(self.folder) as files:
                found = [confirmed_member(files, member, stop) for member in record.here]
        except FileNotFoundError:
            return ()
        right = tuple(member for member in found if member is not None)
        recorded = {member.name: member.mtime_ns for member in record.here}
        self._touched = tuple(member for member in right if member.mtime_ns != recorded[member.name])
        return right

    def record_times(self) -> None:
        """Record the times of the files that `confirmed` read last, so that the next run need not read them.

        Without effect if another run has the lock. As for `drop`, the caller does not hold it.

        Raises
        ------
        FileError, StorageError
            The record cannot be read or written.
        """
        if self._touched:
            self._change(lambda record: record.with_times(self._touched))

    def adopt(self, members: Collection[Member], stop: Callable[[], bool] = never) -> list[HeldMember]:
        """Return those of an archive's members whose files are in the tree and right, without a record of them.

        Each file of the right length is read. It serves as that of its member, but not to make archive bytes again.

        Raises
        ------
        FileError, StorageError, Stopped
            As for `confirmed`.
        """
        try:
            with TreeFiles(self.folder) as files:
                found = [adopted_member(files, member, stop) for member in members if not is_folder(member.name)]
        except FileNotFoundError:
            return []
        return [member for member in found if member is not None]

    def extract(
        self,
        archive: Path,
        directory: Directory,
        members: Collection[Member],
        stop: Callable[[], bool] = never,
        on_member: Callable[[HeldMember], None] = _ignore,
    ) -> tuple[list[HeldMember], list[Damage]]:
        """Write members of an archive into the tree, each in one pass; existing files of these names are replaced.

        Parameters
        ----------
        archive
            The archive, or a sparse file with the bytes of these members.
        directory
            Its directory.
        members
            Some of its members; folders are ignored.
        stop
            Called before every member and every block; returns True to cancel.
        on_member
            Called with each member right after it got its name, also if a later one fails.

        Returns
        -------
        tuple
            The members that are in the tree now, and those that are damaged, in the order of the archive.

        Raises
        ------
        IntegrityError
            A member is one that is never unpacked, such as one with a hostile name; nothing was written. With
            `UnreadableError`, the disk cannot read the archive back.
        FileError
            A file of the tree cannot be written, or something else has its name.
        StorageError
            The disk is full or read-only.
        Stopped
            `stop()` returned True.
        """
        refuse_members(directory, members)
        headers = {member.header for member in members if not is_folder(member.name)}
        held: list[HeldMember] = []
        damaged: list[Damage] = []
        with TreeFiles(self.folder, create=True) as files, storage_trouble(archive), readable():
            files.remove_unfinished()
            with os.fdopen(open_regular(archive, os.O_RDONLY), "rb") as file:
                reader = MemberReader(file, directory, Findings(), _MIB, stop)
                for member, following in directory.extents():
                    if member.header not in headers:
                        continue
                    check_cancelled(stop)
                    end = member_end(member, following)
                    try:
                        extracted = _extract(files, file, reader, member, end)
                    except IntegrityError as error:
                        damaged.append(Damage(member.name, member.header, end, str(error)))
                    else:
                        held.append(extracted)
                        on_member(extracted)
            files.sync()
        return held, damaged

    def drop(self, names: Collection[str]) -> bool:
        """Drop members from the record, so that the next run downloads them again; their files stay until then.

        Unlike for the other methods, the caller does not hold the product's lock.

        Parameters
        ----------
        names
            Names of members whose files are wrong.

        Returns
        -------
        bool
            Whether they were dropped; False if another run has the lock.

        Raises
        ------
        FileError, StorageError
            The record cannot be read or written.
        """
        return self._change(lambda record: record.without(names))

    def _change(self, change: Callable[[PartsRecord], PartsRecord]) -> bool:
        """Change the record, and return True; False if another run has the lock."""
        lock = ProductLock(part_of(archive_of(self.folder)), separate)
        with storage_trouble(self.folder):
            if not lock.acquire():
                return False
            try:
                if record := self.read_record():
                    self.write_record(change(record))
            finally:
                lock.release()
        return True

    def seed(
        self, part: Path, record: PartsRecord, remote: RemoteVersion | None, stop: Callable[[], bool] = never
    ) -> ByteRanges:
        """Write the archive's bytes that follow from the tree into a new part file; see `parts_seed.seed_part`."""
        return seed_part(self.folder, part, record, remote, stop)

    def fill(self, part: Path, record: PartsRecord, held: ByteRanges, stop: Callable[[], bool] = never) -> ByteRanges:
        """Write the archive's bytes that follow from the tree into gaps of a part file; see `parts_seed.fill_part`."""
        return fill_part(self.folder, part, record, held, stop)

    def set_aside(self, output_folder: Path | None = None) -> Path | None:
        """Move the tree away, because it belongs to another version of the archive.

        Parameters
        ----------
        output_folder
            The folder for ``.collgs/old/replaced``, on the same file system; None for the tree's own folder.

        Returns
        -------
        Path or None
            Where it is now; None if there was no tree.

        Raises
        ------
        FileError, StorageError
            It is no folder, or cannot be moved.
        """
        output = output_folder or self.folder.parent
        try:
            os.close(open_folder(self.folder))  # refuses a link or a file
        except FileNotFoundError:
            return None
        except OSError as error:
            raise trouble(error, self.folder, output) from error
        with storage_trouble(output / SET_ASIDE.parts[0]):
            old = output
            for name in SET_ASIDE.parts:
                old /= name
                os.close(open_folder(old, create=True))
            for number in count():
                target = old / (f"{self.folder.name}.{number}" if number else self.folder.name)
                if not os.path.lexists(target):
                    break
            self.folder.rename(target)
        return target


def _extract(files: TreeFiles, file: BufferedReader, reader: MemberReader, member: Member, end: int) -> HeldMember:
    local, _, contradiction = reader.compare(member, end)
    path, digest, length = safe_path(member.name), hashlib.sha256(), 0
    with files.replace(path) as descriptor:
        try:
            for piece in reader.unpack(member, local.data):
                with files.trouble(path):
                    write_all(descriptor, piece, length)
                    before, length = length, length + len(piece)
                    if before // _WRITEBACK != length // _WRITEBACK:
                        start_writeback(descriptor, before // _WRITEBACK * _WRITEBACK, _WRITEBACK)
                digest.update(piece)
        except TooLargeError as error:
            raise IntegrityError(f"{method_name(member)} with these settings cannot be unpacked here") from error
    header = trailer = b""
    after = local.data + member.uncompressed
    if member.method == STORED and contradiction is None and local.data - member.header <= _LONGEST_LOCAL:
        header = exactly(file, member.header, local.data - member.header)
        trailer = exactly(file, after, end - after) if end - after <= _LONGEST_TRAILER else b""
    return HeldMember(
        member.name,
        member.crc,
        digest.hexdigest(),
        member.uncompressed,
        member.header,
        member.method,
        files.modified(path) or 0,
        header,
        trailer,
    )
