"""Limits at which a run stops: bytes, time, a time of the day, room on the disk; and rates by the time of the day."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiohttp import web

from collgs_async import Client, LimitReachedError
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import HANGS, fault, is_archive
from tests.support.clocks import until
from tests.support.commands import MIB, stored_scenes
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from collgs_async import Report
    from tests.conftest import Site


@pytest.fixture
def tuning() -> TransferTuning:
    return TransferTuning(block_bytes=64 * 1024, small_bytes=64 * 1024)


async def assert_goes_on(site: Site, **options: Any) -> None:
    """Assert that a run without limits fetches what is left, and no byte that is here."""
    held, since = site.held(), len(site.server.requests)

    report = await site.pull(**options)

    assert report.ok
    assert report.limit is None
    assert [] == site.asked_again(held, since)
    assert all(is_archive(site.archive(scene)) for scene in site.server.scenes)
    assert [] == site.litter()


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_run_stops_after_so_many_bytes_and_the_next_one_goes_on(
    serve: Callable[..., Any], workers: int
) -> None:
    site = await serve(stored_scenes(6, 2_000_000), rate=20e6)
    most = 5_000_000

    report = await site.pull(workers=workers, max_bytes=most)

    assert not report.ok
    assert isinstance(report.limit, LimitReachedError)
    assert ("max_bytes", "max_bytes of 5.0 MB is reached") == (report.limit.setting, str(report.limit))
    assert report.stopped_by is report.limit
    assert most < report.bytes < most + workers * MIB
    assert 6 == report.found + (report.left or 0)
    assert report.left
    held = sum(path.stat().st_size for path in site.folder.iterdir() if path.suffix in {".part", ".zip"})
    assert held > most - workers * 64 * 1024
    await assert_goes_on(site, workers=workers)


async def test_a_run_that_needs_no_more_bytes_than_allowed_is_complete(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(2, 300_000))
    size = sum(len(site.original(scene)) for scene in site.server.scenes)

    report = await site.pull(max_bytes=size)

    assert report.ok
    assert (2, size) == (report.downloaded, report.bytes)


async def test_what_is_here_does_not_count(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(3, 300_000))
    await site.pull()

    report = await site.pull(max_bytes=1)

    assert report.ok
    assert 3 == report.skipped


async def test_each_run_of_a_client_has_its_own_budget(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(3, 2_000_000))
    async with site.client(max_bytes=2_500_000, workers=1) as client:
        reports = [await client.download_all() for _ in range(3)]

    assert [False, False, True] == [report.ok for report in reports]


class Parked:
    """A sleep of which each call waits until the test lets time pass."""

    def __init__(self) -> None:
        self.sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def __call__(self, seconds: float) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleeping.append((seconds, wake))
        await wake

    def pass_time(self) -> list[float]:
        """Let all sleeps end; return their seconds."""
        sleeping, self.sleeping = self.sleeping, []
        for _, wake in sleeping:
            if not wake.done():
                wake.set_result(None)
        return [seconds for seconds, _ in sleeping]


async def stopped_in_the_middle(site: Site, **options: Any) -> tuple[Any, float]:
    """Run until some bytes are here, then let the time pass; return the report and the seconds until the stop."""
    sleep, passed = Parked(), 0.0
    async with Client(site.config(workers=2, **options), sleep=sleep, tuning=site.tuning) as client:
        run = asyncio.create_task(client.download_all())
        await until(lambda: bool(site.held()) and sum(site.held().values()) > 300_000)
        async with asyncio.timeout(HANGS):
            while not run.done():
                passed += sum(sleep.pass_time())
                await asyncio.sleep(0)
        return await run, passed


async def test_a_run_stops_after_so_much_time_and_the_next_one_goes_on(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(3, 2_000_000), rate=4e5)

    report, seconds = await stopped_in_the_middle(site, max_time="2h")

    assert 7100 < seconds <= 7200
    assert "max_time of 2:00:00 is reached" == str(report.limit)
    assert not report.ok
    assert 0 < report.bytes < 3 * 2_000_000
    site.server.rate = None
    await assert_goes_on(site)


async def test_a_run_stops_at_a_time_of_the_day_past_midnight(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(3, 2_000_000), rate=4e5)
    clock = datetime.now() - timedelta(hours=1)  # so it is tomorrow

    report, seconds = await stopped_in_the_middle(site, until=f"{clock:%H:%M}")

    assert 21 * 3600 < seconds <= 24.1 * 3600
    assert f"until {clock:%H:%M} is reached" == str(report.limit)


async def test_a_limit_also_ends_a_search_that_hangs(serve: Callable[..., Any]) -> None:
    site = await serve([])
    async with site.client(max_time=60) as client:
        report = await client.download_all(never())

    assert "max_time" == report.limit.setting
    assert report.left is None


async def never() -> Any:
    await asyncio.Event().wait()
    yield


async def test_what_waits_for_a_tape_does_not_hold_a_limit_up(serve: Callable[..., Any]) -> None:
    scenes = stored_scenes(3, 2_000_000)
    site = await serve(scenes, faults={scenes[0].identifier: (fault("staged"),) * 1000}, rate=20e6)

    report = await site.pull(workers=1, max_bytes=1_000_000)

    assert "max_bytes" == report.limit.setting


async def test_a_cancellation_goes_before_a_limit(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(3, 2_000_000), rate=1e6)
    async with site.client(max_bytes=10**9) as client:
        run = asyncio.create_task(client.download_all())
        await until(lambda: bool(site.held()))
        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run

    assert client.report.limit is None


async def test_the_report_names_the_limit_and_what_is_left(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = await serve(stored_scenes(4, 500_000))
    async with site.client(workers=1, max_bytes="1200k") as client:
        report = await client.download_all(report=tmp_path / "report.json")

    written = json.loads((tmp_path / "report.json").read_bytes())
    expected = {"setting": "max_bytes", "message": "max_bytes of 1.2 MB is reached", "left": report.left}
    assert expected == written["summary"]["limit"]
    assert 4 - report.found == report.left  # what was still being verified counts as left
    assert "LimitReachedError" == written["search"]["error"]["kind"]


# ------------------------------------------------------------------------------------------------ room on the disk


DISK: Final = 100_000_000
"""Bytes of a disk that is empty but for the archives."""


def sizes_below(folder: Path) -> dict[str, int]:
    """Sizes of the files of a folder; read again if one was renamed meanwhile, which a listing may have twice."""
    while True:
        with suppress(FileNotFoundError):
            sizes = {path.name: path.stat().st_size for path in folder.glob("*")}
            if sizes.keys() == {path.name for path in folder.glob("*")}:
                return sizes


async def test_no_archive_begins_that_would_leave_too_little_room(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await serve(stored_scenes(6, 1_000_000), rate=20e6)
    size = len(site.original(site.server.scenes[0]))

    def usage(_: object) -> SimpleNamespace:
        return SimpleNamespace(total=DISK, free=DISK - sum(sizes_below(site.folder).values()))

    monkeypatch.setattr("collgs_async.storage.disk.shutil.disk_usage", usage)

    report = await site.pull(workers=4, keep_free=DISK - 7 * size // 2)

    assert "keep_free" == report.limit.setting
    assert (3, 0, 3) == (report.downloaded, report.failed, report.left)
    assert 3 * size <= report.bytes
    assert not report.ok
    monkeypatch.undo()
    await assert_goes_on(site)


class Stepwise:
    """A store that sends its first three archives in steps, and the fourth one once they have all begun.

    From then on, steps of each come while the room on the disk is measured, before or after the disk is looked at.
    """

    STEP: Final = 100_000
    KEPT_BACK: Final = 64 * 1024
    """Bytes of an archive that may have arrived and not be written yet."""

    def __init__(self, site: Site, *, late: bool) -> None:
        self._folder, self._late = site.folder, late
        self._bodies = {scene.identifier: site.original(scene) for scene in site.server.scenes}
        self.size = min(map(len, self._bodies.values()))
        self.asked: list[str] = []
        self._steps = 1
        self._is_measuring = False

    def free(self) -> int:
        return DISK - sum(sizes_below(self._folder).values())

    async def until_written(self, steps: int) -> None:
        """Wait until so many steps of the three archives are on the disk; the client knows of all but the last."""

        def are_written() -> bool:
            sizes, least = sizes_below(self._folder), min(self.size, steps * self.STEP) - self.KEPT_BACK
            return all(sizes.get(f"{name}.zip.part", sizes.get(f"{name}.zip", 0)) >= least for name in self.asked[:3])

        await until(are_written)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        name, number = request.path[1:], len(self.asked)
        body = self._bodies[name]
        self.asked.append(name)
        if number >= 3:
            await self.until_written(1)
            self._is_measuring = True
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        for step, first in enumerate(range(0, len(body), self.STEP)):
            await until(lambda step=step: number >= 3 or step < self._steps)  # type: ignore[misc]
            await response.write(body[first : first + self.STEP])
            if number == 3 and step == 0:
                await until(lambda: request.transport is None or f"{name}.zip.part" in sizes_below(self._folder))
                self._steps = len(body)
        return response

    async def free_space(self, _: int) -> tuple[int, int]:
        free = self.free()
        if self._is_measuring:
            for _ in range(3):
                self._steps += 1
                await self.until_written(self._steps)
        return (free if self._late else self.free()), DISK


@pytest.mark.parametrize(("late", "room", "fitting"), [(True, 3.75, 3), (False, 4.5, 4)])
async def test_bytes_that_land_while_the_room_is_measured_do_not_decide_whether_an_archive_begins(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, late: bool, room: float, fitting: int
) -> None:
    site = await serve(stored_scenes(6, 1_000_000))
    store = Stepwise(site, late=late)
    monkeypatch.setattr("collgs_async.storage.disk.Disk.free_space", store.free_space)
    async with (
        listening(store.answer) as origin,
        site.client(workers=4, segments=1, keep_free=DISK - int(room * store.size)) as client,
    ):
        products = [replace(one, url=f"{origin}/{one.identifier}") for one in await client.search().collect()]

        report = await client.download_all(products)

    assert "keep_free" == report.limit.setting
    assert sorted(store.asked[:fitting]) == sorted(path.stem for path in site.folder.glob("*.zip"))
    assert (fitting, 0, 6 - fitting) == (report.downloaded, report.failed, report.left)


async def test_a_single_product_that_would_leave_too_little_room_raises(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(1, 1_000_000))
    async with site.client(keep_free="99.999%") as client:
        [product] = await client.search().collect()

        with pytest.raises(
            LimitReachedError, match=r"^keep_free of 99\.999% is reached: .* the next one takes 1\.0 MB$"
        ):
            await client.download(product)

    assert {} == site.held()


# ------------------------------------------------------------------------------------------------ rates by the time


async def test_a_run_waits_during_a_pause_and_asks_for_no_archive(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(2, 300_000))
    soon = datetime.now() + timedelta(hours=2)
    table = f"{soon:%H:%M},off {soon + timedelta(hours=12):%H:%M},0"

    report = await site.pull(limit_rate=table)

    assert report.ok
    assert 7000 < sum(site.sleeps.seconds)


RECEIVING: Final = TransferTuning(min_receiver_bytes=1, max_buffered_bytes=64 * 1024, read_seconds=0.05)


@asynccontextmanager
async def pausing(site: Site) -> AsyncIterator[tuple[Parked, asyncio.Task[Report]]]:
    """Run until the receiver of the only archive has met a pause, which begins while it is at work."""
    sleep, soon, timing = Parked(), datetime.now() + timedelta(hours=2), []
    table = f"{soon:%H:%M},0 {soon + timedelta(hours=1):%H:%M},off"
    async with Client(site.config(limit_rate=table, workers=1), sleep=sleep, tuning=RECEIVING) as client:
        run = asyncio.create_task(client.download_all())
        await until(lambda: sum(site.held().values()) > 500_000)
        timing.append(asyncio.create_task(client._session.timing.sleep(2 * 3600 + 60)))
        await until(lambda: bool(sleep.sleeping))
        sleep.pass_time()
        await until(lambda: bool(sleep.sleeping))
        yield sleep, run


async def test_a_receiver_at_work_pauses_and_goes_on(serve: Callable[..., Any]) -> None:
    [scene] = stored_scenes(1, 8_000_000)
    site = await serve([scene], rate=4e6)

    async with pausing(site) as (sleep, run):
        held = site.held()
        for _ in range(30):
            await asyncio.sleep(0.01)
        assert held == site.held()
        assert not run.done()
        async with asyncio.timeout(HANGS):
            while not run.done():
                sleep.pass_time()
                await asyncio.sleep(0.01)

    assert (await run).ok
    assert site.original(scene) == site.archive(scene).read_bytes()


async def test_a_receiver_that_pauses_can_be_stopped(serve: Callable[..., Any]) -> None:
    site = await serve(stored_scenes(1, 8_000_000), rate=4e6)

    async with pausing(site) as (_, run):
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    assert site.held()
