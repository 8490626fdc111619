"""The table of passes is what the script makes of orbits and tiles, which lie where the real ones are."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from collgs_async.models.tiles import tile_corners
from tools import make_passes


@pytest.mark.parametrize(
    ("tile", "west", "south", "east", "north"),
    [
        ("31UFQ", 4.357925, 48.62983, 5.904558, 49.64443),
        ("31UGQ", 5.714101, 48.58836, 7.285031, 49.61960),
        ("31UFR", 4.382698, 49.52843, 5.959371, 50.54373),
        ("31UGR", 5.763559, 49.48563, 7.365728, 50.51810),
    ],
)
def test_tiles_lie_where_the_archive_has_them(tile: str, west: float, south: float, east: float, north: float) -> None:
    square = tile_corners(tile)

    found = [function(point[axis] for point in square) for function in (min, max) for axis in (0, 1)]
    assert [west, south, east, north] == pytest.approx(found, abs=5e-5)


def split(table: str) -> tuple[Any, list[float]]:
    """Return a table without its fractions, and these in order."""
    fractions: list[float] = []
    rest = json.loads(table, parse_float=lambda number: fractions.append(float(number)))
    return rest, fractions


def test_the_table_in_the_package_is_the_one_that_the_script_makes(capsys: pytest.CaptureFixture[str]) -> None:
    shipped, coordinates = split(files("collgs_async.demo").joinpath("passes.json").read_text("utf-8"))

    make_passes.main()

    made, right = split(capsys.readouterr().out)
    assert made == shipped
    # The last digits of a sine are not the same on every machine.
    assert right == pytest.approx(coordinates, abs=1e-9)
