"""The SQLite file of a ledger: who may write it, and what is refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from collgs_async import AlreadyRunningError, Config, LedgerError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.runs import begin_run
from collgs_async.ledger.schema import APPLICATION_ID
from tests.conftest import HANGS
from tests.support.servers import files_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def add(connection: sqlite3.Connection, identifier: str, *, fails: bool = False) -> None:
    connection.execute("INSERT INTO product(identifier, state) VALUES (?, 1)", (identifier,))
    if fails:
        raise RuntimeError("after the change")


def add_twice(connection: sqlite3.Connection, identifier: str) -> None:
    add(connection, identifier)
    add(connection, identifier)


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT identifier FROM product ORDER BY id")]


def pragma(path: Path, name: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


async def test_what_is_written_is_read_by_the_next_one(paths: LedgerPaths) -> None:
    async with Ledger.open(paths) as ledger:
        await ledger.run(add, "A")
        async with Ledger.read(paths) as reader:
            assert ["A"] == await reader.run(names)
    async with Ledger.open(paths) as ledger:
        await ledger.run(add, "B")
        assert ["A", "B"] == await ledger.run(names)

    assert paths.folder / ".collgs/ledger.sqlite" == paths.database
    assert ["ledger.sqlite", "spool"] == files_in(paths.database.parent)
    assert (APPLICATION_ID, 1, "delete") == tuple(
        pragma(paths.database, name) for name in ("application_id", "user_version", "journal_mode")
    )


async def test_a_failed_function_changes_nothing(paths: LedgerPaths) -> None:
    async with Ledger.open(paths) as ledger:
        with pytest.raises(RuntimeError, match="after the change"):
            await ledger.run(add, "A", fails=True)
        with pytest.raises(LedgerError, match="UNIQUE"):
            await ledger.run(add_twice, "B")
        await ledger.run(add, "C")
        assert ["C"] == await ledger.run(names)


async def test_a_reader_changes_nothing(paths: LedgerPaths) -> None:
    async with Ledger.open(paths):
        pass
    async with Ledger.read(paths) as reader:
        with pytest.raises(LedgerError, match="cannot be opened or written"):
            await reader.run(add, "A")
        assert [] == await reader.run(names)


async def test_there_is_one_writer(paths: LedgerPaths) -> None:
    async with Ledger.open(paths) as ledger:
        with pytest.raises(AlreadyRunningError, match=rf"another run is at work here \(process {os.getpid()} on "):
            async with Ledger.open_briefly(paths):
                pass
        await ledger.run(add, "A")
    async with Ledger.open_briefly(paths) as ledger:
        assert ["A"] == await ledger.run(names)


async def test_a_writer_waits_for_one_that_takes_in_the_spool(paths: LedgerPaths) -> None:
    async def write() -> None:
        async with Ledger.open(paths) as ledger:
            await ledger.run(add, "A")

    async with Ledger.open_briefly(paths) as ledger:
        other = asyncio.create_task(write())
        await asyncio.sleep(0)
        assert [] == await ledger.run(names)
    await other


async def test_all_pages_are_read_after_a_killed_run(paths: LedgerPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Ledger.open(paths) as ledger:
        await ledger.run(begin_run, "sync", now=1)
    monkeypatch.setattr("collgs_async.ledger.ledger.check_pages", lambda _: pytest.fail("they were read"))
    async with Ledger.open_briefly(paths):
        pass
    with pytest.raises(pytest.fail.Exception, match="they were read"):
        async with Ledger.open(paths):
            pass


async def test_a_writer_that_lost_its_lock_writes_no_more(paths: LedgerPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collgs_async.storage.lock._clock", iter(range(0, 10**6, 60)).__next__)
    async with Ledger.open(paths) as ledger:
        await ledger.run(add, "A")
        lock = paths.writer.with_name("ledger.lease")
        other = lock.read_bytes().replace(b'"token": "', b'"token": "0')[:-3] + b'"}'
        lock.unlink()
        lock.write_bytes(other)
        with pytest.raises(AlreadyRunningError, match="another run took it over"):
            await ledger.run(add, "B")
    assert lock.exists()
    async with Ledger.read(paths) as reader:
        assert ["A"] == await reader.run(names)


async def test_a_cancelled_task_completes_its_transaction(paths: LedgerPaths) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        add(connection, "A")
        begun.set()
        may_go_on.wait(HANGS)

    async with Ledger.open(paths) as ledger:
        task = asyncio.create_task(ledger.run(slow))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ["A"] == await ledger.run(names)


async def test_a_closed_ledger_says_so(paths: LedgerPaths) -> None:
    async with Ledger.open(paths) as ledger:
        pass
    with pytest.raises(LedgerError, match="is closed"):
        ledger._transact(names)


async def test_it_may_lie_elsewhere(tmp_path: Path) -> None:
    paths = LedgerPaths.of(Config(output_directory=tmp_path / "mirror", keep={"ledger": tmp_path / "a?b%20#.db"}))
    async with Ledger.open(paths) as ledger:
        await ledger.run(add, "A")
    async with Ledger.read(paths) as reader:
        assert ["A"] == await reader.run(names)
    assert ["a?b%20#.db", "mirror"] == files_in(tmp_path)
    assert paths.spool.is_dir()


async def test_a_ledger_elsewhere_is_that_of_one_folder(tmp_path: Path) -> None:
    elsewhere = {"ledger": tmp_path / "a.db"}
    paths, other = (
        LedgerPaths.of(Config(output_directory=tmp_path / name, keep=elsewhere)) for name in ("mirror", "other")
    )
    async with Ledger.open(paths) as ledger:
        await ledger.run(add, "A")
    for way in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match=f"it is the ledger of {paths.folder}, not of {other.folder}; "):
            async with way(other):
                pass
    async with Ledger.open(other, takes_over=True) as ledger:
        assert ["A"] == await ledger.run(names)
    async with Ledger.read(other):
        pass
    with pytest.raises(LedgerError, match=f"it is the ledger of {other.folder}, not of {paths.folder}; "):
        async with Ledger.read(paths):
            pass


@pytest.mark.parametrize("kind", ["file", "FIFO", "link"])
async def test_a_spool_that_is_no_folder_is_named(paths: LedgerPaths, kind: str) -> None:
    paths.spool.parent.mkdir(parents=True)
    if kind == "file":
        paths.spool.touch()
    elif kind == "FIFO":
        os.mkfifo(paths.spool)
    else:
        paths.spool.symlink_to("nothing")
    with pytest.raises(LedgerError, match=f"{paths.spool}: Not a directory; the ledger cannot be written"):
        async with Ledger.open(paths):
            pass
    assert ["spool"] == files_in(paths.spool.parent)


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE letters(text)")
    connection.close()


def future(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 2")
    connection.execute("CREATE TABLE product(id)")
    connection.close()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (lambda path: path.mkdir(), "expected a file, found a folder"),
    "link": (lambda path: path.symlink_to("/etc/passwd"), "expected a file, found a symbolic link"),
    "loop": (lambda path: path.symlink_to(path), "expected a file, found a symbolic link"),
    "FIFO": (os.mkfifo, "expected a file, found a FIFO"),
    "text": (lambda path: path.write_text("no database" * 1000), "damaged (file is not a database)"),
    "foreign": (foreign, "expected a ledger of this program, found another database"),
    "future": (future, "expected a ledger of version 1, found version 2: it is of a later release"),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_is_no_ledger_is_refused_and_not_touched(paths: LedgerPaths, kind: str) -> None:
    make, words = REFUSED[kind]
    paths.database.parent.mkdir(parents=True)
    make(paths.database)
    before = paths.database.lstat(), paths.database.read_bytes() if paths.database.is_file() else None

    for way in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError) as caught:
            async with way(paths):
                pass
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert str(paths.database) in str(caught.value)
    after = paths.database.lstat(), paths.database.read_bytes() if paths.database.is_file() else None
    assert before[1] == after[1]
    assert before[0].st_mtime_ns == after[0].st_mtime_ns
    left = {
        "ledger.sqlite",
        "spool",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
    }  # the last two are those of another program
    assert left >= {*files_in(paths.database.parent)}


async def test_a_missing_or_empty_ledger_can_be_written_only(paths: LedgerPaths) -> None:
    with pytest.raises(LedgerError, match="expected a ledger, found nothing"):
        async with Ledger.read(paths):
            pass
    assert not paths.folder.exists()
    paths.database.parent.mkdir(parents=True)
    paths.database.touch()  # as a run leaves it that was killed while it made the ledger
    with pytest.raises(LedgerError, match="found an empty file"):
        async with Ledger.read(paths):
            pass
    async with Ledger.open(paths) as ledger:
        assert [] == await ledger.run(names)


async def test_two_locks_of_one_folder(tmp_path: Path) -> None:
    async with FolderLock(tmp_path / "new" / "sync"):
        with pytest.raises(AlreadyRunningError, match="nothing was done"):
            async with FolderLock(tmp_path / "new" / "sync"):
                pass
    async with FolderLock(tmp_path / "new" / "sync"):
        pass
    assert [] == list((tmp_path / "new").iterdir())
