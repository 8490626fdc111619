"""Coordinate systems: right by what they say, whatever they are called; another one is refused by its name.

What pyproj makes of others is in `test_reprojection`.
"""

from __future__ import annotations

from typing import Any

import pytest

from collgs_async.errors import ConfigError
from collgs_async.selection.aoi.places import ParseNotes
from collgs_async.selection.aoi.systems import read_system


def wkt(
    spheroid: str = '"WGS 84",6378137,298.257223563',
    meridian: str = '"Greenwich",0',
    unit: str = '"degree",0.0174532925199433',
    datum: str = '"WGS_1984"',
    name: str = '"WGS 84"',
) -> str:
    return f"GEOGCS[{name},DATUM[{datum},SPHEROID[{spheroid}]],PRIMEM[{meridian}],UNIT[{unit}]]"


GRS80 = '"GRS 1980",6378137,298.257222101'
ENSEMBLE = """GEOGCRS["WGS 84",
    ENSEMBLE["World Geodetic System 1984 ensemble",
        MEMBER["World Geodetic System 1984 (Transit)"],
        ELLIPSOID["WGS 84",6378137,298.257223563,LENGTHUNIT["metre",1]],ENSEMBLEACCURACY[2.0]],
    PRIMEM["Greenwich",0,ANGLEUNIT["degree",0.0174532925199433]],
    CS[ellipsoidal,2],
        AXIS["latitude",north,ORDER[1],ANGLEUNIT["degree",0.0174532925199433]],
        AXIS["longitude",east,ORDER[2],ANGLEUNIT["degree",0.0174532925199433]],
    ID["EPSG",4326]]"""
COVERAGE = "Projection    GEOGRAPHIC\nDatum         WGS84\nSpheroid      WGS84\nUnits         DD\nParameters\n"


def notes_on(text: str) -> str:
    notes = ParseNotes()
    read_system(text, "here", notes)
    return "\n".join(notes.lines())


@pytest.mark.parametrize(
    "text",
    [
        wkt(),
        wkt().lower(),
        f"\ufeff {wkt()}\r\n",
        wkt().replace("[", "(").replace("]", ")"),
        wkt(datum='"D_WGS84"', name='"unnamed"'),
        wkt(datum='"unknown"'),
        wkt(datum='"WGS-84 World",TOWGS84[0,0,0,0,0,0,0]', name='"lat-long"'),
        wkt(unit='"Degree",0.017453292519943295'),
        f'COMPD_CS["with heights",{wkt()},VERT_CS["EGM96",VERT_DATUM["EGM96",2005],UNIT["metre",1]]]',
        ENSEMBLE,
        'GEODCRS["WGS 84 (G1762)",DATUM["a",ELLIPSOID["WGS 84",6378137,298.257223563]],CS[ellipsoidal,2]]',
        "EPSG:4326",
        "epsg:4979",
        "OGC:CRS84",
        "CRS:84",
        "CRS84",
        "WGS 84",
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "urn:ogc:def:crs:OGC::CRS84h",
        "urn:ogc:def:crs:EPSG:6.18:3:4326",
        "urn:x-ogc:def:crs:EPSG:4326",
        "http://www.opengis.net/def/crs/EPSG/0/4326",
        "http://www.opengis.net/gml/srs/epsg.xml#4326",
        "https://spatialreference.org/ref/epsg/4326/proj4/",
        "+proj=longlat +datum=WGS84 +no_defs",
        "+proj=latlong +ellps=WGS84 +towgs84=0,0,0,0,0,0,0",
        "+init=epsg:4326",
        COVERAGE,
    ],
)
def test_what_is_right_is_taken_without_a_word(text: str) -> None:
    assert "" == notes_on(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (wkt(GRS80, datum='"D_ETRS_1989"', name='"GCS_ETRS_1989"'), "GCS_ETRS_1989"),
        (wkt(GRS80, datum='"D_North_American_1983"', name='"NAD83"'), "NAD83"),
        (wkt(datum='"D_Hartebeesthoek_1994"', name='"Hartebeesthoek94"'), "Hartebeesthoek94"),
        ("EPSG:4258", "ETRS89"),
        ("urn:ogc:def:crs:EPSG::4269", "NAD83"),
    ],
)
def test_what_lies_within_metres_is_taken_with_a_word(text: str, name: str) -> None:
    assert f'here: is in "{name}", within a few metres of WGS 84, and is taken as it is' == notes_on(text)


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "\x00\x00"])
def test_what_says_nothing_is_taken_with_a_word(text: str) -> None:
    assert "says no coordinate system" in notes_on(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (wkt(unit='"grad",0.01570796326794897', name='"odd"'), '"odd" (unit grad)'),
        (wkt(unit='"radian",1', name='"odd"'), '"odd" (unit radian)'),
        (wkt(meridian='"Paris",2.33722917', name='"odd"'), '"odd" (prime meridian Paris)'),
        (wkt(meridian='"Ferro",-17.666666', name='"odd"'), '"odd" (prime meridian Ferro)'),
        (wkt('"Bessel 1841",6377397.155,299.1528128', name='"DHDN"'), '"DHDN" (spheroid Bessel 1841)'),
        (wkt('"Airy 1830",6377563.396,299.3249646', name='"WGS 84"'), '"WGS 84" (spheroid Airy 1830)'),
        (wkt('"Clarke 1866",6378206.4,294.978698213898'), '"WGS 84" (spheroid Clarke 1866)'),
        (wkt('"WGS 72",6378135,298.26', name='"WGS 72"'), '"WGS 72" (spheroid WGS 72)'),
        (wkt('"International 1924",6378388,297'), '"WGS 84" (spheroid International 1924)'),
        (wkt(GRS80, datum='"D_GGRS_1987"', name='"GCS_GGRS_1987"'), '"GCS_GGRS_1987" (a datum elsewhere)'),
        (wkt(datum='"Vietnam_2000"', name='"VN-2000"'), '"VN-2000" (a datum elsewhere)'),
        (wkt(GRS80, datum='"x",TOWGS84[-199,74,246,0,0,0,0]', name='"moved"'), '"moved" (shifted)'),
        (f'PROJCS["UTM 32N",{wkt()},PROJECTION["Transverse_Mercator"],UNIT["metre",1]]', '"UTM 32N" (projected)'),
        ('PROJCRS["LUREF",BASEGEOGCRS["LUREF",DATUM["LUREF"]]]', '"LUREF" (projected)'),
        (wkt().replace("GEOGCS", "GEOCCS"), '"WGS 84" (GEOCCS)'),
        ('GEODCRS["WGS 84",DATUM["WGS 84",ELLIPSOID["a",6378137,298.257223563]],CS[Cartesian,3]]', "(geocentric)"),
        ('GEOGCRS["rotated",BASEGEOGCRS["WGS 84"],DERIVINGCONVERSION["Pole rotation"]]', "(derived from another one)"),
        ('GEOGCS["somewhere"]', '"somewhere" (no spheroid)'),
        ('LOCAL_CS["mine"]', '"mine" (LOCAL_CS)'),
        ("EPSG:3857", '"EPSG:3857"'),
        ("EPSG:43260", '"EPSG:43260"'),
        ("http://www.opengis.net/def/crs/EPSG/0/2169", '"http://www.opengis.net/def/crs/EPSG/0/2169"'),
        ("+proj=utm +zone=32 +datum=WGS84", '"+proj=utm +zone=32 +datum=WGS84"'),
        ("+proj=longlat +datum=WGS84 +pm=paris", '"+proj=longlat +datum=WGS84 +pm=paris"'),
        (COVERAGE.replace("GEOGRAPHIC", "UTM"), '"Projection UTM Datum WGS84'),
        ("nonsense", '"nonsense"'),
        ("GEOGCS[[[", '"GEOGCS[[["'),
    ],
)
@pytest.mark.usefixtures("without_pyproj")
def test_another_one_is_refused_by_what_it_says(text: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        notes_on(text)

    (line,) = caught.value.problems
    assert line.startswith("here: expected longitude and latitude in WGS 84, found ")
    assert found in line


@pytest.mark.parametrize(
    "text", ["nonsense", "LUREF / Luxembourg TM", "WGS 84 / UTM zone 32N", "GEOGCS[[[", 'LOCAL_CS["m"]']
)
def test_pyproj_is_not_asked_to_guess(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^here: expected longitude and latitude in WGS 84, found "):
        notes_on(text)


@pytest.mark.parametrize("text", [wkt() * 5000, "GEOGCS[" * 50_000, '"' * 100_000, "]" * 9, "+proj=" * 9999])
def test_a_long_or_broken_one_costs_nothing_and_breaks_nothing(text: str) -> None:
    try:
        outcome: Any = notes_on(text)
    except ConfigError as error:
        outcome = error.problems
    assert outcome is not None
