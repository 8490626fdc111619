"""After a census the ledger knows what the catalogue lists, whatever has come and gone in between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest

from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.history import History, Rates
from collgs_async.demo.server import DemoServer
from tests.support.mirror import watching

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene

BUSY = Rates(late=0.2, swapped=0.4, replaced=0.3, withdrawn=0.1, returning=0.2)
NOW = datetime(2023, 7, 1, tzinfo=UTC)


@cache
def scenes() -> list[Scene]:
    found = make_constellation(tiles=("31UFR",), first=date(2021, 9, 1), last=date(2022, 3, 31), size=1000)
    return [scene for scene in found if scene.collection == "S2_MSIL2A"]


def names(listed: list[Scene]) -> set[str]:
    return {scene.identifier for scene in listed}


@pytest.mark.parametrize("seed", [0, 1])
async def test_all_that_is_listed_is_known_after_each_run(tmp_path: Path, seed: int) -> None:
    history = History(scenes(), seed=seed, rates=BUSY)
    async with (
        DemoServer([], tmp_path / "store", page_maximum=20) as server,
        watching(server, tmp_path / "out") as watch,
    ):
        for day in range(0, 400, 29):
            server.scenes[:] = history.at(history.day(day))
            report = await watch.census(history.day(day))
            assert report.error is None
            assert report.refused is None
            assert report.whole
            assert await watch.believed() == names(server.scenes)


async def test_a_product_is_taken_for_gone_at_the_second_listing_without_it(tmp_path: Path) -> None:
    listed = scenes()[:30]
    async with (
        DemoServer(listed, tmp_path / "store", page_maximum=20) as server,
        watching(server, tmp_path / "out") as watch,
    ):
        await watch.census(NOW)
        server.scenes.remove(listed[3])
        first = await watch.census(NOW + timedelta(days=1))
        again = await watch.census(NOW + timedelta(days=1, hours=1))
        second = await watch.census(NOW + timedelta(days=2))
        assert (first.gone, again.gone, second.gone) == ([], [], [listed[3].identifier])


async def test_a_catalogue_that_lost_a_tenth_is_not_believed(tmp_path: Path) -> None:
    listed = scenes()
    async with (
        DemoServer(listed, tmp_path / "store", page_maximum=20) as server,
        watching(server, tmp_path / "out") as watch,
    ):
        await watch.census(NOW)
        server.scenes[:] = listed[: len(listed) // 2]
        for day in (1, 2, 3):
            report = await watch.census(NOW + timedelta(days=day))
            assert report.refused is not None
            assert report.gone == []
        assert await watch.believed() == names(listed)
        await watch.census(NOW + timedelta(days=4), believe=True)
        assert await watch.believed() == names(server.scenes)


async def test_an_empty_answer_is_not_believed_even_of_a_few(tmp_path: Path) -> None:
    async with (
        DemoServer(scenes()[:3], tmp_path / "store") as server,
        watching(server, tmp_path / "out") as watch,
    ):
        await watch.census(NOW)
        server.scenes.clear()
        report = await watch.census(NOW + timedelta(days=1))
        assert report.refused is not None
        assert len(await watch.believed()) == 3
