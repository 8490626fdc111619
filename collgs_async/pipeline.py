"""Many products, a few workers: knows neither HTTP nor disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from collgs_async.models import Outcome, Product

__all__ = ["in_order", "run_pipeline"]

T = TypeVar("T")


async def run_pipeline(
    products: AsyncGenerator[Product, None],
    fetch: Callable[[Product], Awaitable[Outcome]],
    settle: Callable[[Outcome], None],
    *,
    workers: int,
    queue_size: int,
    idle: Callable[[], Awaitable[None]] | None = None,
) -> CatalogueError | None:
    """Fetch products while they are still being found.

    A producer takes products from the search and puts them into a queue. When the queue is full it waits, and so
    does the search: no page of results is asked for before somebody is about to want its products.

    Parameters
    ----------
    products
        The search; closed on every way out.
    fetch
        Turns a product into an outcome. What concerns that product alone is part of the outcome; what it raises
        ends the run.
    settle
        Called with each outcome, as it comes.
    workers
        How many products are fetched at once.
    queue_size
        How many products may wait between search and workers.
    idle
        Called by each worker that finds nothing more to do, while others may still be at work.

    Returns
    -------
    CatalogueError or None
        What ended the search early; the products that were found until then have been fetched nevertheless.

    Raises
    ------
    Exception
        The first thing that `fetch` or `settle` raised; all other workers have been cancelled by then.
    """
    queue: asyncio.Queue[Product | None] = asyncio.Queue(queue_size)
    search_error: CatalogueError | None = None

    async def produce() -> None:
        nonlocal search_error
        try:
            async with aclosing(products):
                async for product in products:
                    await queue.put(product)
        except CatalogueError as error:
            search_error = error
        await queue.put(None)

    async def work() -> None:
        while (product := await queue.get()) is not None:
            settle(await fetch(product))
        # Pass the end on to the next worker; there is room, since this one has just taken it.
        queue.put_nowait(None)
        if idle is not None:
            await idle()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            for _ in range(workers):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return search_error


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
