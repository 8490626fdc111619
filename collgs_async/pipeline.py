"""Download products with a fixed number of workers while the search is still running.

This module knows neither HTTP nor disk: the caller passes the functions that search and download.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from collgs_async.errors import CatalogueError
from collgs_async.models.timing import Timing, wait_completed

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from collgs_async.models.product import Outcome, Product

__all__ = ["MOST_PUT_OFF", "Later", "Turn", "in_order", "run_pipeline"]

MOST_PUT_OFF: Final = 1000
"""Maximum number of postponed products; each is a name, an address and a few numbers in memory."""

T = TypeVar("T")


class Turn(Protocol):
    """A condition that postponed products wait for, such as the end of a store's outage."""

    def has_come(self) -> bool:
        """Whether all products that wait for it may be tried."""

    def takes_one(self) -> bool:
        """Whether one of them may be tried if there is nothing else to do."""

    def wait(self) -> Awaitable[None]:
        """Return an awaitable that ends when either may have changed since this call."""


@dataclass(frozen=True, slots=True)
class Later:
    """Result for a product that is postponed, instead of an outcome.

    Attributes
    ----------
    again
        Call that tries the product again.
    seconds
        Seconds to wait; ignored with `turn`.
    turn
        Condition to wait for; None to wait only for the time.
    """

    again: Callable[[], Awaitable[Outcome | Later]]
    seconds: float = 0.0
    turn: Turn | None = None


async def run_pipeline(
    products: AsyncGenerator[Product, None],
    fetch: Callable[[Product], Awaitable[Outcome | Later]],
    settle: Callable[[Outcome], None],
    *,
    workers: int,
    queue_size: int,
    idle: Callable[[], Awaitable[None]] | None = None,
    timing: Timing | None = None,
    max_put_off: int = MOST_PUT_OFF,
) -> CatalogueError | None:
    """Download products while the search is still running.

    A producer puts the products of the search into a bounded queue. While the queue is full, the search is suspended,
    so that no page of results is requested long before its products are needed.

    A postponed product occupies no worker.

    Parameters
    ----------
    products
        The search; always closed at the end.
    fetch
        Downloads a product, and returns its outcome or postpones it. An error of one product is part of its outcome;
        an exception ends the run.
    settle
        Called with each outcome.
    workers
        Maximum number of products downloaded at once.
    queue_size
        Maximum number of products between search and workers.
    idle
        Called by a worker without further products, while others are still running; cancelled when a postponed product
        is due.
    timing
        Clock and sleep; None for the system's.
    max_put_off
        Number of postponed products at which no further product is taken from the queue.

    Returns
    -------
    CatalogueError or None
        The error that ended the search early; products found before have been downloaded nevertheless.

    Raises
    ------
    Exception
        The first exception of `fetch` or `settle`, after all other workers were cancelled.
    """
    work_list = _WorkList(queue_size, fetch, idle or _no_help, timing or Timing(), max_put_off)
    search_error: CatalogueError | None = None

    async def produce() -> None:
        nonlocal search_error
        try:
            async with aclosing(products):
                async for product in products:
                    await work_list.queue.put(product)
        except CatalogueError as error:
            search_error = error
        await work_list.queue.put(None)

    async def work() -> None:
        while (job := await work_list.next_job()) is not None:
            result = await job()
            if isinstance(result, Later):
                work_list.put_off(result)
            else:
                settle(result)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            for _ in range(workers):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        raise _first_exception(failures) from None
    return search_error


class _WorkList:
    """Selects the next product for a worker: postponed products that are due, then those of the search.

    Attributes
    ----------
    queue
        Products of the search, followed by None at its end.
    """

    def __init__(
        self,
        queue_size: int,
        fetch: Callable[[Product], Awaitable[Outcome | Later]],
        idle: Callable[[], Awaitable[None]],
        timing: Timing,
        max_put_off: int,
    ) -> None:
        self.queue: asyncio.Queue[Product | None] = asyncio.Queue(queue_size)
        self._fetch = fetch
        self._idle = idle
        self._timing = timing
        self._max_put_off = max_put_off
        self._timed: list[tuple[float, int, Later]] = []
        self._turns: dict[Turn, deque[Later]] = {}
        self._serials = itertools.count()
        self._put_off = 0
        self._search_is_over = False

    def put_off(self, later: Later) -> None:
        """Postpone a product."""
        self._put_off += 1
        if later.turn is None:
            heapq.heappush(self._timed, (self._timing.now() + later.seconds, next(self._serials), later))
        else:
            self._turns.setdefault(later.turn, deque()).append(later)

    async def next_job(self) -> Callable[[], Awaitable[Outcome | Later]] | None:
        """Wait for the next product, and return the call that downloads it; None if there are no more."""
        while True:
            if self._put_off and (later := self._due()):
                return later.again
            takes_more = not self._search_is_over and self._put_off < self._max_put_off
            if takes_more and not (self._put_off and self.queue.empty()):
                product = self._read(await self.queue.get())
            elif later := self._next_if_idle():
                return later.again
            elif self._put_off:
                product = await self._wait(takes_more=takes_more)
            elif await self._idle_until_done():
                return None
            else:
                continue
            if product is not None:
                return partial(self._fetch, product)

    async def _idle_until_done(self) -> bool:
        """Run `idle`, and return whether no product was postponed in the meantime."""
        await self._idle()
        return not self._put_off

    def _read(self, product: Product | None) -> Product | None:
        if product is None:
            self._search_is_over = True
            # Pass the end marker on to the next worker; the queue has room, since this worker has just taken it.
            self.queue.put_nowait(None)
        return product

    def _due(self) -> Later | None:
        """Take a postponed product that is due; None if there is none."""
        if self._timed and self._timed[0][0] <= self._timing.now():
            self._put_off -= 1
            return heapq.heappop(self._timed)[2]
        return next((self._take(turn) for turn in self._turns if turn.has_come()), None)

    def _next_if_idle(self) -> Later | None:
        return next((self._take(turn) for turn in self._turns if turn.takes_one()), None)

    def _take(self, turn: Turn) -> Later:
        self._put_off -= 1
        waiting = self._turns[turn]
        later = waiting.popleft()
        if not waiting:
            del self._turns[turn]
        return later

    async def _wait(self, *, takes_more: bool) -> Product | None:
        """Wait until a postponed product is due, or the search has another product, which is returned."""
        if takes_more:
            found = await self._until_due(self.queue.get())
            return self._read(found[0]) if found else None
        if self._search_is_over and await self._until_due(self._idle()) is None:
            return None
        await self._wait_for_due()
        return None

    async def _until_due(self, work: Awaitable[T]) -> tuple[T] | None:
        """Await `work` until a postponed product may be due; return None if it was cancelled by that."""
        task, due = asyncio.ensure_future(work), asyncio.ensure_future(self._wait_for_due())
        try:
            await asyncio.wait([task, due], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(task, due)
        return None if task.cancelled() else (task.result(),)

    async def _wait_for_due(self) -> None:
        """Wait until a postponed product may be due."""
        waits = [asyncio.ensure_future(turn.wait()) for turn in self._turns]
        if self._timed:
            waits.append(asyncio.ensure_future(self._timing.sleep(self._timed[0][0] - self._timing.now())))
        try:
            if waits:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(*waits)


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await wait_completed(asyncio.gather(*tasks, return_exceptions=True))


async def _no_help() -> None:
    """Do nothing; the default for `idle`."""


async def in_order(
    products: AsyncIterable[Product], work: Callable[[Product], Awaitable[T]], *, at_once: int
) -> AsyncGenerator[T, None]:
    """Call `work` for each product, several at once, and yield the results in the order of the products.

    Parameters
    ----------
    products
        The search; always closed at the end. Its CatalogueError is raised after the results of all earlier products.
    work
        Coroutine function for one product; an exception ends the iteration.
    at_once
        Maximum number of concurrent calls.
    """
    waiting: deque[asyncio.Task[T]] = deque()
    failure: Exception | None = None
    iterator = aiter(products)
    try:
        try:
            async for product in iterator:
                waiting.append(asyncio.ensure_future(_call(work, product)))
                if len(waiting) == at_once:
                    yield await waiting.popleft()
        except CatalogueError as error:
            failure = error
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()
    if failure:
        raise failure


async def _call(work: Callable[[Product], Awaitable[T]], product: Product) -> T:
    return await work(product)


def _first_exception(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first_exception(first) if isinstance(first, BaseExceptionGroup) else first
