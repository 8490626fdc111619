"""Shapefiles as an area of interest: what the index says is there, and nothing else."""

from __future__ import annotations

import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import shapefile  # type: ignore[import-untyped]

from collgs_async.area import Area, read_area

from .areas import LAMBERT_PRJ, LUXEMBOURG, WGS84_PRJ, a_lake_with_an_island, box, esri, problem

if TYPE_CHECKING:
    from pathlib import Path


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
        ],
        ids=["projected", "another datum", "geocentric"],
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
