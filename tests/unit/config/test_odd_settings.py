"""Every setting given as whatever JSON can hold, in a file, in Python and in a copy: right, or named in one line."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.config.loading import load_config
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS, Config, Connection, DownloadOptions, Selection
from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEARCH = {"parentIdentifier": "S2_MSIL1C"}
KEYS = [option.key for option in OPTIONS]
SECTIONS = ["parameters", "selection", "parts", "keep", "connection", "download_options"]
PARAMETERS = [f"parameters.{name}" for name in ("startIndex", "orbitDirection", "geometry", "radius", "unheardOf")]
ODD: dict[str, Any] = {
    "null": None,
    "empty list": [],
    "empty object": {},
    "true": True,
    "false": False,
    "empty text": "",
    "blank": " \n",
    "negative": -1,
    "zero": 0,
    "minus zero": -0.0,
    "fraction": 1.5,
    "infinite": float("inf"),
    "no number": float("nan"),
    "huge": 10**400,
    "beyond 64 bits": 2**63,
    "text": "text",
    "long text": "a" * 100_000,
    "many digits": "9" * 5000,
    "number too great for text": "1e400",
    "other digits": "९",
    "superscript": "²",
    "underscore": "1_000",
    "zero byte": "a\0b",
    "half a character": "\ud800",
    "escape": "\x1b[2J",
    "list of null": [None],
    "list of lists": [[]],
    "mixed list": ["a", 1, {}],
    "object": {"a": {"b": None}},
}


def settings(key: str, value: object) -> dict[str, Any]:
    values: dict[str, Any] = {"parameters": dict(SEARCH)}
    section, dot, name = key.partition(".")
    if dot:
        values.setdefault(section, {})[name] = value
    else:
        values[key] = value
    return values


def hold_one_line_each(error: ConfigError, key: str, before: str = "") -> None:
    """Each problem is one short printable line, and one of them names the key."""
    for problem in error.problems:
        assert problem.isprintable()
        assert len(problem) < 400 + len(before)
        assert problem.startswith(before)
    section, _, name = key.rpartition(".")
    assert any(name in problem or f"{section}:" in problem for problem in error.problems)


@pytest.mark.parametrize("key", [*KEYS, *SECTIONS, *PARAMETERS])
def test_an_odd_value_is_right_or_named(key: str) -> None:
    for value in ODD.values():
        try:
            config = Config(**settings(key, value))
        except ConfigError as error:
            hold_one_line_each(error, key)
        else:
            assert config == replace(config) == copy.deepcopy(config)


@pytest.mark.parametrize("key", [*KEYS, *SECTIONS])
def test_a_file_may_hold_it_too(key: str, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    for name, value in ODD.items():
        file.write_text(json.dumps(settings(key, value)).replace("Infinity", "1e400"))
        try:
            load_config(file, environ={}, flags={})
        except ConfigError as error:
            if name == "no number":  # which JSON does not have
                assert (f"{file}: expected finite numbers, found NaN",) == error.problems  # noqa: PT017  (of some only)
            else:
                hold_one_line_each(error, key, f"{file}: ")


@pytest.mark.parametrize("key", KEYS)
def test_a_variable_may_hold_it_too(key: str) -> None:
    option = next(option for option in OPTIONS if option.key == key)
    for value in (words for words in ODD.values() if isinstance(words, str) and "\0" not in words):
        try:
            load_config(None, environ={env_name(option): value}, flags={"parameters.parentIdentifier": "A"})
        except ConfigError as error:
            hold_one_line_each(error, env_name(option))


NONE_IS_WRONG = {
    "output_directory",
    "base_url",
    *(f"download_options.{name}" for name in ("skip_existing", "verify", "workers", "segments", "chunk_size")),
    *(f"connection.{name}" for name in ("timeout", "retries", "user_agent", "auth_hosts", "sign_in")),
    *(f"connection.{name}" for name in ("page_size", "outage", "staging")),
    "keep.stac",
    *(f"parts.{name}" for name in ("bands", "resolution", "metadata_only", "members", "else_whole", "keep_part")),
    *(f"selection.{name}" for name in ("latest_baseline", "strict")),
    *(f"keep.{name}" for name in ("requests", "overlap", "cycle", "revalidate")),
    *(f"keep.{name}" for name in ("superseded", "withdrawn", "aged", "keep_last", "max_delete")),
    "parameters.parentIdentifier",
}


@pytest.mark.parametrize("key", KEYS)
def test_null_is_taken_where_a_setting_can_be_missing(key: str) -> None:
    if key in NONE_IS_WRONG:
        with pytest.raises(ConfigError, match=key.rpartition(".")[2]):
            Config(**settings(key, None))
    else:
        assert Config(parameters=SEARCH).query == Config(**settings(key, None)).query


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_whatever_stands_for_a_section_is_named(value: object) -> None:
    for section in SECTIONS:
        with pytest.raises(ConfigError) as caught:
            Config(**{"parameters": SEARCH, section: value})

        hold_one_line_each(caught.value, section)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), min_size=1))
def test_keys_that_there_are_not_are_named(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(parameters=SEARCH, selection=values)

    assert all(problem.isprintable() for problem in caught.value.problems)


COPIES: dict[str, Callable[..., Any]] = {"replace": replace}
if sys.version_info >= (3, 13):
    COPIES["copy.replace"] = copy.replace


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(
    ("whole", "changes", "problem"),
    [
        (DownloadOptions(), {"workers": 0}, "download_options.workers: expected a whole number from 1 to 64, found 0"),
        (
            DownloadOptions(),
            {"workers": None},
            "download_options.workers: expected a whole number from 1 to 64, found null",
        ),
        (DownloadOptions(), {"worker": 3}, "download_options.worker: unknown key; did you mean workers?"),
        (
            DownloadOptions(limit_rate=4000),
            {"min_rate": 2000},
            "download_options: expected min_rate of at most 1000 (limit_rate, shared by the workers), found 2000",
        ),
        (Connection(), {"timeout": -1}, "connection.timeout: expected a number of seconds, more than 0, found -1"),
        (
            Selection(aoi="POINT (6 50)", min_overlap=5),
            {"aoi": None},
            "selection.min_overlap: expected an area (aoi) beside it, found none",
        ),
        (Config(parameters=SEARCH), {"connection": None}, "connection: expected an object, found null"),
        (
            Config(parameters=SEARCH),
            {"connection": {"retries": -1}},
            "connection.retries: expected a whole number, at least 0, found -1",
        ),
        (
            Config(parameters={**SEARCH, "orbitDirection": "ASCENDING"}),
            {"selection": Selection(orbit_direction="ASCENDING")},
            "selection.orbit_direction: expected no parameters.orbitDirection beside it, found one",
        ),
    ],
)
def test_a_wrong_copy_is_refused(change: Callable[..., Any], whole: Any, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        change(whole, **changes)

    assert (problem,) == caught.value.problems


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_right_copy_is_as_if_made_anew(change: Callable[..., Any]) -> None:
    config = Config(parameters=SEARCH, connection=Connection(retries=5))
    assert "S2_MSIL1C" == config.needed_query().collection

    copied = change(config, parameters={"parentIdentifier": "A"}, download_options={"workers": "9"})

    assert "A" == copied.query.collection
    assert (5, 9) == (copied.connection.retries, copied.download_options.workers)
    assert "S2_MSIL1C" == config.needed_query().collection
