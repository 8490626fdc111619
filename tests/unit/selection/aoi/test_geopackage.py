"""GeoPackages as an area of interest: every layer that is right, the others by name."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from typing import TYPE_CHECKING

import pytest
import shapely

from collgs_async.selection.aoi import geopackage as geopackage_module
from collgs_async.selection.aoi import read_area
from tests.support.areas import box, geopackage, gp, problem

if TYPE_CHECKING:
    from pathlib import Path


def wkt(name: str, spheroid: str, flattening: float) -> str:
    return (
        f'GEOGCS["{name}",DATUM["{name}",SPHEROID["{spheroid}",6378137,{flattening}]],'
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
    )


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
        path = geopackage(tmp_path / "aoi.gpkg", [], code=99999)

        assert "expected EPSG:4326 (WGS 84), found EPSG:99999 (a system)" in problem(lambda: read_area(path))

    @pytest.mark.parametrize(
        ("blob", "words"),
        [
            (b"nothing like it", "feature 1: expected a GeoPackage geometry, found 15 bytes of something else"),
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

    @pytest.mark.parametrize(
        ("code", "definition", "word"),
        [
            (0, "undefined", "says no coordinate system"),
            (4258, wkt("ETRS89", "GRS 1980", 298.257222101), 'is in "ETRS89", within a few metres of WGS 84'),
            (100000, wkt("WGS 84", "WGS 84", 298.257223563), ""),
        ],
    )
    def test_a_system_is_judged_by_its_definition(self, tmp_path: Path, code: int, definition: str, word: str) -> None:
        path = geopackage(tmp_path / "aoi.gpkg", [gp(shapely.Point(6, 49))], code=code, definition=definition)

        notes = read_area(path).notes

        assert [word] == [note.partition(": ")[2][: len(word)] for note in notes] if word else not notes

    @pytest.mark.parametrize(
        ("code", "definition"), [(-1, "undefined"), (99999, 'PROJCS["mine"]'), (99998, "nonsense")]
    )
    def test_a_layer_in_another_system_costs_the_others_nothing(
        self, tmp_path: Path, code: int, definition: str
    ) -> None:
        path = geopackage(tmp_path / "aoi.gpkg", [gp(shapely.Point(6, 49))])
        add_layer(path, "projected", code, definition)

        area = read_area(path)

        assert [6, 49, 6, 49] == list(area.box)
        (note,) = area.notes
        assert f'layer "projected": is left out: expected EPSG:4326 (WGS 84), found EPSG:{code} (other)' in note

    def test_a_layer_without_a_table_is_named(self, tmp_path: Path) -> None:
        path = geopackage(tmp_path / "aoi.gpkg", [gp(shapely.Point(6, 49))])
        with sqlite3.connect(path) as database:
            database.execute("INSERT INTO gpkg_geometry_columns VALUES ('gone', 'geom', 'POINT', 4326, 0, 0)")
        database.close()

        (note,) = read_area(path).notes
        assert 'layer "gone": is left out: no such table: gone' in note

    @pytest.mark.parametrize("column", ["NULL", "x'4750'", "zeroblob(1000)", "zeroblob(100000000)"])
    def test_a_view_without_end_is_refused(self, tmp_path: Path, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(geopackage_module, "_MOST_STEPS", 3)
        endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT {} AS geom FROM a {}"
        path = geopackage(tmp_path / "aoi.gpkg", [], table="empty")
        for name, order in (("plain", "WHERE n < 0"), ("sorted", "ORDER BY -n")):
            add_layer(path, name, 4326, "", view=endless.format(column, order))

        line = problem(lambda: read_area(path))

        assert any(words in line for words in ("expected rows that come to an end", "too big"))

    @pytest.mark.parametrize("side", ["-wal", "-journal"])
    def test_changes_beside_the_database_count_and_nothing_is_written(self, tmp_path: Path, side: str) -> None:
        path = geopackage(tmp_path / "before.gpkg", [gp(shapely.Point(6, 49))], table="layer")
        database = sqlite3.connect(path, isolation_level=None)
        database.execute(f"PRAGMA journal_mode = {'WAL' if side == '-wal' else 'DELETE'}")
        database.execute("PRAGMA cache_spill = 1")
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        rows = [(gp(shapely.Point(7, 50)) + bytes(3000),)] * 50
        database.executemany("INSERT INTO layer (geom) VALUES (?)", rows)
        if side == "-wal":
            database.execute("COMMIT")
        folder = tmp_path / "copy"
        folder.mkdir()
        for suffix in ("", side):
            shutil.copy(f"{path}{suffix}", folder / f"aoi.gpkg{suffix}")
        folder.chmod(0o555)

        assert [6, 49, *([7, 50] if side == "-wal" else [6, 49])] == list(read_area(folder / "aoi.gpkg").box)
        assert ["aoi.gpkg", f"aoi.gpkg{side}"] == sorted(entry.name for entry in folder.iterdir())
        folder.chmod(0o755)
        database.close()

    @pytest.mark.parametrize("envelope", range(5))
    def test_every_envelope_is_passed_over(self, tmp_path: Path, envelope: int) -> None:
        assert (6, 49, 6, 49) == read_area(geopackage(tmp_path / "a.gpkg", [gp(shapely.Point(6, 49), envelope)])).box

    @pytest.mark.parametrize("flags", [1 | 5 << 1, 1 | 0x20])
    def test_an_envelope_or_a_type_that_is_not_known_is_refused(self, tmp_path: Path, flags: int) -> None:
        blob = bytearray(gp(shapely.Point(6, 49)))
        blob[3] = flags

        assert "expected a GeoPackage geometry" in problem(
            lambda: read_area(geopackage(tmp_path / "a.gpkg", [bytes(blob)]))
        )

    def test_curves_of_straight_parts_are_read(self, tmp_path: Path) -> None:
        ring = struct.pack("<BII8d", 1, 2, 4, 5, 49, 7, 49, 6, 51, 5, 49)
        blob = gp(shapely.Point())[:8] + struct.pack("<BII", 1, 12, 1) + struct.pack("<BII", 1, 10, 1) + ring

        assert (5, 49, 7, 51) == read_area(geopackage(tmp_path / "aoi.gpkg", [blob])).box


def add_layer(path: Path, name: str, code: int, definition: str, view: str = "SELECT NULL AS geom") -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE VIEW {name} AS {view}")
        database.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'GEOMETRY', ?, 0, 0)", (name, code))
        if code != 4326:
            database.execute(
                "INSERT INTO gpkg_spatial_ref_sys VALUES ('other', ?, 'EPSG', ?, ?)", (code, code, definition)
            )
    database.close()
