"""Many products, a few workers: knows neither HTTP nor disk."""

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
"""Products that wait to be fetched later; each is a name, an address and a few numbers in memory."""

T = TypeVar("T")


class Turn(Protocol):
    """What several products wait for."""

    def has_come(self) -> bool:
        """Whether all of them may be fetched."""

    def takes_one(self) -> bool:
        """Whether one of them may be fetched, for want of others."""

    def wait(self) -> Awaitable[None]:
        """Wait until this may have changed, from the moment of this call on."""


@dataclass(frozen=True, slots=True)
class Later:
    """What a product has instead of an outcome that is to be fetched later.

    Attributes
    ----------
    again
        Fetches it then.
    seconds
        How much later; of no meaning with `turn`.
    turn
        What it waits for; None: for nothing but time.
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
) -> CatalogueError | None:
    """Fetch products while they are still being found.

    A producer takes products from the search and puts them into a queue. When the queue is full it waits, and so
    does the search: no page of results is asked for before somebody is about to want its products.

    A product that is to be fetched later holds no worker meanwhile. As long as `MOST_PUT_OFF` of them wait, no other
    product is taken from the queue.

    Parameters
    ----------
    products
        The search; closed on every way out.
    fetch
        Turns a product into an outcome, or puts it off. What concerns that product alone is part of the outcome; what
        it raises ends the run.
    settle
        Called with each outcome, as it comes.
    workers
        How many products are fetched at once.
    queue_size
        How many products may wait between search and workers.
    idle
        Called by each worker that finds nothing more to do, while others may still be at work; cancelled when a
        product that was put off is due.
    timing
        Tells the time, and waits for what was put off; None: the system's own.

    Returns
    -------
    CatalogueError or None
        What ended the search early; the products that were found until then have been fetched nevertheless.

    Raises
    ------
    Exception
        The first thing that `fetch` or `settle` raised; all other workers have been cancelled by then.
    """
    work_list = _WorkList(queue_size, fetch, idle or _no_help, timing or Timing())
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
        raise _first(failures) from None
    return search_error


class _WorkList:
    """What the workers are to do next: what was put off and may be fetched by now, then what the search has found.

    Attributes
    ----------
    queue
        What the search has found; None stands at its end.
    """

    def __init__(
        self,
        queue_size: int,
        fetch: Callable[[Product], Awaitable[Outcome | Later]],
        idle: Callable[[], Awaitable[None]],
        timing: Timing,
    ) -> None:
        self.queue: asyncio.Queue[Product | None] = asyncio.Queue(queue_size)
        self._fetch = fetch
        self._idle = idle
        self._timing = timing
        self._timed: list[tuple[float, int, Later]] = []
        self._turns: dict[Turn, deque[Later]] = {}
        self._serials = itertools.count()
        self._put_off = 0
        self._search_is_over = False

    def put_off(self, later: Later) -> None:
        """Remember what is to be fetched later."""
        self._put_off += 1
        if later.turn is None:
            heapq.heappush(self._timed, (self._timing.now() + later.seconds, next(self._serials), later))
        else:
            self._turns.setdefault(later.turn, deque()).append(later)

    async def next_job(self) -> Callable[[], Awaitable[Outcome | Later]] | None:
        """Wait for the next product to be fetched; None when there is none any more."""
        while True:
            if self._put_off and (later := self._due()):
                return later.again
            takes_more = not self._search_is_over and self._put_off < MOST_PUT_OFF
            if takes_more and not (self._put_off and self.queue.empty()):
                product = self._read(await self.queue.get())
            elif later := self._for_want_of_others():
                return later.again
            elif self._put_off:
                product = await self._wait(takes_more=takes_more)
            elif await self._stays_idle():
                return None
            else:
                continue
            if product is not None:
                return partial(self._fetch, product)

    async def _stays_idle(self) -> bool:
        """Help as long as there is nothing else to do; tell whether nothing was put off meanwhile."""
        await self._idle()
        return not self._put_off

    def _read(self, product: Product | None) -> Product | None:
        if product is None:
            self._search_is_over = True
            # Pass the end on to the next worker; there is room, since this one has just taken it.
            self.queue.put_nowait(None)
        return product

    def _due(self) -> Later | None:
        """Take what was put off and may be fetched now."""
        if self._timed and self._timed[0][0] <= self._timing.now():
            self._put_off -= 1
            return heapq.heappop(self._timed)[2]
        return next((self._take(turn) for turn in self._turns if turn.has_come()), None)

    def _for_want_of_others(self) -> Later | None:
        return next((self._take(turn) for turn in self._turns if turn.takes_one()), None)

    def _take(self, turn: Turn) -> Later:
        self._put_off -= 1
        waiting = self._turns[turn]
        later = waiting.popleft()
        if not waiting:
            del self._turns[turn]
        return later

    async def _wait(self, *, takes_more: bool) -> Product | None:
        """Wait until what was put off may be fetched, and help meanwhile, or until the search has another product."""
        if takes_more:
            found = await self._unless_changed(self.queue.get())
            return self._read(found[0]) if found else None
        if self._search_is_over and await self._unless_changed(self._idle()) is None:
            return None
        await self._change()
        return None

    async def _unless_changed(self, work: Awaitable[T]) -> tuple[T] | None:
        """Do something until what was put off may be fetched; None when it has not come to its end by then."""
        task, change = asyncio.ensure_future(work), asyncio.ensure_future(self._change())
        try:
            await asyncio.wait([task, change], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(task, change)
        return None if task.cancelled() else (task.result(),)

    async def _change(self) -> None:
        """Wait until what was put off may be fetched."""
        waits = [asyncio.ensure_future(turn.wait()) for turn in self._turns]
        if self._timed:
            waits.append(asyncio.ensure_future(self._timing.sleep(self._timed[0][0] - self._timing.now())))
        try:
            if waits:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(*waits)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and await their ends."""
    for task in tasks:
        task.cancel()
    await wait_completed(asyncio.gather(*tasks, return_exceptions=True))


async def _no_help() -> None:
    """Do nothing, as a worker does that has nobody to help."""


async def in_order(
    products: AsyncIterable[Product], work: Callable[[Product], Awaitable[T]], *, at_once: int
) -> AsyncGenerator[T, None]:
    """Do something about each product, several at once, and hand out what came of it in the order of the products.

    Parameters
    ----------
    products
        The search; closed on every way out. What it raises is raised when all that it gave before has been handed out.
    work
        What is done; what it raises ends everything.
    at_once
        How many products are taken ahead.
    """
    waiting: deque[asyncio.Task[T]] = deque()
    failure: Exception | None = None
    iterator = aiter(products)
    try:
        try:
            async for product in iterator:
                waiting.append(asyncio.ensure_future(_done(work, product)))
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


async def _done(work: Callable[[Product], Awaitable[T]], product: Product) -> T:
    return await work(product)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
