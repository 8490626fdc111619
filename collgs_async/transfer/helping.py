"""Pieces for helpers: more connections for an archive that would take long over the ones that it has."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import ProductError
from collgs_async.patience import let_go
from collgs_async.timing import settled
from collgs_async.transfer.judge import AskAgain
from collgs_async.transfer.stream import BusyError
from collgs_async.transfer.trip import Abandoned

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any, NoReturn

    from aiohttp import ClientResponse

    from collgs_async.transfer.judge import Answer
    from collgs_async.transfer.stores import Stores
    from collgs_async.transfer.stream import Line
    from collgs_async.transfer.trip import Stretch, Trip

__all__ = ["LOOK_FOR_WORK_EACH", "Helpers"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")

LOOK_FOR_WORK_EACH: Final = 0.05
"""Seconds between two looks of somebody idle for something to help with."""


class Helpers:
    """Those who take over pieces of what others are bringing.

    Parameters
    ----------
    stores
        Where everybody passes who asks a store for something.
    line
        The way from the store to a part.
    """

    def __init__(self, stores: Stores, line: Line) -> None:
        self._stores = stores
        self._line = line

    async def help_with(self, trips: Sequence[Trip], helpers: int = 1) -> bool:
        """Bring a piece of the longest stretch that is worth splitting; False when none is.

        Parameters
        ----------
        trips
            What may be helped with.
        helpers
            How many are about to do so, this one included; it takes no more than leaves as much for each.
        """
        now, open_ones = time.monotonic(), [trip for trip in trips if trip.running]
        for trip in sorted(open_ones, key=lambda trip: max(one.unpromised for one in trip.running), reverse=True):
            if shared := trip.share(now, max(1, helpers // len(open_ones))):
                return await self._as_helper(trip, *shared)
        return False

    async def accompany(self, trip: Trip, bringing: Coroutine[Any, Any, T]) -> T:
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
        helpers = [asyncio.create_task(self._stay_with(trip)) for _ in range(trip.segments - 1)]
        try:
            ended, _ = await asyncio.wait([own, *helpers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stop(own, *helpers)
        for helper in ended - {own}:
            helper.result()
        return own.result()

    async def _stay_with(self, trip: Trip) -> NoReturn:
        """Help with one archive alone, as long as nobody else waits for the connection that this takes."""
        while True:
            if not (
                trip.running and self._stores.of(trip.url).has_room() and await self.help_with([trip], trip.segments)
            ):
                await trip.wait_for_change(LOOK_FOR_WORK_EACH if trip.running else None)

    async def _as_helper(self, trip: Trip, longest: Stretch, piece: Stretch) -> bool:
        """Bring a piece in a task of its own, which can be stopped when nobody wants it; False when it is too late."""
        helper = asyncio.create_task(self._bring_piece(trip, longest, piece))
        trip.helpers.add(helper)
        try:
            await asyncio.wait([helper])
        except asyncio.CancelledError:
            await _stop(helper)
            raise
        finally:
            trip.helpers.discard(helper)
            longest.promised.discard(piece)
        return helper.cancelled() or helper.result()

    async def _bring_piece(self, trip: Trip, longest: Stretch, piece: Stretch) -> bool:
        store = self._stores.of(trip.url)

        async def judged(answer: Answer, response: ClientResponse) -> None:
            store.accepted(trip.url)
            trip.take_over(longest, piece, answer)
            trip.begin(piece, response)
            longest.promised.discard(piece)

        try:
            async with store.enter() as began, trip.part:
                if not trip.in_time(longest, piece):
                    return False
                try:
                    await self._line.fetch(trip, piece, judged=judged)
                except BusyError as error:
                    store.gate.refused(began, error.retry_after)
                    raise
                finally:
                    trip.finish(piece)
        except (AskAgain, ProductError, Abandoned) as error:
            log.debug("%s: a second connection failed: %s", trip.product.identifier, error)
            let_go(error)
            trip.note_help(failed=True)
        else:
            trip.note_help(failed=False)
        return True


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    """Stop tasks and await their ends."""
    for task in tasks:
        if not task.cancelling():  # once is enough: a second time would cut off the write of what is at hand
            task.cancel()
    await settled(asyncio.gather(*tasks, return_exceptions=True))
