"""Files as an area of interest: what they are, whatever they are called."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.errors import ConfigError
from collgs_async.selection.aoi import read_area
from tests.support.areas import KML, TRIANGLE, polygon, problem

if TYPE_CHECKING:
    from pathlib import Path


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "found an empty file"),
            (b" \n", "found an empty file"),
            (b"\xff\xfe{\x00", "line 1, column 2: expected JSON"),
            (b"\x89PNG\r\n\x1a\n", "expected GeoJSON, WKT, KML, KMZ, GeoPackage or shapefile, found"),
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

    @pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
    def test_a_packed_area_with_any_byte_wrong_is_read_or_refused(self, saved: Any, flip: int) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("doc.kml", KML)
        right = packed.getvalue()
        words = []
        for at in range(4, len(right)):
            path = saved("a.kmz", right[:at] + bytes([right[at] ^ flip]) + right[at + 1 :])
            try:
                read_area(path)
            except ConfigError as error:
                words.append(str(error))

        assert all("a.kmz" in text for text in words)
        assert any(
            "a ZIP archive that can be read, found one that cannot: negative seek value" in text for text in words
        )

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
                from collgs_async.selection.aoi import read_area
                from collgs_async.selection import aoi as area
                area.{source}
            except ConfigError as error:
                print(error)
        """

        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "needs the Python package shapely: python -m pip install 'collgs-async[geo]'\n" in answer.stdout

    def test_shapely_is_not_imported_before_it_is_needed(self) -> None:
        code = "import sys, collgs_async.selection.aoi; sys.exit('shapely' in sys.modules or 'numpy' in sys.modules)"

        assert 0 == subprocess.run([sys.executable, "-c", code]).returncode
