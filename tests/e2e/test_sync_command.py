"""``sync`` and ``retry`` as a user runs them: what they say, what they refuse, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.selection.plan import Plan
from tests.conftest import fault, level2_scenes
from tests.support.clocks import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command, CommandHere, Ended

SITE = ("--collection", "S2_MSIL2A")


async def run(run_cli: CommandHere | Command, site: Any, *words: object, command: str = "sync") -> Ended:
    return await run_cli(command, *SITE, "--base-url", site.server.url, "--output", site.folder, *words)


def ledger(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / ".collgs" / "ledger.sqlite")) as connection:
        return connection.execute(query).fetchall()


async def test_runs_say_what_is_new_and_end_with_0(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(scenes := level2_scenes(3))
    late = site.server.scenes.pop()
    first = await run(run_cli, site)
    site.server.scenes.append(late)
    second = await run(run_cli, site)
    third = await run(run_cli, site)
    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert "The catalogue: 2 new (1 request)." in first.err
    assert "The catalogue: 1 new (1 request)." in second.err
    assert "The catalogue: nothing new (1 request)." in third.err
    assert "Nothing to download." in third.err
    assert {path.stem for path in site.folder.glob("*.zip")} == {scene.identifier for scene in scenes}
    assert [code for (code,) in ledger(site.folder, "SELECT code FROM run ORDER BY id")] == [0, 0, 0]


async def test_what_fails_is_exit_1_until_retry_brings_it(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})
    first, second = await run(run_cli, site), await run(run_cli, site)
    site.server.apply_fault(scenes[0].identifier, replace(fault("missing"), times=0))
    third = await run(run_cli, site, command="retry")
    assert (first.code, second.code, third.code) == (1, 1, 0)
    assert "1 product failed for good; collgs-async retry tries again all the same." in second.err
    assert "1 downloaded" in third.err
    assert (await run(run_cli, site)).code == 0


async def test_a_catalogue_that_lost_much_is_exit_1_until_it_is_believed(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(3))
    await run(run_cli, site)
    site.server.scenes.clear()
    doubted = await run(run_cli, site, "-q")
    believed = await run(run_cli, site, "--believe")
    assert (doubted.code, believed.code) == (1, 0)
    assert "The catalogue lists 3 of 3 products no more." in doubted.err
    assert "sync --believe once" in doubted.err


async def test_a_dry_run_lists_and_changes_nothing(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(scenes := level2_scenes(3))
    plan = run_cli.folder / "plan.json"
    listed = await run(run_cli, site, "--dry-run")
    as_json = await run(run_cli, site, "--dry-run", "--format", "json", "--plan", plan)
    assert (listed.code, as_json.code) == (0, 0)
    names = {scene.identifier for scene in scenes}
    assert {tuple(line.split()) for line in listed.out.splitlines()} == {("new", name) for name in names}
    assert "3 products would be fetched; nothing was, and nothing was written down" in listed.err
    answer = json.loads(as_json.out)
    assert {one["id"] for one in answer["products"]} == names
    assert answer["summary"]["requests"] == 1
    assert {product.identifier for product in Plan.read(plan).products} == names
    assert not site.folder.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--count", "3"], "--count: expected no number of products beside sync, which keeps all of them, found one"),
        (["--best-per", "tile"], "--best-per: expected none beside sync, which keeps all that is listed"),
        (["--ids", "names.txt"], "--ids: expected none beside sync, which keeps all that is listed"),
        (["--plan", "plan.json"], "--plan: expected --dry-run beside it"),
        (["--format", "json"], "--format: expected --dry-run beside it"),
    ],
)
async def test_what_would_keep_less_is_refused(run_cli: CommandHere, words: list[str], line: str) -> None:
    (run_cli.folder / "names.txt").write_text("S2A_MSIL2A_20210912T225728_N0301_R108_T32UKV_20210913T014716\n")
    ended = await run_cli("sync", *SITE, *words, "-o", run_cli.folder / "out")
    assert ended.code == 2
    assert line in ended.err
    assert not (run_cli.folder / "out").exists()


async def test_a_count_in_the_file_is_left_aside_with_a_note(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))
    file = run_cli.folder / "config.json"
    file.write_text(json.dumps({"base_url": site.server.url, "parameters": {"parentId": "S2_MSIL2A", "count": 1}}))
    ended = await run_cli("sync", "-c", file, "-o", site.folder)
    assert ended.code == 0
    assert "note: count is left aside: sync keeps all that is listed" in ended.err
    assert len(list(site.folder.glob("*.zip"))) == 3


async def test_a_budget_of_requests_ends_with_3_and_the_next_run_goes_on(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(scenes := level2_scenes(30), page_maximum=2)
    codes: list[int] = []
    words = ""
    while codes[-1:] != [0]:
        ended = await run(run_cli, site, "--max-requests", "10")
        words += ended.err
        codes.append(ended.code)
        assert len(codes) < 15
    assert set(codes[:-1]) == {3}
    assert "Stopped at a limit: 10 requests a run (--max-requests)" in words
    assert {path.stem for path in site.folder.glob("*.zip")} == {scene.identifier for scene in scenes}


async def test_a_limit_of_bytes_ends_with_3_and_the_next_run_goes_on(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(scenes := level2_scenes(6))
    first = await run(run_cli, site, "--max-bytes", "1", "-j", "1")
    second = await run(run_cli, site)
    assert (first.code, second.code) == (3, 0)
    assert "Stopped at a limit" in first.err
    assert {path.stem for path in site.folder.glob("*.zip")} == {scene.identifier for scene in scenes}


async def test_a_second_sync_is_exit_4_and_an_interrupted_one_goes_on(
    serve: Callable[..., Any], command: Command, run_cli: CommandHere
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scene.identifier: fault("stall") for scene in scenes})
    words = ("sync", *SITE, "--base-url", site.server.url, "--output", site.folder)
    running = await command.start(*words)
    try:
        await until(lambda: any(record.path.endswith(".zip") for record in site.server.requests))
        second = await run(run_cli, site)
        assert second.code == 4
        assert "another run is at work here" in second.err
    finally:
        os.kill(running.pid, signal.SIGINT)
        ended = await command.end(running)
    assert ended.code == 130
    assert "Interrupted" in ended.err
    assert (await run(run_cli, site)).code == 0
    assert {path.stem for path in site.folder.glob("*.zip")} == {scene.identifier for scene in scenes}


async def test_a_report_that_cannot_be_written_is_wrong_usage_and_all_that_is_said(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))
    ended = await run(run_cli, site, "--report", run_cli.folder / "missing" / "report.json")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("error: --report: expected a folder")
