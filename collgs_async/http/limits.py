"""Concurrency and bandwidth limits shared by all transfers of a run."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from collgs_async.models.text import format_rate, plural
from collgs_async.models.timetable import RateTimetable
from collgs_async.models.timing import Timing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["ConcurrencyLimiter", "RateLimiter"]

log = logging.getLogger("collgs_async")

PROBE_EACH: Final = 30.0
"""Seconds without a rejection after which one more connection is tried."""

UNASKED_WAIT: Final = 2.0
"""Seconds to pause after a rejection without Retry-After."""


class ConcurrencyLimiter:
    """Limits concurrent requests to the number that the server accepts, and to the number of workers.

    A rejection (429, 503, "concurrent flows") halves the limit. Further rejections of requests that were started before
    the reduction do not reduce it again. No request starts before the server's ``Retry-After`` has passed. After some
    time without rejections one more connection is tried; whenever that one is rejected, this time doubles.

    Parameters
    ----------
    most
        Initial limit, which is never exceeded.
    clock, sleep
        Clock and sleep in seconds; injected in tests.

    Attributes
    ----------
    limit
        Current maximum of concurrent requests.
    successes
        Number of requests that the server has accepted.
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
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0
        self._reduced_at = -math.inf
        self._probe_after = PROBE_EACH
        self._probed_at: float | None = None
        self._opens_to = 0

    @asynccontextmanager
    async def slot(self, *, ahead: bool = False) -> AsyncIterator[float]:
        """Wait for a slot, and hold it during the context.

        Parameters
        ----------
        ahead
            Whether to go to the front of the queue, so that products already begun are finished first.

        Yields
        ------
        float
            Time at which the slot was obtained, by the limiter's clock; `record_rejection` needs it.
        """
        await self._acquire_slot(ahead=ahead)
        while not await self._wait_until_open():
            await self._acquire_slot(ahead=True)
        try:
            yield self._stamp()
        finally:
            self._release_slot()

    async def _wait_until_open(self) -> bool:
        """Wait until the server's Retry-After has passed; if the slot was taken back meanwhile, release it."""
        opens = 0.0
        try:
            while self._closed_until > max(opens, self._clock()):
                opens = self._closed_until
                await self._sleep(opens - self._clock())
        except BaseException:
            self._release_slot()
            raise
        if opens and self._has_too_many():
            self._release_slot()
            return False
        return True

    def _release_slot(self) -> None:
        self._active -= 1
        self._admit()

    @property
    def active(self) -> int:
        """Number of slots that are held."""
        return self._active

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a slot."""
        return len(self._waiting)

    def _has_room(self) -> bool:
        return self._active < self.limit

    def _has_too_many(self) -> bool:
        """Whether a slot that was waiting for the server is to be returned."""
        return False

    def _stamp(self) -> float:
        return self._clock()

    async def _acquire_slot(self, *, ahead: bool) -> None:
        self.probe()
        if self._has_room() and not self._waiting:
            self._active += 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if ahead else self._waiting.append)(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._active -= 1
                self._admit()
            elif slot in self._waiting:  # otherwise `_admit` has removed it already
                self._waiting.remove(slot)
            raise

    def _admit(self) -> None:
        self.probe()
        while self._waiting and self._has_room():
            slot = self._waiting.popleft()
            if not slot.done():
                self._active += 1
                slot.set_result(None)

    def available(self) -> bool:
        """Whether a request could start at once, without taking a slot that another one waits for."""
        self._admit()
        return self._has_room() and self._closed_until <= self._clock()

    def record_success(self) -> None:
        """Record that the server accepted a request."""
        self.successes += 1
        if self.limit < self._opens_to:
            self.limit += 1
            self._admit()

    def open_slowly(self, limit: int) -> None:
        """Restart with one concurrent request, and add one for each that is accepted, up to `limit`.

        After an outage of the server, all waiting requests would otherwise be sent at once.
        """
        self.limit, self._opens_to = 1, min(limit, self._most)
        self._reduced_at, self._probed_at = self._clock(), None

    def record_rejection(
        self, started: float, retry_after: float | None, *, why: str = "server rejects concurrent requests"
    ) -> None:
        """Record that the server rejected a request because there are too many, and reduce the limit.

        Parameters
        ----------
        started
            Value that `slot` yielded for the request.
        retry_after
            Retry-After in seconds; None if the response had none.
        why
            The reason, for the log.
        """
        now = self._clock()
        self._close(retry_after)
        if started <= self._reduced_at:
            return
        self._opens_to = 0
        if self._probed_at is not None and started >= self._probed_at:
            self._probe_after *= 2
            lower = self.limit - 1
        else:
            lower = self.limit // 2
        before, self.limit = self.limit, max(1, lower)
        self._probed_at = None
        self._reduced_at = now
        if self.limit < before:
            log.warning("%s; continuing with %s", why, plural(self.limit, "connection"))

    def _close(self, retry_after: float | None) -> None:
        """Let no request start before the server's Retry-After has passed."""
        wait = UNASKED_WAIT if retry_after is None else retry_after
        self._closed_until = max(self._closed_until, self._clock() + wait)

    def probe(self) -> None:
        """Raise the limit by one if there was no rejection for `_probe_after` seconds."""
        since = max(self._reduced_at, self._probed_at or -math.inf)
        if self.limit < self._most and self._clock() - since >= self._probe_after:
            self.limit += 1
            self._probed_at = self._clock()


class RateLimiter:
    """Limits the bytes per second of the whole run, over all its connections.

    A reader waits after each block; not reading in the meantime slows the sender down through TCP flow control.

    Parameters
    ----------
    rate
        Bytes per second, or a timetable of rates; None for no limit.
    clock, sleep
        Clock and sleep in seconds; injected in tests.
    timing
        Tells the date and time for a timetable, and waits during its pauses; None for the system's.

    Attributes
    ----------
    share
        What this process may use of the rate, from 0 to 1, where several share it.
    """

    def __init__(
        self,
        rate: float | RateTimetable | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timing: Timing | None = None,
    ) -> None:
        self._table = rate if isinstance(rate, RateTimetable) else None
        self._rate = None if isinstance(rate, RateTimetable) else rate
        self._clock = clock
        self._sleep = sleep
        self._timing = timing or Timing()
        self.share = 1.0
        self._holds_until = math.inf if self._table is None else -math.inf
        self._looking = threading.Lock()
        self._next_free = clock()

    @property
    def rate(self) -> float | None:
        """The current limit in bytes per second; 0 during a pause, None for no limit. Any thread may read it."""
        whole = self._whole_rate()
        return whole and whole * self.share

    def _whole_rate(self) -> float | None:
        if self._timing.now() >= self._holds_until:
            self._look_up()
        return self._rate

    def _look_up(self) -> None:
        """Look the current rate up in the timetable, and log a change."""
        with self._looking:
            if self._table is None or self._timing.now() < self._holds_until:
                return
            before, moment = self._rate, self._timing.wall()
            self._rate = self._table.rate_at(moment)
            self._holds_until = self._timing.now() + self._table.holds(moment)
            if self._rate != before:
                limit = "no limit" if self._rate is None else format_rate(self._rate) if self._rate else "a pause"
                log.info("limit_rate: %s from now on", limit)

    def _holds(self) -> float:
        """Return the seconds until the rate may change."""
        return max(0.0, self._holds_until - self._timing.now())

    async def resume(self) -> None:
        """Wait until no pause of the timetable holds."""
        while self._whole_rate() == 0:  # a process without a share waits for a permit, and that is no pause
            await self._timing.sleep(self._holds())

    async def consume(self, nbytes: int) -> None:
        """Wait until `nbytes` received bytes are within the limit."""
        left = float(nbytes)
        while True:
            await self.resume()
            rate = self.rate
            if not rate:
                return
            now, holds = self._clock(), self._holds()
            self._next_free = max(self._next_free, now) + left / rate
            wait = self._next_free - now
            if wait <= holds:
                await self._sleep(wait)
                return
            # What is not paid for when the rate may change is paid for at the next rate, likewise by all others.
            left, self._next_free = min(left, (wait - holds) * rate), now + holds
            await self._sleep(holds)

    def block_size(self, block: int) -> int:
        """Return the bytes to read at once: `block`, or a tenth of a second's worth so that a low rate is even."""
        rate = self.rate
        return max(16 * 1024, min(block, int(rate / 10))) if rate else block
