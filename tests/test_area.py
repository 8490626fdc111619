"""The area of interest: from any file that a user may have, right on the globe, or else refused in one line."""

from __future__ import annotations

import io
import itertools
import json
import math
import sqlite3
import struct
import subprocess
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import shapefile  # type: ignore[import-untyped]
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collgs_async.area import Area, read_area
from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LUXEMBOURG = [
    [6.043073, 50.128052],
    [5.782417, 50.090328],
    [5.674052, 49.529484],
    [5.897759, 49.442667],
    [6.18632, 49.463803],
    [6.242751, 49.902226],
    [6.043073, 50.128052],
]
"""As Natural Earth draws it at 1:110m."""

WGS84_PRJ = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)
LAMBERT_PRJ = 'PROJCS["ETRS_1989_LAEA",GEOGCS["GCS_ETRS_1989",DATUM["D_ETRS_1989",SPHEROID["GRS_1980",6378137.0,298]]]]'

TRIANGLE = [[0, 0], [10, 0], [0, 10], [0, 0]]


def polygon(*rings: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(ring) for ring in rings]}


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    return polygon([[west, south], [east, south], [east, north], [west, north], [west, south]])


def halves(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A box over the antimeridian as RFC 7946 §3.1.9 wants it."""
    parts = [box(west, south, 180, north), box(-180, south, east, north)]
    return {"type": "MultiPolygon", "coordinates": [part["coordinates"] for part in parts]}


def three_habits(west: float, south: float, east: float, north: float) -> list[dict[str, Any]]:
    """A box over the antimeridian: in halves, with a longitude beyond 180, with a jump."""
    return [halves(west, south, east, north), box(west, south, east + 360, north), box(west, south, east, north)]


def problem(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str, str | bytes | Mapping[str, Any]], Path]:
    def save(name: str, content: str | bytes | Mapping[str, Any]) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return save


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
            ('{"type": "Point", "coordinates": [292000, 5490000]}', "latitude from -90 to 90, after the longitude"),
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

    @pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::3857", "EPSG:31467", "EPSG:43260", "CRS84"])
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
            ("SRID=31467;POINT(6 49)", 'expected SRID=4326, found "SRID=31467"'),
            ("GEOMETRYCOLLECTION(CIRCULARSTRING(0 0,1 1,2 0))", "one of POINT, LINESTRING, POLYGON"),
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


def esri(tmp_path: Path, kind: int, write: Callable[[Any], None], projection: str | None = WGS84_PRJ) -> Path:
    """A shapefile by another hand."""
    path = tmp_path / "aoi.shp"
    with shapefile.Writer(str(path), shapeType=kind) as writer:
        writer.field("name", "C")
        write(writer)
    if projection is not None:
        path.with_suffix(".prj").write_text(projection)
    return path


def a_lake_with_an_island(writer: Any) -> None:
    rings = [box(*corners)["coordinates"][0] for corners in ((0, 0, 9, 9), (1, 1, 8, 8), (3, 3, 6, 6))]
    writer.poly([rings[0][::-1], rings[1], rings[2][::-1]])
    writer.record("lake")
    writer.null()
    writer.record("nothing")


class TestShapefile:
    def test_rings_within_rings_are_lakes_and_islands(self, tmp_path: Path) -> None:
        area = read_area(esri(tmp_path, shapefile.POLYGON, a_lake_with_an_island))

        assert pytest.approx(0) == area.overlap(box(1, 1, 3, 8))
        assert pytest.approx(Area.of(box(3, 3, 6, 6)).square_kilometres / area.square_kilometres * 100) == area.overlap(
            box(2, 2, 7, 7)
        )
        assert () == area.notes

    @pytest.mark.parametrize(
        ("kind", "write", "bounds"),
        [
            (shapefile.POINT, lambda writer: (writer.point(6, 49), writer.record("a")), (6, 49, 6, 49)),
            (shapefile.POINTZ, lambda writer: (writer.pointz(6, 49, 7), writer.record("a")), (6, 49, 6, 49)),
            (shapefile.MULTIPOINT, lambda w: (w.multipoint([[6, 49], [7, 50]]), w.record("a")), (6, 49, 7, 50)),
            (shapefile.POLYLINEM, lambda w: (w.linem([[[6, 49, 1], [7, 50, 2]]]), w.record("a")), (6, 49, 7, 50)),
            (shapefile.POLYGONZ, lambda w: (w.polyz([[[*p, 9] for p in LUXEMBOURG]]), w.record("a")), None),
        ],
    )
    def test_every_type_is_read(self, tmp_path: Path, kind: int, write: Any, bounds: Any) -> None:
        expected = bounds or (5.674052, 49.442667, 6.242751, 50.128052)

        assert expected == read_area(esri(tmp_path, kind, write)).box

    def test_zipped_it_is_the_same(self, tmp_path: Path) -> None:
        path = esri(tmp_path, shapefile.POLYGON, a_lake_with_an_island)
        with zipfile.ZipFile(tmp_path / "aoi.zip", "w") as archive:
            for suffix in (".dbf", ".prj", ".shp", ".shx"):
                archive.write(path.with_suffix(suffix), f"folder/AOI{suffix.upper()}")

        assert read_area(path).geojson() == read_area(tmp_path / "aoi.zip").geojson()

    @pytest.mark.parametrize(
        ("projection", "name"),
        [
            (LAMBERT_PRJ, "ETRS_1989_LAEA"),
            ('GEOGCS["GCS_ETRS_1989",DATUM["D_ETRS_1989",SPHEROID["GRS_1980",6378137.0,298]]]', "GCS_ETRS_1989"),
            (WGS84_PRJ.replace("GEOGCS", "GEOCCS", 1), "GCS_WGS_1984"),
            ("", ""),
        ],
        ids=["projected", "another datum", "geocentric", "empty"],
    )
    def test_another_projection_is_refused_by_name(self, tmp_path: Path, projection: str, name: str) -> None:
        path = esri(tmp_path, shapefile.POLYGON, a_lake_with_an_island, projection)

        assert f'aoi.shp, its .prj: expected longitude and latitude in WGS 84, found "{name}"' in problem(
            lambda: read_area(path)
        )

    def test_without_a_projection_a_word_is_said(self, tmp_path: Path) -> None:
        area = read_area(esri(tmp_path, shapefile.POLYGON, a_lake_with_an_island, None))

        assert any("has no .prj beside it" in note for note in area.notes)

    def test_the_files_beside_it_are_told_from_it(self, tmp_path: Path) -> None:
        path = esri(tmp_path, shapefile.POLYGON, a_lake_with_an_island)

        for suffix in (".dbf", ".shx", ".prj"):
            found = problem(partial(read_area, path.with_suffix(suffix)))
            assert f"expected the .shp file of a shapefile, found the {suffix} file beside it" in found

    def test_a_cut_record_is_refused_with_its_number(self, tmp_path: Path) -> None:
        path = esri(tmp_path, shapefile.POLYGON, a_lake_with_an_island)
        path.write_bytes(path.read_bytes()[:-40])

        assert "feature 1: expected a whole record" in problem(lambda: read_area(path))


def geopackage(path: Path, blobs: Sequence[object], *, code: int = 4326, table: str = 'a "layer"') -> Path:
    """A GeoPackage of one layer, as small as the standard lets it be."""
    quoted = '"' + table.replace('"', '""') + '"'
    with sqlite3.connect(path) as database:
        database.executescript(
            f"""
            CREATE TABLE gpkg_spatial_ref_sys (
                srs_name TEXT, srs_id INTEGER, organization TEXT, organization_coordsys_id INTEGER, definition TEXT);
            CREATE TABLE gpkg_geometry_columns (
                table_name TEXT, column_name TEXT, geometry_type_name TEXT, srs_id INTEGER, z INTEGER, m INTEGER);
            INSERT INTO gpkg_spatial_ref_sys VALUES ('a system', {code}, 'epsg', {code}, '');
            CREATE TABLE {quoted} (fid INTEGER PRIMARY KEY, geom BLOB);
            """
        )
        database.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'GEOMETRY', ?, 0, 0)", (table, code))
        database.executemany(f"INSERT INTO {quoted} (geom) VALUES (?)", [(blob,) for blob in blobs])
    database.close()
    return path


def gp(shape: Any, envelope: int = 0, **options: Any) -> bytes:
    numbers = {0: 0, 1: 4, 2: 6, 3: 6, 4: 8}[envelope]
    head = struct.pack("<2sBBi", b"GP", 0, 1 | envelope << 1, 4326) + struct.pack(f"<{numbers}d", *[0.0] * numbers)
    return head + bytes(shapely.to_wkb(shape, **options))


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
            (gp(shapely.Point(1, 1))[:8] + struct.pack("<BI", 1, 8), "found WKB geometry of type 8"),
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


KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Style id="s"/><Folder>
<Placemark><name>A</name><MultiGeometry><Polygon>
  <outerBoundaryIs><LinearRing><coordinates>
    0,0,100 9,0,100 9, 9,100
    0,9,100 0,0,100 </coordinates></LinearRing></outerBoundaryIs>
  <innerBoundaryIs><LinearRing><coordinates>2,2 4,2 4,4 2,4 2,2</coordinates></LinearRing></innerBoundaryIs>
</Polygon></MultiGeometry></Placemark>
<Placemark><name>without a place</name></Placemark>
</Folder></Document></kml>"""


class TestKml:
    def test_polygons_have_their_holes(self, saved: Any) -> None:
        area = read_area(saved("aoi.kml", KML))

        assert 0 == area.overlap(box(2.5, 2.5, 3.5, 3.5))
        assert not area.touches(box(2.5, 2.5, 3.5, 3.5))
        assert [0, 0, 9, 9] == list(area.box)

    def test_kmz_is_the_same(self, saved: Any) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("files/icon.png", b"")
            archive.writestr("doc.kml", KML)

        assert read_area(saved("aoi.kml", KML)).geojson() == read_area(saved("aoi.kmz", packed.getvalue())).geojson()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (
                KML.replace("9,0,100", "9,x,100"),
                "placemark 1, outer boundary, point 2: expected longitude and latitude",
            ),
            (KML.replace("</Folder>", ""), "line 10: expected XML, found what is none"),
            ("<gpx/>", "expected KML, found XML of <gpx>"),
            ("<kml/>", "expected a geometry, found none"),
            ('<!DOCTYPE kml [<!ENTITY a "b">]><kml/>', "line 1: expected KML, found XML with a document type"),
            ('<!DOCTYPE kml SYSTEM "file:///etc/passwd"><kml/>', "found XML with a document type"),
            ('<?xml version="1.0" encoding="nonsense"?><kml/>', "expected XML"),
            (
                "<kml><Placemark>" + "<MultiGeometry>" * 5000 + "</MultiGeometry>" * 5000 + "</Placemark></kml>",
                "in each",
            ),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, saved: Any, text: str, words: str) -> None:
        assert words in problem(lambda: read_area(saved("aoi.kml", text)))


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "found an empty file"),
            (b" \n", "found an empty file"),
            (b"\xff\xfe{\x00", "expected GeoJSON, WKT, KML, KMZ, GeoPackage or shapefile in UTF-8"),
            ("\ufeff".encode(), "expected GeoJSON, WKT"),
            (b"longitude;latitude", 'found "longitude;latitude"'),
            (b"PK\x03\x04 cut", "expected a ZIP archive that can be read"),
            (b"SQLite format 3\x00" + bytes(100), "expected a GeoPackage"),
            (b"\x00\x00\x27\x0a" + bytes(200), "expected a geometry, found none"),
        ],
    )
    def test_what_cannot_be_an_area_is_refused(self, saved: Any, content: bytes, words: str) -> None:
        assert words in problem(lambda: read_area(saved("aoi", content)))

    @pytest.mark.parametrize(
        ("method", "changes", "words"),
        [
            pytest.param(zipfile.ZIP_DEFLATED, {6: 0x1}, "found an encrypted or patched one", id="encrypted"),
            pytest.param(zipfile.ZIP_DEFLATED, {6: 0x20}, "found an encrypted or patched one", id="patched"),
            pytest.param(zipfile.ZIP_LZMA, {}, "expected a stored or deflated member, found method 14", id="lzma"),
            pytest.param(zipfile.ZIP_BZIP2, {}, "expected a stored or deflated member, found method 12", id="bzip2"),
            pytest.param(zipfile.ZIP_DEFLATED, {4: 90}, "zip file version 9.", id="a version yet to come"),
            pytest.param(zipfile.ZIP_DEFLATED, {7: 0x8, 28 + 8: 0xFF}, "can't decode byte 0xff", id="no UTF-8"),
        ],
    )
    def test_an_archive_that_cannot_be_read_is_refused(
        self, saved: Any, method: int, changes: dict[int, int], words: str
    ) -> None:
        """The changes are at offsets from where both headers of a member begin to have the same fields."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr("doc.kml", KML)
        content = bytearray(packed.getvalue())
        directory = content.find(b"PK\x01\x02")
        for offset, value in changes.items():
            content[directory + offset + (2 if offset < 28 else 10)] |= value

        assert words in problem(lambda: read_area(saved("aoi.kmz", bytes(content))))

    def test_a_packed_area_that_rotted_is_refused(self, saved: Any) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("doc.kml", KML)
        content = bytearray(packed.getvalue())
        content[60:80] = bytes(value ^ 0x5A for value in content[60:80])

        assert "expected a ZIP archive that can be read" in problem(lambda: read_area(saved("a.kmz", bytes(content))))

    def test_what_is_too_large_is_refused_packed_or_not(self, saved: Any, tmp_path: Path) -> None:
        with (tmp_path / "large.json").open("wb") as file:
            file.truncate(50_000_001)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("doc.kml", bytes(50_000_001))

        assert "expected at most 50 MB, found more" in problem(lambda: read_area(tmp_path / "large.json"))
        assert "expected at most 50 MB, found more" in problem(lambda: read_area(saved("a.kmz", packed.getvalue())))

    def test_a_name_cannot_move_the_cursor(self, saved: Any) -> None:
        assert "\x1b" not in problem(lambda: read_area(saved("a\x1b[2J.json", "{")))

    def test_a_file_that_has_parentheses_in_its_name_is_a_file(self, saved: Any, monkeypatch: Any) -> None:
        path = saved("POINT(1 1)", polygon(TRIANGLE))
        monkeypatch.chdir(path.parent)

        assert [0, 0, 10, 10] == list(read_area(path.name).box)

    @pytest.mark.parametrize("source", ["read_area('POINT(1 1)')", "Area"])
    def test_a_missing_extra_is_named(self, source: str) -> None:
        code = f"""if True:
            import sys
            sys.modules["shapely"] = None
            from collgs_async.errors import ConfigError
            try:
                from collgs_async.area import read_area
                from collgs_async import area
                area.{source}
            except ConfigError as error:
                print(error)
        """

        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "needs the Python package shapely: python -m pip install 'collgs-async[geo]'\n" in answer.stdout

    def test_shapely_is_not_imported_before_it_is_needed(self) -> None:
        code = "import sys, collgs_async.area; sys.exit('shapely' in sys.modules or 'numpy' in sys.modules)"

        assert 0 == subprocess.run([sys.executable, "-c", code]).returncode


class TestRepair:
    @pytest.mark.parametrize(
        ("ring", "word", "share"),
        [
            (TRIANGLE[:-1], "is not closed", 50),
            ([TRIANGLE[0], *TRIANGLE], "has a point twice in a row", 50),
            (TRIANGLE[::-1], "runs the other way round", 50),
            ([[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]], "meets itself (Self-intersection[5 5])", 50),
        ],
    )
    def test_what_is_beyond_doubt_is_repaired_with_a_word(
        self, ring: Sequence[Sequence[float]], word: str, share: float
    ) -> None:
        area = Area.of(polygon(ring))

        (note,) = area.notes
        assert f"area of interest, ring 1: {word}" in note
        whole = Area.of(box(0, 0, 10, 10)).square_kilometres
        assert pytest.approx(share, abs=0.5) == area.square_kilometres / whole * 100

    def test_one_kind_of_repair_is_told_once(self) -> None:
        rings = [[[x, 0], [x + 0.5, 0], [x, 1]] for x in range(5)]

        (note,) = Area.of({"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}).notes

        assert note.startswith("area of interest, polygon 1, ring 1: is not closed")
        assert note.endswith("(and 4 more like it)")

    def test_a_keyhole_is_a_hole(self) -> None:
        ring = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1], [0, 0]]

        assert 0 == Area.of(polygon(ring)).overlap(box(1.5, 1.5, 2.5, 2.5))

    @pytest.mark.parametrize(
        ("rings", "words"),
        [
            (
                [[[0, 3], [2, -3], [-3, 1], [3, 1], [-2, -3], [0, 3]]],
                "ring 1: expected a ring that encloses nothing twice",
            ),
            (
                [[[0, 0], [1, 1], [2, 2], [0, 0]]],
                "expected a geometry, found none; area of interest, ring 1: encloses nothing, and is left out",
            ),
            ([[[0, 0], [1, 1], [0, 0]]], "ring 1: encloses nothing"),
            ([[[0, 0], [0, 0], [0, 0], [0, 0]]], "ring 1: encloses nothing"),
            ([TRIANGLE, []], "ring 2: expected a list of points, found none"),
            ([TRIANGLE, TRIANGLE], "expected a polygon with an area, found one whose holes leave nothing of it"),
        ],
    )
    def test_what_is_in_doubt_is_refused_with_its_place(self, rings: Any, words: str) -> None:
        assert words in problem(lambda: Area.of(polygon(*rings)))

    def test_a_ring_that_encloses_nothing_costs_the_others_nothing(self) -> None:
        sliver = [[20, 0], [20, 5], [20, 0]]
        document = {"type": "MultiPolygon", "coordinates": [[TRIANGLE, sliver], [sliver]]}

        area = Area.of(document)

        assert [0, 0, 10, 10] == list(area.box)
        assert any(note.startswith("area of interest, polygon 1, ring 2: encloses nothing") for note in area.notes)
        assert 100 == pytest.approx(area.overlap(document))

    def test_a_hole_that_reaches_out_is_cut_only_within(self) -> None:
        area = Area.of(polygon(*box(0, 0, 2, 2)["coordinates"], *box(1, 0, 5, 2)["coordinates"]))

        assert [0, 0, 1, 2] == list(area.box)
        assert any("a hole that reaches out" in note for note in area.notes)


FIJI = (177, -20, -177, -15)


class TestAntimeridian:
    @pytest.mark.parametrize("habit", three_habits(*FIJI), ids=["halves", "beyond 180", "jump"])
    def test_fiji_is_the_same_in_all_habits(self, habit: dict[str, Any]) -> None:
        area = Area.of(habit)

        assert [177, -20, -177, -15] == list(area.box)
        assert pytest.approx(352497.93, rel=1e-5) == area.square_kilometres  # by GeographicLib, with densified edges
        assert "MultiPolygon" == area.geojson()["type"]
        assert shapely.from_wkt(area.wkt(1000)).equals(shapely.geometry.shape(halves(*FIJI)))

    @pytest.mark.parametrize(
        ("area", "footprint"),
        list(itertools.product(three_habits(*FIJI), [*three_habits(179, -20, -174, -10), box(-181, -20, -174, -10)])),
    )
    def test_a_footprint_covers_the_same_of_it_in_all_habits(
        self, area: dict[str, Any], footprint: dict[str, Any]
    ) -> None:
        assert pytest.approx(200 / 3) == Area.of(area).overlap(footprint)
        assert Area.of(area).touches(footprint)
        assert not Area.of(area).touches(box(-176.9, -20, -170, -10))

    def test_west_meets_east_at_the_edge(self) -> None:
        west = Area.of({"type": "Point", "coordinates": [180, -17]})

        assert west.touches(box(-180, -20, -178, -15))
        assert 100 == west.overlap(box(-180, -20, -178, -15))
        assert Area.of(box(178, -20, 180, -15)).touches(box(-180, -18, -178, -15))
        assert 0 == Area.of(box(178, -20, 180, -15)).overlap(box(-180, -18, -178, -15))

    def test_points_beyond_180_are_brought_back(self) -> None:
        assert [-174, -17, -174, -17] == list(read_area("POINT(186 -17)").box)
        assert [174, -17, 174, -17] == list(read_area("POINT(-186 -17)").box)

    def test_a_jump_is_said_and_the_other_habits_are_not_worth_a_word(self) -> None:
        notes = [Area.of(habit).notes for habit in three_habits(*FIJI)]

        assert [(), ()] == notes[:2]
        assert "area of interest, ring 1: is wider than 180° as drawn" in notes[2][0]

    def test_what_is_wide_and_drawn_step_by_step_stays_as_it_is_drawn(self) -> None:
        south, north = [[x, -10] for x in range(-120, 121, 60)], [[x, 10] for x in range(120, -121, -60)]

        area = Area.of(polygon([*south, *north, south[0]]))

        assert [-120, -10, 120, 10] == list(area.box)
        assert () == area.notes

    @pytest.mark.parametrize("corners", [(-180, -90, 180, 90), (-180, -60, 180, 60), (-180, 50, 180, 90)])
    def test_a_belt_round_the_globe_is_no_jump(self, corners: tuple[float, float, float, float]) -> None:
        area = Area.of(box(*corners))

        assert corners == area.box
        assert 100 == area.overlap(box(-180, -90, 180, 90))
        assert pytest.approx(25) == area.overlap(box(0, -90, 90, 90))

    def test_a_line_may_jump_too(self) -> None:
        area = read_area("LINESTRING(179 10,-179 10)")

        assert [179, 10, -179, 10] == list(area.box)
        assert pytest.approx(50) == area.overlap(box(170, 0, 180, 20))

    def test_a_hole_is_found_whatever_its_habit(self) -> None:
        hole = box(-179, -18, -178, -17)["coordinates"][0]

        area = Area.of(polygon(box(177, -20, 183, -15)["coordinates"][0], hole))

        assert 0 == area.overlap(box(181.1, -17.9, 181.9, -17.1))

    @settings(deadline=None)
    @given(
        st.floats(-180, 180), st.floats(-80, 80), st.floats(0.01, 170), st.floats(0.01, 9), st.sampled_from([-360, 360])
    )
    def test_a_turn_of_360_degrees_changes_nothing(
        self, west: float, south: float, width: float, height: float, turn: float
    ) -> None:
        here = Area.of(box(west, south, min(west + width, 360), south + height))
        corners = [c for c in (west + turn, west + width + turn) if abs(c) <= 360]
        footprint = box(west, south, min(west + width, 360), south + height / 2)
        turned = box(west + turn, south, west + width + turn, south + height / 2) if len(corners) == 2 else footprint

        assert pytest.approx(here.overlap(footprint), abs=1e-3) == here.overlap(turned)


class TestPoles:
    def cap(self, latitude: float, step: int = 30) -> list[list[float]]:
        ring = [[x if x <= 180 else x - 360, latitude] for x in range(0, 360, step)]
        return [*ring, ring[0]]

    @pytest.mark.parametrize(("latitude", "name"), [(80, "north"), (-80, "south")])
    def test_a_ring_round_a_pole_is_closed_over_it(self, latitude: float, name: str) -> None:
        for ring in (self.cap(latitude), self.cap(latitude)[::-1]):
            area = Area.of(polygon(ring))

            assert pytest.approx(3908572.7, rel=1e-4) == area.square_kilometres  # by GeographicLib
            assert any(f"goes round the {name} pole and is closed over it" in note for note in area.notes)
            assert pytest.approx(25) == area.overlap(box(0, -90, 90, 90))
            assert area.touches(box(30, math.copysign(89, latitude), 31, math.copysign(90, latitude)))
            assert not area.touches(box(-180, -79, 180, 79))

    def test_longitudes_from_0_to_360_go_round_too(self) -> None:
        area = read_area("POLYGON((0 80,90 80,180 80,270 80,360 80))")

        assert pytest.approx(3908572.7, rel=1e-3) == area.square_kilometres

    def test_what_is_closed_at_the_pole_as_drawn_is_taken_so(self) -> None:
        ring = [[-180, -80], [-90, -75], [0, -80], [90, -75], [180, -80], [180, -90], [-180, -90], [-180, -80]]

        assert (-180, -90, 180, -75) == Area.of(polygon(ring)).box

    def test_a_ring_of_two_caps_is_a_belt_round_the_pole(self) -> None:
        area = Area.of(polygon(self.cap(60), self.cap(80)))

        assert not area.touches(polygon(self.cap(81)))
        assert pytest.approx(100) == area.overlap(polygon(self.cap(59)))

    @pytest.mark.parametrize(
        "ring",
        [
            [[0, 10], [90, -10], [180, 10], [-90, -10], [0, 10]],
            [[-180, 50], [0, 55], [180, 50], [180, 70], [-180, 70], [-180, 50]],
        ],
        ids=["both poles", "belt or cap"],
    )
    def test_what_could_be_either_is_refused(self, ring: list[list[float]]) -> None:
        assert "ring 1: expected a ring that encloses one side of itself" in problem(lambda: Area.of(polygon(ring)))

    def test_a_footprint_may_hold_the_pole(self) -> None:
        area = Area.of(box(-60, 85, 60, 90))

        assert 100 == area.overlap(polygon(self.cap(84)))


class TestOverlap:
    def test_the_corner_that_only_the_box_has_is_not_touched(self) -> None:
        area, corner = Area.of(polygon(TRIANGLE)), box(6, 6, 10, 10)

        assert [0, 0, 10, 10] == list(area.box)
        assert not area.touches(corner)
        assert 0 == area.overlap(corner)
        assert area.touches(box(5, 5, 10, 10))

    def test_luxembourg_is_covered_by_half(self) -> None:
        area = Area.of(polygon(LUXEMBOURG))

        assert 100 == area.overlap(box(5, 49, 7, 51))
        assert 0 == area.overlap(box(7, 49, 8, 51))
        halves = [area.overlap(box(5, 49, 7, 49.8)), area.overlap(box(5, 49.8, 7, 51))]
        assert pytest.approx(100) == sum(half or 0 for half in halves)
        assert all(half and 30 < half < 70 for half in halves)

    def test_surface_counts_and_not_degrees(self) -> None:
        """Of 0 to 60 degrees north, the lower half of the degrees has sin 30 / sin 60 of the surface."""
        area = Area.of(box(0, 0, 10, 60))

        assert pytest.approx(100 * 0.5 / math.sin(math.radians(60)), rel=0.005) == area.overlap(box(0, 0, 10, 30))

    def test_a_large_outline_is_reckoned_in_pieces_and_loses_nothing(self) -> None:
        ring = [[6 + math.cos(i / 1000 * math.tau) * (1 + 0.1 * math.sin(i)), 50 + math.sin(i / 1000 * math.tau)]
                for i in range(1000)]  # fmt: skip
        area = Area.of(polygon([*ring, ring[0]]))

        assert pytest.approx(100) == area.overlap(box(4, 48, 8, 52))
        parts = [area.overlap(box(4 + x / 2, 48, 4.5 + x / 2, 52)) for x in range(8)]
        assert pytest.approx(100) == sum(part or 0 for part in parts)
        assert pytest.approx(area.square_kilometres) == Area.of(area.geojson()).square_kilometres

    def test_of_points_it_is_how_many(self) -> None:
        area = read_area("MULTIPOINT(1 1,2 2,3 3,50 50)")

        assert 75 == area.overlap(box(0, 0, 3, 3))
        assert 25 == area.overlap(polygon([[0, 0], [3, 0], [0, 3], [0, 0]]))
        assert 0 == area.square_kilometres
        assert area.touches(box(3, 3, 4, 4))

    def test_of_lines_it_is_their_length(self) -> None:
        area = read_area("MULTILINESTRING((0 0,10 0),(0 60,10 60))")

        assert pytest.approx(100 / 1.5, rel=0.01) == area.overlap(box(-1, -1, 11, 1))

    def test_beside_polygons_points_and_lines_have_no_share_but_are_touched(self) -> None:
        area = read_area("GEOMETRYCOLLECTION(POLYGON((0 0,10 0,0 10,0 0)),POINT(50 50),LINESTRING(60 60,61 61))")

        assert pytest.approx(100) == area.overlap(polygon(TRIANGLE))
        assert 0 == area.overlap(box(49, 49, 62, 62))
        assert area.touches(box(49, 49, 51, 51))
        assert "GeometryCollection" == area.geojson()["type"]

    @pytest.mark.parametrize(
        "footprint",
        [
            polygon([[0, 0], [10, 0], [10, 10], [0, 10]]),
            polygon([[0, 0], [0, 10], [10, 10], [10, 0], [0, 0]]),
            polygon([[0, 0], [10, 0], [10, 0], [10, 10], [0, 10], [0, 0]]),
            polygon([[0, 0], [10, 0], [10, 10], [5, 10], [5, 12], [5, 10], [0, 10], [0, 0]]),
            {"type": "GeometryCollection", "geometries": [box(0, 0, 5, 10), box(5, 0, 10, 10)]},
            {
                "type": "MultiPolygon",
                "coordinates": [box(0, 0, 7, 10)["coordinates"], box(3, 0, 10, 10)["coordinates"]],
            },
            polygon([[0, 0, 1], [10, 0, 1], [10, 10, 1], [0, 10, 1], [0, 0, 1]]),
            {"type": "Polygon", "coordinates": (((0, 0), (10, 0), (10, 10), (0, 10), (0, 0)),)},
        ],
        ids=["open", "clockwise", "twice", "spike", "collection", "overlapping", "heights", "tuples"],
    )
    def test_a_bad_footprint_is_repaired(self, footprint: dict[str, Any]) -> None:
        assert pytest.approx(100) == Area.of(box(1, 1, 9, 9)).overlap(footprint)

    def test_a_footprint_that_runs_over_itself_counts_with_all_that_it_encloses(self) -> None:
        star = polygon([[0, 3], [2, -3], [-3, 1], [3, 1], [-2, -3], [0, 3]])

        assert 100 == Area.of(box(-0.5, -0.5, 0.5, 0.5)).overlap(star)

    @pytest.mark.parametrize(
        "footprint",
        [
            None,
            {},
            {"type": "Polygon"},
            {"type": "Polygon", "coordinates": []},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, None], [1, 1], [0, 0]]]},
            polygon([[500000, 5500000], [600000, 5500000], [600000, 5600000], [500000, 5500000]]),
            {"type": "Envelope", "coordinates": [[0, 0], [1, 1]]},
        ],
    )
    def test_a_hopeless_footprint_has_no_share_and_is_not_passed_over(self, footprint: Any) -> None:
        area = Area.of(polygon(TRIANGLE))

        assert None is area.overlap(footprint)
        assert area.touches(footprint)


def contained(area: Area, text: str) -> bool:
    """Tell whether WKT contains an area, to a tenth of a millimetre."""
    return bool(shapely.from_wkt(text).buffer(1e-9).covers(shapely.geometry.shape(area.geojson())))


class TestOutline:
    def test_what_fits_is_written_as_it_is(self) -> None:
        assert "POLYGON((0 0,10 0,0 10,0 0))" == Area.of(polygon(TRIANGLE)).wkt(28)

    def test_digits_beyond_the_sixth_are_rounded_outward(self) -> None:
        area = Area.of(polygon([[x + 1e-8, y - 3e-8] for x, y in LUXEMBOURG]))
        text = area.wkt(1000)

        assert contained(area, text)
        assert all(len(number.partition(".")[2]) <= 6 for number in text.strip("POLYGN()").replace(",", " ").split())
        assert pytest.approx(area.square_kilometres, rel=1e-3) == read_area(text).square_kilometres

    @pytest.mark.parametrize("longest", [4000, 1000, 300])
    def test_what_does_not_fit_is_simplified_outward(self, longest: int) -> None:
        ring = [[6 + math.cos(i / 500 * math.tau), 50 + math.sin(i / 500 * math.tau)] for i in range(500)]
        area = Area.of(polygon([*ring, ring[0]]))

        text = area.wkt(longest)

        assert len(text) <= longest
        assert contained(area, text)
        assert (
            1 < read_area(text).square_kilometres / area.square_kilometres < {4000: 1.01, 1000: 1.05, 300: 1.3}[longest]
        )

    def test_the_antimeridian_and_the_poles_are_not_crossed(self) -> None:
        rings = [[[170 + 15 * math.cos(i), 80 + 9.99 * math.sin(i)] for i in (step / 16 for step in range(101))]]
        area = Area.of(polygon(*rings))

        text = area.wkt(400)

        assert contained(area, text)
        west, south, east, north = shapely.from_wkt(text).bounds
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90

    def test_where_nothing_fits_it_is_the_box_in_whole_degrees(self) -> None:
        assert "POLYGON((7 49,7 51,5 51,5 49,7 49))" == Area.of(polygon(LUXEMBOURG)).wkt(10)
        assert read_area(Area.of(box(*FIJI)).wkt(10)).box == FIJI

    @pytest.mark.parametrize("text", ["POINT(6.1 49.6)", "LINESTRING(6 49,7 50,8 49.5)", "MULTIPOINT(180 90,0 -90)"])
    def test_points_and_lines_become_narrow_polygons(self, text: str) -> None:
        area = read_area(text)

        assert contained(area, area.wkt(1000))
        assert read_area(area.wkt(1000)).square_kilometres < 10

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.floats(-179, 179), st.floats(-89, 89)), min_size=3, max_size=12),
        st.integers(150, 600),
    )
    def test_nothing_of_the_area_is_ever_lost(self, points: list[tuple[float, float]], longest: int) -> None:
        hull = shapely.MultiPoint([(longitude / 2, latitude) for longitude, latitude in points]).convex_hull
        if hull.area < 1e-6:
            return
        area = Area.of(shapely.geometry.mapping(hull))

        text = area.wkt(longest)

        assert len(text) <= longest
        assert contained(area, text)
        west, south, east, north = area.box
        assert shapely.box(west, south, east, north).covers(shapely.geometry.shape(area.geojson()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
NUMBERS = (
    st.floats(-90, 90, width=32)
    | st.integers(-4, 4)
    | st.sampled_from([-360, -180, -90, 0, 90, 180, 360, 179.999999999, 1e-320, float("nan"), 10**400])
)
POSITIONS = st.lists(NUMBERS, min_size=2, max_size=3) | st.tuples(NUMBERS, NUMBERS)
RINGS = st.lists(POSITIONS, max_size=7).map(lambda ring: [*ring, *ring[:1]])
GEOMETRIES = st.one_of(
    st.builds(lambda c: {"type": "Polygon", "coordinates": c}, st.lists(RINGS, max_size=3)),
    st.builds(lambda c: {"type": "MultiPolygon", "coordinates": c}, st.lists(st.lists(RINGS, max_size=2), max_size=3)),
    st.builds(lambda c: {"type": "LineString", "coordinates": c}, st.lists(POSITIONS, max_size=5)),
    st.builds(lambda c: {"type": "MultiPoint", "coordinates": c}, st.lists(POSITIONS, max_size=5)),
    st.builds(lambda c: {"type": "Point", "coordinates": c}, POSITIONS | JSON),
    st.builds(
        lambda t, c: {"type": t, "coordinates": c, "geometry": c, "features": c, "geometries": c},
        st.sampled_from(
            ["Point", "LineString", "Polygon", "MultiPolygon", "MultiLineString", "Feature", "FeatureCollection"]
        ),
        JSON,
    ),
)
DOCUMENTS = st.one_of(
    JSON,
    GEOMETRIES,
    st.builds(lambda g: {"type": "GeometryCollection", "geometries": g}, st.lists(GEOMETRIES, max_size=4)),
)
HOSTILE = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def exercise(make: Callable[[], Area]) -> None:
    """Ask everything of an area that somebody may have made of anything, unless it is refused in one line."""
    try:
        area = make()
    except ConfigError as error:
        problems = error.problems
    else:
        problems = ("",)
        use(area)
    assert 1 == len(problems)
    assert "\n" not in problems[0]


def use(area: Area) -> None:
    assert contained(area, area.wkt(200)) or not area.square_kilometres
    assert 0 <= area.square_kilometres < 5.2e8
    west, south, east, north = area.box
    assert max(abs(west), abs(east)) <= 180
    assert -90 <= south <= north <= 90
    if area.square_kilometres > 1e-6 or "Point" in area.geojson()["type"]:  # what is smaller is lost in the last digit
        assert pytest.approx(100, abs=1e-3) == area.overlap(area.geojson())
    assert area.touches(area.geojson())


class TestRepeated:
    @pytest.mark.parametrize("longest", [1000, 300])
    @pytest.mark.parametrize("west", [178.5, -179.9, 150.5, -160.0])
    def test_footprints_of_all_habits_meet_it_on_the_plane(self, west: float, longest: int) -> None:
        area = Area.of(box(west, -18, west + 1, -17))
        plane = shapely.from_wkt(area.wkt(longest, repeated=True))

        assert len(area.wkt(longest, repeated=True)) <= longest
        for footprint in three_habits(178, -17.5, -178, -16.5):
            if area.touches(footprint):
                assert plane.intersects(shapely.geometry.shape(footprint))
        assert contained(area, shapely.to_wkt(plane, rounding_precision=9))

    def test_far_from_the_antimeridian_nothing_is_repeated(self) -> None:
        area = Area.of(polygon(TRIANGLE))

        assert area.wkt(1000) == area.wkt(1000, repeated=True)

    def test_where_it_does_not_fit_it_is_not_repeated(self) -> None:
        area = Area.of(halves(*FIJI))

        assert area.wkt(130) == area.wkt(130, repeated=True)


class TestHostile:
    @HOSTILE
    @given(DOCUMENTS)
    def test_any_json_is_an_area_or_one_line(self, document: Any) -> None:
        exercise(lambda: Area.of(document))

    @HOSTILE
    @given(DOCUMENTS)
    def test_any_footprint_has_a_share_or_none(self, document: Any) -> None:
        for area in (Area.of(polygon(TRIANGLE)), Area.of(box(*FIJI)), read_area("POINT(0 0)")):
            share = area.overlap(document)

            assert share is None or 0 <= share <= 100
            assert area.touches(document) or not share

    @HOSTILE
    @given(st.text("POLYGNMUTIEZ()., -+0123456789eE;=SRD", max_size=60))
    def test_any_text_is_an_area_or_one_line(self, text: str) -> None:
        for written in (text, f"POLYGON(({text}", f"MULTIPOINT({text})", f"GEOMETRYCOLLECTION({text})"):
            exercise(partial(read_area, written))

    @settings(parent=HOSTILE, suppress_health_check=[*HealthCheck])
    @given(st.binary(max_size=80), st.sampled_from(["", "GP", "WKB", "shp", "PK", "SQLite", "<kml>"]), st.data())
    def test_any_bytes_are_an_area_or_one_line(self, saved: Any, content: bytes, kind: str, data: Any) -> None:
        whole = gp(shapely.from_wkt("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))"), 1)
        if kind in {"GP", "WKB"}:
            at = data.draw(st.integers(0 if kind == "GP" else 40, len(whole)))
            path = saved("fresh.gpkg", b"")
            path.unlink()
            geopackage(path, [whole[:at] + content])
        else:
            head = {"shp": b"\x00\x00\x27\x0a" + bytes(96), "PK": b"PK\x03\x04", "SQLite": b"SQLite format 3\x00"}
            path = saved("aoi", head.get(kind, kind.encode()) + content)

        exercise(lambda: read_area(path))
