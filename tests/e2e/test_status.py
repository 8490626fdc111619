"""What an operator is told of a mirror, what is exported, and a ledger that is made anew."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Config
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.products import attempts_of, file_of, find_product, product_id
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event, State
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.reporting.formats import EXPORT_FORMATS
from collgs_async.reporting.ledger_export import FORMATS
from tests.conftest import level2_scenes
from tests.support.commands import at_url
from tests.support.locks import writes_elsewhere
from tests.support.servers import files_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from sqlite3 import Connection

    from tests.conftest import CommandHere, Site

ID = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
NEWER = "S2A_MSIL2A_20210924T163021_N0500_R083_T15SYR_20230110T101010"
HOSTILE = "=cmd|' /C calc'!A0\x1b[2J\r\n\ud800"
DAY = 24 * 3600 * 1000
HELD = OutcomeRecord(ID, Event.DOWNLOADED, 5 * DAY, path="x.zip", size=812_000_000, mtime=5, how="crc", requests=3)


def paths_of(folder: Path) -> LedgerPaths:
    return LedgerPaths.of(Config(output_directory=folder))


async def fill(folder: Path, work: Callable[[Connection], object]) -> None:
    async with Ledger.open(paths_of(folder)) as ledger:
        await ledger.run(work)


def archive_of_years(tables: Connection) -> None:
    """One product of each state, and a run that was killed after one that was right."""
    run = begin_run(tables, "sync", now=5 * DAY)
    record_outcome(tables, replace(HELD, received=812_000_000, seconds=125), run=run, now=6 * DAY)
    end_run(tables, run, now=5 * DAY + 3_600_000, code=0)
    again = begin_run(tables, "sync", now=7 * DAY)
    failed = OutcomeRecord(NEWER, Event.FAILED, 6 * DAY, kind="TransferError", error="reset by the store")
    record_outcome(tables, failed, run=again, now=6 * DAY)
    record_outcome(tables, replace(failed, identifier="404", kind="NotAvailableError"), run=again, now=6 * DAY)
    record_outcome(tables, replace(HELD, identifier="part", path="part.parts", size=None, members=3), run=1, now=9)
    record_outcome(tables, replace(HELD, identifier="bad", path="bad.zip"), run=1, now=9)
    record_outcome(tables, OutcomeRecord("bad", Event.BAD, 9, path="bad.zip", kind="IntegrityError"), run=1, now=9)
    for number, state in enumerate((State.SUPERSEDED, State.WITHDRAWN, State.AGED)):
        record_outcome(tables, replace(HELD, identifier=state.name, path=f"{number}.zip", size=10**9), run=1, now=9)
        tables.execute("UPDATE product SET state = ? WHERE identifier = ?", (state, state.name))
    tables.execute("UPDATE product SET gone = 9 WHERE state = ?", (State.WITHDRAWN,))
    for number in range(1234):
        product_id(tables, f"left out {number}", now=1, state=State.EXCLUDED)
    tables.execute("UPDATE product SET wanted = 'older baseline' WHERE state = ?", (State.EXCLUDED,))
    tables.execute("INSERT INTO watch(name) VALUES ('S2_MSIL2A')")
    tables.execute("INSERT INTO span(watch, first, last, listed, settled) VALUES (1, 0, 9, ?, ?)", (6 * DAY, 6 * DAY))
    tables.execute("INSERT INTO span(watch, first, last) VALUES (1, 9, 12)")


def asked_otherwise(tables: sqlite3.Connection) -> None:
    """A mirror that asked for another area before."""
    tables.execute("INSERT INTO watch(name) VALUES ('S2_MSIL2A'), ('S2_MSIL2A-2')")
    tables.execute("INSERT INTO span(watch, first, last, listed, settled) VALUES (1, 0, 9, ?, ?)", (2 * DAY, DAY))
    tables.execute("INSERT INTO span(watch, first, last) VALUES (1, 9, 12)")
    tables.execute("INSERT INTO span(watch, first, last, listed, settled) VALUES (2, 0, 9, ?, ?)", (6 * DAY, 6 * DAY))


async def test_the_state_of_a_mirror_is_twelve_lines(run_cli: CommandHere) -> None:
    mirror = run_cli.folder / "mirror"
    await fill(mirror, archive_of_years)
    ended = await run_cli("status", "-o", "mirror")

    assert (0, "") == (ended.code, ended.err)
    lines = {line[:14].rstrip(): line[14:] for line in ended.out.splitlines()}
    assert 12 == len(ended.out.splitlines()) == len(lines)
    assert lines["folder"].startswith(f"{mirror}; ")
    assert "1,242 products, in 1 watch: S2_MSIL2A" == lines["known"]
    assert "5 archives, 4.6 GB, and members of 1 more" == lines["here"]
    assert "1 wanted and not here yet" == lines["to fetch"]
    assert lines["failed"].startswith("1 tried again, the next 1970-01-07 00:10 UTC (")
    assert lines["failed"].endswith("; 1 not tried again by itself (1 NotAvailableError)")
    assert "1 archive to be fetched again" == lines["damaged"]
    assert "1 not listed any more, 0 absent from the last listing" == lines["gone"]
    assert "1 superseded (1.0 GB), 1 withdrawn (1.0 GB), 1 aged (1.0 GB)" == lines["kept"]
    assert "1,234 (1,234 older baseline)" == lines["not wanted"]
    assert lines["listed"].startswith("each span of time since 1970-01-07 00:00 UTC (")
    assert lines["listed"].endswith(" days ago); 1 of 2 spans never to the end")
    assert lines["last run"].startswith("sync has begun 1970-01-08 00:00 UTC (")
    assert "; the last success 1970-01-06 01:00 UTC (" in lines["last run"]
    assert lines["checked"].startswith("the oldest 1970-01-01 00:00 UTC (")


async def test_what_was_asked_for_before_does_not_count(run_cli: CommandHere) -> None:
    await fill(run_cli.folder / "mirror", asked_otherwise)
    ended = await run_cli("status", "-o", "mirror")
    told = json.loads((await run_cli("status", "-o", "mirror", "--format", "json")).out)

    (listed,) = (line for line in ended.out.splitlines() if line.startswith("listed"))
    assert listed[14:].startswith("each span of time since 1970-01-07 00:00 UTC (")
    assert "never to the end" not in listed
    assert "; S2_MSIL2A asked for last 1970-01-03 00:00 UTC (" in listed
    assert "1970-01-07T00:00:00.000Z" == told["oldest_listing"]
    assert {"S2_MSIL2A": "1970-01-03T00:00:00.000Z"} == told["other_listings"]
    assert (1, 0) == (told["spans"], told["unsettled_spans"])


async def test_the_same_as_json(run_cli: CommandHere) -> None:
    await fill(run_cli.folder / "mirror", archive_of_years)
    ended = await run_cli("status", "-o", "mirror", "--format", "json")

    told = json.loads(ended.out)
    assert 1 == len(ended.out.splitlines())
    assert {"held": 1, "part": 1, "failed": 1, "final": 1, "excluded": 1234, "wanted": 1} == {
        name: count for name, count in told["states"].items() if name not in {"superseded", "withdrawn", "aged"}
    }
    assert (5, 4_624_000_000, 1242) == (told["archives"], told["bytes"], told["products"])
    assert ("1970-01-06T00:00:00.000Z", None) == (told["last_success"]["begun"], told["last_run"]["ended"])
    assert {"older baseline": 1234} == told["not_wanted"]
    assert told["free_bytes"] > 0


async def test_an_empty_ledger_has_a_state_too(run_cli: CommandHere) -> None:
    await fill(run_cli.folder / "mirror", lambda _: None)
    ended = await run_cli("status", "-o", "mirror")
    assert 0 == ended.code
    assert 12 == len(ended.out.splitlines())


async def test_all_that_happened_to_one_product(run_cli: CommandHere) -> None:
    await fill(run_cli.folder / "mirror", archive_of_years)
    ended = await run_cli("status", "-o", "mirror", f"{ID}.zip", NEWER)

    assert (0, "") == (ended.code, ended.err)
    first, second = ended.out.split(f"\n{NEWER}\n")
    for words in (
        f"{ID}\n  state         here\n",
        f"  also made     {NEWER}: failed, and tried again\n",
        "  edition       03.01, made 2021-09-24 21:17 UTC\n",
        "  file          x.zip, 812 MB\n",
        ", by crc\n",
        "\n    1970-01-06 00:00 UTC  downloaded, 812 MB in 02:05, 3 requests  (run 1, sync)",
    ):
        assert words in first
    assert "  last error    TransferError: reset by the store\n" in second
    assert ", after 1 failure\n" in second

    told = json.loads((await run_cli("status", "-o", "mirror", ID, "--format", "json")).out)
    assert ("held", {NEWER: "failed"}) == (told["state"], told["editions"])
    assert ["downloaded"] == [one["event"] for one in told["history"]]
    assert 812_000_000 == told["file"]["size"]


async def test_what_is_not_there_is_named(run_cli: CommandHere) -> None:
    await fill(run_cli.folder / "mirror", archive_of_years)
    ended = await run_cli("status", "-o", "mirror", "unheard", ID)
    assert 2 == ended.code
    assert 'error: PRODUCT: expected a product of the ledger, found "unheard"\n' == ended.err
    assert ID in ended.out

    (run_cli.folder / "empty").mkdir()
    for command in (["status"], ["ledger", "export"]):
        ended = await run_cli(*command, "-o", "empty")
        assert (2, "") == (ended.code, ended.out)
        assert ended.err.startswith("error: --output: expected a folder with a ledger, found none at ")
        ended = await run_cli(*command, "--ledger", "none.sqlite")
        assert ended.err.startswith("error: --ledger: expected a ledger, found none at ")
    ended = await run_cli("ledger", "rebuild", "-o", "missing")
    assert (2, ["empty", "mirror"]) == (ended.code, files_in(run_cli.folder))


@pytest.mark.parametrize("command", [["status"], ["ledger", "export"], ["ledger", "rebuild"]])
async def test_a_ledger_of_a_later_release_is_not_touched(run_cli: CommandHere, command: list[str]) -> None:
    paths = paths_of(run_cli.folder / "mirror")
    await fill(paths.folder, lambda tables: tables.execute("PRAGMA user_version = 2"))
    before = paths.database.read_bytes()
    ended = await run_cli(*command, "-o", "mirror")
    assert (1, "") == (ended.code, ended.out)
    assert "expected a ledger of version 1, found version 2: it is of a later release\n" in ended.err
    assert before == paths.database.read_bytes()


async def test_names_of_a_hostile_catalogue_do_no_harm(run_cli: CommandHere) -> None:
    hostile = replace(HELD, identifier=HOSTILE, collection=HOSTILE, etag=HOSTILE, modified=HOSTILE, sha256="ab" * 32)

    def work(tables: Connection) -> None:
        record_outcome(tables, hostile, run=begin_run(tables, HOSTILE, now=1), now=9 * DAY)
        record_outcome(
            tables,
            OutcomeRecord(HOSTILE, Event.FAILED, 1, kind="E\n", error=f"{HOSTILE} http://me:pass@h/"),
            run=1,
            now=9,
        )
        tables.execute("UPDATE product SET wanted = ?, state = ?", ("\x1b[31m", State.EXCLUDED))
        tables.execute("INSERT INTO watch(name) VALUES (?)", ("\x1b[31m",))
        tables.execute("INSERT INTO entry(product, url) VALUES (1, 'https://me:pass@h/\x1b')")
        tables.execute("UPDATE file SET size = ?", (2**63 - 1,))
        record_outcome(tables, replace(HELD, path="b.zip", size=2**63 - 1), run=None, now=9 * DAY)

    await fill(run_cli.folder / "mirror", work)
    for words in (["status"], ["status", HOSTILE.encode("utf-8", "backslashreplace").decode()], ["ledger", "export"]):
        for form in ("table", "json") if words[0] == "status" else FORMATS:
            ended = await run_cli(*words, "-o", "mirror", "--format", form)
            assert 0 == ended.code, ended.err
            assert "\x1b" not in ended.out
            assert "pass@" not in ended.out
            if form == "csv":
                cells = [cell for row in csv.reader(io.StringIO(ended.out)) for cell in row]
                assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}]
            if form in {"json", "jsonl"}:
                assert all(json.loads(line) for line in ended.out.splitlines())


async def test_a_reader_does_not_wait_for_a_writer(run_cli: CommandHere) -> None:
    paths = paths_of(run_cli.folder / "mirror")
    await fill(paths.folder, archive_of_years)
    writer = sqlite3.connect(paths.database, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM product")
    ended = await run_cli("status", "-o", "mirror")
    writer.execute("ROLLBACK")
    writer.close()
    assert (0, True) == (ended.code, "1,242 products" in ended.out)


async def test_outcomes_that_wait_are_mentioned(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    await fill(site.folder, lambda _: None)
    writes_elsewhere(paths_of(site.folder))
    await site.pull()
    ended = await run_cli("status", "-o", site.folder)
    assert "note: the outcomes of 1 run are not in the ledger yet; the next sync takes them in\n" == ended.err


# ---------------------------------------------------------------------------------------------------------- export


def test_the_flags_name_all_formats() -> None:
    assert EXPORT_FORMATS == tuple(FORMATS)


async def test_checksums_are_accepted_by_sha256sum(run_cli: CommandHere) -> None:
    folder = run_cli.folder / "mirror"
    folder.mkdir()
    names = ["a.zip", "2021/b c.zip", "line\nbreak.zip", "back\\slash.zip"]

    def work(tables: Connection) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(name.encode())
            known = replace(HELD, identifier=name, path=name, sha256=sha256(name.encode()).hexdigest())
            record_outcome(tables, known, run=None, now=9 * DAY)
        record_outcome(tables, replace(HELD, identifier="unknown", path="u.zip"), run=None, now=9 * DAY)

    await fill(folder, work)
    ended = await run_cli("ledger", "export", "-o", "mirror", "--format", "sha256sums")
    assert (0, "warning: 1 archive without a known SHA-256 left out\n") == (ended.code, ended.err)
    checked = subprocess.run(  # noqa: ASYNC221  (a moment)
        ["sha256sum", "-c", "-"], input=ended.out, text=True, cwd=folder, capture_output=True, check=False
    )
    assert (0, 4) == (checked.returncode, checked.stdout.count(": OK\n"))


async def test_all_formats_have_each_product(run_cli: CommandHere) -> None:
    await fill(run_cli.folder / "mirror", archive_of_years)
    lines = (await run_cli("ledger", "export", "-o", "mirror")).out.splitlines()
    rows = list(csv.DictReader(io.StringIO((await run_cli("ledger", "export", "-o", "mirror", "--format", "csv")).out)))
    products = [json.loads(line) for line in lines]
    assert 1242 == len(products) == len(rows)
    assert [*rows[0], "history"] == list(products[0])
    assert [row["identifier"] for row in rows] == [one["identifier"] for one in products]
    assert ["downloaded"] == [event["event"] for event in products[0]["history"]]
    assert "1970-01-06T00:00:00.000Z" == rows[0]["fetched"]


# ---------------------------------------------------------------------------------------------------------- rebuild


async def states(folder: Path) -> dict[str, State]:
    async with Ledger.read(paths_of(folder)) as ledger:
        rows = await ledger.run(lambda tables: tables.execute("SELECT identifier, state FROM product").fetchall())
    return {name: State(state) for name, state in rows}


async def pulled(serve: Callable[..., Any], count: int = 3, **options: Any) -> Site:
    site: Site = await serve(level2_scenes(count))
    await site.pull(**options)
    return site


async def test_a_lost_ledger_costs_no_archive(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await pulled(serve)
    moved = site.moved()
    for _ in range(2):
        ended = await run_cli("ledger", "rebuild", "-o", site.folder)
        assert 0 == ended.code
        assert {scene.identifier: State.HELD for scene in site.server.scenes} == await states(site.folder)
        paths_of(site.folder).database.unlink()
    await site.pull()
    assert moved == site.moved()


@pytest.mark.parametrize("at", ["begin", "middle"])
async def test_a_damaged_ledger_is_put_aside(serve: Callable[..., Any], run_cli: CommandHere, at: str) -> None:
    site = await pulled(serve)
    await fill(site.folder, archive_of_years)
    paths = paths_of(site.folder)
    damaged = bytearray(paths.database.read_bytes())
    first, last = (0, 100) if at == "begin" else (len(damaged) // 3, 2 * len(damaged) // 3)
    damaged[first:last] = b"\xff" * (last - first)
    paths.database.write_bytes(damaged)

    ended = await run_cli("ledger", "rebuild", "-o", site.folder)
    assert 0 == ended.code, ended.err
    assert f"warning: it is put aside as {paths.database}.damaged, and a new one is made\n" in ended.err
    assert "damaged (" in ended.err
    assert bytes(damaged) == paths.database.with_name("ledger.sqlite.damaged").read_bytes()
    assert {scene.identifier: State.HELD for scene in site.server.scenes} == await states(site.folder)
    paths.database.write_bytes(damaged)
    await run_cli("ledger", "rebuild", "-o", site.folder)
    assert "ledger.sqlite.damaged-2" in files_in(paths.database.parent)


async def test_what_the_folder_has_decides(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await pulled(serve, 5)
    await run_cli("ledger", "rebuild", "-o", site.folder)
    gone, bad, moved, _, same = site.server.scenes
    site.archive(gone).unlink()
    site.archive(bad).write_bytes(site.archive(bad).read_bytes()[:-50])
    (site.folder / "2021" / "x").mkdir(parents=True)
    site.archive(moved).rename(site.folder / "2021" / "x" / site.archive(moved).name)
    (site.folder / "notes.zip").write_bytes(b"PK")
    (site.folder / f"{ID}.zip").symlink_to("/dev/zero")
    (site.folder / ".trash").mkdir()
    (site.folder / ".trash" / f"{NEWER}.zip").write_bytes(site.archive(same).read_bytes())
    copy = site.folder / "2021" / site.archive(same).name
    copy.write_bytes(site.archive(same).read_bytes())

    ended = await run_cli("ledger", "rebuild", "-o", site.folder)
    assert 1 == ended.code
    summary = ended.err.splitlines()[-1]
    assert summary == (
        "3 archives: 0 new to the ledger; 1 damaged; 1 recorded and not here any more; 3 other files left alone"
    )
    found = await states(site.folder)
    assert {gone.identifier: State.WANTED, bad.identifier: State.WANTED} == {
        name: state for name, state in found.items() if state is not State.HELD
    }
    assert 5 == len(found)

    def known(tables: Connection) -> tuple[Any, ...]:
        products = [find_product(tables, scene.identifier) for scene in (gone, bad, moved, same)]
        return [file_of(tables, one.id) for one in products if one], [
            [event.event for event in attempts_of(tables, one.id)] for one in products if one
        ]

    async with Ledger.read(paths_of(site.folder)) as ledger:
        files, history = await ledger.run(known)
    assert [None, f"{bad.identifier}.zip", f"2021/x/{moved.identifier}.zip"] == [one.path for one in files[:3]]
    assert [[Event.ADOPTED, Event.MISSING], [Event.ADOPTED, Event.BAD], [Event.ADOPTED]] == history[:3]
    await site.pull()
    await run_cli("ledger", "rebuild", "-o", site.folder)
    assert State.HELD is (await states(site.folder))[gone.identifier]


async def test_a_disk_that_is_missing_is_no_loss(run_cli: CommandHere) -> None:
    folder = run_cli.folder / "mirror"

    def work(tables: Connection) -> None:
        for number in range(100):
            record_outcome(tables, replace(HELD, identifier=f"{number}", path=f"{number}.zip"), run=None, now=9 * DAY)

    await fill(folder, work)
    ended = await run_cli("ledger", "rebuild", "-o", "mirror")
    assert 1 == ended.code
    assert ended.err.endswith(
        "error: 100 archives recorded and not here: is a disk missing? nothing was noted of them\n"
    )
    assert {State.HELD} == {*(await states(folder)).values()}


async def test_members_are_taken_over(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await pulled(serve, 2, bands=("SCL",))
    ended = await run_cli("ledger", "rebuild", "-o", site.folder)
    assert "0 archives, 2 folders with members of one: 2 new to the ledger\n" == ended.err
    assert {State.PART} == {*(await states(site.folder)).values()}


@pytest.mark.parametrize("size", [0, 1])
async def test_a_stac_item_tells_what_a_name_does_not(
    serve: Callable[..., Any], run_cli: CommandHere, size: int
) -> None:
    site = await pulled(serve, 1)
    (archive,) = site.folder.glob("*.zip")
    item: dict[str, Any] = {
        "id": archive.stem,
        "properties": {
            "collection": "S2_MSIL2A",
            "collgs:retrieved": "2026-01-01T00:00:00Z",
            "collgs:etag": '"e"',
            "collgs:verified": {"at": "2026-01-02T00:00:00+00:00", "how": "crc"},
        },
        "assets": {"archive": {"file:size": archive.stat().st_size + size, "file:checksum": "1220" + "ab" * 32}},
    }
    archive.with_name(f"{archive.stem}.stac.json").write_text(json.dumps(item))

    await run_cli("ledger", "rebuild", "-o", site.folder)
    told = json.loads((await run_cli("status", "-o", site.folder, archive.name, "--format", "json")).out)
    file = told["file"]
    assert "S2_MSIL2A" == told["collection"]
    expected = ('"e"', "ab" * 32, "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "crc")
    found = tuple(file[name] for name in ("etag", "sha256", "fetched", "checked", "how"))
    assert found == (expected if not size else (None,) * 5)


async def test_our_own_items_bring_back_what_a_download_has_noted(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2))
    await fill(site.folder, lambda _: None)
    await run_cli("sync", *at_url(site), "--output", site.folder, "--stac")
    names = [scene.identifier for scene in site.server.scenes]

    async def known() -> list[dict[str, Any]]:
        ended = await run_cli("status", "-o", site.folder, *names, "--format", "json")
        files = [json.loads(line)["file"] for line in ended.out.splitlines()]
        return [{key: value for key, value in one.items() if key not in {"run", "fetched", "checked"}} for one in files]

    before = await known()
    assert all(one["etag"] and one["sha256"] and one["last_modified"] for one in before)
    paths_of(site.folder).database.unlink()
    assert 0 == (await run_cli("ledger", "rebuild", "-o", site.folder)).code
    assert before == await known()


@pytest.mark.parametrize("text", ["", "[" * 10_000, "{}", '{"id": 7}', '{"id": "x", "properties": [], "assets": 1}'])
async def test_an_odd_stac_item_is_passed_over(serve: Callable[..., Any], run_cli: CommandHere, text: str) -> None:
    site = await pulled(serve, 1)
    (archive,) = site.folder.glob("*.zip")
    archive.with_name(f"{archive.stem}.stac.json").write_text(text)
    assert 0 == (await run_cli("ledger", "rebuild", "-o", site.folder)).code
    assert {archive.stem: State.HELD} == await states(site.folder)


async def test_two_at_once_are_refused(run_cli: CommandHere) -> None:
    folder = run_cli.folder / "mirror"
    folder.mkdir()
    async with FolderLock(paths_of(folder).sync):
        ended = await run_cli("ledger", "rebuild", "-o", "mirror")
    assert 4 == ended.code
    assert "another run is at work here" in ended.err
    assert not paths_of(folder).database.exists()
