"""End a run at a limit that was asked for: bytes, time, a time of the day, or room on the disk.

At a limit of bytes or time, the run ends as by Ctrl-C: what has arrived is written, and the next run goes on with it.
Where the room on the disk is too small for another archive, those on their way come to their end first.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import LimitReachedError
from collgs_async.models.text import format_bytes, format_duration
from collgs_async.models.timetable import next_local_time
from collgs_async.pipeline import Later

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from types import TracebackType
    from typing import Self

    from collgs_async.config.settings import DownloadOptions
    from collgs_async.models.product import Outcome
    from collgs_async.models.timing import Timing

__all__ = ["Budget", "Meter"]

log = logging.getLogger("collgs_async")

_LOOK: Final = 60.0
"""Most seconds between two looks at the clock, which may be set, and stands still while the computer is suspended."""


class Meter:
    """Counts archive bytes as they arrive.

    Attributes
    ----------
    total
        Bytes received so far.
    """

    def __init__(self) -> None:
        self.total = 0
        self._marks: list[tuple[float, asyncio.Event]] = []

    def count(self, nbytes: int) -> None:
        """Count bytes that have arrived."""
        self.total += nbytes
        for most, passed in self._marks:
            if self.total > most:
                passed.set()

    async def exceeds(self, most: float) -> None:
        """Wait until the total is above so many bytes."""
        mark = (most, asyncio.Event())
        self._marks.append(mark)
        try:
            await mark[1].wait()
        finally:
            self._marks.remove(mark)


class Budget:
    """The limits of one run; an asynchronous context manager around it, which cancels its body at a limit.

    Parameters
    ----------
    options
        The limits.
    timing
        The clocks of the run.
    meter
        Counts the bytes of the run.
    assist
        Helps with the downloads in progress, and returns when there are none.

    Attributes
    ----------
    limit
        The limit that was reached; None while there is none.
    """

    def __init__(
        self, options: DownloadOptions, timing: Timing, meter: Meter, assist: Callable[[], Awaitable[None]]
    ) -> None:
        self.limit: LimitReachedError | None = None
        self._options = options
        self._timing = timing
        self._meter = meter
        self._assist = assist
        self._watchers: list[asyncio.Task[None]] = []
        self._run: asyncio.Task[object] | None = None
        self._cancelled_before = 0
        self._has_cancelled = False

    async def __aenter__(self) -> Self:
        self._run = asyncio.current_task()
        self._cancelled_before = self._run.cancelling() if self._run else 0
        self._watchers = [asyncio.create_task(watch) for watch in self._watches()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for watcher in self._watchers:
            watcher.cancel()
        if self._run is None or not self._has_cancelled:
            return False
        # As in asyncio.timeout: a cancellation from outside at the same time takes precedence.
        return self._run.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError

    def _watches(self) -> Iterator[Coroutine[object, object, None]]:
        options, timing = self._options, self._timing
        if options.max_bytes is not None:
            reached = partial(self._meter.exceeds, self._meter.total + options.max_bytes)
            yield self._end_when(reached, "max_bytes", f"of {format_bytes(options.max_bytes)}")
        if options.max_time is not None:
            reached = partial(self._wait_until, timing.now, timing.now() + options.max_time)
            yield self._end_when(reached, "max_time", f"of {format_duration(options.max_time)}")
        if options.until is not None:
            reached = partial(self._wait_until, timing.wall, next_local_time(options.until, timing.wall()))
            yield self._end_when(reached, "until", f"{options.until:%H:%M}")

    async def _wait_until(self, clock: Callable[[], float], moment: float) -> None:
        while (left := moment - clock()) > 0:
            await self._timing.sleep(min(left, _LOOK))

    async def _end_when(self, reached: Callable[[], Awaitable[None]], setting: str, limit: str) -> None:
        await reached()
        self._close(LimitReachedError(f"{setting} {limit} is reached", setting=setting))
        self._end()

    def _close(self, limit: LimitReachedError) -> None:
        """Begin no further product."""
        if self.limit is None:
            self.limit = limit
            log.info("stopping: %s", limit)

    def _end(self) -> None:
        """Cancel the run."""
        if self._run is not None and not self._has_cancelled:
            self._has_cancelled = True
            self._run.cancel()

    async def within(self, attempt: Callable[[], Awaitable[Outcome | Later]]) -> Outcome | Later:
        """Try a product, unless a limit is reached.

        At a limit, this returns no more: it helps with the downloads in progress, and ends the run after the last one.

        Parameters
        ----------
        attempt
            Downloads the product; its LimitReachedError is a limit of the run.
        """
        if self.limit is None:
            try:
                result = await attempt()
            except LimitReachedError as limit:
                self._close(limit)
            else:
                return (
                    replace(result, again=partial(self.within, result.again)) if isinstance(result, Later) else result
                )
        await self._assist()
        self._end()
        while True:  # until the cancellation arrives
            await asyncio.Event().wait()
