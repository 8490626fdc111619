"""Choosing among what a search finds, by the library and against the embedded catalogue."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from aiohttp import web

from collgs_async import CatalogueError, Client, Config, ConfigError, Query, Selection
from collgs_async.demo.constellation import FIJI, make_constellation
from collgs_async.demo.dialects import Dialect
from collgs_async.models.sentinel import parse
from collgs_async.selection.aoi import read_area
from collgs_async.selection.queries import MAX_URL_LENGTH
from tests.conftest import level2_scenes
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from collgs_async import Excluded
    from collgs_async.demo.scenes import Scene

TRIANGLE = "POLYGON ((5.7 49.4, 7.2 49.4, 5.7 50.4, 5.7 49.4))"
FIJI_AREAS = {
    "halves": "MULTIPOLYGON (((179.2 -18.5, 180 -18.5, 180 -16, 179.2 -16, 179.2 -18.5)),"
    "((-180 -18.5, -179 -18.5, -179 -16, -180 -16, -180 -18.5)))",
    "beyond 180": "POLYGON ((179.2 -18.5, 181 -18.5, 181 -16, 179.2 -16, 179.2 -18.5))",
    "a jump": "POLYGON ((179.2 -18.5, -179 -18.5, -179 -16, 179.2 -16, 179.2 -18.5))",
}


def optical(**settings: Any) -> list[Scene]:
    """Sentinel-2 scenes of level 2A, in the catalogue's order."""
    return [scene for scene in make_constellation(**settings) if scene.collection == "S2_MSIL2A"]


def names(scenes: Iterable[Any]) -> list[str]:
    return [scene.identifier for scene in scenes]


def client(site: Any, *, collection: str = "S2_MSIL2A", parameters: dict[str, Any] | None = None, **wanted: Any) -> Any:
    config = Config(
        base_url=site.server.url,
        parameters={"parentIdentifier": collection, **(parameters or {})},
        selection=Selection(**wanted),
        output_directory=site.folder,
    )
    return Client(config, sleep=site.sleeps)


async def chosen(site: Any, **wanted: Any) -> list[str]:
    async with client(site, **wanted) as one:
        return [product.identifier async for product in one.search()]


def searches(site: Any) -> list[Any]:
    return [hit for hit in site.server.requests if hit.path.endswith("/search")]


# ------------------------------------------------------------------------------------------------------------- where


async def test_no_scene_that_misses_a_triangle_is_chosen(serve: Callable[..., Any]) -> None:
    scenes = optical(first=date(2023, 5, 1))
    # one whose box, though not itself, meets the triangle: beyond its longest side
    beside = {"type": "Polygon", "coordinates": [[[6.9, 50.0], [7.3, 50.0], [7.3, 50.4], [6.9, 50.4], [6.9, 50.0]]]}
    scenes = sorted(
        [*scenes, *(replace(scene, identifier=f"{scene.identifier}9", footprint=beside) for scene in scenes[:5])],
        key=lambda scene: (-scene.start.timestamp(), scene.identifier),
    )
    site = await serve(scenes, page_maximum=20)
    triangle = shapely.from_wkt(TRIANGLE)

    found = await chosen(site, aoi=TRIANGLE)
    by_box = await chosen(site, parameters={"box": "5.7,49.4,7.2,50.4"})

    expected = [scene for scene in scenes if triangle.intersects(shapely.geometry.shape(dict(scene.footprint)))]
    assert names(expected) == found
    assert 5 <= len(set(by_box) - set(found))


@pytest.mark.parametrize("area", FIJI_AREAS.values(), ids=FIJI_AREAS)
async def test_an_area_across_the_antimeridian_finds_the_same_in_one_search_in_order(
    serve: Callable[..., Any], area: str
) -> None:
    scenes = optical(tiles=FIJI, first=date(2023, 5, 1))
    site = await serve(scenes)
    fiji = read_area(FIJI_AREAS["halves"])

    found = await chosen(site, aoi=area)

    assert names(scene for scene in scenes if fiji.touches(scene.footprint)) == found
    assert 0 < len(found) < len(scenes)
    assert 1 == len({hit.query["geometry"] for hit in searches(site)})


@pytest.mark.parametrize("west", [179.8, -179.9])
@pytest.mark.parametrize("crossing", ["split", "beyond", "jumping"])
async def test_an_area_on_one_side_finds_footprints_that_reach_it_from_the_other(
    serve: Callable[..., Any], west: float, crossing: Any
) -> None:
    scenes = optical(tiles=FIJI, first=date(2023, 6, 1), crossing=crossing)
    site = await serve(scenes)
    area = f"POLYGON (({west} -18, {west + 0.1} -18, {west + 0.1} -17, {west} -17, {west} -18))"
    shape = read_area(area)

    found = await chosen(site, aoi=area)

    assert names(scene for scene in scenes if shape.touches(scene.footprint)) == found
    assert found


async def test_the_share_of_the_area_is_known_and_can_be_asked_for(serve: Callable[..., Any]) -> None:
    scenes = optical(first=date(2023, 6, 1))
    site = await serve(scenes)
    area = read_area(TRIANGLE)
    dropped: list[Excluded] = []

    async with client(site, aoi=TRIANGLE, min_overlap=60) as one:
        choice = one.search(on_excluded=dropped.append)
        products = [product async for product in choice]

    shares = {scene.identifier: area.overlap(scene.footprint) or 0.0 for scene in scenes}
    assert [name for name, share in shares.items() if share >= 60] == names(products)
    assert [shares[name] for name in names(products)] == [product.overlap for product in products]
    assert {"too little of the area": len(dropped)} == dict(choice.excluded)
    assert sum(area.touches(scene.footprint) for scene in scenes) == len(products) + len(dropped)
    assert 0 < len(products) < len(dropped)
    assert all("of the area, less than 60 %" in one.reason for one in dropped)


async def test_a_long_outline_is_asked_for_by_a_simpler_one_that_holds_it(serve: Callable[..., Any]) -> None:
    scenes = optical(first=date(2023, 6, 1))
    site = await serve(scenes)
    circle = [(6.1 + 0.4 * math.cos(t / 500 * math.pi), 49.8 + 0.3 * math.sin(t / 500 * math.pi)) for t in range(1000)]
    ring = {"type": "Polygon", "coordinates": [[*circle, circle[0]]]}

    found = await chosen(site, aoi=ring)

    hit, area = searches(site)[0], read_area(shapely.geometry.shape(ring).wkt)
    assert names(scene for scene in scenes if area.touches(scene.footprint)) == found
    assert shapely.from_wkt(hit.query["geometry"]).covers(shapely.geometry.shape(ring))
    assert 1000 < len(hit.query["geometry"]) < MAX_URL_LENGTH


async def test_a_catalogue_without_shapes_is_asked_by_the_box(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scenes = optical(first=date(2023, 6, 1))
    site = await serve(scenes, dialect=Dialect(geometry=False))
    wanted = shapely.from_wkt("POLYGON ((5.7 49.4, 6 49.4, 5.7 49.6, 5.7 49.4))")

    found = await chosen(site, aoi=wanted.wkt)

    assert names(scene for scene in scenes if wanted.intersects(shapely.geometry.shape(dict(scene.footprint)))) == found
    assert ["box" in hit.query for hit in searches(site)][:2] == [False, True]
    assert "ignored" not in "".join(record.message for record in caplog.records if record.levelname == "WARNING")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (414, ""),
        (431, ""),
        (400, "Request-URI Too Long"),
        (413, "The URL exceeds the limit of 512 bytes"),
        (404, "The request filtering module denies a request whose query string is too long."),
        (400, "Your query is too large"),
        (403, "The query exceeds the maximum length"),
        (400, "The URL of this page exceeds 2048 characters"),
        pytest.param(None, "", id="cut"),
    ],
)
async def test_where_the_address_is_too_long_the_box_is_asked_for(
    tmp_path: Path, sleeps: Any, caplog: pytest.LogCaptureFixture, status: int | None, words: str
) -> None:
    seen: list[Any] = []
    scenes = {"within": shapely.box(5.7, 49.4, 5.8, 49.5), "beside": shapely.box(7.1, 50.3, 7.2, 50.4)}
    features = [
        {"geometry": shapely.geometry.mapping(shape), "properties": {"identifier": name}}
        for name, shape in scenes.items()
    ]

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.query)
        if "geometry" not in request.query:
            return web.json_response({"features": features, "totalResults": 2})
        if status is None:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=status or 200, text=words)

    async with listening(answer) as origin:
        selection = Selection(aoi=TRIANGLE)
        parameters = {"parentIdentifier": "S2_MSIL2A"}
        config = Config(base_url=f"{origin}/search", parameters=parameters, selection=selection)
        async with Client(config, sleep=sleeps) as one:
            found = [[product.identifier async for product in one.search()] for _ in range(2)]

    assert [["within"], ["within"]] == found
    assert ["5.7,49.4,7.2,50.4"] * 2 == [query["box"] for query in seen if "box" in query]
    assert "geometry" not in seen[-2], "what was learnt is remembered"
    assert 1 == caplog.text.count("it is asked by the box around the area, and footprints are compared here")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "query size limit exceeded"),
        (400, "Query limit exceeded"),
        (400, "The query exceeds the maximum allowed result size"),
        (400, "result size limit exceeded"),
        (413, "The query result is too large"),
        (422, "Your query exceeds the maximum number of records"),
        (500, "Query took too long"),
        (400, "/search at this address: the response exceeds the size limit"),
        (400, "The page of this URL exceeds the maximum number of features"),
    ],
)
async def test_where_the_results_are_too_many_a_smaller_page_is_asked_for(
    sleeps: Any, caplog: pytest.LogCaptureFixture, status: int, words: str
) -> None:
    seen: list[Any] = []
    mapping = shapely.geometry.mapping(shapely.box(5.7, 49.4, 5.8, 49.5))
    features = [{"geometry": mapping, "properties": {"identifier": f"P{number}"}} for number in range(70)]

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if "startIndex" not in request.query:
            return web.Response(status=404)  # there is no description of what can be asked
        seen.append(request.query)
        start, count = int(request.query["startIndex"]) - 1, int(request.query["count"])
        if count > 30:
            return web.Response(status=status, text=words)
        return web.json_response({"features": features[start : start + count], "totalResults": 70})

    async with listening(answer) as origin:
        parameters = {"parentIdentifier": "S2_MSIL2A"}
        config = Config(base_url=f"{origin}/search", parameters=parameters, selection=Selection(aoi=TRIANGLE))
        async with Client(config, sleep=sleeps) as one:
            found = [product.identifier async for product in one.search()]

    assert [f"P{number}" for number in range(70)] == found
    assert all("geometry" in query for query in seen)
    assert "25" == seen[-1]["count"]
    assert "box around the area" not in caplog.text


async def test_an_address_that_is_too_long_without_an_area_is_refused_as_it_is(tmp_path: Path, sleeps: Any) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=414, text="too long")

    async with listening(answer) as origin:
        config = Config(base_url=f"{origin}/search", parameters={"parentIdentifier": "S2_MSIL2A"})
        async with Client(config, sleep=sleeps) as one:
            with pytest.raises(CatalogueError, match="the catalogue answered HTTP 414: too long"):
                await anext(aiter(one.search()))


async def test_best_by_coverage_goes_by_the_area(serve: Callable[..., Any]) -> None:
    scenes = optical(first=date(2023, 6, 1))
    site = await serve(scenes)
    area = read_area(TRIANGLE)

    found = await chosen(site, aoi=TRIANGLE, best_per="month", by="coverage")

    best = max(area.overlap(scene.footprint) or 0 for scene in scenes)
    by_name = {scene.identifier: scene for scene in scenes}
    assert [best] == [area.overlap(by_name[name].footprint) for name in found]


# -------------------------------------------------------------------------------------------------------------- when


async def test_a_season_of_several_years(serve: Callable[..., Any]) -> None:
    scenes = optical(first=date(2021, 7, 1), tiles=("31UGR",))
    site = await serve(scenes)

    found = await chosen(site, months="11-2")

    assert names(scene for scene in scenes if scene.start.month in {11, 12, 1, 2}) == found
    assert {"2021", "2022", "2023"} == {name[11:15] for name in found}


@pytest.mark.parametrize(
    ("written", "days"), [("30d", 30), ("2w", 14), ("yesterday", 1), (" Today ", 0), ("0d", 0), ("1W", 7)]
)
def test_relative_times_are_whole_days_before_today(written: str, days: int) -> None:
    before = datetime.now(UTC).date()
    query = Query.create("S2_MSIL2A", start=written, end=written)
    after = datetime.now(UTC).date()

    expected = {(today - timedelta(days=days)).isoformat() for today in (before, after)}
    assert query.parameters["timeStart"].removesuffix("T00:00:00.000Z") in expected
    assert query.parameters["timeEnd"].removesuffix("T23:59:59.999Z") in expected
    assert 2 == len(query.notes)


@pytest.mark.parametrize("written", ["-3d", "3", "3m", "d", "tomorrow", "999999d"])
def test_other_words_are_no_times(written: str) -> None:
    with pytest.raises(ConfigError, match=r"timeStart: expected .* 30d, 2w, yesterday, today, found"):
        Query.create("S2_MSIL2A", start=written)


# ------------------------------------------------------------------------------------------------------------- which


@pytest.mark.parametrize(
    ("collection", "wanted", "fits"),
    [
        ("S2_MSIL2A", {"tile": "31UGR,T32ULA"}, lambda name: name.tile in {"31UGR", "32ULA"}),
        ("S2_MSIL2A", {"relative_orbit": [8, 108]}, lambda name: name.relative_orbit in {8, 108}),
        ("S2_MSIL2A", {"platform": "Sentinel-2B"}, lambda name: name.platform == "S2B"),
        ("S2_MSIL2A", {"product_type": "MSIL2A"}, lambda _: True),
        ("S2_MSIL2A", {"product_type": "MSIL1C"}, lambda _: False),
        ("S1_SAR_GRD", {"polarisation": "VV,VH"}, lambda name: {"VV", "VH"} <= set(name.channels)),
        ("S1_SAR_GRD", {"polarisation": "SV"}, lambda _: False),
        (
            "S1_SAR_GRD",
            {"platform": "S1A", "relative_orbit": 37},
            lambda name: (name.platform, name.relative_orbit) == ("S1A", 37),
        ),
    ],
)
async def test_wishes_that_the_identifier_tells(
    serve: Callable[..., Any], collection: str, wanted: dict[str, Any], fits: Callable[[Any], bool]
) -> None:
    scenes = [scene for scene in make_constellation(first=date(2023, 4, 1)) if scene.collection == collection]
    site = await serve(scenes)

    found = await chosen(site, collection=collection, **wanted)

    assert names(scene for scene in scenes if fits(parse(scene.identifier))) == found


@pytest.mark.parametrize("known", [True, False], ids=["known to the catalogue", "ignored by it"])
async def test_the_direction_of_the_orbit_is_asked_for_and_checked(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture, known: bool
) -> None:
    scenes = [scene for scene in make_constellation(first=date(2023, 6, 1)) if scene.collection == "S1_SAR_GRD"]
    hidden = frozenset() if known else frozenset({"orbitDirection"})
    site = await serve(scenes, dialect=Dialect(without_columns=hidden))

    async with client(site, collection="S1_SAR_GRD", orbit_direction="asc") as one:
        choice = one.search()
        found = [product.identifier async for product in choice]

    ascending = names(scene for scene in scenes if scene.orbit_direction == "ASCENDING")
    assert "ASCENDING" == searches(site)[0].query["orbitDirection"]
    assert 0 < len(ascending) < len(scenes)
    assert ascending == found
    assert (0 if known else len(scenes) - len(found)) == choice.excluded["another orbit direction"]
    assert [] == [record.message for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("known", [True, False], ids=["gone by", "ignored"])
async def test_a_direction_that_entries_do_not_tell_is_that_which_the_catalogue_has_gone_by(
    serve: Callable[..., Any], known: bool
) -> None:
    scenes = [scene for scene in make_constellation(first=date(2023, 6, 1)) if scene.collection == "S1_SAR_GRD"]
    hidden = frozenset() if known else frozenset({"orbitDirection"})
    site = await serve(scenes, dialect=Dialect(bare=True, without_columns=hidden))

    async with client(site, collection="S1_SAR_GRD", orbit_direction="asc") as one:
        choice = one.search()
        found = [(product.identifier, product.orbit_direction) async for product in choice]

    ascending = [(scene.identifier, "ASCENDING") for scene in scenes if scene.orbit_direction == "ASCENDING"]
    assert (ascending if known else []) == found
    assert ({} if known else {"orbit direction not known": len(scenes)}) == dict(choice.excluded)


def reprocessed(count: int) -> list[Scene]:
    """Three reprocessings of each of so many acquisitions, in the catalogue's order."""
    scenes = []
    for number, scene in enumerate(level2_scenes(count)):
        start = scene.start.strftime("%Y%m%dT%H%M%S")
        for baseline, made in (("N0301", "20210901"), ("N0500", "20230101"), ("N0510", "20240601")):
            name = f"S2A_MSIL2A_{start}_{baseline}_R008_T31UG{'RQPNM'[number % 5]}_{made}T000000"
            scenes.append(replace(scene, identifier=name))
    return sorted(scenes, key=lambda scene: (-scene.start.timestamp(), scene.identifier))


async def test_of_three_reprocessings_of_200_acquisitions_200_are_pulled(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    scenes = [replace(scene, size=20_000) for scene in reprocessed(200)]
    site = await serve(scenes, page_maximum=50)
    report = tmp_path / "report.json"

    async with client(site, latest_baseline=True) as one:
        came = await one.download_all(report=report)

    assert (200, 0) == (came.downloaded, came.failed)
    assert {"older baseline": 400} == came.left_out
    assert {"older baseline": 400} == json.loads(report.read_bytes())["search"]["left_out"]
    assert all("_N0510_" in path.name for path in site.folder.iterdir())
    assert 200 == len(list(site.folder.iterdir()))


async def test_the_newest_is_chosen_of_what_fits(serve: Callable[..., Any]) -> None:
    """A reprocessing that does not cover enough of the area must not push out one that does."""
    older, newer = reprocessed(1)[:2]
    corner = older.footprint["coordinates"][0][0]
    elsewhere = json.loads(shapely.to_geojson(shapely.Point(corner).buffer(0.01)))
    site = await serve([older, replace(newer, footprint=elsewhere)])
    area = shapely.geometry.shape(dict(older.footprint)).wkt

    assert [older.identifier] == await chosen(site, aoi=area, min_overlap=50, latest_baseline=True)


async def test_one_scene_for_each_tile_and_month(serve: Callable[..., Any]) -> None:
    scenes = optical(first=date(2023, 4, 1))
    site = await serve(scenes)

    found = await chosen(site, best_per=["tile", "month"])

    clearest: dict[Any, int] = {}
    for scene in scenes:
        key = (parse(scene.identifier).tile, scene.start.month)  # type: ignore[union-attr]
        clearest[key] = min(clearest.get(key, 100), scene.cloud_cover or 0)
    by_name = {scene.identifier: scene for scene in scenes}
    got = {(parse(name).tile, by_name[name].start.month): by_name[name].cloud_cover for name in found}  # type: ignore[union-attr]
    assert clearest == got
    assert len(clearest) == len(found)


async def test_count_is_of_what_is_kept_and_no_more_pages_are_asked_for_than_that_needs(
    serve: Callable[..., Any],
) -> None:
    scenes = optical(first=date(2023, 1, 1))
    site = await serve(scenes, page_maximum=20)

    found = await chosen(site, tile="31UGR", parameters={"count": 7})

    assert names(scene for scene in scenes if "_T31UGR_" in scene.identifier)[:7] == found
    assert 7 == len(found)
    assert len(searches(site)) < len(scenes) / 20 / 2


# ----------------------------------------------------------------------------------------------- exactly these ones


async def test_identifiers_are_asked_for_in_batches_of_no_long_address(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(90)
    site = await serve(scenes)
    wanted = names(scenes[10:80])

    async with client(site, ids=[*wanted, *wanted[:3], "S2A_NOT_THERE"]) as one:
        choice = one.search()
        found = [product.identifier async for product in choice]

    assert sorted(wanted) == sorted(found)
    assert ["S2A_NOT_THERE"] == choice.missing
    asked = [hit.query["identifier"].split(",") for hit in searches(site) if "identifier" in hit.query]
    assert [*wanted, "S2A_NOT_THERE"] == [name for batch in asked for name in batch]
    assert 2 <= len(asked) <= 4


async def test_each_batch_of_identifiers_is_asked_for_from_its_start(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)

    found = await chosen(site, ids=names(scenes), parameters={"startIndex": 3})

    assert sorted(names(scenes)) == sorted(found)


@pytest.mark.parametrize("suffix", [".zip", ".SAFE", ".SAFE.zip"])
async def test_names_of_files_are_identifiers_too(serve: Callable[..., Any], suffix: str) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)

    assert [scenes[1].identifier] == await chosen(site, ids=[scenes[1].identifier + suffix])


@pytest.mark.parametrize("written", ["downloads/{}.zip", "./{}.SAFE", "https://x.example/data-1/2023/{}.zip"])
async def test_a_sentinels_name_is_found_in_a_path_and_an_address_and_in_any_case(
    serve: Callable[..., Any], written: str
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)

    found = await chosen(site, ids=[written.format(scenes[1].identifier), scenes[2].identifier.lower()])

    assert sorted(names(scenes[1:])) == sorted(found)


async def test_other_identifiers_are_asked_for_as_they_are_written(serve: Callable[..., Any]) -> None:
    scenes = [replace(scene, identifier=f"cop-dem/tile-{n}_a") for n, scene in enumerate(level2_scenes(3))]
    site = await serve(scenes)

    assert ["cop-dem/tile-1_a"] == await chosen(site, ids=["cop-dem/tile-1_a"])


async def test_what_else_is_asked_of_identified_products_is_said(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)
    caplog.set_level("INFO", logger="collgs_async")

    await chosen(site, ids=names(scenes))
    assert "" == caplog.text
    async with client(site, ids=names(scenes), parameters={"timeEnd": "2001-01-01"}) as one:
        choice = one.search()
        assert [] == [product async for product in choice]

    assert sorted(names(scenes)) == sorted(choice.missing)
    assert "what is asked for by identifier is only found where it fits timeEnd, too" in caplog.text


async def test_what_another_wish_leaves_out_is_not_missing(serve: Callable[..., Any]) -> None:
    older, *_, newest = reprocessed(1)
    site = await serve([older, newest])

    async with client(site, ids=[older.identifier, newest.identifier], latest_baseline=True) as one:
        choice = one.search()
        assert [newest.identifier] == [product.identifier async for product in choice]

    assert ([], {"older baseline": 1}) == (choice.missing, dict(choice.excluded))


async def test_a_run_that_misses_some_is_not_ok(serve: Callable[..., Any], tmp_path: Path) -> None:
    scenes = level2_scenes(2, size=20_000)
    site = await serve(scenes)

    async with client(site, ids=[scenes[0].identifier, "S2A_NOT_THERE"]) as one:
        report = await one.download_all(report=tmp_path / "report.json")

    assert (1, 0, False) == (report.downloaded, report.failed, report.ok)
    assert ["S2A_NOT_THERE"] == json.loads((tmp_path / "report.json").read_bytes())["search"]["missing"]


async def test_a_catalogue_that_ignores_identifiers_is_not_walked_through(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(5), dialect=Dialect(without_columns=frozenset({"identifier"})))

    with pytest.raises(CatalogueError, match="cannot be asked by identifier"):
        await chosen(site, ids=["S2A_ANY"])

    assert 1 == len(searches(site))


# ------------------------------------------------------------------------------------------------------------ wrong


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"min_overlap": 5}, "selection.min_overlap: expected an area (aoi) beside it, found none"),
        ({"by": "cloud"}, "selection.by: expected what the best is wanted of (best_per) beside it, found none"),
        (
            {"best_per": "day", "by": "coverage"},
            "selection.by: expected an area (aoi) to choose by coverage, found none",
        ),
        (
            {"aoi": "POINT (6 50)", "min_overlap": 101},
            "selection.min_overlap: expected a percentage from 0 to 100, found 101",
        ),
        ({"tile": True}, "selection.tile: expected tiles such as 31UGR,32ULV, found true"),
        ({"aoi": 7}, "selection.aoi: expected a file, WKT or a GeoJSON object, found 7"),
        ({"tiles": "31UGR"}, "selection.tiles: unknown key; did you mean tile?"),
    ],
)
def test_a_wrong_wish_is_named(wanted: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Selection(**wanted)

    assert (line,) == tuple(caught.value.problems)


@pytest.mark.parametrize(
    ("wanted", "parameters"),
    [
        ({"aoi": "POINT (6 50)"}, {"geometry": "POINT (1 1)"}),
        ({"ids": ["A"]}, {"identifier": "B"}),
        ({"orbit_direction": "ASC"}, {"orbitDirection": "DESCENDING"}),
    ],
)
def test_nothing_is_said_twice(wanted: dict[str, Any], parameters: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=rf"expected no parameters.{next(iter(parameters))} beside it"):
        Config(parameters={"parentIdentifier": "S2_MSIL2A", **parameters}, selection=Selection(**wanted))


@pytest.mark.parametrize("ids", [[], ["  "], ["a,b"], ["é"]])
async def test_lists_without_right_identifiers_are_refused_before_anything_is_asked(
    serve: Callable[..., Any], ids: Sequence[str]
) -> None:
    site = await serve(level2_scenes(1))

    with pytest.raises(ConfigError, match=r"selection.ids.*expected"):
        await chosen(site, ids=ids)

    assert [] == site.server.requests


async def test_identifiers_that_do_not_come_hold_up_nothing_else(tmp_path: Path) -> None:
    """A FIFO without a writer, as of a command that has not begun."""
    fifo = tmp_path / "ids"
    os.mkfifo(fifo)

    def write_nothing() -> None:
        with suppress(OSError):
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))

    release = threading.Timer(5, write_nothing)  # else the test would hang instead of failing
    release.start()
    config = Config(
        base_url="http://127.0.0.1:1/search",
        parameters={"parentIdentifier": "X"},
        output_directory=tmp_path,
        selection=Selection(ids=fifo),
    )
    async with Client(config) as one:
        asking = asyncio.ensure_future(anext(aiter(one.search())))
        asyncio.get_running_loop().call_later(0.1, asking.cancel)
        with pytest.raises(asyncio.CancelledError):
            await asking
    release.cancel()
    write_nothing()
