"""After a census the ledger knows what the catalogue lists, whatever has come and gone in between."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.catalogue.spans import Span
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.dialects import Dialect
from collgs_async.demo.history import History, Rates
from collgs_async.demo.server import DemoServer
from collgs_async.models.product import RawTimes
from tests.support.mirror import watching

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from collgs_async.catalogue.search import Search
    from collgs_async.demo.scenes import Scene
    from collgs_async.models.product import Product
    from collgs_async.models.query import Query

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


class Timeless:
    """A search that does not list a product by time, since the catalogue has no time of it."""

    def __init__(self, search: Search, hidden: Scene) -> None:
        self._search = search
        self._hidden = hidden
        span = Span.of(search._parameters)
        self._is_limited = span != Span()
        self._is_within = (span.start or hidden.start) <= hidden.start <= (span.end or hidden.start)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._search, name)

    @property
    def total(self) -> int | None:
        total = self._search.total
        return total if total is None or not (self._is_limited and self._is_within) else total - 1

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        async with aclosing(aiter(self._search)) as products:
            async for product in products:
                if product.identifier != self._hidden.identifier:
                    yield product
                elif not self._is_limited:
                    yield replace(product, raw=RawTimes())


def timeless(search: Callable[[Query], Search], hidden: Scene, query: Query) -> Timeless:
    return Timeless(search(query), hidden)


async def test_products_without_a_time_are_known_where_all_is_listed_and_else_missed_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = sorted(scenes(), key=lambda scene: scene.start)
    hidden = listed[-1]
    async with DemoServer(listed, tmp_path / "store", page_maximum=5) as server:
        for requests, outside in ((500, 0), (24, 1)):
            async with watching(server, tmp_path / str(requests), requests=requests, page=5) as watch:
                search = partial(timeless, watch.client.catalogue.search, hidden)
                monkeypatch.setattr(watch.client.catalogue, "search", search)
                for day in range(12):
                    report = await watch.census(NOW + timedelta(days=day))
                assert names(listed) - await watch.believed() == (names([hidden]) if outside else set())
                assert report.outside == outside


async def test_a_large_catalogue_without_totals_is_known_and_what_was_made_lately_at_once(tmp_path: Path) -> None:
    listed = sorted((one for one in scenes() if one.made_at < NOW), key=lambda scene: scene.start)
    late = replace(listed[10], made=NOW + timedelta(days=12))
    dialect = Dialect(total=False)
    async with (
        DemoServer(
            [one for one in listed if one is not listed[10]], tmp_path / "store", page_maximum=5, dialect=dialect
        ) as server,
        watching(server, tmp_path / "out", requests=8, page=5) as watch,
    ):
        for day in range(12):
            report = await watch.census(NOW + timedelta(days=day))
        assert (report.error, report.unread) == (None, 0)
        assert await watch.believed() == names(server.scenes)
        gone = server.scenes.pop(40)
        server.scenes.append(late)
        await watch.census(NOW + timedelta(days=13))
        assert late.identifier in await watch.believed()
        dated = [record.status for record in server.requests if "creationDate" in record.query]
        assert dated
        assert set(dated) == {200}
        for day in range(14, 28):
            await watch.census(NOW + timedelta(days=day))
        assert gone.identifier not in await watch.believed()
