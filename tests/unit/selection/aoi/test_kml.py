"""KML and KMZ as an area of interest."""

from __future__ import annotations

import io
import itertools
import zipfile
from typing import Any

import pytest

from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import KML, box, problem

COORD = "<gx:coord>{} {} 1</gx:coord>"
TRACK = "<gx:Track><gx:coord>{0} {1}</gx:coord><gx:coord>{0}.5 {1}</gx:coord></gx:Track>"
POINT = "<Point><coordinates>{}</coordinates></Point>"
BOX = "<LatLonBox><north>51</north><south>49</south><east>{1}</east><west>{0}</west>{2}</LatLonBox>"


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

    @pytest.mark.parametrize(
        ("content", "bounds"),
        [
            (f"<gx:Track><when>2025</when>{COORD.format(5, 49)}{COORD.format(7, 50)}</gx:Track>", (5, 49, 7, 50)),
            (f"<gx:Track>{COORD.format(5, 49)}</gx:Track>", (5, 49, 5, 49)),
            (f"<gx:MultiTrack>{TRACK.format(5, 49)}{TRACK.format(8, 50)}</gx:MultiTrack>", (5, 49, 8.5, 50)),
            (POINT.format("5 , 49 ,\n0"), (5, 49, 5, 49)),
            ("<LineString><coordinates>5,49,0, 7,50,0,</coordinates></LineString>", (5, 49, 7, 50)),
            (f"<LookAt><longitude>9</longitude></LookAt>{POINT.format('5,49')}", (5, 49, 5, 49)),
            (f"<Region><LatLonAltBox><north>9</north></LatLonAltBox></Region>{POINT.format('5,49')}", (5, 49, 5, 49)),
            (f"<Polygon/>{POINT.format('5,49')}", (5, 49, 5, 49)),
        ],
    )
    def test_every_geometry_is_read_whatever_its_prefix(self, saved: Any, content: str, bounds: Any) -> None:
        document = f"<kml xsi:schemaLocation='x'><Document><Placemark>{content}</Placemark></Document></kml>"

        assert bounds == read_area(saved("aoi.kml", document)).box

    @pytest.mark.parametrize(
        ("content", "bounds"),
        [
            (BOX.format(5, 7, ""), (5, 49, 7, 51)),
            (BOX.format(179, -179, ""), (179, 49, -179, 51)),
            (BOX.format(5, 7, "<rotation>180</rotation>"), (5, 49, 7, 51)),
            ("<gx:LatLonQuad><coordinates>5,49 7,49 7,51 5,51</coordinates></gx:LatLonQuad>", (5, 49, 7, 51)),
        ],
    )
    def test_an_overlay_is_its_box(self, saved: Any, content: str, bounds: Any) -> None:
        area = read_area(saved("aoi.kml", f"<kml><GroundOverlay><name/>{content}</GroundOverlay></kml>"))

        assert (bounds, ()) == (area.box, area.notes)

    def test_an_overlay_that_is_turned_is_turned(self, saved: Any) -> None:
        turned = BOX.format(5, 7, "<rotation>45</rotation>")
        area = read_area(saved("aoi.kml", f"<GroundOverlay>{turned}</GroundOverlay>"))

        assert pytest.approx(Area.of(box(5, 49, 7, 51)).square_kilometres, rel=0.01) == area.square_kilometres
        assert not area.touches(box(5, 50.9, 5.1, 51))

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252"])
    @pytest.mark.parametrize("declared", ["UTF-8", "UTF-16", "windows-1252"])
    def test_the_encoding_may_be_any_and_another_than_declared(self, saved: Any, encoding: str, declared: str) -> None:
        document = KML.replace("UTF-8", declared).replace("<name>A", "<name>Échternach")

        assert [0, 0, 9, 9] == list(read_area(saved("aoi.kml", document.encode(encoding))).box)

    @pytest.mark.parametrize(
        "start",
        [
            '<!DOCTYPE kml PUBLIC "-//x" "http://127.0.0.1:1/kml.dtd">',
            '<!DOCTYPE kml [<!ENTITY nbsp "&#160;">]>',
            '<!DOCTYPE kml [<!ENTITY nbsp SYSTEM "file:///etc/passwd">]>',
            "",
        ],
    )
    def test_entities_are_never_fetched_and_no_harm(self, saved: Any, start: str) -> None:
        document = KML.replace("<kml", f"{start}<kml", 1).replace("<name>A", "<name>A&nbsp;B")

        assert [0, 0, 9, 9] == list(read_area(saved("aoi.kml", document)).box)

    def test_entities_that_grow_without_end_are_refused(self, saved: Any) -> None:
        names = "abcdefghij"
        entities = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in itertools.pairwise(names))
        document = f"<!DOCTYPE kml [<!ENTITY a '{'x' * 10}'>{entities}]><kml>&j;</kml>"

        assert "expected" in problem(lambda: read_area(saved("aoi.kml", document)))

    def test_what_is_not_followed_is_named(self, saved: Any) -> None:
        link = "<NetworkLink><Link><href>http://127.0.0.1/a.kml</href></Link></NetworkLink>"

        assert 'has a NetworkLink to "http://127.0.0.1/a.kml", which is not followed' in problem(
            lambda: read_area(saved("aoi.kml", f"<kml>{link}</kml>"))
        )
        (note,) = read_area(saved("aoi.kml", KML.replace("<Folder>", f"<Folder>{link}"))).notes
        assert "a NetworkLink to" in note

    def test_all_documents_of_an_archive_are_read(self, saved: Any) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a/b.KML", f"<kml><Placemark>{POINT.format('-5,-9')}</Placemark></kml>")
            link = "<NetworkLink><href>a/b.kml</href></NetworkLink>"
            archive.writestr("doc.kml", KML.replace("<Folder>", f"<Folder>{link}"))

        area = read_area(saved("aoi.kmz", packed.getvalue()))

        assert ([-5, -9, 9, 9], ()) == (list(area.box), area.notes)
