"""The words of a query, on the map page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collgs_async import Query
from collgs_async.reporting.query_words import describe_query


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        ({"bbox": (5, 49, 6.5, 50)}, ["box 5,49,6.5,50"]),
        ({"start": "2022-07-01", "end": "2023-06-30"}, ["sensed 2022-07-01 to 2023-06-30"]),
        ({"start": "2022-07-01", "end": "2022-07-01"}, ["sensed 2022-07-01"]),
        ({"start": "2022-07-01"}, ["sensed since 2022-07-01"]),
        ({"end": "2022-07-01T10:00:00Z"}, ["sensed until 2022-07-01T10:00:00.000Z"]),
        ({"cloud_cover": (0, 20)}, ["at most 20 % cloud"]),
        ({"cloud_cover": (5, 20)}, ["5 to 20 % cloud"]),
        ({"count": 100}, ["count 100"]),
        ({"extra": {"processingLevel": "L2A"}}, ["processing level L2A"]),
    ],
)
def test_search_parameters(asked: dict[str, Any], words: list[str]) -> None:
    assert words == describe_query(Query.create("S2_MSIL2A", **asked).to_dict(), {})


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"aoi": "areas/luxembourg.geojson"}, ["luxembourg.geojson"]),
        ({"aoi": Path("areas/luxembourg.geojson"), "min_overlap": 20}, ["luxembourg.geojson, 20 % of it at least"]),
        ({"aoi": "POLYGON((5 49, 6 49, 6 50, 5 49))"}, ["area of interest"]),
        ({"aoi": {"type": "Point", "coordinates": [6, 49]}}, ["area of interest"]),
        ({"tile": "31UGR,32ULV"}, ["tile 31UGR,32ULV"]),
        ({"orbit_direction": ("ASCENDING",)}, ["orbit direction ASCENDING"]),
        ({"latest_baseline": True}, ["latest baseline"]),
        ({"shard": "2/8"}, ["shard 2/8"]),
        ({"ids": tuple(f"S2A_{number}" for number in range(3000))}, ["ids 3,000 values"]),
        ({"strict": True}, []),
        ({"ids": "chosen.txt"}, ["ids chosen.txt"]),
        ({"best_per": "tile,month", "by": "cloud"}, ["best per tile,month", "by cloud"]),
    ],
)
def test_criteria(selection: dict[str, Any], words: list[str]) -> None:
    assert words == describe_query({"parentIdentifier": "S2_MSIL2A"}, selection)


def test_the_geometry_that_an_area_became_is_no_part_of_its_own() -> None:
    parameters = {"geometry": "POLYGON((5 49, 6 49, 6 50, 5 49))", "box": "5,49,6,50"}

    assert ["luxembourg.geojson"] == describe_query(parameters, {"aoi": "luxembourg.geojson"})
    assert ["box 5,49,6,50", "within POLYGON((5 49, 6 49, 6 50, 5 49))"] == describe_query(parameters, {})


def test_a_long_value_is_cut() -> None:
    [words] = describe_query({"searchTerms": "x" * 5000}, {})

    assert len(words) < 80
