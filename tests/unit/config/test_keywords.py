"""Settings by name, as keywords of a client."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from collgs_async import Client, Config, ConfigError, Connection, Query, Selection, SyncClient
from collgs_async.config.settings import OPTIONS


def test_each_setting_has_a_name_of_its_own() -> None:
    names = [option.keyword for option in OPTIONS]

    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)
    assert {"base_url", "output_directory", "workers", "tile", "timeout", "collection", "bbox"} <= set(names)
    assert {"parameters.box": "bbox", "parameters.timeStart": "start"}.items() <= {
        option.key: option.keyword for option in OPTIONS
    }.items()


def test_settings_by_name_are_those_of_the_sections() -> None:
    expected = Config(
        base_url="https://c.example/search",
        parameters={"parentIdentifier": "S2_MSIL2A", "box": [5.7, 49.4, 6.6, 50.2], "cloudCover": (0, 20), "count": 3},
        output_directory=Path("here"),
        selection={"tile": "31UGR", "months": "5-9"},
        connection={"timeout": 5},
        download_options={"workers": 8, "limit_rate": "20M"},
    )

    found = Config.create(
        base_url="https://c.example/search",
        collection="S2_MSIL2A",
        bbox=[5.7, 49.4, 6.6, 50.2],
        cloud_cover=(0, 20),
        count=3,
        output_directory="here",
        tile="31UGR",
        months="5-9",
        timeout=5,
        workers=8,
        limit_rate="20M",
    )

    assert expected == found == Client(found).config
    assert Config() == Config.create()


def test_the_names_of_a_search_are_those_of_a_query() -> None:
    asked: dict[str, Any] = {"bbox": (5.7, 49.4, 6.6, 50.2), "start": date(2025, 4, 1), "end": "2025-05-01", "count": 2}

    assert Query.create("S2_MSIL1C", **asked) == Config.create(collection="S2_MSIL1C", **asked).query


def test_a_whole_section_is_taken_as_it_is() -> None:
    found = Config.create(selection=Selection(tile="31UGR"), connection={"retries": 1}, workers=2)

    assert (("31UGR"), 1, 2) == (found.selection.tile, found.connection.retries, found.download_options.workers)
    assert Connection(retries=1) == found.connection


@pytest.mark.parametrize("front", [Config.create, Client, SyncClient])
def test_all_that_is_wrong_is_named_at_once_by_its_name(front: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        front(worker=8, workers=99, bbox=(1, 2), sign_in="never", password="p", parentIdentifier="S2", min_overlap=3)

    lines = list(caught.value.problems)
    assert "workers: expected a whole number from 1 to 64, found 99" in lines
    assert "worker: unknown setting; did you mean workers?" in lines
    assert "password: unknown setting; credentials belong in COLLGS_USERNAME and COLLGS_PASSWORD" in lines
    assert "parentIdentifier: unknown setting; did you mean collection?" in lines
    assert 'sign_in: expected auto or always, found "never"' in lines
    assert "min_overlap: expected an area (aoi) beside it, found none" in lines
    assert ["bbox"] == [line.partition(":")[0] for line in lines if "four numbers" in line]
    assert 7 == len(lines)


def test_a_setting_beside_its_section_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.create(parameters={"parentIdentifier": "S2_MSIL1C"}, count=3, connection=Connection(), timeout=1)

    assert (
        "count: expected either count or parameters, found both",
        "timeout: expected either timeout or connection, found both",
    ) == caught.value.problems


def test_a_name_that_is_no_text_does_not_break_the_line() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.create(**{"a\nb": 1})

    assert ('"a\\nb": unknown setting',) == caught.value.problems


@pytest.mark.parametrize("front", [Client, SyncClient])
def test_a_configuration_and_settings_by_name_are_one_too_many(front: Any) -> None:
    with pytest.raises(TypeError, match="expected a configuration or settings by name, found both: workers"):
        front(Config(), workers=2)
