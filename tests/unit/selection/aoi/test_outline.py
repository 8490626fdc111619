"""An area of interest in few words, so that no scene is missed."""

from __future__ import annotations

import math

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import FIJI, LUXEMBOURG, TRIANGLE, box, contained, halves, polygon, three_habits


class TestOutline:
    def test_what_fits_is_written_as_it_is(self) -> None:
        assert "POLYGON((0 0,10 0,0 10,0 0))" == Area.of(polygon(TRIANGLE)).to_wkt(28)

    def test_digits_beyond_the_sixth_are_rounded_outward(self) -> None:
        area = Area.of(polygon([[x + 1e-8, y - 3e-8] for x, y in LUXEMBOURG]))
        text = area.to_wkt(1000)

        assert contained(area, text)
        assert all(len(number.partition(".")[2]) <= 6 for number in text.strip("POLYGN()").replace(",", " ").split())
        assert pytest.approx(area.square_kilometres, rel=1e-3) == read_area(text).square_kilometres

    @pytest.mark.parametrize("longest", [4000, 1000, 300])
    def test_what_does_not_fit_is_simplified_outward(self, longest: int) -> None:
        ring = [[6 + math.cos(i / 500 * math.tau), 50 + math.sin(i / 500 * math.tau)] for i in range(500)]
        area = Area.of(polygon([*ring, ring[0]]))

        text = area.to_wkt(longest)

        assert len(text) <= longest
        assert contained(area, text)
        assert (
            1 < read_area(text).square_kilometres / area.square_kilometres < {4000: 1.01, 1000: 1.05, 300: 1.3}[longest]
        )

    def test_the_antimeridian_and_the_poles_are_not_crossed(self) -> None:
        rings = [[[170 + 15 * math.cos(i), 80 + 9.99 * math.sin(i)] for i in (step / 16 for step in range(101))]]
        area = Area.of(polygon(*rings))

        text = area.to_wkt(400)

        assert contained(area, text)
        west, south, east, north = shapely.from_wkt(text).bounds
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90

    def test_where_nothing_fits_it_is_the_box_in_whole_degrees(self) -> None:
        assert "POLYGON((7 49,7 51,5 51,5 49,7 49))" == Area.of(polygon(LUXEMBOURG)).to_wkt(10)
        assert read_area(Area.of(box(*FIJI)).to_wkt(10)).box == FIJI

    @pytest.mark.parametrize("text", ["POINT(6.1 49.6)", "LINESTRING(6 49,7 50,8 49.5)", "MULTIPOINT(180 90,0 -90)"])
    def test_points_and_lines_become_narrow_polygons(self, text: str) -> None:
        area = read_area(text)

        assert contained(area, area.to_wkt(1000))
        assert read_area(area.to_wkt(1000)).square_kilometres < 10

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.floats(-179, 179), st.floats(-89, 89)), min_size=3, max_size=12),
        st.integers(150, 600),
    )
    def test_nothing_of_the_area_is_ever_lost(self, points: list[tuple[float, float]], longest: int) -> None:
        hull = shapely.MultiPoint([(longitude / 2, latitude) for longitude, latitude in points]).convex_hull
        if hull.area < 1e-6:
            return
        area = Area.of(shapely.geometry.mapping(hull))

        text = area.to_wkt(longest)

        assert len(text) <= longest
        assert contained(area, text)
        west, south, east, north = area.box
        assert shapely.box(west, south, east, north).covers(shapely.geometry.shape(area.geojson()))


class TestRepeated:
    @pytest.mark.parametrize("longest", [1000, 300])
    @pytest.mark.parametrize("west", [178.5, -179.9, 150.5, -160.0])
    def test_footprints_of_all_habits_meet_it_on_the_plane(self, west: float, longest: int) -> None:
        area = Area.of(box(west, -18, west + 1, -17))
        plane = shapely.from_wkt(area.to_wkt(longest, repeated=True))

        assert len(area.to_wkt(longest, repeated=True)) <= longest
        for footprint in three_habits(178, -17.5, -178, -16.5):
            if area.touches(footprint):
                assert plane.intersects(shapely.geometry.shape(footprint))
        assert contained(area, shapely.to_wkt(plane, rounding_precision=9))

    def test_far_from_the_antimeridian_nothing_is_repeated(self) -> None:
        area = Area.of(polygon(TRIANGLE))

        assert area.to_wkt(1000) == area.to_wkt(1000, repeated=True)

    def test_where_it_does_not_fit_it_is_not_repeated(self) -> None:
        area = Area.of(halves(*FIJI))

        assert area.to_wkt(130) == area.to_wkt(130, repeated=True)
