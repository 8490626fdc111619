"""Many products, a few workers: knows neither HTTP nor disk."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from collgs_async.models import Outcome, Product

__all__ = ["run_pipeline"]


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


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
