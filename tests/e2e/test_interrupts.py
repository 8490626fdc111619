"""Runs that are stopped: by Ctrl-C, by SIGTERM, by SIGKILL, by a full disk, by a folder that goes away."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import signal
import struct
import sys
import termios
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.transfer.range_request import OVERLAP
from tests.conftest import HANGS, Ended, first_byte, level2_scenes
from tests.support.commands import (
    COLLECTION,
    MIB,
    assert_clean_exit,
    assert_stopped_by,
    at_url,
    files_below,
    may_mount,
    on_linux,
    originals,
    ran,
    stored_scenes,
    until,
    write_huge_archive,
    wrong_finals,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command

WORKERS = 2
MOMENTS = 10


def here(folder: Path) -> tuple[int, int]:
    """How many archives have their names, and how many bytes there are of them and of parts."""
    sizes = {path: path.stat().st_size for pattern in ("*.zip", "*.zip.part") for path in folder.glob(pattern)}
    return sum(path.suffix == ".zip" for path in sizes), sum(sizes.values())


def strange_litter(site: Any) -> list[str]:
    return [name for name in site.litter() if not name.endswith((".zip.part", ".zip.part.json", ".zip.part.lease"))]


async def stopped_when(happened: Callable[[], bool], number: signal.Signals, command: Command, site: Any) -> Ended:
    words = (*at_url(site), "--workers", WORKERS, "--report", "report.json")
    asked = len(site.server.requests)
    process = await command.start(*words)
    # What an interpreter does that is interrupted before it has begun is its own affair.
    await until(lambda: len(site.server.requests) > asked and happened(), process)
    process.send_signal(number)
    async with asyncio.timeout(HANGS):
        return assert_clean_exit(await command.end(process))


def check_report(command: Command, number: signal.Signals, new: int, grown: int, moved: int) -> None:
    """A report is there, whole, and counts what is there; after SIGKILL there is none, and nothing else.

    `new` is the number of archives that have got their names, `grown` the bytes by which the folder grew, `moved` those
    that the server has sent, some of which no one may have received.
    """
    if number == signal.SIGKILL:
        assert [] == files_below(command.folder)
        return
    assert ["report.json"] == files_below(command.folder)
    path = command.folder / "report.json"
    report = json.loads(path.read_bytes())
    path.unlink()
    assert report["summary"]["found"] == len(report["products"])
    assert {"downloaded", "skipped"}.issuperset(product["status"] for product in report["products"])
    assert new == report["summary"]["downloaded"]
    assert grown <= report["summary"]["bytes"] <= moved


STOPS = ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9))


@pytest.mark.parametrize("first", [0, 2])
async def test_a_run_that_is_stopped_ten_times_goes_on_each_time(
    serve: Callable[..., Any], command: Command, first: int
) -> None:
    """Stop it by each signal in turn: first before any archive byte, then whenever one more archive might be whole."""
    site = await serve(stored_scenes(12, 4_000_000), rate=15e6)
    right = originals(site)
    step = 4_000_000
    again: list[str] = []

    def has_moved(goal: int) -> bool:
        moved: int = site.moved()
        return moved >= goal

    for moment in range(MOMENTS):
        number, code = STOPS[(first + moment) % len(STOPS)]
        (before, size), moved = here(site.folder), site.moved()
        held, since = site.held(), len(site.server.requests)
        ended = await stopped_when(partial(has_moved, step * moment), number, command, site)
        again += site.asked_again(held, since)
        assert code == ended.code
        assert [] == wrong_finals(site.folder, right)
        assert [] == strange_litter(site)
        now, grown = here(site.folder)
        check_report(command, number, now - before, grown - size, site.moved() - moved)

    held, since = site.held(), len(site.server.requests)
    ended = assert_clean_exit(await command(*at_url(site)))
    again += site.asked_again(held, since)

    assert 0 == ended.code
    assert set(right) == {path.name for path in site.folder.glob("*.zip")}
    assert [] == wrong_finals(site.folder, right)
    assert [] == site.litter()
    assert [] == again


@pytest.mark.parametrize(("number", "again"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
async def test_a_stop_is_told_and_summed_up(
    serve: Callable[..., Any], command: Command, number: signal.Signals, *, again: bool
) -> None:
    site = await serve(stored_scenes(8, 1_000_000), rate=2e6)

    ended = await stopped_when(lambda: site.moved() > 2_500_000, number, command, site)

    assert "stopping" in ended.err
    assert again is ("press Ctrl-C again to leave at once" in ended.err)
    assert "Interrupted" in ended.err
    assert "Run the same command again" in ended.err


INTERRUPTED_WHILE_LOADING = """
import os, runpy, signal, sys

class Interrupter:
    loading = sys.argv.pop(1)

    def find_spec(self, name, path, target=None):
        if name == self.loading:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
runpy.run_module("collgs_async", run_name="__main__", alter_sys=True)
"""
"""Runs the command, and presses Ctrl-C at the very moment at which it loads a module."""


@pytest.mark.parametrize("loading", ["collgs_async.models.query", "collgs_async.config", "aiohttp.client"])
async def test_ctrl_c_while_the_program_still_loads_is_quiet(
    serve: Callable[..., Any], command: Command, loading: str
) -> None:
    site = await serve(level2_scenes(1))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTED_WHILE_LOADING, loading, *map(str, at_url(site))),
        cwd=command.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    ended = assert_clean_exit(await command.end(process))

    assert 130 == ended.code
    assert [] == site.archive_hits()


@on_linux
async def test_a_second_ctrl_c_ends_a_command_that_is_stuck(serve: Callable[..., Any], command: Command) -> None:
    """The listing is not read, so that writing it never ends."""
    site = await serve(level2_scenes(1_000, size=700), page_maximum=1_000)
    ours, its = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collgs_async", "search", "--base-url", site.server.url, *COLLECTION),
        cwd=command.folder,
        stdout=its,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(its)
    try:
        full = fcntl.fcntl(ours, fcntl.F_GETPIPE_SZ) - 4096
        await until(lambda: waiting_bytes(ours) > full, process)
        await until_stuck(process)
        async with asyncio.timeout(HANGS):
            while process.returncode is None:  # two signals that are pending at once are one
                process.send_signal(signal.SIGINT)
                await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.2)
        assert 130 == process.returncode
    finally:
        os.close(ours)
        await process.communicate()


async def until_stuck(process: asyncio.subprocess.Process) -> None:
    """Wait until a process has done nothing for a second."""
    before = -1.0
    while before != (now := processor_seconds(process.pid)):
        before = now
        await asyncio.sleep(1)


def waiting_bytes(descriptor: int) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0]
    return count


# ------------------------------------------------------------------------------------------------- verification


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_while_a_folder_is_verified_ends_soon(
    tmp_path: Path, command: Command, number: signal.Signals
) -> None:
    write_huge_archive(tmp_path / "archives" / "huge.zip")
    process = await command.start("verify", tmp_path / "archives")
    ended = await stopped_at_work(process, number, command)

    assert 128 + number == ended.code


@on_linux
async def test_ctrl_c_while_an_archive_of_the_run_is_verified_ends_soon_and_keeps_its_bytes(
    serve: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    scene = level2_scenes(1)[0]
    site = await serve([scene])
    await site.pull()
    site.archive(scene).unlink()
    (served,) = (tmp_path / "store0").glob("*.zip")
    write_huge_archive(served)
    process = await command.start(*at_url(site), "--report", "report.json")
    part = site.archive(scene).with_suffix(".zip.part")
    await until(lambda: part.exists() and part.stat().st_size == served.stat().st_size, process)
    ended = await stopped_at_work(process, signal.SIGINT, command)

    assert 130 == ended.code
    assert served.read_bytes() == site.archive(scene).with_suffix(".zip.part").read_bytes()
    assert not site.archive(scene).exists()
    assert [] == json.loads((command.folder / "report.json").read_bytes())["products"]


async def stopped_at_work(process: asyncio.subprocess.Process, number: signal.Signals, command: Command) -> Ended:
    """Stop a process that would work for many seconds more; in processor time it ends soon, whatever else runs here."""
    before, begun = seconds_of_ended_processes(), processor_seconds(process.pid)
    await until(lambda: processor_seconds(process.pid) > begun + 1, process)
    process.send_signal(number)
    at_the_stop = processor_seconds(process.pid)
    async with asyncio.timeout(HANGS):
        ended = assert_clean_exit(await command.end(process))
    assert seconds_of_ended_processes() - before < at_the_stop + 1
    return ended


def seconds_of_ended_processes() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used; loading it takes a third of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------- the folder's troubles

FULL_DISK = """
mount -t tmpfs -o size=8m tmpfs "$OUT" || exit 77
"$@" 2> first.err; echo $? > first.code
cp report.json first.json
cp -R "$OUT" first
mount -o remount,size=64m "$OUT"
"$@" 2> second.err; echo $? > second.code
cp -R "$OUT" second
"""
"""Runs a command twice in a folder that is a disk of its own: full in the middle, then enlarged."""


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
async def test_a_full_disk_stops_the_run_and_after_making_room_the_next_one_goes_on(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(6, 3_000_000), rate=20e6)
    right = originals(site)
    site.folder.mkdir()
    words = (*at_url(site), "--workers", WORKERS, "--report", "report.json")
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", FULL_DISK, "sh"),
        *(sys.executable, "-m", "collgs_async", *map(str, words)),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    await shell.wait()

    first, second = ran(command.folder, "first"), ran(command.folder, "second")
    assert (1, 0) == (first.code, second.code)
    assert [] == wrong_finals(command.folder / "first", right)
    assert 0 < len(list((command.folder / "first").glob("*.zip"))) < len(right)
    summary = json.loads((command.folder / "first.json").read_bytes())["summary"]
    assert len(list((command.folder / "first").glob("*.zip"))) == summary["downloaded"]
    assert f"{summary['downloaded']} downloaded" in first.err
    assert here(command.folder / "first")[1] <= summary["bytes"]
    assert sorted(right) == files_below(command.folder / "second")
    assert [] == wrong_finals(command.folder / "second", right)
    held = {path.name.removesuffix(".part"): path.stat().st_size for path in (command.folder / "first").glob("*.part")}
    resumed = {Path(hit.path).name: first_byte(hit) for hit in site.archive_hits()}
    assert all(resumed[name] >= size - OVERLAP for name, size in held.items())
    assert len(site.archive_hits()) <= 2 * len(right) + WORKERS  # once in each run: no try of it was repeated
    assert_stopped_by(first, "are still to come" if "are still to come" in first.err else "No space left on device")


SMALL_FILES_ONLY = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command that may write no file of more than 3 MB."""


@pytest.mark.parametrize("segments", [1, 4])
async def test_a_limit_of_file_size_fails_what_is_larger_and_nothing_else(
    serve: Callable[..., Any], command: Command, segments: int
) -> None:
    """As on FAT, which takes no file of 4 GiB; without the limit the next run goes on."""
    large, small = stored_scenes(4, 6_000_000)[:2], stored_scenes(4, 200_000)[2:]
    site = await serve([*large, *small], rate=20e6)
    right = originals(site)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SMALL_FILES_ONLY),
        *(sys.executable, "-m", "collgs_async", *map(str, at_url(site)), "--report", "report.json"),
        *("--segments", str(segments)),
        cwd=command.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    first = assert_clean_exit(await command.end(process))
    report = json.loads((command.folder / "report.json").read_bytes())
    after_first = files_below(site.folder)
    held = {path.name: path.read_bytes() for path in site.folder.glob("*.part")}
    second = assert_clean_exit(await command(*at_url(site)))

    assert (1, 0) == (first.code, second.code)
    assert (2, 2) == (report["summary"]["downloaded"], report["summary"]["failed"])
    assert {site.archive(scene).name for scene in small} <= set(after_first)
    assert all("File too large" in str(product["error"]) for product in report["products"] if product["error"])
    assert held
    assert all(right[name.removesuffix(".part")].startswith(data) for name, data in held.items())
    assert sorted(right) == files_below(site.folder)
    assert [] == wrong_finals(site.folder, right)
    # A block of each connection, and what was on its way, which on a busy machine is what fits into a socket.
    told = "\n".join(map(str, site.archive_hits()))
    # Each further connection of an archive may be sent its whole piece before the disk refuses the first byte of it.
    helpers = sum(hit.range is not None for hit in site.archive_hits()) if segments > 1 else 0
    assert site.moved() <= sum(map(len, right.values())) + (4 + helpers) * 3 * MIB, told


async def test_a_folder_that_goes_away_stops_the_run_and_the_next_one_starts_anew(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(8, 2_000_000), rate=8e6)
    right = originals(site)
    process = await command.start(*at_url(site), "--workers", WORKERS)
    await until(lambda: site.moved() > 6_000_000, process)
    away = site.folder.rename(site.folder.with_name("away"))

    first = assert_clean_exit(await command.end(process))
    wrong = wrong_finals(away, right) + (wrong_finals(site.folder, right) if site.folder.exists() else [])
    second = assert_clean_exit(await command(*at_url(site)))

    assert [] == wrong
    assert (1, 0) == (first.code, second.code)
    assert sorted(right) == files_below(site.folder)
    assert [] == wrong_finals(site.folder, right)
    assert_stopped_by(first, "No such file or directory")
