"""A cluster that others have started: no password reaches its scheduler, and other releases are refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.login import SignIn
from tests.conftest import HANGS, level2_scenes
from tests.support.commands import assert_clean_exit, at_url, on_linux, originals, stored_scenes, until, wrong_finals

Client = pytest.importorskip("distributed").Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.conftest import Command

PASSWORD = "correct-horse-9f3b1c"  # of the sign-in, and of nothing else in memory
LOGIN = {"COLLGS_USERNAME": "demo", "COLLGS_PASSWORD": PASSWORD}
QUIET = {"PYTHONWARNINGS": "default"}


class Nodes:
    """A scheduler and workers in processes of their own, as an administrator starts them.

    Attributes
    ----------
    address
        That of the scheduler.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], preload: str) -> None:
        self.address = ""
        self.workers: list[asyncio.subprocess.Process] = []
        self.scheduler: asyncio.subprocess.Process | None = None
        self._folder = folder
        self._environ = environ
        self._preload = preload

    async def _start(self, name: str, module: str, *words: str, **more: str) -> asyncio.subprocess.Process:
        clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        file = str(self._folder / "scheduler.json")
        with (self._folder / f"{name}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", file, *words),
                cwd=self._folder,
                env={**clean, **more},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def open(self) -> None:
        await asyncio.to_thread(self._folder.mkdir)
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.scheduler = await self._start("scheduler", "dask_scheduler", *words)
        file = self._folder / "scheduler.json"
        await until(lambda: file.exists() and bool(file.read_text().strip()), self.scheduler)
        self.address = json.loads(file.read_text())["address"]

    async def join(self, preload: str = "") -> None:
        """Start a worker, and wait until it has joined."""
        assert self.scheduler is not None
        words = ["--host", "127.0.0.1", "--nthreads", "3", "--no-nanny", "--no-dashboard"]
        preload = preload or self._preload
        words += ["--preload", preload] if preload else []
        count = len(self.workers)
        self.workers.append(await self._start(f"worker{count}", "dask_worker", *words, **self._environ))
        log = self._folder / "scheduler.log"
        await until(lambda: log.read_text().count("Register worker") > count, self.scheduler)

    async def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def cluster(
    folder: Path, *, workers: int = 2, environ: Mapping[str, str] | None = None, preload: str = ""
) -> AsyncIterator[Nodes]:
    nodes = Nodes(folder, environ or {}, preload)
    try:
        await nodes.open()
        for _ in range(workers):
            await nodes.join()
        yield nodes
    finally:
        await nodes.close()


def memory_holds(process: asyncio.subprocess.Process | None, word: bytes) -> bool:
    """Whether the memory of another process has these bytes."""
    assert process is not None
    pid = process.pid
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            first, last = (int(number, 16) for number in span.split("-"))
            memory.seek(first)
            if word in memory.read(last - first):
                return True
    return False


@on_linux
async def test_no_password_leaves_the_process_that_has_it(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(8), sign_in=SignIn("demo", PASSWORD))
    async with cluster(tmp_path / "cluster", environ=LOGIN) as nodes:
        words = (*at_url(site), "--engine", f"dask={nodes.address}", "--report", "report.json", "-v")

        ended = assert_clean_exit(await command(*words, **LOGIN, **QUIET))

        assert 0 == ended.code, ended.err
        assert "processes of the cluster at tcp://" in ended.err
        assert memory_holds(nodes.scheduler, b"S2_MSIL2A")
        assert not memory_holds(nodes.scheduler, PASSWORD.encode())
    told = [path.read_text() for path in (tmp_path / "cluster").glob("*.log")]
    report = (command.folder / "report.json").read_text()
    assert [] == [text for text in (*told, report, ended.err, ended.out) if PASSWORD in text]
    assert 2 == sum(hit.method == "POST" for hit in site.server.requests)
    assert 8 == json.loads(report)["summary"]["downloaded"]
    assert 8 == len(list(site.folder.glob("*.zip")))


async def test_a_worker_that_leaves_gives_its_products_back_and_one_that_joins_gets_some(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(stored_scenes(10, 6_000_000), rate=3e6)
    right = originals(site)
    async with cluster(tmp_path / "cluster", workers=1) as nodes:
        words = (*at_url(site), "--engine", f"dask={nodes.address}", "--report", "report.json")
        process = await command.start(*words, **QUIET)
        await until(lambda: site.moved() > 4_000_000, process)
        held, since = site.held(), len(site.server.requests)

        nodes.workers[0].terminate()
        await nodes.workers[0].wait()
        assert [] == [name for name in site.litter() if name.endswith(".lease")]
        await nodes.join()
        ended = assert_clean_exit(await command.end(process))

    assert 0 == ended.code, ended.err
    assert set(right) == {path.name for path in site.folder.glob("*.zip")}
    assert [] == wrong_finals(site.folder, right)
    assert [] == site.asked_again(held, since)
    assert 10 == json.loads((command.folder / "report.json").read_text())["summary"]["downloaded"]


async def test_a_lost_scheduler_ends_the_run_and_the_next_one_goes_on(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(stored_scenes(4, 6_000_000), rate=1e6)
    async with cluster(tmp_path / "cluster", workers=1) as nodes:
        process = await command.start(*at_url(site), "--engine", f"dask={nodes.address}", **QUIET)
        await until(lambda: site.moved() > 4_000_000, process)

        assert nodes.scheduler is not None
        nodes.scheduler.kill()
        ended = assert_clean_exit(await command.end(process))

        assert 1 == ended.code
        assert "the Dask cluster is lost, with what it was fetching" in ended.err
        await nodes.workers[0].wait()
    held, since = site.held(), len(site.server.requests)
    again = assert_clean_exit(await command(*at_url(site)))
    assert 0 == again.code, again.err
    assert [] == site.asked_again(held, since)


WITHOUT_PACKAGE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "collgs_async":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [name for name in sys.modules if name.partition(".")[0] == "collgs_async"]:
    del sys.modules[name]
sys.meta_path.insert(0, Missing())
"""


async def test_a_worker_that_joins_without_the_package_is_named_and_harms_nobody(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(stored_scenes(10, 2_000_000), rate=1e6)
    right = originals(site)
    async with cluster(tmp_path / "cluster", workers=1) as nodes:
        words = (*at_url(site), "--engine", f"dask={nodes.address}", "--report", "report.json")
        process = await command.start(*words, **QUIET)
        await until(lambda: site.moved() > 1_000_000, process)

        await nodes.join(WITHOUT_PACKAGE)
        ended = assert_clean_exit(await command.end(process))

        assert 0 == ended.code, ended.err
        [line] = [line for line in ended.err.splitlines() if "gets no products" in line]
        assert "expected collgs-async 0.1.0, as here, found none or an older one" in line
        async with Client(nodes.address, asynchronous=True, set_as_default=False) as client:
            assert 2 == len(await client.nthreads())
            assert {4} == set((await client.run(sum, [2, 2])).values())
    assert set(right) == {path.name for path in site.folder.glob("*.zip")}
    assert [] == wrong_finals(site.folder, right)
    assert 10 == json.loads((command.folder / "report.json").read_text())["summary"]["downloaded"]


IMPATIENT = """
from dataclasses import replace
from collgs_async.engine.process import ProcessEngine

def begin(self, order, init=ProcessEngine.__init__):
    init(self, replace(order, silence=4.0))

ProcessEngine.__init__ = begin
"""


def left_in_worker(dask_worker: Any) -> list[str]:
    """What of this package a worker has: engines by their threads, and plugins."""
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("collgs")]
    return threads + [name for name in dask_worker.plugins if "collgs" in name]


def left_in_scheduler(dask_scheduler: Any) -> list[str]:
    """The plugins that a scheduler has of this package."""
    names = [*dask_scheduler.plugins, *dask_scheduler.worker_plugins, *dask_scheduler.nanny_plugins]
    return [name for name in names if "collgs" in name]


async def test_a_killed_leader_leaves_nothing_in_the_cluster(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(stored_scenes(4, 6_000_000), rate=1e6)
    async with (
        cluster(tmp_path / "cluster", preload=IMPATIENT) as nodes,
        Client(nodes.address, asynchronous=True, set_as_default=False) as client,
    ):
        process = await command.start(*at_url(site), "--engine", f"dask={nodes.address}", **QUIET)
        await until(lambda: site.moved() > 1_000_000, process)
        assert all((await client.run(left_in_worker)).values())
        assert [] == await client.run_on_scheduler(left_in_scheduler)

        process.kill()
        await process.wait()
        async with asyncio.timeout(HANGS):
            while any((await client.run(left_in_worker)).values()):  # noqa: ASYNC110 - in other processes
                await asyncio.sleep(0.1)

        assert [] == [name for name in site.litter() if name.endswith(".lease")]
        assert [] == await client.run_on_scheduler(left_in_scheduler)
        assert 2 == len(await client.nthreads())


POISON = """
import os
from collgs_async.engine.process import ProcessEngine

def die_of_one(self, product, wish, fetch=ProcessEngine.fetch):
    return os._exit(9) if product["identifier"] == "{}" else fetch(self, product, wish)

ProcessEngine.fetch = die_of_one
"""


async def test_a_product_that_kills_its_process_fails_and_the_run_goes_on(
    serve: Callable[..., Any], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One death is enough here, also for what waits in the same process; then the others are to come."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    scenes = level2_scenes(12)
    site = await serve(scenes)
    preload = tmp_path / "poison.py"
    await asyncio.to_thread(preload.write_text, POISON.format(scenes[5].identifier))
    async with cluster(tmp_path / "cluster", preload=str(preload)) as nodes:
        words = (*at_url(site), "--engine", f"dask={nodes.address}", "--workers", 2, "--report", "report.json")

        ended = assert_clean_exit(await command(*words, **QUIET))

    assert 1 == ended.code, ended.err
    products = json.loads((command.folder / "report.json").read_text())["products"]
    assert 12 == len(products)
    failed = {product["id"]: product["error"] for product in products if product["status"] == "failed"}
    assert scenes[5].identifier in failed
    assert all("has died" in str(error) for error in failed.values())
    assert len(failed) <= 4  # as many are handed out at once
    assert 12 - len(failed) == len(list(site.folder.glob("*.zip")))


async def test_a_stop_does_not_wait_for_workers_that_never_came(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(2))
    async with cluster(tmp_path / "cluster", workers=0) as nodes:
        process = await command.start(*at_url(site), "--engine", f"dask={nodes.address}", "--log-json", **QUIET)
        await until(lambda: len(site.server.requests) > 0, process)

        process.send_signal(signal.SIGINT)
        ended = assert_clean_exit(await command.end(process))

    assert 130 == ended.code, ended.err
    assert "could be told to stop" not in ended.err
    assert [] == site.litter()


async def test_a_process_without_credentials_ends_the_run_and_is_named(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(2), sign_in=SignIn("demo", PASSWORD))
    async with cluster(tmp_path / "cluster", workers=1) as nodes:
        ended = await command(*at_url(site), "--engine", f"dask={nodes.address}", HOME=str(tmp_path), **LOGIN, **QUIET)

    assert_clean_exit(ended)
    assert 1 == ended.code
    assert "COLLGS_USERNAME" in ended.err
    assert [] == list(site.folder.glob("*.zip"))


async def test_another_release_is_refused_and_both_are_named(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(2))
    async with cluster(
        tmp_path / "cluster", workers=1, preload="import collgs_async; collgs_async.__version__ = '0.0.9'"
    ) as nodes:
        ended = await command(*at_url(site), "--engine", f"dask={nodes.address}", **QUIET)

    assert_clean_exit(ended)
    assert 2 == ended.code
    [line] = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert line == "error: engine: worker 127.0.0.1: expected collgs-async 0.1.0, as here, found 0.0.9"
    assert [] == site.archive_hits()
    assert [] == list(site.folder.iterdir())


async def test_a_scheduler_that_does_not_answer_is_named(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(level2_scenes(1))

    ended = await command(
        *at_url(site), "--engine", "dask=tcp://127.0.0.1:9", DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="1s", **QUIET
    )

    assert_clean_exit(ended)
    assert 1 == ended.code
    assert "the Dask scheduler at tcp://127.0.0.1:9 does not answer" in ended.err
