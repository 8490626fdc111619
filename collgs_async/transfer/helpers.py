"""Split the largest remaining segment so idle workers can take part of it.

The scheduler calls this for workers without a product of their own, and for a download that runs alone and may use
several connections from the beginning.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import ProductError
from collgs_async.http.retry import clear_error_frames
from collgs_async.models.timing import wait_completed
from collgs_async.transfer.range_request import ResponseBody
from collgs_async.transfer.sink import SegmentSink
from collgs_async.transfer.store_errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any, NoReturn

    from collgs_async.transfer.fetch import SegmentFetcher
    from collgs_async.transfer.job import DownloadJob
    from collgs_async.transfer.segment import Segment
    from collgs_async.transfer.stores import Stores

__all__ = ["IDLE_POLL", "SegmentHelpers"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")

IDLE_POLL: Final = 0.05
"""Seconds between two attempts of an idle worker to find a segment that is worth splitting."""


class SegmentHelpers:
    """Downloads pieces that are split off from the segments of running jobs."""

    def __init__(self, stores: Stores, fetcher: SegmentFetcher) -> None:
        self._stores = stores
        self._fetcher = fetcher

    async def help_with(self, jobs: Sequence[DownloadJob], helpers: int = 1) -> bool:
        """Download a piece of the largest segment that is worth splitting; return False if there is none.

        Parameters
        ----------
        jobs
            The jobs whose segments may be split.
        helpers
            Number of helpers looking for work at the moment, this one included. The piece is sized so that each of
            them can get an equal one.
        """
        now, open_ones = asyncio.get_running_loop().time(), [job for job in jobs if job.active]
        for job in sorted(open_ones, key=lambda job: max(one.unclaimed for one in job.active), reverse=True):
            if shared := job.split_largest(now, max(1, helpers // len(open_ones))):
                return await self._as_helper(job, *shared)
        return False

    async def accompany(self, job: DownloadJob, own_work: Coroutine[Any, Any, T]) -> T:
        """Run a job together with helpers of its own, and return the job's result.

        Parameters
        ----------
        job
            The job; it gets one helper less than its `max_segments`.
        own_work
            What the job's own worker does. The helpers are cancelled when it ends.

        Raises
        ------
        AuthenticationError, StorageError
            A helper met an error that ends the run; `own_work` was cancelled.
        """
        own = asyncio.create_task(own_work)
        helpers = [asyncio.create_task(self._stay_with(job)) for _ in range(job.max_segments - 1)]
        try:
            ended, _ = await asyncio.wait([own, *helpers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (own, *helpers):
                task.cancel()
            await wait_completed(asyncio.gather(own, *helpers, return_exceptions=True))
        for helper in ended - {own}:
            helper.result()
        return own.result()

    async def _stay_with(self, job: DownloadJob) -> NoReturn:
        """Download pieces of one job, as long as no other request waits for the connection that this takes."""
        while True:
            if not (
                job.active and self._stores.of(job.url).is_available() and await self.help_with([job], job.max_segments)
            ):
                await job.wait_for_change(IDLE_POLL if job.active else None)

    async def _as_helper(self, job: DownloadJob, longest: Segment, piece: Segment) -> bool:
        """Download a piece in a task of its own, so the job can cancel it; return False if it was taken already."""
        helper = asyncio.create_task(self._fetch_piece(job, longest, piece))
        job.add_helper(helper)
        try:
            await asyncio.wait([helper])
        except asyncio.CancelledError:
            job.stop_helper(helper)
            await wait_completed(asyncio.wait([helper]))
            raise
        finally:
            job.remove_helper(helper)
            longest.release_piece(piece)
        return helper.cancelled() or helper.result()

    async def _fetch_piece(self, job: DownloadJob, longest: Segment, piece: Segment) -> bool:
        store = self._stores.of(job.url)

        async def claim(answer: ResponseBody) -> bool:
            return job.claim(longest, piece, answer)

        try:
            async with store.slot() as started, job.part:
                if not job.still_available(longest, piece):
                    return False
                try:
                    with SegmentSink(job, piece, store, claim) as sink:
                        result = await self._fetcher.fetch(sink)
                except BusyError as error:
                    store.limiter.record_rejection(started, error.retry_after)
                    raise
        except ProductError as error:
            log.debug("%s: a second connection failed: %s", job.product.identifier, error)
            clear_error_frames(error)
            job.record_help(failed=True)
        else:
            job.record_help(failed=not isinstance(result, ResponseBody))
        return True
