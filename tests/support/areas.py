"""What the tests of areas of interest share: shapes, and files by other hands."""

from __future__ import annotations

import sqlite3
import struct
from typing import TYPE_CHECKING, Any

import pytest
import shapefile  # type: ignore[import-untyped]
import shapely

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from collgs_async.selection.aoi.area import Area

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


FIJI = (177, -20, -177, -15)


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


def contained(area: Area, text: str) -> bool:
    """Tell whether WKT contains an area, to a tenth of a millimetre."""
    return bool(shapely.from_wkt(text).buffer(1e-9).covers(shapely.geometry.shape(area.geojson())))


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


def geopackage(
    path: Path, blobs: Sequence[object], *, code: int = 4326, table: str = 'a "layer"', definition: str = ""
) -> Path:
    """A GeoPackage of one layer, as small as the standard lets it be."""
    quoted = '"' + table.replace('"', '""') + '"'
    with sqlite3.connect(path) as database:
        database.executescript(
            f"""
            CREATE TABLE gpkg_spatial_ref_sys (
                srs_name TEXT, srs_id INTEGER, organization TEXT, organization_coordsys_id INTEGER, definition TEXT);
            CREATE TABLE gpkg_geometry_columns (
                table_name TEXT, column_name TEXT, geometry_type_name TEXT, srs_id INTEGER, z INTEGER, m INTEGER);
            INSERT INTO gpkg_spatial_ref_sys VALUES ('a system', {code}, 'epsg', {code}, '{definition}');
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
