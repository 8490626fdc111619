"""Exchange with each process, once a second: permits down; bytes, progress and messages up.

A process that does not know of the run, since it has joined or has heard nothing for long, gets its order first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from collgs_async.engine.events import repeat_events
from collgs_async.engine.permits import Permits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from collgs_async.engine.process import Order
    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress
    from collgs_async.transfer.budget import Meter

__all__ = ["Exchange", "problem_of"]

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
    order
        What each process gets.
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
    taking_part
        The addresses of the processes that may take products.
    left_out
        Those of processes that cannot take part.
    """

    def __init__(
        self,
        client: Any,
        order: Order,
        most: int,
        meter: Meter,
        progress: Progress,
        *,
        longest_alone: float,
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self.products: dict[str, Product] = {}
        self.assists = False
        self.taking_part: list[str] = []
        self.left_out: set[str] = set()
        self._client = client
        self._order = order
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
        if self._asked:  # no product comes to a process that is not ready
            await asyncio.wait(list(self._asked.values()))
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
            try:
                await self._tick()
            except Exception as error:  # later ones may succeed; products tell if the cluster is lost
                log.debug("no exchange: %s: %s", type(error).__name__, error)

    async def _tick(self) -> None:
        """Send each process its permits, except for those that have not answered to the last ones."""
        all_addresses = await self._client.nthreads()
        await self._notice_processes(bool(all_addresses))
        self.left_out &= all_addresses.keys()
        self.taking_part = addresses = [address for address in all_addresses if address not in self.left_out]
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
            reply = await self._say(address, tasks.exchange, self._order.run, *told)
            if not reply or not isinstance(reply, dict):
                begun = await self._say(address, tasks.begin, asdict(self._order))
                if problem := problem_of(begun, self._order):
                    self._leave_out(address, problem)
                    return
                reply = await self._say(address, tasks.exchange, self._order.run, *told)
            if reply and isinstance(reply, dict):
                self._hear(address, reply)
        except Exception as error:  # the process may be gone; if not, the next exchange may succeed
            log.debug("%s: %s: %s", address, type(error).__name__, error)
        finally:
            self._asked.pop(address, None)

    async def _say(self, address: str, function: Callable[..., Any], *words: object) -> Any:
        """Run a function in a process, and return what it has returned, or the error that it has raised."""
        replies = await self._client.run(function, *words, workers=[address], on_error="return", nanny=False)
        reply = replies[address]
        if isinstance(reply, OSError | TimeoutError):  # of the connection
            raise reply
        return reply

    def _leave_out(self, address: str, problem: str) -> None:
        self.left_out.add(address)
        self.taking_part = [one for one in self.taking_part if one != address]
        text = f"engine: worker {address.partition('://')[2]} gets no products: {problem}"
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)

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
        before = self._moved.get(reply["engine"], 0)
        self._moved[reply["engine"]] = max(before, reply["moved"])
        self._meter.count(max(0, reply["moved"] - before))

    def _show_waits(self, addresses: Sequence[str]) -> None:
        self._waits = {address: self._waits.get(address, "") for address in addresses}
        found = dict.fromkeys(what for what in self._waits.values() if what)
        self._progress.waiting(" and ".join(found) or (None if addresses else "a worker of the cluster"))


def problem_of(seen: Any, order: Order) -> str | None:
    """Return why a process cannot take part, from its answer or the error of its answering; None: it can."""
    if isinstance(seen, BaseException) and "No module named 'collgs_async" in str(seen):  # of any class, by Dask
        return f"expected collgs-async {order.leader['version']}, as here, found none or an older one"
    if isinstance(seen, BaseException):
        return f"expected a worker that can take part, found {type(seen).__name__}: {seen}"
    refused: str | None = seen["refused"]
    return refused
