"""Shapes on the globe: repaired, over the antimeridian and the poles, compared with footprints."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from tests.support.areas import FIJI, LUXEMBOURG, TRIANGLE, box, halves, polygon, problem, three_habits

if TYPE_CHECKING:
    from collections.abc import Sequence


class TestRepair:
    @pytest.mark.parametrize(
        ("ring", "word", "share"),
        [
            (TRIANGLE[:-1], "is not closed", 50),
            ([TRIANGLE[0], *TRIANGLE], "has a point twice in a row", 50),
            (TRIANGLE[::-1], "runs the other way round", 50),
            ([[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]], "meets itself (Self-intersection[5 5])", 50),
        ],
    )
    def test_what_is_beyond_doubt_is_repaired_with_a_word(
        self, ring: Sequence[Sequence[float]], word: str, share: float
    ) -> None:
        area = Area.of(polygon(ring))

        (note,) = area.notes
        assert f"area of interest, ring 1: {word}" in note
        whole = Area.of(box(0, 0, 10, 10)).square_kilometres
        assert pytest.approx(share, abs=0.5) == area.square_kilometres / whole * 100

    def test_one_kind_of_repair_is_told_once(self) -> None:
        rings = [[[x, 0], [x + 0.5, 0], [x, 1]] for x in range(5)]

        (note,) = Area.of({"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}).notes

        assert note.startswith("area of interest, polygon 1, ring 1: is not closed")
        assert note.endswith("(and 4 more like it)")

    def test_odd_rings_are_repaired_together_as_each_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        polygons: list[list[Any]] = [
            [TRIANGLE],
            [TRIANGLE[::-1]],
            [TRIANGLE[:-1]],
            [[[20, 0], [20, 0], [25, 0], [20, 5], [20, 5], [20, 0]]],
            [[[179, 10], [-179, 10], [-179, 12], [179, 12], [179, 10]]],
            [[[185, 20], [187, 20], [187, 22], [185, 20]]],
            [[[30, 0], [34, 4], [34, 0], [30, 4], [30, 0]]],
            [[[40, 0], [40, 5], [40, 0]], TRIANGLE],
            [[[50, 0], [60, 0], [60, 10], [50, 10]], [[52, 2], [52, 2], [54, 2], [54, 4]], [[58, 8], [62, 8], [58, 9]]],
            [TestPoles().cap(80)],
            [[[70, 0], [70, 5], [70, 0]]],
            [TRIANGLE],
        ]
        together = Area.of({"type": "MultiPolygon", "coordinates": polygons})
        monkeypatch.setattr("collgs_async.selection.aoi.geometry._BATCH", 1)
        alone = Area.of({"type": "MultiPolygon", "coordinates": polygons})

        assert together.geojson() == alone.geojson()
        assert sorted(together.notes) == sorted(alone.notes)
        kinds = (
            "the other way",
            "not closed",
            "twice in a row",
            "180°",
            "meets itself",
            "nothing",
            "out of it",
            "pole",
        )
        assert all(any(kind in note for note in together.notes) for kind in kinds)

    def test_a_keyhole_is_a_hole(self) -> None:
        ring = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1], [0, 0]]

        assert 0 == Area.of(polygon(ring)).overlap(box(1.5, 1.5, 2.5, 2.5))

    @pytest.mark.parametrize(
        ("rings", "words"),
        [
            (
                [[[0, 3], [2, -3], [-3, 1], [3, 1], [-2, -3], [0, 3]]],
                "ring 1: expected a ring that encloses nothing twice",
            ),
            (
                [[[0, 0], [1, 1], [2, 2], [0, 0]]],
                "expected a geometry, found none; area of interest, ring 1: encloses nothing, and is left out",
            ),
            ([[[0, 0], [1, 1], [0, 0]]], "ring 1: encloses nothing"),
            ([[[0, 0], [0, 0], [0, 0], [0, 0]]], "ring 1: encloses nothing"),
            ([TRIANGLE, []], "ring 2: expected a list of points, found none"),
            ([TRIANGLE, TRIANGLE], "expected a polygon with an area, found one whose holes leave nothing of it"),
        ],
    )
    def test_what_is_in_doubt_is_refused_with_its_place(self, rings: Any, words: str) -> None:
        assert words in problem(lambda: Area.of(polygon(*rings)))

    def test_a_ring_that_encloses_nothing_costs_the_others_nothing(self) -> None:
        sliver = [[20, 0], [20, 5], [20, 0]]
        document = {"type": "MultiPolygon", "coordinates": [[TRIANGLE, sliver], [sliver]]}

        area = Area.of(document)

        assert [0, 0, 10, 10] == list(area.box)
        assert any(note.startswith("area of interest, polygon 1, ring 2: encloses nothing") for note in area.notes)
        assert 100 == pytest.approx(area.overlap(document))

    def test_a_hole_that_reaches_out_is_cut_only_within(self) -> None:
        area = Area.of(polygon(*box(0, 0, 2, 2)["coordinates"], *box(1, 0, 5, 2)["coordinates"]))

        assert [0, 0, 1, 2] == list(area.box)
        assert any("a hole that reaches out" in note for note in area.notes)


class TestAntimeridian:
    @pytest.mark.parametrize("habit", three_habits(*FIJI), ids=["halves", "beyond 180", "jump"])
    def test_fiji_is_the_same_in_all_habits(self, habit: dict[str, Any]) -> None:
        area = Area.of(habit)

        assert [177, -20, -177, -15] == list(area.box)
        assert pytest.approx(352497.93, rel=1e-5) == area.square_kilometres  # by GeographicLib, with densified edges
        assert "MultiPolygon" == area.geojson()["type"]
        assert shapely.from_wkt(area.to_wkt(1000)).equals(shapely.geometry.shape(halves(*FIJI)))

    @pytest.mark.parametrize(
        ("area", "footprint"),
        list(itertools.product(three_habits(*FIJI), [*three_habits(179, -20, -174, -10), box(-181, -20, -174, -10)])),
    )
    def test_a_footprint_covers_the_same_of_it_in_all_habits(
        self, area: dict[str, Any], footprint: dict[str, Any]
    ) -> None:
        assert pytest.approx(200 / 3) == Area.of(area).overlap(footprint)
        assert Area.of(area).touches(footprint)
        assert not Area.of(area).touches(box(-176.9, -20, -170, -10))

    def test_west_meets_east_at_the_edge(self) -> None:
        west = Area.of({"type": "Point", "coordinates": [180, -17]})

        assert west.touches(box(-180, -20, -178, -15))
        assert 100 == west.overlap(box(-180, -20, -178, -15))
        assert Area.of(box(178, -20, 180, -15)).touches(box(-180, -18, -178, -15))
        assert 0 == Area.of(box(178, -20, 180, -15)).overlap(box(-180, -18, -178, -15))

    def test_points_beyond_180_are_brought_back(self) -> None:
        assert [-174, -17, -174, -17] == list(read_area("POINT(186 -17)").box)
        assert [174, -17, 174, -17] == list(read_area("POINT(-186 -17)").box)

    def test_a_jump_is_said_and_the_other_habits_are_not_worth_a_word(self) -> None:
        notes = [Area.of(habit).notes for habit in three_habits(*FIJI)]

        assert [(), ()] == notes[:2]
        assert "area of interest, ring 1: is wider than 180° as drawn" in notes[2][0]

    def test_what_is_wide_and_drawn_step_by_step_stays_as_it_is_drawn(self) -> None:
        south, north = [[x, -10] for x in range(-120, 121, 60)], [[x, 10] for x in range(120, -121, -60)]

        area = Area.of(polygon([*south, *north, south[0]]))

        assert [-120, -10, 120, 10] == list(area.box)
        assert () == area.notes

    @pytest.mark.parametrize("corners", [(-180, -90, 180, 90), (-180, -60, 180, 60), (-180, 50, 180, 90)])
    def test_a_belt_round_the_globe_is_no_jump(self, corners: tuple[float, float, float, float]) -> None:
        area = Area.of(box(*corners))

        assert corners == area.box
        assert 100 == area.overlap(box(-180, -90, 180, 90))
        assert pytest.approx(25) == area.overlap(box(0, -90, 90, 90))

    def test_a_line_may_jump_too(self) -> None:
        area = read_area("LINESTRING(179 10,-179 10)")

        assert [179, 10, -179, 10] == list(area.box)
        assert pytest.approx(50) == area.overlap(box(170, 0, 180, 20))

    def test_a_hole_is_found_whatever_its_habit(self) -> None:
        hole = box(-179, -18, -178, -17)["coordinates"][0]

        area = Area.of(polygon(box(177, -20, 183, -15)["coordinates"][0], hole))

        assert 0 == area.overlap(box(181.1, -17.9, 181.9, -17.1))

    @settings(deadline=None)
    @given(
        st.floats(-180, 180), st.floats(-80, 80), st.floats(0.01, 170), st.floats(0.01, 9), st.sampled_from([-360, 360])
    )
    def test_a_turn_of_360_degrees_changes_nothing(
        self, west: float, south: float, width: float, height: float, turn: float
    ) -> None:
        here = Area.of(box(west, south, min(west + width, 360), south + height))
        corners = [c for c in (west + turn, west + width + turn) if abs(c) <= 360]
        footprint = box(west, south, min(west + width, 360), south + height / 2)
        turned = box(west + turn, south, west + width + turn, south + height / 2) if len(corners) == 2 else footprint

        assert pytest.approx(here.overlap(footprint), abs=1e-3) == here.overlap(turned)


class TestPoles:
    def cap(self, latitude: float, step: int = 30) -> list[list[float]]:
        ring = [[x if x <= 180 else x - 360, latitude] for x in range(0, 360, step)]
        return [*ring, ring[0]]

    @pytest.mark.parametrize(("latitude", "name"), [(80, "north"), (-80, "south")])
    def test_a_ring_round_a_pole_is_closed_over_it(self, latitude: float, name: str) -> None:
        for ring in (self.cap(latitude), self.cap(latitude)[::-1]):
            area = Area.of(polygon(ring))

            assert pytest.approx(3908572.7, rel=1e-4) == area.square_kilometres  # by GeographicLib
            assert any(f"goes round the {name} pole and is closed over it" in note for note in area.notes)
            assert pytest.approx(25) == area.overlap(box(0, -90, 90, 90))
            assert area.touches(box(30, math.copysign(89, latitude), 31, math.copysign(90, latitude)))
            assert not area.touches(box(-180, -79, 180, 79))

    def test_longitudes_from_0_to_360_go_round_too(self) -> None:
        area = read_area("POLYGON((0 80,90 80,180 80,270 80,360 80))")

        assert pytest.approx(3908572.7, rel=1e-3) == area.square_kilometres

    def test_what_is_closed_at_the_pole_as_drawn_is_taken_so(self) -> None:
        ring = [[-180, -80], [-90, -75], [0, -80], [90, -75], [180, -80], [180, -90], [-180, -90], [-180, -80]]

        assert (-180, -90, 180, -75) == Area.of(polygon(ring)).box

    def test_a_ring_of_two_caps_is_a_belt_round_the_pole(self) -> None:
        area = Area.of(polygon(self.cap(60), self.cap(80)))

        assert not area.touches(polygon(self.cap(81)))
        assert pytest.approx(100) == area.overlap(polygon(self.cap(59)))

    @pytest.mark.parametrize(
        "ring",
        [
            [[0, 10], [90, -10], [180, 10], [-90, -10], [0, 10]],
            [[-180, 50], [0, 55], [180, 50], [180, 70], [-180, 70], [-180, 50]],
        ],
        ids=["both poles", "belt or cap"],
    )
    def test_what_could_be_either_is_refused(self, ring: list[list[float]]) -> None:
        assert "ring 1: expected a ring that encloses one side of itself" in problem(lambda: Area.of(polygon(ring)))

    def test_a_footprint_may_hold_the_pole(self) -> None:
        area = Area.of(box(-60, 85, 60, 90))

        assert 100 == area.overlap(polygon(self.cap(84)))


class TestOverlap:
    def test_the_corner_that_only_the_box_has_is_not_touched(self) -> None:
        area, corner = Area.of(polygon(TRIANGLE)), box(6, 6, 10, 10)

        assert [0, 0, 10, 10] == list(area.box)
        assert not area.touches(corner)
        assert 0 == area.overlap(corner)
        assert area.touches(box(5, 5, 10, 10))

    def test_luxembourg_is_covered_by_half(self) -> None:
        area = Area.of(polygon(LUXEMBOURG))

        assert 100 == area.overlap(box(5, 49, 7, 51))
        assert 0 == area.overlap(box(7, 49, 8, 51))
        halves = [area.overlap(box(5, 49, 7, 49.8)), area.overlap(box(5, 49.8, 7, 51))]
        assert pytest.approx(100) == sum(half or 0 for half in halves)
        assert all(half and 30 < half < 70 for half in halves)

    def test_surface_counts_and_not_degrees(self) -> None:
        """Of 0 to 60 degrees north, the lower half of the degrees has sin 30 / sin 60 of the surface."""
        area = Area.of(box(0, 0, 10, 60))

        assert pytest.approx(100 * 0.5 / math.sin(math.radians(60)), rel=0.005) == area.overlap(box(0, 0, 10, 30))

    def test_a_large_outline_is_reckoned_in_pieces_and_loses_nothing(self) -> None:
        ring = [[6 + math.cos(i / 1000 * math.tau) * (1 + 0.1 * math.sin(i)), 50 + math.sin(i / 1000 * math.tau)]
                for i in range(1000)]  # fmt: skip
        area = Area.of(polygon([*ring, ring[0]]))

        assert pytest.approx(100) == area.overlap(box(4, 48, 8, 52))
        parts = [area.overlap(box(4 + x / 2, 48, 4.5 + x / 2, 52)) for x in range(8)]
        assert pytest.approx(100) == sum(part or 0 for part in parts)
        assert pytest.approx(area.square_kilometres) == Area.of(area.geojson()).square_kilometres

    def test_in_batches_the_surface_is_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        document = {"type": "MultiPolygon", "coordinates": [box(x, x, x + 1, x + 2)["coordinates"] for x in range(7)]}
        half = box(0, 0, 3.5, 90)
        whole = Area.of(document).overlap(half)
        monkeypatch.setattr("collgs_async.selection.aoi.antimeridian._AT_ONCE", 2)

        assert whole is not None
        assert 50 < whole < 60
        assert whole == pytest.approx(Area.of(document).overlap(half))

    def test_of_points_it_is_how_many(self) -> None:
        area = read_area("MULTIPOINT(1 1,2 2,3 3,50 50)")

        assert 75 == area.overlap(box(0, 0, 3, 3))
        assert 25 == area.overlap(polygon([[0, 0], [3, 0], [0, 3], [0, 0]]))
        assert 0 == area.square_kilometres
        assert area.touches(box(3, 3, 4, 4))

    def test_of_lines_it_is_their_length(self) -> None:
        area = read_area("MULTILINESTRING((0 0,10 0),(0 60,10 60))")

        assert pytest.approx(100 / 1.5, rel=0.01) == area.overlap(box(-1, -1, 11, 1))

    def test_beside_polygons_points_and_lines_have_no_share_but_are_touched(self) -> None:
        area = read_area("GEOMETRYCOLLECTION(POLYGON((0 0,10 0,0 10,0 0)),POINT(50 50),LINESTRING(60 60,61 61))")

        assert pytest.approx(100) == area.overlap(polygon(TRIANGLE))
        assert 0 == area.overlap(box(49, 49, 62, 62))
        assert area.touches(box(49, 49, 51, 51))
        assert "GeometryCollection" == area.geojson()["type"]

    @pytest.mark.parametrize(
        "footprint",
        [
            polygon([[0, 0], [10, 0], [10, 10], [0, 10]]),
            polygon([[0, 0], [0, 10], [10, 10], [10, 0], [0, 0]]),
            polygon([[0, 0], [10, 0], [10, 0], [10, 10], [0, 10], [0, 0]]),
            polygon([[0, 0], [10, 0], [10, 10], [5, 10], [5, 12], [5, 10], [0, 10], [0, 0]]),
            {"type": "GeometryCollection", "geometries": [box(0, 0, 5, 10), box(5, 0, 10, 10)]},
            {
                "type": "MultiPolygon",
                "coordinates": [box(0, 0, 7, 10)["coordinates"], box(3, 0, 10, 10)["coordinates"]],
            },
            polygon([[0, 0, 1], [10, 0, 1], [10, 10, 1], [0, 10, 1], [0, 0, 1]]),
            {"type": "Polygon", "coordinates": (((0, 0), (10, 0), (10, 10), (0, 10), (0, 0)),)},
        ],
        ids=["open", "clockwise", "twice", "spike", "collection", "overlapping", "heights", "tuples"],
    )
    def test_a_bad_footprint_is_repaired(self, footprint: dict[str, Any]) -> None:
        assert pytest.approx(100) == Area.of(box(1, 1, 9, 9)).overlap(footprint)

    def test_a_footprint_that_runs_over_itself_counts_with_all_that_it_encloses(self) -> None:
        star = polygon([[0, 3], [2, -3], [-3, 1], [3, 1], [-2, -3], [0, 3]])

        assert 100 == Area.of(box(-0.5, -0.5, 0.5, 0.5)).overlap(star)

    @pytest.mark.parametrize(
        "footprint",
        [
            None,
            {},
            {"type": "Polygon"},
            {"type": "Polygon", "coordinates": []},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, None], [1, 1], [0, 0]]]},
            polygon([[500000, 5500000], [600000, 5500000], [600000, 5600000], [500000, 5500000]]),
            {"type": "Envelope", "coordinates": [[0, 0], [1, 1]]},
        ],
    )
    def test_a_hopeless_footprint_has_no_share_and_is_not_passed_over(self, footprint: Any) -> None:
        area = Area.of(polygon(TRIANGLE))

        assert None is area.overlap(footprint)
        assert area.touches(footprint)
