"""The part: an archive on its way, and the sidecar that says which archive it is.

Bytes go to ``<name>.zip.part``; while one connection appends, the part's own length is the record of what is here.
Beside it ``<name>.zip.part.json`` holds what the server said the archive is (URL, length, validators), so that a later
run can ask for the rest of that same version. A final name is given by rename only, and only by `PartFile.publish`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from collgs_async.errors import TakenOverError, UnreadableError
from collgs_async.storage.executor import DiskExecutor
from collgs_async.storage.files import (
    create_file,
    is_at,
    open_regular,
    read_small,
    readable,
    refuse_odd,
    remove_file,
    separate,
    storage_trouble,
    write_all,
    write_out,
)
from collgs_async.storage.lock import ProductLock
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import RemoteVersion, parse_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = [
    "Block",
    "PartFile",
    "RemoteVersion",
    "parse_sidecar",
    "part_of",
]

log = logging.getLogger("collgs_async")

T = TypeVar("T")
Block: TypeAlias = bytes | bytearray | memoryview

SMALL: Final = 4 * 2**20
"""Bytes; a shorter archive gets no sidecar, for losing it costs less than the sidecars of a hundred thousand do."""

_RECORD_EACH: Final = 2**20
"""Bytes that may be written between two records of the ranges: what a kill can cost, beside what is in memory."""

_LARGEST_SIDECAR: Final = 2**20
"""Bytes; one that is longer is none of ours."""

_PART, _SIDECAR = ".part", ".part.json"


def part_of(final: Path) -> Path:
    """Say where an archive is while it has no final name."""
    return final.with_name(final.name + _PART)


class PartFile:
    """An unfinished archive on disk, open for reading and writing; use it as an asynchronous context manager.

    Several tasks may use it at once; it is closed when the last one leaves. Every operation on the disk that runs in a
    thread is awaited to its end even when the task is cancelled: left alone, it would write into whatever file gets
    the same descriptor next.

    While one connection appends, the part's own length is the record of what is here. As soon as there is a gap,
    the sidecar lists the ranges: before the first byte that leaves a gap behind it, and then after the bytes that
    it speaks of.

    Parameters
    ----------
    final
        Where the verified archive will be.
    executor
        Who does the operations on the disk; None: somebody of its own.
    watch
        Called with the place of each block and the block, right before it is written, in the thread that writes it;
        None: nobody wants to know.

    Attributes
    ----------
    lease
        The right to fetch it; once it is taken, it is asked before anything is written or removed.
    path, sidecar
        The part and its sidecar, in the same folder.
    held
        The bytes that are here.
    remote
        Which archive they are of; None when nobody remembers, or when only equal bytes say so.
    published
        Whether the archive has got its final name.
    has_gaps
        Whether the sidecar is the record of what is here, since the part's length is none.
    """

    def __init__(
        self,
        final: Path,
        executor: DiskExecutor | None = None,
        *,
        watch: Callable[[int, Block], None] | None = None,
    ) -> None:
        self.final = final
        self._executor = executor or DiskExecutor()
        self._watch = watch
        self.path = part_of(final)
        self.lock = ProductLock(self.path, separate)
        self.sidecar = final.with_name(final.name + _SIDECAR)
        self.held = ByteRanges()
        self.remote: RemoteVersion | None = None
        self._descriptor: int | None = None
        self._users = 0
        self._absent = False
        self.has_gaps = False
        self.published = False
        self._unrecorded = 0
        self._opening = asyncio.Lock()
        self._recording = asyncio.Lock()

    async def __aenter__(self) -> Self:
        async with self._opening:
            if self._users == 0 and not self._absent:
                await self._do(self._open)
            self._absent = False
            self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._opening:
            self._users -= 1
            if self._users:
                return
            try:
                with suppress(TakenOverError):  # what it was about is not ours any more
                    if self.has_gaps and self._unrecorded:
                        await self._record()
            finally:
                if not self._is_complete():  # else it is closed when it gets its name, which comes next
                    await self.close()

    def open_existing(self) -> None:
        """Look what is here, in the thread that one is in, which spares one the first entering when that is nothing."""
        with storage_trouble(self.path):
            try:
                self._open()
            except UnreadableError as error:
                log.warning("%s: %s; it is dropped, and fetched anew", self.path, error)
                self._discard()
            self._close()
        self._absent = not self.held.total

    def _is_complete(self) -> bool:
        return self.remote is not None and self.remote.size == self.held.total

    async def close(self) -> None:
        """Let go of the file, where that has not happened yet."""
        if self._descriptor is not None:
            await self._do(self._close)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with self._distrusted_after():  # a network file system flushes here
                os.close(descriptor)

    def _ours(self, *, now: bool = False) -> None:
        """Make certain that nobody has taken the part over, before anything is written or removed.

        Parameters
        ----------
        now
            Whether to ask in any case, before what cannot be undone. Then the part must also be the file that is
            open here: whoever took it over gave it another inode before the lease had a new holder.

        Raises
        ------
        TakenOverError
            Somebody has.
        """
        if not self.lock.taken:
            return
        self.lock.confirm(now=now)
        if now and self._descriptor is not None and not is_at(self._descriptor, self.path):
            raise TakenOverError("its part was replaced while this run stood still")

    @contextmanager
    def _distrusted_after(self, *errors: int) -> Iterator[None]:
        """Drop the part when the disk could not keep what it had taken.

        The system tells of that once. From then on it may serve from memory, as if they were safe, bytes that no
        disk has, so that neither a second flush nor verification would find out.
        """
        try:
            yield
        except OSError as error:
            if errors and error.errno not in errors:
                raise
            log.warning("%s: %s; nothing of it can be trusted, so it is dropped", self.path, error.strerror)
            self._forget_all()
            with suppress(OSError, TakenOverError):
                self._ours(now=True)
                self._remove()
            raise

    def _open(self) -> None:
        if self._descriptor is not None:
            return
        length = 0
        with suppress(FileNotFoundError), readable():
            self._descriptor = open_regular(self.path, os.O_RDWR)
            if os.fstat(self._descriptor).st_nlink > 1:
                self._leave_to_others()
            length = os.fstat(self._descriptor).st_size
        if self.remote and self.held.end == length:
            return  # as we left it between two tries
        self.remote, self.held = None, ByteRanges([(0, length)])
        if length == 0:
            # A sidecar without bytes would vouch for whatever is written next.
            self._ours()
            remove_file(self.sidecar)
            return
        with readable():
            text = read_small(self.sidecar, _LARGEST_SIDECAR + 1)
        if text is None or len(text) > _LARGEST_SIDECAR:
            return
        with suppress(UnicodeDecodeError):
            self.remote, recorded = parse_sidecar(text.decode())
            if recorded is not None:
                recorded.remove(length, recorded.end)
                self.held, self.has_gaps = recorded, True

    def _leave_to_others(self) -> None:
        """Go on in a copy where the file has a second name, as in a snapshot that is made of hard links."""
        self._ours(now=True)
        self._close()
        separate(self.path)
        self._descriptor = open_regular(self.path, os.O_RDWR)

    async def read(self, offset: int, count: int) -> bytes:
        """Read bytes that are here.

        Raises
        ------
        UnreadableError
            The disk does not give them back.
        """
        if self._descriptor is None:
            return b""
        with readable():
            return await self._executor.run(os.pread, self._descriptor, count, offset)

    async def write(self, offset: int, block: Block) -> None:
        """Write a block at its place."""
        if offset > self.held.prefix and not self.has_gaps:
            await self._record(scattered=True)
            self.has_gaps = True  # not before: whoever writes beyond the gap meanwhile has to record it, too
        await self._do(self._write, block, offset)
        await self.record_written(offset, len(block))

    def write_sync(self, offset: int, block: Block) -> None:
        """Write a block right behind one that `write` wrote, in the thread that one is in; `landed` is due then."""
        with storage_trouble(self.path):
            self._write(block, offset)

    async def record_written(self, offset: int, count: int) -> None:
        """Take note of bytes that are written."""
        self.held.add(offset, offset + count)
        self._unrecorded += count
        if self.has_gaps and self._unrecorded >= _RECORD_EACH:
            await self._record()

    def _write(self, block: Block, offset: int) -> None:
        self._ours()
        if self._descriptor is None:
            # Made no sooner than there is a byte for it: a refused product leaves nothing behind.
            self._descriptor = create_file(self.path)
        if self._watch is not None:
            self._watch(offset, block)  # before, since a write that fails may have put down a piece of it
        # Where a block begins within a page, the system first reads what is before it there.
        with readable(), self._distrusted_after(errno.EIO):
            write_all(self._descriptor, block, offset)

    def start_writeback(self, offset: int, count: int) -> None:
        """Have the system begin to bring bytes to the disk, which it otherwise puts off until they are flushed."""
        if self._descriptor is not None:
            with storage_trouble(self.path), self._distrusted_after():
                write_out(self._descriptor, offset, count)

    async def cut(self, length: int) -> None:
        """Give up the bytes from `length` on."""
        self.held.remove(length, self.held.end)
        if self._descriptor is not None:
            await self._do(self._cut, length)
        self.has_gaps = self.has_gaps and self.held.total > self.held.prefix
        if self.has_gaps:
            await self._record()

    def _cut(self, length: int) -> None:
        self._ours(now=True)
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, length)

    async def invalidate(self, spans: Iterable[tuple[int, int]]) -> None:
        """Give up some ranges, which turned out to be wrong."""
        for first, end in spans:
            self.held.remove(first, end)
        self.has_gaps = True
        await self._record()

    async def set_version(self, remote: RemoteVersion | None) -> None:
        """Note which archive these bytes are of; None forgets it, before bytes of another version are written."""
        if remote == self.remote:
            return
        self.remote = remote
        if self.has_gaps or (remote and (remote.size is None or remote.size > SMALL)):
            await self._record()
        elif remote is None:
            async with self._recording:
                await self._do(self._forget)

    def _forget(self) -> None:
        self._ours(now=True)
        remove_file(self.sidecar)

    async def _record(self, *, scattered: bool = False) -> None:
        async with self._recording:
            self._unrecorded = 0
            fields = asdict(self.remote) if self.remote else {}
            if scattered or self.has_gaps:
                fields["ranges"] = list(self.held)
            await self._do(self._write_sidecar, json.dumps(fields).encode())

    def _write_sidecar(self, text: bytes) -> None:
        """Write it in one system call over the old one: there is no moment at which a kill leaves half of it."""
        self._ours()
        descriptor = create_file(self.sidecar)
        try:
            status = os.fstat(descriptor)
            if status.st_nlink > 1 or status.st_size > _LARGEST_SIDECAR:  # it has another name, or is none of ours
                self.sidecar.unlink()
                os.close(descriptor)
                descriptor = create_file(self.sidecar)
                status = os.fstat(descriptor)
            write_all(descriptor, text.ljust(status.st_size), 0)
        finally:
            os.close(descriptor)

    async def publish(self) -> None:
        """Give the archive its final name, once its bytes are safe on the disk."""
        await self._do(self.publish_here)

    def publish_here(self) -> None:
        """Publish in the thread that one is in.

        The order matters. What is flushed is the file that is open. A flush may take minutes, after which another run
        may have the product: so the lease is looked at, and that the part's name still leads to the open file, right
        before the rename and not only at the beginning. Only a stop between these few calls that is longer than
        `lease.STALE` is left, and then there is no file of the part's name any more, or one whose holder finds out.
        Killed in between, the next run verifies the part again, and nothing is left behind.
        """
        self._unrecorded = 0  # else whoever leaves later, as a helper that came too late, writes a sidecar again
        with storage_trouble(self.path):
            self._ours(now=True)
            if self._descriptor is None:
                self._descriptor = open_regular(self.path, os.O_RDWR)
            with self._distrusted_after():
                os.fsync(self._descriptor)
            self._ours(now=True)
            self._close()
            remove_file(self.sidecar)
            self.path.replace(self.final)
            self.published = True

    def reopen(self, damaged: Iterable[tuple[int, int]]) -> None:
        """Take an archive's final name away and make it a part again, of which some ranges are missing.

        Raises
        ------
        FileError
            It is no file, or something odd has the name of its part.
        StorageError
            The folder cannot be written.
        """
        with storage_trouble(self.final):
            status = self.final.lstat()
            refuse_odd(self.final, status.st_mode)
            held = ByteRanges([(0, status.st_size)])
            for first, end in damaged:
                held.remove(first, end)
            remove_file(self.path)
            remove_file(self.sidecar)
            # Killed in between, the part has no sidecar, so that it is checked member by member.
            self.final.replace(self.path)
            self._write_sidecar(json.dumps({"ranges": list(held)}).encode())

    async def discard(self) -> None:
        """Remove part and sidecar: these bytes are of no use."""
        await self._do(self._discard)

    def _discard(self) -> None:
        self._ours(now=True)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:  # somebody may still be inside, and the next bytes belong into a new file
            with suppress(OSError):
                os.close(descriptor)
        self._remove()
        self._forget_all()

    def _forget_all(self) -> None:
        self.held, self.remote, self.has_gaps, self._unrecorded = ByteRanges(), None, False, 0

    def _remove(self) -> None:
        # In this order: a sidecar without its part is dropped, a part without its sidecar would be believed.
        self.path.unlink(missing_ok=True)
        remove_file(self.sidecar)

    async def _do(self, operation: Callable[..., T], *arguments: object, **named: object) -> T:
        with storage_trouble(self.path):
            return await self._executor.run(operation, *arguments, **named)
