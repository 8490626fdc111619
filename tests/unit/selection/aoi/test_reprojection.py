"""Areas in other coordinate systems: converted by pyproj, and never guessed in silence."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pytest
import shapefile  # type: ignore[import-untyped]
import shapely

from collgs_async.selection.aoi import Area, read_area
from tests.support.areas import LUXEMBOURG, geopackage, gp, polygon, problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNTRY = shapely.segmentize(shapely.Polygon(LUXEMBOURG), 0.01)
"""With so many points that it makes no difference whether their edges are straight in degrees or in metres."""
CODES = [2169, 3857, 3035, 25832, 31466, 4258, 4314]


@cache
def transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def turned(shape: Any, code: int, *, back: bool = False) -> Any:
    systems = (f"EPSG:{code}", "OGC:CRS84") if back else ("OGC:CRS84", f"EPSG:{code}")
    to = transformer(*systems)
    return shapely.transform(shape, lambda points: np.column_stack(to.transform(*points.T.tolist())))


def geojson(folder: Path, code: int) -> Path:
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}
    feature = {"type": "Feature", "geometry": shapely.geometry.mapping(turned(COUNTRY, code))}
    path = folder / "aoi.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    return path


def ewkt(folder: Path, code: int) -> Path:
    path = folder / "aoi.wkt"
    path.write_text(f"SRID={code};{turned(COUNTRY, code).wkt}")
    return path


def ewkb(folder: Path, code: int) -> Path:
    path = folder / "aoi.wkb"
    path.write_bytes(shapely.to_wkb(shapely.set_srid(turned(COUNTRY, code), code), include_srid=True))
    return path


def esri_shapefile(folder: Path, code: int) -> Path:
    path = folder / "aoi.shp"
    with shapefile.Writer(str(path)) as writer:
        writer.field("name", "C")
        writer.poly([[list(point) for point in turned(COUNTRY, code).exterior.coords]])
        writer.record("Luxembourg")
    path.with_suffix(".prj").write_text(pyproj.CRS(code).to_wkt("WKT1_ESRI"))
    return path


def package(folder: Path, code: int) -> Path:
    wkt = pyproj.CRS(code).to_wkt("WKT1_GDAL").replace("'", "''")
    return geopackage(folder / "aoi.gpkg", [gp(turned(COUNTRY, code))], code=code, definition=wkt)


@pytest.mark.parametrize("written", [geojson, ewkt, ewkb, esri_shapefile, package])
@pytest.mark.parametrize("code", CODES)
def test_an_area_of_any_format_is_where_it_was_before(
    tmp_path: Path, written: Callable[[Path, int], Path], code: int
) -> None:
    area = read_area(written(tmp_path, code))

    (shape,) = area.shapes
    assert shape.symmetric_difference(COUNTRY).area < 1e-4 * COUNTRY.area
    assert any("WGS 84" in note and ("converted" in note or "as it is" in note) for note in area.notes)


def test_every_kind_of_geometry_is_converted() -> None:
    point, line = shapely.Point(6.1, 49.6), shapely.LineString([(6, 49.5), (6.2, 49.9)])
    for shape in (point, line, shapely.MultiPoint([point, (6.2, 49.7)]), shapely.MultiLineString([line])):
        area = read_area(f"SRID=2169;{turned(shape, 2169).wkt}")
        assert area.shapes[0].hausdorff_distance(shape) < 5e-4
    both = shapely.GeometryCollection([point, line])
    assert 2 == len(read_area(f"SRID=2169;{turned(both, 2169).wkt}").shapes)
    for kind in ("POINT", "POLYGON", "MULTIPOINT"):
        assert "expected a geometry, found none" in problem(lambda: read_area(f"SRID=2169;{kind} EMPTY"))  # noqa: B023


def test_long_edges_keep_their_place() -> None:
    """A straight edge across Europe in ETRS89-LAEA lies up to a hundred kilometres beside the line between its ends."""
    box = shapely.box(2_500_000, 1_500_000, 6_500_000, 5_000_000)

    (shape,) = read_area(f"SRID=3035;{box.wkt}").shapes

    dense, ends = turned(shapely.segmentize(box, 500), 3035, back=True), turned(box, 3035, back=True)
    assert shape.symmetric_difference(dense).area < 1e-4 * dense.area < ends.symmetric_difference(dense).area / 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "SRID=2169;POINT(6.1 49.6)",
            'expected coordinates in "LUREF / Luxembourg TM", found [6.1, 49.6], which looks like',
        ),
        ("SRID=31467;POINT(1e30 1e30)", "found [1e+30, 1e+30], which is outside of it"),
        ("SRID=99999;POINT(80000 100000)", 'expected an SRID of WGS 84, such as 4326, found "EPSG:99999"'),
        ("SRID=4978;POINT(80000 100000)", 'expected an SRID of WGS 84, such as 4326, found "EPSG:4978"'),
        ("SRID=5703;POINT(80000 100000)", 'expected an SRID of WGS 84, such as 4326, found "EPSG:5703"'),
    ],
)
def test_what_cannot_be_converted_is_refused_with_its_place(text: str, words: str) -> None:
    line = problem(lambda: read_area(text))

    assert line.startswith("--aoi: expected")
    assert words in line


def test_coordinates_far_from_where_a_system_is_used_get_a_note() -> None:
    area = read_area("SRID=2169;POINT(500000 900000)")

    assert any('lies outside of the area in which "LUREF / Luxembourg TM" is used' in note for note in area.notes)
    assert 1 == len(read_area("SRID=2169;POINT(80000 100000)").notes)
    assert 1 == len(read_area("SRID=3460;POINT(2000000 4000000)").notes)  # Fiji, whose box crosses the antimeridian


def test_a_broken_geometry_of_another_system_is_refused_with_its_place() -> None:
    crs = {"type": "name", "properties": {"name": "EPSG:2169"}}
    broken: tuple[Any, ...] = ("x", [["a", "b"]], [[[1, None]]], [[[1e6, float("nan")]]], [5], [[{}]], [[[]]])
    for coordinates in broken:
        geometry = {"type": "Polygon", "coordinates": coordinates, "crs": crs}
        assert "expected" in problem(lambda: Area.of(geometry))  # noqa: B023  (it is called at once)


def test_a_line_of_too_many_pieces_is_refused() -> None:
    assert "expected an area of at most" in problem(lambda: read_area("SRID=3857;LINESTRING(0 200, 1e30 0)"))


def test_an_area_may_repeat_a_system_but_has_not_any_number_of_them() -> None:
    def area(codes: list[int]) -> dict[str, Any]:
        crs = [{"type": "name", "properties": {"name": f"EPSG:{code}"}} for code in codes]
        points = [{"type": "Point", "coordinates": [500_000, 5_500_000], "crs": one} for one in crs]
        return {"type": "GeometryCollection", "geometries": points}

    assert 1 == len(Area.of(area([25832] * 500)).shapes)
    assert "expected at most 20 coordinate systems" in problem(lambda: Area.of(area(list(range(32601, 32641)))))


def test_the_system_of_a_member_goes_before_that_of_the_whole() -> None:
    crs = {"type": "name", "properties": {"name": "EPSG:2169"}}
    feature = {"type": "Feature", "crs": {"type": "name", "properties": {"name": "EPSG:4326"}}}
    features = [{**feature, "geometry": polygon(LUXEMBOURG)}]

    area = Area.of({"type": "FeatureCollection", "crs": crs, "features": features})

    assert np.allclose(area.shapes[0].bounds, COUNTRY.bounds)


@pytest.mark.usefixtures("without_pyproj")
@pytest.mark.parametrize("written", [geojson, ewkt, ewkb, esri_shapefile, package])
def test_without_pyproj_one_line_says_what_to_install(tmp_path: Path, written: Callable[[Path, int], Path]) -> None:
    path = geojson(tmp_path, 4326)
    assert () == read_area(path).notes

    line = problem(lambda: read_area(written(tmp_path, 2169)))

    assert line.endswith("; other systems need the Python package pyproj: python -m pip install 'collgs-async[geo]'")
    assert "\n" not in line
