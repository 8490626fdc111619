"""Runs in several processes by Dask: all is right and told exactly, whatever is killed, stopped or refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import HANGS, Ended, fault, is_archive, level2_scenes
from tests.support.at_store import at_store, right_objects, spooled
from tests.support.commands import assert_clean_exit, at_url, on_linux, originals, stored_scenes, until, wrong_finals

psutil = pytest.importorskip("psutil")
pytest.importorskip("distributed")
pytest.importorskip("cryptography")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command
    from tests.support.object_servers import Bucket

QUIET = {"PYTHONWARNINGS": "default"}
"""What Dask does in its own processes is its own affair."""


def workers_of(process: asyncio.subprocess.Process) -> list[Any]:
    """The worker processes of a command."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def assert_quiet(ended: Ended) -> None:
    assert_clean_exit(ended)
    assert "distributed" not in ended.err
    assert "Warning" not in ended.err


async def test_all_is_right_and_the_report_is_exact(serve: Callable[..., Any], command: Command) -> None:
    scenes = level2_scenes(12)
    site = await serve(scenes, faults={scenes[3].identifier: fault("missing")})
    words = (*at_url(site), "--engine", "dask=local:2", "--report", "report.json", "--stac", "--layout", "{year}")
    hook = ("--on-archive", f"{sys.executable} -c 'import sys; print(sys.argv[1])'")

    ended = await command(*words, *hook, **QUIET)

    assert_quiet(ended)
    assert 1 == ended.code, ended.err
    assert "Dask: 2 processes on this machine" in ended.err
    report = json.loads((command.folder / "report.json").read_text())
    summary = report["summary"]
    assert (11, 0, 1) == (summary["downloaded"], summary["skipped"], summary["failed"])
    assert site.moved() == summary["bytes"] == sum(product["bytes"] for product in report["products"])
    archives = sorted(site.folder.rglob("*.zip"))
    assert 11 == len(archives) == sum(map(is_archive, archives))
    assert sorted(map(str, archives)) == sorted(one["path"] for one in report["products"] if one["path"])
    assert 11 == len([*site.folder.rglob("S2*.json")])
    assert ["layout"] == [name for name in site.litter() if not name.endswith(".json")]


@on_linux
async def test_a_killed_process_costs_no_product_and_no_byte_twice(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(stored_scenes(10, 6_000_000), rate=3e6)
    right = originals(site)
    words = (*at_url(site), "--engine", "dask=local:2", "--workers", 4, "--report", "report.json")
    process = await command.start(*words, **QUIET)
    await until(lambda: len(site.held()) >= 4 and site.moved() > 9_000_000, process)

    workers = workers_of(process)
    assert 2 == len(workers)
    os.kill(workers[0].pid, signal.SIGSTOP)
    held, since = site.held(), len(site.server.requests)
    os.kill(workers[0].pid, signal.SIGKILL)
    async with asyncio.timeout(HANGS):
        ended = await command.end(process)

    assert_quiet(ended)
    assert 0 == ended.code, ended.err
    assert set(right) == {path.name for path in site.folder.glob("*.zip")}
    assert [] == wrong_finals(site.folder, right)
    assert [] == site.litter()
    assert [] == site.asked_again(held, since)
    assert 206 in {hit.status for hit in site.archive_hits()[1:]}
    summary = json.loads((command.folder / "report.json").read_text())["summary"]
    assert (10, 0, 0) == (summary["downloaded"], summary["skipped"], summary["failed"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_stop_leaves_parts_and_neither_locks_nor_processes(
    serve: Callable[..., Any], command: Command, number: signal.Signals, code: int
) -> None:
    site = await serve(stored_scenes(10, 6_000_000), rate=2e6)
    right = originals(site)
    words = (*at_url(site), "--engine", "dask=local:2", "--workers", 4, "--report", "report.json")
    process = await command.start(*words, **QUIET)
    await until(lambda: len(site.held()) >= 4 and site.moved() > 9_000_000, process)
    everyone = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(number)
    async with asyncio.timeout(HANGS):
        ended = await command.end(process)

    assert_quiet(ended)
    assert code == ended.code, ended.err
    assert "Interrupted" in ended.err
    assert [] == psutil.wait_procs(everyone, timeout=HANGS)[1]
    assert [] == wrong_finals(site.folder, right)
    here = len(list(site.folder.glob("*.zip")))
    summary = json.loads((command.folder / "report.json").read_text())["summary"]
    assert (here, here, 0) == (summary["found"], summary["downloaded"], summary["failed"])
    assert {".part", ".json"} == {name[name.rindex(".") :] for name in site.litter()}

    held, since = site.held(), len(site.server.requests)
    again = assert_clean_exit(await command(*at_url(site)))
    assert 0 == again.code, again.err
    assert [] == wrong_finals(site.folder, right)
    assert [] == site.asked_again(held, since)


@pytest.mark.parametrize("processes", [2, 4])
async def test_four_flows_are_shared_and_no_product_fails(
    serve: Callable[..., Any], command: Command, processes: int
) -> None:
    site = await serve(stored_scenes(400, 20_000), rate=200_000.0, most_flows=4)
    words = (*at_url(site), "--engine", f"dask=local:{processes}", "--workers", 8)

    ended = await command(*words, **QUIET)

    assert_quiet(ended)
    assert 0 == ended.code, ended.err
    assert 400 == len(list(site.folder.glob("*.zip")))
    statuses = Counter(hit.status for hit in site.archive_hits())
    assert 400 == statuses[200]
    assert statuses[429] <= 0.05 * statuses.total(), statuses
    assert not statuses[429] or "continuing with 4 connections" in ended.err


SCRIPT = """
from collgs_async import SyncClient

def main():
    with SyncClient(base_url={url!r}, collection="S2_MSIL2A", output_directory={folder!r}, progress=None) as client:
        outcomes = []
        report = client.download_all(engine="dask=local:2", on_outcome=outcomes.append)
        print(report.downloaded, len(outcomes), sum(outcome.path.exists() for outcome in outcomes))

"""


async def run_script(text: str, folder: Path) -> Ended:
    (folder / "script.py").write_text(text)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "script.py", cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def test_a_script_has_the_same_by_an_argument(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = await serve(level2_scenes(4))
    script = SCRIPT.format(url=site.server.url, folder=str(site.folder))

    ended = await run_script(f'{script}if __name__ == "__main__":\n    main()\n', tmp_path)

    assert (0, "4 4 4\n", "") == (ended.code, ended.out, ended.err)


async def test_a_script_without_the_guard_ends_and_says_what_is_missing(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    site = await serve(level2_scenes(1))
    script = SCRIPT.format(url=site.server.url, folder=str(site.folder))

    ended = await run_script(f"{script}main()\n", tmp_path)

    assert 1 == ended.code
    assert ended.err.splitlines()[-1].startswith("collgs_async.errors.EngineError: ")
    assert 'must stand below: if __name__ == "__main__":' in ended.err.splitlines()[-1]
    assert [] == site.archive_hits()


async def test_bands_are_fetched_and_a_mirror_is_kept_as_in_one_process(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(level2_scenes(5))
    words = (*at_url(site), "--bands", "B02", "--engine", "dask=local:2")

    ended = await command("sync", *words, **QUIET)

    assert_quiet(ended)
    assert 0 == ended.code, ended.err
    folders = sorted(site.folder.glob("*.parts"))
    assert 5 == len(folders) == sum((folder / "parts.json").exists() for folder in folders)
    assert {206} <= {hit.status for hit in site.archive_hits()}
    asked = len(site.archive_hits())
    again = await command("sync", *words, **QUIET)
    assert (0, asked) == (again.code, len(site.archive_hits())), again.err


async def test_a_limit_of_bytes_ends_all_processes(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(stored_scenes(10, 6_000_000), rate=2e6)
    words = (*at_url(site), "--engine", "dask=local:2", "--max-bytes", "5M", "--report", "report.json")

    ended = await command(*words, **QUIET)

    assert_quiet(ended)
    assert 3 == ended.code, ended.err
    assert "max_bytes of 5.0 MB is reached" in ended.err
    assert [] == [name for name in site.litter() if name.endswith(".lease")]
    assert 5_000_000 <= json.loads((command.folder / "report.json").read_text())["summary"]["bytes"] <= site.moved()


async def test_archives_get_into_an_object_store(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    site, spool = await serve(stored_scenes(6, 300_000)), tmp_path / "spool"
    words = (*at_store(site, bucket, spool), "--engine", "dask=local:2", "--report", "report.json")

    ended = await command(*words, **QUIET)

    assert_quiet(ended)
    assert 0 == ended.code, ended.err
    assert right_objects(site, bucket)
    assert [] == spooled(spool)
    report = json.loads((command.folder / "report.json").read_text())
    assert all(product["path"].startswith("s3://") for product in report["products"])
