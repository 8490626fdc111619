"""Ledger and spool on a disk that is full, and in a folder that cannot be written: no archive is lost by that."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Config
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event
from tests.conftest import level2_scenes
from tests.support.commands import at_url, may_mount
from tests.support.sqlite_steps import has_steps, is_killed_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from sqlite3 import Connection

    from tests.conftest import Command

pytestmark = pytest.mark.skipif(not may_mount(), reason="mounting a disk of its own is not permitted here")

FULL = """
mount -t tmpfs -o size=200k tmpfs "$OUT/.collgs" && cp -R "$OUT/before/." "$OUT/.collgs" || exit 77
dd if=/dev/zero of="$OUT/.collgs/rest" 2> /dev/null
"$@" 2> first.err; echo $? > first.code
rm "$OUT/.collgs/rest" && mount -o remount,size=20m "$OUT/.collgs"
"$@" 2> second.err; echo $? > second.code
$LEDGER rebuild 2> third.err; echo $? > third.code
$LEDGER export > export.jsonl
"""
"""Runs a download with a ledger on a full disk, then with one that has room."""

READ_ONLY = """
mount --bind "$OUT/.collgs" "$OUT/.collgs" && mount -o remount,ro,bind "$OUT/.collgs" || exit 77
"$@" 2> first.err; echo $? > first.code
$STATUS > status.txt 2> second.err; echo $? > second.code
$LEDGER rebuild 2> third.err; echo $? > third.code
"""


def fill(tables: Connection) -> None:
    for number in range(50):
        held = OutcomeRecord(f"P{number}", Event.DOWNLOADED, 1, path=f"{number}.zip", size=7, mtime=5)
        record_outcome(tables, held, run=None, now=9)


async def shell(command: Command, script: str, folder: Path, words: list[str]) -> None:
    program = f"{sys.executable} -m collgs_async"
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", script, "sh", *program.split(), *words),
        cwd=command.folder,
        env={
            **os.environ,
            "OUT": str(folder),
            "LEDGER": f"{program} ledger -o {folder}",
            "STATUS": f"{program} status -o {folder}",
        },
    )
    code = await process.wait()
    if code == 77:
        pytest.skip("mounting a disk of its own is not permitted here")
    assert 0 == code


def code(command: Command, name: str) -> tuple[int, str]:
    return int((command.folder / f"{name}.code").read_text()), (command.folder / f"{name}.err").read_text()


async def test_a_full_disk_of_the_ledger_costs_no_archive(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(level2_scenes(3))
    async with Ledger.open(LedgerPaths.of(Config(output_directory=site.folder))) as ledger:
        await ledger.run(fill)
    shutil.copytree(site.folder / ".collgs", site.folder / "before")
    await shell(command, FULL, site.folder, [*map(str, at_url(site)), "--output", str(site.folder)])

    first, said = code(command, "first")
    assert 0 == first, said
    assert 1 == said.count("No space left on device; the archives are not affected")
    assert "3 outcomes could not be noted; archives that are here are found again" in said
    assert 3 == len(list(site.folder.glob("*.zip")))
    assert 0 == code(command, "second")[0]
    assert "not noted" not in code(command, "second")[1]
    assert "3 archives: " in code(command, "third")[1]
    exported = (command.folder / "export.jsonl").read_text()
    assert all(scene.identifier in exported for scene in site.server.scenes)


@pytest.mark.skipif(not has_steps(), reason="the SQLite of this Python does not let its calls be replaced")
async def test_what_a_killed_writer_left_in_a_folder_that_cannot_be_written_is_said(command: Command) -> None:
    folder = command.folder / "mirror"
    paths = LedgerPaths.of(Config(output_directory=folder))
    original, journal = command.folder / "original", paths.database.with_name("ledger.sqlite-journal")
    async with Ledger.open(paths) as ledger:
        await ledger.run(fill)
    shutil.copytree(folder, original)

    async def work() -> None:
        async with Ledger.open(paths) as ledger:
            await ledger.run(fill)

    kills = 0
    while is_killed_at(kills, work) and not (journal.exists() and journal.read_bytes()[:1].strip(b"\0")):
        shutil.rmtree(folder)
        shutil.copytree(original, folder)
        kills += 1
    assert journal.exists()
    await shell(command, READ_ONLY, folder, ["help"])
    second, said = code(command, "second")
    assert 1 == second
    assert "a run was killed while it wrote, and its traces cannot be removed: Read-only file system" in said
    assert 1 == said.count("\n")
    async with Ledger.read(paths) as ledger:
        assert (50,) == await ledger.run(lambda tables: tables.execute("SELECT count(*) FROM product").fetchone())


async def test_a_ledger_that_cannot_be_written_is_read(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(level2_scenes(3))
    async with Ledger.open(LedgerPaths.of(Config(output_directory=site.folder))) as ledger:
        await ledger.run(fill)
    await shell(command, READ_ONLY, site.folder, [*map(str, at_url(site)), "--output", str(site.folder)])

    first, said = code(command, "first")
    assert 0 == first, said
    assert 1 == said.count("Read-only file system; the archives are not affected")
    assert 3 == len(list(site.folder.glob("*.zip")))
    assert (0, "") == code(command, "second")
    assert "50 products" in (command.folder / "status.txt").read_text()
    third, said = code(command, "third")
    assert 1 == third
    assert said.startswith("error: ")
    assert "Read-only file system" in said
    assert 1 == said.count("\n")
