"""Room on the disk for archives: wait, fail, or end the run before it is full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from collgs_async.errors import LimitReachedError, NotAvailableError, StorageError
from collgs_async.models.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from pathlib import Path

    from collgs_async.storage.disk import Disk
    from collgs_async.transfer.job import DownloadJob

__all__ = ["FolderRoom", "Room", "RoomTaken", "bytes_to_keep"]

_UNUSUAL_FACTOR: Final = 2
"""Factor by which an archive must exceed all others for only its product to fail if it does not fit on the disk."""

_MOST_TOO_LARGE: Final = 2
"""Consecutive products that may fail like this; with the next one, the disk counts as full."""


class RoomTaken(Exception):  # noqa: N818 - not an error: the job goes on when there is room
    """Other archives have the room that a job needs, and are going to free it.

    Parameters
    ----------
    wait
        Waits until the job has its room, without a request; raises as `Room.require` does otherwise.
    """

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.wait = wait


class Room(Protocol):
    """The room on the disk that archives are downloaded to."""

    async def require(self, job: DownloadJob, jobs: Collection[DownloadJob]) -> None:
        """Raise unless there is room for what a job still has to download.

        Parameters
        ----------
        job
            The job; the length of its archive is known, or the server does not state it.
        jobs
            All jobs that are being downloaded, this one included.

        Raises
        ------
        NotAvailableError
            The archive alone is too large.
        LimitReachedError
            Less would be free than is to be kept.
        StorageError
            The disk is full.
        RoomTaken
            There will be room later.
        """

    def leave(self, job: DownloadJob) -> None:
        """Record that the download of a job has ended, however it ended."""


class FolderRoom:
    """The room of an output folder, where archives stay: what the running jobs still have to download counts as used.

    Parameters
    ----------
    disk, folder
        The output folder.
    keep_free
        Bytes, or a percentage of the disk, that the run leaves free; None for no limit.
    """

    def __init__(self, disk: Disk, folder: Path, keep_free: float | str | None) -> None:
        self._disk = disk
        self._folder = folder
        self._keep_free = keep_free
        self._admitted: list[DownloadJob] = []
        self._admission = asyncio.Lock()
        self._largest = 0
        self._too_large: set[str] = set()

    async def require(self, job: DownloadJob, jobs: Collection[DownloadJob]) -> None:
        """Raise unless there is room for what a job still has to download.

        Raises
        ------
        NotAvailableError
            The archive alone is too large, and far larger than all others.
        LimitReachedError
            Less would be free than is to be kept.
        StorageError
            The disk is full.
        """
        own = job.to_store
        jobs = jobs if self._keep_free is None else {*self._admitted, job}
        free, whole_disk = await self._disk.free_space(sum(other.to_store for other in jobs))
        if own > free and not self._is_usual(job.size or 0):
            # Far larger than all other archives: the announced length is most likely wrong, so only this product fails.
            self._too_large.add(job.product.identifier)
            length, room = format_bytes(job.size or 0), format_bytes(free)
            raise NotAvailableError(
                f"the store announces {length}, and the whole disk has {format_bytes(whole_disk)}"
                if own > whole_disk
                else f"the store announces {length}, of which {format_bytes(own)} are to come; {room} are free"
            )
        is_admitted = job in self._admitted or not job.part.path.is_relative_to(self._folder)
        if self._keep_free is not None and not is_admitted:
            async with self._admission:  # two that are measured at once might each take the same room
                await self._admit(job, self._keep_free)
        # Jobs that cannot fit at all do not count: they fail on their own when their response is checked here.
        fits, free, to_come = await self._measure([one for one in jobs if one.to_store <= max(free, own)])
        if not fits:
            raise StorageError(
                f"{self._folder}: {format_bytes(free)} are free, "
                f"and {format_bytes(to_come)} of the archives on their way are still to come"
            )
        self._largest = max(self._largest, job.size or 0)
        self._too_large.clear()

    def leave(self, job: DownloadJob) -> None:
        """Record that the download of a job has ended, however it ended."""
        if job in self._admitted:
            self._admitted.remove(job)

    async def _admit(self, job: DownloadJob, keep_free: float | str) -> None:
        """Admit a job unless it would leave less free space than is to be kept, once those admitted before have ended.

        Raises
        ------
        LimitReachedError
            There is too little room for it.
        """
        _, whole_disk = await self._disk.free_space(job.to_store)
        kept = bytes_to_keep(keep_free, whole_disk)
        fits, free, to_come = await self._measure([*self._admitted, job], kept)
        if not fits:
            to_come -= job.to_store
            others = f"{format_bytes(to_come)} of the archives on their way are still to come, and " if to_come else ""
            raise LimitReachedError(
                f"keep_free of {_shown(keep_free)} is reached: {self._folder} has {format_bytes(free)} free; "
                f"{others}the next one takes {format_bytes(job.to_store)}",
                setting="keep_free",
            )
        self._admitted.append(job)

    async def _measure(self, jobs: Sequence[DownloadJob], kept: float = 0) -> tuple[bool, int, int]:
        """Return whether the disk has room for what is to come of jobs, the free bytes, and the bytes to come.

        Bytes written meanwhile are counted twice, or not at all: if that decides, the space is measured again.
        """
        while True:
            before = sum(job.to_store for job in jobs)
            free, _ = await self._disk.free_space(int(kept) + before)
            after = sum(job.to_store for job in jobs)
            if (fits := free - before >= kept) == (free - after >= kept):
                return fits, free, after

    def _is_usual(self, size: int) -> bool:
        """Whether a size is similar to that of other archives, so that failing to fit means that the disk is full."""
        return size <= _UNUSUAL_FACTOR * self._largest or len(self._too_large) >= _MOST_TOO_LARGE


def bytes_to_keep(keep_free: float | str | None, whole_disk: int) -> float:
    """Return how many bytes of a disk are to be left free, of which a percentage may be given."""
    return float(keep_free.rstrip("%")) / 100 * whole_disk if isinstance(keep_free, str) else keep_free or 0


def _shown(keep_free: float | str) -> str:
    return keep_free if isinstance(keep_free, str) else format_bytes(keep_free)
