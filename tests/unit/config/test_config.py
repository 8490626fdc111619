from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import Client
from collgs_async.config.loading import load_config, sample_config
from collgs_async.config.options import Option, env_name, search_parameter
from collgs_async.config.settings import OPTIONS, Config, Connection, DownloadOptions, Selection
from collgs_async.errors import ConfigError
from collgs_async.models.query import Query

ROOT = Path(__file__).parents[3]
FILE = Path("config.json")
SEARCH = {"parentIdentifier": "S2_MSIL1C"}
BY_KEY = {option.key: option for option in OPTIONS}
TIME = "expected an ISO 8601 date or time such as 2025-08-26 or 2025-08-26T10:30:00Z, or 30d, 2w, yesterday, today"
WORKERS = "expected a whole number from 1 to 64"
CHUNK = "expected a whole number of bytes, at least 1024 and at most 67108864"
RATE = "expected bytes a second such as 500k, 20M or 1G"
ADDRESS = "expected an http or https address"

CERTIFICATE = Path(__file__).parents[2] / "support" / "certificate.pem"

OTHER_VALUES = {
    "parameters.parentIdentifier": "S1_SAR_GRD",
    "parameters.box": "-73.4,45.7,-73.2,45.9",
    "parameters.timeStart": "2025-01-01",
    "parameters.timeEnd": "2025-12-31",
    "parameters.cloudCover": "5,35",
    "parameters.count": "7",
    "selection.aoi": "POINT (6 50)",
    "selection.min_overlap": "50%",
    "selection.months": "5-9",
    "selection.tile": "31UGR",
    "selection.relative_orbit": "8,108",
    "selection.platform": "Sentinel-2B",
    "selection.orbit_direction": "descending",
    "selection.polarisation": "VV,VH",
    "selection.product_type": "S2MSI1C",
    "selection.latest_baseline": "yes",
    "selection.strict": "yes",
    "selection.best_per": "tile,month",
    "selection.by": "cloud",
    "selection.ids": "ids.txt",
    "selection.shard": "2/8",
    "parts.bands": "b2,TCI",
    "parts.resolution": "20,10",
    "parts.metadata_only": "yes",
    "parts.members": "*.png",
    "parts.else_whole": "yes",
    "parts.keep_part": "yes",
    "output_directory": "elsewhere",
    "endpoint_url": "http://127.0.0.1:8333",
    "spool": "elsewhere",
    "keep.ledger": "elsewhere.sqlite",
    "keep.requests": "60",
    "keep.overlap": "2d",
    "keep.cycle": "3d",
    "keep.layout": "{year}",
    "keep.on_archive": "notify --archive",
    "keep.on_end": "notify --end",
    "keep.metrics": "collgs.prom",
    "keep.superseded": "move",
    "keep.withdrawn": "delete",
    "keep.aged": "move",
    "keep.keep_last": "2",
    "keep.max_delete": "1",
    "keep.stac": "yes",
    "keep.verify_oldest": "1%",
    "keep.revalidate": "5",
    "download_options.skip_existing": "no",
    "download_options.verify": "size",
    "download_options.workers": "9",
    "download_options.chunk_size": "4096",
    "download_options.limit_rate": "2.5M",
    "base_url": "http://localhost:8080/oseo/search",
    "connection.download_base_url": "https://data.collgs.lu",
    "connection.timeout": "7.5",
    "connection.retries": "0",
    "connection.page_size": "7",
    "connection.outage": "2h",
    "connection.staging": "90",
    "connection.user_agent": "me/2.0 (test)",
    "connection.contact": "me@example.org",
    "connection.proxy": "http://me:hush@proxy.example:3128",
    "connection.ca_file": "ca.pem",
    "connection.auth_hosts": "sso.example.org",
    "connection.sign_in": "always",
    "download_options.segments": "2",
    "download_options.min_rate": "10k",
    "download_options.max_bytes": "500G",
    "download_options.max_time": "6h",
    "download_options.until": "06:00",
    "download_options.keep_free": "5%",
    "download_options.engine": "dask=local:3",
}
"""For each key a right value that is not its default, as words of a command line."""

BESIDE = {"selection.min_overlap": {"selection.aoi": "POINT (6 50)"}, "selection.by": {"selection.best_per": "day"}}
"""What a value needs beside it to be right."""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str | bytes) -> Path:
    FILE.write_bytes(text if isinstance(text, bytes) else text.encode())
    return FILE


def written(values: dict[str, Any]) -> Path:
    return write(json.dumps({"parameters": SEARCH, **values}))


def loaded(
    values: dict[str, Any] | None = None,
    *,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> Config:
    return load_config(written(values or {}), environ=environ or {}, flags=flags or {})


def problems(
    values: dict[str, Any] | None = None,
    *,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(values, environ=environ, flags=flags)
    return caught.value.problems


def value_at(config: Config, key: str) -> object:
    section, _, name = key.rpartition(".")
    if section == "parameters":
        query = config.needed_query()
        return query.count if name == "count" else query.parameters.get(name)
    return getattr(getattr(config, section) if section else config, name)


# What is right


def test_the_sample_says_what_the_original_tool_was_told() -> None:
    config = load_config(write(sample_config()), environ={}, flags={})
    sample = json.loads(sample_config())
    assert sample["base_url"] == config.base_url
    assert Query.parse(sample["parameters"]) == config.query
    assert Path(sample["output_directory"]) == config.output_directory
    assert Connection(**sample["connection"]) == config.connection
    assert DownloadOptions(**sample["download_options"]) == config.download_options


def test_the_sample_in_the_package_is_the_one_that_readers_see() -> None:
    shipped = (ROOT / "collgs_async" / "config.example.json").read_bytes()
    assert (ROOT / "config.example.json").read_bytes() == shipped
    assert shipped == sample_config().encode()


def test_a_collection_is_all_that_is_needed() -> None:
    config = load_config(None, environ={}, flags={"parameters.parentIdentifier": "S1_SAR_GRD"})
    assert config.needed_query().collection == "S1_SAR_GRD"
    assert config.base_url == "https://collgs.lu/catalog/oseo/search"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_the_table_tells_the_default_that_holds(option: Option) -> None:
    found = value_at(Config(parameters={"parentIdentifier": "X"}), option.key)
    expected = "X" if option.key == "parameters.parentIdentifier" else option.default
    assert expected == (str(found) if isinstance(found, Path) else found or option.default)


def test_numbers_and_switches_may_be_words_where_they_are_plain() -> None:
    config = loaded({"connection": {"timeout": "120", "retries": "5"}, "download_options": {"limit_rate": "1.5k"}})
    assert config.connection.timeout == 120.0
    assert config.connection.retries == 5
    assert config.download_options.limit_rate == 1500.0


def test_a_rate_may_be_a_plain_number_of_bytes_a_second() -> None:
    assert loaded({"download_options": {"limit_rate": 250000}}).download_options.limit_rate == 250000.0


@pytest.mark.parametrize("key", ["download_base_url", "proxy", "ca_file"])
def test_null_means_none_where_none_is_the_default(key: str) -> None:
    assert getattr(loaded({"connection": {key: None}}).connection, key) is None


def test_editors_may_name_their_schema() -> None:
    assert Config(parameters=SEARCH) == loaded({"$schema": "https://example.org/schema.json"})


def test_a_byte_order_mark_is_no_obstacle() -> None:
    text = json.dumps({"parameters": SEARCH}).encode()
    assert Config(parameters=SEARCH) == Config.from_file(write(b"\xef\xbb\xbf" + text))


def test_relative_links_start_from_the_root_of_the_catalogue_host() -> None:
    assert Config(parameters=SEARCH, base_url="https://h.lu:8443/a/b/search").download_base == "https://h.lu:8443/"


@pytest.mark.parametrize("base", ["https://data.collgs.lu/x", "https://data.collgs.lu/x/"])
def test_relative_links_start_from_the_download_base_where_it_is_given(base: str) -> None:
    config = Config(parameters=SEARCH, connection=Connection(download_base_url=base))
    assert config.download_base == "https://data.collgs.lu/x/"


def test_settings_cannot_be_changed() -> None:
    config = Config(parameters=SEARCH)
    with pytest.raises(FrozenInstanceError, match="base_url"):
        config.base_url = "http://elsewhere"  # type: ignore[misc]  # which is what is tried
    with pytest.raises(FrozenInstanceError, match="workers"):
        config.download_options.workers = 7  # type: ignore[misc]  # likewise


@pytest.mark.parametrize("below", ["", "/x", "/x/y"])
def test_output_below_a_dangling_link_is_refused(below: str) -> None:
    """As when a disk is not mounted."""
    Path("dangling").symlink_to("nowhere")
    Path("outer").mkdir()
    Path("outer/dangling").symlink_to("../nowhere")

    for link in ("dangling", "outer/dangling"):
        with pytest.raises(ConfigError) as caught:
            loaded({"output_directory": link + below})
        words = f'expected a folder, found a link to nothing, "{link}"; is a disk missing?'
        assert [f"config.json: output_directory: {words}"] == list(caught.value.problems)


def test_output_below_a_file_is_refused() -> None:
    Path("file").touch()

    with pytest.raises(ConfigError, match='expected a folder, found a file of this name, "file"'):
        loaded({"output_directory": "file/x"})


def test_an_existing_folder_is_a_right_output() -> None:
    Path("here").mkdir()
    assert loaded({"output_directory": "here"}).output_directory == Path("here")


# Where it comes from


def test_every_option_has_another_value_to_try() -> None:
    assert sorted(OTHER_VALUES) == sorted(BY_KEY)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
@pytest.mark.parametrize("source", ["flag", "environment"])
def test_every_option_has_an_effect(option: Option, source: str) -> None:
    shutil.copy(CERTIFICATE, "ca.pem")
    Path("ids.txt").touch()
    words = OTHER_VALUES[option.key]
    flags: dict[str, object] = {**BESIDE.get(option.key, {}), **({option.key: words} if source == "flag" else {})}
    environ = {env_name(option): words} if source == "environment" else {}
    before, after = value_at(loaded(), option.key), value_at(loaded(environ=environ, flags=flags), option.key)
    assert before != after
    assert after is not None


@pytest.mark.parametrize("hosts", ["sso.example.org, idp.example.org", ["sso.example.org", "idp.example.org"]])
def test_hosts_are_a_list_or_text_with_commas(hosts: object) -> None:
    assert ("sso.example.org", "idp.example.org") == loaded({"connection": {"auth_hosts": hosts}}).connection.auth_hosts


@pytest.mark.parametrize("hosts", ["https://sso.example.org", "a b", "", ["-x"], [7], 7, "sso.example.org:443"])
def test_what_is_no_name_of_a_host_is_refused(hosts: object) -> None:
    with pytest.raises(ConfigError, match=r"connection.auth_hosts: expected names of hosts such as sso.example.org"):
        loaded({"connection": {"auth_hosts": hosts}})


def test_a_file_without_certificates_is_refused() -> None:
    Path("ca.pem").write_text("nothing")

    with pytest.raises(ConfigError, match=r"connection.ca_file: expected certificates in PEM format, found something"):
        loaded({"connection": {"ca_file": "ca.pem"}})


def test_a_floor_above_the_limit_is_refused() -> None:
    options = {"limit_rate": "1M", "min_rate": "300k", "workers": 4}

    with pytest.raises(ConfigError, match=r"download_options: expected min_rate of at most 250000 .* found 300000"):
        loaded({"download_options": options})


def test_flags_and_variables_have_names_of_their_own() -> None:
    assert len(OPTIONS) == len({option.flag for option in OPTIONS}) == len({env_name(option) for option in OPTIONS})
    assert env_name(BY_KEY["download_options.chunk_size"]) == "COLLGS_CHUNK_SIZE"


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default() -> None:
    key, file = "download_options.workers", {"download_options": {"workers": 5}}
    assert loaded().download_options.workers == 4
    assert loaded(file).download_options.workers == 5
    assert loaded(file, environ={"COLLGS_WORKERS": "6"}).download_options.workers == 6
    assert loaded(file, environ={"COLLGS_WORKERS": "6"}, flags={key: 7}).download_options.workers == 7
    assert loaded(file, environ={"COLLGS_WORKERS": "6"}, flags={key: None}).download_options.workers == 6


def test_an_empty_variable_counts_as_not_set() -> None:
    assert loaded(environ={"COLLGS_WORKERS": ""}).download_options.workers == 4


def test_the_environment_of_the_process_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLGS_WORKERS", "9")
    assert Config.from_file(written({})).download_options.workers == 4


def test_a_flag_leaves_the_rest_of_its_section_alone() -> None:
    options = loaded({"download_options": {"workers": 5, "chunk_size": 2048}}, flags={"download_options.workers": 7})
    assert (options.download_options.workers, options.download_options.chunk_size) == (7, 2048)


def test_a_flag_replaces_any_spelling_in_the_file() -> None:
    values = {"parameters": {"PARENTIDENTIFIER": "A", "Box": "1,2,3,4"}}
    config = loaded(values, flags={"parameters.box": "5,6,7,8", "parameters.parentidentifier": "B"})
    assert config.needed_query().parameters == {"box": "5,6,7,8", "parentIdentifier": "B"}


def test_a_parameter_without_a_flag_of_its_own_can_be_set() -> None:
    assert loaded(flags={"parameters.orbitnumber": "8"}).needed_query().parameters["orbitNumber"] == "8"


@pytest.mark.parametrize(
    ("words", "sent"), [("0,20", "[0,20]"), ("[0,20[", "[0,20["), ("20]", "20]"), ("]5,9]", "]5,9]")]
)
def test_words_for_a_cloud_cover_may_leave_out_the_brackets(words: str, sent: str) -> None:
    by_flag = loaded(flags={"parameters.cloudCover": words})
    by_variable = loaded(environ={"COLLGS_CLOUD_COVER": words})
    assert sent == value_at(by_flag, "parameters.cloudCover") == value_at(by_variable, "parameters.cloudCover")


@pytest.mark.parametrize(
    ("words", "value"),
    [("1", True), ("true", True), ("YES", True), ("0", False), ("False", False), (" no ", False)],
)
def test_a_switch_of_the_environment_may_be_said_in_several_words(words: str, value: bool) -> None:
    assert value is loaded(environ={"COLLGS_SKIP_EXISTING": words}).download_options.skip_existing


def test_a_switch_of_the_command_line_is_on_or_off() -> None:
    assert loaded(flags={"download_options.skip_existing": False}).download_options.skip_existing is False


@pytest.mark.parametrize(
    ("words", "parts"), [("a=b", ("a", "b")), (" a =b=c", ("a", "b=c")), ("a=", ("a", "")), ("a= b", ("a", " b"))]
)
def test_a_search_parameter_is_split_at_its_first_equals_sign(words: str, parts: tuple[str, str]) -> None:
    assert parts == search_parameter(words)


@pytest.mark.parametrize("words", ["a", "=b", " =b", ""])
def test_a_search_parameter_without_key_or_equals_sign_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="expected KEY=VALUE, found"):
        search_parameter(words)


# Without a collection


NO_COLLECTION = (
    "parameters.parentIdentifier: expected a collection such as S2_MSIL1C; "
    "without it the catalogue would search its collections"
)


@pytest.mark.parametrize("parameters", [{}, {"box": "1,2,3,4", "count": 3}, {"parentIdentifier": " "}])
def test_settings_without_a_collection_are_right_and_have_no_query(parameters: dict[str, Any]) -> None:
    config = Config(parameters=parameters)

    assert config.query is None
    with pytest.raises(ConfigError) as caught:
        config.needed_query()
    assert (NO_COLLECTION,) == caught.value.problems
    assert config == Config.from_file(write(json.dumps({"parameters": parameters})))


def test_the_other_search_parameters_are_checked_without_a_collection() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(parameters={"box": "1", "orbitDirection": "ASCENDING"}, selection={"tile": 7, "min_overlap": 101})

    assert caught.value.problems == (
        'parameters.box: expected four numbers W,S,E,N in degrees, found "1"',
        "selection.min_overlap: expected a percentage from 0 to 100, found 101",
        "selection.tile: expected tiles such as 31UGR,32ULV, found 7",
    )
    with pytest.raises(ConfigError, match=r"selection.orbit_direction: expected no parameters"):
        Config(parameters={"orbitDirection": "ASCENDING"}, selection={"orbit_direction": "asc"})


async def test_a_search_without_a_collection_is_refused_and_one_with_a_query_of_its_own_is_not() -> None:
    async with Client(Config()) as client:
        for ask in (client.search, client.catalogue.search):
            with pytest.raises(ConfigError) as caught:
                ask()
            assert (NO_COLLECTION,) == caught.value.problems
            ask(Query.create("S2_MSIL1C"))
        for wait in (client.download_all, client.create_plan, client.catalogue.describe, client.check_login):
            with pytest.raises(ConfigError) as caught:
                await wait()
            assert (NO_COLLECTION,) == caught.value.problems


def test_what_searches_nothing_needs_no_collection() -> None:
    config = load_config(None, environ={"COLLGS_BBOX": "1,2,3,4"}, flags={}, needs_collection=False)

    assert (None, {"box": "1,2,3,4"}) == (config.query, config.parameters)


@pytest.mark.parametrize("spelling", ["parentIdentifier", "PARENTIDENTIFIER", "parentId"])
def test_a_collection_that_is_empty_is_missing_in_any_spelling(spelling: str) -> None:
    line = f"config.json: {NO_COLLECTION}"
    assert (line,) == problems({"parameters": {spelling: ""}})


# What is wrong


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        ("download_options", "chunk_size", "many", f'{CHUNK}, found "many"'),
        ("download_options", "chunk_size", 1023, f"{CHUNK}, found 1023"),
        ("download_options", "chunk_size", 67108865, f"{CHUNK}, found 67108865"),
        ("download_options", "chunk_size", True, f"{CHUNK}, found true"),
        ("download_options", "chunk_size", 4096.5, f"{CHUNK}, found 4096.5"),
        ("download_options", "chunk_size", None, f"{CHUNK}, found null"),
        ("download_options", "workers", 0, f"{WORKERS}, found 0"),
        ("download_options", "workers", "65", f'{WORKERS}, found "65"'),
        ("download_options", "workers", [4], f"{WORKERS}, found [4]"),
        ("download_options", "skip_existing", 1, "expected true or false, found 1"),
        ("download_options", "skip_existing", "true", 'expected true or false, found "true"'),
        ("download_options", "verify", "md5", 'expected crc, structure or size, found "md5"'),
        ("download_options", "limit_rate", "fast", f'{RATE}, found "fast"'),
        ("download_options", "limit_rate", 0, f"{RATE}, found 0"),
        ("download_options", "limit_rate", False, f"{RATE}, found false"),
        ("connection", "timeout", 0, "expected a number of seconds, more than 0, found 0"),
        ("connection", "timeout", "soon", 'expected a number of seconds, more than 0, found "soon"'),
        ("connection", "timeout", "inf", 'expected a number of seconds, more than 0, found "inf"'),
        ("connection", "timeout", True, "expected a number of seconds, more than 0, found true"),
        ("connection", "retries", -1, "expected a whole number, at least 0, found -1"),
        ("connection", "user_agent", "", 'expected printable ASCII text, found ""'),
        ("connection", "user_agent", "a\nb", 'expected printable ASCII text, found "a\\nb"'),
        ("connection", "user_agent", "a\n", 'expected printable ASCII text, found "a\\n"'),
        ("connection", "contact", "me", 'expected a mail or web address such as ada@example.org, found "me"'),
        ("connection", "user_agent", "é", 'expected printable ASCII text, found "é"'),
        ("connection", "ca_file", "none.pem", 'expected an existing file, found "none.pem": it is missing'),
        ("connection", "ca_file", "x" * 5000, f'expected an existing file, found "{"x" * 79}…: File name too long'),
        ("connection", "proxy", "proxy:3128", f'{ADDRESS}, found "proxy:3128"'),
        ("connection", "proxy", "me:hush@proxy:3128", f'{ADDRESS}, found "***@proxy:3128"'),
        ("connection", "proxy", "socks5://me:hu/s@h", f'{ADDRESS}, found "socks5://***@h"; SOCKS is not supported'),
        ("connection", "proxy", ["http://me:hush@h"], f"{ADDRESS}, found a value of type list"),
        ("connection", "download_base_url", "data", f'{ADDRESS}, found "data"'),
        ("connection", "segments", 4, "unknown key; did you mean download_options.segments?"),
        ("connection", "concurrent_downloads", 4, "unknown key; did you mean download_options.workers?"),
        ("connection", "password", "hush", "unknown key; credentials belong in COLLGS_USERNAME and COLLGS_PASSWORD"),
        ("connection", "_comment", "x", "unknown key"),
        ("download_options", "chunksize", 4, "unknown key; did you mean chunk_size?"),
        ("download_options", "concurrent_downloads", 4, "unknown key; did you mean workers?"),
        ("download_options", "time_out", 4, "unknown key; did you mean connection.timeout?"),
        ("download_options", "$schema", "x", "unknown key"),
        ("parameters", "box", "1,2,3", 'expected four numbers W,S,E,N in degrees, found "1,2,3"'),
        ("parameters", "timeEnd", "never", f'{TIME}, found "never"'),
    ],
)
def test_a_wrong_value_in_a_section_is_named(section: str, key: str, value: object, line: str) -> None:
    inside = {**SEARCH, key: value} if section == "parameters" else {key: value}
    assert problems({section: inside}) == (f"config.json: {section}.{key}: {line}",)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("base_url", "ftp://collgs.lu/x", f'{ADDRESS}, found "ftp://collgs.lu/x"'),
        ("base_url", "collgs.lu", f'{ADDRESS}, found "collgs.lu"'),
        ("base_url", "https://", f'{ADDRESS}, found "https://"'),
        ("base_url", "https://h:99999/", f'{ADDRESS}, found "https://h:99999/"'),
        ("base_url", "https://[::1", f'{ADDRESS}, found "https://[::1"'),
        ("base_url", "https://h/a b", f'{ADDRESS}, found "https://h/a b"'),
        ("base_url", "https://h/a\n", f'{ADDRESS}, found "https://h/a\\n"'),
        ("base_url", 5, f"{ADDRESS}, found a value of type int"),
        (
            "base_url",
            "https://h/s?token=hush",
            'expected no query (search parameters belong under parameters), found "https://h/s?…"',
        ),
        ("base_url", "https://h/s#top", 'expected no fragment, found "https://h/s#top"'),
        (
            "base_url",
            "https://me:hush@h/s",
            (
                "expected no user name or password (credentials belong in COLLGS_USERNAME and COLLGS_PASSWORD), "
                'found "https://***@h/s"'
            ),
        ),
        ("output_directory", "", 'expected the name of a folder, found ""'),
        ("output_directory", None, "expected the name of a folder, found null"),
        ("output_directory", "a\0b", 'expected the name of a folder, found "a\\u0000b"'),
        ("output_directory", "\ud800", 'expected the name of a folder, found "\\ud800"'),
        ("output_directory", "config.json", 'expected a folder, found a file of this name, "config.json"'),
        ("output_directory", "x" * 300, f'expected the name of a folder, found "{"x" * 79}…: File name too long'),
        ("connection", 5, "expected an object, found 5"),
        ("download_options", None, "expected an object, found null"),
        ("parameters", [], "expected an object, found []"),
        ("base_urls", "x", "unknown key; did you mean base_url?"),
        ("conection", {}, "unknown key; did you mean connection?"),
        ("box", "1,2,3,4", "unknown key; did you mean parameters.box?"),
        ("keep", [], "expected an object, found []"),
        ("output_dir", "x", "unknown key; did you mean output_directory?"),
        ("//", "a comment", "unknown key"),
        ("self", 1, "unknown key"),
    ],
)
def test_a_wrong_value_at_the_top_is_named(key: str, value: object, line: str) -> None:
    assert problems({key: value}) == (f"config.json: {key}: {line}",)


def test_a_key_that_cannot_be_printed_is_named_all_the_same() -> None:
    assert problems({"a\nb": 1}) == ('config.json: "a\\nb": unknown key',)


@pytest.mark.parametrize("option", OPTIONS, ids=env_name)
def test_a_wrong_variable_and_a_wrong_flag_are_named_by_what_was_typed(option: Option) -> None:
    words = "\0"
    by_variable = problems(environ={env_name(option): words}, flags={})
    by_flag = problems(flags={option.key: words})
    assert by_variable[0].startswith(f"{env_name(option)}: expected {option.kind.expected}")
    assert by_flag[0].startswith(f"{option.flag}: expected {option.kind.expected}")
    assert 1 == len(by_flag) == len(by_variable)


def test_a_wrong_set_is_named_with_its_key() -> None:
    assert problems(flags={"parameters.swath": "\0"}) == (
        '--set swath: expected text without control characters, found "\\u0000"',
    )


def test_a_wrong_flag_is_named_even_where_the_file_is_wrong_too() -> None:
    found = problems({"download_options": {"workers": "x"}}, flags={"download_options.workers": "y"})
    assert found == (f'--workers: {WORKERS}, found "y"',)


def test_a_flag_cannot_mend_a_section_that_is_no_object() -> None:
    found = problems({"connection": 5}, flags={"connection.timeout": "7"})
    assert found == ("config.json: connection: expected an object, found 5",)


def test_all_wrong_values_are_named_at_once_each_with_its_source() -> None:
    values = {
        "base_url": "x",
        "surprise": 1,
        "parameters": {"box": "1", "count": 0},
        "connection": {"timeout": -1, "retrys": 2},
        "download_options": {"chunk_size": 1},
    }
    flags: dict[str, object] = {"download_options.workers": "many"}
    expected = {
        f'config.json: base_url: {ADDRESS}, found "x"',
        "config.json: surprise: unknown key",
        'config.json: parameters.box: expected four numbers W,S,E,N in degrees, found "1"',
        (
            "config.json: parameters.parentIdentifier: expected a collection such as S2_MSIL1C; "
            "without it the catalogue would search its collections"
        ),
        'COLLGS_COUNT: expected a whole number, at least 1, found "none"',
        "config.json: connection.timeout: expected a number of seconds, more than 0, found -1",
        "config.json: connection.retrys: unknown key; did you mean retries?",
        f"config.json: download_options.chunk_size: {CHUNK}, found 1",
        f'--workers: {WORKERS}, found "many"',
    }
    found = problems(values, environ={"COLLGS_COUNT": "none"}, flags=flags)
    assert expected == set(found)
    assert len(expected) == len(found)


def test_without_a_file_a_missing_collection_is_named_by_its_flag() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, environ={}, flags={"parameters.box": "1,2,3,4"})
    assert str(caught.value).startswith("--collection: expected a collection such as S2_MSIL1C; ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n  "a": 1\n  "b": 2}', "expected JSON, found at line 3, column 3: "),
        ("", "expected JSON, found at line 1, column 1: Expecting value"),
        ("[1]", "expected a JSON object, found [1]"),
        (b'{"a": "\xff"}', "expected UTF-8 text, found another encoding at byte 7"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', 'expected each key once, found "c" twice in an object'),
        ('{"connection": {"timeout": NaN}}', "expected finite numbers, found NaN"),
        ('{"connection": {"timeout": -Infinity}}', "expected finite numbers, found -Infinity"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
        (f'{{"a": {"9" * 5000}}}', "Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused_in_one_line(text: str | bytes, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_file(write(text))
    assert caught.value.problems[0].startswith(f"config.json: {line}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "line"), [("absent.json", "found none: it is missing"), (".", "found: Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(name: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_file(name)
    assert caught.value.problems == (f"{name}: expected a JSON file, {line}",)


def test_library_users_get_a_config_error_without_a_file_name() -> None:
    values: dict[str, Any] = {"parameters": SEARCH, "download_options": {"workers": "x"}, "output": "y"}
    with pytest.raises(ConfigError) as caught:
        Config(**values)
    assert caught.value.problems == (
        f'download_options.workers: {WORKERS}, found "x"',
        "output: unknown key; did you mean output_directory?",
    )


def test_a_section_made_alone_also_raises_a_config_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Connection(timeout=0)
    assert caught.value.problems == ("connection.timeout: expected a number of seconds, more than 0, found 0",)


# What a settings object is


def test_a_repr_shows_what_is_not_as_by_default() -> None:
    config = Config(parameters=SEARCH, download_options={"workers": "9"}, output_directory="here")

    assert repr(Config()) == "Config()"
    assert eval(repr(config), {"Config": Config, "DownloadOptions": DownloadOptions, "PosixPath": Path}) == config


def test_equal_settings_are_interchangeable() -> None:
    one, other = Connection(retries="5", auth_hosts="a.b"), Connection(retries=5, auth_hosts=["a.b"])

    assert one == other != Connection(retries=6)
    assert {one: "here"}[other] == "here"
    assert pickle.loads(pickle.dumps(Config(parameters=SEARCH, connection=one))).connection == other


@pytest.mark.parametrize("section", [Config, Connection, DownloadOptions, Selection])
def test_each_setting_is_explained_in_the_docstring(section: Any) -> None:
    for option in OPTIONS:
        name = option.key.removeprefix(section.prefix)
        if "." not in name and hasattr(section(), name):
            assert f"    {name}\n        {option.help}.\n" in section.__doc__


def test_what_was_given_is_not_changed_from_outside() -> None:
    parameters, area = {**SEARCH}, {"type": "Point", "coordinates": [6, 50]}
    config = Config(parameters=parameters, selection={"aoi": area})
    parameters["box"] = "1"
    area["type"] = "nothing"

    assert SEARCH == config.parameters
    assert Config(parameters=SEARCH, selection=Selection(aoi={"type": "Point", "coordinates": [6, 50]})) == config


# What must stay secret


@pytest.mark.parametrize("show", [repr, str])
def test_the_password_of_a_proxy_is_used_and_never_shown(show: Any) -> None:
    config = Config(parameters=SEARCH, connection=Connection(proxy="http://me:hush@proxy:3128"))
    assert config.connection.proxy == "http://me:hush@proxy:3128"
    assert "hush" not in show(config) + show(config.connection)
    assert "http://***@proxy:3128" in show(config)


SECRET = "hush7"


RIGHT_AS_ANY_TEXT = {
    "output_directory": "a folder may have any name",
    "spool": "likewise",
    "keep.ledger": "a file may have any name",
    "keep.on_archive": "any words are a command",
    "keep.on_end": "any words are a command",
    "connection.user_agent": "any text will do",
    "selection.ids": "any list of names will do",
    "selection.aoi": "any object will do until it is read",
    "parts.members": "any pattern will do",
    "parameters": "any name will do",
}


@pytest.mark.parametrize("written", ["http://me:{}@h", "socks5://me:{}/{}@h/a?b", "me:x//{}@h"])
@pytest.mark.parametrize(
    "wrap", [str, lambda text: [text], lambda text: {"proxy": text}], ids=["text", "list", "object"]
)
def test_an_address_in_the_wrong_place_shows_no_password_either(written: str, wrap: Any) -> None:
    keys = [option.key for option in OPTIONS if not option.key.startswith("parameters.")]
    for key in [*keys, "parameters", "selection", "parts", "keep", "connection", "download_options"]:
        section, dot, name = key.partition(".")
        value = wrap(written.format(SECRET, SECRET))
        try:
            said = repr(Config(**{"parameters": SEARCH, **({section: {name: value}} if dot else {key: value})}))
        except ConfigError as error:
            said = str(error)
        assert SECRET not in said or key in RIGHT_AS_ANY_TEXT


@given(st.sampled_from(["base_url", "connection.proxy", "connection.download_base_url"]), st.text(), st.text())
def test_a_password_is_in_no_message(key: str, before: str, after: str) -> None:
    flags: dict[str, object] = {"parameters.parentIdentifier": "X", key: f"{before}me:{SECRET}@{after}"}
    try:
        said = repr(load_config(None, environ={}, flags=flags))
    except ConfigError as error:
        said = str(error)
    assert SECRET not in said


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", 'expected the name of a file, found ""'),
        (7, "expected the name of a file, found 7"),
        (".", 'expected the name of a file, found a folder of this name, "."'),
        ("x" * 300, f'expected the name of a file, found "{"x" * 79}…: File name too long'),
    ],
)
def test_a_ledger_is_a_file(value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(keep={"ledger": value})
    assert (f"keep.ledger: {words}",) == caught.value.problems
