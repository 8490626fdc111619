"""The embedded catalogue finds scenes by their real footprints, and reads well-known text as a GeoServer does."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.demo.constellation import FIJI, make_constellation
from collgs_async.demo.criteria import RequestError
from collgs_async.demo.dialects import Dialect
from collgs_async.demo.shapes import shape_tests
from tests.support.demo import SCENE, bench, names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collgs_async.demo.constellation import Crossing
    from collgs_async.demo.scenes import Scene
    from tests.support.demo import Answer

DIAMOND = {"type": "Polygon", "coordinates": [[[6, 49], [7, 50], [6, 51], [5, 50], [6, 49]]]}
"""Half of its bounding box."""

TWO_ISLANDS = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]], [[0.5, 0.5], [0.5, 1.5], [1.5, 1.5], [1.5, 0.5], [0.5, 0.5]]],
        [[[10, 0], [12, 0], [12, 2], [10, 2], [10, 0]]],
    ],
}
"""The western one has a lagoon."""


def drawn(name: str, footprint: Mapping[str, Any]) -> Scene:
    return replace(SCENE, identifier=name, footprint=footprint)


SCENES = [drawn("diamond", DIAMOND), drawn("islands", TWO_ISLANDS)]


async def search(folder: Path, query: str, scenes: list[Scene] | None = None, **options: Any) -> Answer:
    async with bench(folder, SCENES if scenes is None else scenes, **options) as it:
        return await it.search(f"parentIdentifier=S2_MSIL2A&count=100&{query}")


async def found(folder: Path, wkt: str, scenes: list[Scene] | None = None) -> set[str]:
    return set(names(await search(folder, f"geometry={quote(wkt)}", scenes)))


class TestGeometry:
    @pytest.mark.parametrize(
        ("wkt", "expected"),
        [
            ("POINT(6 50)", {"diamond"}),
            ("POINT(5.1 49.1)", set()),
            ("POINT(6 49)", {"diamond"}),
            ("point z (6 50 200)", {"diamond"}),
            ("POINT(50 6)", set()),
            ("MULTIPOINT(6 50, 11 1)", {"diamond", "islands"}),
            ("MULTIPOINT((5.1 49.1), (11 1))", {"islands"}),
            ("LINESTRING(5 49, 5.6 50)", {"diamond"}),
            ("LINESTRING(5 49, 5.1 49.2)", set()),
            ("MULTILINESTRING((5 49, 5.1 49.2), (-1 1, 13 1))", {"islands"}),
            ("POLYGON((5 49, 5.2 49, 5.2 49.2, 5 49.2, 5 49))", set()),
            ("POLYGON((5.9 49.9, 6.1 49.9, 6.1 50.1, 5.9 50.1, 5.9 49.9))", {"diamond"}),
            ("POLYGON((-90 -80, 90 -80, 90 80, -90 80, -90 -80))", {"diamond", "islands"}),
            ("POLYGON((4 48, 8 48, 8 52, 4 52, 4 48), (4.5 48.5, 4.5 51.5, 7.5 51.5, 7.5 48.5, 4.5 48.5))", set()),
            ("POINT(1 1)", set()),
            ("POLYGON((0.9 0.9, 1.1 0.9, 1.1 1.1, 0.9 1.1, 0.9 0.9))", set()),
            ("MULTIPOLYGON(((11 1, 11.1 1, 11 1.1, 11 1)), ((6 50, 6.1 50, 6 50.1, 6 50)))", {"diamond", "islands"}),
            ("GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(5 49, 5.6 50))", {"diamond"}),
            ("GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT EMPTY), POINT(11 1))", {"islands"}),
            ("MULTIPOLYGON(EMPTY, ((11 1, 11.1 1, 11 1.1, 11 1)))", {"islands"}),
            ("POLYGON EMPTY", set()),
        ],
    )
    async def test_meets_the_footprint_and_not_its_box(self, tmp_path: Path, wkt: str, expected: set[str]) -> None:
        assert expected == await found(tmp_path, wkt)

    async def test_a_box_meets_the_bounding_box_where_the_geometry_misses(self, tmp_path: Path) -> None:
        corner = "POLYGON((5 49, 5.2 49, 5.2 49.2, 5 49.2, 5 49))"

        assert ["diamond"] == names(await search(tmp_path, "box=5,49,5.2,49.2"))
        assert set() == await found(tmp_path, corner)

    @pytest.mark.parametrize(
        "wkt",
        [
            "POLYGON((5 49, 7 49, 7 51, 5 51))",
            "POLYGON((5 49, 7 49, 5 49))",
            "POLYGON((5 49, 7 49, 7 51, 5 51, 5 49)",
            "POLYGON((5 49, 7 49, 7 51, 5 51, 5 49)))",
            "POLYGON((5 49, 7 49, 7 x, 5 49))",
            "POLYGON((5 49, 7 49, 7, 5 49))",
            "POINT(5, 49)",
            "POINT(nan 49)",
            "POINT(1e999 49)",
            "CIRCULARSTRING(5 49, 6 50, 7 49)",  # shapely raises NotImplementedError
            "LINESTRING(5 49)",
            "CIRCLE(5 49, 3)",
            "SRID=4326;POINT(5 49)",
            "BOX(1 2,3 4)",
            "GEOMETRYCOLLECTION(" * 300,
            "(5 49)",
        ],
    )
    async def test_what_is_no_well_known_text_is_refused_without_a_locator(self, tmp_path: Path, wkt: str) -> None:
        answer = await search(tmp_path, f"geometry={quote(wkt)}")

        assert 400 == answer.status
        (exception,) = answer.json["exceptions"]
        assert exception["exceptionText"].startswith("Could not parse geometry parameter, expecting valid WKT syntax: ")
        assert exception["locator"] is None

    async def test_an_unknown_relation_and_one_without_a_geometry_are_refused(self, tmp_path: Path) -> None:
        unknown = await search(tmp_path, "geometry=POINT(6%2050)&geoRelation=within")
        alone = await search(tmp_path, "geoRelation=intersects")

        assert (400, "geoRelation") == (unknown.status, unknown.json["exceptions"][0]["locator"])
        assert "[intersects]" in unknown.json["exceptions"][0]["exceptionText"]
        assert 400 == alone.status
        assert "expecting valid WKT" in alone.json["exceptions"][0]["exceptionText"]

    async def test_is_echoed_and_goes_with_the_other_filters(self, tmp_path: Path) -> None:
        query = "geometry=POINT(6%2050)&geoRelation=intersects&cloudCover=%5B0,20%5D"
        scenes = [
            replace(drawn("clear", DIAMOND), cloud_cover=20),
            replace(drawn("covered", DIAMOND), cloud_cover=21),
            replace(drawn("elsewhere", TWO_ISLANDS), cloud_cover=0),
        ]
        answer = await search(tmp_path, query, scenes)

        assert ["clear"] == names(answer)
        echo = answer.json["queries"]["request"]
        assert ("POINT(6 50)", "intersects") == (echo["geo:geometry"], echo["geo:geoRelation"])


class TestCircles:
    @pytest.mark.parametrize(
        ("place", "expected"),
        [
            ("lat=50&lon=6&radius=1", {"diamond"}),
            ("lat=49&lon=5&radius=58000", set()),
            ("lat=49&lon=5&radius=62000", {"diamond"}),
            ("lat=1&lon=5&radius=300000", set()),
            ("lat=1&lon=5&radius=340000", {"islands"}),
            ("lat=1&lon=1&radius=50000", set()),
            ("lat=1&lon=1&radius=56000", {"islands"}),
        ],
    )
    async def test_reach_so_many_metres_from_a_place(self, tmp_path: Path, place: str, expected: set[str]) -> None:
        assert expected == set(names(await search(tmp_path, place)))

    @pytest.mark.parametrize("place", ["lat=50", "lon=6&radius=1", "lat=50&lon=6", "radius=5", "lat=x&lon=6&radius=1"])
    async def test_need_all_three_numbers(self, tmp_path: Path, place: str) -> None:
        answer = await search(tmp_path, place)

        assert 400 == answer.status
        assert "lat, lon and radius must all be specified" in answer.json["exceptions"][0]["exceptionText"]

    async def test_have_a_positive_radius(self, tmp_path: Path) -> None:
        answer = await search(tmp_path, "lat=50&lon=6&radius=0")

        assert (400, "radius") == (answer.status, answer.json["exceptions"][0]["locator"])


def _over_taveuni(crossing: Crossing) -> Scene:
    """The largest scene of a tile that lies on both sides of the antimeridian."""
    scenes = make_constellation(200, tiles=FIJI, crossing=crossing)
    return max((scene for scene in scenes if "_T01KAB" in scene.identifier), key=lambda scene: scene.size)


class TestAntimeridian:
    async def test_footprints_count_as_they_are_drawn(self, tmp_path: Path) -> None:
        """Neither a database nor the stock software knows that 181 is -179: clients must ask on both sides."""
        habits: tuple[Crossing, ...] = ("split", "beyond", "jumping")
        scenes = [drawn(habit, _over_taveuni(habit).footprint) for habit in habits]

        assert {"split", "beyond"} == await found(tmp_path, "POINT(179.6 -16.8)", scenes=scenes)
        assert {"split"} == await found(tmp_path, "POINT(-179.9 -16.8)", scenes=scenes)
        assert {"beyond"} == await found(tmp_path, "POINT(180.1 -16.8)", scenes=scenes)
        assert {"jumping"} == await found(tmp_path, "POINT(0 -16.8)", scenes=scenes)
        # The box of a footprint in two halves goes around the whole Earth.
        assert {"split", "jumping"} == set(names(await search(tmp_path, "box=0,-17,1,-16.5", scenes)))


class TestTimes:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("timeStart=2021-03-02&timeEnd=2021-03-03", {"long", "short"}),
            ("timeStart=2021-03-02T12:30:00Z&timeEnd=2021-03-03&timeRelation=intersects", {"long"}),
            ("timeStart=2021-03-02&timeEnd=2021-03-03&timeRelation=during", {"short"}),
            ("timeStart=2021-03-02&timeRelation=during", {"short"}),
        ],
    )
    async def test_relate_as_asked(self, tmp_path: Path, query: str, expected: set[str]) -> None:
        day = SCENE.start.replace(year=2021, month=3, day=1, hour=0, minute=0, second=0, microsecond=0)
        scenes = [
            replace(SCENE, identifier="long", start=day, end=day.replace(day=5)),
            replace(SCENE, identifier="short", start=day.replace(day=2, hour=11), end=day.replace(day=2, hour=12)),
        ]
        assert expected == set(names(await search(tmp_path, query, scenes)))

    async def test_a_relation_needs_times_and_a_known_name(self, tmp_path: Path) -> None:
        alone = await search(tmp_path, "timeRelation=during")
        unknown = await search(tmp_path, "timeStart=2021-01-01&timeRelation=before")

        assert [(400, "timeRelation")] * 2 == [
            (answer.status, answer.json["exceptions"][0]["locator"]) for answer in (alone, unknown)
        ]


class TestColumns:
    async def total(self, folder: Path, query: str, parent: str = "S2_MSIL2A", **switches: Any) -> tuple[int, set[str]]:
        """Give how many were found, and the names that were echoed."""
        async with bench(folder, make_constellation(400), dialect=Dialect(**switches)) as it:
            answer = await it.search(f"parentIdentifier={parent}&{query}")
        echo = {key.partition(":")[2] for key in answer.json["queries"]["request"]}
        return answer.json["totalResults"], echo - {"parentIdentifier"}

    async def test_that_a_server_has_not_are_ignored_and_not_echoed(self, tmp_path: Path) -> None:
        every, _ = await self.total(tmp_path, "")
        query = "platform=Unknown&platformSerialIdentifier=Z&productType=X&processingLevel=9&polarisationMode=D"

        assert (every, set()) == await self.total(tmp_path, query)
        assert (every, set()) == await self.total(
            tmp_path, "orbitDirection=X&cloudCover=x", without_columns=frozenset({"orbitDirection", "cloudCover"})
        )
        assert (0, {"orbitDirection"}) == await self.total(tmp_path, "orbitDirection=X")

    async def test_of_its_platform_where_a_deployment_has_them(self, tmp_path: Path) -> None:
        scenes = [scene for scene in make_constellation(400) if scene.collection == "S2_MSIL2A"]
        ours = sum(scene.serial == "B" for scene in scenes)

        assert 0 < ours < len(scenes)
        assert (ours, {"platformSerialIdentifier", "platform"}) == await self.total(
            tmp_path, "platform=Sentinel-2&platformSerialIdentifier=B", product_platforms=True
        )
        assert (len(scenes), {"productType", "processingLevel"}) == await self.total(
            tmp_path, "productType=S2MSI2A&processingLevel=Level-2A", product_platforms=True
        )
        assert (0, {"productType"}) == await self.total(tmp_path, "productType=S2MSI1C", product_platforms=True)

    async def test_of_radar_tell_the_polarisation(self, tmp_path: Path) -> None:
        every, _ = await self.total(tmp_path, "", "S1_SAR_GRD")

        assert (every, {"polarisationMode"}) == await self.total(tmp_path, "polarisationMode=D", "S1_SAR_GRD")
        assert (0, {"polarisationMode"}) == await self.total(tmp_path, "polarisationMode=S", "S1_SAR_GRD")
        assert (every, {"polarisationChannels"}) == await self.total(
            tmp_path, "polarisationChannels=HH,VH", "S1_SAR_GRD"
        )
        assert (0, {"polarisationChannels"}) == await self.total(tmp_path, "polarisationChannels=HH", "S1_SAR_GRD")

    async def test_of_dates_take_ranges(self, tmp_path: Path) -> None:
        scenes = [scene for scene in make_constellation(400) if scene.collection == "S2_MSIL2A"]
        late = sum(scene.made_at.year == 2024 for scene in scenes)

        assert 0 < late < len(scenes)
        assert (late, {"creationDate"}) == await self.total(tmp_path, "creationDate=%5B2024-01-01,2025-01-01%5B")
        soon = sum(scene.made_at.year < 2024 for scene in scenes)
        assert (soon, {"creationDate"}) == await self.total(tmp_path, "creationDate=2024-01-01%5B")
        async with bench(tmp_path) as it:
            refused = await it.search("parentIdentifier=S2_MSIL2A&creationDate=%5Byesterday")
        assert 400 == refused.status
        text = "Value 'yesterday' of key creationDate cannot be converted to a Date"
        assert text == refused.json["exceptions"][0]["exceptionText"]

    async def test_words_are_looked_for_in_the_description(self, tmp_path: Path) -> None:
        scenes = [scene for scene in make_constellation(400) if scene.collection == "S2_MSIL2A"]
        tiles = sum("T31UGR" in scene.identifier or "T32ULA" in scene.identifier for scene in scenes)

        assert (tiles, {"searchTerms"}) == await self.total(tmp_path, "searchTerms=T31UGR%20%22T32ULA%22")


class TestCollections:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("platform=Sentinel-2", ["S2_MSIL2A", "S2_MSIL1C"]),
            ("productType=GRD,S2MSI1C", ["S2_MSIL1C", "S1_SAR_GRD"]),
            ("processingLevel=Level-2A", ["S2_MSIL2A"]),
            ("sensorType=RADAR", ["S1_SAR_GRD"]),
            ("platformSerialIdentifier=A", []),
            ("timeEnd=2015-01-01", ["S1_SAR_GRD"]),
            ("timeStart=2040-01-01", ["S2_MSIL2A", "S2_MSIL1C", "S1_SAR_GRD"]),
            ("geometry=POINT(6%2050)", ["S2_MSIL2A", "S2_MSIL1C", "S1_SAR_GRD"]),
            ("cloudCover=3&orbitNumber=8", ["S2_MSIL2A", "S2_MSIL1C", "S1_SAR_GRD"]),
        ],
    )
    async def test_are_found_by_their_own_columns(self, tmp_path: Path, query: str, expected: list[str]) -> None:
        async with bench(tmp_path) as it:
            assert expected == names(await it.search(query))

    async def test_tell_what_they_hold(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as it:
            answer = await it.search("uid=S2_MSIL2A")
        properties = answer.json["features"][0]["properties"]
        assert "Sentinel-2" == properties["acquisitionInformation"]["platform"]["platformShortName"]
        assert "OPTICAL" == properties["acquisitionInformation"]["instrument"]["sensorType"]
        assert {"productType": "S2MSI2A", "processingLevel": "Level-2A"} == properties["productInformation"]
        assert "2017-03-28T00:00:00.000Z" == properties["date"]


@given(st.text(alphabet="POLYGNMUTIECZ ()-.,0123456789e", max_size=40))
def test_no_text_is_worse_than_wrong(text: str) -> None:
    try:
        (test,) = shape_tests({"geometry": text})
    except RequestError:
        return
    assert isinstance(test(SCENES[0]), bool)


@pytest.mark.parametrize("query", ["geometry=POINT(6%2050)", "lat=50&lon=6&radius=1"])
async def test_without_shapely_the_extra_is_named_and_boxes_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setitem(sys.modules, "shapely", None)
    monkeypatch.delitem(sys.modules, "collgs_async.demo.shapes")

    refused = await search(tmp_path, query)
    by_box = await search(tmp_path, "box=5,49,5.2,49.2")

    assert 400 == refused.status
    expected = "need the Python package shapely: python -m pip install 'collgs-async[geo]'"
    assert refused.json["exceptions"][0]["exceptionText"].endswith(expected)
    assert ["diamond"] == names(by_box)
