"""``ledger relocate``: archives go to the folders of a layout, and a kill at any moment loses none of them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Config
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.mirror.relocate import relocate
from collgs_async.models.layout import Layout
from collgs_async.storage.lock import ProductLock
from tests.conftest import is_archive, level2_scenes
from tests.support.kills import Killed, Killer, remove_locks
from tests.support.servers import files_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command, CommandHere, Ended, Site

LAYOUT = "{platform}/{year}/{tile}"
OTHER = "{collection}/{month}"


async def filled(serve: Callable[..., Any], count: int = 3, *, ledger: bool = True) -> Site:
    """A folder with archives, one after the other, and a ledger that knows of them."""
    site: Site = await serve(level2_scenes(count))
    site.folder.mkdir()
    if ledger:
        async with Ledger.open(paths_of(site)):
            pass
    await site.pull()
    if ledger:
        async with Ledger.open(paths_of(site)) as opened:
            await take_in_spool(opened)
    return site


def paths_of(site: Site) -> LedgerPaths:
    return LedgerPaths.of(site.config())


def archives(site: Site) -> dict[str, str]:
    """Map the names of archives to their folders."""
    found = (path.relative_to(site.folder) for path in site.folder.rglob("*.zip"))
    return {path.name: path.parent.as_posix() for path in found}


def recorded(site: Site) -> dict[str, str]:
    """The same by the ledger; nothing may be on its way."""
    connection = sqlite3.connect(paths_of(site).database)
    try:
        assert connection.execute("SELECT count(*) FROM file WHERE moving IS NOT NULL").fetchone() == (0,)
        rows = connection.execute("SELECT path FROM file WHERE path IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {Path(path).name: Path(path).parent.as_posix() for (path,) in rows}


async def expected(site: Site, layout: str) -> dict[str, str]:
    async with site.client() as client:
        products = await client.search().collect()
    return {f"{one.identifier}.zip": Layout.parse(layout).folder(one) for one in products}


async def move(run_cli: CommandHere, site: Site, layout: str, *words: str) -> Ended:
    return await run_cli("ledger", "relocate", "--output", site.folder, "--layout", layout, *words)


async def test_archives_go_to_their_folders_and_back(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await filled(serve)
    flat = archives(site)

    there = await move(run_cli, site, LAYOUT)
    in_folders = archives(site), recorded(site)
    other = await move(run_cli, site, OTHER)
    in_others = archives(site), recorded(site)
    back = await move(run_cli, site, "flat")

    assert [there.code, other.code, back.code] == [0, 0, 0]
    assert "3 products moved to {platform}/{year}/{tile}" in there.err
    assert in_folders == (await expected(site, LAYOUT),) * 2
    assert in_others == (await expected(site, OTHER),) * 2
    assert archives(site) == recorded(site) == flat
    assert [path.name for path in site.folder.iterdir() if path.is_dir()] == [".collgs"]
    assert not (site.folder / ".collgs" / "layout").exists()


@pytest.mark.parametrize("ledger", [True, False])
async def test_nothing_is_fetched_again_afterwards(
    serve: Callable[..., Any], run_cli: CommandHere, ledger: bool
) -> None:
    site = await filled(serve, ledger=ledger)
    await move(run_cli, site, LAYOUT)
    moved = site.moved()

    by_layout, flat = await site.pull(keep={"layout": LAYOUT}), await site.pull()

    assert (by_layout.skipped, flat.skipped, site.moved()) == (3, 3, moved)
    assert (site.folder / ".collgs" / "ledger.sqlite").exists() is ledger


async def test_a_dry_run_shows_and_changes_nothing(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await filled(serve)
    before = files_in(site.folder), paths_of(site).database.read_bytes()

    ended = await move(run_cli, site, LAYOUT, "--dry-run")

    wanted = await expected(site, LAYOUT)
    assert sorted(ended.out.splitlines()) == sorted(f"{name} -> {folder}/{name}" for name, folder in wanted.items())
    assert "3 products would be moved" in ended.err
    assert (files_in(site.folder), paths_of(site).database.read_bytes()) == before


async def test_a_dry_run_without_a_ledger_makes_none(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await filled(serve, ledger=False)
    before = files_in(site.folder)

    ended = await move(run_cli, site, LAYOUT, "--dry-run")

    assert (ended.code, len(ended.out.splitlines()), files_in(site.folder)) == (0, 3, before)


async def test_all_that_lies_beside_an_archive_goes_along(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await filled(serve, 1)
    stem = site.server.scenes[0].identifier
    for name in (f"{stem}.stac.json", f"{stem}.png", f"{stem}.zip.part", f"{stem}.zip.part.json"):
        (site.folder / name).write_text(name)
    (site.folder / f"{stem}.parts").mkdir()
    (site.folder / f"{stem}.parts" / "parts.json").write_text("{}")
    (site.folder / "catalog.json").write_text("mine")

    await move(run_cli, site, LAYOUT)

    folder = (await expected(site, LAYOUT))[f"{stem}.zip"]
    endings = (".parts", ".png", ".stac.json", ".zip", ".zip.part", ".zip.part.json")
    assert sorted(path.name for path in (site.folder / folder).glob("S2*")) == [f"{stem}{ending}" for ending in endings]
    assert (site.folder / folder / f"{stem}.parts" / "parts.json").exists()
    assert (site.folder / "catalog.json").read_text() == "mine"


async def test_trees_and_part_files_without_an_archive_move_too(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2))
    await site.pull(members=["*_MSIL2A.xml"])
    trees = {path.name for path in site.folder.iterdir()}

    ended = await move(run_cli, site, LAYOUT)
    again = await site.pull(keep={"layout": LAYOUT}, members=["*_MSIL2A.xml"])

    assert ended.code == 0
    assert {path.name for path in site.folder.glob("*/*/*/*.parts")} == trees
    assert again.skipped == 2


@pytest.mark.parametrize("kind", ["there already", "symbolic link", "another run", "no known product"])
async def test_what_cannot_be_moved_stays_and_is_told(
    serve: Callable[..., Any], run_cli: CommandHere, kind: str
) -> None:
    site = await filled(serve, 2)
    wanted = await expected(site, LAYOUT)
    (name, other) = sorted(wanted)
    path, target = site.folder / name, site.folder / wanted[name] / name
    lock = ProductLock(path.with_name(f"{name}.part"))
    if kind == "there already":
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    elif kind == "symbolic link":
        path.rename(site.folder.parent / name)
        path.symlink_to(site.folder.parent / name)
    elif kind == "another run":
        assert lock.acquire()
    else:
        path.rename(path := site.folder / "holiday.zip")

    ended = await move(run_cli, site, LAYOUT)
    lock.release()

    assert ended.code == 1
    assert f"{path.name}: left where it is: " in ended.err
    assert {"another run": "another run is fetching it"}.get(kind, kind) in ended.err
    assert path.exists()
    assert is_archive(path)
    assert archives(site)[other] == wanted[other]


async def test_nothing_goes_to_another_file_system(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await filled(serve, 1)
    wanted = await expected(site, LAYOUT)
    (name,) = wanted
    mounted = site.folder / wanted[name].partition("/")[0]
    mounted.mkdir()
    real = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        found = real(path, **options)
        if path == mounted:
            fields = list(found)
            fields[2] = found.st_dev + 1
            return os.stat_result(fields)
        return found

    monkeypatch.setattr(Path, "stat", stat)  # a mount needs privileges

    ended = await move(run_cli, site, LAYOUT)

    assert ended.code == 1
    assert f"left where it is: {mounted} is on another file system" in ended.err
    assert archives(site) == {name: "."}


async def test_another_run_at_work_is_exit_code_4(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await filled(serve, 1)
    async with FolderLock(paths_of(site).sync):
        ended = await move(run_cli, site, LAYOUT)

    assert ended.code == 4
    assert "another run is at work here" in ended.err
    assert set(archives(site).values()) == {"."}


async def test_a_missing_folder_is_wrong_usage(run_cli: CommandHere) -> None:
    ended = await run_cli("ledger", "relocate", "--output", "nowhere", "--layout", LAYOUT)

    assert ended.code == 2
    assert "--output: expected a folder with archives, found nothing at" in ended.err
    assert not (run_cli.folder / "nowhere").exists()


# ----------------------------------------------------------------------------------------------- killed meanwhile


@pytest.mark.parametrize("after", [False, True])
async def test_killed_before_or_after_each_step_the_next_run_goes_on(serve: Callable[..., Any], after: bool) -> None:
    site = await filled(serve, 2)
    stem = site.server.scenes[0].identifier
    (site.folder / f"{stem}.stac.json").write_text("{}")
    wanted = await expected(site, LAYOUT)
    content = {path.name: path.read_bytes() for path in site.folder.glob("*.zip")}
    moved, kills = site.moved(), 0
    for at in range(100):
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, at, after=after)
            with suppress(Killed):
                await moved_to(site, LAYOUT)
        kills += killer.came
        remove_locks(site.folder)
        assert set(archives(site)) == set(wanted)  # each is here once, whatever happened
        if not killer.came:
            break
        assert (await site.pull(keep={"layout": LAYOUT})).skipped == 2
        await moved_to(site, LAYOUT)
        assert archives(site) == recorded(site) == wanted
        assert (site.folder / wanted[f"{stem}.zip"] / f"{stem}.stac.json").exists()
        await moved_to(site, None)

    assert kills >= 9
    assert site.moved() == moved
    assert {path.name: path.read_bytes() for path in site.folder.rglob("*.zip")} == content


async def moved_to(site: Site, layout: str | None) -> None:
    async with ExclusiveRun(paths_of(site), "ledger relocate") as run:
        parsed = Layout.parse(layout) if layout else None
        await relocate(site.folder, parsed, run.ledger, run=run.run, now=run.begun)


def many_names() -> list[str]:
    tiles = [f"31U{column}{row}" for column in "ABCDEFGHJK" for row in "ABCDEFGHJK"]
    times = [f"20210924T{hour:02}{minute:02}00" for hour in range(4) for minute in range(3)]
    return [f"S2A_MSIL2A_20210924T103021_N0301_R108_T{tile}_{time}.zip" for tile in tiles for time in times]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with 1200 small files that have the names of archives."""
    folder = tmp_path / "many"
    folder.mkdir()
    for name in many_names():
        (folder / name).write_text(name)
    return folder


def tiles_of(folder: Path) -> dict[str, str]:
    """Map each file to the folder that it is in, and check its content."""
    found = list(folder.rglob("*.zip"))
    assert all(path.read_text() == path.name for path in found)
    return {path.name: path.parent.name for path in found}


async def test_sigkill_at_any_time_loses_nothing(many: Path, command: Command) -> None:
    words = ("ledger", "relocate", "--output", many, "--layout")
    async with Ledger.open(LedgerPaths.of(Config(output_directory=many))):
        pass
    for number in range(6):
        process = await command.start(*words, LAYOUT if number % 2 else OTHER, "--verbose")
        assert process.stderr is not None
        for _ in range(number * 120):
            if not await process.stderr.readline():
                break
        with suppress(ProcessLookupError):
            process.kill()
        await command.end(process)
        assert set(tiles_of(many)) == set(many_names())

    ended = await command(*words, LAYOUT)

    assert ended.code == 0
    assert tiles_of(many) == {name: name[39:44] for name in many_names()}


async def test_the_catalogs_of_folders_are_written_anew(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))
    await site.pull(keep={"stac": True})

    await move(run_cli, site, LAYOUT)
    folders = {path.parent for path in site.folder.rglob("*.zip")}
    there = {path.parent for path in site.folder.rglob("catalog.json")}
    await move(run_cli, site, "flat")

    assert folders <= there
    assert [path.relative_to(site.folder).as_posix() for path in site.folder.rglob("catalog.json")] == ["catalog.json"]
    assert (site.folder / "catalog.json").read_text().count(".stac.json") == 3
    assert [path.name for path in site.folder.iterdir() if path.is_dir()] in ([], [".collgs"])
