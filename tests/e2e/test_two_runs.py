"""Two runs, one folder: what one of them fetches the other leaves alone, and neither waits for ever."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, Status
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.disk import Disk
from collgs_async.storage.lock import STALE_AFTER, LockOwner, ProductLock
from collgs_async.storage.part import PartFile
from tests.conftest import HANGS, level2_scenes
from tests.support.commands import (
    MIB,
    assert_clean_exit,
    at_url,
    originals,
    stored_scenes,
    until,
    write_huge_archive,
    wrong_finals,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command, Ended

PRODUCTS = 12
WORKERS = 2
KILLS = 2
LOST_TO_A_KILL = WORKERS * 2 * MIB
"""Bytes: a block of each connection, and what was on its way: more of it when the machine has halted for a moment."""


def words(site: Any, report: str = "report.json") -> tuple[object, ...]:
    return (*at_url(site), "--workers", WORKERS, "--report", report)


def outcomes(command: Command, report: str = "report.json") -> dict[str, str]:
    """What became of each product: its status, or the reason for which it was skipped."""
    products = json.loads((command.folder / report).read_bytes())["products"]
    return {product["id"]: product["reason"] or product["status"] for product in products}


def times_fetched(site: Any) -> Counter[str]:
    """How often each archive was begun from its first byte."""
    return Counter(Path(hit.path).name for hit in site.archive_hits() if hit.status == 200)


async def watch(site: Any, right: dict[str, bytes], processes: list[asyncio.subprocess.Process]) -> list[str]:
    """Look at the folder all the time that processes run; give what was wrong there at any moment."""
    wrong: list[str] = []
    while any(process.returncode is None for process in processes):
        wrong += wrong_finals(site.folder, right)
        await asyncio.sleep(0.02)
    return wrong


async def ended_soon(command: Command, process: asyncio.subprocess.Process) -> Ended:
    async with asyncio.timeout(HANGS):
        return assert_clean_exit(await command.end(process))


def assert_all_here(site: Any, right: dict[str, bytes]) -> None:
    assert set(right) == {path.name for path in site.folder.glob("*.zip")}
    assert [] == wrong_finals(site.folder, right)
    assert [] == site.litter()


async def test_two_runs_at_once_fetch_each_archive_once(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(stored_scenes(PRODUCTS, 1_500_000), rate=6e6)
    right = originals(site)
    # One connection an archive: a helper would also request each byte once, but what a socket holds back moves twice.
    first = await command.start(*words(site, "first.json"), "--segments", 1)
    await until(lambda: site.moved() > 100_000, first)
    first.send_signal(signal.SIGSTOP)  # however long the second one takes to begin
    begun = len(times_fetched(site))
    second = await command.start(*words(site, "second.json"), "--segments", 1)
    await until(lambda: len(times_fetched(site)) > begun, second)
    first.send_signal(signal.SIGCONT)

    ends = asyncio.gather(ended_soon(command, first), ended_soon(command, second))
    wrong = await watch(site, right, [first, second])

    ended = await ends
    assert [0, 0] == [one.code for one in ended]
    assert [] == wrong
    assert_all_here(site, right)
    told = [*map(str, site.archive_hits()), *(one.err for one in ended)]
    assert dict.fromkeys(right, 1) == dict(times_fetched(site)), "\n".join(told)
    assert sum(map(len, right.values())) == site.moved()
    one, other = outcomes(command, "first.json"), outcomes(command, "second.json")
    assert PRODUCTS == len(one) == len(other)
    assert all([one[name], other[name]].count("downloaded") == 1 for name in one)
    assert {"downloaded", "exists"} == {*one.values(), *other.values()}


async def killed_midway(command: Command, site: Any) -> None:
    """Kill a run when something of its two archives is here; what moved may still lie in a socket."""
    process = await command.start(*words(site), "--segments", 1)
    await until(lambda: len(held := site.held()) == 2 and min(held.values()) >= MIB, process)
    process.send_signal(signal.SIGKILL)
    await command.end(process)


async def test_the_next_run_takes_over_at_once_from_one_that_was_killed(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(2, 6_000_000), rate=1e6)  # none ends while its run stands still
    right = originals(site)
    await killed_midway(command, site)
    site.server._rate = None
    assert 2 == len(list(site.folder.glob("*.lease")))
    held = sum(path.stat().st_size for path in site.folder.glob("*.part"))
    assert held >= 2 * MIB
    site.server.forget()

    ended = assert_clean_exit(await command(*words(site), "--segments", 1))

    assert 0 == ended.code
    assert ["downloaded"] * 2 == list(outcomes(command).values())
    assert_all_here(site, right)
    assert site.moved() == sum(map(len, right.values())) - held


async def test_a_run_that_is_at_work_takes_over_from_one_that_is_killed(
    serve: Callable[..., Any], command: Command
) -> None:
    """The other run has the last product; it is killed while this one is at the first."""
    site = await serve(stored_scenes(4, 4_000_000), rate=8e6)
    right = originals(site)
    other = await command.start(*words(site, "other.json"), "--set", "startIndex=4")
    await until(lambda: site.moved() > 2 * MIB, other)
    other.send_signal(signal.SIGSTOP)
    (held,) = (path.name.removesuffix(".part.lease") for path in site.folder.glob("*.lease"))
    this = await command.start(*at_url(site), "--workers", 1, "--report", "report.json")
    await until(lambda: len(times_fetched(site)) > 1, this)
    other.kill()
    await command.end(other)

    ended = await ended_soon(command, this)

    assert 0 == ended.code
    assert ["downloaded"] * 4 == list(outcomes(command).values())
    assert_all_here(site, right)
    assert 1 == times_fetched(site)[held], "the rest was asked for, not the whole"


async def test_what_a_stopped_run_is_fetching_is_not_here(serve: Callable[..., Any], command: Command) -> None:
    """It keeps what it is fetching, however long it is stopped; the other one waits for a while, and says so."""
    site = await serve(stored_scenes(2, 4_000_000), rate=8e6)
    right = originals(site)
    first = await command.start(*words(site, "first.json"))
    await until(lambda: site.moved() > MIB and len(times_fetched(site)) == 2, first)
    first.send_signal(signal.SIGSTOP)
    try:
        second = assert_clean_exit(await command(*words(site, "second.json"), "--outage", "2"))
    finally:
        first.send_signal(signal.SIGCONT)
    ended = await ended_soon(command, first)
    third = assert_clean_exit(await command(*words(site, "third.json")))

    assert (1, 0, 0) == (second.code, ended.code, third.code)
    assert 2 == second.err.count("another run is fetching it")
    assert "2 not here yet, since another run is fetching them" in second.err
    assert "already here" not in second.err
    assert ["elsewhere"] * 2 == list(outcomes(command, "second.json").values())
    assert ["downloaded"] * 2 == list(outcomes(command, "first.json").values())
    assert ["exists"] * 2 == list(outcomes(command, "third.json").values())
    assert dict.fromkeys(right, 1) == dict(times_fetched(site))
    assert_all_here(site, right)


async def test_what_another_run_is_fetching_is_waited_for_after_all_else(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(5, 4_000_000), rate=8e6)
    right = originals(site)
    first = await command.start(*words(site, "first.json"), "--set", "startIndex=4")
    await until(lambda: site.moved() > MIB and len(times_fetched(site)) == 2, first)
    first.send_signal(signal.SIGSTOP)
    second = await command.start(*words(site, "second.json"))
    await until(lambda: len(list(site.folder.glob("*.zip"))) == 3, second)
    first.send_signal(signal.SIGCONT)

    ends = [await ended_soon(command, first), await ended_soon(command, second)]

    assert [0, 0] == [ended.code for ended in ends]
    assert Counter({"downloaded": 3, "exists": 2}) == Counter(outcomes(command, "second.json").values())
    assert dict.fromkeys(right, 1) == dict(times_fetched(site))
    assert_all_here(site, right)


async def test_a_wait_for_another_run_ends_at_once_when_it_is_interrupted(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(1, 10_000))
    (scene,) = site.server.scenes
    lock = ProductLock(site.archive(scene).with_name(f"{site.archive(scene).name}.part"))
    assert lock.acquire()
    run = await command.start(*words(site))
    await until(lambda: len(site.server.requests) > 0, run)
    await asyncio.sleep(1)
    run.send_signal(signal.SIGINT)

    async with asyncio.timeout(HANGS):
        assert 130 == assert_clean_exit(await command.end(run)).code
    assert [] == site.archive_hits()
    assert lock.is_held()


@pytest.mark.parametrize("age", [0, 2 * STALE_AFTER], ids=["fresh", "stale"])
async def test_the_lock_of_a_killed_container_is_waited_for_until_it_is_stale(
    serve: Callable[..., Any], age: float
) -> None:
    """Its process cannot be seen from here, so that only its heartbeat tells; here waiting takes no time."""
    site = await serve(stored_scenes(2, 10_000))
    (scene, _) = site.server.scenes
    site.folder.mkdir()
    lock = site.archive(scene).with_name(f"{site.archive(scene).name}.part.lease")
    lock.write_bytes(replace(LockOwner.here(), host="a container").text())
    os.utime(lock, (time.time() - age,) * 2)

    report = await site.pull()

    if age:
        assert (2, 0, 0) == (report.downloaded, report.skipped, report.elsewhere)
        assert report.ok
    else:
        assert (1, 1, 1) == (report.downloaded, report.skipped, report.elsewhere)
        assert not report.ok
        assert sum(site.sleeps.seconds) >= 900 - 5
        assert lock.exists()


async def killed_after(nbytes: int, process: asyncio.subprocess.Process, site: Any) -> None:
    """Kill a run when so many bytes more have moved, unless it has nothing more to do."""
    goal = site.moved() + nbytes
    with suppress(AssertionError):
        await until(lambda: site.moved() >= goal, process)
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


async def test_a_run_beside_which_others_are_killed_ends_with_all(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(stored_scenes(8, 2_000_000), rate=3e6)
    right = originals(site)
    steady = await command.start(*words(site, "steady.json"))
    watching = asyncio.create_task(watch(site, right, [steady]))
    await until(lambda: site.moved() > 0, steady)
    for _ in range(KILLS):
        await killed_after(MIB, await command.start(*words(site)), site)
    ended = await ended_soon(command, steady)
    last = assert_clean_exit(await command(*words(site)))

    assert (0, 0) == (ended.code, last.code)
    assert [] == await watching
    assert_all_here(site, right)
    assert site.moved() <= sum(map(len, right.values())) + KILLS * LOST_TO_A_KILL


async def test_a_download_that_is_cancelled_while_it_takes_its_lock_leaves_none(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on the net may take its time; a task cancelled meanwhile acquires the lock only afterwards."""
    began, go_on = threading.Event(), threading.Event()
    take = ProductLock.acquire

    def take_slowly(lock: ProductLock) -> bool:
        began.set()
        go_on.wait(HANGS)
        return take(lock)

    monkeypatch.setattr(ProductLock, "acquire", take_slowly)
    site = await serve(stored_scenes(1, 10_000))
    async with site.client() as client:
        (product,) = [product async for product in client.catalogue.search()]
        download = asyncio.create_task(client.download(product))
        assert await asyncio.to_thread(began.wait, HANGS)
        download.cancel()
        threading.Timer(0.1, go_on.set).start()
        with suppress(asyncio.CancelledError):
            await download

    assert [] == site.litter()


async def test_a_run_that_is_cancelled_while_all_threads_verify_gives_its_locks_back_at_once(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a machine with one processor there is one such thread."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    scene = stored_scenes(1, 10_000)[0]
    site = await serve([scene])
    await site.pull()
    site.archive(scene).unlink()
    (served,) = (tmp_path / "store0").glob("*.zip")
    await asyncio.to_thread(write_huge_archive, served)
    checking = asyncio.Event()

    progress = SilentProgress()
    monkeypatch.setattr(progress, "checking", lambda _: checking.set())
    async with Client(site.config(), progress) as client:
        run = asyncio.create_task(client.download_all())
        await checking.wait()
        await asyncio.sleep(0.1)
        run.cancel()
        async with asyncio.timeout(HANGS):
            await asyncio.wait([run])

    assert run.cancelled()
    assert [f"{site.archive(scene).name}.part"] == [name for name in site.litter() if not name.endswith(".json")]


async def test_a_fetch_that_is_cancelled_twice_gives_its_lock_back(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time while its archive, which is not among the small ones, is verified; again while that is closed."""
    scene = level2_scenes(1, size=12_000_000)[0]
    site = await serve([scene])
    verify, close = Disk.check, PartFile.close

    async def cancelled_at_the_check(disk: Disk, *arguments: Any, **named: Any) -> Any:
        task.cancel()
        return await verify(disk, *arguments, **named)

    async def cancelled_at_the_close(part: PartFile) -> None:
        if task.cancelling():
            asyncio.get_running_loop().call_soon(task.cancel)
        await close(part)

    async with site.client() as client:
        (product,) = [product async for product in client.catalogue.search()]
        with monkeypatch.context() as patched:
            patched.setattr(Disk, "check", cancelled_at_the_check)
            patched.setattr(PartFile, "close", cancelled_at_the_close)
            task = asyncio.create_task(client.download(product))
            with pytest.raises(asyncio.CancelledError):
                await task
        outcome = await client.download(product)

    assert (Status.DOWNLOADED, None) == (outcome.status, outcome.reason)
