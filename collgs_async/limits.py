"""What a whole run may take from the line."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Throttle"]


class Throttle:
    """Hold the whole run, over all its connections, to a number of bytes a second.

    Whoever has received bytes pays for them here and waits until they are paid; not reading meanwhile is
    what slows the sender down.

    Parameters
    ----------
    rate
        Bytes a second; None for no limit.
    clock, sleep
        The time in seconds and the way to wait; other ones in tests.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock()

    async def pay(self, nbytes: int) -> None:
        """Wait until so many bytes are within the limit."""
        if self.rate is None:
            return
        now = self._clock()
        self._paid_until = max(self._paid_until, now) + nbytes / self.rate
        await self._sleep(self._paid_until - now)

    def piece(self, block: int) -> int:
        """How many bytes to take from the line at once: `block`, or less so that a slow run stays smooth."""
        return block if self.rate is None else max(16 * 1024, min(block, int(self.rate / 10)))
