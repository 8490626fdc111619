"""``--dry-run`` beside every command that fetches: it says what would be done, and nothing is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, at_url, files_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere

KEYS = ["id", "status", "path", "bytes", "url", "seconds", "attempts", "members", "reason", "error"]


async def test_the_report_of_a_dry_run_says_what_would_be_done(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    await run_cli(*at_url(site), "--count", "1")
    (first,) = site.folder.glob("*.zip")
    unfinished = next(scene for scene in scenes if scene.identifier != first.stem)
    part = site.archive(unfinished).with_suffix(".zip.part")
    part.write_bytes(site.original(unfinished)[:1000])
    before = files_below(site.folder)

    ended = assert_clean_exit(await run_cli(*at_url(site), "--dry-run", "--report", "report.json", "--sizes"))

    report = json.loads((run_cli.folder / "report.json").read_text())
    assert 0 == ended.code
    assert before == files_below(site.folder)
    sizes = {scene.identifier: len(site.original(scene)) for scene in scenes}
    planned = sum(size for name, size in sizes.items() if name != first.stem)
    summary = {"dry_run": True, "found": 3, "planned": 2, "skipped": 1, "failed": 0, "bytes": planned}
    assert summary == report["summary"]
    assert (3, None) == (report["search"]["total"], report["search"]["error"])
    assert [KEYS] * 3 == [list(product) for product in report["products"]]
    found = {product["id"]: product for product in report["products"]}
    assert "exists" == found[first.stem]["reason"]
    assert ("planned", "resume") == (found[unfinished.identifier]["status"], found[unfinished.identifier]["reason"])
    assert {name: size for name, size in sizes.items() if name != first.stem} == {
        name: product["bytes"] for name, product in found.items() if product["status"] == "planned"
    }
    assert {str(site.archive(scene)) for scene in scenes} == {product["path"] for product in report["products"]}


async def test_without_sizes_the_bytes_of_the_report_are_unknown(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(2))

    ended = await run_cli(*at_url(site), "--dry-run", "--report", "-")

    report = json.loads(ended.out)  # alone on standard output
    assert [None, None] == [product["bytes"] for product in report["products"]]
    assert report["summary"]["bytes"] is None
    assert "would be pulled" in ended.err


async def test_the_report_of_a_plan_that_is_not_run_yet(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))
    await run_cli("plan", "plan.json", *at_url(site))

    ended = await run_cli("--plan", "plan.json", "--output", site.folder, "--dry-run", "--report", "report.json")

    report = json.loads((run_cli.folder / "report.json").read_text())
    assert 0 == ended.code
    assert (2, 0) == (report["summary"]["planned"], report["search"]["pages"])
    assert not site.folder.exists()


async def test_a_search_that_ends_early_is_in_the_report(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    words = ("--base-url", site.server.url, "--collection", "NONE", "--retries", "0", "--dry-run")
    ended = await run_cli(*words, "--report", "report.json")

    report = json.loads((run_cli.folder / "report.json").read_text())
    assert 1 == ended.code
    assert "CatalogueError" == report["search"]["error"]["kind"]


async def test_a_search_may_list_only_what_would_be_pulled(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))
    await run_cli(*at_url(site), "--count", "1")

    searched = await run_cli("search", *at_url(site), "--dry-run", "--format", "json")
    rehearsed = await run_cli(*at_url(site), "--dry-run", "--format", "json")

    assert (0, 2) == (searched.code, len(json.loads(searched.out)))
    assert rehearsed.out == searched.out


async def test_a_report_that_cannot_be_written_is_known_before(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    ended = await run_cli(*at_url(site), "--dry-run", "--report", "missing/report.json")

    assert (2, "") == (ended.code, ended.out)
    assert ended.err.startswith("error: --report: expected a folder at ")
    assert [] == site.server.requests


@pytest.mark.parametrize(
    ("words", "result"),
    [(("--dry-run",), ("--report", "a report")), ((), ("--report", "a report")), (("search",), ("--map", "a page"))],
    ids=["dry run", "download", "search"],
)
async def test_no_result_replaces_what_a_command_was_given(
    serve: Callable[..., Any], run_cli: CommandHere, words: tuple[str, ...], result: tuple[str, str]
) -> None:
    site = await serve(level2_scenes(1))
    given = run_cli.folder / "given.json"
    given.write_text(json.dumps({"base_url": site.server.url}), "utf-8")
    before = given.read_bytes()
    flag, kind = result

    ended = await run_cli(*words, "--config", "given.json", "--collection", "S2_MSIL2A", flag, "given.json")

    expected = f"error: {flag}: expected no file or {kind}, found another file at given.json; it was left alone\n"
    assert (2, "", expected) == (ended.code, ended.out, ended.err)
    assert (before, []) == (given.read_bytes(), site.server.requests)


async def test_results_of_the_run_before_are_replaced(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    for _ in range(2):
        assert 0 == (await run_cli(*at_url(site), "--report", "report.json")).code
        assert 0 == (await run_cli(*at_url(site), "--dry-run", "--report", "report.json")).code
        assert 0 == (await run_cli("search", *at_url(site), "--map", "map.html")).code


async def test_quicklooks_are_listed_and_not_fetched(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))
    await run_cli("quicklooks", *at_url(site), "--count", "1")
    before, asked = files_below(site.folder), len(site.server.requests)

    ended = await run_cli("quicklooks", *at_url(site), "--dry-run")

    assert (0, "2 would be saved, 1 already here\n") == (ended.code, ended.err)
    wanted = {str(site.folder / scene.identifier) for scene in site.server.scenes}
    saved = {str(site.folder / name.rpartition(".")[0]) for name in before}
    assert wanted - saved == set(ended.out.splitlines())
    assert before == files_below(site.folder)
    assert all("quicklook" not in hit.path for hit in site.server.requests[asked:])


async def test_a_repair_is_told_and_not_begun(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))
    await run_cli(*at_url(site))
    (bad, _) = sorted(site.folder.glob("*.zip"))
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    asked = len(site.server.requests)

    ended = await run_cli("verify", site.folder, "--repair", "--dry-run", *COLLECTION, "--base-url", site.server.url)

    assert 1 == ended.code
    assert f"{bad}: would be repaired" in ended.err
    assert ended.err.endswith("1 would be repaired\n")
    assert bytes(data) == bad.read_bytes()
    assert asked == len(site.server.requests)


async def test_a_plan_is_told_and_not_written(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))

    named = await run_cli("plan", "plan.json", *at_url(site), "--dry-run")
    unnamed = await run_cli("plan", *at_url(site), "--dry-run")

    assert (0, 0) == (named.code, unnamed.code)
    assert named.err.startswith("plan.json would hold 2 products, sensed ")
    assert unnamed.err.startswith("the plan would hold 2 products, sensed ")
    assert [] == files_below(run_cli.folder)


async def test_the_demo_says_what_it_would_pull(run_cli: CommandHere) -> None:
    ended = await run_cli("demo", "--dry-run", "--products", "6")

    assert 0 == ended.code
    assert 6 == sum(int(line.split()[1]) for line in ended.err.splitlines())
    assert [] == files_below(run_cli.folder)


@pytest.mark.parametrize("words", [["--exit-code"], ["plan.json", "--exit-code", *COLLECTION]])
async def test_an_exit_code_needs_a_comparison(run_cli: CommandHere, words: list[str]) -> None:
    ended = await run_cli("plan", *words)

    assert (2, "error: --exit-code: expected --diff beside it, found none\n") == (ended.code, ended.err)


async def test_the_exit_code_of_a_comparison_tells_whether_plans_differ(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(3))
    await run_cli("plan", "all.json", *at_url(site))
    await run_cli("plan", "two.json", *at_url(site), "--count", "2")
    asked = ("--base-url", site.server.url)

    codes = [
        (await run_cli("plan", "--diff", *words, *asked)).code
        for words in (
            ("all.json", "two.json"),
            ("all.json", "two.json", "--exit-code"),
            ("all.json", "all.json", "--exit-code"),
            ("all.json", "--exit-code"),
        )
    ]

    assert [0, 1, 0, 0] == codes


async def test_a_plan_is_replaced_only_by_force(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))
    plan = run_cli.folder / "plan.json"
    await run_cli("plan", "plan.json", *at_url(site), "--count", "1")
    before = plan.read_bytes()
    asked = len(site.server.requests)

    refused = await run_cli("plan", "plan.json", *at_url(site))

    line = "error: plan.json: expected no plan of this name, found one; --force replaces it\n"
    assert (2, line) == (refused.code, refused.err)
    assert before == plan.read_bytes()
    assert asked == len(site.server.requests)

    assert 0 == (await run_cli("plan", "plan.json", *at_url(site), "--force")).code
    assert before != plan.read_bytes()
    plan.write_text("mine")
    assert 2 == (await run_cli("plan", "plan.json", *at_url(site), "--force")).code
    assert "mine" == plan.read_text()
