"""The embedded server speaks the catalogue's protocol and misbehaves as its faults say, seen by a plain client."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import zipfile
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from yarl import URL

from collgs_async.demo.archives import write_archive
from collgs_async.demo.dialects import Dialect
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.history import History, Rates
from collgs_async.demo.login import LoginHandler, SignIn
from collgs_async.demo.scenes import COLLECTIONS, make_scenes
from collgs_async.demo.server import DemoServer
from tests.conftest import HANGS
from tests.support.clocks import until
from tests.support.demo import L2A, S1_NAME, S2_NAME, SCENE, SCENES, SIZE, Answer, bench, listing, names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from collgs_async.demo.faults import Fault
    from collgs_async.demo.scenes import Scene


def spoiled(folder: Path, name: str, **options: Any) -> Any:
    return bench(folder, faults={SCENE.identifier: FAULTS[name]}, **options)


def data_link(answer: Answer) -> dict[str, Any]:
    link: dict[str, Any] = answer.json["features"][0]["properties"]["links"]["data"][0]
    return link


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    path = tmp_path / "expected.zip"
    write_archive(SCENE, path)
    return path.read_bytes()


@pytest.fixture
def other_version(tmp_path: Path) -> bytes:
    path = tmp_path / "other.zip"
    write_archive(SCENE, path, version=1)
    return path.read_bytes()


class TestScenes:
    def test_are_the_same_for_the_same_seed_and_others_for_another(self) -> None:
        assert make_scenes(20, seed=1) == make_scenes(20, seed=1)
        assert make_scenes(20, seed=1) != make_scenes(20, seed=2)

    def test_have_unique_names_that_fit_the_patterns_of_their_mission(self) -> None:
        scenes = make_scenes(2_000)
        assert 2_000 == len({scene.identifier for scene in scenes})
        for scene in scenes:
            pattern = S1_NAME if scene.collection == "S1_SAR_GRD" else S2_NAME
            assert pattern.fullmatch(scene.identifier), scene.identifier

    def test_are_of_all_collections_and_only_radar_has_no_clouds(self) -> None:
        assert set(COLLECTIONS) == {scene.collection for scene in SCENES}
        assert {"S1_SAR_GRD"} == {scene.collection for scene in SCENES if scene.cloud_cover is None}


class TestHistory:
    """A server that is set to another day while it runs."""

    async def test_a_day_is_set_while_it_runs(self, tmp_path: Path) -> None:
        history = History(SCENES, begun=datetime(2021, 1, 1, tzinfo=UTC), rates=Rates(withdrawn=0.5))
        async with bench(tmp_path, history.at(history.day(60)), records_per_page=100) as it:
            before = names(await it.search())
            it.server.scenes[:] = history.at(history.day(300))
            after = names(await it.search())

        for day, listed in ((60, before), (300, after)):
            known = (scene for scene in history.at(history.day(day)) if scene.collection == "S2_MSIL2A")
            assert sorted(scene.identifier for scene in known) == sorted(listed)
        assert set(before) - set(after)
        assert set(after) - set(before)

    async def test_what_is_withdrawn_has_no_archive_and_one_that_stays_has_the_same(self, tmp_path: Path) -> None:
        async with bench(tmp_path, SCENES) as it:
            first = await it.fetch(L2A[1])
            it.server.scenes[:] = [replace(scene) for scene in SCENES if scene is not SCENE]
            assert 404 == (await it.fetch(SCENE)).status
            second = await it.fetch(L2A[1])

        assert (first.body, first.headers["ETag"]) == (second.body, second.headers["ETag"])

    @pytest.mark.parametrize("longer", [0, 100])
    async def test_a_repaired_product_has_other_bytes_and_validators_under_its_name(
        self, tmp_path: Path, longer: int
    ) -> None:
        repaired = replace(SCENE, version=1, size=SCENE.size + longer)
        async with bench(tmp_path, SCENES) as it:
            first = await it.fetch(SCENE)
            it.server.scenes[it.server.scenes.index(SCENE)] = repaired
            second = await it.fetch(SCENE)
        async with bench(tmp_path / "another", [repaired]) as it:
            elsewhere = await it.fetch(SCENE)

        assert first.body != second.body == elsewhere.body
        assert first.headers["ETag"] != second.headers["ETag"] == elsewhere.headers["ETag"]
        assert first.headers["Last-Modified"] != second.headers["Last-Modified"]
        assert len(first.body) + longer == len(second.body)

    async def test_entries_state_their_dates_as_oseo_does_and_are_found_by_them(self, tmp_path: Path) -> None:
        moment = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
        scenes = [replace(SCENE, updated=moment, available=moment - timedelta(days=1)), replace(L2A[1], is_dated=False)]
        async with bench(tmp_path, scenes) as it:
            everything = await it.search()
            ranges = "creationDate=%5B2021-01-01", "modificationDate=%5B2024-02-01", "availabilityTime=%5B2024-01-31"
            found = [names(await it.search(f"parentIdentifier=S2_MSIL2A&{one}")) for one in ranges]
            later = names(await it.search("parentIdentifier=S2_MSIL2A&modificationDate=%5B2024-02-02"))

        dated, undated = (feature["properties"] for feature in everything.json["features"])
        assert "2024-02-01T10:30:00.000+00:00" == dated["updated"]
        assert "2024-01-31T10:30:00.000+00:00" == dated["productInformation"]["availabilityTime"]
        assert not {"created", "updated"} & set(undated)
        assert "availabilityTime" not in undated["productInformation"]
        assert ([[SCENE.identifier]] * 3, []) == (found, later)


class TestArchives:
    @pytest.mark.parametrize("size", [640, 2_000, 4_096, 50_000, 1_500_000])
    @pytest.mark.parametrize("deflated", [False, True])
    @pytest.mark.parametrize("scene", [L2A[0], next(s for s in SCENES if s.cloud_cover is None)])
    def test_are_whole_zips_of_exactly_the_size_asked_for(
        self, tmp_path: Path, scene: Scene, deflated: bool, size: int
    ) -> None:
        path = tmp_path / "a.zip"
        write_archive(replace(scene, size=size, deflated=deflated), path)
        assert size == path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert f"{scene.identifier}.SAFE/manifest.safe" == archive.namelist()[0]

    def test_another_version_differs_and_is_as_long(self, whole: bytes, other_version: bytes) -> None:
        assert whole != other_version
        assert len(whole) == len(other_version)


class TestPaging:
    async def test_newest_first_and_ten_to_a_page_unless_asked(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search()
        assert 200 == answer.status
        assert "application/geo+json" == answer.headers["Content-Type"]
        assert [scene.identifier for scene in L2A[:10]] == names(answer)
        assert (len(L2A), 10, 1) == tuple(answer.json[key] for key in ("totalResults", "itemsPerPage", "startIndex"))
        assert answer.body.index(b'"features"') < answer.body.index(b'"totalResults"')

    async def test_equal_times_are_sorted_by_name(self, tmp_path: Path) -> None:
        twins = [replace(SCENE, identifier=name) for name in ("b", "c", "a")]
        async with bench(tmp_path, twins) as it:
            assert ["a", "b", "c"] == names(await it.search())

    async def test_pages_cover_everything_once_and_the_last_has_no_next(self, tmp_path: Path) -> None:
        found: list[str] = []
        async with bench(tmp_path) as it:
            for start in range(1, len(L2A) + 1, 7):
                answer = await it.search(f"parentIdentifier=S2_MSIL2A&count=7&startIndex={start}")
                found += names(answer)
                assert (start + 7 <= len(L2A)) == ("next" in answer.json["properties"]["links"])
                assert (start > 1) == ("previous" in answer.json["properties"]["links"])
        assert [scene.identifier for scene in L2A] == found

    async def test_past_the_end_is_an_empty_page_without_next(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search("parentIdentifier=S2_MSIL2A&startIndex=1000")
        assert (200, []) == (answer.status, answer.json["features"])
        assert "next" not in answer.json["properties"]["links"]

    async def test_count_zero_only_counts_and_its_next_leads_to_itself(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search("parentIdentifier=S2_MSIL2A&count=0")
        assert [] == answer.json["features"]
        assert (len(L2A), 0) == (answer.json["totalResults"], answer.json["itemsPerPage"])
        query = URL(answer.json["properties"]["links"]["next"][0]["href"]).query
        assert ("0", "1") == (query["count"], query["startIndex"])

    async def test_next_followed_to_the_letter_loses_the_filters(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            first = await it.search("parentIdentifier=S2_MSIL2A&count=2")
            href = first.json["properties"]["links"]["next"][0]["href"]
            assert "S2_MSIL2A" == URL(href).query["eo:parentIdentifier"]
            followed = await it.ask(href)
        assert {"os:count": "2", "os:startIndex": "3"} == followed.json["queries"]["request"]
        assert len(COLLECTIONS) == followed.json["totalResults"]

    async def test_a_list_of_scenes_that_changes_is_searched_as_it_is(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            before = await it.search("parentIdentifier=S2_MSIL2A&count=1")
            it.server.scenes.remove(SCENE)
            after = await it.search("parentIdentifier=S2_MSIL2A&count=1")
            gone = await it.fetch(SCENE)
            there = await it.fetch(L2A[1])
        assert [SCENE.identifier] == names(before)
        assert [L2A[1].identifier] == names(after)
        assert (404, 200) == (gone.status, there.status)


class TestCollections:
    async def test_without_a_parent_collections_are_found_the_youngest_first(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            every, one = await it.search("count=10"), await it.search("uid=S2_MSIL2A")
        assert ["S2_MSIL2A", "S2_MSIL1C", "S1_SAR_GRD"] == names(every)
        assert ["S2_MSIL2A"] == names(one)
        assert isinstance(one.json["features"][0]["properties"]["acquisitionInformation"], dict)

    async def test_the_old_name_of_the_parent_is_understood(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search("parentId=S2_MSIL2A&count=1")
        assert [SCENE.identifier] == names(answer)
        assert "S2_MSIL2A" == answer.json["queries"]["request"]["eo:parentIdentifier"]


class TestFilters:
    async def found(self, folder: Path, query: str, parent: str = "S2_MSIL2A") -> set[str]:
        async with bench(folder) as it:
            return set(names(await it.search(f"parentIdentifier={parent}&count=100&{query}")))

    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            ("%5B20,60%5D", 20, 60),
            ("%5D20,60%5B", 21, 59),
            ("%5B20,60%5B", 20, 59),
            ("%5B30", 30, 100),
            ("%5D30", 31, 100),
            ("40%5D", 0, 40),
            ("40%5B", 0, 39),
        ],
    )
    async def test_ranges_of_clouds(self, tmp_path: Path, text: str, low: int, high: int) -> None:
        clouds = [replace(SCENE, identifier=f"c{cover}", cloud_cover=cover) for cover in range(101)]
        clouds.append(replace(SCENE, identifier="unknown", cloud_cover=None))
        async with bench(tmp_path, clouds, page_maximum=200) as it:
            answer = await it.search(f"parentIdentifier=S2_MSIL2A&count=200&cloudCover={text}")
        assert {f"c{cover}" for cover in range(low, high + 1)} == set(names(answer))

    async def test_two_numbers_without_brackets_are_a_list(self, tmp_path: Path) -> None:
        clouds = [replace(SCENE, identifier=f"c{cover}", cloud_cover=cover) for cover in (0, 10, 20)]
        async with bench(tmp_path, clouds) as it:
            answer = await it.search("parentIdentifier=S2_MSIL2A&cloudCover=0,20")
        assert {"c0", "c20"} == set(names(answer))

    async def test_clouds_are_no_parameter_of_radar(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search("parentIdentifier=S1_SAR_GRD&count=100&cloudCover=%5B0,1%5D")
        assert sum(scene.collection == "S1_SAR_GRD" for scene in SCENES) == answer.json["totalResults"]
        assert "opt:cloudCover" not in answer.json["queries"]["request"]
        assert "productInformation" not in answer.json["features"][0]["properties"]

    async def test_orbits_are_compared_to_the_letter(self, tmp_path: Path) -> None:
        radar = [scene for scene in SCENES if scene.collection == "S1_SAR_GRD"]
        rising = {scene.identifier for scene in radar if scene.orbit_direction == "ASCENDING"}
        orbit = radar[0].orbit_number
        assert rising == await self.found(tmp_path, "orbitDirection=ASCENDING", "S1_SAR_GRD")
        assert set() == await self.found(tmp_path, "orbitDirection=Ascending", "S1_SAR_GRD")
        assert len(radar) == len(await self.found(tmp_path, "orbitDirection=ASCENDING,DESCENDING", "S1_SAR_GRD"))
        assert {scene.identifier for scene in radar if scene.orbit_number == orbit} == await self.found(
            tmp_path, f"orbitNumber={orbit}", "S1_SAR_GRD"
        )

    async def test_names_in_a_list_and_one_uid(self, tmp_path: Path) -> None:
        two = {scene.identifier for scene in L2A[3:5]}
        assert two == await self.found(tmp_path, f"identifier={','.join(two)}")
        assert {SCENE.identifier} == await self.found(tmp_path, f"uid={SCENE.identifier}")
        assert set() == await self.found(tmp_path, "uid=UNKNOWN")

    async def test_different_repeats_must_all_match(self, tmp_path: Path) -> None:
        one, other = L2A[0].identifier, L2A[1].identifier
        assert set() == await self.found(tmp_path, f"identifier={one}&identifier={other}")
        assert {one} == await self.found(tmp_path, f"identifier={one}&identifier={one}")

    async def test_times_intersect_and_a_day_is_its_midnight(self, tmp_path: Path) -> None:
        day = replace(SCENE, start=SCENE.start.replace(hour=0, minute=0, second=0, microsecond=0))
        midnight = replace(day, identifier="midnight", end=day.start)
        noon = replace(
            day, identifier="noon", start=day.start + timedelta(hours=12), end=day.start + timedelta(hours=13)
        )
        async with bench(tmp_path, [midnight, noon]) as it:

            async def found(query: str) -> set[str]:
                return set(names(await it.search(f"parentIdentifier=S2_MSIL2A&{query}")))

            date = f"{day.start:%Y-%m-%d}"
            assert {"midnight"} == await found(f"timeEnd={date}")
            assert {"midnight", "noon"} == await found(f"timeStart={date}")
            assert {"noon"} == await found(f"timeStart={date}T12:30:00Z&timeEnd={date}T12:40:00.000Z")
            assert {"noon"} == await found(f"timeStart={date}T13:00:00Z")
            assert set() == await found(f"timeStart={date}T13:00:01Z")

    @pytest.mark.parametrize(
        ("box", "expected"),
        [
            ("170,-10,-170,10", {"east", "west"}),
            ("170,-10,190,10", {"east", "west"}),
            ("170,-10,179.5,10", {"east"}),
            ("-10,-10,10,10", set()),
            ("170,-10,-170,10,WGS84", {"east", "west"}),
        ],
    )
    async def test_boxes_also_across_the_antimeridian(self, tmp_path: Path, box: str, expected: set[str]) -> None:
        def square(west: float) -> dict[str, Any]:
            return {
                "type": "Polygon",
                "coordinates": [[[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]],
            }

        scenes = [
            replace(SCENE, identifier="east", footprint=square(178)),
            replace(SCENE, identifier="west", footprint=square(-179)),
        ]
        async with bench(tmp_path, scenes) as it:
            assert expected == set(names(await it.search(f"parentIdentifier=S2_MSIL2A&box={box}")))

    async def test_what_is_no_parameter_filters_nothing_and_is_not_echoed(self, tmp_path: Path) -> None:
        query = "parentIdentifier=S2_MSIL2A&platform=X&productType=X&maxRecords=1&eo:orbitNumber=1&box=&count="
        async with bench(tmp_path) as it:
            answer = await it.search(query)
        assert len(L2A) == answer.json["totalResults"]
        assert {"eo:parentIdentifier": "S2_MSIL2A"} == answer.json["queries"]["request"]

    async def test_the_echo_has_each_known_parameter_with_its_prefix(self, tmp_path: Path) -> None:
        query = "count=5&box=5,49,7,51&timeStart=2021-01-01&cloudCover=%5B0,50%5D&parentIdentifier=S2_MSIL2A"
        async with bench(tmp_path) as it:
            answer = await it.search(query)
        assert {
            "os:count": "5",
            "geo:box": "5,49,7,51",
            "time:timeStart": "2021-01-01",
            "opt:cloudCover": "[0,50]",
            "eo:parentIdentifier": "S2_MSIL2A",
        } == answer.json["queries"]["request"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "status", "text", "locator"),
        [
            ("parentIdentifier=X", 400, "Unknown parentId 'X'", None),
            ("startIndex=0", 400, "Invalid 'startIndex' value, should be positive or zero", None),
            ("startIndex=-3", 400, "Invalid 'startIndex' value, should be positive or zero", None),
            ("startIndex=x", 400, "Invalid 'startIndex' value, not an integer: x", "startIndex"),
            ("count=101", 400, "Invalid 'count' value, should not be greater than 100", None),
            ("count=-1", 400, "Invalid 'count' value, should be positive or zero", None),
            ("count=x", 400, "Invalid 'count' value, not an integer: x", "count"),
            (
                "timeStart=abcde",
                400,
                "Invalid expression for start time, use a ISO time or date instead: abcde",
                "timeStart",
            ),
            (
                "timeStart=2021-01-01&timeEnd=2021-13-01",
                400,
                "Invalid expression for end time, use a ISO time or date instead: 2021-01-01",
                "timeEnd",
            ),
            (
                "cloudCover=47.5",
                400,
                "Value '47.5' of key cloudCover cannot be converted to a Integer",
                "cloudCover",
            ),
            ("box=1,2,3,4,EPSG:3857", 400, "Unsupported CRS in box: EPSG:3857", "box"),
            ("box=1,2,3", 500, "Requested bounding box contains wrong number of coordinates: 1,2,3", None),
            (
                "box=1,2,3,4,5,6",
                500,
                "Requested bounding box contains wrong number of coordinates: 1,2,3,4,5,6",
                None,
            ),
            ("box=a,b,c,d", 500, "Bounding box coordinate is not parsable: a,b,c,d", None),
        ],
    )
    async def test_are_json_without_a_content_type(
        self, tmp_path: Path, query: str, status: int, text: str, locator: str | None
    ) -> None:
        parent = "" if "parentIdentifier" in query else "parentIdentifier=S2_MSIL2A&"
        async with bench(tmp_path) as it:
            answer = await it.search(parent + query)
        assert status == answer.status
        assert "Content-Type" not in answer.headers
        assert "Exception" == answer.json["type"]
        exception = answer.json["exceptions"][0]
        assert (text, locator) == (exception["exceptionText"], exception["locator"])

    async def test_are_rss_when_json_was_not_asked_for(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search("parentIdentifier=%3CX%3E", accept="atom")
        assert (400, "application/xml") == (answer.status, answer.headers["Content-Type"])
        assert "Unknown parentId '<X>'" == ET.fromstring(answer.body).findtext("channel/item/title")

    async def test_unknown_places_and_methods_are_refused(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            assert 404 == (await it.ask("/nowhere")).status
            assert 405 == (await it.fetch(method="DELETE")).status


async def test_without_httpaccept_the_answer_is_an_atom_feed(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        answer = await it.ask("/catalog/oseo/search?parentIdentifier=S2_MSIL2A&count=2")
    assert "application/atom+xml" == answer.headers["Content-Type"]
    atom = "{http://www.w3.org/2005/Atom}"
    entries = ET.fromstring(answer.body).findall(f"{atom}entry")
    links = [link.get("href") for entry in entries for link in entry.findall(f"{atom}link")]
    assert [scene.location for scene in L2A[:2]] == links


class TestDialects:
    async def answer(self, folder: Path, query: str = "parentIdentifier=S2_MSIL2A", **switches: Any) -> Answer:
        async with bench(folder, dialect=Dialect(**switches)) as it:
            return await it.search(query)

    async def test_stock_has_all_that_the_switches_change(self, tmp_path: Path) -> None:
        answer = await self.answer(tmp_path)
        assert SCENE.location == data_link(answer)["href"]
        assert SCENE.location.startswith("repository/")
        assert "length" not in data_link(answer)
        assert {"id", "totalResults", "queries", "properties"} <= set(answer.json)
        assert isinstance(answer.json["features"][0]["properties"]["acquisitionInformation"], list)

    async def test_absolute_hrefs(self, tmp_path: Path) -> None:
        async with bench(tmp_path, dialect=Dialect(absolute_hrefs=True)) as it:
            href = data_link(await it.search())["href"]
            assert f"{it.server.origin}/{SCENE.location}" == href
            assert 200 == (await it.ask(href)).status

    async def test_leading_slash(self, tmp_path: Path) -> None:
        assert f"/{SCENE.location}" == data_link(await self.answer(tmp_path, leading_slash=True))["href"]

    async def test_an_href_of_the_scene_is_used_as_it_is(self, tmp_path: Path) -> None:
        elsewhere = replace(SCENE, href="https://archive.invalid/a.zip")
        async with bench(tmp_path, [elsewhere], dialect=Dialect(leading_slash=True)) as it:
            assert "https://archive.invalid/a.zip" == data_link(await it.search())["href"]

    async def test_no_total_no_links_no_echo(self, tmp_path: Path) -> None:
        answer = await self.answer(tmp_path, total=False, links=False, echo=False)
        assert "totalResults" not in answer.json
        assert "links" not in answer.json["properties"]
        assert "queries" not in answer.json

    async def test_acquisition_as_an_object(self, tmp_path: Path) -> None:
        answer = await self.answer(tmp_path, acquisition_object=True)
        acquisition = answer.json["features"][0]["properties"]["acquisitionInformation"]
        assert "Sentinel-2" == acquisition["platform"]["platformShortName"]

    async def test_sizes_are_those_of_the_archives(self, tmp_path: Path, whole: bytes) -> None:
        assert len(whole) == data_link(await self.answer(tmp_path, sizes=True))["length"]

    async def test_an_old_server_knows_only_the_old_name_of_the_parent(self, tmp_path: Path) -> None:
        new = await self.answer(tmp_path, parent_key="parentId")
        old = await self.answer(tmp_path, "parentId=S2_MSIL2A", parent_key="parentId")
        assert set(COLLECTIONS) == set(names(new))
        assert [scene.identifier for scene in L2A[:10]] == names(old)

    async def test_errors_as_xml_or_as_a_proxys_page(self, tmp_path: Path) -> None:
        xml = await self.answer(tmp_path, "count=-1", xml_errors=True)
        html = await self.answer(tmp_path, "count=-1", html_errors=True)
        assert (400, "application/xml") == (xml.status, xml.headers["Content-Type"])
        assert (503, "text/html; charset=utf-8") == (html.status, html.headers["Content-Type"])

    async def test_newcomers_shift_the_second_page(self, tmp_path: Path) -> None:
        async with bench(tmp_path, dialect=Dialect(newcomers=2)) as it:
            first = await it.search("parentIdentifier=S2_MSIL2A&count=5")
            second = await it.search("parentIdentifier=S2_MSIL2A&count=5&startIndex=6")
            front = await it.search("parentIdentifier=S2_MSIL2A&count=3")
            archive = await it.ask(data_link(front)["href"])
        assert names(first)[3:] == names(second)[:2]
        assert SCENE.identifier == names(front)[2]
        assert all(S2_NAME.fullmatch(name) for name in names(front))
        assert 200 == archive.status

    async def test_bare_products_have_a_name_and_a_link(self, tmp_path: Path) -> None:
        feature = (await self.answer(tmp_path, bare=True)).json["features"][0]
        assert {"type", "geometry", "properties"} == set(feature)
        assert {"identifier", "links"} == set(feature["properties"])
        assert {"data"} == set(feature["properties"]["links"])


class TestStore:
    async def test_gives_the_archive_with_its_validators(self, tmp_path: Path, whole: bytes) -> None:
        async with bench(tmp_path) as it:
            answer, head = await it.fetch(), await it.fetch(method="HEAD")
        assert (200, whole) == (answer.status, answer.body)
        assert "application/zip" == answer.headers["Content-Type"]
        assert "bytes" == answer.headers["Accept-Ranges"]
        assert re.fullmatch(r'"[^"]+"', answer.headers["ETag"])
        assert b"" == head.body
        shared = ("ETag", "Last-Modified", "Content-Length", "Accept-Ranges", "Content-Type")
        assert {key: answer.headers[key] for key in shared} == {key: head.headers[key] for key in shared}

    @pytest.mark.parametrize(
        ("text", "first", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            ("bytes=100-", 100, None),
            ("bytes=-50", -50, None),
            ("bytes=-99999999", 0, None),
            ("bytes=100-99999999", 100, None),
        ],
    )
    async def test_gives_a_range(self, tmp_path: Path, whole: bytes, text: str, first: int, stop: int | None) -> None:
        expected = whole[first:stop]
        start = whole.index(expected)
        async with bench(tmp_path) as it:
            answer = await it.fetch(Range=text)
        assert (206, expected) == (answer.status, answer.body)
        assert f"bytes {start}-{start + len(expected) - 1}/{len(whole)}" == answer.headers["Content-Range"]
        assert str(len(expected)) == answer.headers["Content-Length"]

    @pytest.mark.parametrize("text", ["bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6"])
    async def test_ignores_what_is_not_one_valid_range(self, tmp_path: Path, whole: bytes, text: str) -> None:
        async with bench(tmp_path) as it:
            answer = await it.fetch(Range=text)
        assert (200, whole) == (answer.status, answer.body)

    @pytest.mark.parametrize("text", ["bytes={length}-", "bytes={length}-{length}", "bytes=-0"])
    async def test_says_416_to_a_range_past_the_end(self, tmp_path: Path, whole: bytes, text: str) -> None:
        async with bench(tmp_path) as it:
            answer = await it.fetch(Range=text.format(length=len(whole)))
        assert (416, f"bytes */{len(whole)}") == (answer.status, answer.headers["Content-Range"])

    async def test_a_head_knows_no_ranges(self, tmp_path: Path, whole: bytes) -> None:
        async with bench(tmp_path) as it:
            answer = await it.fetch(method="HEAD", Range="bytes=0-0")
        assert (200, str(len(whole))) == (answer.status, answer.headers["Content-Length"])

    @pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
    async def test_if_range_lets_the_range_stand_until_the_archive_is_replaced(
        self, tmp_path: Path, whole: bytes, other_version: bytes, validator: str
    ) -> None:
        async with bench(tmp_path) as it:
            known = (await it.fetch(method="HEAD")).headers[validator]
            same = await it.fetch(Range="bytes=10-19", If_Range=known)
            it.server.replace(SCENE.identifier)
            changed = await it.fetch(Range="bytes=10-19", If_Range=known)
        assert (206, whole[10:20]) == (same.status, same.body)
        assert (200, other_version) == (changed.status, changed.body)
        assert known != changed.headers[validator]

    async def test_evaluates_preconditions(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            headers = (await it.fetch(method="HEAD")).headers
            etag, date = headers["ETag"], headers["Last-Modified"]
            assert 304 == (await it.fetch(If_None_Match=etag)).status
            assert 304 == (await it.fetch(If_Modified_Since=date)).status
            assert 412 == (await it.fetch(If_Match='"other"', Range="bytes=0-0")).status
            assert 206 == (await it.fetch(If_Match=etag, Range="bytes=0-0")).status
            early = "Fri, 01 Jan 2010 00:00:00 GMT"
            assert 412 == (await it.fetch(If_Unmodified_Since=early)).status
            assert 200 == (await it.fetch(If_Modified_Since=early)).status

    async def test_says_404_with_a_page_to_what_it_does_not_have(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.ask("/repository/nothing.zip")
        assert (404, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])

    async def test_makes_archives_only_when_they_are_asked_for(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            await it.search()
            assert [] == listing(tmp_path / "store")
            await asyncio.gather(*(it.fetch() for _ in range(8)))
            assert 1 == len(listing(tmp_path / "store"))

    async def test_a_name_that_is_a_path_stays_in_the_folder(self, tmp_path: Path) -> None:
        hostile = replace(SCENE, identifier="../../evil", href="repository/evil.zip")
        async with bench(tmp_path, [hostile]) as it:
            assert 200 == (await it.fetch(hostile)).status
        assert ["store"] == listing(tmp_path)

    async def test_keeps_to_its_rate(self, tmp_path: Path, whole: bytes) -> None:
        rate = 10 * len(whole)
        async with bench(tmp_path, rate=rate) as it:
            before = asyncio.get_running_loop().time()
            answer = await it.fetch()
            seconds = asyncio.get_running_loop().time() - before
        assert whole == answer.body
        assert 0.09 <= seconds < 1


class TestHits:
    async def test_tell_what_was_asked_and_sent(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            await it.search("parentIdentifier=S2_MSIL2A&cloudCover=%5B0,9%5D")
            await it.fetch(Range="bytes=0-99", X_Mark="here")
            page, archive = it.server.requests
            it.server.forget()
            assert [] == it.server.requests
        assert {"parentIdentifier": "S2_MSIL2A", "cloudCover": "[0,9]", "httpAccept": "json"} == page.query
        assert ("GET", f"/{SCENE.location}", "bytes=0-99", 206, 100) == (
            archive.method,
            archive.path,
            archive.range,
            archive.status,
            archive.sent,
        )
        assert "here" == archive.headers["x-mark"]
        assert page.at < archive.at


class TestFaults:
    def right_name(self, body: bytes) -> str | None:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return archive.testzip()

    def test_only_those_that_no_retry_helps_against_are_not_recoverable(self) -> None:
        assert {"missing", "forbidden", "rotten", "login"} == {
            name for name, fault in FAULTS.items() if not fault.recoverable
        }

    def test_are_indexed_by_their_names(self) -> None:
        assert list(FAULTS) == [fault.name for fault in FAULTS.values()]

    async def test_other_products_are_spared(self, tmp_path: Path) -> None:
        async with spoiled(tmp_path, "missing") as it:
            assert (404, 200) == ((await it.fetch()).status, (await it.fetch(L2A[1])).status)

    async def test_several_are_played_one_after_the_other(self, tmp_path: Path) -> None:
        both = (replace(FAULTS["503"], times=2), FAULTS["500"])
        async with bench(tmp_path, faults={SCENE.identifier: both}) as it:
            assert [503, 503, 500, 200] == [(await it.fetch()).status for _ in range(4)]

    async def test_a_head_uses_up_nothing(self, tmp_path: Path) -> None:
        async with spoiled(tmp_path, "503") as it:
            assert 200 == (await it.fetch(method="HEAD")).status
            assert 503 == (await it.fetch()).status

    @pytest.mark.parametrize("name", ["cut", "reset"])
    async def test_cut_and_reset_end_after_a_third(self, tmp_path: Path, whole: bytes, name: str) -> None:
        async with spoiled(tmp_path, name) as it:
            first, second = await it.fetch(), await it.fetch()
            assert len(whole) // 3 == it.server.requests[0].sent
        assert (200, True) == (first.status, first.broken)
        assert whole[: len(whole) // 3] == first.body
        assert (whole, False) == (second.body, second.broken)

    @pytest.mark.parametrize(("name", "error"), [("cut", None), ("reset", ConnectionResetError)])
    async def test_only_a_reset_is_a_reset(self, tmp_path: Path, name: str, error: type[Exception] | None) -> None:
        async with spoiled(tmp_path, name) as it:
            data, raised = await raw_fetch(it.server)
        assert error == (None if raised is None else type(raised))
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")

    async def test_stall_is_silent_and_keeps_the_line_open(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "stall") as it:
            async with it.session.get(f"{it.server.origin}/{SCENE.location}") as response:
                assert whole[: len(whole) // 3] == await response.content.readexactly(len(whole) // 3)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(response.content.read(1), 0.2)
                assert not response.content.is_eof()
            assert whole == (await it.fetch()).body

    async def test_half_header_breaks_off_inside_the_header(self, tmp_path: Path) -> None:
        async with spoiled(tmp_path, "half-header") as it:
            assert (b"HTTP/1.1 200 OK\r\nContent-Ty", None) == await raw_fetch(it.server)
            assert [0] == [hit.status for hit in it.server.requests]
            assert 200 == (await it.fetch()).status

    @pytest.mark.parametrize("status", [503, 429, 500])
    async def test_refusals(self, tmp_path: Path, whole: bytes, status: int) -> None:
        async with spoiled(tmp_path, str(status)) as it:
            first, second = await it.fetch(), await it.fetch()
        assert status == first.status
        assert (None if status == 500 else "1") == first.headers.get("Retry-After")
        assert whole == second.body

    async def test_no_range_answers_with_the_whole(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "no-range") as it:
            first, second = await it.fetch(), await it.fetch(Range="bytes=100-")
        assert (True, len(whole) // 3) == (first.broken, len(first.body))
        assert (200, whole) == (second.status, second.body)

    async def test_no_length_ends_with_the_connection(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "no-length") as it:
            first, _ = await raw_fetch(it.server)
            second, _ = await raw_fetch(it.server)
        header, _, cut = first.partition(b"\r\n\r\n")
        assert b"content-length" not in header.lower()
        assert b"transfer-encoding" not in header.lower()
        assert b"connection: close" in header.lower()
        assert whole[: len(whole) // 3] == cut
        assert whole == second.partition(b"\r\n\r\n")[2]

    async def test_etag_per_node_changes_each_time(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "etag-per-node") as it:
            first = await it.fetch()
            second = await it.fetch(Range="bytes=10-19")
            third = await it.fetch(Range="bytes=10-19", If_Range=second.headers["ETag"])
        assert first.broken
        assert 3 == len({answer.headers["ETag"] for answer in (first, second, third)})
        assert (206, whole[10:20]) == (second.status, second.body)
        assert (200, whole) == (third.status, third.body)

    @pytest.mark.parametrize(("name", "shift"), [("early-206", -1000), ("wrong-range", 1000)])
    async def test_ranges_that_begin_elsewhere(self, tmp_path: Path, whole: bytes, name: str, shift: int) -> None:
        async with spoiled(tmp_path, name) as it:
            first, second = await it.fetch(), await it.fetch(Range="bytes=5000-")
        assert first.broken
        assert 206 == second.status
        assert f"bytes {5000 + shift}-{len(whole) - 1}/{len(whole)}" == second.headers["Content-Range"]
        assert whole[5000 + shift :] == second.body

    async def test_a_wrong_range_is_right_the_second_time(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "wrong-range") as it:
            answers = [await it.fetch(Range="bytes=5000-") for _ in range(3)]
        assert whole[5000:] == answers[2].body

    async def test_range_under_status_200(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "200-range") as it:
            first, second = await it.fetch(), await it.fetch(Range="bytes=100-")
        assert first.broken
        assert (200, whole[100:]) == (second.status, second.body)
        assert f"bytes 100-{len(whole) - 1}/{len(whole)}" == second.headers["Content-Range"]

    async def test_if_range_200_gives_the_whole_even_for_the_right_validator(
        self, tmp_path: Path, whole: bytes
    ) -> None:
        async with spoiled(tmp_path, "if-range-200") as it:
            first = await it.fetch()
            plain = await it.fetch(Range="bytes=100-")
            bound = await it.fetch(Range="bytes=100-", If_Range=first.headers["ETag"])
        assert first.broken
        assert (206, whole[100:]) == (plain.status, plain.body)
        assert (200, whole) == (bound.status, bound.body)

    async def test_weak_etag_never_lets_a_range_stand(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "weak-etag") as it:
            first = await it.fetch()
            etag = first.headers["ETag"]
            bound = await it.fetch(Range="bytes=100-", If_Range=etag)
            plain = await it.fetch(Range="bytes=100-")
        assert first.broken
        assert re.fullmatch(r'W/"[^"]+"', etag)
        assert (200, whole) == (bound.status, bound.body)
        assert (206, whole[100:]) == (plain.status, plain.body)

    async def test_no_validators(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "no-validators") as it:
            first, second = await it.fetch(), await it.fetch(Range="bytes=100-")
        assert first.broken
        for answer in (first, second):
            assert not {"ETag", "Last-Modified"} & set(answer.headers)
        assert (206, whole[100:]) == (second.status, second.body)

    @pytest.mark.parametrize(("name", "told"), [("replaced", True), ("replaced-silently", False)])
    async def test_replaced_after_a_third(
        self, tmp_path: Path, whole: bytes, other_version: bytes, name: str, told: bool
    ) -> None:
        async with spoiled(tmp_path, name) as it:
            first, second = await it.fetch(), await it.fetch(Range="bytes=100-")
        assert (True, whole[: len(whole) // 3]) == (first.broken, first.body)
        assert (206, other_version[100:]) == (second.status, second.body)
        assert (told, told) == ("ETag" in first.headers, "ETag" in second.headers)
        assert told == (first.headers.get("ETag") != second.headers.get("ETag"))

    async def test_html_is_a_page_under_status_200(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "html") as it:
            first, second = await it.fetch(), await it.fetch()
        assert (200, "text/html; charset=utf-8") == (first.status, first.headers["Content-Type"])
        assert b"Maintenance" in first.body
        assert whole == second.body

    async def test_flows_is_a_refusal_as_xml_under_status_200(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "flows") as it:
            first, second = await it.fetch(), await it.fetch()
        assert (200, "application/xml") == (first.status, first.headers["Content-Type"])
        assert b"Maximum number of 4 concurrent flows achieved by the user" in first.body
        assert whole == second.body

    @pytest.mark.parametrize(("name", "healed"), [("corrupt", True), ("rotten", False)])
    async def test_one_flipped_bit(self, tmp_path: Path, whole: bytes, name: str, healed: bool) -> None:
        async with spoiled(tmp_path, name) as it:
            first, second = await it.fetch(), await it.fetch()
        flips = [one ^ other for one, other in zip(whole, first.body, strict=True) if one != other]
        assert [1] == flips
        assert self.is_spoiled(first.body)
        assert healed == (whole == second.body)

    def is_spoiled(self, body: bytes) -> bool:
        try:
            return self.right_name(body) is not None
        except Exception:  # zlib says in its own way that a deflated member is broken
            return True

    async def test_truncated_agrees_with_its_length(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "truncated") as it:
            first, second = await it.fetch(), await it.fetch()
        assert (False, whole[: len(whole) * 2 // 3]) == (first.broken, first.body)
        assert str(len(first.body)) == first.headers["Content-Length"]
        assert whole == second.body

    async def test_gzip_wraps_the_whole(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "gzip") as it:
            first, second = await it.fetch(Range="bytes=5-"), await it.fetch()
        assert (200, "gzip") == (first.status, first.headers["Content-Encoding"])
        assert whole == gzip.decompress(first.body)
        assert (whole, None) == (second.body, second.headers.get("Content-Encoding"))

    async def test_trailing_bytes_are_announced(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "trailing") as it:
            for answer in (await it.fetch(), await it.fetch()):
                assert whole + bytes(200) == answer.body
                assert str(len(whole) + 200) == answer.headers["Content-Length"]

    async def test_slow_trickles_at_first(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "slow") as it:
            before = asyncio.get_running_loop().time()
            first = await it.fetch()
            middle = asyncio.get_running_loop().time()
            second = await it.fetch()
            after = asyncio.get_running_loop().time()
        assert whole == first.body == second.body
        assert 1.9 < middle - before < 4
        assert after - middle < 1

    @pytest.mark.parametrize(("name", "status"), [("missing", 404), ("forbidden", 403)])
    async def test_lasting_refusals(self, tmp_path: Path, name: str, status: int) -> None:
        async with spoiled(tmp_path, name) as it:
            assert [status] * 3 == [(await it.fetch(method=method)).status for method in ("GET", "HEAD", "GET")]

    async def test_login_redirects_to_a_form_that_comes_back(self, tmp_path: Path) -> None:
        async with spoiled(tmp_path, "login") as it:
            redirect = await it.fetch()
            assert 302 == redirect.status
            assert redirect.headers["Location"].startswith("/sso/login?")
            page = await it.ask(redirect.headers["Location"])
            assert (200, "text/html; charset=utf-8") == (page.status, page.headers["Content-Type"])
            form = re.search(r'<form id="kc-form-login" action="([^"]+)" method="post">', page.body.decode())
            assert form
            assert b'name="username"' in page.body
            assert b'name="password"' in page.body
            again = await it.ask(form[1].replace("&amp;", "&"), "POST")
        assert (200, page.body) == (again.status, again.body)

    async def test_no_fault_makes_the_server_complain(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        scenes = make_scenes(len(FAULTS), size=SIZE)
        faults: dict[str, Fault] = {
            scene.identifier: fault
            for scene, fault in zip(scenes, FAULTS.values(), strict=True)
            if not fault.name.startswith("catalogue-")
        }
        async with bench(tmp_path, scenes, faults=faults) as it:
            for scene in scenes:
                if scene.identifier in faults and faults[scene.identifier].name not in {"slow"}:
                    await raw_fetch(it.server, scene, seconds=0.2)
            assert len(faults) - 1 == len(it.server.requests)
        assert [] == caplog.records


class Browser:
    """A browser that follows redirects and keeps cookies, host by host."""

    def __init__(self, server: DemoServer) -> None:
        self.server = server
        self.url = URL(server.origin)
        self.visited: list[str] = []
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self.session = aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=HANGS))

    async def go(self, url: str | URL, form: Mapping[str, str] | None = None, **headers: str) -> tuple[int, bytes]:
        method = "POST" if form else "GET"
        async with self.session.request(method, url, data=form, headers=headers) as response:
            self.url = response.url
            self.visited = [f"{step.status} {step.url.host}{step.url.path}" for step in response.history]
            return response.status, await response.read()

    async def to_form(self) -> URL:
        """Ask for an archive, and find where the form that comes is to be posted."""
        status, body = await self.go(f"{self.server.origin}/{SCENE.location}")
        assert 200 == status
        found = re.search(r'<form id="kc-form-login" action="([^"]+)"', body.decode())
        if found:
            assert "&amp;" in found[1]
            return URL(found[1].replace("&amp;", "&"))
        assert b"<form" not in body
        script = re.search(r'"loginAction": ("http:[^"]+")', body.decode())
        assert script
        assert r"\/\/" in script[1]
        return URL(json.loads(script[1]))

    async def sign_in(self, password: str = "right") -> tuple[int, bytes]:
        form = {"username": "ada", "password": password, "credentialId": ""}
        return await self.go(await self.to_form(), form)


@asynccontextmanager
async def guarded(folder: Path, **rules: Any) -> AsyncIterator[Browser]:
    async with DemoServer(SCENES, folder / "store", sign_in=SignIn("ada", "right", **rules)) as server:
        browser = Browser(server)
        async with browser.session:
            yield browser


class TestSignIn:
    @pytest.mark.parametrize("form", ["html", "script"])
    async def test_leads_through_the_form_to_the_archive(self, tmp_path: Path, whole: bytes, form: str) -> None:
        async with guarded(tmp_path, form=form) as browser:
            assert (200, whole) == await browser.sign_in()
            assert ["302 127.0.0.1/sso/realms/lucollgs/login-actions/authenticate", "302 127.0.0.1/redirect_uri"] == (
                browser.visited
            )
            part = await browser.go(f"{browser.server.origin}/{SCENE.location}", Range="bytes=0-9")
        assert ((206, whole[:10]), []) == (part, browser.visited)

    async def test_may_live_on_another_host_than_the_catalogue(self, tmp_path: Path, whole: bytes) -> None:
        async with guarded(tmp_path, host="localhost") as browser:
            assert (200, whole) == await browser.sign_in()
            assert "localhost" == browser.url.host
            assert (200, whole) == await browser.go(f"{browser.server.origin}/{SCENE.location}")
            assert [f"302 127.0.0.1/{SCENE.location}"] == browser.visited

    @pytest.mark.parametrize(("chunked", "names"), [(False, {"session"}), (True, {"session", "session_2"})])
    async def test_gives_cookies_that_careless_jars_spoil(self, tmp_path: Path, chunked: bool, names: set[str]) -> None:
        async with guarded(tmp_path, chunked=chunked) as browser:
            await browser.sign_in()
            held = {cookie.key: cookie.value for cookie in browser.session.cookie_jar}
        assert {"AUTH_SESSION_ID", "KEYCLOAK_IDENTITY", "KEYCLOAK_SESSION", *names} == set(held)
        for value in ("".join(held[name] for name in sorted(names)), held["AUTH_SESSION_ID"]):
            assert {"/", "=", "+"} <= set(value)

    async def test_shows_the_form_again_after_a_wrong_password_and_locks_in_the_end(self, tmp_path: Path) -> None:
        async with guarded(tmp_path, locked_after=2) as browser:
            answers = [await browser.sign_in(word) for word in ("wrong", "worse", "right")]
        assert [200] * 3 == [status for status, _ in answers]
        assert all(b'<form id="kc-form-login"' in body for _, body in answers)
        words = [re.findall(rb'<span id="input-error"[^>]*>([^<]+)</span>', body)[0] for _, body in answers]
        assert [b"Invalid username or password."] * 2 == words[:2]
        assert words[2].startswith(b"Account is temporarily disabled")

    async def test_wants_the_cookie_that_came_with_the_form(self, tmp_path: Path) -> None:
        async with guarded(tmp_path) as browser:
            action = await browser.to_form()
            browser.session.cookie_jar.clear()
            assert 400 == (await browser.go(action, {"username": "ada", "password": "right"}))[0]

    async def test_ends_with_a_session_of_so_many_requests(self, tmp_path: Path, whole: bytes) -> None:
        async with guarded(tmp_path, session_requests=2) as browser:
            assert (200, whole) == await browser.sign_in()
            assert (200, whole) == await browser.go(f"{browser.server.origin}/{SCENE.location}")
            assert (200, whole) != await browser.go(f"{browser.server.origin}/{SCENE.location}")
            assert browser.url.path.startswith("/sso/")

    def test_ends_with_a_session_of_so_many_seconds(self) -> None:
        now = [0.0]
        desk = LoginHandler(SignIn("ada", "right", session_seconds=10), "http://store", clock=lambda: now[0])

        def follow(url: str, cookies: dict[str, str], **posted: str) -> tuple[Any, dict[str, str]]:
            reply = desk.reply(URL(url).path, URL(url).query, cookies, posted)
            return reply, cookies | given(reply)

        def given(reply: Any) -> dict[str, str]:
            pairs = [line.partition(";")[0].split("=", 1) for line in reply.headers.getall("Set-Cookie", ())]
            return dict(pairs)

        sent = desk.send_to_form("/archive")
        form, cookies = follow(sent.headers["Location"], given(sent))
        action = re.findall(r'action="([^"]+)"', form.body.decode())[0].replace("&amp;", "&")
        accepted, cookies = follow(action, cookies, username="ada", password="right")
        _, cookies = follow(accepted.headers["Location"], cookies)
        admitted = []
        for now[0] in (0.0, 10.0, 10.1):
            admitted.append(desk.admits(cookies))
        assert [True, True, False] == admitted

    async def test_notes_which_fields_were_posted_and_nothing_of_what_they_held(self, tmp_path: Path) -> None:
        async with guarded(tmp_path) as browser:
            await browser.sign_in("pa55word")
            hits = [hit for hit in browser.server.requests if hit.method == "POST"]
            assert [("username", "password", "credentialId")] == [hit.posted for hit in hits]
            assert "pa55word" not in repr(browser.server.requests)
        assert "right" not in repr(SignIn("ada", "right"))

    async def test_leaves_the_catalogue_open(self, tmp_path: Path) -> None:
        async with bench(tmp_path, sign_in=SignIn("ada", "right")) as it:
            assert 200 == (await it.search()).status
            assert 302 == (await it.fetch()).status


class TestCatalogueFaults:
    async def answers(self, folder: Path, *faults: str) -> list[Answer]:
        async with bench(folder, faults={"catalogue": tuple(FAULTS[name] for name in faults)}) as it:
            return [await it.search() for _ in range(len(faults) + 1)]

    async def test_are_played_in_their_order_and_then_all_is_well(self, tmp_path: Path) -> None:
        busy, page, cut, failed, right = await self.answers(
            tmp_path, "catalogue-503", "catalogue-html", "catalogue-cut", "catalogue-500"
        )
        assert (503, "1") == (busy.status, busy.headers["Retry-After"])
        assert (200, "text/html; charset=utf-8") == (page.status, page.headers["Content-Type"])
        assert (200, False) == (cut.status, cut.broken)
        assert right.body[: len(right.body) // 2] == cut.body
        assert (500, "Exception") == (failed.status, failed.json["type"])
        assert [scene.identifier for scene in L2A[:10]] == names(right)

    async def test_one_need_not_be_in_a_tuple(self, tmp_path: Path) -> None:
        async with bench(tmp_path, faults={"catalogue": FAULTS["catalogue-503"]}) as it:
            assert [503, 200] == [(await it.search()).status for _ in range(2)]


async def raw_fetch(server: DemoServer, scene: Scene = SCENE, seconds: float = HANGS) -> tuple[bytes, Exception | None]:
    """Fetch over a bare socket; give all bytes until the line ends, or time is up, and how it broke."""
    url = URL(server.origin)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    before = len(server.requests)
    writer.write(f"GET /{scene.location} HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
    await until(lambda: len(server.requests) > before)
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while data := await reader.read(1 << 16):
                received += data
    except (OSError, TimeoutError) as error:
        return bytes(received), error
    finally:
        writer.close()
    return bytes(received), None


class TestTroubleOfAllArchives:
    async def test_a_signed_link_is_good_only_as_it_was_given(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "signed") as it:
            link = (await it.fetch()).headers["Location"]
            right = await it.ask(SCENE.location + link)
            others = [await it.ask(SCENE.location + link.replace(*change)) for change in (("%27", "'"), ("|", "%7C"))]

        assert (200, whole) == (right.status, right.body)
        assert [403, 403] == [answer.status for answer in others]

    async def test_what_is_on_tape_is_there_in_the_end(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "staged") as it:
            *staged, last = [await it.fetch() for _ in range(3)]

        assert [(202, "1")] * 2 == [(answer.status, answer.headers["Retry-After"]) for answer in staged]
        assert (200, whole) == (last.status, last.body)

    async def test_a_coding_that_is_none_changes_no_byte(self, tmp_path: Path, whole: bytes) -> None:
        async with spoiled(tmp_path, "coding") as it:
            answer = await it.fetch()

        assert ("utf-8", whole) == (answer.headers["Content-Encoding"], answer.body)

    async def test_an_empty_page_has_the_right_total(self, tmp_path: Path) -> None:
        async with bench(tmp_path, faults={"catalogue": FAULTS["catalogue-empty"]}) as it:
            empty, right = [await it.search() for _ in range(2)]

        assert ([], len(L2A)) == (names(empty), empty.json["totalResults"])
        assert 10 == len(names(right))

    async def test_what_is_deleted_is_not_listed_any_more_and_still_handed_out(self, tmp_path: Path) -> None:
        async with bench(tmp_path, faults={"catalogue": FAULTS["catalogue-deletion"]}) as it:
            before, after = [await it.search() for _ in range(2)]
            archive = await it.fetch(L2A[0])

        assert names(before)[1:] == names(after)[:9]
        assert len(L2A) - 1 == after.json["totalResults"]
        assert 200 == archive.status

    async def test_a_server_that_vanishes_refuses_connections_and_comes_back(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            assert 200 == (await it.search()).status
            gone = asyncio.create_task(it.server.vanish(3600))
            await asyncio.sleep(0.1)  # it stops to listen at once
            with pytest.raises(aiohttp.ClientConnectorError):
                await it.search()
            gone.cancel()
            await asyncio.wait([gone])

            assert 200 == (await it.search()).status


def open_sockets() -> int:
    """Count the sockets of this process; the folder that is read is a descriptor that has gone by then."""
    targets = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(str(path.readlink()))
    return sum(target.startswith("socket:") for target in targets)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted as Linux lists them")
async def test_a_client_that_reads_no_more_keeps_no_connection_open(tmp_path: Path) -> None:
    large = replace(SCENE, size=30_000_000)
    before = open_sockets()
    async with DemoServer([large], tmp_path / "store") as server:
        host, port = URL(server.origin).host, URL(server.origin).port
        reader, writer = await asyncio.open_connection(host, port, limit=1024)
        writer.write(f"GET /{large.location} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b" 200 " in await reader.readline()
    await asyncio.sleep(0)

    assert open_sockets() == before + 1
    writer.transport.abort()
