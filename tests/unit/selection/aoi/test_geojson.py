"""GeoJSON as an area of interest, of any habit and age."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import LUXEMBOURG, TRIANGLE, box, polygon, problem


class TestGeoJson:
    def test_it_may_be_given_itself(self) -> None:
        assert (6.0, 49.0, 6.0, 49.0) == read_area(' {"type": "Point", "coordinates": [6, 49]}').box

    @pytest.mark.parametrize(
        "document",
        [
            polygon(LUXEMBOURG),
            {"type": "Feature", "geometry": polygon(LUXEMBOURG), "properties": None, "foreign": {"type": "Polygon"}},
            {
                "type": "FeatureCollection",
                "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
                "features": [
                    {"type": "Feature", "geometry": None, "properties": {}},
                    {"type": "Feature", "geometry": polygon(LUXEMBOURG), "properties": {}},
                ],
            },
            {"type": "GeometryCollection", "geometries": [polygon(LUXEMBOURG), polygon(LUXEMBOURG)]},
            {"type": "MultiPolygon", "coordinates": [[LUXEMBOURG]], "crs": {"properties": {"name": "EPSG:4326"}}},
            polygon([[*point, 300.0] for point in LUXEMBOURG]),
        ],
        ids=["geometry", "feature", "features", "collection that overlaps", "multipolygon", "with heights"],
    )
    def test_of_any_kind_is_the_same_area(self, saved: Any, document: dict[str, Any]) -> None:
        area = read_area(saved("aoi.geojson", document))

        assert [5.674052, 49.442667, 6.242751, 50.128052] == list(area.box)
        assert pytest.approx(2416.04, rel=1e-4) == area.square_kilometres  # by GeographicLib, with densified edges
        assert () == area.notes

    def test_several_polygons_are_one_area(self) -> None:
        area = Area.of(
            {
                "type": "FeatureCollection",
                "features": [
                    {"type": "Feature", "geometry": box(0, 0, 1, 1)},
                    {"type": "Feature", "geometry": box(10, 0, 11, 1)},
                ],
            }
        )

        assert pytest.approx(50, rel=1e-6) == area.overlap(box(0, 0, 5, 5))
        assert [0, 0, 11, 1] == list(area.box)

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ('{"type": "Polygon",\n "coordinates": [}', "aoi.geojson, line 2, column 18: expected JSON"),
            ("[]", "expected a GeoJSON object, found []"),
            ('{"type": "Circle"}', "type: expected one of FeatureCollection, Feature, GeometryCollection, Point"),
            ('{"type": "FeatureCollection", "features": {}}', "features: expected a list, found {}"),
            ('{"type": "FeatureCollection", "features": []}', "expected a geometry, found none"),
            ('{"type": "Feature", "geometry": null}', "expected a geometry, found none"),
            ('{"type": "Point", "coordinates": [1e400, 2]}', "finite numbers, found [Infinity, 2]"),
            ('{"type": "Point", "coordinates": [NaN, 2]}', "finite numbers, found [NaN, 2]"),
            ('{"type": "Point", "coordinates": ["6", 49]}', 'finite numbers, found ["6", 49]'),
            ('{"type": "Point", "coordinates": [true, 49]}', "finite numbers, found [true, 49]"),
            ('{"type": "Point", "coordinates": [6]}', "point 1: expected longitude and latitude in degrees, found [6]"),
            ('{"type": "Point", "coordinates": ' + "9" * 5000 + "}", "integer of thousands of digits"),
            (
                '{"type": "Point", "coordinates": [292000, 5490000]}',
                "after the longitude, found 5490000; an area in another reference system has to name it",
            ),
            ('{"type": "LineString", "coordinates": [[1, 2], [1, 2]]}', "a line of at least two points, found fewer"),
            ('{"type": "Polygon", "coordinates": 7}', "expected a list of rings, found 7"),
            ('{"type": "Polygon"}', "expected a list of rings, found null"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, saved: Any, document: str, words: str) -> None:
        line = problem(lambda: read_area(saved("aoi.geojson", document)))

        assert "aoi.geojson" in line
        assert words in line

    def test_a_wrong_point_is_named_with_feature_ring_and_number(self) -> None:
        hole: list[list[Any]] = [[1, 1], [2, 1], [2, "x"], [1, 1]]
        features = [{"type": "Feature", "geometry": geometry} for geometry in (None, polygon(TRIANGLE, hole))]

        line = problem(lambda: Area.of({"type": "FeatureCollection", "features": features}))

        assert "feature 2, ring 2, point 3: expected longitude and latitude" in line

    def test_swapped_coordinates_get_a_hint(self) -> None:
        swapped = polygon(
            [[latitude, longitude] for longitude, latitude in [[140, 10], [150, 10], [150, 20], [140, 10]]]
        )

        assert "are latitude and longitude swapped?" in problem(lambda: Area.of(swapped))

    @pytest.mark.usefixtures("without_pyproj")
    @pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::3857", "EPSG:31467", "EPSG:43260", "EPSG:4314"])
    def test_another_system_is_refused_by_name(self, name: str) -> None:
        crs = {"type": "name", "properties": {"name": name}}

        line = problem(lambda: Area.of({**polygon(TRIANGLE), "crs": crs}))

        assert f'crs: expected longitude and latitude in WGS 84 (CRS84 or EPSG:4326), found "{name}"' in line

    def test_collections_in_each_other_are_followed_only_so_far(self) -> None:
        nested: dict[str, Any] = polygon(TRIANGLE)
        for _ in range(20):
            nested = {"type": "GeometryCollection", "geometries": [nested]}

        assert pytest.approx(100) == Area.of(nested).overlap(polygon(TRIANGLE))

    @pytest.mark.parametrize("depth", [990, 100_000])
    def test_collections_without_end_are_refused(self, saved: Any, depth: int) -> None:
        text = '{"type":"GeometryCollection","geometries":[' * depth + "]}" * depth

        assert "in each other" in problem(lambda: read_area(saved("deep.json", text)))

    @pytest.mark.parametrize(
        "between",
        ["\n", "\r\n", "\n\x1e", "", "\n\n", "\nnull\n", ",\n"],
        ids=["lines", "crlf", "rs", "nothing", "blank", "null", "comma"],
    )
    def test_a_sequence_is_all_of_its_documents(self, saved: Any, between: str) -> None:
        documents = [json.dumps({"type": "Feature", "geometry": box(x, 0, x + 1, 1)}) for x in (0, 5)]
        start = "\x1e" if "\x1e" in between else ""

        assert [0, 0, 6, 1] == list(read_area(saved("aoi.geojsonl", start + between.join(documents) + "\n")).box)

    def test_of_a_sequence_the_document_is_named(self, saved: Any) -> None:
        document = json.dumps(polygon(TRIANGLE))

        assert "document 2, type: expected one of" in problem(lambda: read_area(saved("a.json", f"{document}\n{{}}")))
        assert "line 2, column 2: expected JSON" in problem(lambda: read_area(saved("a.json", f"{document}\n{{")))

    @pytest.mark.parametrize(
        "document",
        [
            {"type": "FeatureCollection", "features": [None, {"type": "Feature", "geometry": polygon(TRIANGLE)}]},
            {"type": "FeatureCollection", "features": [{"type": "Feature"}, polygon(TRIANGLE)]},
            {"type": "GeometryCollection", "geometries": [None, polygon(TRIANGLE)]},
            {"type": "MultiPolygon", "coordinates": [[[]], [TRIANGLE]]},
            {"type": "MultiPolygon", "coordinates": [[], [TRIANGLE]]},
        ],
    )
    def test_what_is_nothing_is_passed_over(self, document: dict[str, Any]) -> None:
        area = Area.of(document)

        assert ([0, 0, 10, 10], ()) == (list(area.box), area.notes)

    @pytest.mark.parametrize(
        "crs",
        [
            None,
            "EPSG:4326",
            {"type": "EPSG", "properties": {"code": 4326}},
            {"type": "EPSG", "properties": {"code": "4326"}},
            {"type": "OGC", "properties": {"urn": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
            {"type": "url", "properties": {"url": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
            {
                "type": "link",
                "properties": {"href": "http://spatialreference.org/ref/epsg/4326/proj4/", "type": "proj4"},
            },
        ],
    )
    def test_the_same_system_in_older_words_is_right(self, crs: Any) -> None:
        assert () == Area.of({**polygon(TRIANGLE), "crs": crs}).notes

    def test_a_system_that_is_near_is_taken_with_a_word(self) -> None:
        (note,) = Area.of({**polygon(TRIANGLE), "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::4258"}}}).notes

        assert 'crs: is in "ETRS89", within a few metres of WGS 84' in note

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ({"type": "Topology", "arcs": []}, "found TopoJSON; ogr2ogr can make GeoJSON of it"),
            ({"rings": [TRIANGLE], "spatialReference": {}}, "found Esri JSON; ogr2ogr can make GeoJSON of it"),
            ({"type": "Feature", "geometry": None, "bbox": [0, 0, 1, 1]}, "has a bbox but no geometry"),
            ({**polygon(TRIANGLE), "crs": {"type": "link", "properties": {"href": "data.crs"}}}, 'found "data.crs"'),
            ({**polygon(TRIANGLE), "crs": {"type": "name"}}, "crs: expected longitude and latitude in WGS 84"),
        ],
    )
    def test_what_is_something_else_is_named(self, document: dict[str, Any], words: str) -> None:
        assert words in problem(lambda: Area.of(document))

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
    def test_the_encoding_may_be_any(self, saved: Any, encoding: str) -> None:
        document = json.dumps({"type": "Feature", "geometry": polygon(TRIANGLE), "properties": "é"}, ensure_ascii=False)

        assert [0, 0, 10, 10] == list(read_area(saved("aoi.json", document.encode(encoding))).box)
