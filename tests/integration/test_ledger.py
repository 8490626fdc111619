"""Downloads beside a ledger: each outcome comes into it, and no trouble of it costs an archive."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import LedgerError, Status
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.products import attempts_of, file_of, find_product
from collgs_async.ledger.recorder import OutcomeRecorder
from collgs_async.ledger.records import Event, FileRecord, State
from collgs_async.ledger.runs import begin_run, end_run, latest_runs
from collgs_async.ledger.taking_in import take_in_spool
from tests.conftest import fault, level2_scenes
from tests.support.commands import at_url
from tests.support.locks import lock_file, writes_elsewhere
from tests.support.servers import files_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from sqlite3 import Connection

    from tests.conftest import CommandHere, Site

pytestmark = pytest.mark.usefixtures("_no_wait")


@pytest.fixture
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write outcomes at once."""
    monkeypatch.setattr("collgs_async.ledger.recorder._INTERVAL", 0.0)


def paths_of(site: Site) -> LedgerPaths:
    return LedgerPaths.of(site.config())


async def states(site: Site) -> dict[str, State]:
    async with Ledger.read(paths_of(site)) as ledger:
        rows = await ledger.run(lambda tables: tables.execute("SELECT identifier, state FROM product").fetchall())
    return {name: State(state) for name, state in rows}


async def make_ledger(site: Site) -> None:
    async with Ledger.open(paths_of(site)) as ledger:
        await take_in_spool(ledger)


async def test_a_folder_without_a_ledger_gets_nothing(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2))
    await site.pull()
    assert sorted(f"{scene.identifier}.zip" for scene in site.server.scenes) == files_in(site.folder)


LOADED = """
import sys
from collgs_async.cli import main
code = main(sys.argv[1:])
print(code, sorted({"sqlite3", "collgs_async.ledger.recorder", "collgs_async.ledger.ledger"} & {*sys.modules}))
"""


async def test_without_a_ledger_nothing_of_it_is_loaded(serve: Callable[..., Any], cwd: Path) -> None:
    site = await serve(level2_scenes(1))
    for words in (["download"], ["search", "--format", "urls"], ["verify", str(site.folder)]):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", LOADED, *words, *map(str, at_url(site)), "--output", str(site.folder), "-q"),
            cwd=cwd,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert b"0 []" == out.splitlines()[-1]


async def test_a_plain_download_hands_its_outcomes_in(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[2].identifier: fault("missing")})
    await make_ledger(site)
    await site.pull()
    first, second, missing = scenes
    expected = {first.identifier: State.HELD, second.identifier: State.HELD, missing.identifier: State.FINAL}
    assert expected == await states(site)
    assert [] == files_in(paths_of(site).spool)
    assert not (site.folder / ".collgs" / "ledger.lease").exists()

    def known(tables: Connection, identifier: str) -> FileRecord | None:
        product = find_product(tables, identifier)
        assert product is not None
        assert "S2_MSIL2A" == product.collection
        assert product.acquisition
        return file_of(tables, product.id)

    async with Ledger.read(paths_of(site)) as ledger:
        found = await ledger.run(known, first.identifier)
        (run,) = await ledger.run(latest_runs, 10)
    assert found is not None
    assert (f"{first.identifier}.zip", len(site.original(first)), "crc") == (found.path, found.size, found.how)
    assert found.etag
    assert found.fetched
    assert ("download", found.run) == (run.words, run.id)


async def test_beside_a_writer_the_outcomes_stay_in_the_spool(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2))
    await make_ledger(site)
    writes_elsewhere(paths_of(site))
    await site.pull()
    (spooled,) = files_in(paths_of(site).spool)
    assert spooled.endswith(".jsonl")
    assert {} == await states(site)

    lock_file(paths_of(site)).unlink()
    await make_ledger(site)
    assert {scene.identifier: State.HELD for scene in site.server.scenes} == await states(site)
    assert [] == files_in(paths_of(site).spool)


async def test_a_second_run_adds_nothing_to_the_history(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))
    await site.pull()
    await make_ledger(site)
    for _ in range(3):
        await site.pull()
        await make_ledger(site)

    def history(tables: Connection) -> list[Event]:
        product = find_product(tables, site.server.scenes[0].identifier)
        assert product is not None
        return [one.event for one in attempts_of(tables, product.id)]

    async with Ledger.read(paths_of(site)) as ledger:
        assert [Event.ADOPTED] == await ledger.run(history)


async def test_single_downloads_and_repairs_are_handed_in(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))
    await make_ledger(site)
    async with site.client() as client:
        (product,) = await client.search().collect()
        await client.download(product)
        archive = site.archive(site.server.scenes[0])
        archive.write_bytes(archive.read_bytes()[:-100])
        assert (await client.repair(archive)).status is Status.DOWNLOADED
    await make_ledger(site)

    async with Ledger.read(paths_of(site)) as ledger:
        assert ["repair", "download"] == [run.words for run in await ledger.run(latest_runs, 10)]


async def test_the_writer_of_the_ledger_records_by_itself(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(3))
    paths = paths_of(site)
    async with Ledger.open(paths) as ledger:
        run = await ledger.run(begin_run, "sync", now=5)
        async with (
            OutcomeRecorder(paths, how="crc", words="sync", ledger=ledger, run=run) as recorder,
            site.client() as client,
        ):
            await client.download_all(on_outcome=recorder.add)
        await ledger.run(end_run, run, now=9, code=0, told={"new": 3})
        assert [(run, 5, 9, "sync", 0, '{"new": 3}')] == [
            (one.id, one.begun, one.ended, one.words, one.code, one.told) for one in await ledger.run(latest_runs, 9)
        ]
    assert [] == files_in(paths.spool)
    assert {State.HELD} == {*(await states(site)).values()}


async def test_a_cancelled_run_has_noted_what_it_has_brought(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(4))
    paths = paths_of(site)
    arrived = asyncio.Event()

    async def never(_: float) -> None:
        await asyncio.Event().wait()

    async def sync() -> None:
        async with (
            Ledger.open(paths) as ledger,
            OutcomeRecorder(paths, how="crc", words="sync", ledger=ledger, sleep=never) as recorder,
            site.client(workers=1, segments=1) as client,
        ):

            def add(outcome: Any) -> None:
                recorder.add(outcome)
                arrived.set()

            await client.download_all(on_outcome=add)
            await asyncio.Event().wait()

    task = asyncio.create_task(sync())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    here = {path.stem for path in site.folder.glob("*.zip")}
    assert here
    assert here == {name for name, state in (await states(site)).items() if state is State.HELD}


@pytest.mark.parametrize("trouble", [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("malformed")])
async def test_a_ledger_that_fails_leaves_the_outcomes_in_the_spool(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture, trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await serve(level2_scenes(3))
    paths = paths_of(site)

    def fail(*_: object, **__: object) -> None:
        raise trouble

    async with Ledger.open(paths) as ledger:
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "collgs_async"):
            patch.setattr("collgs_async.ledger.recording.record_outcome", fail)
            async with (
                OutcomeRecorder(paths, how="crc", words="sync", ledger=ledger) as recorder,
                site.client() as client,
            ):
                report = await client.download_all(on_outcome=recorder.add)
    assert (3, True) == (report.downloaded, report.ok)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.endswith("; the archives are not affected")
    await make_ledger(site)
    assert {State.HELD} == {*(await states(site)).values()}


async def test_without_ledger_and_spool_the_archives_are_here_all_the_same(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await serve(level2_scenes(3))
    await make_ledger(site)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "collgs_async"):
        patch.setattr("collgs_async.ledger.spool.write_all", full)
        report = await site.pull()
    assert (3, True) == (report.downloaded, report.ok)
    first, last = [record.getMessage() for record in caplog.records]
    assert first == f"{paths_of(site).spool}: No space left on device; the archives are not affected"
    assert last.startswith("3 outcomes could not be noted; ")
    await site.pull()
    await make_ledger(site)
    assert {State.HELD} == {*(await states(site)).values()}


@pytest.mark.parametrize("kind", ["FIFO", "link", "text", "folder"])
async def test_what_has_the_name_of_the_ledger_does_not_stop_a_download(serve: Callable[..., Any], kind: str) -> None:
    site = await serve(level2_scenes(1))
    paths = paths_of(site)
    paths.spool.mkdir(parents=True)
    match kind:
        case "FIFO":
            os.mkfifo(paths.database)
        case "link":
            paths.database.symlink_to("/dev/zero")
        case "folder":
            paths.database.mkdir()
        case _:
            paths.database.write_text("no ledger")
    assert (await site.pull()).ok
    with pytest.raises(LedgerError):
        await make_ledger(site)


async def test_verify_hands_in_what_it_found(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))
    await make_ledger(site)
    await site.pull()
    bad = site.archive(site.server.scenes[1])
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    (site.folder / ".collgs" / "old").mkdir()
    os.link(bad, site.folder / ".collgs" / "old" / site.archive(site.server.scenes[0]).name)
    ended = await run_cli("verify", str(site.folder))

    assert 1 == ended.code
    await make_ledger(site)
    right, damaged, other = (scene.identifier for scene in site.server.scenes)
    assert {right: State.HELD, damaged: State.WANTED, other: State.HELD} == await states(site)

    def checks(tables: Connection) -> list[tuple[str, int, str | None]]:
        query = "SELECT identifier, checked > fetched, bad FROM product JOIN file ON product = id ORDER BY id"
        return tables.execute(query).fetchall()

    async with Ledger.read(paths_of(site)) as ledger:
        found = {name: (later, bad_words) for name, later, bad_words in await ledger.run(checks)}
    assert (1, None) == found[right]
    assert (found[damaged][1] or "").startswith("IntegrityError: ")
