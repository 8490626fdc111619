"""A store that allows a few flows at once: nothing is lost, little is refused, and it is said once."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, NotAvailableError, TransferError
from collgs_async.demo.faults import FAULTS
from collgs_async.http.limits import ConcurrencyLimiter
from collgs_async.models.product import Status
from collgs_async.transfer import scheduler
from tests.conftest import HANGS, fault, is_archive, level2_scenes
from tests.support.clocks import Haste
from tests.support.servers import Asked, plain, raw_server, saying, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import RecordedSleeps

FLOWS, WORKERS = 4, 16
FIRST_SECONDS = 10.0
SIZE = 700


def small_scenes(count: int) -> list[Any]:
    return [replace(scene, size=SIZE) for scene in level2_scenes(count)]


async def pull_in_haste(site: Any, pace: float, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    haste = Haste(pace)
    monkeypatch.setattr(scheduler, "ConcurrencyLimiter", partial(ConcurrencyLimiter, clock=haste.clock))
    async with Client(site.config(**{"workers": WORKERS, **options}), sleep=haste.sleep) as client:
        return await client.download_all()


def limits_said(caplog: pytest.LogCaptureFixture) -> list[int]:
    found = (re.search(r"continuing with (\d+) connection", message) for message in caplog.messages)
    return [int(match[1]) for match in found if match]


def assert_halved_twice(caplog: pytest.LogCaptureFixture) -> None:
    """From 16 to 8 and 4; on a machine that is so busy that a fifth request is tried meanwhile, back to 4 each time."""
    first, second, *later = limits_said(caplog)
    assert [8, 4] == [first, second]
    assert {4}.issuperset(later)


@pytest.mark.parametrize(
    ("pace", "rate"), [(20, 40_000.0), pytest.param(1, 3_500.0, marks=pytest.mark.slow, id="in real time")]
)
async def test_four_flows_and_sixteen_workers_lose_nothing_and_are_seldom_refused(
    serve: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    pace: float,
    rate: float,
) -> None:
    scenes = small_scenes(500)
    site = await serve(scenes, rate=rate, most_flows=FLOWS)
    caplog.set_level(logging.WARNING, "collgs_async")

    report = await pull_in_haste(site, pace, monkeypatch)

    assert (500, 0) == (report.downloaded, report.failed)
    assert 500 == sum(is_archive(site.archive(scene)) for scene in scenes)
    assert [] == site.litter()
    hits = site.archive_hits()
    assert {200: 500} == {
        status: count for status, count in Counter(hit.status for hit in hits).items() if status < 300
    }
    late = [hit for hit in hits if (hit.at - hits[0].at) * pace > FIRST_SECONDS]
    refused = [hit for hit in late if hit.status == 429]
    assert len(late) > 100
    assert len(refused) < 0.05 * len(late)


async def test_each_reduction_is_said_once_and_nothing_else(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve(small_scenes(100), rate=20_000.0, most_flows=FLOWS)
    caplog.set_level(logging.INFO, "collgs_async")

    report = await pull_in_haste(site, 10, monkeypatch)

    assert 100 == report.downloaded
    assert_halved_twice(caplog)
    assert len(limits_said(caplog)) == len(caplog.messages), caplog.messages


@pytest.mark.parametrize("status", [403, 200])
async def test_words_alone_are_a_refusal_too(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    scenes = small_scenes(60)
    site = await serve(scenes, rate=20_000.0, most_flows=FLOWS, flows_status=status)

    report = await pull_in_haste(site, 10, monkeypatch)

    assert (60, 0) == (report.downloaded, report.failed)
    assert 60 == sum(is_archive(site.archive(scene)) for scene in scenes)
    assert_halved_twice(caplog)


async def test_the_fewest_flows_and_the_most_workers_lose_nothing_either(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await serve(small_scenes(80), rate=40_000.0, most_flows=1)

    report = await pull_in_haste(site, 20, monkeypatch, workers=64)

    assert (80, 0) == (report.downloaded, report.failed)


async def test_a_real_refusal_is_final_at_once_while_the_others_go_on(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = small_scenes(60)
    refused = {scenes[10].identifier: fault("forbidden"), scenes[20].identifier: fault("missing")}
    site = await serve(scenes, rate=20_000.0, most_flows=FLOWS, faults=refused)

    report = await pull_in_haste(site, 10, monkeypatch)

    assert (58, 2) == (report.downloaded, report.failed)
    assert {
        scenes[10].identifier: "HTTP 403: You may not have this product.",
        scenes[20].identifier: "HTTP 404: Not Found",
    } == {outcome.product.identifier: str(outcome.error) for outcome in report.failures}
    hits = site.server.requests
    for status in (403, 404):
        kept = [
            any(earlier.port == hit.port for earlier in hits[:at])
            for at, hit in enumerate(hits)
            if hit.status == status
        ]
        # Over a connection that has served others, a refusal may be theirs: it is asked for once more over a new one.
        assert kept in ([False], [True, False])


async def test_one_product_that_is_always_busy_stops_neither_the_others_nor_the_end(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = small_scenes(40)
    site = await serve(scenes, faults={scenes[0].identifier: replace(FAULTS["503"], times=None)})

    report = await pull_in_haste(site, 100, monkeypatch, retries=3)

    assert (39, 1) == (report.downloaded, report.failed)
    assert isinstance(report.failures[0].error, TransferError)
    assert "HTTP 503" in str(report.failures[0].error)


async def test_being_asked_to_wait_an_hour_is_final_and_said(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    busy = saying(plain(b"try later", "429 Too Many Requests", Retry_After="3600"))
    async with raw_server([("A", "/a.zip"), ("B", "/b.zip")], busy) as store:
        async with Client(settings_for(store, tmp_path / "archives"), sleep=sleeps) as client:
            report = await client.download_all()

        assert 2 == len(store.archive_requests)
    said = "HTTP 429: try later; it asks to wait 1:00:00, longer than a run does"
    assert [(NotAvailableError, said)] * 2 == [(type(one.error), str(one.error)) for one in report.failures]
    assert [] == sleeps.seconds


async def test_a_download_waiting_to_retry_holds_no_slot(serve: Callable[..., Any]) -> None:
    """With one place, the second archive comes only if the first one's worker has left it."""
    scenes = small_scenes(2)
    site = await serve(scenes, faults={scenes[1].identifier: fault("500")})  # newest first
    waits, other_is_here = asyncio.Event(), asyncio.Event()

    async def sleep_until_the_other_is_here(_: float) -> None:
        waits.set()
        await other_is_here.wait()

    async with Client(site.config(workers=1), sleep=sleep_until_the_other_is_here) as client, asyncio.timeout(HANGS):
        older, newer = [product async for product in client.catalogue.search()][::-1]
        waiting = asyncio.create_task(client.download(newer))
        await waits.wait()
        assert Status.DOWNLOADED is (await client.download(older)).status
        assert not waiting.done()
        other_is_here.set()
        assert Status.DOWNLOADED is (await waiting).status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("429 Too Many Requests", b"busy "),
        ("500 Internal Server Error", b"broken "),
        ("200 OK", b"<html><title>Maintenance</title>"),
        ("206 Partial Content", b"no range "),
    ],
)
async def test_no_half_read_answer_is_held_while_waiting(tmp_path: Path, status: str, body: bytes) -> None:
    """The answer has no end: a waiting download must have closed its connection, or it waits here for ever."""

    async def without_end(_: Asked) -> AsyncIterator[bytes]:
        yield f"HTTP/1.1 {status}\r\nRetry-After: 1\r\n\r\n".encode()
        while True:
            yield body * 10_000

    async with raw_server([("A", "/a.zip")], without_end) as store:

        async def sleep_until_all_are_closed(_: float) -> None:
            for asked in store.archive_requests:
                await asked.hung_up.wait()

        client = Client(settings_for(store, tmp_path / "archives"), sleep=sleep_until_all_are_closed)
        async with client, asyncio.timeout(HANGS):
            report = await client.download_all()

        assert 1 == report.failed
        assert len(store.archive_requests) >= 3
        assert max(asked.sent for asked in store.archive_requests) < 16 * 2**20


@pytest.mark.parametrize(("flows", "workers", "count"), [(4, 16, 16), (1, 32, 8)])
async def test_flows_that_last_for_most_of_a_minute_lose_nothing(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, flows: int, workers: int, count: int
) -> None:
    """A refused request is refused several times before another flow ends, and by each probe."""
    scenes = [replace(scene, size=200_000, deflated=False) for scene in level2_scenes(count)]
    site = await serve(scenes, rate=400_000.0, most_flows=flows)

    report = await pull_in_haste(site, 100, monkeypatch, workers=workers)

    assert (count, 0) == (report.downloaded, report.failed)
