"""A ledger whose writer is killed before any of its system calls: nothing half done, and nothing that was told lost."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from collgs_async import Config, LedgerError
from collgs_async.ledger.ledger import Ledger, check_pages
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.rebuild import rebuild
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event, State
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.ledger.spool import SpoolWriter
from collgs_async.ledger.taking_in import take_in_spool
from tests.support.archives import written
from tests.support.odd_archives import entries
from tests.support.servers import files_in
from tests.support.sqlite_steps import has_steps, is_killed_at
from tests.support.trees import ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection

pytestmark = pytest.mark.skipif(not has_steps(), reason="the SQLite of this Python does not let its calls be replaced")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: what a killed process leaves does not depend on the disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


HELD = OutcomeRecord("X", Event.DOWNLOADED, 1000, path="x.zip", size=7, mtime=5, how="crc")
BATCH = 8


def paths_of(folder: Path) -> LedgerPaths:
    return LedgerPaths.of(Config(output_directory=folder))


def record_batch(tables: Connection, batch: int) -> None:
    for number in range(BATCH):
        record_outcome(tables, replace(HELD, identifier=f"{batch}-{number}"), run=1, now=10**9)


def counts(tables: Connection) -> tuple[int, int, int]:
    check_pages(tables)
    queries = ("product", "file", "attempt")
    products, files, attempts = (tables.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in queries)
    return products, files, attempts


async def read_counts(folder: Path) -> tuple[int, int, int] | str:
    """Return what a reader finds; what is not there, by its name."""
    try:
        async with Ledger.read(paths_of(folder)) as ledger:
            return await ledger.run(counts)
    except LedgerError as error:
        return str(error).partition("expected a ledger, found ")[2].partition(";")[0] or str(error)


async def test_a_ledger_whose_making_was_killed_is_made_by_the_next_run(memory: Path) -> None:
    async def make() -> None:
        async with Ledger.open(paths_of(memory)) as ledger:
            await ledger.run(record_batch, 0)

    kills = 0
    while is_killed_at(kills, make):
        found = await read_counts(memory)
        assert found in {(0, 0, 0), (BATCH, BATCH, BATCH), "nothing", "an empty file"}
        async with Ledger.open(paths_of(memory)) as ledger:
            assert await ledger.run(counts) in {(0, 0, 0), (BATCH, BATCH, BATCH)}
        assert {"ledger.sqlite", "spool"} <= {*files_in(memory / ".collgs")}
        shutil.rmtree(memory / ".collgs")
        kills += 1
    assert kills > 30


async def test_each_transaction_is_there_or_not_and_once_it_was_told_it_is_there(memory: Path) -> None:
    told = memory / "told"
    mirror = memory / "mirror"

    async def sync() -> None:
        async with Ledger.open(paths_of(mirror)) as ledger:
            run = await ledger.run(begin_run, "sync", now=1)
            for batch in range(2):
                await ledger.run(record_batch, batch)
                with told.open("a") as file:
                    file.write(".")
            await ledger.run(end_run, run, now=2, code=0)

    async with Ledger.open(paths_of(mirror)):
        pass
    original = memory / "original"
    shutil.copytree(mirror, original)
    kills, seen = 0, set()
    told.touch()
    while is_killed_at(kills, sync):
        has_journal = (mirror / ".collgs" / "ledger.sqlite-journal").exists()
        async with Ledger.read(paths_of(mirror)) as ledger:
            products, files, attempts = await ledger.run(counts)
        assert products == files == attempts
        batches = len(told.read_text())
        assert products in {batches * BATCH, (batches + 1) * BATCH}
        seen.add((has_journal, products))
        async with Ledger.open(paths_of(mirror)) as ledger:
            assert (products,) * 3 == await ledger.run(counts)
        shutil.rmtree(mirror)
        shutil.copytree(original, mirror)
        told.write_text("")
        kills += 1
    assert kills > 30
    assert {(True, 0), (True, BATCH), (False, 2 * BATCH)} <= seen


async def test_each_outcome_of_a_spool_is_taken_in_once(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collgs_async.ledger.taking_in._AT_ONCE", 20)
    paths = paths_of(memory / "mirror")
    async with Ledger.open(paths):
        pass
    for number in range(2):
        writer = SpoolWriter(paths.spool, "download")
        writer.append(b"".join(OutcomeRecord(f"{number}-{n}", Event.FAILED, 5).to_line() for n in range(30)))
        writer.close()
    original = memory / "original"
    shutil.copytree(paths.folder, original)

    async def take_in() -> None:
        async with Ledger.open(paths) as ledger:
            await take_in_spool(ledger)

    def tries(tables: Connection) -> list[tuple[int, int]]:
        return tables.execute("SELECT tries, count(*) FROM product GROUP BY tries").fetchall()

    kills, left = 0, set()
    while is_killed_at(kills, take_in):
        async with Ledger.open(paths) as ledger:
            left.add(await take_in_spool(ledger))
            assert [(1, 60)] == await ledger.run(tries)
            assert 2 == (await ledger.run(lambda tables: tables.execute("SELECT count(*) FROM run").fetchone()))[0]
        assert [] == files_in(paths.spool)
        shutil.rmtree(paths.folder)
        shutil.copytree(original, paths.folder)
        kills += 2
    assert {60, 41, 30, 11} <= left
    assert kills > 60


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_a_killed_rebuild_can_be_repeated(memory: Path, *, is_damaged: bool) -> None:
    mirror = memory / "mirror"
    mirror.mkdir()
    (mirror / f"{ID}.zip").write_bytes(written(entries()))
    async with Ledger.open(paths_of(mirror)) as ledger:
        await ledger.run(record_batch, 0)
    if is_damaged:
        database = paths_of(mirror).database
        database.write_bytes(b"\xff" * database.stat().st_size)
    original = memory / "original"
    shutil.copytree(mirror, original)

    async def work() -> None:
        await rebuild(paths_of(mirror))

    kills = 0
    while is_killed_at(kills, work):
        again = await rebuild(paths_of(mirror))
        assert 1 == again.archives
        async with Ledger.read(paths_of(mirror)) as ledger:
            rows = await ledger.run(lambda tables: tables.execute("SELECT identifier, state FROM product").fetchall())
        assert (ID, State.HELD) in rows
        assert is_damaged == (len(rows) == 1)
        shutil.rmtree(mirror)
        shutil.copytree(original, mirror)
        kills += 3
    assert kills > 30
