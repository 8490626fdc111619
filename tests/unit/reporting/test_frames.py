"""Where the picture of a product lies on the map."""

from __future__ import annotations

from math import asin, cos, radians, sin
from typing import Any

import pytest

from collgs_async import Product
from collgs_async.models.tiles import tile_corners
from collgs_async.reporting.map.frames import frame
from collgs_async.reporting.map.outlines import outlines

NW, NE, SE, SW = (5.0, 51.5), (8.6, 51.9), (9.0, 50.4), (5.5, 50.0)
"""The corners of a product of Sentinel-1 on a descending orbit: its upper edge leans to the west."""

S1 = "S1A_IW_GRDH_1SDV_20230630T054312_20230630T054337_049211_3DCE89_224E"
S2 = "S2B_MSIL2A_20230616T103703_N0509_R008_T31UGR_20230616T161349"
S3 = "S3A_OL_1_EFR____20230630T100000_20230630T100300_20230630T120000_0179_100_122_2160_PS1_O_NT_003"


def placed(identifier: str, *points: tuple[float, float], **facts: Any) -> list[tuple[float, float]] | None:
    """Return the corners of the picture: upper left, upper right, lower right, lower left."""
    shape = {"type": "Polygon", "coordinates": [[*points, points[0]]]}
    product = Product(identifier, None, footprint=facts.pop("footprint", shape), **facts)
    found = frame(product, outlines(product.footprint))
    return list(zip(found[::2], found[1::2], strict=True)) if found else None


def rotations(*points: tuple[float, float]) -> list[tuple[tuple[float, float], ...]]:
    turned = [points[start:] + points[:start] for start in range(len(points))]
    return [*turned, *(one[::-1] for one in turned)]


@pytest.mark.parametrize("ring", rotations(NW, NE, SE, SW))
def test_a_radar_that_descends_looks_to_the_west_so_its_picture_is_mirrored(
    ring: tuple[tuple[float, float], ...],
) -> None:
    """Its first line is the northern one, and the first pixel of each is nearest to the satellite: in the east."""
    assert [NE, NW, SW, SE] == placed(S1, *ring, orbit_direction="DESCENDING")


@pytest.mark.parametrize("ring", rotations(NW, NE, SE, SW))
def test_a_radar_that_ascends_sees_the_south_first_and_looks_to_the_east(ring: tuple[tuple[float, float], ...]) -> None:
    assert [SW, SE, NE, NW] == placed(S1, *ring, orbit_direction="ASCENDING")


def test_a_radar_of_an_unknown_direction_has_no_frame() -> None:
    assert placed(S1, NW, NE, SE, SW) is None


@pytest.mark.parametrize("latitude", [-75, -50, 0, 50, 78])
@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
def test_the_upper_edge_is_the_first_line_at_any_latitude(latitude: float, direction: str) -> None:
    """Make a swath of an orbit with the inclination of Sentinel-1: near the poles it runs east or west."""
    narrow = cos(radians(latitude))
    course = asin(max(-1.0, cos(radians(98.18)) / narrow))
    east, north = sin(course), cos(course) * (1 if direction == "ASCENDING" else -1)
    right = (north, -east)  # where the radar looks

    def at(along: float, across: float) -> tuple[float, float]:
        x, y = along * east + across * right[0], along * north + across * right[1]
        return round(10 + x / narrow, 5), round(latitude + y, 5)

    corners = [at(-0.75, 0), at(-0.75, 2.2), at(0.75, 2.2), at(0.75, 0)]

    found = placed(S1, *corners[::-1], orbit_direction=direction)
    assert found is not None
    assert [x for x, _ in corners] == pytest.approx([x for x, _ in found], abs=1e-4)
    assert [y for _, y in corners] == pytest.approx([y for _, y in found], abs=1e-4)


def test_a_swath_that_is_seen_from_above_is_turned_but_not_mirrored() -> None:
    assert [NW, NE, SE, SW] == placed(S3, NW, NE, SE, SW, orbit_direction="DESCENDING")
    assert [SE, SW, NW, NE] == placed(S3, NW, NE, SE, SW, orbit_direction="ASCENDING")


def test_of_a_product_of_an_unknown_kind_the_north_is_above() -> None:
    assert [NW, NE, SE, SW] == placed("SOMETHING", SW, SE, NE, NW)


TILE = [(5.82077, 50.51811), (7.36574, 50.47036), (7.27737, 49.48562), (5.76355, 49.53174)]


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING", None])
def test_a_picture_of_sentinel_2_is_one_of_the_whole_tile(direction: str | None) -> None:
    whole = placed(S2, *TILE, orbit_direction=direction)
    part = placed(S2, TILE[0], (6.2, 50.5), (5.9, 49.52), TILE[3], orbit_direction=direction)
    corner = placed(S2, TILE[0], (6.2, 50.5), (5.8, 50.2), orbit_direction=direction)

    assert TILE == whole == part == corner


def test_a_footprint_elsewhere_is_not_that_of_the_tile_in_the_name() -> None:
    assert [NW, NE, SE, SW] == placed(S2, SW, SE, NE, NW)


@pytest.mark.parametrize("habit", ["split", "beyond", "jumping"])
@pytest.mark.parametrize("name", ["T01KAB", "T60KYG"])
def test_across_the_antimeridian_the_frame_is_in_one_piece(name: str, habit: str) -> None:
    upper_left, _, lower_right, _ = tile_corners(name[1:])
    west, north, east, south = *upper_left, *lower_right
    middle = [(west + 0.05, south + 0.05), (east - 0.05, south + 0.05), (east - 0.05, north - 0.05)]
    wrapped = [((x + 180) % 360 - 180, y) for x, y in middle]
    footprint: dict[str, Any] = {"type": "Polygon", "coordinates": [[*middle, middle[0]]]}
    if habit == "jumping":
        footprint = {"type": "Polygon", "coordinates": [[*wrapped, wrapped[0]]]}
    if habit == "split":
        footprint = {"type": "MultiPolygon", "coordinates": [[[*middle, middle[0]]], [[(179.9, y) for _, y in middle]]]}

    corners = placed(S2.replace("T31UGR", name), (0, 0), footprint=footprint)

    assert corners is not None
    longitudes = [x for x, _ in corners]
    assert 0.9 < max(longitudes) - min(longitudes) < 1.2


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0), (1, 0), (0, 1)),
        ((0, 0), (5, -3), (10, 0), (12, 5), (10, 10), (5, 13), (0, 10), (-2, 5)),
        ((0, 80), (90, 88), (180, 80), (270, 80)),
    ],
    ids=["triangle", "round", "at a pole"],
)
def test_what_has_not_four_corners_has_no_frame(points: tuple[tuple[float, float], ...]) -> None:
    assert placed("SOMETHING", *points) is None


def test_points_along_the_edges_are_no_corners() -> None:
    def between(one: tuple[float, float], other: tuple[float, float]) -> list[tuple[float, float]]:
        steps = [step / 8 for step in range(8)]
        return [(one[0] + (other[0] - one[0]) * step, one[1] + (other[1] - one[1]) * step) for step in steps]

    ring = [*between(NW, NE), *between(NE, SE), *between(SE, SW), *between(SW, NW)]

    found = placed("SOMETHING", *ring)

    assert found is not None
    assert [x for x, _ in found] == pytest.approx([x for x, _ in (NW, NE, SE, SW)])


@pytest.mark.parametrize("name", ["T31UIW", "T00UGR", "T61UGR"])
def test_a_tile_that_does_not_exist_is_no_frame(name: str) -> None:
    assert [NW, NE, SE, SW] == placed(S2.replace("T31UGR", name), NW, NE, SE, SW)


def test_a_product_without_footprint_has_no_frame() -> None:
    assert frame(Product(S2, None), {}) is None
