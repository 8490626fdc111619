"""Pieces for helpers: more connections for an archive that would take long over the ones that it has."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import ProductError
from collgs_async.http.retry import clear_error_frames
from collgs_async.models.timing import wait_completed
from collgs_async.transfer.fetch import BusyError
from collgs_async.transfer.job import SegmentSuperseded
from collgs_async.transfer.range_request import AskAgain

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any, NoReturn

    from aiohttp import ClientResponse

    from collgs_async.transfer.fetch import SegmentFetcher
    from collgs_async.transfer.job import DownloadJob, Segment
    from collgs_async.transfer.range_request import ResponseBody
    from collgs_async.transfer.stores import Stores

__all__ = ["IDLE_POLL", "SegmentHelpers"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")

IDLE_POLL: Final = 0.05
"""Seconds between two looks of somebody idle for something to help with."""


class SegmentHelpers:
    """Those who take over pieces of what others are bringing.

    Parameters
    ----------
    stores
        Where everybody passes who asks a store for something.
    line
        The way from the store to a part.
    """

    def __init__(self, stores: Stores, line: SegmentFetcher) -> None:
        self._stores = stores
        self._line = line

    async def help_with(self, jobs: Sequence[DownloadJob], helpers: int = 1) -> bool:
        """Bring a piece of the longest segment that is worth splitting; False when none is.

        Parameters
        ----------
        trips
            What may be helped with.
        helpers
            How many are about to do so, this one included; it takes no more than leaves as much for each.
        """
        now, open_ones = time.monotonic(), [job for job in jobs if job.active]
        for job in sorted(open_ones, key=lambda job: max(one.unclaimed for one in job.active), reverse=True):
            if shared := job.split_largest(now, max(1, helpers // len(open_ones))):
                return await self._as_helper(job, *shared)
        return False

    async def accompany(self, job: DownloadJob, bringing: Coroutine[Any, Any, T]) -> T:
        """Let an archive be brought with helpers of its own, who end with it, however it ends.

        Parameters
        ----------
        trip
            The archive; one connection less than its `segments` are for helpers.
        bringing
            What its own worker does.

        Raises
        ------
        AuthenticationError, StorageError
            A helper found out what ends all; `bringing` was stopped then.
        """
        own = asyncio.create_task(bringing)
        helpers = [asyncio.create_task(self._stay_with(job)) for _ in range(job.max_segments - 1)]
        try:
            ended, _ = await asyncio.wait([own, *helpers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stop(own, *helpers)
        for helper in ended - {own}:
            helper.result()
        return own.result()

    async def _stay_with(self, job: DownloadJob) -> NoReturn:
        """Help with one archive alone, as long as nobody else waits for the connection that this takes."""
        while True:
            if not (
                job.active and self._stores.of(job.url).has_room() and await self.help_with([job], job.max_segments)
            ):
                await job.wait_for_change(IDLE_POLL if job.active else None)

    async def _as_helper(self, job: DownloadJob, longest: Segment, piece: Segment) -> bool:
        """Bring a piece in a task of its own, which can be stopped when nobody wants it; False when it is too late."""
        helper = asyncio.create_task(self._bring_piece(job, longest, piece))
        job.helpers.add(helper)
        try:
            await asyncio.wait([helper])
        except asyncio.CancelledError:
            await _stop(helper)
            raise
        finally:
            job.helpers.discard(helper)
            longest.claimed.discard(piece)
        return helper.cancelled() or helper.result()

    async def _bring_piece(self, job: DownloadJob, longest: Segment, piece: Segment) -> bool:
        store = self._stores.of(job.url)

        async def judged(answer: ResponseBody, response: ClientResponse) -> None:
            store.accepted(job.url)
            job.claim(longest, piece, answer)
            job.begin(piece, response)
            longest.claimed.discard(piece)

        try:
            async with store.enter() as began, job.part:
                if not job.still_available(longest, piece):
                    return False
                try:
                    await self._line.fetch(job, piece, judged=judged)
                except BusyError as error:
                    store.limiter.record_rejection(began, error.retry_after)
                    raise
                finally:
                    job.finish(piece)
        except (AskAgain, ProductError, SegmentSuperseded) as error:
            log.debug("%s: a second connection failed: %s", job.product.identifier, error)
            clear_error_frames(error)
            job.record_help(failed=True)
        else:
            job.record_help(failed=False)
        return True


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    """Stop tasks and await their ends."""
    for task in tasks:
        if not task.cancelling():  # once is enough: a second time would cut off the write of what is at hand
            task.cancel()
    await wait_completed(asyncio.gather(*tasks, return_exceptions=True))
