"""Choosing scenes by the real command line, against the embedded catalogue."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shlex
import shutil
import signal
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import shapely

from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.demo.constellation import make_constellation
from collgs_async.models.sentinel import parse
from collgs_async.models.shard import Shard
from tests.conftest import HANGS, level2_scenes
from tests.support.commands import assert_clean_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.demo.scenes import Scene
    from tests.conftest import Command, CommandHere

TRIANGLE = "POLYGON ((5.7 49.4, 7.2 49.4, 5.7 50.4, 5.7 49.4))"
SHAPE = shapely.from_wkt(TRIANGLE)
PLACE = {"type": "Feature", "properties": None, "geometry": json.loads(shapely.to_geojson(SHAPE))}
SCENES = make_constellation(first=date(2023, 5, 15))


def of(collection: str) -> list[Scene]:
    return [scene for scene in SCENES if scene.collection == collection]


def share(scene: Scene) -> float:
    """Of the triangle, on the plane of degrees."""
    return 100 * SHAPE.intersection(shapely.geometry.shape(dict(scene.footprint))).area / SHAPE.area


def around(scene: Scene) -> Any:
    return shapely.box(*shapely.geometry.shape(dict(scene.footprint)).bounds)


@cache
def newest_baselines() -> dict[str, Any]:
    """Of each acquisition."""
    newest: dict[str, Any] = {}
    for name in [parse(scene.identifier) for scene in of("S2_MSIL2A")]:
        assert name is not None
        newest[name.acquisition] = max(newest.get(name.acquisition, ()), name.baseline or ())
    return newest


def is_of_newest_baseline(scene: Scene) -> bool:
    name = parse(scene.identifier)
    assert name is not None
    return bool(name.baseline == newest_baselines()[name.acquisition])


def is_clearest_of_its_tile(scene: Scene) -> bool:
    tile = parse(scene.identifier).tile  # type: ignore[union-attr]
    rivals = [other.cloud_cover for other in of("S2_MSIL2A") if f"_T{tile}_" in other.identifier]
    return scene.cloud_cover == min(cover for cover in rivals if cover is not None)


CRITERIA: dict[str, tuple[str, dict[str, Any], Callable[[Any], bool]]] = {
    "aoi": ("S2_MSIL2A", {"aoi": "place.geojson"}, lambda scene: share(scene) > 0),
    "min_overlap": ("S2_MSIL2A", {"aoi": TRIANGLE, "min_overlap": "40"}, lambda scene: share(scene) > 40),
    "months": ("S2_MSIL2A", {"months": "6-9"}, lambda scene: scene.start.month == 6),
    "tile": (
        "S2_MSIL2A",
        {"tile": "T31UGR,32ULV"},
        lambda scene: "_T31UGR_" in scene.identifier or "_T32ULV_" in scene.identifier,
    ),
    "relative_orbit": ("S2_MSIL2A", {"relative_orbit": "8"}, lambda scene: "_R008_" in scene.identifier),
    "platform": ("S2_MSIL2A", {"platform": "Sentinel-2A"}, lambda scene: scene.identifier.startswith("S2A")),
    "orbit_direction": ("S1_SAR_GRD", {"orbit_direction": "asc"}, lambda scene: scene.orbit_direction == "ASCENDING"),
    "polarisation": ("S1_SAR_GRD", {"polarisation": "HH"}, lambda _: False),
    "product_type": ("S1_SAR_GRD", {"product_type": "SLC"}, lambda _: False),
    "latest_baseline": ("S2_MSIL2A", {"latest_baseline": "true"}, is_of_newest_baseline),
    "best_per": ("S2_MSIL2A", {"best_per": "tile"}, is_clearest_of_its_tile),
    "by": ("S2_MSIL2A", {"aoi": TRIANGLE, "best_per": "month", "by": "coverage"}, lambda scene: share(scene) > 60),
    "ids": ("S2_MSIL2A", {"ids": "ids.txt"}, lambda scene: scene in of("S2_MSIL2A")[5:50]),
    "shard": ("S2_MSIL2A", {"shard": "2/3"}, lambda scene: scene.identifier in Shard(2, 3)),
}
"""For each criterion: the collection, what is said, and which scenes are right."""

ASKED: dict[str, tuple[str, str, Callable[[Any], bool]]] = {
    "parentIdentifier": ("S2_MSIL1C", "", lambda scene: scene.collection == "S2_MSIL1C"),
    "box": ("5,49.9,5.4,50.6", "", lambda scene: around(scene).intersects(shapely.box(5, 49.9, 5.4, 50.6))),
    "timeStart": ("2023-06-10", "", lambda scene: date(2023, 6, 10) <= scene.end.date()),
    "timeEnd": ("2023-06-09", "", lambda scene: scene.start.date() <= date(2023, 6, 9)),
    "cloudCover": ("10,35", "[10,35]", lambda scene: 10 <= scene.cloud_cover <= 35),
    "count": ("7", "", lambda scene: scene in of("S2_MSIL2A")[:7]),
}
"""For each search parameter that has a flag: what is said, what a file says where that differs, and what is right."""

_PICKS = {"best_per", "by"}
"""Of the scenes that are right, these leave one."""

_REORDERS = {"latest_baseline"}
"""Of one data-take, products come by scene and no longer by name."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cwd"
    folder.mkdir(exist_ok=True)
    (folder / "place.geojson").write_text(json.dumps(PLACE))
    (folder / "ids.txt").write_text("\n".join(scene.identifier for scene in of("S2_MSIL2A")[5:50]))
    return folder


def listed(text: str) -> list[str]:
    return [row["identifier"] for row in csv.DictReader(io.StringIO(text))]


def flags(wanted: dict[str, str]) -> list[str]:
    return [
        word
        for name, value in wanted.items()
        for word in ([f"--{name.replace('_', '-')}"] if value == "true" else [f"--{name.replace('_', '-')}", value])
    ]


def test_every_criterion_is_tried() -> None:
    known = {option.key.removeprefix("selection.") for option in OPTIONS if option.key.startswith("selection.")}

    assert known - {"strict"} == set(CRITERIA)


@pytest.mark.parametrize("source", ["flag", "variable", "file"])
@pytest.mark.parametrize("criterion", CRITERIA)
async def test_each_criterion_chooses_by_flag_variable_and_file(
    serve: Callable[..., Any],
    run_cli: CommandHere,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    criterion: str,
    source: str,
) -> None:
    collection, wanted, fits = CRITERIA[criterion]
    site = await serve(SCENES, page_maximum=50)
    words: list[str] = []
    settings: dict[str, Any] = {"base_url": site.server.url, "parameters": {"parentIdentifier": collection}}
    match source:
        case "flag":
            words = flags(wanted)
        case "variable":
            by_key = {option.key: option for option in OPTIONS}
            for name, value in wanted.items():
                monkeypatch.setenv(env_name(by_key[f"selection.{name}"]), value)
        case "file":
            settings["selection"] = {name: True if value == "true" else value for name, value in wanted.items()}
    (folder / "config.json").write_text(json.dumps(settings))

    said = await run_cli("search", "--format", "csv", *words)

    right = [scene.identifier for scene in of(collection) if fits(scene)]
    found = listed(said.out)
    assert 0 == said.code
    assert len(right) < len(of(collection))
    if criterion in _PICKS:
        assert set() < set(found) <= set(right)
    elif criterion in _REORDERS:
        assert sorted(right) == sorted(found)
    else:
        assert right == found


def test_every_search_parameter_with_a_flag_is_tried() -> None:
    known = {option.key.removeprefix("parameters.") for option in OPTIONS if option.key.startswith("parameters.")}

    assert known == set(ASKED)


@pytest.mark.parametrize("source", ["flag", "variable", "file"])
@pytest.mark.parametrize("parameter", ASKED)
async def test_each_search_parameter_chooses_by_flag_variable_and_file(
    serve: Callable[..., Any],
    run_cli: CommandHere,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    parameter: str,
    source: str,
) -> None:
    value, in_file, fits = ASKED[parameter]
    (option,) = (option for option in OPTIONS if option.key == f"parameters.{parameter}")
    collection = value if parameter == "parentIdentifier" else "S2_MSIL2A"
    site = await serve(SCENES, page_maximum=50)
    words: list[str] = []
    settings = {"base_url": site.server.url, "parameters": {"parentIdentifier": "S2_MSIL2A"}}
    match source:
        case "flag":
            words = [option.flag, value]
        case "variable":
            del settings["parameters"]["parentIdentifier"]
            monkeypatch.setenv("COLLGS_COLLECTION", collection)
            monkeypatch.setenv(env_name(option), value)
        case "file":
            settings["parameters"][parameter] = in_file or value
    (folder / "config.json").write_text(json.dumps(settings))

    said = await run_cli("search", "--format", "csv", *words)

    right = [scene.identifier for scene in of(collection) if fits(scene)]
    assert 0 == said.code
    assert 0 < len(right) < len(SCENES)
    assert parameter == "parentIdentifier" or len(right) < len(of(collection))
    assert right == listed(said.out)


async def test_times_that_count_from_today_choose(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    now = datetime.now(UTC)
    scenes = [
        replace(scene, start=now - timedelta(days=ago), end=now - timedelta(days=ago))
        for scene, ago in zip(level2_scenes(5), (3, 10, 20, 45, 60), strict=True)
    ]
    site = await serve(scenes)

    said = await run_cli(
        *("search", "--base-url", site.server.url, "--collection", "S2_MSIL2A", "--format", "csv"),
        *("--start", "30d", "--end", "2w"),
    )

    assert [scenes[2].identifier] == listed(said.out)


@pytest.mark.parametrize("words", [["--min-overlap", "60"], ["--latest-baseline", "--count", "5"]])
async def test_a_run_pulls_what_search_and_dry_run_list(
    serve: Callable[..., Any], run_cli: CommandHere, folder: Path, words: list[str]
) -> None:
    site = await serve(make_constellation(first=date(2023, 6, 10), size=20_000))
    common = ["--base-url", site.server.url, "--collection", "S2_MSIL2A", "--aoi", "place.geojson", *words]

    searched = await run_cli("search", *common, "--format", "csv")
    rehearsed = await run_cli(*common, "--dry-run", "--format", "csv")
    pulled = await run_cli(*common, "--output", "here", "--report", "report.json")

    archives = sorted(path.stem for path in (folder / "here").iterdir())
    search = json.loads((folder / "report.json").read_bytes())["search"]
    assert (0, 0, 0) == (searched.code, rehearsed.code, pulled.code)
    assert archives
    assert archives == sorted(listed(searched.out)) == sorted(listed(rehearsed.out))
    assert search["left_out"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in search["left_out"].items())
    assert pulled.err.endswith(f"Left out: {sum(search['left_out'].values())} ({reasons}).\n")


async def test_verbose_tells_what_is_asked_what_is_checked_and_each_that_is_left_out(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(SCENES)
    common = [
        "search",
        "--base-url",
        site.server.url,
        "--collection",
        "S2_MSIL2A",
        "--tile",
        "31UGR",
        "--aoi",
        TRIANGLE,
    ]

    said = await run_cli(*common, "-v", "--orbit-direction", "DESCENDING")

    out = sum("_T31UGR_" not in scene.identifier for scene in of("S2_MSIL2A") if share(scene))
    assert re.search(r"^asked of the catalogue: .* orbitDirection=DESCENDING geometry=POLYGON", said.err, re.M)
    assert "checked on this side: tile, orbit_direction, aoi\n" in said.err
    assert out == len(re.findall(r"^left out: S2\w+: its tile is \w+, not 31UGR$", said.err, re.M))
    assert f"Left out: {out} ({out} another tile)." in said.err
    assert "warning" not in said.err.lower()


# ------------------------------------------------------------------------------------------------------ identifiers


@pytest.mark.parametrize("form", ["one a line", "commas", "with comments and suffixes"])
async def test_identifiers_come_from_standard_input(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    scenes = level2_scenes(40)
    site = await serve(scenes)
    wanted = [scene.identifier for scene in scenes[3:37]]
    text = {
        "one a line": "\r\n".join(wanted),
        "commas": ", ".join(wanted),
        "with comments and suffixes": "# mine\n\n" + "\n".join(f"{name}.SAFE  # good" for name in wanted),
    }[form]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + text.encode())))

    said = await run_cli(
        "search", "--base-url", site.server.url, "--collection", "S2_MSIL2A", "--ids", "-", "--format", "csv"
    )

    assert 0 == said.code
    assert sorted(wanted) == sorted(listed(said.out))


@pytest.mark.parametrize("words", [["search"], [], ["-q"], ["--dry-run"]], ids=["search", "run", "quiet", "dry run"])
async def test_what_is_missing_is_named_and_the_exit_code_tells(
    serve: Callable[..., Any], run_cli: CommandHere, folder: Path, words: list[str]
) -> None:
    scenes = level2_scenes(2, size=20_000)
    site = await serve(scenes)
    (folder / "ids.txt").write_text(f"{scenes[0].identifier}\nS2A_NOT_THERE\nS2B_NOR_THIS\n")

    said = await run_cli(*words, "--base-url", site.server.url, "--collection", "S2_MSIL2A", "--ids", "ids.txt")

    assert 1 == said.code
    assert "of what was asked for by identifier: 2\n" in said.err
    assert "  S2A_NOT_THERE\n" in said.err
    assert "  S2B_NOR_THIS\n" in said.err
    assert scenes[0].identifier in said.out or (folder / "downloads" / f"{scenes[0].identifier}.zip").exists()


# ------------------------------------------------------------------------------------------------------------ wrong


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--aoi", "nowhere.geojson"], "--aoi: expected a file, WKT or a GeoJSON object, found .*nowhere.geojson.*"),
        (["--aoi", "POLYGON ((1 2, 3"], "--aoi, character .*"),
        (["--aoi", '{"type": "Point", "coordinates": [6'], "--aoi, line 1, column [0-9]+: expected JSON, found .*"),
        (["--aoi", '{"type": "Point", "coordinates": [6, 99]}'], "--aoi, point 1: .*-90 to 90.*, found 99.*"),
        (["--aoi", "broken.geojson"], "broken.geojson, line 1, column .*|broken.geojson.*expected.*"),
        (["--min-overlap", "10"], r"--min-overlap: expected an area \(aoi\) beside it, found none"),
        (["--months", "13"], '--months: expected months from 1 to 12, .*, found "13"'),
        (["--tile", "99ABC"], '--tile: expected tiles such as 31UGR,32ULV, found "99ABC"'),
        (["--best-per", "year"], '--best-per: expected tile, day, month or several of these, found "year"'),
        (["--best-per", "day", "--by", "beauty"], '--by: expected cloud or coverage, found "beauty"'),
        (["--shard", "0/8"], '--shard: expected a part such as 2/8, found "0/8"'),
        (["--ids", "nowhere.txt"], '--ids: expected a file with identifiers, .*, found "nowhere.txt": it is missing'),
        (["--ids", "empty.txt"], "empty.txt: expected identifiers, one a line, found none"),
        (["--ids", "odd.txt"], 'odd.txt, line 2: expected the identifier of a product, found "<html>"'),
        (
            ["--aoi", TRIANGLE, "--set", "geometry=POINT (1 1)"],
            "--aoi: expected no parameters.geometry beside it, found one",
        ),
        (["--start", "30 d"], "--start: expected an ISO 8601 date or time .*, or 30d, 2w, yesterday, today, found .*"),
    ],
)
async def test_a_wrong_criterion_is_one_line_and_nothing_is_asked(
    serve: Callable[..., Any], run_cli: CommandHere, folder: Path, words: list[str], line: str
) -> None:
    site = await serve(level2_scenes(1))
    (folder / "broken.geojson").write_text('{"type": "Polygon", "coordinates": [[[5')
    (folder / "empty.txt").write_text("\n# nothing\n")
    (folder / "odd.txt").write_text("S2A_RIGHT\n<html>\n")

    said = await run_cli("search", "--base-url", site.server.url, "--collection", "S2_MSIL2A", *words)

    assert (2, "") == (said.code, said.out)
    assert re.fullmatch(f"error: ({line})\n", said.err), said.err
    assert [] == site.server.requests


# -------------------------------------------------------------------------------------------------- the rehearsal


async def test_a_year_is_served_for_rehearsals(command: Command, run_cli: CommandHere) -> None:
    process = await command.start("demo", "--serve", "--constellation", "--products", 400)
    try:
        assert process.stdout is not None
        text = b""
        while not text.endswith(b"}\n"):
            text += await asyncio.wait_for(process.stdout.readline(), HANGS)
        (command.folder / "config.json").write_bytes(text)
        ended = assert_clean_exit(
            await run_cli("search", "--latest-baseline", "--tile", "01KAB,60KXF,31UGR", "--format", "csv")
        )
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()

    assert 0 == ended.code
    assert {"01KAB", "60KXF", "31UGR"} == {name.split("_")[5][1:] for name in listed(ended.out)}
    assert "older baseline" in ended.err


@pytest.mark.parametrize("words", [[], ["--serve", "--fault", "cut"]])
async def test_a_year_is_only_served(run_cli: CommandHere, words: list[str]) -> None:
    said = await run_cli("demo", "--constellation", *words)

    assert (2, "error: --constellation: expected --serve and no --fault beside it\n") == (said.code, said.err)


async def test_the_walk_of_the_tutorial(command: Command, run_cli: CommandHere) -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "tutorial" / "choose-scenes.md").read_text("utf-8")
    walk = re.search(r"<!-- the walk: .*?-->\n```sh\n(.*?)```", page, re.S)
    assert walk is not None
    question, review, plan, pull = (shlex.split(line)[1:] for line in walk[1].splitlines())
    shutil.copy(root / "collgs_async" / "demo" / "luxembourg.geojson", command.folder)
    process = await command.start("demo", "--serve", "--constellation")
    try:
        assert process.stdout is not None
        text = b""
        while not text.endswith(b"}\n"):
            text += await asyncio.wait_for(process.stdout.readline(), HANGS)
        (command.folder / "config.json").write_bytes(text)
        asked = assert_clean_exit(await run_cli(*question, "--format", "csv"))
        mapped = assert_clean_exit(await run_cli(*review, "--no-quicklooks"))
        (command.folder / "chosen.txt").write_text("\n".join(listed(asked.out)[:5]))
        planned = assert_clean_exit(await run_cli(*plan))
        pulled = assert_clean_exit(await run_cli(*pull))
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()

    assert [0, 0, 0, 0] == [ended.code for ended in (asked, mapped, planned, pulled)]
    assert 5 < len(listed(asked.out))
    assert all(name in (command.folder / "scenes.html").read_text("utf-8") for name in listed(asked.out))
    assert sorted(listed(asked.out)[:5]) == sorted(path.stem for path in (command.folder / "downloads").glob("*.zip"))
