"""A clock and a sleep that agree with each other, and waiting for operations that cannot be cancelled."""

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
    """A clock and a sleep: after a sleep of some seconds the clock has advanced by as much.

    That holds even for a sleep that only records its argument, as in tests. So a limit in seconds is reached after
    sleeps of as many seconds.

    Parameters
    ----------
    sleep
        Waits, in seconds.
    clock
        Seconds of any monotonic clock.
    wall
        Seconds since the epoch (1970-01-01 UTC), as `time.time`.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._wall = wall
        self._ahead = 0.0

    def now(self) -> float:
        """Return the time in seconds, from an arbitrary origin."""
        return self._clock() + self._ahead

    def wall(self) -> float:
        """Return the date and time, in seconds since the epoch."""
        return self._wall() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds; return at once for 0 or less."""
        until = self.now() + seconds
        await self._sleep(max(0.0, seconds))
        self._ahead += max(0.0, until - self.now())


async def wait_completed(operation: Awaitable[T]) -> T:
    """Await an operation to its end, also when the task is cancelled meanwhile, since a thread cannot be stopped."""
    task = asyncio.ensure_future(operation)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # a second cancellation must not abandon it either
                await asyncio.wait([task])
        task.exception()  # retrieved, but the cancellation takes precedence
        raise
