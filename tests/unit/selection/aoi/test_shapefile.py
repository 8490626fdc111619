"""Shapefiles as an area of interest: what the index says is there, and nothing else."""

from __future__ import annotations

import struct
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import shapefile  # type: ignore[import-untyped]

from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import LAMBERT_PRJ, LUXEMBOURG, WGS84_PRJ, a_lake_with_an_island, box, esri, problem

if TYPE_CHECKING:
    from pathlib import Path


PARIS_PRJ = WGS84_PRJ.replace('"Greenwich",0.0', '"Paris",2.33722917')


def two_boxes(writer: Any) -> None:
    for name, corners in (("a", (5, 49, 6, 50)), ("b", (20, 10, 21, 11))):
        writer.poly([box(*corners)["coordinates"][0][::-1]])
        writer.record(name)


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

    @pytest.mark.usefixtures("without_pyproj")
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

    @pytest.mark.parametrize(("number", "remaining"), [(0, [20, 10, 21, 11]), (1, [5, 49, 6, 50])])
    def test_a_row_that_is_deleted_is_not_asked_for(self, tmp_path: Path, number: int, remaining: list[float]) -> None:
        path = esri(tmp_path, shapefile.POLYGON, two_boxes)
        table = bytearray(path.with_suffix(".dbf").read_bytes())
        header, width = struct.unpack_from("<HH", table, 8)
        table[header + number * width] = ord("*")
        path.with_suffix(".dbf").write_bytes(table)

        assert remaining == list(read_area(path).box)

    @pytest.mark.parametrize("change", ["appended", "replaced", "between"])
    def test_what_the_index_does_not_name_is_not_asked_for(self, tmp_path: Path, change: str) -> None:
        path = esri(tmp_path, shapefile.POLYGON, two_boxes)
        data, index = path.read_bytes(), bytearray(path.with_suffix(".shx").read_bytes())
        if change == "appended":
            data += b"\x07" * 57
        else:  # the second record stands after what was there before
            old = data[236:] if change == "replaced" else b"\xff" * 16
            data = data[:236] + old.replace(data[280:296], struct.pack("<2d", 100, -40)) + data[236:]
            struct.pack_into(">i", index, 108, (236 + len(old)) // 2)
        path.write_bytes(data)
        path.with_suffix(".shx").write_bytes(index)

        area = read_area(path)

        assert ([5, 10, 21, 50], ()) == (list(area.box), area.notes)

    @pytest.mark.parametrize(
        "broken",
        [
            None,
            b"",
            b"x" * 116,
            lambda index: index[:108],
            lambda index: index[:100] + struct.pack(">4i", 2**30, 64, 9, 9),
        ],
        ids=["none", "empty", "nonsense", "cut", "beyond the end"],
    )
    def test_without_an_index_that_fits_all_records_are_taken_and_a_word_is_said(
        self, tmp_path: Path, broken: Any
    ) -> None:
        path = esri(tmp_path, shapefile.POLYGON, two_boxes)
        index = path.with_suffix(".shx")
        if broken is None:
            index.unlink()
        else:
            index.write_bytes(broken(index.read_bytes()) if callable(broken) else broken)
        path.write_bytes(path.read_bytes() + b"\x33" * 40)  # beyond what the header says

        area = read_area(path)

        assert [5, 10, 21, 50] == list(area.box)
        assert any("has no .shx beside it that fits" in note for note in area.notes)

    @pytest.mark.parametrize("words", [0, 10, 10**6])
    def test_a_length_that_lies_harms_nothing_where_the_index_is_right(self, tmp_path: Path, words: int) -> None:
        path = esri(tmp_path, shapefile.POLYGON, two_boxes)
        data = bytearray(path.read_bytes())
        struct.pack_into(">i", data, 104, words)
        path.write_bytes(data)

        assert [5, 10, 21, 50] == list(read_area(path).box)

    @pytest.mark.parametrize(
        ("offset", "value", "words"),
        [
            (108, 31, "feature 1: expected points, lines or polygons, found a MultiPatch"),
            (108, 77, "feature 1: expected points, lines or polygons, found shapes of type 77"),
            (152, -3, "feature 1: expected a whole record"),
            (152, 9, "feature 1: expected a whole record"),
            (148, 10**9, "feature 1: expected a whole record"),
        ],
    )
    def test_a_record_that_is_wrong_is_refused(self, tmp_path: Path, offset: int, value: int, words: str) -> None:
        path = esri(tmp_path, shapefile.POLYGON, two_boxes)
        data = bytearray(path.read_bytes())
        struct.pack_into("<i", data, offset, value)
        path.write_bytes(data)

        assert words in problem(lambda: read_area(path))

    def test_endings_may_be_in_upper_case(self, tmp_path: Path) -> None:
        path = esri(tmp_path, shapefile.POLYGON, two_boxes, PARIS_PRJ)
        for suffix in (".shp", ".shx", ".dbf", ".prj"):
            path.with_suffix(suffix).rename(tmp_path / f"AOI{suffix.upper()}")

        assert "(prime meridian Paris)" in problem(lambda: read_area(tmp_path / "AOI.SHP"))

    def test_an_empty_projection_is_none(self, tmp_path: Path) -> None:
        area = read_area(esri(tmp_path, shapefile.POLYGON, two_boxes, ""))

        assert any("its .prj: says no coordinate system" in note for note in area.notes)
