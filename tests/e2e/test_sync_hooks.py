"""``sync`` with hooks and metrics: each archive is told at least once, and the file for Prometheus tells the state."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import fault, level2_scenes
from tests.support.clocks import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command, CommandHere, Ended

NOTE = """
import json, os, sys
entry = {"words": sys.argv[3:], "given": json.load(sys.stdin), "sha256": os.environ.get("COLLGS_SHA256")}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(entry) + "\\n")
sys.exit(os.path.exists(sys.argv[2]))
"""


class Hooked:
    """A folder that is kept equal to a catalogue, with a command that notes what it is told."""

    def __init__(self, site: Any, run: CommandHere | Command) -> None:
        self.site, self.run = site, run
        self.noted, self.fails = run.folder / "noted", run.folder / "fails"
        self.hook = shlex.join([sys.executable, "-c", NOTE, str(self.noted), str(self.fails)])

    def words(self, *more: object) -> list[object]:
        site = self.site
        return ["sync", "--collection", "S2_MSIL2A", "--base-url", site.server.url, "--output", site.folder, *more]

    async def sync(self, *more: object) -> Ended:
        return await self.run(*self.words(*more))

    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.noted.read_text().splitlines()] if self.noted.exists() else []

    def told(self) -> list[str]:
        return sorted(note["given"]["id"] for note in self.notes())

    def due(self) -> int:
        connection = sqlite3.connect(self.site.folder / ".collgs" / "ledger.sqlite")
        try:
            return int(connection.execute("SELECT count(*) FROM file WHERE told = 0").fetchone()[0])
        finally:
            connection.close()


@pytest.fixture
async def hooked(serve: Callable[..., Any], run_cli: CommandHere) -> Hooked:
    return Hooked(await serve(level2_scenes(3)), run_cli)


async def test_each_archive_is_told_once(hooked: Hooked) -> None:
    first = await hooked.sync("--on-archive", hooked.hook)
    second = await hooked.sync("--on-archive", hooked.hook)

    assert (first.code, second.code) == (0, 0)
    assert hooked.told() == sorted(scene.identifier for scene in hooked.site.server.scenes)
    assert hooked.due() == 0


async def test_what_fails_is_told_again_by_the_next_run(hooked: Hooked) -> None:
    hooked.fails.touch()
    first = await hooked.sync("--on-archive", hooked.hook)
    due = hooked.due()
    hooked.fails.unlink()
    second = await hooked.sync("--on-archive", hooked.hook)
    third = await hooked.sync("--on-archive", hooked.hook)

    assert [first.code, second.code, third.code] == [0, 0, 0]
    assert (due, hooked.due()) == (3, 0)
    assert first.err.count("--on-archive: exit code 1; the next run repeats it") == 3
    names = [scene.identifier for scene in hooked.site.server.scenes]
    assert hooked.told() == sorted(names * 2)
    again = hooked.notes()[3:]
    assert {tuple(note["words"]) for note in again} == {(str(hooked.site.folder / f"{name}.zip"),) for name in names}
    assert {note["sha256"] for note in again} == {note["sha256"] for note in hooked.notes()[:3]}
    assert {note["given"]["status"] for note in again} == {"downloaded"}


async def test_what_came_without_a_hook_is_not_told_later(hooked: Hooked) -> None:
    await hooked.sync()
    await hooked.sync("--on-archive", hooked.hook)

    assert hooked.told() == []


HANG = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(10_000)
"""


async def test_a_kill_loses_no_call(serve: Callable[..., Any], command: Command, run_cli: CommandHere) -> None:
    """The commands hang while the run is killed."""
    hooked, pids = Hooked(await serve(level2_scenes(2)), run_cli), command.folder / "pids"
    hang = shlex.join([sys.executable, "-c", HANG, str(pids)])
    process = await command.start(*hooked.words("--on-archive", hang))
    ledger = hooked.site.folder / ".collgs" / "ledger.sqlite"
    await until(lambda: ledger.exists() and noted(ledger) == 2 and pids.exists() and len(pids.read_text().split()) == 2)
    process.kill()
    for pid in map(int, pids.read_text().split()):
        os.kill(pid, signal.SIGKILL)  # what a killed program has started goes on; and it holds its output open
    await command.end(process)

    ended = await hooked.sync("--on-archive", hooked.hook)

    assert ended.code == 0
    assert len(hooked.told()) == 2
    assert hooked.due() == 0


def noted(ledger: Path) -> int:
    try:
        connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
        return int(connection.execute("SELECT count(*) FROM file WHERE told = 0").fetchone()[0])
    except sqlite3.Error:
        return 0


async def test_the_end_is_told_with_the_summary(hooked: Hooked) -> None:
    await hooked.sync("--on-end", hooked.hook)

    (note,) = hooked.notes()
    assert {"command": "sync", "exit": 0, "watch": "S2_MSIL2A", "downloaded": 3}.items() <= note["given"].items()


def samples(path: Path) -> dict[str, float]:
    """Read a file of metrics; its grammar is tested elsewhere."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {re.sub(r'watch="[^"]*",?', "", name): float(value) for name, value in (line.split(" ") for line in lines)}


async def test_metrics_tell_the_state(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes, faults={scenes[3].identifier: fault("missing")})
    hooked, path = Hooked(site, run_cli), run_cli.folder / "collgs.prom"
    site.server.scenes[:] = scenes[:3]
    ended = await hooked.sync("--metrics", path)
    first = samples(path)
    site.server.scenes[:] = scenes
    failed = await hooked.sync("--metrics", path)
    second = samples(path)

    assert (ended.code, failed.code) == (0, 1)
    size = sum(file.stat().st_size for file in hooked.site.folder.glob("*.zip"))
    assert first["collgs_exit_code{}"] == 0
    assert first['collgs_products{state="held"}'] == 3
    assert first["collgs_held_bytes{}"] == first["collgs_run_bytes{}"] == size
    assert first["collgs_last_success_timestamp_seconds{}"] == first["collgs_last_end_timestamp_seconds{}"]
    assert first["collgs_oldest_check_timestamp_seconds{}"] > 1e9
    assert first["collgs_oldest_listing_timestamp_seconds{}"] > 1e9
    assert first["collgs_free_bytes{}"] > 0
    assert second["collgs_exit_code{}"] == 1
    assert second['collgs_products{state="held"}'] == 3
    assert second["collgs_last_success_timestamp_seconds{}"] == first["collgs_last_success_timestamp_seconds{}"]
    assert second["collgs_last_end_timestamp_seconds{}"] > first["collgs_last_end_timestamp_seconds{}"]


async def test_metrics_that_cannot_be_written_fail_nothing(hooked: Hooked) -> None:
    ended = await hooked.sync("--metrics", hooked.run.folder / "no" / "collgs.prom")

    assert ended.code == 0
    assert "warning: --metrics: cannot write" in ended.err
