"""Exchange with each process, once a second: permits down; bytes, progress and messages up."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from collgs_async.engine.events import repeat_events
from collgs_async.engine.permits import Permits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress
    from collgs_async.transfer.budget import Meter

__all__ = ["Exchange"]

log = logging.getLogger("collgs_async")

_EACH: Final = 1.0
"""Seconds between two exchanges with each process."""


_EACH_IF_SHORT: Final = 0.25
"""The same while a process waits for what others may have to spare."""


class Exchange:
    """Keeps all processes of a run informed, and knows what they have told; an asynchronous context manager.

    Parameters
    ----------
    client
        Asynchronous client of the cluster.
    run
        Identifier of the run.
    most
        Maximum number of concurrent requests of all processes.
    meter
        Counts the bytes that they have received.
    progress
        Receives the events of their downloads.
    longest_alone
        Seconds without any process after which there will be none.
    give_up
        Called then.

    Attributes
    ----------
    products
        The products that are handed out, by identifier.
    assists
        Whether permits without a product of their own help with others.
    """

    def __init__(
        self,
        client: Any,
        run: str,
        most: int,
        meter: Meter,
        progress: Progress,
        *,
        longest_alone: float,
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self.products: dict[str, Product] = {}
        self.assists = False
        self._client = client
        self._run = run
        self._permits = Permits(most)
        self._meter = meter
        self._progress = progress
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._moved: dict[str, int] = {}
        self._waits: dict[str, str] = {}
        self._told: set[str] = set()
        self._longest_alone = longest_alone
        self._give_up = give_up
        self._alone_since: float | None = None
        self._soon = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._tick()
        self._ticking = asyncio.create_task(self._tick_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for task in (self._ticking, *self._asked.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hurry(self) -> None:
        """Let the next exchange be soon."""
        self._soon.set()

    async def _tick_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_EACH_IF_SHORT if self._permits.is_short else _EACH):
                    await self._soon.wait()
            self._soon.clear()
            # While the scheduler does not answer, nothing can be said to anybody; products tell if it is lost.
            with suppress(OSError, TimeoutError):
                await self._tick()

    async def _tick(self) -> None:
        """Send each process its permits, except for those that have not answered to the last ones."""
        addresses = await self._client.nthreads()
        await self._notice_processes(bool(addresses))
        self._permits.keep(addresses)
        self._show_waits(addresses)
        listening = [address for address in addresses if address not in self._asked]
        moment, shares = self._permits.share(listening)
        for address, permits in shares.items():
            told = (permits, moment, self._permits.rate_share(address), self.assists)
            self._asked[address] = asyncio.create_task(self._ask(address, told))

    async def _notice_processes(self, are_there: bool) -> None:
        now = time.monotonic()
        if are_there or self._alone_since is None:
            self._alone_since = None if are_there else now
        elif now - self._alone_since > self._longest_alone:
            await self._give_up()

    async def _ask(self, address: str, told: tuple[int, float, float, bool]) -> None:
        from collgs_async.engine import tasks

        try:
            replies = await self._client.run(
                tasks.exchange, self._run, *told, workers=[address], on_error="return", nanny=False
            )
            reply = replies.get(address)
            if isinstance(reply, dict) and "refused" not in reply:
                self._hear(address, reply)
        except (OSError, TimeoutError) as error:
            log.debug("%s: %s", address, error)
        finally:
            self._asked.pop(address, None)

    def _hear(self, address: str, reply: Mapping[str, Any]) -> None:
        rejections = [(float(moment), wait) for moment, wait in reply["rejections"]]
        if self._permits.report(address, active=reply["active"], waiting=reply["waiting"], rejections=rejections):
            self.hurry()
        self.count(reply)
        for name, events in reply["events"].items():
            if product := self.products.get(name):
                repeat_events(self._progress, product, events)
        self._waits[address] = reply["waits_for"] or ""
        for level, text in reply["messages"]:
            if text not in self._told:  # each process meets the same outage
                self._told.add(text)
                log.log(level, "%s", text)

    def count(self, reply: Mapping[str, Any]) -> None:
        """Count the bytes that a process has received since it was heard last."""
        before = self._moved.get(reply["process"], 0)
        self._moved[reply["process"]] = max(before, reply["moved"])
        self._meter.count(max(0, reply["moved"] - before))

    def _show_waits(self, addresses: Mapping[str, int]) -> None:
        self._waits = {address: self._waits.get(address, "") for address in addresses}
        found = dict.fromkeys(what for what in self._waits.values() if what)
        self._progress.waiting(" and ".join(found) or (None if addresses else "a worker of the cluster"))
