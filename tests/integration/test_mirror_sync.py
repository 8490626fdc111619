"""``sync`` makes a folder equal to what the catalogue lists, and fetches nothing twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from collgs_async import Client, Config
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.history import History, Rates
from collgs_async.demo.server import DemoServer
from collgs_async.mirror.sync import Sync

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from collgs_async.mirror.result import SyncResult

NOW = datetime(2023, 7, 1, tzinfo=UTC)
BUSY = Rates(late=0.2, swapped=0.4, replaced=0.3, withdrawn=0.1, returning=0.2)


@cache
def scenes() -> list[Scene]:
    found = make_constellation(tiles=("31UFR",), first=date(2021, 9, 1), last=date(2022, 1, 31), size=1000)
    return [scene for scene in found if scene.collection == "S2_MSIL2A"]


def config_of(server: DemoServer, folder: Path, **settings: Any) -> Config:
    return Config.create(
        base_url=f"{server.origin}/catalog/oseo/search",
        collection="S2_MSIL2A",
        output_directory=folder,
        page_size=20,
        **settings,
    )


async def sync(
    server: DemoServer, folder: Path, now: datetime = NOW, *, believe: bool = False, **settings: Any
) -> SyncResult:
    async with Client(config_of(server, folder, **settings)) as client:
        return await Sync(client, believe=believe, clock=lambda: now).run()


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
