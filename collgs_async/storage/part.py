"""The part file: an unfinished archive, and the sidecar that records its version.

Bytes are written to ``<name>.zip.part``. While a single connection appends, the length of the file is the record of
what it holds. The sidecar ``<name>.zip.part.json`` stores URL, length and validators of the archive, so that a later
run can request the rest of the same version. Only `PartFile.publish` gives an archive its final name, by a rename.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from collgs_async.errors import TakenOverError, UnreadableError
from collgs_async.storage.executor import DiskExecutor
from collgs_async.storage.filenames import part_of, sidecar_of
from collgs_async.storage.files import (
    create_file,
    is_at,
    open_regular,
    readable,
    remove_file,
    separate,
    start_writeback,
    storage_trouble,
    write_all,
)
from collgs_async.storage.lock import ProductLock
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import RemoteVersion, read_sidecar, sidecar_text, write_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["SMALL", "Block", "PartFile"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")
Block: TypeAlias = bytes | bytearray | memoryview

SMALL: Final = 4 * 2**20
"""Size in bytes up to which an archive gets its sidecar only when its download is interrupted. If the process is
killed, downloading it again costs less than writing all these sidecars would."""

_RECORD_INTERVAL: Final = 2**20
"""Bytes written between two updates of the ranges in the sidecar; they are lost if the process is killed."""


class PartFile:
    """An unfinished archive on disk, open for reading and writing; use it as an asynchronous context manager.

    Several tasks may use it at once; it is closed when the last one leaves. Every disk operation in a thread is awaited
    to its end even if the task is cancelled: otherwise it might write into another file that gets the same descriptor.

    Once there is a gap, the sidecar lists the ranges: it is written before the first byte after a gap, and later after
    the bytes that it lists.

    Parameters
    ----------
    final
        Path of the published archive.
    executor
        Runs the disk operations; None to create one.
    watch
        Called with the offset of each block and the block, right before it is written, in the writing thread; None to
        disable it.
    small
        Size in bytes up to which an archive gets its sidecar only when it is left unfinished.

    Attributes
    ----------
    lock
        The product's lock; once acquired, it is confirmed before anything is written or removed.
    path, sidecar
        Paths of the part file and its sidecar, in the same folder.
    held
        Ranges of bytes in the part file.
    remote
        Version of the archive that they belong to; None if unknown, or if only equal bytes are evidence for it.
    published
        Whether the archive has its final name, or its place in an object store.
    has_gaps
        Whether the sidecar, rather than the file's length, is the record of what the part file holds.
    """

    def __init__(
        self,
        final: Path,
        executor: DiskExecutor | None = None,
        *,
        watch: Callable[[int, Block], None] | None = None,
        small: int = SMALL,
    ) -> None:
        self.final = final
        self._executor = executor or DiskExecutor()
        self._watch, self._small = watch, small
        self.path = part_of(final)
        self.lock = ProductLock(self.path, separate)
        self.sidecar = sidecar_of(final)
        self.held = ByteRanges()
        self.remote: RemoteVersion | None = None
        self._descriptor: int | None = None
        self._users = 0
        self._absent = False
        self.has_gaps = self.published = False
        self._has_sidecar = False
        self._unrecorded = 0
        self._opening, self._recording = asyncio.Lock(), asyncio.Lock()

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
                with suppress(TakenOverError):  # the sidecar belongs to another run now
                    if (self.has_gaps and self._unrecorded) or self._lacks_sidecar():
                        await self._record()
            finally:
                if not self._is_complete():  # a complete one is published next, which closes it
                    await self.close()

    def open_existing(self) -> None:
        """Inspect the existing part file, in the calling thread; if there is none, the first enter need not open it."""
        with storage_trouble(self.path):
            try:
                self._open()
            except UnreadableError as error:
                log.warning("%s: %s; it is dropped, and fetched anew", self.path, error)
                self.discard_sync()
            self._close()
        self._absent = not self.held.total

    def _lacks_sidecar(self) -> bool:
        """Whether a small archive is left unfinished, with a version that the next run could not know."""
        return not self._has_sidecar and self.remote is not None and self.held.total > 0 and not self._is_complete()

    def _is_small(self, remote: RemoteVersion | None) -> bool:
        return remote is not None and remote.size is not None and remote.size <= self._small

    def _is_complete(self) -> bool:
        return self.remote is not None and self.remote.size == self.held.total

    async def close(self) -> None:
        """Close the file, unless it is closed already."""
        if self._descriptor is not None:
            await self._do(self._close)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with self._discard_on_error():  # a network file system flushes on close, and reports errors here
                os.close(descriptor)

    def _require_ownership(self, *, now: bool = False) -> None:
        """Check that no other run has taken the part file over, before anything is written or removed.

        Parameters
        ----------
        now
            Whether to check even if the last check was recent, before something that cannot be undone. Then the open
            file must also still be the part file: another run replaces it before it takes the lock over.

        Raises
        ------
        TakenOverError
            Another run has taken it over.
        """
        if not self.lock.taken:
            return
        self.lock.confirm(now=now)
        if now and self._descriptor is not None and not is_at(self._descriptor, self.path):
            raise TakenOverError("its part was replaced while this run stood still")

    @contextmanager
    def _discard_on_error(self, *errors: int) -> Iterator[None]:
        """Discard the part file if the disk could not store bytes that it had accepted.

        The kernel reports such a failure only once. Afterwards it may serve from its cache bytes that are not on the
        disk, so that neither a second fsync nor the verification would notice.
        """
        try:
            yield
        except OSError as error:
            if errors and error.errno not in errors:
                raise
            log.warning("%s: %s; nothing of it can be trusted, so it is dropped", self.path, error.strerror)
            self._forget_all()
            with suppress(OSError, TakenOverError):
                self._require_ownership(now=True)
                self._remove()
            raise

    def _open(self) -> None:
        if self._descriptor is not None:
            return
        length = 0
        with suppress(FileNotFoundError), readable():
            self._descriptor = open_regular(self.path, os.O_RDWR)
            if os.fstat(self._descriptor).st_nlink > 1:
                self._separate_from_links()
            length = os.fstat(self._descriptor).st_size
        if self.remote and self.held.end == length:
            return  # unchanged since the last attempt
        if self._is_small(self.remote) and not self.has_gaps:
            # Changed by others since it was left, or by a write that failed midway: the version is not certain.
            self._require_ownership()
            remove_file(self.sidecar)
        self.remote, self.held, self._has_sidecar = None, ByteRanges([(0, length)]), False
        if length == 0:
            # A sidecar without bytes would be applied to whatever is written next.
            self._require_ownership()
            remove_file(self.sidecar)
            return
        with readable():
            self.remote, recorded = read_sidecar(self.sidecar)
        self._has_sidecar = self.remote is not None
        if recorded is not None:
            recorded.remove(length, recorded.end)
            self.held, self.has_gaps = recorded, True

    def _separate_from_links(self) -> None:
        """Continue in a copy if the file has further hard links, as in a snapshot."""
        self._require_ownership(now=True)
        self._close()
        separate(self.path)
        self._descriptor = open_regular(self.path, os.O_RDWR)

    async def read(self, offset: int, count: int) -> bytes:
        """Read bytes of the part file; raises UnreadableError where the disk cannot read them back."""
        if self._descriptor is None:
            return b""
        with readable():
            return await self._executor.run(os.pread, self._descriptor, count, offset)

    async def write(self, offset: int, block: Block) -> None:
        """Write a block at an offset."""
        if offset > self.held.prefix and not self.has_gaps:
            await self._record(has_gaps=True)
            self.has_gaps = True  # only now: a task that writes beyond a gap in the meantime must record it, too
        await self._do(self._write, block, offset)
        await self.record_written(offset, len(block))

    def write_sync(self, offset: int, block: Block) -> None:
        """Write a block that leaves no gap, in the calling thread; `record_written` has to follow."""
        with storage_trouble(self.path):
            self._write(block, offset)

    async def record_written(self, offset: int, count: int) -> None:
        """Record bytes that were written."""
        self.held.add(offset, offset + count)
        self._unrecorded += count
        if self.has_gaps and self._unrecorded >= _RECORD_INTERVAL:
            await self._record()

    def _write(self, block: Block, offset: int) -> None:
        self._require_ownership()
        if self._descriptor is None:
            # Created only when there is a byte to write, so that a refused product leaves no file behind.
            self._descriptor = create_file(self.path)
        if self._watch is not None:
            self._watch(offset, block)  # before the write, since a failed write may have written part of the block
        # Catch read errors, too: for a block that starts within a page, the kernel reads the page first.
        with readable(), self._discard_on_error(errno.EIO):
            write_all(self._descriptor, block, offset)

    def add_ranges(self, added: Iterable[tuple[int, int]]) -> None:
        """Record ranges that were written without this object, in the calling thread; from now on, gaps may follow."""
        with storage_trouble(self.path):
            for first, end in added:
                self.held.add(first, end)
            self.write_sidecar(sidecar_text(self.remote, self.held))
            self.has_gaps = True

    def start_writeback(self, offset: int, count: int) -> None:
        """Ask the kernel to start writing bytes to the disk, so that the final fsync has less to do."""
        if self._descriptor is not None:
            with storage_trouble(self.path), self._discard_on_error():
                start_writeback(self._descriptor, offset, count)

    async def cut(self, length: int) -> None:
        """Truncate the part file to `length` bytes."""
        self.held.remove(length, self.held.end)
        if self._descriptor is not None:
            await self._do(self._cut, length)
        self.has_gaps = self.has_gaps and self.held.total > self.held.prefix
        if self.has_gaps:
            await self._record()

    def _cut(self, length: int) -> None:
        self._require_ownership(now=True)
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, length)

    async def invalidate(self, spans: Iterable[tuple[int, int]]) -> None:
        """Mark ranges as missing, because their bytes turned out to be wrong."""
        for first, end in spans:
            self.held.remove(first, end)
        self.has_gaps = True
        await self._record()

    async def set_version(self, remote: RemoteVersion | None) -> None:
        """Record the version that the bytes belong to; None removes it, before bytes of another version are written."""
        if remote == self.remote:
            return
        self.remote = remote
        if self.has_gaps or (remote and (self._has_sidecar or not self._is_small(remote))):
            await self._record()
        elif remote is None:
            async with self._recording:
                await self._do(self._forget)

    def _forget(self) -> None:
        self._require_ownership(now=True)
        remove_file(self.sidecar)
        self._has_sidecar = False

    async def _record(self, *, has_gaps: bool = False) -> None:
        async with self._recording:
            self._unrecorded = 0
            ranges = self.held if has_gaps or self.has_gaps else None
            await self._do(self.write_sidecar, sidecar_text(self.remote, ranges))

    def write_sidecar(self, text: bytes) -> None:
        """Replace the sidecar, in the calling thread."""
        self._require_ownership()
        write_sidecar(self.sidecar, text)
        self._has_sidecar = True

    def flush(self) -> None:
        """Flush all its bytes to the disk in the calling thread; the part file is ours before and after that."""
        self._unrecorded = 0  # otherwise a task that leaves later, such as a helper, would write a sidecar again
        with storage_trouble(self.path):
            self._require_ownership(now=True)
            if self._descriptor is None:
                self._descriptor = open_regular(self.path, os.O_RDWR)
            with self._discard_on_error():
                os.fsync(self._descriptor)
            self._require_ownership(now=True)

    def publish(self) -> None:
        """Publish in the calling thread.

        The order matters: an fsync may take minutes, after which `flush` checks again. What remains is a suspend
        between these few calls that is longer than `STALE_AFTER`; then the part file does not exist any more, or
        belongs to a run that will notice. After a kill in between, the next run verifies the part file again.
        """
        self.flush()
        with storage_trouble(self.path):
            self._close()
            remove_file(self.sidecar)
            self.path.replace(self.final)
            self.published = True

    async def discard(self, *, published: bool = False) -> None:
        """Remove the part file and its sidecar; `published` records that the archive has its place elsewhere."""
        self.published = self.published or published
        await self._do(self.discard_sync)

    def discard_sync(self) -> None:
        """Remove the part file and its sidecar, in the calling thread."""
        self._require_ownership(now=True)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:  # other tasks may still be inside; the next bytes belong into a new file
            with suppress(OSError):
                os.close(descriptor)
        self._remove()
        self._forget_all()

    def _forget_all(self) -> None:
        self.held, self.remote, self._unrecorded = ByteRanges(), None, 0
        self.has_gaps = self._has_sidecar = False

    def _remove(self) -> None:
        # In this order: a sidecar without a part file is dropped, but a part file without its sidecar would be used.
        self.path.unlink(missing_ok=True)
        remove_file(self.sidecar)

    async def _do(self, operation: Callable[..., T], *arguments: object, **named: object) -> T:
        with storage_trouble(self.path):
            return await self._executor.run(operation, *arguments, **named)
