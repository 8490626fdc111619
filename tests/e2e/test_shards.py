"""Several processes at one store, as an array job has them, each with a shard: nothing fails, nothing comes twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.models.shard import Shard
from tests.conftest import HANGS, fault, level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, at_url, originals, stored_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command, CommandHere

SHARDS = FLOWS = 4
PRODUCTS = 24
"""Of each shard more than flows, so that a process that runs alone for a while is refused, too."""


@pytest.mark.parametrize("is_shared", [True, False], ids=["one folder", "four folders"])
async def test_four_processes_share_a_store_of_four_flows_and_lose_nothing(
    serve: Callable[..., Any], command: Command, *, is_shared: bool
) -> None:
    scenes = stored_scenes(PRODUCTS, 150_000)
    busy = {scene.identifier: fault("503") for scene in scenes[::5]}
    site = await serve(scenes, rate=300_000.0, most_flows=FLOWS, faults=busy)
    folders = [site.folder if is_shared else site.folder / str(number) for number in range(1, SHARDS + 1)]

    processes = [
        await command.start(
            *("--base-url", site.server.url, *COLLECTION, "--output", folder, "--workers", 8),
            *("--shard", f"{number}/{SHARDS}", "--report", f"{number}.json"),
        )
        for number, folder in enumerate(folders, start=1)
    ]
    async with asyncio.timeout(HANGS):
        ended = [assert_clean_exit(await command.end(process)) for process in processes]

    assert [0] * SHARDS == [one.code for one in ended], [one.err for one in ended]
    assert {429, 503} <= {hit.status for hit in site.archive_hits()}, "nothing was put to the test"
    fetched = Counter(Path(hit.path).name for hit in site.archive_hits() if hit.status in {200, 206})
    assert dict.fromkeys(originals(site), 1) == fetched
    assert originals(site) == {path.name: path.read_bytes() for path in site.folder.rglob("*.zip")}
    for number, folder in enumerate(folders, start=1):
        own = [scene.identifier for scene in scenes if scene.identifier in Shard(number, SHARDS)]
        report = json.loads((command.folder / f"{number}.json").read_bytes())
        assert sorted(own) == sorted(product["id"] for product in report["products"])
        assert {"another shard": PRODUCTS - len(own)} == report["search"]["left_out"]
        assert all((folder / f"{name}.zip").exists() for name in own)


async def test_shards_of_a_plan_are_all_of_it(serve: Callable[..., Any], run_cli: CommandHere, cwd: Path) -> None:
    site = await serve(level2_scenes(6, size=1000))
    asked = await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    own = [scene.identifier for scene in site.server.scenes if scene.identifier in Shard(2, 2)]

    rehearsed = await run_cli("--plan", "plan.json", "--output", site.folder, "--shard", "1/2", "--dry-run")
    first = await run_cli("--plan", "plan.json", "--output", site.folder, "--shard", "1/2", "--report", "1.json")
    other = await run_cli("--plan", "plan.json", "--output", site.folder, COLLGS_SHARD="2/2")

    assert [0] * 4 == [one.code for one in (asked, rehearsed, first, other)]
    assert f"{6 - len(own)} of 6 that match would be pulled" in rehearsed.err
    assert f"Left out: {len(own)} ({len(own)} another shard)." in rehearsed.err
    assert f"Left out: {len(own)} ({len(own)} another shard)." in first.err
    assert f"{len(own)} downloaded" in other.err
    assert "without effect" not in other.err
    assert set(originals(site)) == {path.name for path in site.folder.glob("*.zip")}
    report = json.loads((cwd / "1.json").read_bytes())
    assert ({"another shard": len(own)}, 6 - len(own)) == (report["search"]["left_out"], report["summary"]["found"])


async def test_a_shard_that_has_nothing_says_whose_it_is(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(1, size=1000))
    (scene,) = site.server.scenes
    number = Shard(1, 9).of(scene.identifier).number % 9 + 1
    words = (*at_url(site), "--shard", f"{number}/9")

    ended = await run_cli(*words)
    listed = await run_cli("search", *words[:-4], *words[-2:])
    planned = await run_cli("plan", "plan.json", *words[:-4], *words[-2:])

    assert [0] * 3 == [one.code for one in (ended, listed, planned)]
    assert "All that was found is of other shards." in ended.err
    assert "Left out: 1 (1 another shard)." in ended.err
    assert f"The query was --collection S2_MSIL2A --shard {number}/9" in ended.err
    assert "nothing to list. Left out: 1 (1 another shard)." in listed.err
    plan = json.loads((cwd / "plan.json").read_bytes())
    assert ({"shard": f"{number}/9"}, "another shard") == (plan["query"]["selection"], plan["left_out"][0]["kind"])


async def test_plans_are_compared_whole(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(4, size=1000))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)

    refused = await run_cli("plan", "--diff", "plan.json", "--shard", "1/2", "--base-url", site.server.url)
    whole = await run_cli("plan", "--diff", "plan.json", "--base-url", site.server.url, COLLGS_SHARD="1/2")

    assert (2, "error: --diff: expected no selection beside it, found --shard\n") == (refused.code, refused.err)
    assert (0, "") == (whole.code, whole.out)
    assert "without effect here: COLLGS_SHARD" in whole.err


async def test_a_sync_tells_what_is_of_other_shards(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(5, size=1000))
    others = sum(scene.identifier not in Shard(1, 2) for scene in site.server.scenes)

    rehearsed = await run_cli("sync", *at_url(site), "--shard", "1/2", "--dry-run")
    ended = await run_cli("sync", *at_url(site), "--shard", "1/2")
    told = await run_cli("status", "--output", site.folder)

    assert [0] * 3 == [one.code for one in (rehearsed, ended, told)]
    assert f"5 new, {others} of them not wanted ({others} of other shards)" in ended.err
    assert 5 - others == rehearsed.out.count("new ")
    assert f"{others} ({others} another shard)" in told.out
