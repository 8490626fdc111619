"""Many products and a few workers, with plain functions instead of a network."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from collgs_async.errors import AuthenticationError, CatalogueError, StorageError
from collgs_async.models.product import Outcome, Product, Status
from collgs_async.pipeline import run_pipeline
from tests.conftest import HANGS
from tests.support.pipeline import QUEUE, WORKERS, Source, turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


async def fetch(product: Product) -> Outcome:
    await asyncio.sleep(0)
    return Outcome(product, Status.DOWNLOADED)


async def run(source: Source, *, workers: int = WORKERS) -> tuple[CatalogueError | None, list[str]]:
    outcomes: list[Outcome] = []
    error = await run_pipeline(source(), fetch, outcomes.append, workers=workers, queue_size=QUEUE)
    return error, [outcome.product.identifier for outcome in outcomes]


@pytest.mark.parametrize("count", [0, 1, WORKERS - 1, WORKERS, WORKERS + QUEUE, 200])
async def test_each_product_is_fetched_once(count: int) -> None:
    source = Source(count)

    error, found = await run(source)

    assert error is None
    assert sorted(f"P{number}" for number in range(count)) == sorted(found)
    assert source.closed


async def test_search_is_never_further_ahead_than_queue_and_workers() -> None:
    source, settled = Source(100), 0

    async def watched(product: Product) -> Outcome:
        await turns(20)
        assert source.given - settled <= QUEUE + WORKERS + 1
        return Outcome(product, Status.DOWNLOADED)

    def settle(_: Outcome) -> None:
        nonlocal settled
        settled += 1

    await run_pipeline(source(), watched, settle, workers=WORKERS, queue_size=QUEUE)

    assert 100 == settled


async def test_as_many_products_as_workers_are_fetched_at_once_and_no_more() -> None:
    running, most = 0, 0

    async def watched(product: Product) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await turns(5)
        running -= 1
        return Outcome(product, Status.DOWNLOADED)

    await run_pipeline(Source(50)(), watched, lambda _: None, workers=WORKERS, queue_size=QUEUE)

    assert WORKERS == most


async def test_search_that_ends_early_is_told_and_its_products_are_done() -> None:
    failure = CatalogueError("gone")

    error, found = await run(Source(40, failure))

    assert error is failure
    assert 40 == len(found)


async def test_other_failure_of_the_search_ends_the_run() -> None:
    with pytest.raises(AuthenticationError, match="who"):
        await run(Source(3, AuthenticationError("who")))


@pytest.mark.parametrize("failure", [StorageError("full"), AuthenticationError("who"), RuntimeError("a mistake")])
async def test_what_one_fetch_raises_ends_the_others_and_the_search(failure: Exception) -> None:
    source, cancelled = Source(1000), 0

    async def failing(product: Product) -> Outcome:
        nonlocal cancelled
        if product.identifier == "P2":
            raise failure
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError("never set")

    with pytest.raises(type(failure)) as caught:
        await run_pipeline(source(), failing, lambda _: None, workers=WORKERS, queue_size=QUEUE)

    assert failure is caught.value
    assert WORKERS - 1 == cancelled
    assert source.closed
    assert source.given <= WORKERS + QUEUE + 1


async def test_failure_inside_a_group_inside_a_group_comes_out_bare() -> None:
    failure = StorageError("full")

    async def failing(_: Product) -> Outcome:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [failure])])

    with pytest.raises(StorageError) as caught:
        await run_pipeline(Source(1)(), failing, lambda _: None, workers=WORKERS, queue_size=QUEUE)

    assert failure is caught.value


async def test_failure_to_settle_ends_the_run() -> None:
    def settle(_: Outcome) -> None:
        raise StorageError("no room for the report")

    source = Source(100)
    with pytest.raises(StorageError, match="no room"):
        await run_pipeline(source(), fetch, settle, workers=WORKERS, queue_size=QUEUE)
    assert source.closed


async def test_cancellation_closes_the_search_and_waits_for_the_workers() -> None:
    source, unwound = Source(100), 0

    async def held(_: Product) -> Outcome:
        nonlocal unwound
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            unwound += 1
        raise AssertionError("never set")

    task = asyncio.create_task(run_pipeline(source(), held, lambda _: None, workers=WORKERS, queue_size=QUEUE))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert source.closed
    assert WORKERS == unwound


async def test_memory_does_not_grow_with_the_number_of_products() -> None:
    async def peak(count: int) -> int:
        tracemalloc.start()
        try:
            await run_pipeline(Source(count)(), fetch, lambda _: None, workers=WORKERS, queue_size=QUEUE)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await peak(100)
    few, many = await peak(100), await peak(10_000)

    assert many < few + 50_000


async def test_idle_workers_are_told_once_each_while_others_are_at_work() -> None:
    """The last product is only let go when all the other workers have been told that nothing is left."""
    told, at_work = 0, asyncio.Event()

    async def idle() -> None:
        nonlocal told
        told += 1
        if told == WORKERS - 1:
            at_work.set()

    async def last_one_takes_long(product: Product) -> Outcome:
        if product.identifier == "P9":
            await asyncio.wait_for(at_work.wait(), HANGS)
        return Outcome(product, Status.DOWNLOADED)

    settled: list[Outcome] = []
    await run_pipeline(Source(10)(), last_one_takes_long, settled.append, workers=WORKERS, queue_size=QUEUE, idle=idle)

    assert (WORKERS, 10) == (told, len(settled))


async def test_no_worker_is_idle_while_products_may_still_come() -> None:
    told = 0
    source = Source(30)

    async def idle() -> None:
        nonlocal told
        told += 1

    async def slow_search() -> AsyncGenerator[Product, None]:
        async for product in source():
            await turns(10)
            assert 0 == told
            yield product

    await run_pipeline(slow_search(), fetch, lambda _: None, workers=WORKERS, queue_size=QUEUE, idle=idle)

    assert WORKERS == told


async def test_run_ends_only_when_the_idle_ones_have_ended() -> None:
    ended = 0

    async def idle() -> None:
        nonlocal ended
        await turns(50)
        ended += 1

    await run_pipeline(Source(3)(), fetch, lambda _: None, workers=WORKERS, queue_size=QUEUE, idle=idle)

    assert WORKERS == ended


async def test_what_an_idle_worker_raises_ends_the_run() -> None:
    async def idle() -> None:
        raise StorageError("full")

    async def held(_: Product) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    with pytest.raises(StorageError, match="full"):
        await run_pipeline(Source(1)(), held, lambda _: None, workers=WORKERS, queue_size=QUEUE, idle=idle)


async def test_failure_of_a_fetch_cancels_idle_workers() -> None:
    cancelled, waiting = 0, asyncio.Event()

    async def idle() -> None:
        nonlocal cancelled
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async def failing(_: Product) -> Outcome:
        await waiting.wait()
        await turns()
        raise StorageError("full")

    with pytest.raises(StorageError, match="full"):
        await run_pipeline(Source(1)(), failing, lambda _: None, workers=WORKERS, queue_size=QUEUE, idle=idle)
    assert WORKERS - 1 == cancelled
