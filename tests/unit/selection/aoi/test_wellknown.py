"""WKT and WKB as an area of interest, curves among them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import shapely

from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import TRIANGLE, box, polygon, problem

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
            ("SRID=99999;POINT(6 49)", 'expected an SRID of WGS 84, such as 4326, found "EPSG:99999"'),
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

    @pytest.mark.parametrize(
        ("text", "bounds"),
        [
            ("CIRCULARSTRING(5 49,6 50,7 49)", (5, 49, 7, 50)),
            ("CIRCULARSTRING Z(5 49 1,6 48 1,7 49 1)", (5, 48, 7, 49)),
            ("CIRCULARSTRING(5 49,6 49,7 49)", (5, 49, 7, 49)),
            ("COMPOUNDCURVE((4 49,5 49),CIRCULARSTRING(5 49,6 50,7 49))", (4, 49, 7, 50)),
            ("CURVEPOLYGON((5 49,7 49,6 51,5 49))", (5, 49, 7, 51)),
            ("CURVEPOLYGON(CIRCULARSTRING(5 49,7 49,5 49))", (5, 48, 7, 50)),
            ("CURVEPOLYGON(COMPOUNDCURVE(CIRCULARSTRING(5 49,6 50,7 49),(7 49,5 49)))", (5, 49, 7, 50)),
            ("MULTICURVE((5 49,6 50),CIRCULARSTRING(7 49,8 50,9 49),COMPOUNDCURVE((9 49,9 48)))", (5, 48, 9, 50)),
            ("MULTISURFACE(((5 49,6 49,6 50,5 49)),CURVEPOLYGON(CIRCULARSTRING(8 49,9 49,8 49)))", (5, 48.5, 9, 50)),
            ("TIN(((5 49,6 49,6 50,5 49)),((6 50,7 50,7 51,6 50)))", (5, 49, 7, 51)),
            ("POLYHEDRALSURFACE Z(((5 49 0,6 49 0,6 50 0,5 49 0)))", (5, 49, 6, 50)),
            ("TRIANGLE((5 49,6 49,6 50,5 49))", (5, 49, 6, 50)),
            ("GEOMETRYCOLLECTION(CIRCULARSTRING EMPTY,COMPOUNDCURVE EMPTY,POINT(5 49))", (5, 49, 5, 49)),
        ],
    )
    def test_curves_are_drawn_with_chords(self, text: str, bounds: Any) -> None:
        area = read_area(text)

        assert pytest.approx(bounds, abs=2e-4) == area.box
        assert () == area.notes

    def test_a_circle_has_the_surface_of_a_circle(self) -> None:
        circle = read_area("CURVEPOLYGON(CIRCULARSTRING(-1 0,1 0,-1 0))")

        square = Area.of(box(-1, -1, 1, 1))
        assert pytest.approx(math.pi / 4, rel=1e-3) == circle.square_kilometres / square.square_kilometres

    @pytest.mark.parametrize("flavor", ["iso", "extended"])
    @pytest.mark.parametrize("wkt", ["POLYGON Z((5 49 1,7 49 1,6 51 1,5 49 1))", "MULTIPOINT(5 49,7 51)"])
    def test_wkb_is_read_from_a_file_and_in_digits(self, saved: Any, wkt: str, flavor: Any) -> None:
        blob = shapely.to_wkb(
            shapely.set_srid(shapely.from_wkt(wkt), 4326), flavor=flavor, include_srid=flavor != "iso"
        )

        for source in (saved("aoi.wkb", blob), saved("aoi.txt", blob.hex()), blob.hex().upper(), f"\\x{blob.hex()}"):
            assert (5, 49, 7, 51) == read_area(source).box

    @pytest.mark.usefixtures("without_pyproj")
    def test_wkb_of_another_system_is_refused(self) -> None:
        blob = shapely.to_wkb(shapely.set_srid(shapely.Point(5, 49), 2169), hex=True, include_srid=True)

        assert 'expected an SRID of WGS 84, such as 4326, found "EPSG:2169"' in problem(lambda: read_area(blob))
