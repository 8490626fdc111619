"""Products, read back by the programs that they are made for."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Product, Products, RawTimes, Selection
from collgs_async.selection.aoi import Area

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = {"type": "Polygon", "coordinates": [[[5, 49], [6, 49], [6, 50], [5, 50], [5, 49]]]}
ACROSS = {"type": "Polygon", "coordinates": [[[179, 0], [181, 0], [181, 1], [179, 1], [179, 0]]]}
S2 = Product(
    "S2A_MSIL2A_20210924T103021_N0301_R108_T31UGR_20210924T132718",
    "https://h/a.zip",
    "S2_MSIL2A",
    RawTimes("2021-09-24T10:30:21.024Z", "2021-09-24T10:31:00Z"),
    SQUARE,
    cloud_cover=12.5,
    orbit_direction="DESCENDING",
    size=1000,
    quicklook="https://h/a.jpg",
)
S1 = Product("S1A_IW_GRDH_1SDV_20210924T172432_20210924T172457_039831_04B5E1_8B4F", "https://h/b.zip", footprint=ACROSS)
BARE = Product("bare", None, raw=RawTimes("2021-09-24"), problem="no link")
PRODUCTS = Products([S2, S1, BARE])


def test_pystac_reads_and_validates_each_item() -> None:
    pystac = pytest.importorskip("pystac")
    pytest.importorskip("jsonschema")

    items = pystac.ItemCollection.from_dict(PRODUCTS.to_stac())

    for item in items:
        core = item.clone()
        core.stac_extensions = []  # their schemas are on the network
        assert core.validate()
    s2, s1, bare = items
    assert ["eo", "file", "grid", "sat"] == [name for name in ("eo", "file", "grid", "sar", "sat") if s2.ext.has(name)]
    assert (12.5, "MGRS-31UGR", 108) == (s2.ext.eo.cloud_cover, s2.ext.grid.code, s2.ext.sat.relative_orbit)
    assert ("IW", "descending") == (s1.ext.sar.instrument_mode, s2.ext.sat.orbit_state.value)
    assert (1000, "image/jpeg") == (s2.assets["data"].ext.file.size, s2.assets["thumbnail"].media_type)
    assert (2021, None, {}) == (bare.datetime.year, bare.geometry, bare.assets)
    assert [179, 0, -179, 1] == s1.bbox


def test_stac_geoparquet_reads_the_items(tmp_path: Path) -> None:
    arrow = pytest.importorskip("stac_geoparquet.arrow")

    items = Products([S2, S1]).to_stac()["features"]
    table = arrow.parse_stac_items_to_arrow(items).read_all()

    assert [S2.identifier, S1.identifier] == table["id"].to_pylist()
    assert ["S2_MSIL2A", None] == table["collection"].to_pylist()
    assert [12.5, None] == table["eo:cloud_cover"].to_pylist()
    back = list(arrow.stac_table_to_items(table))
    assert ["Polygon", "MultiPolygon"] == [item["geometry"]["type"] for item in back]


def test_geopandas_takes_products_and_keeps_times_and_numbers(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")

    features = geopandas.GeoDataFrame.from_features(PRODUCTS)
    frame = PRODUCTS.to_geodataframe()

    assert ["Polygon", "MultiPolygon"] == features.geometry.dropna().geom_type.tolist()
    assert "EPSG:4326" == str(frame.crs)
    assert "UTC" == str(frame.sensing_start.dt.tz)
    assert [12.5] == frame.cloud_cover.dropna().tolist()
    assert (0, "geometry") == (len(Products().to_geodataframe()), Products().to_geodataframe().geometry.name)
    for name in ("scenes.gpkg", "scenes.geojson"):
        frame.to_file(tmp_path / name)
        again = geopandas.read_file(tmp_path / name)
        assert frame.identifier.tolist() == again.identifier.tolist()
        assert (frame.sensing_start - again.sensing_start).abs().max().total_seconds() < 0.01


def test_a_geodataframe_of_another_system_and_its_rows_are_areas() -> None:
    geopandas = pytest.importorskip("geopandas")
    pytest.importorskip("pyproj")
    frame = geopandas.GeoDataFrame.from_features([S2], crs="EPSG:4326")

    areas: list[Any] = [
        Selection(aoi=given).aoi
        for given in (frame, frame.to_crs(2169), frame.to_crs(3035).geometry, frame.iloc[0], next(frame.itertuples()))
    ]

    for area in areas:
        assert 99 < (Area.of(area).overlap(SQUARE) or 0) <= 100


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL is not installed")
def test_gdal_opens_stac_and_draws_no_footprint_round_the_earth(tmp_path: Path) -> None:
    path = tmp_path / "found.geojson"
    path.write_text(json.dumps(Products([S2, replace(S1)]).to_stac()))

    shown = subprocess.run(["ogrinfo", "-al", path], capture_output=True, text=True, check=True).stdout

    assert "Feature Count: 2" in shown
    assert "MULTIPOLYGON (((" in shown
    assert "eo:cloud_cover (Real) = 12.5" in shown
