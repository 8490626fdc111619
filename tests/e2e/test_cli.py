"""The command line as a user meets it: what is asked, what is said, and the exit code."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import __version__
from collgs_async.config.loading import sample_config
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS, PROJECT_URL
from collgs_async.selection.plan import Plan
from tests.conftest import fault, is_archive, level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, at_url, files_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command, CommandHere

PRODUCT_KEYS = ["id", "status", "path", "bytes", "url", "seconds", "attempts", "members", "reason", "error"]


# ---------------------------------------------------------------------------------------------- first steps


async def test_without_any_configuration_a_sample_is_written_and_the_next_step_is_told(command: Command) -> None:
    ended = assert_clean_exit(await command())

    assert (2, "") == (ended.code, ended.out)
    assert sample_config() == (command.folder / "config.json").read_text("utf-8")
    assert "collgs-async search" in ended.err
    assert ["config.json"] == files_below(command.folder)


async def test_a_dangling_link_in_the_place_of_the_sample_is_left_alone(run_cli: CommandHere) -> None:
    (run_cli.folder / "config.json").symlink_to("nowhere.json")

    ended = assert_clean_exit(await run_cli())

    assert 2 == ended.code
    assert "config.json: expected no file of this name, found one; it was left alone" in ended.err
    assert ["config.json"] == files_below(run_cli.folder)


@pytest.mark.parametrize("words", [[], ["my own.json"]])
async def test_init_writes_the_sample(run_cli: CommandHere, tmp_path: Path, words: list[str]) -> None:
    said = await run_cli("init", *words)

    name = words[0] if words else "config.json"
    assert 0 == said.code
    assert said.err.startswith(f"wrote {name}: ")
    assert sample_config() == (tmp_path / "cwd" / name).read_text("utf-8")
    assert [name] == files_below(tmp_path / "cwd")


async def test_init_never_writes_over_a_file(run_cli: CommandHere, tmp_path: Path) -> None:
    mine = tmp_path / "cwd" / "config.json"
    mine.write_text("mine")

    said = await run_cli("init")

    assert 2 == said.code
    assert "error: config.json: expected no file of this name, found one; it was left alone\n" == said.err
    assert "mine" == mine.read_text()


async def test_the_sample_is_a_right_configuration(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(1))
    await run_cli("init")

    said = await run_cli("search", "--base-url", site.server.url)

    assert 0 == said.code
    assert "S2_MSIL1C" == site.server.requests[0].query["parentIdentifier"]
    assert "[0,47]" == site.server.requests[0].query["cloudCover"]


# ------------------------------------------------------------------------------------- wrong values and flags

WRONG_FLAGS = [
    (["--bbox", "5,49,6"], '--bbox: expected four numbers W,S,E,N in degrees, found "5,49,6"'),
    (["--bbox", "5,50,6,49"], r'--bbox: expected south below north \(W,S,E,N\), found "5,50,6,49"'),
    (["--bbox", "5,-91,6,49"], '--bbox: expected latitudes from -90 to 90, found "5,-91,6,49"; longitude comes first'),
    (["--bbox", "-73.4,x,-73.2,45.9"], '--bbox: expected four numbers W,S,E,N in degrees, found "-73.4,x,-73.2,45.9"'),
    (["--start", "tomorrow"], '--start: expected an ISO 8601 date or time such as .*, found "tomorrow"'),
    (["--end", "2025-02-30"], '--end: expected an ISO 8601 date or time such as .*, found "2025-02-30"'),
    (
        ["--start", "2025-06-02", "--end", "2025-06-01"],
        "--end: expected a time not before the start, 2025-06-02T00:00:00.000Z, found 2025-06-01T23:59:59.999Z",
    ),
    (["--cloud-cover", "20,0"], r'--cloud-cover: expected an interval within 0 to 100 percent.*, found "\[20,0\]"'),
    (["--cloud-cover", "little"], '--cloud-cover: expected an interval such as .*, found "little"'),
    (["--orbit-direction", "UP"], '--orbit-direction: expected ASCENDING or DESCENDING, found "UP"'),
    (["--count", "0"], '--count: expected a whole number, at least 1, found "0"'),
    (["--workers", "0"], '--workers: expected a whole number from 1 to 64, found "0"'),
    (["--workers", "many"], '--workers: expected a whole number from 1 to 64, found "many"'),
    (["--chunk-size", "10"], '--chunk-size: expected a whole number of bytes, at least 1024 .*, found "10"'),
    (["--limit-rate", "fast"], '--limit-rate: expected bytes a second such as .*, found "fast"'),
    (["--verify", "md5"], '--verify: expected crc, structure or size, found "md5"'),
    (["--timeout", "-1"], '--timeout: expected a number of seconds, more than 0, found "-1"'),
    (["--timeout", "nan"], '--timeout: expected a number of seconds, more than 0, found "nan"'),
    (["--retries", "-1"], '--retries: expected a whole number, at least 0, found "-1"'),
    (["--base-url", "collgs.lu"], '--base-url: expected an http or https address, found "collgs.lu"'),
    (["--base-url", "http://u:sekret@h/"], r'--base-url: expected no user name or password .*"http://\*\*\*@h/"'),
    (
        ["--proxy", "socks5://u:sekret@h"],
        r'--proxy: expected an http or https address, found "socks5://\*\*\*@h"; SOCKS is not supported',
    ),
    (["--ca-file", "missing.pem"], '--ca-file: expected an existing file, found "missing.pem": it is missing'),
    (["--output", "a-file"], '--output: expected a folder, found a file of this name, "a-file"'),
    (["--output", ""], '--output: expected the name of a folder, found ""'),
    (["--user-agent", "a\nb"], r'--user-agent: expected printable ASCII text, found "a\\nb"'),
    (["--set", "novalue"], "--set: expected KEY=VALUE, found 'novalue'"),
    (["--set", "lat=1\x07"], r'--set lat: expected text without control characters, found "1\\u0007"'),
    (["--report", "no-folder/report.json"], "--report: expected a folder at .*no-folder, found nothing"),
    (["--report", "."], "--report: expected a file, found the folder .*"),
    (["--format", "xml"], "--format: .*'xml'.*"),
    (["--config", "missing.json"], "missing.json: expected a JSON file, found none: it is missing"),
    (["--workers"], "--workers: expected one argument"),
    (["--work=3"], "--work: unknown here; did you mean --workers.*"),
    (["--work", "3"], "--work: unknown here; did you mean --workers.*"),
    (["--bobx", "5,49,6,50"], "--bobx: unknown here; did you mean --bbox.*"),
]


@pytest.mark.parametrize(("words", "line"), WRONG_FLAGS, ids=[" ".join(map(str, words)) for words, _ in WRONG_FLAGS])
async def test_a_wrong_flag_is_one_clear_line_and_nothing_is_touched(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path, words: list[str], line: str
) -> None:
    site = await serve(level2_scenes(1))
    (tmp_path / "cwd" / "a-file").write_text("")

    said = await run_cli(*at_url(site), *words)

    assert (2, "") == (said.code, said.out)
    assert_matches(f"error: {line}\n", said.err)
    assert "sekret" not in said.err
    assert [] == site.server.requests
    assert ["a-file"] == files_below(tmp_path / "cwd")
    assert not site.folder.exists()


def assert_matches(pattern: str, text: str) -> None:
    assert re.fullmatch(pattern, text), f"{text!r} is not {pattern!r}"


WRONG_FILES = [
    ("{nonsense", "expected JSON, found at line 1, column 2: .*"),
    ("[1, 2]", r"expected a JSON object, found \[1, 2\]"),
    ('{"base_url": NaN}', "expected finite numbers, found NaN"),
    ('{"base_url": "http://a/", "base_url": "http://b/"}', 'expected each key once, found "base_url" twice.*'),
    ('{"conection": {}}', "conection: unknown key; did you mean connection.?"),
    ('{"connection": {"password": "sekret"}}', "connection.password: unknown key; credentials belong in .*"),
    ('{"connection": 7}', "connection: expected an object, found 7"),
    ('{"connection": {"timeout": true}}', "connection.timeout: expected a number of seconds, .*, found true"),
    ('{"download_options": {"chunk_size": "big"}}', 'download_options.chunk_size: expected .*, found "big"'),
    ('{"download_options": {"skip_existing": "yes"}}', 'download_options.skip_existing: expected .*, found "yes"'),
    ('{"download_options": {"workres": 3}}', "download_options.workres: unknown key; did you mean workers.?"),
    ('{"parameters": {"box": [1, 2, 3]}}', r"parameters.box: expected four numbers .*, found \[1, 2, 3\]"),
    ('{"parameters": {"count": 2.5}}', "parameters.count: expected a whole number, at least 1, found 2.5"),
    ('{"parameters": {"timeStart": 20250101}}', "parameters.timeStart: expected an ISO 8601 .*, found 20250101"),
    ('{"parameters": {"cloudCover": "0,20"}}', r"parameters.cloudCover: expected an interval such as \[0,20\], .*"),
    ('{"output_directory": null}', "output_directory: expected the name of a folder, found null"),
]


@pytest.mark.parametrize(("text", "line"), WRONG_FILES, ids=[text for text, _ in WRONG_FILES])
async def test_a_wrong_configuration_file_is_one_clear_line_with_its_name(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path, text: str, line: str
) -> None:
    site = await serve(level2_scenes(1))
    (tmp_path / "cwd" / "mine.json").write_text(text)

    said = await run_cli("--config", "mine.json", "--base-url", site.server.url, *COLLECTION)

    assert (2, "") == (said.code, said.out)
    assert_matches(f"error: mine.json: {line}\n", said.err)
    assert "sekret" not in said.err
    assert [] == site.server.requests
    assert ["mine.json"] == files_below(tmp_path / "cwd")


async def test_several_wrong_values_are_all_named_at_once(run_cli: CommandHere) -> None:
    (run_cli.folder / "mine.json").write_text(
        json.dumps({"parameters": {"box": "nonsense"}, "download_options": {"chunk_size": 1}})
    )

    ended = assert_clean_exit(
        await run_cli("--config", "mine.json", "--timeout", "never", "--count", "-3", COLLGS_WORKERS="99")
    )

    names = sorted(line.removeprefix("error: ").partition(": expected")[0] for line in ended.err.splitlines())
    assert 2 == ended.code
    assert [
        "--count",
        "--timeout",
        "COLLGS_WORKERS",
        "mine.json: download_options.chunk_size",
        "mine.json: parameters.box",
        "mine.json: parameters.parentIdentifier",
    ] == names
    assert ["mine.json"] == files_below(run_cli.folder)


WRONG_TEXT = {
    "--output": "a-file",
    "--spool": "a-file",
    "--collection": "\x01",
    "--ledger": ".",
    "--metrics": ".",
    "--on-archive": "'no end",
    "--on-end": "'no end",
}


@pytest.mark.parametrize("option", OPTIONS, ids=env_name)
async def test_a_wrong_variable_is_named(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: Any
) -> None:
    site = await serve(level2_scenes(1))
    (tmp_path / "cwd" / "a-file").write_text("")
    words = {"--collection": "S2_MSIL2A", "--base-url": site.server.url}
    words.pop(option.flag, None)
    monkeypatch.setenv(env_name(option), WRONG_TEXT.get(option.flag, "nonsense\x01"))

    said = await run_cli(*(word for pair in words.items() for word in pair))

    assert (2, 1) == (said.code, said.err.count("\n"))
    assert said.err.startswith(f"error: {env_name(option)}: expected ")
    assert [] == site.server.requests


async def test_an_unknown_command_is_told_the_near_one(run_cli: CommandHere) -> None:
    said = await run_cli("serch", *COLLECTION)

    assert 2 == said.code
    assert_matches("error: expected one of .*, found 'serch'; did you mean search.?\n", said.err)


async def test_a_configuration_without_its_flag_is_told_the_flag(run_cli: CommandHere) -> None:
    said = await run_cli("mine.json")

    assert 2 == said.code
    assert "did you mean --config mine.json" in said.err


# ------------------------------------------------------------------------------------------ where values come from


@pytest.mark.parametrize(
    "line",
    [
        "--bbox -73.4,45.7,-73.2,45.9 search",
        "search --bbox -73.4,45.7,-73.2,45.9",
        "search --bbox=-73.4,45.7,-73.2,45.9",
        "search --set box=-73.4,45.7,-73.2,45.9",
        "--set box=-73.4,45.7,-73.2,45.9 search",
    ],
)
async def test_options_stand_before_and_after_the_command_and_values_may_begin_with_a_minus(
    serve: Callable[..., Any], run_cli: CommandHere, line: str
) -> None:
    site = await serve(level2_scenes(1))

    said = await run_cli(*COLLECTION, *line.split(), "--base-url", site.server.url)

    assert 0 == said.code
    assert "-73.4,45.7,-73.2,45.9" == site.server.requests[0].query["box"]


@pytest.mark.parametrize(
    ("given", "agent"),
    [
        (("file",), "from-file"),
        (("file", "variable"), "from-variable"),
        (("file", "variable", "flag"), "from-flag"),
        (("file", "flag"), "from-flag"),
        (("variable",), "from-variable"),
        ((), f"collgs-async/{__version__} (+{PROJECT_URL})"),
    ],
)
async def test_flag_goes_before_variable_before_file_before_default(
    serve: Callable[..., Any],
    run_cli: CommandHere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    agent: str,
) -> None:
    site = await serve(level2_scenes(1))
    if "file" in given:
        file = {"connection": {"user_agent": "from-file"}}
        (tmp_path / "cwd" / "config.json").write_text(json.dumps(file))
    if "variable" in given:
        monkeypatch.setenv("COLLGS_USER_AGENT", "from-variable")
    flags = ("--user-agent", "from-flag") if "flag" in given else ()

    said = await run_cli("search", "--base-url", site.server.url, *COLLECTION, *flags)

    assert 0 == said.code
    assert agent == site.server.requests[0].headers["user-agent"]


async def test_a_selection_from_variables_alone_is_enough(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await serve(level2_scenes(2))
    monkeypatch.setenv("COLLGS_COLLECTION", "S2_MSIL2A")
    monkeypatch.setenv("COLLGS_BASE_URL", site.server.url)
    monkeypatch.setenv("COLLGS_OUTPUT", str(site.folder))

    said = await run_cli()

    assert 0 == said.code
    assert 2 == len(list(site.folder.glob("*.zip")))


async def test_set_passes_any_search_parameter(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    await run_cli(
        "search", "--base-url", site.server.url, *COLLECTION, "--set", "swathIdentifier=IW=1", "--set", "lat=1"
    )

    query = site.server.requests[-1].query
    assert ("IW=1", "1") == (query["swathIdentifier"], query["lat"])


async def test_a_date_as_end_is_the_end_of_that_day_and_is_told(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))

    said = await run_cli("search", "--base-url", site.server.url, *COLLECTION, "--end", "2021-06-30")

    assert "2021-06-30T23:59:59.999Z" == site.server.requests[0].query["timeEnd"]
    assert "means the end of that day" in said.err


# ---------------------------------------------------------------------------------------------------- listings


@pytest.mark.parametrize("name", ["table", "json", "jsonl", "geojson", "stac", "csv", "urls"])
async def test_search_writes_a_listing_and_nothing_else_to_stdout(
    serve: Callable[..., Any], run_cli: CommandHere, name: str
) -> None:
    scenes = level2_scenes(25)
    site = await serve(scenes, page_maximum=10)

    ended = assert_clean_exit(
        await run_cli("search", "--base-url", site.server.url, *COLLECTION, "--format", name, "--end", "2022-01-01")
    )

    assert 0 == ended.code
    assert {scene.identifier for scene in scenes} == set(LISTED[name](ended.out))
    assert 25 == len(LISTED[name](ended.out))
    assert "note: --end 2022-01-01 means the end of that day" in ended.err
    assert "25 of 25 that match" in ended.err
    assert [] == site.archive_hits()
    assert [] == files_below(run_cli.folder)


def listed_in_urls(text: str) -> list[str]:
    lines = text.splitlines()
    assert all(line.startswith("http://127.0.0.1:") and line.endswith(".zip") for line in lines)
    return [line.rpartition("/")[2].removesuffix(".zip") for line in lines]


def listed_in_geojson(text: str) -> list[str]:
    collection = json.loads(text)
    assert "FeatureCollection" == collection["type"]
    assert {"Polygon"}.issuperset(feature["geometry"]["type"] for feature in collection["features"])
    return [feature["properties"]["identifier"] for feature in collection["features"]]


LISTED: dict[str, Callable[[str], list[str]]] = {
    "table": lambda text: [line.split()[0] for line in text.splitlines()[1:]],
    "json": lambda text: [product["identifier"] for product in json.loads(text)],
    "jsonl": lambda text: [json.loads(line)["identifier"] for line in text.splitlines()],
    "geojson": listed_in_geojson,
    "stac": lambda text: [item["id"] for item in json.loads(text)["features"]],
    "csv": lambda text: [row["identifier"] for row in csv.DictReader(text.splitlines())],
    "urls": listed_in_urls,
}


@pytest.mark.parametrize("name", ["json", "jsonl", "geojson", "stac", "csv", "urls"])
async def test_a_listing_of_nothing_is_valid_too(serve: Callable[..., Any], run_cli: CommandHere, name: str) -> None:
    site = await serve([])

    said = await run_cli("search", "--base-url", site.server.url, *COLLECTION, "--format", name)

    assert 0 == said.code
    assert [] == LISTED[name](said.out)


@pytest.mark.parametrize("name", ["json", "jsonl", "geojson", "stac"])
async def test_a_listing_stays_valid_when_the_search_breaks_off(
    serve: Callable[..., Any], run_cli: CommandHere, name: str
) -> None:
    site = await serve([])

    said = await run_cli("search", "--base-url", site.server.url, "--collection", "NOPE", "--format", name)

    assert 1 == said.code
    assert [] == LISTED[name](said.out)
    assert "Unknown parentId 'NOPE'" in said.err


@pytest.mark.parametrize("name", ["table", "json", "csv", "urls"])
async def test_a_reader_that_has_had_enough_ends_a_listing_quietly(
    serve: Callable[..., Any], command: Command, name: str
) -> None:
    site = await serve(level2_scenes(1_000, size=700), page_maximum=1_000)
    line = f'"$0" -m collgs_async search --base-url {site.server.url} --collection S2_MSIL2A --format {name}'
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"{{ {line}; echo $? > code; }} 2> err | head -1", sys.executable),
        cwd=command.folder,
        stdout=asyncio.subprocess.PIPE,
    )

    out, _ = await shell.communicate()

    assert 1 == out.count(b"\n")
    assert "" == (command.folder / "err").read_text()
    assert "0\n" == (command.folder / "code").read_text()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ["help", "config"]),
        (0, ["completion", "bash"]),
        (0, ["--help"]),
        (0, ["demo", "--fault", "list"]),
        (0, ["search"]),
        (0, ["--dry-run", "--format", "json"]),
        (1, ["--dry-run", "--report", "-"]),
        (1, ["plan", "-"]),
    ],
)
async def test_without_a_reader_what_is_for_reading_ends_well_and_what_is_a_file_does_not(
    serve: Callable[..., Any], command: Command, code: int, words: list[str]
) -> None:
    site = await serve(level2_scenes(2))
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collgs_async", *words),
        cwd=command.folder,
        env={**os.environ, "COLLGS_BASE_URL": site.server.url, "COLLGS_COLLECTION": "S2_MSIL2A"},
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writer)
    _, err = await process.communicate()

    assert code == process.returncode
    assert b"Traceback" not in err
    assert b"BrokenPipe" not in err


async def test_a_map_is_complete_also_if_the_listing_is_not_read_to_its_end(
    serve: Callable[..., Any], command: Command
) -> None:
    scenes = level2_scenes(1_000, size=700)
    site = await serve(scenes, page_maximum=1_000)
    words = f"--base-url {site.server.url} --collection S2_MSIL2A --map all.html --no-quicklooks"
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{{ "$0" -m collgs_async search {words}; }} 2> err | head -1', sys.executable),
        cwd=command.folder,
        stdout=asyncio.subprocess.PIPE,
    )

    out, _ = await shell.communicate()

    assert 1 == out.count(b"\n")
    assert "Traceback" not in (command.folder / "err").read_text()
    page = (command.folder / "all.html").read_text("utf-8")
    assert all(scene.identifier in page for scene in scenes)


async def test_dry_run_lists_what_would_be_pulled_and_moves_no_archive_byte(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    site.folder.mkdir()
    site.archive(scenes[0]).write_bytes(site.original(scenes[0]))
    part = site.archive(scenes[1]).with_suffix(".zip.part")
    part.write_bytes(site.original(scenes[1])[:1000])
    before = files_below(site.folder)

    ended = assert_clean_exit(await run_cli(*at_url(site), "--dry-run", "--format", "json"))

    assert 0 == ended.code
    found = {product["identifier"]: product["action"] for product in json.loads(ended.out)}
    assert {scenes[1].identifier: "resume", scenes[2].identifier: "fetch"} == found
    assert "2 of 3 that match would be pulled" in ended.err
    assert [] == site.archive_hits()
    assert before == files_below(site.folder)


# ------------------------------------------------------------------------------------------------- report and codes


async def test_report_names_every_product_also_those_that_failed(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})
    site.folder.mkdir()
    site.archive(scenes[1]).write_bytes(site.original(scenes[1]))

    ended = assert_clean_exit(await run_cli(*at_url(site), "--report", "report.json"))

    report = json.loads((run_cli.folder / "report.json").read_bytes())
    entries = {entry["id"]: entry for entry in report["products"]}
    failed, skipped, downloaded = (entries[scene.identifier] for scene in scenes)
    assert 1 == ended.code
    assert ["summary", "search", "products"] == list(report)
    seconds = report["summary"].pop("seconds")
    assert 0 < seconds < 60
    counts = {"found": 3, "downloaded": 1, "skipped": 1, "failed": 1}
    assert {**counts, "bytes": scenes[2].size, "unfinished_bytes": 0, "members": 0} == report["summary"]
    assert {"total": 3, "pages": 1, "error": None, "left_out": {}, "missing": []} == report["search"]
    assert all(PRODUCT_KEYS == list(entry) for entry in entries.values())
    assert {"kind": "NotAvailableError", "message": "HTTP 404: Not Found"} == failed["error"]
    assert ("failed", None, 1) == (failed["status"], failed["path"], failed["attempts"])
    assert ("skipped", "exists", 0, 0) == tuple(skipped[key] for key in ("status", "reason", "bytes", "attempts"))
    assert ("downloaded", str(site.archive(scenes[2]))) == (downloaded["status"], downloaded["path"])
    assert ["report.json"] == files_below(run_cli.folder)


async def test_report_to_stdout_is_all_that_is_there(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(level2_scenes(2))

    ended = assert_clean_exit(await command(*at_url(site), "--report", "-"))

    assert 0 == ended.code
    assert 2 == json.loads(ended.out)["summary"]["downloaded"]
    assert [] == files_below(command.folder)


async def test_an_unknown_collection_is_told_in_the_servers_words(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))

    ended = assert_clean_exit(
        await run_cli("--base-url", site.server.url, "--collection", "NOPE", "--report", "report.json")
    )

    report = json.loads((run_cli.folder / "report.json").read_bytes())
    assert 1 == ended.code
    assert "HTTP 400: Unknown parentId 'NOPE'" in ended.err
    assert "CatalogueError" == report["search"]["error"]["kind"]
    assert [] == report["products"]


async def test_nothing_that_matches_is_all_right(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))

    ended = assert_clean_exit(await run_cli(*at_url(site), "--start", "2001-01-01", "--end", "2001-01-02"))

    assert 0 == ended.code
    assert "Nothing matches." in ended.err
    assert not site.folder.exists()


async def test_a_sign_in_form_stops_the_run_with_one_line(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(8)
    site = await serve(scenes, faults={scene.identifier: fault("login") for scene in scenes})

    ended = assert_clean_exit(await run_cli(*at_url(site)))

    assert 1 == ended.code
    assert 1 == sum(line.startswith("error: ") for line in ended.err.splitlines())
    assert "asks for a sign-in" in ended.err
    assert [] == list(site.folder.iterdir())


async def test_an_output_folder_below_a_file_is_refused_in_one_line(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(8))
    site.folder.write_text("")

    ended = assert_clean_exit(
        await run_cli("--base-url", site.server.url, *COLLECTION, "--output", site.folder / "archives")
    )

    assert 2 == ended.code
    assert "error: --output: expected a folder, found a file of this name" in ended.err
    assert 1 == len(ended.err.splitlines())
    assert [] == site.server.requests
    assert "" == site.folder.read_text()


# --------------------------------------------------------------------------------------------- how much is said


async def test_quiet_says_nothing_when_all_is_right(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))

    ended = assert_clean_exit(await run_cli(*at_url(site), "-q", "--end", "2022-01-01"))

    assert (0, "", "") == (ended.code, ended.out, ended.err)


async def test_quiet_still_says_what_failed(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})

    ended = assert_clean_exit(await run_cli(*at_url(site), "-q"))

    assert 1 == ended.code
    assert f"error: {scenes[0].identifier}: HTTP 404: Not Found; it is left out\n" == ended.err


@pytest.mark.parametrize(("flags", "told"), [((), False), (("-v",), True)])
async def test_verbose_says_more(
    serve: Callable[..., Any], run_cli: CommandHere, flags: tuple[str, ...], *, told: bool
) -> None:
    """A part of another archive is asked for from its start: a detail that only `-v` tells."""
    scene = level2_scenes(1)[0]
    site = await serve([scene])
    site.folder.mkdir()
    site.archive(scene).with_suffix(".zip.part").write_bytes(b"PK\x03\x04" + b"x" * 100_000)

    said = await run_cli(*at_url(site), *flags)

    assert 0 == said.code
    assert told is ("what is here is of another version; trying another request" in said.err)
    assert is_archive(site.archive(scene))


LOG_JSON = [
    pytest.param((), 1, id="a run with a failure"),
    pytest.param(("-v", "--end", "2022-01-01"), 1, id="and with more words"),
    pytest.param(("--workers", "0", "--bbox", "x"), 2, id="wrong values"),
    pytest.param(("--nonsense",), 2, id="an unknown flag"),
    pytest.param(("verify", "nowhere"), 2, id="a folder that is not there"),
    pytest.param(("search", "--collection", "NOPE"), 1, id="a search that fails"),
]


@pytest.mark.parametrize(("words", "code"), LOG_JSON)
async def test_log_json_makes_every_line_json(
    serve: Callable[..., Any], run_cli: CommandHere, words: tuple[str, ...], code: int
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})

    ended = assert_clean_exit(await run_cli(*at_url(site), "--log-json", *words))

    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert code == ended.code
    assert any(line["level"] == "error" for line in lines)
    assert all(["time", "level", "message"] == list(line)[:3] and line["time"].endswith("Z") for line in lines)


# ------------------------------------------------------------------------------------------------------ verify


async def test_verify_of_a_good_folder(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))
    await site.pull()

    ended = assert_clean_exit(await run_cli("verify", site.folder))

    assert (0, "") == (ended.code, ended.out)
    assert "3 checked" in ended.err
    assert "all of them right" in ended.err


async def test_verify_names_the_bad_ones_and_changes_nothing(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    await site.pull()
    flipped, cut = site.archive(scenes[0]), site.archive(scenes[1])
    middle = flipped.stat().st_size // 2
    flipped.write_bytes(flip(flipped.read_bytes(), middle))
    cut.write_bytes(cut.read_bytes()[:-30])
    before = {path: path.read_bytes() for path in site.folder.iterdir()}

    said = await run_cli("verify", site.folder)

    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert 1 == said.code
    assert 2 == len(errors)
    assert {flipped.name, cut.name} == {line.partition(".zip: ")[0].rpartition("/")[2] + ".zip" for line in errors}
    assert "2 of them bad" in said.err
    assert before == {path: path.read_bytes() for path in site.folder.iterdir()}


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


async def test_verify_of_a_single_file(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scene = level2_scenes(1)[0]
    site = await serve([scene])
    await site.pull()
    right = await run_cli("verify", site.archive(scene))
    site.archive(scene).write_text("no archive")

    wrong = await run_cli("verify", site.archive(scene))

    assert (0, 1) == (right.code, wrong.code)
    assert str(site.archive(scene)) in wrong.err


WITHOUT_COLLECTION: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "empty"),
    "collections": ("collections",),
    "compare": ("plan", "--diff", "old.json", "new.json"),
    "pull": ("--plan", "old.json"),
}


@pytest.mark.parametrize("words", WITHOUT_COLLECTION.values(), ids=WITHOUT_COLLECTION)
async def test_what_searches_nothing_needs_no_collection_whatever_else_is_set(
    serve: Callable[..., Any],
    run_cli: CommandHere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    site = await serve(level2_scenes(1))
    (tmp_path / "cwd" / "empty").mkdir()
    for name in ("old.json", "new.json"):
        Plan.of(site.server.url, [], parameters={"parentIdentifier": "A"}).write(tmp_path / "cwd" / name)
    monkeypatch.setenv("COLLGS_BBOX", "1,2,3,4")

    assert 0 == (await run_cli(*words, "--base-url", site.server.url)).code

    for command in (("search",), ("describe",), ("verify", "empty", "--repair"), ("plan", "x.json"), ("login",)):
        said = await run_cli(*command, "--base-url", site.server.url)
        assert 2 == said.code
        assert said.err.startswith("error: --collection: expected a collection such as S2_MSIL1C; ")


async def test_verify_of_an_empty_folder_says_so(run_cli: CommandHere, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    said = await run_cli("verify", tmp_path / "empty")

    assert 0 == said.code
    assert "no archives there" in said.err


async def test_verify_of_a_missing_folder_is_wrong_usage(run_cli: CommandHere, tmp_path: Path) -> None:
    said = await run_cli("verify", tmp_path / "nowhere")

    assert 2 == said.code
    assert (
        f"error: DIR: expected a folder with archives, found nothing at {tmp_path / 'nowhere'}: it is missing\n"
        == said.err
    )


async def test_verify_without_a_folder_takes_the_output_folder(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path
) -> None:
    site = await serve(level2_scenes(2))
    site.folder = tmp_path / "cwd" / "downloads"
    await site.pull()

    said = await run_cli("verify")

    assert 0 == said.code
    assert "2 checked" in said.err


# ---------------------------------------------------------------------------------------------- help and version


async def test_version(command: Command) -> None:
    ended = assert_clean_exit(await command("--version"))

    assert (0, f"collgs-async {__version__}\n", "") == (ended.code, ended.out, ended.err)


# ------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("way", ["flag", "variable", "file", "system"])
async def test_a_proxys_password_goes_to_the_proxy_and_nowhere_else(
    serve: Callable[..., Any], run_cli: CommandHere, way: str
) -> None:
    """The embedded server serves as the proxy: it takes absolute addresses as well."""
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})
    proxy = site.server.origin.replace("//", "//user:sekret@")
    words, environ = at_url(site), {}
    if way == "flag":
        words = (*words, "--proxy", proxy)
    elif way == "file":
        (run_cli.folder / "config.json").write_text(json.dumps({"connection": {"proxy": proxy}}))
    else:
        environ = {"COLLGS_PROXY" if way == "variable" else "http_proxy": proxy}
    if way == "system":  # which is not asked for addresses of this very machine
        words = tuple(str(word).replace(site.server.origin, "http://catalogue.test") for word in words)

    ended = assert_clean_exit(await run_cli(*words, "-v", "--log-json", "--report", "report.json", **environ))

    assert 1 == ended.code
    assert all("proxy-authorization" in hit.headers for hit in site.server.requests)
    assert is_archive(site.archive(scenes[1]))
    written = ended.out + ended.err + (run_cli.folder / "report.json").read_text()
    assert "sekret" not in written
    assert "dXNlcjpzZWtyZXQ" not in written


async def test_the_password_of_a_proxy_that_is_gone_is_not_told(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(level2_scenes(1))
    words = (*at_url(site), "--proxy", "http://user:sekret@127.0.0.1:9", "--retries", "0", "-v")

    ended = assert_clean_exit(await run_cli(*words, "--report", "-"))

    assert 1 == ended.code
    assert "no connection to the proxy 127.0.0.1:9" in ended.err
    assert "sekret" not in ended.err + ended.out
