"""KML and KMZ as an area of interest."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from collgs_async.area import read_area

from .areas import KML, box, problem


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
            ("<Icon/>", "expected KML, found XML of <Icon>"),
            (KML.replace("9,0,100", "9,0,100, 9,5,100"), "point 2: expected longitude and latitude such as 6.13,49.61"),
            (KML.replace("9,0,100", "9"), "point 2: expected longitude and latitude such as 6.13,49.61"),
            ("<kml><Placemark>" + "<MultiGeometry>" * 5000, "expected XML"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, saved: Any, text: str, words: str) -> None:
        assert words in problem(lambda: read_area(saved("aoi.kml", text)))
