"""WKT and WKB as an area of interest, curves among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.area import Area, read_area

from .areas import TRIANGLE, polygon, problem

if TYPE_CHECKING:
    from pathlib import Path


class TestWkt:
    @pytest.mark.parametrize(
        "text",
        [
            "POLYGON((0 0,10 0,0 10,0 0))",
            " polygon  ( ( 0 0 , 1e1 0 , 0 +10. , -0 0 ) ) ",
            "SRID=4326;POLYGON Z((0 0 5,10 0 5,0 10 5,0 0 5))",
            "POLYGONZM((0 0 5 1,10 0 5 1,0 10 5 1,0 0 5 1))",
            "MULTIPOLYGON(((0 0,10 0,0 10,0 0)),EMPTY)",
            "GEOMETRYCOLLECTION(POLYGON((0 0,10 0,0 10,0 0)),POINT(1 1),LINESTRING EMPTY)",
        ],
    )
    def test_in_any_writing_is_the_same_area(self, saved: Any, text: str) -> None:
        for area in (read_area(text), read_area(saved("aoi.wkt", "\ufeff" + text))):
            assert pytest.approx(100) == area.overlap(polygon(TRIANGLE))
            assert pytest.approx(Area.of(polygon(TRIANGLE)).square_kilometres) == area.square_kilometres

    @pytest.mark.parametrize(
        "text", ["MULTIPOINT(1 2,3 4)", "MULTIPOINT((1 2),(3 4))", "MULTIPOINT Z((1 2 0),(3 4 0))"]
    )
    def test_points_may_have_parentheses_of_their_own(self, text: str) -> None:
        assert [1, 2, 3, 4] == list(read_area(text).box)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("POLYGON((0 0,1 x,1 1))", "--aoi, character 10: expected longitude and latitude such as 6.13 49.61"),
            ("POLYGON((0 0,1 0,1 1)", "--aoi, character 22: expected , or ), found nothing"),
            ("POINT(1)", 'point 1 from here, found "1"'),
            ("POINT(nan 1)", 'found "nan"'),
            ("POINT(6 49,7 50)", "--aoi: expected one point in a POINT, found 2"),
            ("POINT(6 49) POINT(6 49)", '--aoi, character 13: expected the end, found "POINT"'),
            ("SRID=31467;POINT(6 49)", 'expected an SRID of WGS 84, such as 4326, found "EPSG:31467"'),
            ("GEOMETRYCOLLECTION(SPIRAL(0 0,1 1,2 0))", "one of POINT, LINESTRING, POLYGON"),
            ("CIRCULARSTRING(0 0,1 1)", "an odd number of points in a CIRCULARSTRING, found 2"),
            ("MULTIPOLYGON(POINT(1 1))", "expected a MULTIPOLYGON of Polygons, found a POINT in it"),
            ("POLYGON EMPTY", "expected a geometry, found none"),
            ("GEOMETRYCOLLECTION(" * 5000 + "POINT(1 1)" + ")" * 5000, "in each other"),
            ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((0 0,1 0,999 1,0 0)))", "--aoi, polygon 2, ring 1, point 3: expected"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, text: str, words: str) -> None:
        assert words in problem(lambda: read_area(text))

    def test_what_is_neither_file_nor_wkt_is_told_both(self, tmp_path: Path) -> None:
        assert "expected a file that can be read, or WKT" in problem(lambda: read_area(str(tmp_path / "none.geojson")))
        assert "expected a file that can be read, or WKT" in problem(lambda: read_area(tmp_path))
        assert "expected a file that can be read, or WKT" in problem(lambda: read_area("a\0b"))
