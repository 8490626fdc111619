"""Download one whole archive, verify it, and give it its place."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError, NotAvailableError, TransferError
from collgs_async.storage.verify import Level
from collgs_async.transfer.repair import ArchiveRepair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collgs_async.storage.disk import Disk, VerifyOptions
    from collgs_async.transfer.destination import Destination
    from collgs_async.transfer.job import DownloadJob

__all__ = ["ArchiveDownload"]

log = logging.getLogger("collgs_async")

_MAX_QUICK_READ: Final = 16 * 1024
"""Maximum bytes still to be read for an archive to be verified and published in one short call; compressed data can
expand a thousandfold."""


class ArchiveDownload:
    """Downloads one whole archive.

    Parameters
    ----------
    job
        The archive, locked.
    run
        Downloads what a job lacks, and returns the archive's length in bytes, or None if it was never stated.
    disk
        Verifies the archive.
    destination
        Where it goes.
    verify
        How much is verified where the version of the bytes is certain.
    small
        Size in bytes up to which it is verified and published in one call.
    """

    def __init__(
        self,
        job: DownloadJob,
        run: Callable[[DownloadJob], Awaitable[int | None]],
        disk: Disk,
        destination: Destination,
        *,
        verify: Level,
        small: int,
    ) -> None:
        self._job, self._run, self._disk, self._destination = job, run, disk, destination
        self._verify, self._small = verify, small

    async def __call__(self) -> None:
        """Download, verify and publish the archive; repair it, or try its next link, if it is not valid.

        Raises
        ------
        ProductError
            There is nothing left to try.
        """
        job, repair = self._job, ArchiveRepair(self._job)
        while True:
            try:
                size = await self._run(job)
                job.progress.checking(job.product)
                await self._verify_and_publish(size)
                return
            except (NotAvailableError, TransferError) as error:
                job.turn_to_next_link(error)
                repair = ArchiveRepair(job)
            except IntegrityError as error:
                try:
                    again = await repair.prepare_retry(error)
                except IntegrityError as final:
                    job.turn_to_next_link(final)
                    repair = ArchiveRepair(job)
                else:
                    log.warning("%s: %s; %s", job.product.identifier, error, again)

    async def _verify_and_publish(self, size: int | None) -> None:
        """Verify the archive and give it its place; a small one in a single call to the executor."""
        job = self._job
        path, level = job.part.path, self._level(size)
        arguments: VerifyOptions = {
            "identifier": job.product.identifier,
            "joined": job.part.remote is None,
            "lenient": job.lenient,
        }
        arguments["seen"] = seen = job.crc.members() if job.crc and level is Level.CRC else {}
        unseen = (size or 0) - sum(member.length for member in seen.values())
        quick = level is not Level.CRC or (job.crc is not None and job.crc.quick and unseen <= _MAX_QUICK_READ)

        if size is not None and size <= self._small and quick:
            check = partial(self._disk.verify_sync, path, size, level, **arguments)
            verdict = await self._destination.commit(job, check, quick=True)
        else:
            verdict = await self._disk.check(path, size, level, **arguments)
            await self._destination.commit(job, lambda: verdict, quick=False)
        for warning in verdict.warnings:
            log.warning("%s: %s", job.product.identifier, warning)
        for note in verdict.notes:
            log.info("%s: note: %s", job.product.identifier, note)

    def _level(self, size: int | None) -> Level:
        if self._job.part.remote is None:
            return Level.CRC  # without a recorded version, the bytes may be of several
        # Without a length stated by the server there is nothing to compare the size with.
        return Level.STRUCTURE if size is None and self._verify is Level.SIZE else self._verify
