"""Plans as a user meets them: made, looked through, pulled, compared with what the catalogue has now."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from collgs_async import Client, sync
from collgs_async.demo.constellation import make_constellation
from collgs_async.selection.plan import Plan, plan_schema
from tests.conftest import is_archive, level2_scenes
from tests.support.servers import UNUSED_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandHere

COLLECTION = ("--collection", "S2_MSIL2A")


def asked(site: Any) -> int:
    """How often the catalogue was asked anything."""
    return sum(not hit.path.startswith("/repository/") for hit in site.server.requests)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pulled(site: Any) -> list[str]:
    return sorted(path.stem for path in site.folder.iterdir()) if site.folder.exists() else []


# ------------------------------------------------------------------------------------------------ making and pulling


async def test_a_plan_is_made_reviewed_and_pulled_without_asking_the_catalogue_again(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes)

    made = await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--count", 3)

    text = (cwd / "plan.json").read_text("utf-8")
    Draft202012Validator(plan_schema()).validate(json.loads(text))
    plan = Plan.read(cwd / "plan.json")
    assert (0, "") == (made.code, made.out)
    assert "plan.json: 3 products, sensed " in made.err
    assert "collgs-async --plan plan.json" in made.err
    assert (site.server.url, 3) == (plan.catalogue, plan.parameters["count"])
    assert 3 == len(plan.products)
    assert all(product.footprint and product.url and product.sensing_start for product in plan.products)
    assert [] == site.archive_hits()

    before = asked(site)
    ended = await run_cli("--plan", "plan.json", "--output", site.folder, "--report", "report.json")

    report = json.loads((cwd / "report.json").read_text())
    assert 0 == ended.code
    assert before == asked(site)
    assert sorted(product.identifier for product in plan.products) == pulled(site)
    assert all(is_archive(path) for path in site.folder.iterdir())
    assert {"found": 3, "downloaded": 3} == {key: report["summary"][key] for key in ("found", "downloaded")}
    assert (3, 0, None) == tuple(report["search"][key] for key in ("total", "pages", "error"))


async def test_only_what_is_left_in_the_plan_is_pulled(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(3))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    plan = Plan.read(cwd / "plan.json")
    lines = (cwd / "plan.json").read_text("utf-8").splitlines(keepends=True)
    (cwd / "plan.json").write_text("".join(line for line in lines if plan.products[0].identifier not in line))

    await run_cli("--plan", "plan.json", "--output", site.folder)

    assert sorted(product.identifier for product in plan.products[1:]) == pulled(site)


async def test_the_same_catalogue_gives_the_same_plan_but_for_its_date(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(5))

    for name in ("one.json", "other.json"):
        await run_cli("plan", name, "--base-url", site.server.url, *COLLECTION)

    one, other = ((cwd / name).read_text().splitlines() for name in ("one.json", "other.json"))
    assert [line for line in one if "created" not in line] == [line for line in other if "created" not in line]


async def test_each_product_that_is_left_out_has_its_reason(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    scenes = [scene for scene in make_constellation(seed=1) if scene.collection == "S2_MSIL2A"][:60]
    site = await serve(scenes)
    tile = scenes[0].identifier.split("_T")[1][:5]

    made = await run_cli(
        "plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--tile", tile, "--months", "1-12"
    )

    plan = Plan.read(cwd / "plan.json")
    chosen = {product.identifier for product in plan.products}
    assert 0 == made.code
    assert {scene.identifier for scene in scenes if f"_T{tile}_" in scene.identifier} == chosen
    assert {scene.identifier for scene in scenes} - chosen == {one.identifier for one in plan.left_out}
    assert all("tile" in one.reason and one.kind for one in plan.left_out)
    assert "Left out: " in made.err
    assert {"tile": tile, "months": "1-12"} == plan.selection


async def test_identifiers_and_area_stand_in_the_plan_and_not_the_names_of_their_files(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    pytest.importorskip("shapely")
    scenes = level2_scenes(3)
    site = await serve(scenes)
    (cwd / "ids.txt").write_text(f"{scenes[0].identifier}.zip\n{scenes[2].identifier}\nS2A_NOT_THERE\n")
    (cwd / "half.wkt").write_text("POLYGON((-60 -80, 60 -80, 60 80, -60 80, -60 -80))")

    made = await run_cli(
        "plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--ids", "ids.txt", "--aoi", "half.wkt"
    )

    plan = Plan.read(cwd / "plan.json")
    names = [scenes[0].identifier, scenes[2].identifier, "S2A_NOT_THERE"]
    assert 1 == made.code
    assert "S2A_NOT_THERE" in made.err
    assert set(names[:2]) == {product.identifier for product in plan.products}
    assert [("S2A_NOT_THERE", "not in the catalogue")] == [(one.identifier, one.kind) for one in plan.left_out]
    assert names == plan.selection["ids"]
    assert plan.selection["aoi"]["type"] in {"Polygon", "MultiPolygon"}
    for name in ("ids.txt", "half.wkt"):
        (cwd / name).unlink()
    again = await run_cli("plan", "--diff", "plan.json", "--base-url", site.server.url)
    assert (0, "") == (again.code, again.out)
    assert "0 new, 0 gone, 0 changed, 2 the same\n" in again.err


async def test_relative_times_are_absolute_in_the_plan(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(1))

    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--start", "30d", "--end", "today")

    parameters = Plan.read(cwd / "plan.json").parameters
    assert parameters["timeStart"].endswith("T00:00:00.000Z")
    assert parameters["timeEnd"].endswith("T23:59:59.999Z")


async def test_sizes_are_in_the_plan_when_they_are_asked_for(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)

    made = await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--sizes")

    sizes = {product.identifier: product.size for product in Plan.read(cwd / "plan.json").products}
    assert {scene.identifier: len(site.original(scene)) for scene in scenes} == sizes
    assert "kB\n" in made.err


async def test_a_dry_run_lists_what_of_a_plan_is_not_here(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(3))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    names = [product.identifier for product in Plan.read(cwd / "plan.json").products]
    site.folder.mkdir()
    site.archive(next(scene for scene in site.server.scenes if scene.identifier == names[1])).touch()
    await run_cli("plan", "first.json", "--base-url", site.server.url, *COLLECTION, "--count", 1)
    await run_cli("--plan", "first.json", "--output", site.folder)
    before = asked(site)

    listed = await run_cli("--plan", "plan.json", "--dry-run", "--format", "json", "--output", site.folder)

    assert 0 == listed.code
    assert before == asked(site)
    assert set(names[1:]) >= {entry["identifier"] for entry in json.loads(listed.out)} >= {names[2]}
    assert names[0] not in listed.out


async def test_a_product_that_the_store_has_no_longer_fails_alone(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(3))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    gone = Plan.read(cwd / "plan.json").products[1]
    (cwd / "plan.json").write_text((cwd / "plan.json").read_text().replace(str(gone.url), f"{gone.url}.gone"))

    ended = await run_cli("--plan", "plan.json", "--output", site.folder)

    assert 1 == ended.code
    assert gone.identifier in ended.err
    assert 2 == len(pulled(site))


# ------------------------------------------------------------------------------------------------------- comparing


async def test_what_is_new_gone_and_changed_in_the_catalogue_is_told(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    scenes = level2_scenes(4)
    then, now = await serve(scenes[:3]), await serve([scenes[0], replace(scenes[1], cloud_cover=77), scenes[3]])
    await run_cli("plan", "old.json", "--base-url", then.server.url, *COLLECTION)
    await run_cli("plan", "new.json", "--base-url", now.server.url, *COLLECTION)
    for name, site in (("old.json", then), ("new.json", now)):  # one catalogue, at two moments
        text = (cwd / name).read_text().replace(site.server.url.partition("/catalog")[0], "http://127.0.0.1:9")
        (cwd / name).write_text(text)

    told = await run_cli("plan", "--diff", "old.json", "new.json")

    lines = told.out.splitlines()
    assert 0 == told.code
    assert [f"+ {scenes[3].identifier}", f"- {scenes[2].identifier}"] == lines[:2]
    assert lines[2].startswith(f"~ {scenes[1].identifier}: ")
    assert "cloud cover" in lines[2]
    assert lines[2].endswith(" -> 77.0")
    assert "1 new, 1 gone, 1 changed, 1 the same\n" == told.err


async def test_the_catalogue_is_asked_again_what_the_plan_asked(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(3))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    lines = (cwd / "plan.json").read_text("utf-8").splitlines(keepends=True)
    gone = Plan.read(cwd / "plan.json").products[0].identifier
    (cwd / "plan.json").write_text("".join(line for line in lines if gone not in line))

    told = await run_cli("plan", "--diff", "plan.json", "--base-url", site.server.url)

    assert (0, f"+ {gone}\n") == (told.code, told.out)
    assert told.err.endswith("1 new, 0 gone, 0 changed, 2 the same\n")


async def test_a_plan_does_not_say_which_host_is_asked(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    before = len(site.server.requests)

    told = await run_cli("plan", "--diff", "plan.json")

    assert 2 == told.code
    assert (
        f"error: plan.json: catalogue: expected the one of the settings, https://collgs.lu/catalog/oseo/search, found "
        f"{site.server.url}; to ask that one, add --base-url {site.server.url}\n"
    ) == told.err
    assert before == len(site.server.requests)


# ------------------------------------------------------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan"], "plan: expected the name of a file to write, such as plan.json, found none"),
        (["--plan", "p.json", "--tile", "31UGR"], "--plan: expected no selection beside it, found --tile"),
        (["--plan", "p.json", "--set", "track=3"], "--plan: expected no selection beside it, found --set"),
        (["plan", "--diff", "p.json", "--start", "2w"], "--diff: expected no selection beside it, found --start"),
        (["--plan", "p.json"], "p.json: expected a JSON file, found none: it is missing"),
        (
            ["plan", "mine.json", *COLLECTION],
            "mine.json: expected no file or a plan, found another file; it was left alone",
        ),
        (["plan", ".", *COLLECTION], ".: expected the name of a file, found a folder"),
        (
            ["--plan", "mine.json"],
            "mine.json: expected a plan, written by `collgs-async plan`, found another JSON file",
        ),
        (
            ["plan", "--diff", "mine.json"],
            "mine.json: expected a plan, written by `collgs-async plan`, found another JSON file",
        ),
    ],
)
async def test_wrong_usage_is_one_line_and_nothing_is_touched(
    run_cli: CommandHere, cwd: Path, words: list[str], message: str
) -> None:
    (cwd / "mine.json").write_text("{}")

    said = await run_cli(*words)

    assert (2, "", f"error: {message}\n") == (said.code, said.out, said.err)
    assert ["mine.json"] == names_in(cwd)
    assert "{}" == (cwd / "mine.json").read_text()


async def test_a_plan_in_a_folder_that_is_not_there_asks_nothing(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))

    said = await run_cli("plan", "no/plan.json", "--base-url", site.server.url, *COLLECTION)

    assert 2 == said.code
    assert said.err.startswith("error: no/plan.json: expected a folder at ")
    assert [] == site.server.requests


async def test_an_older_plan_is_written_over_by_force(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(3))

    for count in (1, 2):
        await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--count", count, "--force")

    assert 2 == len(Plan.read(cwd / "plan.json").products)


async def test_a_pipe_is_written_to_and_not_replaced(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    """As root, a run could replace a device in this way, such as /dev/null."""
    site = await serve(level2_scenes(2))
    pipe = cwd / "pipe"
    os.mkfifo(pipe)
    reader = await asyncio.create_subprocess_exec("cat", pipe, stdout=asyncio.subprocess.PIPE)

    said = await run_cli("plan", "pipe", "--base-url", site.server.url, *COLLECTION)

    read, _ = await reader.communicate()
    assert 0 == said.code
    assert pipe.is_fifo()
    assert 2 == len(json.loads(read)["products"])


@pytest.mark.parametrize("words", [("plan", "odd"), ("search", "--map", "odd")])
async def test_a_socket_is_refused_and_left_alone(run_cli: CommandHere, cwd: Path, words: tuple[str, ...]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("odd")

        said = await run_cli(*words, "--base-url", UNUSED_ORIGIN, *COLLECTION)

    assert (2, "") == (said.code, said.out)
    assert "odd" in said.err
    assert "expected the name of a file, found a socket" in said.err
    assert (cwd / "odd").is_socket()


async def test_a_plan_may_go_to_standard_output(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = await serve(level2_scenes(2))
    words = ("plan", "-", "--base-url", site.server.url, *COLLECTION)

    planning = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collgs_async", *words, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await planning.communicate()

    assert 2 == len(json.loads(out)["products"])
    assert "-" not in names_in(tmp_path)


async def test_of_a_search_that_breaks_off_there_is_no_plan(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(1))
    await site.server.__aexit__(None, None, None)

    said = await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--retries", 0)

    assert 1 == said.code
    assert said.err.startswith("error: the catalogue at ")
    assert [] == names_in(cwd)
    await site.server.__aenter__()


async def test_the_configuration_of_another_selection_does_not_disturb_a_plan(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(2))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    other = {
        "parameters": {"parentIdentifier": "S1_SAR_GRD", "timeEnd": "2020-01-01", "httpAccept": "json"},
        "selection": {"tile": "31UGR", "months": "1", "strict": False, "ids": "-"},
    }
    (cwd / "config.json").write_text(json.dumps({**other, "output_directory": str(site.folder)}))

    said = await run_cli("--plan", "plan.json")

    idle = "parameters.timeEnd, selection.months, selection.tile, selection.ids"
    assert 0 == said.code
    assert f"note: --plan goes by the plan alone; without effect here: {idle}" == said.err.splitlines()[0]
    assert 1 == said.err.count("note: ")
    assert 2 == len(pulled(site))


async def test_a_configuration_that_only_names_a_collection_is_no_reason_for_a_note(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(1))
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION)
    config = {"parameters": {"parentId": "S1_SAR_GRD", "count": None}, "output_directory": str(site.folder)}
    (cwd / "config.json").write_text(json.dumps(config))

    said = await run_cli("--plan", "plan.json")

    assert 0 == said.code
    assert "note" not in said.err


async def test_a_plan_carries_which_parts_are_wanted(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(2))
    made = await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--bands", "b2,scl")

    values = json.loads((cwd / "plan.json").read_text("utf-8"))
    Draft202012Validator(plan_schema()).validate(values)
    compared = await run_cli("plan", "--diff", "plan.json", "--base-url", site.server.url, "--exit-code")
    other = await run_cli("plan", "--diff", "plan.json", "--base-url", site.server.url, "--bands", "B08", "--exit-code")
    whole = await run_cli("--plan", "plan.json", "--output", site.folder, "--bands", "")

    assert 0 == made.code
    assert {"bands": ["B02", "SCL"]} == values["query"]["parts"]
    assert (0, "") == (compared.code, compared.out)
    assert (1, "~ parts of each archive: --bands B02,SCL -> --bands B08\n") == (other.code, other.out)
    assert 0 == whole.code
    assert "note: --plan asks for parts of each archive; with the flags beside it, for the whole\n" in whole.err
    assert 2 == len(pulled(site))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], ": --bands SCL,B02 --resolution 60"),
        (["--bands", "B03"], "; with the flags beside it, for these: --bands B03 --resolution 60"),
        (["--bands", ""], "; with the flags beside it, for the whole"),
        (["--bands", " , ", "--resolution", "20"], "; with the flags beside it, for these: --resolution 20"),
    ],
)
async def test_what_is_wanted_beside_a_plan_is_told(
    serve: Callable[..., Any], run_cli: CommandHere, flags: list[str], told: str
) -> None:
    site = await serve(level2_scenes(1, size=3_000_000))
    wish = ("--bands", "SCL,B02", "--resolution", "60")
    await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, *wish)

    ended = await run_cli("--plan", "plan.json", "--output", site.folder, *flags)

    assert 0 == ended.code
    assert f"note: --plan asks for parts of each archive{told}\n" in ended.err
    assert ("IDENTIFIER.parts" in ended.err) == ("whole" not in told)


async def test_taking_bands_back_takes_the_resolution_of_the_configuration_back(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(1))
    (cwd / "config.json").write_text(json.dumps({"parts": {"bands": ["SCL"], "resolution": [20]}}))

    ended = await run_cli("--base-url", site.server.url, *COLLECTION, "--output", site.folder, "--bands", "")

    assert 0 == ended.code
    assert 1 == len(pulled(site))


@pytest.mark.parametrize("words", [["search"], ["plan", "new.json"], ["download"], ["download", "--dry-run"]])
async def test_a_band_that_a_collection_lacks_is_refused_before_any_request(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path, words: list[str]
) -> None:
    site = await serve(level2_scenes(1))

    said = await run_cli(*words, "--base-url", site.server.url, *COLLECTION, "--bands", "B02,B10")

    assert (2, "") == (said.code, said.out)
    assert said.err.startswith("error: --bands: expected bands of S2_MSIL2A (B01 to B09, ")
    assert said.err.endswith("), found B10; did you mean B09?\n")
    assert (0, []) == (asked(site), site.archive_hits())
    assert [] == names_in(cwd)


async def test_a_plan_of_nothing_gives_no_advice_about_a_search(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path
) -> None:
    site = await serve(level2_scenes(1))
    made = await run_cli("plan", "plan.json", "--base-url", site.server.url, *COLLECTION, "--tile", "01KAB")

    said = await run_cli("--plan", "plan.json", "--output", site.folder)

    assert "plan.json: 0 products\n" in made.err
    assert (0, "The plan names no products.") == (said.code, said.err.splitlines()[-1])


@pytest.mark.parametrize("words", [["--map", "a.html"], ["--sort", "time"], ["--sizes"], ["--format", "csv"]])
async def test_flags_of_listings_are_refused_for_a_download(
    serve: Callable[..., Any], run_cli: CommandHere, cwd: Path, words: list[str]
) -> None:
    site = await serve(level2_scenes(1))

    said = await run_cli("--base-url", site.server.url, *COLLECTION, "--output", site.folder, *words)

    message = f"error: {words[0]}: expected --dry-run or the command search beside it, found neither\n"
    assert (2, "", message) == (said.code, said.out, said.err)
    assert [] == site.server.requests
    assert [] == names_in(cwd)


# ---------------------------------------------------------------------------------------------------------- library


async def test_the_library_plans_and_pulls_too(serve: Callable[..., Any], tmp_path: Path) -> None:
    site = await serve(level2_scenes(3))
    async with Client(site.config(parameters={"count": 2})) as client:
        plan = await client.create_plan()
        plan.write(tmp_path / "plan.json")
        report = await client.download_plan(Plan.read(tmp_path / "plan.json"))

    assert (2, 0, 0) == (report.downloaded, report.skipped, report.failed)
    assert [product.identifier for product in plan.products] == sorted(
        pulled(site), key=lambda name: name.split("_")[2], reverse=True
    )


async def test_scripts_without_await_do_so_as_well(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2))
    config = site.config()

    plan = await asyncio.to_thread(sync.plan, config, sizes=True)
    report = await asyncio.to_thread(sync.pull, config, plan)

    assert all(product.size for product in plan.products)
    assert 2 == report.downloaded
