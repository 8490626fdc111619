"""A product that is fetched alone: helpers of its own, for as long as it is brought and not a moment longer."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import AuthenticationError, Client
from collgs_async.demo.faults import FAULTS
from collgs_async.models.progress import SilentProgress
from collgs_async.transfer.range_request import OVERLAP
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import HANGS, first_byte, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async import Outcome, Product
    from collgs_async.demo.faults import Fault
    from collgs_async.demo.scenes import Scene

MIB = 2**20
KIB = 2**10


@pytest.fixture
def tuning() -> TransferTuning:
    """Archives of a few megabytes are split as large ones are."""
    return TransferTuning(min_piece_bytes=512 * KIB, min_split_seconds=0.1)


def large_scenes(count: int, *, mib: int = 6) -> list[Scene]:
    return [replace(scene, size=mib * MIB, deflated=False) for scene in level2_scenes(count)]


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that the server sees."""
    async with asyncio.timeout(HANGS):
        while not happened():  # noqa: ASYNC110 - the server keeps no event for it
            await asyncio.sleep(0.01)


async def found(client: Client) -> list[Product]:
    products = [product async for product in client.search()]
    await client.local_state(products[0])  # which starts the downloader's own tasks
    return products


def at_work() -> set[asyncio.Task[Any]]:
    """The tasks of the loop, without those of the embedded server, and without the loop's own that end generators."""
    coroutines = {task: task.get_coro() for task in asyncio.all_tasks()}
    return {
        task
        for task, coroutine in coroutines.items()
        if isinstance(coroutine, CoroutineType) and "aiohttp" not in coroutine.cr_code.co_filename
    }


class Counting(SilentProgress):
    """A listener that counts, with each piece that arrives, the connections that bring something."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.most = 0

    def advanced(self, product: Product, nbytes: int) -> None:  # noqa: ARG002 - only the moment counts
        assert self.client is not None
        self.most = max(self.most, sum(len(job.responding) for job in self.client._downloader._scheduler._jobs))


def counted(site: Any, **options: Any) -> tuple[Client, Counting]:
    progress = Counting()
    progress.client = Client(site.config(**options), progress, sleep=site.sleeps, tuning=site.tuning)
    return progress.client, progress


def assert_all_right(site: Any, *outcomes: Outcome) -> None:
    assert [None] * len(outcomes) == [outcome.error for outcome in outcomes]
    assert all(site.original(scene) == site.archive(scene).read_bytes() for scene in site.server.scenes)
    assert [] == site.litter()


@pytest.mark.parametrize(("workers", "segments"), [(4, 4), (8, 2), (2, 8)])
async def test_has_helpers_of_its_own(serve: Callable[..., Any], workers: int, segments: int) -> None:
    site = await serve(large_scenes(1), rate=4 * MIB)
    client, progress = counted(site, workers=workers, segments=segments)

    async with client:
        (product,) = await found(client)
        before = at_work()
        outcome = await client.download(product)
        assert before == at_work()

    assert_all_right(site, outcome)
    assert 2 <= progress.most <= min(workers, segments)
    assert len(site.archive_hits()) == outcome.attempts


@pytest.mark.parametrize(("workers", "segments"), [(4, 1), (1, 4)])
async def test_one_segment_or_one_worker_means_one_connection(
    serve: Callable[..., Any], workers: int, segments: int
) -> None:
    site = await serve(large_scenes(1, mib=3), rate=4 * MIB)

    async with site.client(workers=workers, segments=segments) as client:
        outcome = await client.download(*await found(client))

    assert_all_right(site, outcome)
    assert 1 == len(site.archive_hits())


async def test_an_archive_that_is_repaired_from_its_first_byte_on_has_helpers_too(serve: Callable[..., Any]) -> None:
    site = await serve(large_scenes(1), rate=4 * MIB)
    archive = site.archive(site.server.scenes[0])
    archive.parent.mkdir()
    archive.write_bytes(b"<html>Back soon</html>")
    client, progress = counted(site)

    async with client:
        outcome = await client.repair(archive)

    assert_all_right(site, outcome)
    assert 2 <= progress.most <= 4


async def test_products_that_are_gathered_share_the_workers(serve: Callable[..., Any]) -> None:
    site = await serve(large_scenes(2), rate=4 * MIB)
    client, progress = counted(site, workers=3, segments=4)

    async with client:
        products = await found(client)
        before = at_work()
        outcomes = await asyncio.gather(*map(client.download, products))
        assert before == at_work()

    assert_all_right(site, *outcomes)
    assert progress.most <= 3
    assert len(site.archive_hits()) > 2


async def test_a_product_goes_before_the_helpers_of_others(serve: Callable[..., Any]) -> None:
    """A helper of the longer one that waited for a slot would get one when the shorter one is here."""
    scenes = [replace(scene, size=mib * MIB) for scene, mib in zip(large_scenes(3), (4, 10, 1), strict=True)]
    site = await serve(scenes, rate=2 * MIB)

    async with site.client(workers=2) as client:
        products = {product.identifier: product for product in await found(client)}
        shorter, longer, later = (products[scene.identifier] for scene in scenes)
        downloads = [asyncio.create_task(client.download(product)) for product in (shorter, longer)]
        await until(lambda: site.moved() >= 4 * MIB)
        outcomes = [await client.download(later), *await asyncio.gather(*downloads)]

    assert_all_right(site, *outcomes)
    assert [None] * 3 == [hit.range for hit in site.archive_hits()[:3]]
    assert len(site.archive_hits()) > 3, "the longer one has a helper in the end"


async def test_a_cancelled_download_takes_its_helpers_along_and_keeps_their_bytes(serve: Callable[..., Any]) -> None:
    site = await serve(large_scenes(1), rate=1 * MIB)
    (scene,) = site.server.scenes

    async with site.client() as client:
        (product,) = await found(client)
        before = at_work()
        download = asyncio.create_task(client.download(product))
        jobs = client._downloader._scheduler._jobs
        await until(lambda: any(len([*job.part.held]) >= 2 for job in jobs))
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download
        assert before == at_work()
        ranges = json.loads(site.archive(scene).with_suffix(".zip.part.json").read_bytes())["ranges"]
        held = sum(end - first for first, end in ranges)
        asked = len(site.archive_hits())
        outcome = await client.download(product)

    assert len(ranges) >= 2
    assert scene.size - held <= outcome.bytes
    # Two connections may bring the same missing bytes where one of them is slow; none may ask for what is here.
    assert [] == [
        hit.range
        for hit in site.archive_hits()[asked:]
        for first, end in ranges
        if first <= first_byte(hit) < end - OVERLAP
    ]
    assert_all_right(site, outcome)


async def test_a_download_that_is_cancelled_leaves_no_helpers_behind(serve: Callable[..., Any]) -> None:
    """Cancelled while helpers come and go, again and again."""
    site = await serve(large_scenes(1, mib=12), rate=MIB // 2)

    async with site.client() as client:
        (product,) = await found(client)
        before = at_work()
        for more in (0, 1, 2, 3, 4):
            asked = len(site.archive_hits())
            download = asyncio.create_task(client.download(product))
            await until(lambda: len(site.archive_hits()) >= asked + more)  # noqa: B023 - it ends within the round
            download.cancel()
            with pytest.raises(asyncio.CancelledError):
                await download
            assert before == at_work()
        site.server._rate = None
        outcome = await client.download(product)

    assert_all_right(site, outcome)


async def test_a_product_that_fails_leaves_no_helpers_behind(serve: Callable[..., Any]) -> None:
    scene = large_scenes(1)[0]
    site = await serve([scene], faults={scene.identifier: FAULTS["missing"]})

    async with site.client() as client:
        (product,) = await found(client)
        before = at_work()
        outcome = await client.download(product)
        assert before == at_work()

    assert "HTTP 404: Not Found" == str(outcome.error)


async def test_what_a_helper_finds_out_that_ends_all_ends_the_download_at_once(
    serve: Callable[..., Any], sleeps: Any
) -> None:
    """The store asks for a sign-in from the second request on; the first one would go on to the end."""
    scene = large_scenes(1)[0]
    faults: dict[str, Fault | tuple[Fault, ...]] = {scene.identifier: ()}
    site = await serve([scene], rate=1 * MIB, faults=faults)

    async with Client(site.config(), credentials=lambda: None, sleep=sleeps, tuning=site.tuning) as client:
        (product,) = await found(client)
        before = at_work()
        download = asyncio.create_task(client.download(product))
        await until(lambda: site.moved() > 0)
        faults[scene.identifier] = FAULTS["login"]
        with pytest.raises(AuthenticationError):
            await download
        assert before == at_work()

    assert site.moved() < scene.size
    assert site.archive(scene).with_suffix(".zip.part").stat().st_size > 0


async def test_a_run_gives_its_products_no_helpers_while_the_search_goes_on(serve: Callable[..., Any]) -> None:
    first_is_here = asyncio.Event()
    faults: dict[str, Fault | tuple[Fault, ...]] = {"catalogue": ()}
    site = await serve(large_scenes(2, mib=4), rate=4 * MIB, faults=faults, page_maximum=1)
    requests: list[int] = []

    class Listening(SilentProgress):
        def expect(self, products: int) -> None:  # noqa: ARG002 - only the moment counts
            """The first page has come."""
            faults["catalogue"] = FAULTS["catalogue-500"]

        def finished(self, outcome: Outcome) -> None:  # noqa: ARG002 - only the moment counts
            requests.append(len(site.archive_hits()))
            first_is_here.set()

    async def sleep_until_the_first_is_here(_: float) -> None:
        assert not first_is_here.is_set()
        await first_is_here.wait()

    async with Client(site.config(), Listening(), sleep=sleep_until_the_first_is_here, tuning=site.tuning) as client:
        report = await client.download_all()

    assert (2, None) == (report.downloaded, report.search_error)
    assert 1 == requests[0]
    assert 500 in {hit.status for hit in site.server.requests}
    assert len(site.archive_hits()) > 2, "the second one has helpers, when the search is over"


async def test_a_run_does_not_wait_for_a_product_that_is_fetched_beside_it(serve: Callable[..., Any]) -> None:
    scenes = [*large_scenes(1), *level2_scenes(2)[1:]]
    site = await serve(scenes, faults={scenes[0].identifier: FAULTS["stall"]})

    async with site.client(timeout=60) as client:
        beside = next(product for product in await found(client) if product.identifier == scenes[0].identifier)
        download = asyncio.create_task(client.download(beside))
        await until(lambda: site.moved() >= MIB)
        async with asyncio.timeout(HANGS):
            report = await client.download_all()
        assert not download.done()
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download

    assert (1, 1) == (report.downloaded, report.skipped)
