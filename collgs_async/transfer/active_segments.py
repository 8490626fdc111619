"""The segments of one download that are under way, and the tasks of its helpers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from collgs_async.transfer.segment import Segment

__all__ = ["ActiveSegments"]


class ActiveSegments:
    """The segments of one download, from request to end.

    Attributes
    ----------
    requested
        Segments whose request was sent and whose response has not arrived yet.
    responding
        Segments whose response headers have arrived.
    active
        Segments whose response was accepted and whose body is being received.
    helpers
        Tasks that download claimed pieces.
    changed
        Set whenever a segment starts or ends.
    """

    def __init__(self) -> None:
        self.requested: set[Segment] = set()
        self.responding: set[Segment] = set()
        self.active: list[Segment] = []
        self.helpers: set[asyncio.Task[bool]] = set()
        self._stopped: set[asyncio.Task[bool]] = set()
        self.changed = asyncio.Event()

    async def cancel_segments(self, *, keep: bool = False) -> None:
        """Cancel all active segments and helpers, and wait until they have ended.

        Parameters
        ----------
        keep
            Whether bytes already received are still written; False if they may be of another version.
        """
        for segment in self.active:
            if not keep:
                segment.supersede()
        while self.helpers:  # an idle worker may become a helper during the wait
            for helper in self.helpers:
                self.stop_helper(helper)
            await asyncio.wait(self.helpers)
            await asyncio.sleep(0)  # let the waiting workers remove their helpers from the set
        while self.active:
            await self.wait_for_change()

    def add_helper(self, helper: asyncio.Task[bool]) -> None:
        """Register a task that downloads a claimed piece, so that `cancel_segments` ends it."""
        self.helpers.add(helper)

    def stop_helper(self, helper: asyncio.Task[bool]) -> None:
        """Cancel a task that downloads a claimed piece, once; again would interrupt the write of its last bytes.

        `asyncio.Task.cancelling` does not tell that: it also counts the cancellation by a time-out, which the task
        survives.
        """
        if helper not in self._stopped:
            self._stopped.add(helper)
            helper.cancel()

    def remove_helper(self, helper: asyncio.Task[bool]) -> None:
        """Remove a task that has ended."""
        self.helpers.discard(helper)
        self._stopped.discard(helper)

    async def wait_for_change(self, seconds: float | None = None) -> None:
        """Wait until a segment starts or ends, at most so many seconds; None waits without limit."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()

    def answered(self, segment: Segment, response: ClientResponse) -> None:
        """Record that the response headers of a segment have arrived."""
        segment.answered(response)
        self.requested.discard(segment)
        self.responding.add(segment)

    def finish(self, segment: Segment) -> None:
        """Record that a segment has ended, for whatever reason; its missing bytes are available again."""
        self.requested.discard(segment)
        self.responding.discard(segment)
        if segment in self.active:
            self.active.remove(segment)
        segment.finish()
        self.changed.set()
