"""Read the central directory of an archive in the store: from its end, mostly by one request for 64 KiB."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError, NotAvailableError, TransferError
from collgs_async.models.text import format_bytes
from collgs_async.storage.archive_reading import MissingBytesError
from collgs_async.storage.identity import refuse_another
from collgs_async.storage.parts_record import LARGEST_DIRECTORY
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_directory import read_members

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collgs_async.storage.disk import Disk
    from collgs_async.storage.zip_directory import Directory
    from collgs_async.transfer.parts_job import PartsJob

__all__ = ["find_directory", "read_directory"]

log = logging.getLogger("collgs_async")

_END: Final = 2**20
"""Bytes at an archive's end that are fetched once more if no valid directory is found there."""


async def find_directory(job: PartsJob, run: Callable[[PartsJob], Awaitable[object]], disk: Disk) -> Directory:
    """Read an archive's central directory as `read_directory` does, from the next link where one fails."""
    while True:
        try:
            return await read_directory(job, run, disk)
        except (NotAvailableError, TransferError, IntegrityError) as error:
            job.turn_to_next_link(error)


async def read_directory(job: PartsJob, run: Callable[[PartsJob], Awaitable[object]], disk: Disk) -> Directory:
    """Download what is missing of an archive's central directory, and read it.

    Parameters
    ----------
    job
        The archive; afterwards its length is known, and its part file has every byte from the directory on.
    run
        Downloads what the job wants.
    disk
        Reads the part file.

    Raises
    ------
    IntegrityError
        The archive has no valid directory, or is another product's; its end came like this twice.
    ProductError
        The store refused, or the transfer failed.
    """
    name, fetched_again = job.product.identifier, False
    async with job.part:
        await job.restore()
    while True:
        if job.size is None or job.part.held.end < job.size:
            job.want_tail()
            await run(job)
        try:
            return await _read_held(job, run, disk)
        except IntegrityError as error:
            if fetched_again:
                raise IntegrityError(f"{error}; it came like this twice, so the archive is bad on the server") from None
            fetched_again = True
            log.warning("%s: %s; fetching its end again", name, error)
            async with job.part:
                await job.part.invalidate([(max(0, (job.size or 0) - _END), job.size or 0)])
            job.record_damage()


async def _read_held(job: PartsJob, run: Callable[[PartsJob], Awaitable[object]], disk: Disk) -> Directory:
    def read() -> Directory:
        directory = read_members(job.part.path, held=job.part.held)
        refuse_another([member.name for member in directory.members], job.product.identifier)
        return directory

    while True:
        try:
            return await disk.run_long(read)  # a directory may have 65,535 members or more: seconds
        except MissingBytesError as missing:
            if (length := missing.end - missing.first) > LARGEST_DIRECTORY:
                raise IntegrityError(f"its central directory has {format_bytes(length)} or more") from None
            job.want(ByteRanges([(missing.first, missing.end)]))
            await run(job)
