"""Room in a spool, which archives leave as soon as they are in their place: a job waits until others have left it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from collgs_async.errors import NotAvailableError, StorageError
from collgs_async.models.text import format_bytes
from collgs_async.transfer.room import RoomTaken, bytes_to_keep

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from collgs_async.storage.disk import Disk
    from collgs_async.transfer.job import DownloadJob

__all__ = ["SpoolRoom"]


class LargerThanSpoolError(NotAvailableError):
    """An archive is larger than the whole disk of the spool."""

    advice: ClassVar[str | None] = "Name a spool on a larger disk with --spool."


class SpoolRoom:
    """The room of a spool. A job has it from its first byte until its archive has left the spool.

    A job is admitted only with all that its archive needs, so that no two wait for each other.

    Parameters
    ----------
    disk, folder
        The spool.
    keep_free
        Bytes, or a percentage of the disk, that the run leaves free; None for no limit.
    """

    def __init__(self, disk: Disk, folder: Path, keep_free: float | str | None) -> None:
        self._disk = disk
        self._folder = folder
        self._keep_free = keep_free
        self._begun: set[DownloadJob] = set()
        self._admitted: set[DownloadJob] = set()
        self._waiting: set[DownloadJob] = set()
        self._changed = asyncio.Event()
        self._measuring = asyncio.Lock()

    def begin(self, job: DownloadJob) -> None:
        """Record that a job is under way: it may have bytes in the spool, which it is going to free."""
        self._begun.add(job)

    def end(self, job: DownloadJob) -> None:
        """Record that a job has ended, however it ended."""
        self._begun.discard(job)
        self._admitted.discard(job)
        self._tell()

    def leave(self, job: DownloadJob) -> None:
        """Do nothing: a downloaded archive needs its room until it has left the spool."""

    async def require(self, job: DownloadJob, jobs: Collection[DownloadJob]) -> None:  # noqa: ARG002
        """Raise unless there is room for what a job still has to download.

        Raises
        ------
        LargerThanSpoolError
            The archive is larger than the whole disk.
        StorageError
            There is too little room, and no other archive is going to free any.
        RoomTaken
            Others are going to free it.
        """
        if job in self._admitted or job not in self._begun:
            return  # what has not begun is read elsewhere, as is the directory of an archive
        if not await self._admit(job):
            raise RoomTaken(partial(self._wait, job))

    async def _wait(self, job: DownloadJob) -> None:
        self._waiting.add(job)
        self._tell()  # others that wait may have been waiting for this one
        job.progress.delayed(job.product, "no room in the spool yet")
        try:
            while True:
                changed = self._changed
                if await self._admit(job):
                    return
                await changed.wait()
        finally:
            self._waiting.discard(job)

    async def _admit(self, job: DownloadJob) -> bool:
        """Admit a job if there is room for it beside those admitted before."""
        own = job.to_store
        async with self._measuring:
            # All of this before the space is measured: what arrives in between counts twice rather than not at all,
            # and one that ends in between has been under way.
            is_alone = not self._admitted and self._begun <= self._waiting | {job}
            to_come = sum(other.to_store for other in self._admitted)
            free, whole_disk = await self._disk.free_space()
            free -= int(bytes_to_keep(self._keep_free, whole_disk))
            if own + to_come <= free:
                self._admitted.add(job)
                return True
        if own > whole_disk:
            raise LargerThanSpoolError(
                f"the store announces {format_bytes(job.size or 0)}, and the whole disk of the spool has "
                f"{format_bytes(whole_disk)}"
            )
        if is_alone:
            kept = f" beyond the keep_free of {self._keep_free}" if self._keep_free else ""
            raise StorageError(
                f"{self._folder}: {format_bytes(max(0, free))} are free{kept}, and {format_bytes(own)} of an archive "
                "are still to come; make room, or name another spool"
            )
        return False

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
