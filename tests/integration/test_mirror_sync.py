"""``sync`` makes a folder equal to what the catalogue lists, and fetches nothing twice."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, Config
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.history import History, Rates
from collgs_async.demo.server import DemoServer
from collgs_async.errors import AlreadyRunningError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.records import State
from collgs_async.mirror.retry import Retry
from collgs_async.mirror.sync import Sync
from collgs_async.models import parameter_values

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from collgs_async.mirror.result import SyncResult

NOW = datetime(2023, 7, 1, tzinfo=UTC)
BUSY = Rates(late=0.2, swapped=0.4, replaced=0.3, withdrawn=0.1, returning=0.2)


@cache
def scenes() -> list[Scene]:
    found = make_constellation(tiles=("31UFR",), first=date(2021, 9, 1), last=date(2022, 1, 31), size=1000)
    return [scene for scene in found if scene.collection == "S2_MSIL2A"][:40]


def config_of(server: DemoServer, folder: Path, **settings: Any) -> Config:
    return Config.create(
        base_url=f"{server.origin}/catalog/oseo/search",
        collection="S2_MSIL2A",
        output_directory=folder,
        page_size=20,
        **settings,
    )


async def sync(
    server: DemoServer,
    folder: Path,
    now: datetime = NOW,
    *,
    believe: bool = False,
    ignore_missing: bool = False,
    **settings: Any,
) -> SyncResult:
    async with Client(config_of(server, folder, **settings)) as client:
        return await Sync(client, believe=believe, ignore_missing=ignore_missing, clock=lambda: now).run()


def archives(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.zip")}


def names(listed: list[Scene]) -> set[str]:
    return {scene.identifier for scene in listed}


def fetched(server: DemoServer) -> int:
    return sum(record.sent for record in server.requests if record.path.endswith(".zip"))


async def test_day_by_day_all_that_is_listed_is_here_and_nothing_comes_twice(tmp_path: Path) -> None:
    history, folder = History(scenes(), rates=BUSY), tmp_path / "out"
    ever: set[str] = set()
    async with DemoServer([], tmp_path / "store", page_maximum=20) as server:
        for day in range(0, 300, 37):
            server.scenes[:] = history.at(history.day(day))
            before = archives(folder)
            result = await sync(server, folder, history.day(day))
            ever |= names(server.scenes)
            assert result.code == 0
            assert archives(folder) == ever
            assert result.report is not None
            assert result.report.downloaded == len(ever - before) == result.new


async def test_a_second_run_downloads_nothing(tmp_path: Path) -> None:
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        first = await sync(server, tmp_path / "out")
        second = await sync(server, tmp_path / "out", NOW + timedelta(days=1))
        assert (first.code, second.code) == (0, 0)
        assert second.report is not None
        assert second.report.found == 0
        assert second.new == 0


async def states(server: DemoServer, folder: Path) -> dict[str, State]:
    async with Ledger.read(LedgerPaths.of(config_of(server, folder))) as ledger:
        rows = await ledger.run(
            lambda connection: connection.execute("SELECT identifier, state FROM product").fetchall()
        )
    return {name: State(state) for name, state in rows}


async def test_archives_that_are_here_are_adopted_without_a_byte(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        shutil.rmtree(folder / ".collgs")
        server.forget()
        result = await sync(server, folder)
        assert result.code == 0
        assert result.report is not None
        assert (result.report.downloaded, result.report.skipped) == (0, len(scenes()))
        assert fetched(server) == 0
        assert set((await states(server, folder)).values()) == {State.HELD}


async def test_an_archive_that_was_removed_comes_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        removed, cut = sorted(folder.glob("*.zip"))[:2]
        removed.unlink()
        cut.write_bytes(cut.read_bytes()[:-10])
        result = await sync(server, folder, NOW + timedelta(days=1))
        assert (result.code, result.disk.wanted) == (0, 2)
        assert result.report is not None
        assert result.report.downloaded == 2
        assert archives(folder) == names(scenes())


async def test_a_folder_with_the_name_of_an_archive_is_no_archive(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        replaced = min(folder.glob("*.zip"))
        replaced.unlink()
        replaced.mkdir()
        result = await sync(server, folder, NOW + timedelta(days=1))
        assert (result.code, result.disk.wanted) == (1, 1)
        assert result.report is not None
        assert result.report.failed == 1


def members(folder: Path, band: str) -> list[Path]:
    return sorted(folder.glob(f"*.parts/**/*_{band}_10m.jp2"))


async def test_other_members_come_when_they_are_asked_for_or_were_removed(tmp_path: Path) -> None:
    folder, few = tmp_path / "out", [replace(scene, size=20_000) for scene in scenes()[:5]]
    async with DemoServer(few, tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder, bands="B02")
        again = await sync(server, folder, NOW + timedelta(days=1), bands="B02,B03")
        assert (again.code, len(members(folder, "B03"))) == (0, 5)

        removed = members(folder, "B02")[0]
        removed.unlink()
        server.forget()
        again = await sync(server, folder, NOW + timedelta(days=2), bands="B02,B03")
        assert (again.code, len(members(folder, "B02"))) == (0, 5)
        assert {record.path.rpartition("/")[2][:-4] for record in server.requests if record.path.endswith(".zip")} == {
            next(path.name for path in removed.parents if path.name.endswith(".parts")).removesuffix(".parts")
        }

        result = await sync(server, folder, NOW + timedelta(days=3))
        assert result.code == 0
        assert archives(folder) == names(few)


async def test_a_folder_that_has_lost_much_is_not_filled_again_unless_that_is_believed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        for path in folder.glob("*.zip"):
            path.unlink()
        server.forget()
        result = await sync(server, folder, NOW + timedelta(days=1))
        assert (result.code, fetched(server)) == (1, 0)
        believed = await sync(server, folder, NOW + timedelta(days=2), believe=True)
        assert believed.code == 0
        assert archives(folder) == names(scenes())


async def test_a_product_that_fails_is_tried_again_when_it_is_due_or_by_retry(tmp_path: Path) -> None:
    folder, faulty = tmp_path / "out", scenes()[0].identifier
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        server.apply_fault(faulty, FAULTS["missing"])
        first = await sync(server, folder)
        second = await sync(server, folder, NOW + timedelta(days=1))
        assert (first.code, second.code) == (1, 1)
        assert second.left.final == 1
        assert second.report is not None
        assert second.report.found == 0
        async with Client(config_of(server, folder)) as client:
            other = await Retry(client, kind="IntegrityError", clock=lambda: NOW + timedelta(days=2)).run()
            server.apply_fault(faulty, replace(FAULTS["missing"], times=0))
            retried = await Retry(client, kind="NotAvailableError", clock=lambda: NOW + timedelta(days=3)).run()
        assert other.report is not None
        assert other.report.found == 0
        assert retried.report is not None
        assert (retried.code, retried.report.downloaded) == (0, 1)
        assert (await sync(server, folder, NOW + timedelta(days=4))).code == 0


async def test_what_another_selection_leaves_out_is_wanted_as_before(tmp_path: Path) -> None:
    folder, faulty = tmp_path / "out", scenes()[0].identifier
    other = "S2B" if faulty.startswith("S2A") else "S2A"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        server.apply_fault(faulty, FAULTS["missing"])
        assert (await sync(server, folder)).left.final == 1
        assert (await sync(server, folder, NOW + timedelta(days=1), platform=other)).code == 0
        server.apply_fault(faulty, replace(FAULTS["missing"], times=0))
        server.apply_fault("catalogue", replace(FAULTS["catalogue-500"], times=1))
        unlisted = await sync(server, folder, NOW + timedelta(days=2), retries=1, outage=0)
        assert (unlisted.code, unlisted.left.final) == (1, 1)
        server.apply_fault("catalogue", replace(FAULTS["catalogue-500"], times=0))
        assert (await sync(server, folder, NOW + timedelta(days=3), platform=other)).code == 0
        async with Client(config_of(server, folder)) as client:
            retried = await Retry(client, clock=lambda: NOW + timedelta(days=4)).run()
        assert retried.code == 0
        assert archives(folder) == names(scenes())


async def test_what_another_selection_leaves_out_is_not_missed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        await sync(server, folder, NOW + timedelta(days=1), platform="S2B")
        left_out = min(folder.glob("S2A*.zip"))
        left_out.unlink()
        result = await sync(server, folder, NOW + timedelta(days=2), platform="S2B")
        assert (result.code, result.disk.wanted, left_out.exists()) == (0, 0, False)
        assert (await sync(server, folder, NOW + timedelta(days=3))).code == 0
        assert archives(folder) == names(scenes())


async def test_what_the_user_has_removed_stays_away_if_he_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        removed = min(folder.glob("*.zip"))
        removed.unlink()
        server.forget()
        first = await sync(server, folder, NOW + timedelta(days=1), ignore_missing=True)
        second = await sync(server, folder, NOW + timedelta(days=2))
        assert (first.code, first.disk.removed, second.code, second.disk.wanted) == (0, 1, 0, 0)
        assert (fetched(server), removed.exists()) == (0, False)
        assert (await states(server, folder))[removed.stem] is State.EXCLUDED
        async with Client(config_of(server, folder)) as client:
            await client.download_all()
        third = await sync(server, folder, NOW + timedelta(days=3))
        assert (third.code, third.new, removed.exists()) == (0, 0, True)
        assert (await states(server, folder))[removed.stem] is State.HELD
        removed.unlink()
        assert (await sync(server, folder, NOW + timedelta(days=4))).disk.wanted == 1


async def test_only_what_is_not_here_at_all_was_removed_and_it_may_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        removed, cut = sorted(folder.glob("*.zip"))[:2]
        kept = removed.rename(tmp_path / "kept.zip")
        cut.write_bytes(cut.read_bytes()[:-10])
        server.forget()
        first = await sync(server, folder, NOW + timedelta(days=1), ignore_missing=True)
        assert (first.code, first.disk.removed, first.disk.wanted) == (0, 1, 1)
        assert archives(folder) == names(scenes()) - {removed.stem}
        moved = fetched(server)
        kept.rename(removed)
        second = await sync(server, folder, NOW + timedelta(days=2))
        assert (second.code, set((await states(server, folder)).values())) == (0, {State.HELD})
        assert fetched(server) == moved


async def test_a_folder_without_any_archive_was_not_emptied_by_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes()[:3], tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        for path in folder.glob("*.zip"):
            path.unlink()
        refused = await sync(server, folder, NOW + timedelta(days=1), ignore_missing=True)
        assert (refused.code, refused.disk.is_refused) == (1, True)
        believed = await sync(server, folder, NOW + timedelta(days=2), ignore_missing=True, believe=True)
        assert (believed.code, believed.disk.removed, archives(folder)) == (0, 3, set())


@pytest.mark.parametrize("name", ["catalogue-html", "catalogue-500", "catalogue-empty"])
async def test_a_catalogue_in_trouble_marks_nothing_as_gone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        for day in (1, 2, 3):
            server.apply_fault("catalogue", replace(FAULTS[name], times=50))
            result = await sync(server, folder, NOW + timedelta(days=day), retries=1, outage=0)
            assert result.code == 1
            assert result.census.gone == []
            assert set((await states(server, folder)).values()) == {State.HELD}


async def test_a_second_sync_does_nothing_and_a_download_beside_it_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        config = config_of(server, folder)
        async with FolderLock(LedgerPaths.of(config).sync):
            server.forget()
            with pytest.raises(AlreadyRunningError):
                await sync(server, folder)
            assert server.requests == []
        async with Client(config) as client:
            result, report = await asyncio.gather(sync(server, folder), client.download_all())
        assert report.ok
        assert archives(folder) == names(scenes())
        again = await sync(server, folder, NOW + timedelta(days=1))
        assert again.code == 0
        assert fetched(server) <= 2 * sum(path.stat().st_size for path in folder.glob("*.zip"))
        assert set((await states(server, folder)).values()) == {State.HELD}
        assert result.code in {0, 1}  # what the download was fetching was not here yet


async def test_only_the_newest_baseline_is_fetched_and_an_older_one_when_that_goes(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    groups: dict[str, list[Scene]] = {}
    for scene in scenes():
        groups.setdefault(scene.identifier[:26] + scene.identifier[33:44], []).append(scene)
    old, new = next(sorted(group, key=lambda one: one.made_at) for group in groups.values() if len(group) == 2)
    others = [group[0] for group in groups.values() if len(group) == 1][:10]
    async with DemoServer([old, *others], tmp_path / "store", page_maximum=20) as server:
        first = await sync(server, folder, latest_baseline=True)
        assert first.new == 11
        server.scenes.append(new)
        await sync(server, folder, NOW + timedelta(days=1), latest_baseline=True)
        assert archives(folder) == names([old, new, *others])
        found = await states(server, folder)
        assert (found[old.identifier], found[new.identifier]) == (State.SUPERSEDED, State.HELD)
        (folder / f"{old.identifier}.zip").unlink()
        await sync(server, folder, NOW + timedelta(days=2), latest_baseline=True)
        assert old.identifier not in archives(folder)
        server.scenes.remove(new)
        await sync(server, folder, NOW + timedelta(days=3), latest_baseline=True)
        assert old.identifier in archives(folder)


async def test_without_latest_baseline_all_editions_stay_wanted_when_one_goes(tmp_path: Path) -> None:
    first = scenes()[0]
    newer = [replace(first, identifier=first.identifier.replace("_N0400_", f"_N{one}_")) for one in ("0510", "0511")]
    folder = tmp_path / "out"
    async with DemoServer([*scenes(), *newer], tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        server.scenes.pop()
        for day in (1, 2):
            assert (await sync(server, folder, NOW + timedelta(days=day))).code == 0
            found = await states(server, folder)
            assert [found[one.identifier] for one in (first, newer[0])] == [State.HELD, State.HELD]
        assert found[newer[1].identifier] is State.WITHDRAWN


async def test_a_rolling_mirror_tells_age_from_going(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, today = tmp_path / "out", datetime.now(UTC)
    whole = sorted(scenes(), key=lambda scene: scene.start)
    since = f"{(today - whole[0].start).days + 1}d"

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Later:
            return cls.fromtimestamp((today + timedelta(days=20)).timestamp(), tz)

    async with DemoServer(whole, tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder, today, start=since)
        monkeypatch.setattr(parameter_values, "datetime", Later)
        result = await sync(server, folder, today + timedelta(days=20), start=since)
        begin = (today + timedelta(days=20)).date() - timedelta(days=int(since[:-1]))
        left = names([scene for scene in whole if scene.start.date() < begin])
        assert left
        assert (result.code, result.census.aged, result.census.gone) == (0, len(left), [])
        found = await states(server, folder)
        assert {name for name, state in found.items() if state is State.AGED} == left
        assert archives(folder) == names(whole)


async def test_a_clock_that_was_set_back_is_told_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        await sync(server, folder)
        server.scenes.pop()
        result = await sync(server, folder, NOW - timedelta(days=400))
        assert result.census.gone == []
        assert "the clock is behind" in caplog.text


async def test_a_rehearsal_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told: list[tuple[str, str]] = []
    async with DemoServer(scenes(), tmp_path / "store", page_maximum=20) as server:
        async with Client(config_of(server, folder)) as client:
            await Sync(client).rehearse(lambda kind, product: told.append((kind, product.identifier)))
        assert not folder.exists()
        assert {name for kind, name in told if kind == "new"} == names(scenes())
        await sync(server, folder)
        before = (folder / ".collgs" / "ledger.sqlite").read_bytes()
        gone = server.scenes.pop().identifier
        told.clear()
        async with Client(config_of(server, folder)) as client:
            work = Sync(client, clock=lambda: NOW + timedelta(days=3))
            await work.rehearse(lambda *_: None, lambda kind, name: told.append((kind, name)))
        assert told == [("absent", gone)]
        assert (folder / ".collgs" / "ledger.sqlite").read_bytes() == before
