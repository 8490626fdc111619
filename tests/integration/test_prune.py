"""``prune``: what is not wanted goes by a stated policy, and never before its successor was read and is right."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.listing_records import Listed, record_listed
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.products import attempts_of, find_product
from collgs_async.ledger.records import Event, State
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.storage.lock import ProductLock
from tests.conftest import is_archive, level2_scenes
from tests.support.kills import Killed, Killer, remove_locks
from tests.support.servers import files_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.demo.scenes import Scene
    from tests.conftest import CommandHere, Ended, Site

DAY = 86_400_000
NOW = to_ms(datetime.now(UTC)) or 0


def edition(scene: Scene, baseline: str, *, day: int = 1) -> Scene:
    """The same acquisition, processed again."""
    head, _, tail = scene.identifier.partition("_N0301_")
    place, _, _ = tail.rpartition("_")
    return replace(scene, identifier=f"{head}_N{baseline}_{place}_202301{day:02}T000000")


class Kept:
    """A folder with archives, and a ledger that knows of them and of the catalogue's entries."""

    def __init__(self, site: Site, run_cli: CommandHere) -> None:
        self.site, self._run_cli = site, run_cli
        self.paths = LedgerPaths.of(site.config())
        self.folder = site.folder

    async def fill(self, scenes: list[Scene], **options: Any) -> None:
        self.site.server.scenes[:] = scenes
        async with self.site.client() as client:
            products = await client.search().collect()
        async with Ledger.open(self.paths) as ledger:
            await ledger.run(record_listed, 1, "S2_MSIL2A", [Listed(one, None) for one in products], now=NOW, run=None)
        await self.site.pull(**options)
        async with Ledger.open(self.paths) as ledger:
            await take_in_spool(ledger)

    def change(self, words: str, *values: object) -> None:
        """Change the ledger, as a census or a check would."""
        connection = sqlite3.connect(self.paths.database)
        with connection:
            connection.execute(words, values)
        connection.close()

    def row(self, words: str, *values: object) -> Any:
        connection = sqlite3.connect(self.paths.database)
        try:
            return connection.execute(words, values).fetchone()
        finally:
            connection.close()

    async def prune(self, *words: object) -> Ended:
        return await self._run_cli("prune", "--output", self.folder, "--latest-baseline", *words)

    async def run(self, *words: object) -> Ended:
        return await self._run_cli(*words, "--output", self.folder)

    async def status(self) -> Ended:
        return await self._run_cli("status", "--output", self.folder, "--format", "json")

    def here(self) -> set[str]:
        """Name the archives that are not moved out of the way."""
        return {path.stem for path in self.folder.rglob("*.zip") if ".collgs" not in path.parts}

    def old(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.glob(".collgs/old/**/*.zip"))


@pytest.fixture
async def kept(serve: Callable[..., Any], run_cli: CommandHere) -> Kept:
    return Kept(await serve([]), run_cli)


def pair(count: int = 1) -> tuple[list[Scene], list[Scene]]:
    """So many scenes, and a newer edition of each."""
    older = level2_scenes(count)
    return older, [edition(scene, "0500") for scene in older]


def from_folder(folder: Path, path: Path) -> str:
    return os.path.relpath(path, folder)


MONTH = f"{datetime.now(UTC):%Y-%m}"


@pytest.mark.parametrize("policy", ["move", "delete"])
async def test_what_is_superseded_goes(kept: Kept, policy: str) -> None:
    (older,), (newer,) = pair()
    other = level2_scenes(2)[1]
    await kept.fill([older, newer, other])

    ended = await kept.prune("--superseded", policy, "-v")

    assert ended.code == 0
    assert f"{older.identifier}: {'moved' if policy == 'move' else 'deleted'}\n" in ended.err
    assert kept.here() == {newer.identifier, other.identifier}
    moved = [f".collgs/old/superseded/{MONTH}/{older.identifier}.zip"] if policy == "move" else []
    assert kept.old() == moved
    assert ended.out.split()[:2] == ["superseded", policy]
    assert ended.out.rstrip().endswith(f"{older.identifier}  newer: {newer.identifier}")
    assert len(ended.out.splitlines()) == 1
    async with Ledger.read(kept.paths) as ledger:
        product = await ledger.run(find_product, older.identifier)
        assert product is not None
        events = await ledger.run(attempts_of, product.id)
    assert product.state is State.SUPERSEDED
    assert events[-1].event is (Event.MOVED if policy == "move" else Event.DELETED)
    assert f"superseded by {newer.identifier}" in (events[-1].error or "")
    assert kept.row("SELECT path, size, moving FROM file WHERE product = ?", product.id) == (None, None, None)
    status = json.loads((await kept.status()).out)
    assert status["archives"] == 2
    told = await kept.run("status", older.identifier)
    assert "state         superseded by a newer edition" in told.out
    assert "file          none any more" in told.out
    again = await kept.prune("--superseded", policy)
    assert (again.code, again.out) == (0, "")


async def test_a_dry_run_lists_and_changes_nothing(kept: Kept) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    before = files_in(kept.folder), kept.paths.database.read_bytes()

    ended = await kept.prune("--superseded", "delete", "--dry-run")

    assert ended.code == 0
    assert ended.out.startswith("superseded  delete")
    assert "1 to delete" in ended.err
    assert (files_in(kept.folder), kept.paths.database.read_bytes()) == before


@pytest.mark.parametrize("policy", ["move", "delete"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "another product's", "a link to the older one", "a part"])
async def test_nothing_goes_before_its_successor_was_read_and_is_right(kept: Kept, policy: str, damage: str) -> None:
    """Corrupt the successor first, whatever the ledger says of it."""
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    path = kept.site.archive(newer)
    status = path.stat()
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as when the disk loses bits
    elif damage == "cut":
        path.write_bytes(content[:-1000])
    else:
        path.unlink()
    if damage == "another product's":
        path.write_bytes(kept.site.archive(older).read_bytes())
    elif damage == "a link to the older one":
        path.symlink_to(kept.site.archive(older))
    elif damage == "a part":
        path.with_name(f"{path.name}.part").write_bytes(content)

    ended = await kept.prune("--superseded", policy)

    assert ended.code == 1
    assert f"{older.identifier}: stays: its newer edition {newer.identifier} " in ended.err
    assert is_archive(kept.site.archive(older))
    assert kept.old() == []
    if damage in {"flipped", "cut"}:
        async with Ledger.read(kept.paths) as ledger:
            product = await ledger.run(find_product, newer.identifier)
        assert product is not None
        assert product.state is State.WANTED  # sync repairs it


@pytest.mark.parametrize(("policy", "days", "trusted"), [("move", 29, True), ("move", 31, False), ("delete", 1, False)])
async def test_a_check_of_the_last_30_days_is_enough_to_move(kept: Kept, policy: str, days: int, trusted: bool) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    path = kept.site.archive(newer)
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    read = NOW - days * DAY
    kept.change(
        "UPDATE file SET fetched = ?, checked = ?, how = 'crc' WHERE path = ?",
        read - DAY,
        read,
        f"{newer.identifier}.zip",
    )

    ended = await kept.prune("--superseded", policy)

    assert ended.code == (0 if trusted else 1)
    assert (older.identifier in kept.here()) is not trusted


async def test_a_successor_that_changes_after_it_was_read_saves_the_older_one(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    acquire = ProductLock.acquire

    def acquired(lock: ProductLock) -> bool:
        if older.identifier in lock.path.name:
            kept.site.archive(newer).write_bytes(b"")
        return acquire(lock)

    monkeypatch.setattr(ProductLock, "acquire", acquired)

    ended = await kept.prune("--superseded", "delete")

    assert ended.code == 1
    assert "its newer edition has changed meanwhile" in ended.err
    assert older.identifier in kept.here()
    assert kept.row("SELECT count(*) FROM file WHERE moving IS NOT NULL") == (0,)


@pytest.mark.parametrize(
    "why", ["other ground", "unknown ground", "not listed any more", "members only", "same edition", "Sentinel-1"]
)
async def test_what_is_no_successor(kept: Kept, why: str) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    if why == "other ground":
        far = json.loads(json.dumps(kept.site.server.scenes[1].footprint))
        ring = far["coordinates"][0]
        far["coordinates"][0] = [[x + 0.2, y] for x, y in ring]
        kept.site.server.scenes[1] = replace(newer, footprint=far)
        kept.change("DELETE FROM entry")
        await kept.fill(kept.site.server.scenes[:])
    elif why == "unknown ground":
        kept.change("DELETE FROM entry")
    elif why == "not listed any more":
        kept.change("UPDATE product SET gone = ? WHERE identifier = ?", NOW, newer.identifier)
    elif why == "members only":
        kept.change("UPDATE file SET members = 3 WHERE path = ?", f"{newer.identifier}.zip")
    elif why == "same edition":
        kept.change("UPDATE product SET identifier = ? WHERE identifier = ?", older.identifier + "x", newer.identifier)
    else:
        for number, scene in enumerate((older, newer)):
            name = f"S1A_IW_GRDH_1SDV_20210924T172344_20210924T172409_039825_04B5D2_5F1{number}"
            kept.change("UPDATE product SET identifier = ? WHERE identifier = ?", name, scene.identifier)

    ended = await kept.prune("--superseded", "delete")

    assert (ended.code, ended.out) == (0, "")
    assert kept.here() == {older.identifier, newer.identifier}


async def test_so_many_editions_as_are_asked_for_stay(kept: Kept) -> None:
    scene = level2_scenes(1)[0]
    editions = [edition(scene, "0301", day=2), edition(scene, "0400"), edition(scene, "0500"), edition(scene, "0510")]
    await kept.fill(editions)

    two = await kept.prune("--superseded", "move", "--keep-last", 2)

    assert two.code == 0
    assert kept.here() == {one.identifier for one in editions[2:]}


async def test_one_run_deletes_a_share_only(kept: Kept) -> None:
    older, newer = pair(12)
    await kept.fill([*older, *newer])

    first = await kept.prune("--superseded", "delete")
    left = kept.here() & {scene.identifier for scene in older}
    second = await kept.prune("--superseded", "delete")

    assert (first.code, second.code) == (3, 0)
    assert "10 to delete" in first.err
    assert "2 more wait for later runs" in first.err
    assert len(left) == 2
    assert kept.here() == {scene.identifier for scene in newer}


async def test_the_share_is_of_what_is_here(kept: Kept) -> None:
    older, newer = pair(12)
    await kept.fill([*older, *newer])

    ended = await kept.prune("--superseded", "delete", "--max-delete", "50")

    assert (ended.code, kept.here()) == (0, {scene.identifier for scene in newer})


@pytest.mark.parametrize(("days", "goes"), [(13, False), (15, True)])
async def test_what_was_withdrawn_goes_after_two_weeks(kept: Kept, days: int, goes: bool) -> None:
    scenes = level2_scenes(2)
    await kept.fill(scenes)
    kept.change(
        "UPDATE product SET gone = ?, state = ? WHERE identifier = ?",
        NOW - days * DAY,
        State.WITHDRAWN,
        scenes[0].identifier,
    )

    ended = await kept.prune("--withdrawn", "move")

    assert ended.code == 0
    assert (scenes[0].identifier not in kept.here()) is goes
    assert kept.old() == ([f".collgs/old/withdrawn/{MONTH}/{scenes[0].identifier}.zip"] if goes else [])


@pytest.mark.parametrize("here", [True, False])
async def test_what_was_swapped_is_superseded_and_not_withdrawn(kept: Kept, here: bool) -> None:
    """The catalogue took it away for a newer edition: without that one on the disk, nothing goes."""
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    kept.change(
        "UPDATE product SET gone = ?, state = ? WHERE identifier = ?", NOW - 99 * DAY, State.WITHDRAWN, older.identifier
    )
    if not here:
        kept.site.archive(newer).unlink()
        kept.change("UPDATE file SET path = NULL WHERE path = ?", f"{newer.identifier}.zip")

    withdrawn = await kept.prune("--withdrawn", "delete")
    is_left = older.identifier in kept.here()
    superseded = await kept.prune("--withdrawn", "delete", "--superseded", "delete")

    assert (withdrawn.code, is_left) == (0, True)
    assert superseded.code == 0
    assert (older.identifier in kept.here()) is not here


async def test_what_has_left_a_rolling_range_goes(kept: Kept) -> None:
    scenes = level2_scenes(2)
    await kept.fill(scenes)
    kept.change("UPDATE product SET state = ? WHERE identifier = ?", State.AGED, scenes[0].identifier)

    ended = await kept.prune("--aged", "delete")

    assert (ended.code, kept.here()) == (0, {scenes[1].identifier})


@pytest.mark.parametrize(("days", "begun", "stays"), [(1, 90, True), (61, 90, False), (10, 9, False)])
@pytest.mark.parametrize("policy", ["--aged", "--superseded"])
async def test_what_another_watch_wants_stays_while_that_is_at_work(
    kept: Kept, policy: str, days: int, begun: int, *, stays: bool
) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    kept.change("UPDATE product SET state = ? WHERE identifier = ?", State.AGED, older.identifier)
    kept.change("INSERT INTO watch(id, name, begun) VALUES (1, 'other', 0), (2, 'ours', ?)", NOW - begun * DAY)
    kept.change("INSERT INTO span VALUES (1, 0, 1, 1, 0, ?, ?)", *[NOW - days * DAY] * 2)

    ended = await kept.prune(policy, "delete")

    assert (older.identifier in kept.here()) is stays
    assert ("another configuration of this folder wants" in ended.err) is stays


async def test_without_a_policy_nothing_is_removed(kept: Kept) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])

    ended = await kept.prune()

    assert ended.code == 2
    assert "prune: expected a policy" in ended.err
    assert kept.here() == {older.identifier, newer.identifier}


async def test_what_sync_would_fetch_again_is_not_removed(kept: Kept, run_cli: CommandHere) -> None:
    await kept.fill(level2_scenes(1))

    ended = await run_cli("prune", "--output", kept.folder, "--superseded", "move")

    assert ended.code == 2
    assert "keep.superseded: expected --latest-baseline beside it" in ended.err


async def test_while_a_sync_runs_nothing_is_done(kept: Kept) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    async with FolderLock(kept.paths.sync):
        ended = await kept.prune("--superseded", "move")

    assert ended.code == 4
    assert kept.here() == {older.identifier, newer.identifier}


async def test_a_folder_without_a_ledger_is_left_alone(kept: Kept) -> None:
    kept.folder.mkdir()

    ended = await kept.prune("--superseded", "move")

    assert ended.code == 2
    assert "expected a folder with a ledger, found none" in ended.err
    assert list(kept.folder.iterdir()) == []


async def test_nothing_is_retried_where_no_ledger_is(kept: Kept) -> None:
    kept.folder.mkdir()

    ended = await kept.run("retry")

    assert ended.code == 2
    assert "expected a folder with a ledger, found none" in ended.err
    assert list(kept.folder.iterdir()) == []


async def test_what_lies_beside_it_goes_along_and_is_marked(kept: Kept) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer], keep={"layout": "{year}/{tile}"})
    (path,) = kept.folder.rglob(f"{older.identifier}.zip")
    item = {"type": "Feature", "properties": {"x": 1}, "links": [{"rel": "parent", "href": "./catalog.json"}]}
    path.with_name(f"{older.identifier}.stac.json").write_text(json.dumps(item))
    path.with_name(f"{older.identifier}.png").write_bytes(b"png")

    ended = await kept.prune("--superseded", "move")

    assert ended.code == 0
    where = kept.folder / ".collgs/old/superseded" / MONTH / path.relative_to(kept.folder).parent
    endings = (".png", ".stac.json", ".zip")
    assert sorted(one.name for one in where.iterdir()) == [f"{older.identifier}{ending}" for ending in endings]
    marked = json.loads((where / f"{older.identifier}.stac.json").read_text())
    assert marked["properties"] == {"x": 1, "deprecated": True}
    assert marked["stac_extensions"] == ["https://stac-extensions.github.io/version/v1.2.0/schema.json"]
    (link,) = marked["links"]
    assert link["rel"] == "successor-version"
    (successor,) = kept.folder.rglob(f"{newer.identifier}.zip")
    assert link["href"] == from_folder(where, successor.with_name(f"{newer.identifier}.stac.json"))


@pytest.mark.parametrize("kind", ["symbolic link", "another run is fetching it", "is not there"])
async def test_what_cannot_be_removed_stays(kept: Kept, kind: str) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    path = kept.site.archive(older)
    lock = ProductLock(path.with_name(f"{path.name}.part"))
    if kind == "symbolic link":
        path.rename(kept.folder.parent / path.name)
        path.symlink_to(kept.folder.parent / path.name)
    elif kind == "is not there":
        path.unlink()
    else:
        assert lock.acquire()

    ended = await kept.prune("--superseded", "delete")
    lock.release()

    assert ended.code == 1
    assert kind in ended.err
    assert kind == "is not there" or path.exists()


# ----------------------------------------------------------------------------------------------- killed meanwhile


@pytest.mark.parametrize("policy", ["move", "delete"])
@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_each_step_the_next_run_goes_on(kept: Kept, policy: str, after: bool) -> None:
    older, newer = pair(3)
    await kept.fill([*older, *newer])
    for scene in older:
        kept.site.archive(scene).with_name(f"{scene.identifier}.stac.json").write_text('{"properties": {}}')
    right = {scene.identifier for scene in newer}
    kills = 0
    for at in range(100):
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, at, after=after)
            with suppress(Killed):
                ended = await kept.prune("--superseded", policy)
                assert killer.came or ended.code == 0
        kills += killer.came
        remove_locks(kept.folder)
        assert right <= kept.here()
        here, old = kept.here() - right, {Path(path).stem for path in kept.old()}
        assert not here & old
        if policy == "move":
            assert here | old == {scene.identifier for scene in older}  # each is in one of both places
        if not killer.came:
            break

    assert kills > 8
    assert (await kept.prune("--superseded", policy)).code == 0
    assert kept.here() == right
    assert kept.row("SELECT count(*) FROM file WHERE moving IS NOT NULL") == (0,)
    stac = [path for path in kept.folder.rglob("*.stac.json") if ".collgs" not in path.parts]
    assert stac == []
    assert kept.row("SELECT count(*) FROM file WHERE path IS NOT NULL") == (3,)


async def test_what_was_moved_away_is_not_verified_any_more(kept: Kept, run_cli: CommandHere) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer])
    await kept.prune("--superseded", "move")
    (moved,) = kept.folder.glob(".collgs/old/**/*.zip")
    moved.write_bytes(b"rotten")

    ended = await run_cli("verify", kept.folder)

    assert ended.code == 0
    assert "1 checked" in ended.err


async def test_the_catalogs_of_folders_are_written_anew(kept: Kept) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older, newer], keep={"stac": True})
    before = json.loads((kept.folder / "catalog.json").read_text())

    await kept.prune("--superseded", "move")

    after = json.loads((kept.folder / "catalog.json").read_text())
    items = [[link["href"] for link in one["links"] if link["rel"] == "item"] for one in (before, after)]
    assert len(items[0]) == 2
    assert items[1] == [f"./{newer.identifier}.stac.json"]
    (item,) = kept.folder.glob(".collgs/old/**/*.stac.json")
    assert json.loads(item.read_text())["properties"]["deprecated"] is True


@pytest.mark.parametrize("policy", ["move", "delete"])
async def test_members_of_an_older_edition_go_too(kept: Kept, policy: str) -> None:
    (older,), (newer,) = pair()
    await kept.fill([older], members=["*_MSIL2A.xml"])
    tree = kept.folder / f"{older.identifier}.parts"
    assert tree.is_dir()
    await kept.fill([older, newer])
    kept.site.archive(older).unlink()
    kept.change("UPDATE file SET path = ?, members = 1 WHERE path = ?", tree.name, f"{older.identifier}.zip")
    tree.mkdir(exist_ok=True)
    (tree / "parts.json").write_text("{}")

    ended = await kept.prune("--superseded", policy)

    assert ended.code == 0
    assert not tree.exists()
    assert (kept.folder / ".collgs/old/superseded" / MONTH / tree.name / "parts.json").exists() is (policy == "move")


async def test_a_run_that_is_ended_is_noted_as_ended(kept: Kept) -> None:
    await kept.fill(level2_scenes(1))
    begun = asyncio.Event()

    async def run() -> None:
        async with ExclusiveRun(kept.paths, "prune"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert kept.row("SELECT words, code FROM run WHERE ended IS NULL") is None
    assert kept.row("SELECT words, code FROM run ORDER BY id DESC LIMIT 1") == ("prune", None)
    assert (await kept.prune("--aged", "move")).code == 0
