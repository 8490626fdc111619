"""Shards of a selection: together they are all that one run would have, each product once, in mirrors as well."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, Config
from collgs_async.demo.server import DemoServer
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.overview import read_overview
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.records import State
from collgs_async.mirror.retry import Retry
from collgs_async.mirror.sync import Sync
from collgs_async.models.shard import OTHER_SHARD, Shard
from tests.conftest import fault, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from collgs_async.mirror.result import SyncResult

COUNT = 3
NOW = datetime(2023, 7, 1, tzinfo=UTC)


def editions(count: int) -> list[Scene]:
    """Two reprocessings of each of so many acquisitions."""
    return [
        replace(scene, identifier=f"S2A_MSIL2A_{scene.start:%Y%m%dT%H%M%S}_{baseline}_R008_T31UGR_{made}T000000")
        for scene in level2_scenes(count, size=1000)
        for baseline, made in (("N0301", "20210901"), ("N0500", "20230701"))
    ]


async def chosen(site: Any, **settings: Any) -> tuple[list[str], Counter[str], list[str], int | None]:
    config = Config.create(base_url=site.server.url, collection="S2_MSIL2A", output_directory=site.folder, **settings)
    async with Client(config, sleep=site.sleeps) as client:
        results = client.search()
        found = [product.identifier async for product in results]
    return found, results.excluded, results.missing, results.expected


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"count": 7},
        {"latest_baseline": True},
        {"latest_baseline": True, "count": 5},
        {"best_per": "day"},
        {"months": "1-12", "count": 9},
        {"ids": ["S2A_NOT_THERE", "S2A_NOR_THIS", *(scene.identifier for scene in editions(6)[:8])]},
    ],
    ids=str,
)
async def test_all_shards_together_are_what_is_selected_without_them(
    serve: Callable[..., Any], wanted: dict[str, Any]
) -> None:
    site = await serve(editions(6), page_maximum=4)
    everything, left_out, missing, _ = await chosen(site, **wanted)

    parts = [await chosen(site, **wanted, shard=f"{number}/{COUNT}") for number in range(1, COUNT + 1)]

    assert sorted(everything) == sorted(name for names, *_ in parts for name in names)
    assert sorted(missing) == sorted(name for *_, lacking, _ in parts for name in lacking)
    for number, (names, excluded, _, expected) in enumerate(parts, start=1):
        assert names == [name for name in everything if name in Shard(number, COUNT)]
        assert excluded == left_out + Counter({OTHER_SHARD: len(everything) - len(names)})
        assert len(names) == expected


# ---------------------------------------------------------------------------------------------------------- mirrors


def config_of(server: DemoServer, folder: Path, **settings: Any) -> Config:
    url = f"{server.origin}/catalog/oseo/search"
    return Config.create(base_url=url, collection="S2_MSIL2A", output_directory=folder, page_size=20, **settings)


async def sync(server: DemoServer, folder: Path, *, day: int = 0, **settings: Any) -> SyncResult:
    async with Client(config_of(server, folder, **settings)) as client:
        return await Sync(client, clock=lambda: NOW + timedelta(days=day)).run()


async def states(server: DemoServer, folder: Path) -> dict[str, State]:
    async with Ledger.read(LedgerPaths.of(config_of(server, folder))) as ledger:
        rows = await ledger.run(
            lambda connection: connection.execute("SELECT identifier, state FROM product").fetchall()
        )
    return {name: State(state) for name, state in rows}


def archives(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.zip")}


def own(scenes: list[Scene], number: int, count: int = 2) -> set[str]:
    return {scene.identifier for scene in scenes if scene.identifier in Shard(number, count)}


async def test_mirrors_of_shards_have_all_and_count_what_the_others_have(tmp_path: Path) -> None:
    scenes = level2_scenes(12, size=1000)
    async with DemoServer(scenes, tmp_path / "store") as server:
        for number in (1, 2):
            mine, folder = own(scenes, number), tmp_path / f"out{number}"

            first = await sync(server, folder, shard=f"{number}/2")
            again = await sync(server, folder, day=1, shard=f"{number}/2")

            assert mine == archives(folder)
            assert (0, 0) == (first.code, again.code)
            assert (12, 12 - len(mine), 12 - len(mine)) == (first.new, first.unwanted, first.others)
            assert (0, 0, 0) == (again.new, again.left.wanted, again.census.loss.absent)
            async with Ledger.read(LedgerPaths.of(config_of(server, folder))) as ledger:
                overview = await ledger.run(read_overview)
            assert {OTHER_SHARD: 12 - len(mine)} == overview.unwanted
        assert 12 == sum(hit.path.endswith(".zip") and hit.status == 200 for hit in server.requests)


async def test_shards_of_a_mirror_share_a_folder_one_after_the_other(tmp_path: Path) -> None:
    scenes, folder = level2_scenes(12, size=1000), tmp_path / "out"
    async with DemoServer(scenes, tmp_path / "store") as server:
        for day in range(2):
            for number in (1, 2):
                result = await sync(server, folder, day=day, shard=f"{number}/2")
                assert (0, 0) == (result.code, result.left.wanted)

        assert {scene.identifier for scene in scenes} == archives(folder)
        assert 12 == sum(hit.path.endswith(".zip") and hit.status == 200 for hit in server.requests)
        assert {State.HELD} == set((await states(server, folder)).values())


async def test_retry_tries_what_failed_of_its_own_shard_only(tmp_path: Path) -> None:
    scenes, folder = level2_scenes(12, size=1000), tmp_path / "out"
    broken = {scene.identifier: fault("missing") for scene in scenes}
    async with DemoServer(scenes, tmp_path / "store", faults=broken) as server:
        first = await sync(server, folder, shard="1/2")
        for scene in scenes:
            server.apply_fault(scene.identifier, replace(fault("missing"), times=0))
        async with Client(config_of(server, folder, shard="1/2")) as client:
            again = await Retry(client, clock=lambda: NOW + timedelta(days=1)).run()

        mine = own(scenes, 1)
        assert (1, len(mine)) == (first.code, first.left.waiting + first.left.final)
        assert (0, len(mine)) == (again.code, again.report.downloaded if again.report else None)
        assert mine == archives(folder)


async def test_a_newer_edition_of_another_shard_counts_whenever_it_is_listed(tmp_path: Path) -> None:
    """The older one is here, and stays; it is wanted again when the newer one goes. That one never comes here."""
    pairs = editions(12)
    old, new = next(
        (one, other)
        for one, other in zip(pairs[::2], pairs[1::2], strict=True)
        if one.identifier in Shard(1, 2) and other.identifier in Shard(2, 2)
    )
    others = [scene for scene in level2_scenes(40, size=1000)[20:] if scene.identifier in Shard(1, 2)]
    folder = tmp_path / "out"
    settings: dict[str, Any] = {"latest_baseline": True, "shard": "1/2"}
    async with DemoServer([old, *others], tmp_path / "store") as server:
        await sync(server, folder, **settings)
        assert old.identifier in archives(folder)

        server.scenes.append(new)
        await sync(server, folder, day=1, **settings)
        found = await states(server, folder)
        assert (State.SUPERSEDED, State.EXCLUDED) == (found[old.identifier], found[new.identifier])

        server.scenes.remove(new)
        server.scenes.remove(old)
        server.scenes.append(old)
        await sync(server, folder, day=2, **settings)
        await sync(server, folder, day=4, **settings)
        found = await states(server, folder)
        assert (State.HELD, State.WITHDRAWN) == (found[old.identifier], found[new.identifier])
        assert new.identifier not in archives(folder)
