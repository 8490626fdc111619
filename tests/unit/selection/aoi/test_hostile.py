"""Anything at all as an area of interest: right, or else refused in one line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collgs_async.errors import ConfigError
from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import FIJI, TRIANGLE, box, contained, geopackage, gp, polygon

if TYPE_CHECKING:
    from collections.abc import Callable

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


HOSTILE = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def exercise(make: Callable[[], Area]) -> None:
    """Ask everything of an area that may come from any input, unless it is refused in one line."""
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
    assert contained(area, area.to_wkt(200)) or not area.square_kilometres
    assert 0 <= area.square_kilometres < 5.2e8
    west, south, east, north = area.box
    assert max(abs(west), abs(east)) <= 180
    assert -90 <= south <= north <= 90
    if area.square_kilometres > 1e-6 or "Point" in area.geojson()["type"]:  # what is smaller is lost in the last digit
        assert pytest.approx(100, abs=1e-3) == area.overlap(area.geojson())
    assert area.touches(area.geojson())


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
