"""A store that is away for a while, and one that brings archives from tape: nothing is lost, and it is said once."""

from __future__ import annotations

import asyncio
import logging
import random
import resource
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import CatalogueError, Client, SilentProgress, TransferError
from collgs_async.models.product import Status
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import HANGS, RecordedSleeps, fault, level2_scenes
from tests.support.clocks import Haste
from tests.support.servers import Asked, plain, raw_server, settings_for, small_archive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from collgs_async.models.product import Outcome
    from collgs_async.models.report import Report

RIGHT = small_archive()
NAMES = [f"P{number:02}" for number in range(12)]
LINKS = [(name, f"/{name}.zip") for name in NAMES]

HTML = b"<html><head><title>Maintenance</title></head><body>Back soon</body></html>"
AWAY = {
    "502": plain(b"<h1>Bad gateway</h1>", "502 Bad Gateway"),
    "500": plain(b"oops", "500 Internal Server Error"),
    "503": plain(HTML, "503 Service Unavailable"),
    "503 with Retry-After": plain(HTML, "503 Service Unavailable", Retry_After="7"),
    "504": plain(b"", "504 Gateway Timeout"),
    "429": plain(b"slow down", "429 Too Many Requests"),
    "HTML": plain(HTML),
    "text": plain(b"The service is not available at the moment."),
    "closed without an answer": b"",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
}


class Store:
    """Hands out the same archive for every name, unless `away` has something else to say about a request."""

    def __init__(self, away: Callable[[str, int], bytes | None]) -> None:
        self.turns: Counter[str] = Counter()
        self.order: list[str] = []
        self.all_asked = asyncio.Event()
        self._away = away

    async def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        name = asked.path.strip("/").removesuffix(".zip")
        self.order.append(name)
        trouble = self._away(name, len(self.order))
        self.turns[name] += 1
        if len(self.turns) == len(NAMES):
            self.all_asked.set()
        yield plain(RIGHT, ETag='"one"') if trouble is None else trouble


class Listener(SilentProgress):
    """Remembers what the run was said to wait for."""

    def __init__(self) -> None:
        self.told: list[str | None] = []

    def waiting(self, what: str | None) -> None:
        self.told.append(what)


async def pull(
    store: Store,
    folder: Path,
    sleep: Any,
    links: Any = LINKS,
    workers: int = 4,
    tuning: TransferTuning | None = None,
    **connection: Any,
) -> tuple[Report, Listener]:
    listener = Listener()
    async with raw_server(links, store) as server:
        config = settings_for(server, folder, {"workers": workers}, **connection)
        async with Client(config, listener, sleep=sleep, tuning=tuning) as client, asyncio.timeout(HANGS):
            return await client.download_all(), listener


async def download_each(store: Store, folder: Path, sleeps: RecordedSleeps, links: Any = LINKS) -> list[Outcome]:
    """Fetch one after the other, as a script does."""
    async with raw_server(links, store) as server, Client(settings_for(server, folder), sleep=sleeps) as client:
        return [await client.download(product) async for product in client.catalogue.search()]


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [message for message in caplog.messages if words in message]


def away_for(first: int, last: int, answer: bytes) -> Callable[[str, int], bytes | None]:
    """Be away from one request to another one, counted from 1."""
    return lambda _, turn: answer if first <= turn <= last else None


@pytest.mark.parametrize("answer", AWAY.values(), ids=AWAY)
@pytest.mark.parametrize(("first", "workers"), [(1, 4), (4, 1)])
async def test_an_outage_costs_no_product(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, answer: bytes, first: int, workers: int
) -> None:
    store = Store(away_for(first, first + 50, answer))
    caplog.set_level(logging.WARNING, "collgs_async")

    report, listener = await pull(store, tmp_path / "archives", sleeps, workers=workers, outage="2h")

    assert (len(NAMES), 0) == (report.downloaded, report.failed)
    [begins], [ends] = said(caplog, "is unavailable ("), said(caplog, "answers again after")
    assert "up to 2:00:00" in begins
    assert "going on" in ends
    assert ["the store", None] == listener.told


async def test_a_port_that_refuses_connections_for_a_while(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    """Connections are refused until it was waited for two minutes."""
    store = Store(lambda *_: None)
    async with raw_server(LINKS, store) as there:
        port = int(there.origin.rpartition(":")[2])
    listening: list[asyncio.Server] = []

    async def sleep(seconds: float) -> None:
        await sleeps(seconds)
        if sum(sleeps.seconds) > 120 and not listening:
            listening.append(await asyncio.start_server(there.connected, "127.0.0.1", port))

    async with raw_server(LINKS, store) as catalogue:
        config = settings_for(catalogue, tmp_path / "archives", download_base_url=there.origin)
        async with Client(config, sleep=sleep) as client, asyncio.timeout(HANGS):
            report = await client.download_all()
    listening[0].close()
    await there.end()

    assert (len(NAMES), 0) == (report.downloaded, report.failed)


async def test_once_the_store_is_known_to_be_away_it_is_asked_one_thing_at_a_time_after_growing_pauses(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    store = Store(away_for(5, 24, AWAY["502"]))

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=1)

    assert 0 == report.failed
    whole = [pause for pause in sleeps.seconds if pause == int(pause)]
    assert [1, 2, 4, 8, 16, 32, 60] == whole[:7]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("first", [1, 4])
async def test_a_store_that_stays_away_is_given_up_after_the_stated_time_and_the_rest_fails_at_once(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, workers: int, first: int
) -> None:
    links = [(f"P{number:03}", f"/P{number:03}.zip") for number in range(200)]
    store = Store(away_for(first, 10**9, AWAY["502"]))

    report, listener = await pull(store, tmp_path / "archives", sleeps, links, workers, outage="10m")

    assert (first - 1, 200 - first + 1) == (report.downloaded, report.failed)
    assert len(said(caplog, "is unavailable (")) == 1
    assert [] == said(caplog, "answers again")
    reasons = [str(outcome.error) for outcome in report.failures]
    assert all(reason.endswith("was away for 10:00 (HTTP 502: Bad gateway)") for reason in reasons)
    assert len(store.order) < 60
    assert 600 <= sum(sleeps.seconds) < 1200
    assert ["the store", None] == listener.told


async def test_without_an_outage_limit_only_the_retries_count(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(away_for(1, 10**9, AWAY["502"]))

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=1, outage=0, retries=2)

    assert len(NAMES) == report.failed
    assert {2} == set(store.turns.values())
    assert "HTTP 502: Bad gateway; given up after 2 requests" == str(report.failures[0].error)


async def test_a_store_that_comes_back_after_all_is_found_again_in_the_same_run(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    """Most fail at once; then so much time passes that one more is tried."""
    links = [(f"P{number:03}", f"/P{number:03}.zip") for number in range(50)]
    store = Store(away_for(1, 25, AWAY["502"]))
    async with raw_server(links, store) as server:
        config = settings_for(server, tmp_path / "archives", {"workers": 1}, outage="3s")
        async with Client(config, sleep=sleeps) as client, asyncio.timeout(HANGS):
            products = [product async for product in client.catalogue.search()]
            for product in products:
                await client.download(product)
                await client._session.timing.sleep(61)

    assert 25 < store.turns.total()
    assert any((tmp_path / "archives").glob("*.zip"))


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("place", [0, 5, 11])
@pytest.mark.parametrize("answer", ["500", "HTML", "closed without an answer"])
async def test_one_product_alone_in_trouble_fails_alone(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, place: int, workers: int, answer: str
) -> None:
    store = Store(lambda name, _: AWAY[answer] if name == NAMES[place] else None)
    caplog.set_level(logging.WARNING, "collgs_async")

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=workers)

    assert (len(NAMES) - 1, 1) == (report.downloaded, report.failed)
    assert NAMES[place] == report.failures[0].product.identifier
    assert report.failures[0].attempts <= 6
    assert [] == said(caplog, "is unavailable (")


@pytest.mark.parametrize("workers", [1, 4])
async def test_refusals_as_too_many_cost_no_product_however_often_they_hit_it(
    tmp_path: Path, sleeps: RecordedSleeps, workers: int
) -> None:
    """Other clients hold all that the store allows whenever this one product is asked for."""
    store = Store(lambda name, _: AWAY["429"] if name == NAMES[3] and store.turns[name] < 40 else None)

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=workers, outage="1h")

    assert (len(NAMES), 0) == (report.downloaded, report.failed)
    assert 41 == store.turns[NAMES[3]]


@pytest.mark.parametrize("seed", range(4))
async def test_refusals_as_too_many_cost_no_product_whichever_requests_they_hit(
    tmp_path: Path, sleeps: RecordedSleeps, seed: int
) -> None:
    """Other clients are faster nine times of ten, also when the store is probed."""
    rng = random.Random(seed)
    store = Store(lambda *_: AWAY["429"] if rng.random() < 0.9 else None)

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=8, outage="10h", retries=1)

    assert (len(NAMES), 0) == (report.downloaded, report.failed)


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_product_that_is_always_refused_as_one_too_many_fails_after_the_stated_time(
    tmp_path: Path, sleeps: RecordedSleeps, workers: int
) -> None:
    store = Store(lambda name, _: AWAY["429"] if name == NAMES[3] else None)

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=workers, outage="10m")

    assert (len(NAMES) - 1, 1) == (report.downloaded, report.failed)
    assert "HTTP 429: slow down" in str(report.failures[0].error)
    assert sum(sleeps.seconds) >= 10 * 60 * 0.9


async def test_the_only_product_of_a_run_is_given_up_after_its_tries(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    """One product is no evidence about its store, which has handed out nothing else."""
    store = Store(lambda *_: AWAY["500"])

    report, _ = await pull(store, tmp_path / "archives", sleeps, LINKS[:1])

    assert (0, 1) == (report.downloaded, report.failed)
    assert report.failures[0].attempts <= 8
    assert sum(sleeps.seconds) < 60


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_the_first_products_being_broken_is_not_taken_for_an_outage_for_long(
    tmp_path: Path, sleeps: RecordedSleeps, workers: int
) -> None:
    """No archive that the store is known to serve tells the one from the other; the next products do."""
    broken = set(NAMES[:4])
    store = Store(lambda name, _: AWAY["500"] if name in broken else None)

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=workers)

    assert (len(NAMES) - 4, broken) == (
        report.downloaded,
        {outcome.product.identifier for outcome in report.failures},
    )
    assert sum(sleeps.seconds) < 300


async def test_a_product_that_takes_the_store_down_each_time_is_given_up(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    down = 0

    def poisoned(name: str, _: int) -> bytes | None:
        nonlocal down
        down = 6 if name == NAMES[3] else down - 1
        return AWAY["502"] if down > 0 else None

    report, _ = await pull(Store(poisoned), tmp_path / "archives", sleeps, workers=1)

    assert [NAMES[3]] == [outcome.product.identifier for outcome in report.failures]


async def test_a_single_download_waits_for_a_store_that_has_handed_out_others(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    outcomes = await download_each(Store(away_for(2, 14, AWAY["502"])), tmp_path / "archives", sleeps, LINKS[:2])

    assert [Status.DOWNLOADED] * 2 == [outcome.status for outcome in outcomes]


async def test_a_broken_single_download_is_no_verdict_on_the_next_one(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(lambda name, _: AWAY["500"] if name == NAMES[0] else None)
    outcomes = await download_each(store, tmp_path / "archives", sleeps)

    assert [NAMES[0]] == [one.product.identifier for one in outcomes if one.status is Status.FAILED]


async def test_a_store_that_is_away_does_not_hold_another_one(tmp_path: Path) -> None:
    """A waiting product waits until all archives of the other store are complete."""
    good, bad = Store(lambda *_: None), Store(lambda *_: AWAY["502"])
    fetched = asyncio.Event()

    class Watching(SilentProgress):
        def finished(self, _: Any) -> None:
            if good.turns.total() == len(NAMES):
                fetched.set()

    async def sleep(seconds: float) -> None:
        if seconds >= 32:
            await fetched.wait()
        await asyncio.sleep(0)

    async with raw_server([], good) as here, raw_server([], bad) as there:
        links = [(f"{name}-{kind}", f"{where}/{name}.zip") for name in NAMES for kind, where in
                 (("bad", there.origin), ("good", here.origin))]  # fmt: skip
        here.offer(links)
        config = settings_for(here, tmp_path / "archives", {"workers": 2})
        async with Client(config, Watching(), sleep=sleep) as client, asyncio.timeout(HANGS):
            report = await client.download_all()

    assert (len(NAMES), len(NAMES)) == (report.downloaded, report.failed)


async def test_what_is_here_when_all_connections_break_is_kept(serve: Callable[..., Any]) -> None:
    scenes = [replace(scene, size=400_000, deflated=False) for scene in level2_scenes(4)]
    broken = (fault("reset"), *[fault("500")] * 5)
    site = await serve(scenes, faults={scene.identifier: broken for scene in scenes})

    # More tries than faults: without real pauses, one may have made all of its own before another has begun.
    report = await site.pull(workers=4, retries=10)

    assert (4, 0) == (report.downloaded, report.failed)
    assert site.moved() < 1.2 * sum(site.archive(scene).stat().st_size for scene in scenes)


async def test_interrupted_while_it_waits_it_ends_at_once(tmp_path: Path) -> None:
    waits = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds >= 8:
            waits.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    running = asyncio.create_task(pull(Store(lambda *_: AWAY["502"]), tmp_path / "archives", sleep))
    await waits.wait()
    running.cancel()
    async with asyncio.timeout(HANGS):
        [ended] = await asyncio.gather(running, return_exceptions=True)

    assert isinstance(ended, asyncio.CancelledError)
    assert [] == list((tmp_path / "archives").iterdir())


async def test_retry_after_is_honoured_while_it_waits(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(away_for(4, 12, plain(b"", "500 Internal Server Error", Retry_After="77")))

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=1)

    assert 0 == report.failed
    assert all(pause >= 77 for pause in sleeps.seconds if pause)


async def test_a_longer_outage_limit_permits_a_longer_retry_after(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(away_for(1, 2, plain(b"", "503 Service Unavailable", Retry_After="3600")))

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=1, outage="3h")

    assert 0 == report.failed


async def test_bytes_that_are_no_archive_are_asked_for_no_more_often_than_a_store_that_says_nothing(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    """They are no trouble of the store by themselves, and no sign either that it is over."""
    store = Store(lambda _, turn: AWAY["502"] if turn <= 9 else plain(bytes(range(256)) * 8))

    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=1, outage="15m")

    assert (0, len(NAMES)) == (report.downloaded, report.failed)
    assert len(store.order) < 60
    assert "was away for 15:00 (the store sent" in str(report.failures[0].error)


# Want of descriptors


class Scarce:
    """A sleep that only notes how long it should have been, and allows no further descriptor while it is told so."""

    def __init__(self, lacks: Callable[[float], bool]) -> None:
        self.sleeps = RecordedSleeps()
        self._lacks = lacks
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def allow(self, *, more: bool) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits[0] if more else 3, self._limits[1]))

    async def __call__(self, seconds: float) -> None:
        self.allow(more=True)
        await self.sleeps(seconds)
        await asyncio.sleep(0.01)  # for the server, which needs descriptors, too
        self.allow(more=not self._lacks(seconds))


@contextmanager
def scarce(lacks: Callable[[float], bool]) -> Iterator[Scarce]:
    sleep = Scarce(lacks)
    try:
        yield sleep
    finally:
        sleep.allow(more=True)


async def test_want_of_descriptors_says_nothing_about_the_store(tmp_path: Path) -> None:
    """What it handed out before is what it is asked for again, also after it could not be asked."""
    store = Store(away_for(4, 24, AWAY["502"]))
    lacks: list[int] = []

    def in_mid_outage(seconds: float) -> bool:
        if seconds == 8 and len(lacks) < 4:
            lacks.append(len(store.order))
            return len(lacks) < 4
        return False

    with scarce(in_mid_outage) as sleep:
        report, _ = await pull(store, tmp_path / "archives", sleep, workers=1)

    assert (len(NAMES), 0) == (report.downloaded, report.failed)
    assert 4 == len(lacks)
    assert lacks[0] == lacks[3] < 24
    assert set(NAMES[:3]).issuperset(store.order[lacks[0] : 25])


async def test_want_of_descriptors_is_judged_anew_when_there_were_some_in_between(tmp_path: Path) -> None:
    store = Store(on_tape(1, NAMES, plain(b"", "202 Accepted", Retry_After="1000")))

    with scarce(lambda seconds: seconds >= 1000 or first.pop()) as sleep:
        first = [False, False, True]
        async with raw_server(LINKS[:1], store) as server:
            config = settings_for(server, tmp_path / "archives", outage="60s")
            async with Client(config, sleep=sleep) as client, asyncio.timeout(HANGS):
                products = [product async for product in client.catalogue.search()]
                sleep.allow(more=False)
                outcome = await client.download(products[0])

    assert Status.DOWNLOADED is outcome.status, outcome.error
    assert sum(pause == 1 for pause in sleep.sleeps.seconds) >= 2


# Several processes


@pytest.mark.parametrize(("flows", "clients", "workers"), [(4, 4, 4), (1, 3, 8)])
async def test_clients_that_share_the_flows_of_a_store_lose_nothing(
    serve: Callable[..., Any], tmp_path: Path, flows: int, clients: int, workers: int
) -> None:
    """To each of them, the others are processes that take all that the store allows."""
    scenes = [replace(scene, size=100_000, deflated=False) for scene in level2_scenes(8)]
    site = await serve(scenes, rate=400_000.0, most_flows=flows)

    async def pull_into(folder: str) -> Report:
        site.folder = tmp_path / folder
        haste = Haste(20)
        async with Client(site.config(workers=workers), sleep=haste.sleep) as client:
            return await client.download_all()

    reports = await asyncio.gather(*(pull_into(f"folder{number}") for number in range(clients)))

    assert [(8, 0)] * clients == [(report.downloaded, report.failed) for report in reports]
    assert any(hit.status == 429 for hit in site.archive_hits()), "nothing was put to the test"


# Archives on tape

IN_FLIGHT = 2 + 64
"""More than two workers, and those who verify."""

STAGED = plain(b"The product is being retrieved from the archive.", "202 Accepted")


def on_tape(times: int, names: Any = NAMES, answer: bytes = STAGED) -> Callable[[str, int], bytes | None]:
    turns: Counter[str] = Counter()

    def away(name: str, _: int) -> bytes | None:
        turns[name] += 1
        return answer if name in names and turns[name] <= times else None

    return away


async def test_what_is_on_tape_holds_no_worker(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(on_tape(12, {NAMES[0]}))

    async def sleep(seconds: float) -> None:
        if seconds >= 10:
            await store.all_asked.wait()  # else the tape would be there before a single other one is
        await sleeps(seconds)

    report, listener = await pull(store, tmp_path / "archives", sleep, workers=1, retries=1)

    assert (len(NAMES), 0) == (report.downloaded, report.failed)
    assert 13 == store.turns[NAMES[0]]
    pauses = [pause for pause in sleeps.seconds if pause >= 10]
    assert pauses
    assert max(pauses) <= 330
    assert "1 on tape" in listener.told
    assert listener.told[-1] is None


async def test_all_that_is_on_tape_is_asked_for_before_any_is_asked_again(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    store = Store(on_tape(3))

    async def sleep(seconds: float) -> None:
        if seconds >= 5:  # 10 s of the tape, less what the run has taken since; waits between tries take 1 s
            await store.all_asked.wait()
        await sleeps(seconds)

    report, _ = await pull(store, tmp_path / "archives", sleep, workers=2, retries=1)

    assert (len(NAMES), 0) == (report.downloaded, report.failed)
    assert sorted(NAMES) == sorted(store.order[: len(NAMES)])


async def test_no_more_wait_for_the_tape_than_fit_into_memory(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(on_tape(3))

    tuning = TransferTuning(max_put_off=3)
    report, _ = await pull(store, tmp_path / "archives", sleeps, workers=2, tuning=tuning, retries=1)

    assert (len(NAMES), 0) == (report.downloaded, report.failed)
    turns: Counter[str] = Counter()
    for name in store.order:
        turns[name] += 1
        assert sum(0 < turn < 4 for turn in turns.values()) <= 3 + IN_FLIGHT


@pytest.mark.parametrize("alone", [True, False])
async def test_a_tape_that_never_comes_is_given_up_after_the_stated_time(
    tmp_path: Path, sleeps: RecordedSleeps, *, alone: bool
) -> None:
    store = Store(on_tape(10**9, {NAMES[0]}))
    async with raw_server(LINKS[:1], store) as server:
        config = settings_for(server, tmp_path / "archives", staging="1h", retries=1)
        async with Client(config, sleep=sleeps) as client, asyncio.timeout(HANGS):
            if alone:
                [product] = [product async for product in client.catalogue.search()]
                error = (await client.download(product)).error
            else:
                error = (await client.download_all()).failures[0].error

    assert isinstance(error, TransferError)
    assert "HTTP 202: The product is being retrieved from the archive." in str(error)
    assert "it was waited for 1:00:0" in str(error)
    assert 14 < len(store.order) < 25


@pytest.mark.parametrize(
    ("staging", "asked", "reason"), [("0", "1", "HTTP 202"), ("30m", "3600", "it asks to wait 1:00:00, and 30:00 are")]
)
async def test_a_staging_limit_shorter_than_the_wait_fails_the_product(
    tmp_path: Path, sleeps: RecordedSleeps, staging: str, asked: str, reason: str
) -> None:
    store = Store(on_tape(9, NAMES, plain(b"", "202 Accepted", Retry_After=asked)))

    report, _ = await pull(store, tmp_path / "archives", sleeps, staging=staging)

    assert len(NAMES) == report.failed == len(store.order)
    assert reason in str(report.failures[0].error)


async def test_the_tape_says_itself_how_long_it_takes(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    store = Store(on_tape(1, NAMES[:1], plain(b"", "202 Accepted", Retry_After="1800.5")))

    report, _ = await pull(store, tmp_path / "archives", sleeps, LINKS[:1])

    assert 0 == report.failed
    assert 1800.5 <= sleeps.seconds[0] <= 1981


async def test_a_tape_that_says_no_wait_is_not_asked_without_end_in_a_second(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    store = Store(on_tape(10**9, NAMES[:1], plain(b"", "202 Accepted", Retry_After="0")))

    report, _ = await pull(store, tmp_path / "archives", sleeps, LINKS[:1], staging="1m")

    assert 1 == report.failed
    assert len(store.order) < 70


# The catalogue


@pytest.mark.parametrize(("name", "words"), [("catalogue-503", "HTTP 503"), ("catalogue-html", "Maintenance")])
async def test_a_catalogue_that_goes_away_in_mid_search_is_waited_for(
    serve: Callable[..., Any], sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, name: str, words: str
) -> None:
    caplog.set_level(logging.WARNING, "collgs_async")
    site = await serve(level2_scenes(10, size=700), page_maximum=5)
    away = replace(fault(name), times=12)

    found = await found_before_and_after(site, away)

    assert 10 == len(set(found))
    [begins] = said(caplog, "the catalogue is asked again for up to ")
    assert words in begins
    assert "for up to 14:5" in begins or (sum(sleeps.seconds[:2]) < 0.5 and "for up to 15:00" in begins)
    assert 1 == len(said(caplog, "the catalogue answers again after"))
    assert sum(sleeps.seconds) > 100


async def found_before_and_after(site: Any, away: Any, **connection: Any) -> list[str]:
    """Search a catalogue that goes away when it has given its first page."""
    found: list[str] = []
    async with site.client(**connection) as client:
        async for product in client.catalogue.search():
            if not found:
                site.server.apply_fault("catalogue", away)
            found.append(product.identifier)
    return found


async def test_a_catalogue_that_stays_away_ends_the_search_after_the_stated_time(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    site = await serve(level2_scenes(10, size=700), page_maximum=5)

    with pytest.raises(CatalogueError, match="HTTP 503"):
        await found_before_and_after(site, replace(fault("catalogue-503"), times=None), outage=300)

    assert 290 <= sum(sleeps.seconds) <= 330


async def test_an_address_that_never_answered_is_not_waited_for(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    site = await serve([])

    async with site.client(base_url="http://127.0.0.1:9/search") as client:
        with pytest.raises(CatalogueError, match="Connection refused"):
            await client.search().collect()

    assert 2 == len(sleeps.seconds)
