"""GeoPackages as an area of interest: every layer that is right, the others by name."""

from __future__ import annotations

import sqlite3
import struct
from typing import TYPE_CHECKING

import pytest
import shapely

from collgs_async.area import read_area

from .areas import box, geopackage, gp, problem

if TYPE_CHECKING:
    from pathlib import Path


class TestGeoPackage:
    def test_every_feature_of_it_counts(self, tmp_path: Path) -> None:
        shapes = [shapely.box(0, 0, 1, 1), shapely.MultiPolygon([shapely.box(10, 0, 11, 1)])]
        blobs = [gp(shapes[0], 1), None, gp(shapely.force_3d(shapes[1], 7), 2, flavor="iso", byte_order=0)]

        area = read_area(geopackage(tmp_path / "aoi.gpkg", blobs))

        assert [0, 0, 11, 1] == list(area.box)
        assert pytest.approx(50, rel=1e-6) == area.overlap(box(0, 0, 5, 5))

    @pytest.mark.parametrize("flavor", ["iso", "extended"])
    @pytest.mark.parametrize(
        "wkt",
        [
            "POINT (6 49)",
            "MULTIPOINT (6 49, 7 50)",
            "LINESTRING (6 49, 7 50)",
            "MULTILINESTRING ((6 49, 7 50), (8 49, 9 50))",
            "GEOMETRYCOLLECTION (POINT (6 49), POLYGON ((0 0, 9 0, 9 9, 0 0), (2 1, 3 1, 3 2, 2 1)))",
        ],
    )
    def test_every_type_is_read(self, tmp_path: Path, wkt: str, flavor: str) -> None:
        blob = gp(shapely.force_3d(shapely.from_wkt(wkt), 3), flavor=flavor)

        assert read_area(wkt).geojson() == read_area(geopackage(tmp_path / "aoi.gpkg", [blob])).geojson()

    def test_another_system_is_refused_by_name(self, tmp_path: Path) -> None:
        path = geopackage(tmp_path / "aoi.gpkg", [], code=3857)

        assert "expected EPSG:4326 (WGS 84), found EPSG:3857 (a system)" in problem(lambda: read_area(path))

    @pytest.mark.parametrize(
        ("blob", "words"),
        [
            (b"nothing like it", "feature 1: expected a GeoPackage geometry, found 15 bytes that are none"),
            ("text", "expected a GeoPackage geometry"),
            (gp(shapely.box(0, 0, 1, 1))[:-3], "expected a whole WKB geometry"),
            (gp(shapely.Point()), "expected a geometry, found none"),
            (gp(shapely.Point(1, 1))[:8] + struct.pack("<BI", 1, 13), "found WKB geometry of type 13"),
            (gp(shapely.Point(1, 1))[:8] + struct.pack("<BII", 1, 7, 1) * 5000, "in each other"),
            (gp(shapely.Point(1, 1))[:8] + struct.pack("<BII", 1, 3, 2**32 - 1), "expected a whole WKB geometry"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, tmp_path: Path, blob: object, words: str) -> None:
        assert words in problem(lambda: read_area(geopackage(tmp_path / "aoi.gpkg", [blob])))

    def test_a_database_of_something_else_is_refused(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "aoi.gpkg") as database:
            database.execute("CREATE TABLE a (b)")
        database.close()

        assert "expected a GeoPackage, found a database that is none" in problem(
            lambda: read_area(tmp_path / "aoi.gpkg")
        )
