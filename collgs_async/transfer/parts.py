"""Download chosen members of one archive into a tree of files.

The end of the archive is requested first: it has the central directory, which says where each member lies. The ranges
of the chosen members are then downloaded into the ordinary part file, with gaps. Each member gets its name in the tree
only when its data have the CRC-32 of the directory, so the bytes need not be proven to be of one version otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import (
    CollgsError,
    FileError,
    IntegrityError,
    NotAvailableError,
    TransferError,
    UnreadableError,
)
from collgs_async.models.timing import wait_completed
from collgs_async.selection.bands import choose_members
from collgs_async.storage.member_refusals import allowed_members
from collgs_async.storage.member_spans import coalesced, member_end, member_spans
from collgs_async.storage.parts_record import PartsRecord, read_record
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.storage.verify import DamagedMembersError
from collgs_async.transfer.range_request import strong_validator
from collgs_async.transfer.remote_directory import read_directory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from collgs_async.models.wish import Wish
    from collgs_async.storage.disk import Disk
    from collgs_async.storage.parts_record import HeldMember
    from collgs_async.storage.parts_tree import PartsTree
    from collgs_async.storage.zip_directory import Directory, Member
    from collgs_async.storage.zip_members import Damage
    from collgs_async.transfer.parts_job import PartsJob
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["PartsDownload", "has_members"]

log = logging.getLogger("collgs_async")

_MOST_DIRECTORIES: Final = 5
"""Number of different directories, each with damaged members, after which the product fails."""

_WORTH_KEEPING: Final = 4 * 2**20
"""Bytes of no member of the tree from which a part file is kept: they are of an interrupted download."""


def has_members(tree: PartsTree, wish: Wish, identifier: str, stop: Callable[[], bool]) -> bool:
    """Whether every wanted member of an archive is in its tree, as far as the tree's record says.

    Raises
    ------
    FileError, StorageError
        The tree cannot be read.
    Stopped
        `stop()` returned True.
    """
    record = read_record(tree.folder)
    if record is None:
        return False
    try:
        names = [member.name for member in record.read_directory(stop).members]
        chosen = choose_members(names, wish, identifier=identifier)
    except (IntegrityError, NotAvailableError):
        return False  # the download tells why
    return tree.here(record, stop).issuperset(chosen)


class PartsDownload:
    """Downloads chosen members of one archive.

    Parameters
    ----------
    job
        The archive, locked.
    run
        Downloads what a job wants.
    disk
        The output folder.
    tree
        Where the members go.
    tuning
        When members are extracted while others are still to come.
    keep_part
        Whether the part file stays, so that a later run need not download its bytes again.
    anew
        Whether members that are in the tree are downloaded again.
    """

    def __init__(
        self,
        job: PartsJob,
        run: Callable[[PartsJob], Awaitable[object]],
        disk: Disk,
        tree: PartsTree,
        tuning: TransferTuning,
        *,
        keep_part: bool = False,
        anew: bool = False,
    ) -> None:
        self._job, self._run, self._disk = job, run, disk
        self._tree, self._tuning = tree, tuning
        self._keep_part, self._anew = keep_part, anew
        self._known: PartsRecord | None = None
        self._record: PartsRecord
        self._count = 0
        self._discarded = False
        self._extracted: set[str] = set()
        self._suspected: set[tuple[bytes, int]] = set()

    async def __call__(self) -> None:
        """Download all wanted members that are not in the tree; try the archive's next link if that fails.

        Raises
        ------
        IntegrityError
            Members are damaged on the server; the others are in the tree.
        NotAvailableError
            The archive lacks a wanted band, or the store has no ranges.
        ProductError
            The transfer or the disk failed; the part file is kept.
        """
        self._known = await self._disk.run_long(lambda: read_record(self._tree.folder))
        while True:
            try:
                await self._download()
                return
            except UnreadableError as error:
                await self._discard(error)
            except (NotAvailableError, TransferError, IntegrityError) as error:
                self._job.turn_to_next_link(error)

    async def _download(self) -> None:
        if self._known is not None:
            await self._fill_from(self._known)
        while True:
            directory = await read_directory(self._job, self._run, self._disk)
            self._record = await self._current_record(directory)
            try:
                wanted, refusal = await self._choose(directory)
            except NotAvailableError:
                await self._finish(directory)
                raise
            self._known = self._record
            damaged = await self._fetch(directory, wanted)
            if self._job.wanted.tail:
                continue  # the archive was found to be of another version
            in_doubt = self._job.clear_doubt()
            if damaged:
                await self._fetch_again(directory, tuple(damaged))
                continue
            if in_doubt:
                await self._drop_directory(directory)
                continue
            await self._finish(directory)
            if refusal:
                raise refusal
            self._job.record_members(self._count)
            return

    async def _discard(self, error: UnreadableError) -> None:
        """Discard a part file that the disk cannot read back.

        Raises
        ------
        FileError
            It is the second one.
        """
        part, name = self._job.part, self._job.product.identifier
        await part.discard()
        if self._discarded:
            raise FileError(f"{part.path}: {error}, also after it was fetched once more") from error
        self._discarded = True
        self._job.reset()
        log.warning("%s: %s; fetching its parts once more", name, error)

    async def _fill_from(self, record: PartsRecord) -> None:
        """Write the directory that an earlier run has downloaded into an empty part file, if its version is certain."""
        part = self._job.part
        if part.held.total or strong_validator(record.remote) is None:
            return
        async with part:
            await part.set_version(record.remote)
            await part.write(record.size - len(record.directory), record.directory)

    async def _current_record(self, directory: Directory) -> PartsRecord:
        """Return the record of the tree; a tree of another version of the archive is set aside."""
        job, size = self._job, self._job.size or 0
        async with job.part:
            end = await job.part.read(directory.start, size - directory.start)
        record = self._known
        if record is not None and record.directory == end and record.size == size:
            return record
        begun = PartsRecord.begin(job.product.identifier, job.part.remote or RemoteVersion(job.url, size), end)
        if record is None and not self._anew:
            members = directory.members
            return begun.with_members(await self._disk.run_stoppable(lambda stop: self._tree.adopt(members, stop)))
        if aside := await self._disk.run_long(self._tree.set_aside):
            name = job.product.identifier
            log.warning("%s: its archive was replaced in the store; its earlier files are in %s", name, aside)
        self._extracted.clear()
        return begun

    async def _choose(self, directory: Directory) -> tuple[list[Member], IntegrityError | None]:
        """Return the wanted members to be fetched, and why others are not; record the wish."""
        identifier, wish, record = self._job.product.identifier, self._job.wish, self._record
        members = {member.name: member for member in directory.members}

        def choose(
            stop: Callable[[], bool],
        ) -> tuple[int, tuple[HeldMember, ...], list[Member], IntegrityError | None]:
            chosen = choose_members([member.name for member in directory.members], wish, identifier=identifier)
            held = self._tree.confirmed(record, stop)
            here = self._extracted if self._anew else {member.name for member in held}
            wanted, refusal = allowed_members(directory, [members[name] for name in chosen if name not in here])
            return len(chosen), held, wanted, refusal

        self._count, held, wanted, refusal = await self._disk.run_stoppable(choose)
        # A file that is not right stays recorded: it is extracted again if it is wanted, else `verify` names it.
        self._record = replace(record, wish=wish).with_members(held)
        return wanted, refusal

    async def _fetch(self, directory: Directory, wanted: Sequence[Member]) -> list[Damage]:
        """Download members and write them into the tree, large ones as soon as they are here; return the damaged ones.

        If the archive is found to be of another version, its end is wanted afterwards.
        """
        job = self._job

        def find_ranges() -> tuple[dict[tuple[int, int], Member], ByteRanges]:
            headers = {member.header for member in wanted}
            spans = {
                (member.header, member_end(member, following)): member
                for member, following in directory.extents()
                if member.header in headers
            }
            return spans, ByteRanges([*spans, *coalesced(ByteRanges(spans), job.part.held)])

        waiting, ranges = await self._disk.run_long(find_ranges)
        job.want(ranges, room=sum(member.uncompressed for member in wanted))
        damaged: list[Damage] = []
        transfer = asyncio.ensure_future(self._run(job))
        try:
            while not transfer.done():
                await asyncio.wait([transfer], timeout=self._tuning.extract_seconds)
                here = [] if job.wanted.tail else [span for span in waiting if job.part.held.covers(*span)]
                if sum(end - first for first, end in here) >= self._tuning.extract_bytes and not transfer.done():
                    damaged += await self._extract(directory, [waiting.pop(span) for span in here])
            await transfer
        finally:
            transfer.cancel()
            await wait_completed(asyncio.gather(transfer, return_exceptions=True))
        if not job.wanted.tail:
            job.progress.checking(job.product)
            damaged += await self._extract(directory, list(waiting.values()))
        return damaged

    async def _extract(self, directory: Directory, wanted: Sequence[Member]) -> list[Damage]:
        """Write members into the tree, record them, and return those that are damaged."""
        job, record = self._job, self._record
        if not _of_same_version(record.remote, job.part.remote):
            # Their local headers may be of another version than the recorded one, though their data are right.
            record = replace(record, remote=RemoteVersion(job.url, job.size))
        held, damaged = await self._disk.run_stoppable(
            partial(_extract_members, self._tree, record, job.part.path, directory, wanted)
        )
        self._extracted.update(member.name for member in held)
        self._record = self._known = record.with_members(held)
        job.take_room(sum(member.size for member in held))
        return damaged

    async def _fetch_again(self, directory: Directory, damaged: tuple[Damage, ...]) -> None:
        """Drop the bytes of damaged members, and the directory, which may be of another version.

        Raises
        ------
        DamagedMembersError
            One of them came like this twice with the same directory, or the directory is another one each time.
        """
        job = self._job
        keys = {(self._record.digest, damage.start) for damage in damaged}
        async with job.part:
            await job.part.invalidate([(damage.start, damage.end) for damage in damaged])
        if not keys & self._suspected:
            await self._drop_directory(directory)
        job.record_damage()
        error = DamagedMembersError(damaged, self._count)
        if keys & self._suspected:
            raise IntegrityError(f"{error}; it came like this twice, so the archive is bad on the server")
        self._suspected |= keys
        if len({digest for digest, _ in self._suspected}) >= _MOST_DIRECTORIES:
            raise IntegrityError(f"{error}; {_MOST_DIRECTORIES} directories that were fetched all differ")
        log.warning("%s: %s; fetching that part of it again", job.product.identifier, error)

    async def _drop_directory(self, directory: Directory) -> None:
        """Drop the central directory, so that it is downloaded again and compared: it may be of another version."""
        part = self._job.part
        async with part:
            await part.invalidate([(directory.start, self._job.size or directory.start)])

    async def _finish(self, directory: Directory) -> None:
        """Remove the part file, unless it holds bytes of an interrupted download of other members."""
        part, size = self._job.part, self._job.size or 0

        def find_rest() -> int:
            rest, extracted = ByteRanges(part.held), self._record.names
            members = [member for member in directory.members if member.name in extracted]
            for first, end in [*member_spans(directory, members), (directory.start, size)]:
                rest.remove(first, end)
            return rest.total

        if not self._keep_part and await self._disk.run_long(find_rest) <= _WORTH_KEEPING:
            await part.discard()


def _of_same_version(one: RemoteVersion, other: RemoteVersion | None) -> bool:
    validator = strong_validator(one)
    return other is not None and validator is not None and validator == strong_validator(other)


def _extract_members(
    tree: PartsTree,
    record: PartsRecord,
    archive: Path,
    directory: Directory,
    wanted: Sequence[Member],
    stop: Callable[[], bool],
) -> tuple[list[HeldMember], list[Damage]]:
    """Write members into the tree, and its record before the first one gets its name and after the last one."""
    held: list[HeldMember] = []
    tree.write_record(record)
    try:
        _, damaged = tree.extract(archive, directory, wanted, stop, held.append)
    except BaseException:
        with suppress(CollgsError):  # the first error says more
            tree.write_record(record.with_members(held))
        raise
    tree.write_record(record.with_members(held))
    return held, damaged
