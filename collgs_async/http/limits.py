"""What a whole run may take from the line."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["ConcurrencyLimiter", "RateLimiter"]

log = logging.getLogger("collgs_async")

PROBE_EACH: Final = 30.0
"""Seconds without a refusal after which one connection more is tried."""

UNASKED_WAIT: Final = 2.0
"""Seconds to hold back after a refusal that does not say how long."""


class ConcurrencyLimiter:
    """Lets so many requests at the store at once as it tolerates, and no more than there are workers.

    A refusal (429, 503, "concurrent flows") halves the number once: refusals of requests that began before the last
    reduction are the same one. Nobody passes before the store's ``Retry-After`` is over. Then one connection more
    is tried after a while without refusals, and after a longer while each time that this is refused.

    Parameters
    ----------
    most
        The number to begin with, and never to exceed.
    clock, sleep
        The time in seconds and the way to wait; other ones in tests.

    Attributes
    ----------
    limit
        How many may pass at once, now.
    successes
        How many requests the store has accepted.
    """

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limit = most
        self.successes = 0
        self._most = most
        self._clock = clock
        self._sleep = sleep
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0
        self._reduced_at = -math.inf
        self._probe_after = PROBE_EACH
        self._probed_at: float | None = None
        self._opens_to = 0

    @asynccontextmanager
    async def slot(self, *, ahead: bool = False) -> AsyncIterator[float]:
        """Wait for a place, hold it, and give it back.

        Parameters
        ----------
        ahead
            Whether to stand before those who have not begun yet: what is half here is finished first.

        Yields
        ------
        float
            When the place was given, by the limiter's clock.
        """
        await self._take_place(ahead=ahead)
        try:
            opens = 0.0
            while self._closed_until > max(opens, self._clock()):
                opens = self._closed_until
                await self._sleep(opens - self._clock())
            yield self._clock()
        finally:
            self._inside -= 1
            self._admit()

    async def _take_place(self, *, ahead: bool) -> None:
        self._probe()
        if self._inside < self.limit and not self._waiting:
            self._inside += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if ahead else self._waiting.append)(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._inside -= 1
                self._admit()
            elif place in self._waiting:  # else it was passed over already, as cancelled
                self._waiting.remove(place)
            raise

    def _admit(self) -> None:
        self._probe()
        while self._waiting and self._inside < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._inside += 1
                place.set_result(None)

    def available(self) -> bool:
        """Whether a request would pass at once, and take no place that another one waits for."""
        self._admit()
        return self._inside < self.limit and self._closed_until <= self._clock()

    def record_success(self) -> None:
        """Take note that the store has accepted a request."""
        self.successes += 1
        if self.limit < self._opens_to:
            self.limit += 1
            self._admit()

    def open_slowly(self, limit: int) -> None:
        """Begin again with one request at a time, and one more for each that is accepted, up to so many.

        For a store that was away: all that waited for it would else come at once.
        """
        self.limit, self._opens_to = 1, min(limit, self._most)
        self._reduced_at, self._probed_at = self._clock(), None

    def record_rejection(
        self, began: float, retry_after: float | None, *, why: str = "the store refuses so many requests at once"
    ) -> None:
        """Take note that the store refused a request because there are too many.

        Parameters
        ----------
        began
            What `enter` gave for that request.
        retry_after
            Seconds that the store asked to wait; None when it did not say.
        why
            What to say of it.
        """
        now = self._clock()
        self._closed_until = max(self._closed_until, now + (UNASKED_WAIT if retry_after is None else retry_after))
        if began <= self._reduced_at:
            return
        self._opens_to = 0
        if self._probed_at is not None and began >= self._probed_at:
            self._probe_after *= 2
            lower = self.limit - 1
        else:
            lower = self.limit // 2
        self.limit = max(1, lower)
        self._probed_at = None
        self._reduced_at = now
        log.warning("%s: going on with %d at a time", why, self.limit)

    def _probe(self) -> None:
        """Try one connection more when there was no refusal for a while."""
        since = max(self._reduced_at, self._probed_at or -math.inf)
        if self.limit < self._most and self._clock() - since >= self._probe_after:
            self.limit += 1
            self._probed_at = self._clock()


class RateLimiter:
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

    async def consume(self, nbytes: int) -> None:
        """Wait until so many bytes are within the limit."""
        if self.rate is None:
            return
        now = self._clock()
        self._paid_until = max(self._paid_until, now) + nbytes / self.rate
        await self._sleep(self._paid_until - now)

    def block_size(self, block: int) -> int:
        """How many bytes to take from the line at once: `block`, or less so that a slow run stays smooth."""
        return block if self.rate is None else max(16 * 1024, min(block, int(self.rate / 10)))
