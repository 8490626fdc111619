"""A clock and a sleep that agree with each other, and waiting for what cannot be stopped."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

__all__ = ["Timing", "wait_completed"]


class Timing:
    """Tells the time, and waits; after a wait of some seconds the clock has gone on by as much.

    That holds whatever the sleep does: one that only notes how long it should have been, as in tests, moves the clock
    on. So a limit in seconds is reached after waits of as many seconds.

    Parameters
    ----------
    sleep
        The way to wait, in seconds.
    clock
        Seconds of any steady clock.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._ahead = 0.0

    def now(self) -> float:
        """Give the time in seconds, from an arbitrary beginning."""
        return self._clock() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds; not at all when there are none left."""
        until = self.now() + seconds
        await self._sleep(max(0.0, seconds))
        self._ahead += max(0.0, until - self.now())


async def wait_completed(operation: Awaitable[T]) -> T:
    """Await an operation to its end, also when the task is cancelled meanwhile: a thread goes on in any case."""
    task = asyncio.ensure_future(operation)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # not even a second one may leave it alone
                await asyncio.wait([task])
        task.exception()  # whatever it was, the cancellation goes before it
        raise
