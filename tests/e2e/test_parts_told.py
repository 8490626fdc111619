"""What a run says that fetches only members of archives: summary, report, messages and outcomes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.faults import FAULTS
from tests.conftest import level2_scenes
from tests.support.commands import at_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async import Report
    from tests.conftest import CommandHere

SIZE = 3_000_000
AGAIN = "Run the same command again"
ZEROS = "GDAL reads a band that was not fetched as zeros"


async def test_members_are_counted_and_the_zeros_of_gdal_are_told(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(2, size=SIZE)
    site = await serve(scenes)

    ended = await run_cli(*at_url(site), "--bands", "SCL,B02", "-v", "--report", "report.json")
    again = await run_cli(*at_url(site), "--bands", "SCL,B02", "--report", "again.json")

    report = json.loads((run_cli.folder / "report.json").read_bytes())
    assert 8 == report["summary"]["members"]
    assert [4, 4] == [one["members"] for one in report["products"]]
    assert {f"{site.folder / scene.identifier}.parts" for scene in scenes} == {
        one["path"] for one in report["products"]
    }
    assert f"{scenes[0].identifier}: downloaded, 4 members, " in ended.err
    assert "2 downloaded (8 members, " in ended.err
    assert f"The files are in folders IDENTIFIER.parts in {site.folder}" in ended.err
    assert [1, 0] == [one.err.count(ZEROS) for one in (ended, again)]
    assert 0 == json.loads((run_cli.folder / "again.json").read_bytes())["summary"]["members"]


async def test_nothing_of_it_is_told_of_whole_archives(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    """Also where these answer a wish."""
    site = await serve(level2_scenes(1, size=SIZE))

    whole = await run_cli(*at_url(site), "--report", "report.json")
    wished = await run_cli(*at_url(site), "--bands", "SCL")

    report = json.loads((run_cli.folder / "report.json").read_bytes())
    assert (0, [None]) == (report["summary"]["members"], [one["members"] for one in report["products"]])
    assert ZEROS not in whole.err + wished.err
    assert "members" not in whole.err
    assert "1 already here" in wished.err


async def test_events_have_the_members(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1, size=SIZE))

    ended = await run_cli(*at_url(site), "--bands", "SCL", "--log-json", "-v")

    [event] = [one for line in ended.err.splitlines() if (one := json.loads(line)).get("event") == "product"]
    assert 3 == event["members"]
    [last] = [one for line in ended.err.splitlines() if (one := json.loads(line)).get("event") == "progress"][-1:]
    assert last["bytes"] == last["total_bytes"] < SIZE / 4


async def test_a_store_without_ranges_and_what_helps(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: replace(FAULTS["no-range"]) for scene in scenes})

    refused = await run_cli(*at_url(site), "--bands", "SCL")
    whole = await run_cli(*at_url(site), "--bands", "SCL", "--else-whole")

    assert (1, 0) == (refused.code, whole.code)
    assert refused.err.rstrip().endswith(
        "Add --else-whole to fetch whole archives from a store that cannot send parts of them."
    )
    assert AGAIN not in refused.err
    assert "running the same command again soon will not help" not in refused.err
    assert 1 == whole.err.count("the store cannot send parts of it; fetching it whole")
    assert "--else-whole" not in whole.err


async def test_the_outcomes_of_a_store_without_ranges_can_be_read(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: replace(FAULTS["no-range"])})

    report: Report = await site.pull(bands="SCL")

    assert ["the store sends whole archives only; --else-whole takes them"] == [
        str(one.error) for one in report.outcomes
    ]


async def test_a_wish_that_no_run_can_fulfil_is_not_to_be_tried_again(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2, size=SIZE))

    ended = await run_cli(*at_url(site), "--members", "nothing*")

    assert 1 == ended.code
    assert AGAIN not in ended.err
    assert ended.err.rstrip().endswith(
        "Choose what these archives have: `collgs-async ls IDENTIFIER` lists their files."
    )


async def test_the_outcome_of_a_part(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1, size=SIZE))

    report: Report = await site.pull(bands="SCL")

    [outcome] = report.outcomes
    assert (1, 3) == (report.parts, report.members)
    assert "members='3'" in repr(outcome)
    assert "<th" in outcome._repr_html_()
    assert ">3<" in outcome._repr_html_()
    assert "members" in report._repr_html_()
    with pytest.raises(ValueError, match="is a folder with members of the archive"):
        outcome.checksum()
