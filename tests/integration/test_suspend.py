"""Connections that are dead or nearly so: the computer slept, or the line has become too slow."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import Client, Config, Connection, DownloadOptions, Product
from collgs_async.demo.archives import write_archive
from collgs_async.demo.faults import FAULTS
from collgs_async.http.retry import RetryPolicy, retry_call
from collgs_async.models.product import Status
from collgs_async.storage.part import PartFile
from collgs_async.transfer.job import DownloadJob
from collgs_async.transfer.segment import Segment
from collgs_async.transfer.suspend import SuspendDetector
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import HANGS, level2_scenes
from tests.support.clocks import NIGHT, Clock, until
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.models.product import Outcome
    from tests.conftest import RecordedSleeps

KIB, MIB = 2**10, 2**20


@pytest.fixture
def wall() -> Clock:
    return Clock(1_700_000_000.0)


@pytest.fixture
def steady() -> Clock:
    return Clock()


def test_time_that_passes_on_both_clocks_is_no_sleep(wall: Clock, steady: Clock) -> None:
    asleep = SuspendDetector(wall, steady)
    for _ in range(100):
        wall.now += 5
        steady.now += 5
        assert 0 == asleep.since_last_look()


def test_time_that_only_the_wall_clock_saw_is_sleep_and_told_once(wall: Clock, steady: Clock) -> None:
    asleep = SuspendDetector(wall, steady)
    wall.now += NIGHT + 5
    steady.now += 5

    assert NIGHT == asleep.since_last_look()
    assert 0 == asleep.since_last_look()
    wall.now += 60
    assert 60 == asleep.since_last_look()


@pytest.mark.parametrize(
    ("moved", "slept"),
    [
        pytest.param(9.5, 0, id="the clock is set right"),
        pytest.param(10, 10, id="just long enough"),
        pytest.param(-3600, 0, id="the clock is put back"),
    ],
)
def test_only_a_jump_ahead_that_is_long_enough_counts(wall: Clock, steady: Clock, moved: float, slept: float) -> None:
    asleep = SuspendDetector(wall, steady)
    wall.now += moved

    assert slept == asleep.since_last_look()


def test_many_small_corrections_do_not_add_up(wall: Clock, steady: Clock) -> None:
    asleep = SuspendDetector(wall, steady)
    for _ in range(10):
        wall.now += 5
        assert 0 == asleep.since_last_look()


def test_process_that_was_held_up_did_not_sleep(wall: Clock, steady: Clock) -> None:
    """A busy machine looks at the clocks late, and sees the same on both."""
    asleep = SuspendDetector(wall, steady)
    wall.now += 600
    steady.now += 600

    assert 0 == asleep.since_last_look()


def test_real_clocks_agree() -> None:
    assert 0 == SuspendDetector().since_last_look()


@pytest.fixture
def tuning() -> TransferTuning:
    """The clocks are compared often, and a rate is measured over a short time."""
    return TransferTuning(watch_seconds=0.02, rate_seconds=0.2)


async def first_product(client: Client) -> Product:
    async for product in client.catalogue.search():
        return product
    raise AssertionError("nothing was found")


def brings(client: Client, nbytes: int) -> Callable[[], bool]:
    """Whether a connection has brought so much that the next byte is awaited."""
    jobs = client._downloader._scheduler._jobs
    return lambda: any(segment.position >= nbytes for job in jobs for segment in job.active)


async def test_after_sleep_it_connects_anew_where_it_was_long_before_the_time_out(
    serve: Callable[..., Any], wall: Clock, steady: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = level2_scenes(1, size=6 * MIB)[0]
    site = await serve([scene], faults={scene.identifier: FAULTS["stall"]})
    async with site.client(timeout=1000, retries=0, segments=1) as client:
        client._downloader._scheduler._suspend = SuspendDetector(wall, steady)
        product = await first_product(client)
        with caplog.at_level(logging.WARNING, "collgs_async"):
            download = asyncio.create_task(client.download(product))
            await until(brings(client, MIB))
            wall.now += NIGHT
            outcome: Outcome = await asyncio.wait_for(download, HANGS)

    assert (Status.DOWNLOADED, None, 2) == (outcome.status, outcome.error, outcome.attempts)
    assert scene.size == outcome.bytes
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert "the computer slept for 8:00:00" in caplog.text


async def test_sleep_costs_no_try_even_when_nothing_new_had_come(
    tmp_path: Path, sleeps: RecordedSleeps, tuning: TransferTuning, wall: Clock, steady: Clock
) -> None:
    """A store that knows no ranges sends the same again and falls silent twice; with one try that would be the end."""
    scene = level2_scenes(1, size=6 * MIB)[0]
    write_archive(scene, tmp_path / "original.zip")
    content = (tmp_path / "original.zip").read_bytes()
    asked = 0

    async def fall_silent_twice(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        if asked <= 2:
            await response.write(content[: 2 * MIB])
            await asyncio.Event().wait()
        await response.write(content)
        return response

    async with listening(fall_silent_twice) as origin:
        config = Config(
            parameters={"parentIdentifier": "X"},
            output_directory=tmp_path / "archives",
            connection=Connection(timeout=1000, retries=0),
        )
        async with Client(config, sleep=sleeps, tuning=tuning) as client:
            client._downloader._scheduler._suspend = SuspendDetector(wall, steady)
            download = asyncio.create_task(client.download(Product("P", f"{origin}/P.zip")))
            for night in (1, 2):
                await until(lambda: asked == night and brings(client, MIB)())  # noqa: B023 - called at once
                wall.now += NIGHT
            outcome = await asyncio.wait_for(download, HANGS)

    assert (Status.DOWNLOADED, None, 3) == (outcome.status, outcome.error, outcome.attempts)
    assert outcome.path is not None
    assert content == outcome.path.read_bytes()


async def test_sleep_before_the_first_block_has_come_is_noticed_too(
    serve: Callable[..., Any], wall: Clock, steady: Clock
) -> None:
    """A third of a small archive is less than the block that is gathered before anything is written."""
    scene = level2_scenes(1, size=MIB)[0]
    site = await serve([scene], faults={scene.identifier: FAULTS["stall"]})
    async with site.client(timeout=1000, retries=0, segments=1) as client:
        client._downloader._scheduler._suspend = SuspendDetector(wall, steady)
        download = asyncio.create_task(client.download(await first_product(client)))
        await until(lambda: site.moved() >= scene.size // 3)
        wall.now += NIGHT
        outcome = await asyncio.wait_for(download, HANGS)

    assert (Status.DOWNLOADED, 2) == (outcome.status, outcome.attempts)


async def test_reconnecting_breaks_each_connection_and_counts_as_progress(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    class Answer:
        closed = False

        def close(self) -> None:
            self.closed = True

    retry = RetryPolicy(1)
    job = DownloadJob(Product("P", "http://h/a"), PartFile(tmp_path / "a.zip"), retry, segments=4)
    answers = [Answer(), Answer()]
    for first, answer in enumerate(answers):
        job.begin(Segment(first, 100), answer)  # type: ignore[arg-type]  # only its end matters

    calls = 0

    async def fails_once() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            job.reconnect()
            raise ConnectionError
        return calls

    assert 2 == await retry_call(
        fails_once, retry, worth_it=lambda error: isinstance(error, ConnectionError), sleep=sleeps
    )
    assert [True, True] == [answer.closed for answer in answers]
    assert not any(segment.superseded for segment in job.active)


@pytest.mark.parametrize(
    ("min_rate", "reconnects"),
    [
        pytest.param(None, False, id="no such limit"),
        pytest.param(100_000, False, id="the store is faster"),
        pytest.param(50_000_000, True, id="the store is slower"),
    ],
)
async def test_line_below_the_least_rate_is_given_up_for_a_new_one(
    serve: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    min_rate: int | None,
    *,
    reconnects: bool,
) -> None:
    scene = level2_scenes(1, size=600_000)[0]
    site = await serve([scene], rate=1_000_000)

    with caplog.at_level(logging.WARNING, "collgs_async"):
        report = await site.pull(min_rate=min_rate, retries=0, workers=1)

    assert (1, 0) == (report.downloaded, report.failed)
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert reconnects is (len(site.archive_hits()) > 1)
    assert reconnects is (re.search(r"only [0-9.]+ [kM]?B/s over \d+ s", caplog.text) is not None)


async def test_slow_line_goes_on_at_the_offset(serve: Callable[..., Any]) -> None:
    """What is paid for a new connection is what was on its way, and no more."""
    scene = replace(level2_scenes(1)[0], size=600_000, deflated=False)
    site = await serve([scene], rate=1_000_000)

    report = await site.pull(min_rate=50_000_000, retries=0, workers=1)

    assert scene.size == report.bytes
    assert 2 <= len(site.archive_hits()) <= 4


async def test_rate_is_measured_in_each_window_anew(serve: Callable[..., Any]) -> None:
    """A fast beginning does not excuse a line that trickles later: the store's own fault takes two seconds."""
    scene = level2_scenes(1, size=600_000)[0]
    site = await serve([scene], faults={scene.identifier: FAULTS["slow"]})

    report = await site.pull(min_rate=20_000, retries=0, workers=1)

    given_up, _ = site.archive_hits()
    assert 1 == report.downloaded
    assert given_up.sent < 2 * KIB


def test_min_rate_is_off_by_default() -> None:
    assert DownloadOptions().min_rate is None
