"""The background of the map: details around the products, and little elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import shapefile  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.reporting.map.arcs import GRID, decode, encode, simplify
from collgs_async.reporting.map.outlines import outlines
from collgs_async.reporting.map.world import Box, box_around, details, read_world, world_around
from tools import make_details

if TYPE_CHECKING:
    from pathlib import Path

LUXEMBOURG = Box(5.0, 49.0, 7.5, 50.5)
FIJI = Box(175.0, -20.0, 185.0, -14.0)


def size(data: object) -> int:
    return len(json.dumps(data, separators=(",", ":")))


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return outlines({"type": "Polygon", "coordinates": [ring]})


# ------------------------------------------------------------------------------------------------- lines as text

steps = st.integers(-180 * GRID, 180 * GRID)


@given(st.lists(st.tuples(steps, st.integers(-90 * GRID, 90 * GRID)), min_size=1, max_size=30))
def test_a_line_is_read_as_it_was_written(grid: list[tuple[int, int]]) -> None:
    line = [(x / GRID, y / GRID) for x, y in grid]
    without_repeats = [point for at, point in enumerate(line) if at == 0 or point != line[at - 1]]

    assert without_repeats == decode(encode(line))


def test_a_simplified_line_stays_near_the_old_one() -> None:
    line = [(step / 10, 0.4 if step == 7 else 0.01 * (step % 2)) for step in range(20)]

    assert [0, 6, 7, 8, 19] == simplify(line, 0.05)
    assert 3 in simplify(line, 0.05, keep=[3])


# ------------------------------------------------------------------------------------------------- boxes


def test_the_box_reaches_beyond_what_it_holds_by_nearly_its_size() -> None:
    assert (3.2, -2.8, 8.8, 2.8) == pytest.approx(box_around([square(5, -1, 7, 1)]))
    around = box_around([square(5, 49, 6, 50)])
    assert around is not None
    assert 48 == around.south
    assert 51 == around.north
    assert 3.3 < around.west < 3.6 < 7.4 < around.east < 7.7  # a degree of longitude is shorter there
    tall = box_around([square(5, -10, 6, 10)])
    assert (-13.0, -28.0, 24.0, 28.0) == pytest.approx(tall)
    assert box_around([]) is None
    assert box_around([{}]) is None


@pytest.mark.parametrize(
    "shapes",
    [
        [square(177, -19, 183, -16)],
        [square(177, -19, 180, -16), square(-180, -19, -177, -16)],
        [square(-183, -19, -177, -16)],
        [square(177, -19, 179, -16), square(-179, -19, -177, -16)],
    ],
)
def test_across_the_antimeridian_the_box_is_the_smaller_part_of_the_world(shapes: list[dict[str, Any]]) -> None:
    box = box_around(shapes)

    assert box is not None
    assert 360 == pytest.approx(box.west + box.east)  # its middle is at 180°
    assert 170 < box.west < 177
    assert box.holds((-178.0, -17.0))
    assert box.holds((178.0, -17.0))
    assert not box.holds((0.0, -17.0))


def test_a_box_of_the_whole_world_holds_all_of_it() -> None:
    box = box_around([square(-180, -90, 180, 90)])

    assert box is not None
    assert all(box.holds((float(east), float(north))) for east in range(-180, 181, 30) for north in range(-90, 91, 30))
    assert -90 == box.south


# ------------------------------------------------------------------------------------------------- rivers and towns


def test_rivers_and_towns_are_those_of_the_area() -> None:
    found = details(LUXEMBOURG, 150_000)

    assert {"Mosel", "Meuse"} <= {name for _, name, _ in found["rivers"]}
    towns = [name for _, name, _, _ in found["towns"]]
    assert {"Metz", "Arlon", "Diekirch"} <= set(towns)
    assert towns.index("Metz") < towns.index("Diekirch")
    assert "Paris" not in towns
    assert all(LUXEMBOURG.holds((east, north)) for _, _, east, north in found["towns"])


def test_of_a_long_river_only_the_stretch_in_the_area_is_carried() -> None:
    for _, name, text in details(LUXEMBOURG, 150_000)["rivers"]:
        line = decode(text)
        assert all(LUXEMBOURG.holds(point) for point in line[1:-1]), name


def test_across_the_antimeridian_there_are_towns_on_both_sides() -> None:
    towns = {name: east for _, name, east, _ in details(FIJI, 150_000)["towns"]}

    assert {"Labasa", "Lautoka"} <= set(towns)
    assert {"Neiafu", "Labasa"} & set(towns)


@pytest.mark.parametrize("room", [0, 1_000, 30_000, 150_000])
def test_they_take_no_more_room_than_there_is_and_the_important_ones_come_first(room: int) -> None:
    everything, some = (details(Box(-180, -90, 180, 90), most) for most in (10**9, room))

    assert size(some) <= room + 40
    for kind in ("rivers", "towns"):
        assert everything[kind][: len(some[kind])] == some[kind]
    assert max([rank for rank, *_ in [*some["rivers"], *some["towns"]]], default=0) < 10


def test_without_any_scene_there_are_none() -> None:
    assert {"rivers": [], "towns": []} == details(None, 150_000)


# ------------------------------------------------------------------------------------------------- a small world


@pytest.mark.parametrize("box", [LUXEMBOURG, FIJI, Box(-180, 78, 180, 90), None])
def test_a_small_world_is_of_the_same_form_as_the_whole_one(box: Box | None) -> None:
    world, whole = world_around(box), read_world()

    assert set(whole) == set(world)
    arcs = [decode(text) for text in world["arcs"]]
    assert all(len(arc) >= 2 for arc in arcs)
    for _, rings in world["countries"]:
        for ring in rings:
            ends = [(arcs[~arc][-1], arcs[~arc][0]) if arc < 0 else (arcs[arc][0], arcs[arc][-1]) for arc in ring]
            for (_, end), (start, _) in zip(ends, [*ends[1:], ends[0]], strict=True):
                assert 0 == round((end[0] - start[0]) % 360, 6) % 360, "arcs of a ring do not meet"
                assert end[1] == start[1]
    assert max(world["borders"]) < len(arcs)


def test_a_small_world_is_small_and_as_it_is_in_the_box() -> None:
    world, whole = world_around(LUXEMBOURG), read_world()

    assert size(world) < 40_000 < size(whole) / 5
    points, all_points = ({point for text in one["arcs"] for point in decode(text)} for one in (world, whole))
    assert {point for point in all_points if LUXEMBOURG.holds(point)} <= points <= all_points
    assert {"Luxembourg", "Belgium", "Brazil", "Australia"} <= {name for name, _ in world["countries"]}
    assert ["Luxembourg", "Brussels"] == [name for name, *_ in world["cities"]]


# ------------------------------------------------------------------------------------------------- making it


def test_details_are_made_of_two_shapefiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shapefile.Writer(str(tmp_path / "rivers"), shapefile.POLYLINE, encoding="cp1252") as rivers:
        rivers.field("name", "C", size=40)
        rivers.field("scalerank", "N", size=19, decimal=9)
        rivers.line([[[6, 49], [6.5, 49.001], [7, 49]], [[7, 50], [8, 51]]])
        rivers.record("Möhne?", 7.0)
    with shapefile.Writer(str(tmp_path / "towns"), shapefile.POINT, encoding="cp1252") as towns:
        for name, kind, size_ in (("name", "C", 40), ("scalerank", "N", 4), ("pop_max", "N", 9)):
            towns.field(name, kind, size=size_)
        for place, *row in (
            ((8.5, 51.5), "Möhnesee", 8, 11_000),
            ((8.1, 51.6), "Soest", 8, 48_000),
            ((-46.63, -23.55), "Sao Paulo", 0, 18_845_000),
            ((10, 51), "Sao Paulo", 9, 10),
        ):
            towns.point(*place)
            towns.record(*row)
    (tmp_path / "world.json").write_text(json.dumps({"cities": [["São Paulo", -46.627, -23.557]]}), "utf-8")

    make_details.main(*(str(tmp_path / name) for name in ("rivers.shp", "towns.shp", "world.json")))

    made = json.loads(capsys.readouterr().out)
    assert [[7, "Möhne", encode([(6, 49), (7, 49)])], [7, "Möhne", encode([(7, 50), (8, 51)])]] == made["rivers"]
    assert [
        [8, "Soest", 8.1, 51.6],
        [8, "Möhnesee", 8.5, 51.5],
        [9, "Sao Paulo", 10, 51],
    ] == made["towns"]
