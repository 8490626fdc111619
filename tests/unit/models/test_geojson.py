"""Products as GeoJSON: what RFC 7946 requires, across the antimeridian too."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
import shapely
import shapely.affinity
import shapely.geometry
from hypothesis import assume, given
from hypothesis import strategies as st

from collgs_async import Product, Products, RawTimes
from collgs_async.models.geojson import bounding_box, to_wkt, valid_geometry
from collgs_async.models.rings import signed_area

SQUARE = [[0.0, 0.0], [10.0, 0.0], [10.0, 5.0], [0.0, 5.0], [0.0, 0.0]]
WORLD = shapely.box(-180, -90, 180, 90)


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def shifted(ring: list[list[float]], east: float) -> list[list[float]]:
    return [[x + east, y] for x, y in ring]


def jumping(ring: list[list[float]]) -> list[list[float]]:
    """The same ring with all longitudes between -180 and 180."""
    return [[(x + 180) % 360 - 180, y] for x, y in ring]


def rings_of(geometry: dict[str, Any]) -> list[list[list[list[float]]]]:
    polygons: list[list[list[list[float]]]] = geometry["coordinates"]
    return polygons if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]


def check(geometry: dict[str, Any]) -> None:
    """Hold a polygon against RFC 7946 §3.1.6 and §3.1.9."""
    assert {"type", "coordinates"} == set(geometry)
    for shell, *holes in rings_of(geometry):
        for ring in (shell, *holes):
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring)
        assert signed_area(shell) > 0
        assert all(signed_area(hole) <= 0 for hole in holes)


@pytest.mark.parametrize("habit", ["beyond 180", "a jump", "halves"])
def test_a_footprint_across_the_antimeridian_is_cut(habit: str) -> None:
    ring = shifted(SQUARE, 175)
    halves = {"type": "MultiPolygon", "coordinates": [[[[175, 0], [180, 0], [180, 5], [175, 5], [175, 0]]]]}
    halves["coordinates"].append([[[-180, 0], [-175, 0], [-175, 5], [-180, 5], [-180, 0]]])  # type: ignore[attr-defined]
    written = {"beyond 180": polygon(ring), "a jump": polygon(jumping(ring)), "halves": halves}[habit]

    found = valid_geometry(written)

    assert found is not None
    check(found)
    expected = shapely.union_all([shapely.box(175, 0, 180, 5), shapely.box(-180, 0, -175, 5)])
    assert expected.equals(shapely.geometry.shape(found))
    assert "MultiPolygon" == found["type"]


def test_a_footprint_on_one_side_stays_as_it_is_but_for_its_orientation() -> None:
    assert polygon(SQUARE) == valid_geometry(polygon(SQUARE)) == valid_geometry(polygon(SQUARE[::-1]))


def test_a_ring_that_is_left_open_is_closed() -> None:
    assert polygon(SQUARE) == valid_geometry(polygon(SQUARE[:-1]))


def test_a_hole_across_the_antimeridian_opens_both_parts() -> None:
    hole = [[178.0, 2.0], [178.0, 3.0], [182.0, 3.0], [182.0, 2.0], [178.0, 2.0]]
    inside = [[176.0, 1.0], [176.0, 2.0], [177.0, 2.0], [177.0, 1.0], [176.0, 1.0]]

    found = valid_geometry(polygon(jumping(shifted(SQUARE, 175)), jumping(hole), inside))

    assert found is not None
    check(found)
    shape = shapely.geometry.shape(found)
    assert shape.is_valid
    assert math.isclose(50 - 4 - 1, shape.area)
    assert [1, 0] == [len(rings) - 1 for rings in sorted(rings_of(found), key=lambda rings: -rings[0][0][0])]


def test_a_ring_round_the_pole_reaches_it() -> None:
    found = valid_geometry(polygon([[-170, 70], [-80, 70], [10, 70], [100, 70], [-170, 70]]))

    assert found is not None
    check(found)
    assert math.isclose(360 * 20, shapely.geometry.shape(found).area)


stars = st.lists(st.floats(0.2, 1), min_size=3, max_size=12)


@given(stars, st.floats(-179, 179), st.floats(-60, 60), st.booleans(), st.booleans())
def test_a_cut_footprint_covers_the_same_ground(
    radii: list[float], east: float, north: float, jumps: bool, clockwise: bool
) -> None:
    angles = [2 * math.pi * number / len(radii) for number in range(len(radii))]
    star = [
        [round(east + 30 * r * math.cos(a), 6), round(north + 25 * r * math.sin(a), 6)]
        for a, r in zip(angles, radii, strict=True)
    ]
    star = [*star, star[0]][:: -1 if clockwise else 1]
    shape = shapely.Polygon(star)
    assume(shape.is_valid)

    found = valid_geometry(polygon(jumping(star) if jumps else star))

    assert found is not None
    check(found)
    cut = shapely.geometry.shape(found)
    copies = shapely.union_all([shapely.affinity.translate(shape, turn) for turn in (-360, 0, 360)])
    assert cut.symmetric_difference(copies.intersection(WORLD)).area < 1e-6 * shape.area
    assert cut.is_valid or shapely.make_valid(cut).area == pytest.approx(cut.area)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=30,
)
kinds = st.sampled_from(
    [*["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "Circle"], "", 7, None]
)


@given(kinds, anything)
def test_whatever_a_catalogue_writes_is_a_geometry_or_none(kind: Any, coordinates: Any) -> None:
    found = valid_geometry({"type": kind, "coordinates": coordinates, "crs": "EPSG:2169"})

    assert found is None or json.loads(json.dumps(found, allow_nan=False)) == found
    if found is not None:
        shape = shapely.geometry.shape(found)
        assert shape.bounds[1::2] == pytest.approx(bounding_box(found)[1::2])
        assert shapely.from_wkt(to_wkt(found)).equals_exact(shape, 1e-9)


position = st.tuples(st.integers(-180, 180), st.integers(-90, 90)).map(list)
simple = st.one_of(
    st.builds(lambda at: {"type": "Point", "coordinates": at}, position),
    *(
        st.builds(lambda of, kind=kind: {"type": kind, "coordinates": of}, st.lists(position, min_size=2, max_size=5))
        for kind in ("MultiPoint", "LineString")
    ),
    st.builds(
        lambda of: {"type": "MultiLineString", "coordinates": of}, st.lists(st.lists(position, min_size=2, max_size=5))
    ),
    st.builds(polygon, st.lists(position, min_size=3, max_size=6)),
)


@given(simple)
def test_the_text_and_the_box_of_a_geometry_are_those_that_shapely_finds(written: dict[str, Any]) -> None:
    found = valid_geometry(written)

    if found is not None:
        shape = shapely.geometry.shape(found)
        assert shapely.from_wkt(to_wkt(found)) == shape
        west, south, east, north = bounding_box(found)
        assert (south, north) == shape.bounds[1::2]
        assert west > east or (west, east) == shape.bounds[::2]


def test_the_polygons_of_a_collection_are_a_footprint() -> None:
    collection = {"type": "GeometryCollection", "geometries": [polygon(SQUARE), polygon(shifted(SQUARE, 20))]}

    assert valid_geometry({**collection, "geometries": []}) is None
    assert {"type": "MultiPolygon", "coordinates": [[SQUARE], [shifted(SQUARE, 20)]]} == valid_geometry(collection)


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": [[[0, 0]]]},
        polygon([[True, 0], [1, 0], [1, 1]]),
    ],
)
def test_a_product_without_a_footprint_has_the_geometry_null(geometry: dict[str, Any] | None) -> None:
    (feature,) = Products([Product("A", None, footprint=geometry)]).to_geojson()["features"]

    assert feature["geometry"] is None


def test_a_ring_that_no_footprint_has_takes_no_time() -> None:
    zigzag = [[170.0 + 20 * (number % 2), -80 + number * 1e-3] for number in range(100_000)]

    assert valid_geometry(polygon([*zigzag, [100.0, 10.0]])) is None
    assert valid_geometry(polygon([*zigzag[:9_000], [100.0, 10.0]])) is not None


def test_a_line_and_a_point_stay_what_they_are() -> None:
    line = {"type": "LineString", "coordinates": [[0, 1], [2, 3]]}
    point = {"type": "Point", "coordinates": [0.5, 1]}

    assert [line, point] == [valid_geometry({**one, "bbox": [0]}) for one in (line, point)]


def test_a_list_of_products_is_a_collection_of_features() -> None:
    products = Products(
        [
            Product("A", "https://h/a", raw=RawTimes("2025-06-01T10:00:00Z"), footprint=polygon(SQUARE), cloud_cover=1),
            Product("B", None, cloud_cover=math.nan, problem="no link"),
        ]
    )

    collection = products.to_geojson()

    assert collection == products.__geo_interface__ == json.loads(json.dumps(collection, allow_nan=False))
    assert ["A", "B"] == [feature["id"] for feature in collection["features"]]
    assert {"FeatureCollection", "Feature"} == {one["type"] for one in (collection, *collection["features"])}
    assert [polygon(SQUARE), None] == [feature["geometry"] for feature in collection["features"]]
    facts = collection["features"][0]["properties"]
    assert ("2025-06-01T10:00:00Z", 1, "https://h/a") == (facts["start"], facts["cloud_cover"], facts["url"])
    assert shapely.geometry.shape(collection["features"][0]["geometry"]).area == 50


def test_no_ring_has_a_step_round_half_the_world() -> None:
    for x in (170.0, 175.5, -185.25):
        found = valid_geometry(polygon(shifted(SQUARE, x)))
        assert found is not None
        for rings in rings_of(found):
            assert all(abs(there[0] - here[0]) <= 180 for ring in rings for here, there in pairwise(ring))


def test_rows_are_for_a_table() -> None:
    (row,) = Products([Product("A", None, raw=RawTimes("2025-06-01T10:00:00Z"), size=5)]).to_dicts()

    assert ("A", 2025, 5, None) == (row["identifier"], row["sensing_start"].year, row["size"], row["sensing_end"])
