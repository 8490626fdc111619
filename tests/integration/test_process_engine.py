"""The downloads of one process of many, without a cluster: it does what it is allowed, and ends when it is told to."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Status
from collgs_async.engine.process import Order, ProcessEngine, this_process
from collgs_async.engine.wire import config_to_wire, outcome_from_wire, product_to_wire
from tests.conftest import HANGS, fault, is_archive, level2_scenes
from tests.support.commands import at_url, stored_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from collgs_async import Product
    from tests.conftest import CommandHere

ALLOWED = (4, 1.0, 1.0)


def order_for(site: Any, mark: Path, *, silence: float = 60.0, leader: str = "here", **options: Any) -> Order:
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    told = {**this_process(), "process": leader}
    return Order("run", told, config_to_wire(site.config(**options)), {}, str(mark), silence)


@contextmanager
def started(order: Order) -> Iterator[ProcessEngine]:
    engine = ProcessEngine(order)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


async def found(site: Any) -> list[Product]:
    async with site.client() as client:
        return [product async for product in client.catalogue.search()]


def fetch(engine: ProcessEngine, product: Product) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(asyncio.to_thread(engine.fetch, product_to_wire(product), None))


async def told(engine: ProcessEngine, permits: int, enough: Callable[[dict[str, Any]], bool]) -> None:
    """Exchange with an engine until it tells something."""
    async with asyncio.timeout(HANGS):
        while not enough(await engine.exchange(permits, 1.0, 1.0, assist=False)):  # noqa: ASYNC110 - nor does a run
            await asyncio.sleep(0.01)


async def test_products_come_once_requests_are_allowed_and_all_is_told(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})
    products = await found(site)
    with started(order_for(site, site.folder / "mark")) as engine:
        fetches = [fetch(engine, product) for product in products]
        await told(engine, 0, lambda reply: reply["waiting"] == 3)
        assert [] == site.archive_hits()

        reply = await engine.exchange(*ALLOWED, assist=False)
        results = await asyncio.gather(*fetches)
        last = await engine.exchange(*ALLOWED, assist=False)

    assert 0 == reply["moved"]
    outcomes = [
        outcome_from_wire(product, result["outcome"], folder=site.folder)
        for product, result in zip(products, results, strict=True)
    ]
    assert {Status.FAILED: 1, Status.DOWNLOADED: 2} == {
        status: sum(one.status is status for one in outcomes) for status in (Status.FAILED, Status.DOWNLOADED)
    }
    assert all(is_archive(one.path) for one in outcomes if one.path)
    assert site.moved() == last["moved"] == sum(one.bytes for one in outcomes)
    assert (0, 0, [], {}) == (last["active"], last["waiting"], last["rejections"], last["events"])
    assert ["mark"] == site.litter()


async def test_a_stop_ends_all_downloads_keeps_their_parts_and_gives_the_locks_back(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    site = await serve(stored_scenes(3, 6_000_000), rate=500_000.0)
    products = await found(site)
    with started(order_for(site, site.folder / "mark")) as engine:
        await engine.exchange(2, 1.0, 1.0, assist=False)
        fetches = [fetch(engine, product) for product in products]
        await told(engine, 2, lambda reply: reply["moved"] >= 300_000)

        await engine.stop()

        results = await asyncio.gather(*fetches)
        later = await fetch(engine, products[0])

    assert [True] * 3 == [result.get("stopped") for result in results]
    assert later["stopped"]
    assert [] == [name for name in site.litter() if name.endswith(".lease")]
    assert 2 == len(list(site.folder.glob("*.zip.part")))


async def test_an_engine_that_hears_nothing_ends_in_good_order_and_the_next_one_goes_on(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    site = await serve(stored_scenes(1, 6_000_000), rate=1_500_000.0)
    [product] = await found(site)
    with started(order_for(site, site.folder / "mark", silence=0.4)) as engine:
        await engine.exchange(*ALLOWED, assist=False)

        assert (await fetch(engine, product))["stopped"]
        async with asyncio.timeout(HANGS):
            await asyncio.wrap_future(engine.ended)

        assert {} == await engine.exchange(*ALLOWED, assist=False)
        assert (await fetch(engine, product))["stopped"]
        await engine.stop()
    assert [] == [name for name in site.litter() if name.endswith(".lease")]

    with started(order_for(site, site.folder / "mark")) as engine:
        await engine.exchange(*ALLOWED, assist=False)
        result = await fetch(engine, product)

    assert "downloaded" == result["outcome"]["status"]
    assert is_archive(site.archive(site.server.scenes[0]))


async def test_a_product_that_is_put_off_holds_nothing_and_is_asked_for_again(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    scenes = level2_scenes(1)
    site = await serve(scenes, faults={scenes[0].identifier: fault("staged")})
    [product] = await found(site)
    with started(order_for(site, site.folder / "mark", staging=60)) as engine:
        await engine.exchange(*ALLOWED, assist=False)
        results = [await fetch(engine, product)]
        while "later" in results[-1]:
            results.append(await fetch(engine, product))

    assert 3 == len(results)
    assert all(result["later"] >= 1.0 for result in results[:-1])
    assert ("downloaded", 3) == (results[-1]["outcome"]["status"], results[-1]["outcome"]["attempts"])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("version", "9.9", "expected collgs-async 9.9, as here, found "),
        ("format", 99, "expected collgs-async "),
        ("python", "2.7", "expected Python 2.7, as here, found "),
    ],
)
async def test_another_release_is_refused_and_both_are_named(field: str, value: object, words: str) -> None:
    order = Order("run", {**this_process(), field: value}, {}, {}, "/")

    assert (order.refusal() or "").startswith(words)


async def test_a_folder_that_is_not_shared_is_refused(tmp_path: Path) -> None:
    order = Order("run", this_process(), {}, {}, str(tmp_path / "mark"))

    assert f"expected the output folder {tmp_path} to be the one here" in (order.refusal() or "")
    (tmp_path / "mark").touch()
    assert order.refusal() is None


async def test_without_the_extra_one_line_says_how_to_get_it(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await serve(level2_scenes(1))
    monkeypatch.setitem(sys.modules, "distributed", None)

    ended = await run_cli(*at_url(site), "--engine", "dask")

    assert 2 == ended.code
    [line] = ended.err.splitlines()
    assert line.startswith("error: engine: expected the extra dask (pip install 'collgs-async[dask]'), found no module")
    assert not site.folder.exists()


async def test_dask_without_the_rest_of_the_extra_is_refused_in_the_same_way(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    site = await serve(level2_scenes(1))
    monkeypatch.setitem(sys.modules, "cryptography", None)

    ended = await run_cli(*at_url(site), "--engine", "dask")

    assert 2 == ended.code
    [line] = ended.err.splitlines()
    assert line.startswith("error: engine: expected the extra dask (pip install 'collgs-async[dask]'), found no module")
    assert [] == site.litter()
