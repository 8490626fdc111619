"""Flags as they are typed by habit, and what is said of those that a command does not know."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import __version__
from collgs_async.cli.examples import EXAMPLES
from collgs_async.cli.parser import COMMANDS, command_parser, parse
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.faults import FAULTS
from collgs_async.errors import ConfigError
from collgs_async.reporting.formats import FORMATS
from tests.conftest import level2_scenes
from tests.support.commands import at_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere

KEYS = {
    "-o": "output_directory",
    "-j": "download_options.workers",
    "-n": "parameters.count",
}


# ------------------------------------------------------------------------------------------------- short flags


@pytest.mark.parametrize("spelled", ["{} 8", "{}8", "{}=8", "-q {} 8", "-q{} 8", "-qv{}8"])
@pytest.mark.parametrize("flag", KEYS)
@pytest.mark.parametrize("line", ["{} search", "search {}", "download {}", "{}"])
def test_a_short_flag_takes_its_value_in_each_usual_spelling(line: str, flag: str, spelled: str) -> None:
    in_row = re.match("-[qv]+[{]", spelled) is not None
    words = line.format(spelled.format(flag[1:] if in_row else flag))

    args = parse(words.split())

    assert {KEYS[flag]: "8"} == args.flags
    assert spelled.startswith("-q") == args.quiet


def test_the_configuration_and_the_version_have_short_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert "mine.json" == str(parse(["-c", "mine.json", "search"]).config)
    with pytest.raises(SystemExit):
        parse(["-V"])
    assert f"collgs-async {__version__}\n" == capsys.readouterr().out


async def test_short_flags_do_what_the_long_ones_do(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(3))

    ended = await run_cli("-j", "1", "-n2", "-o", "here", *at_url(site)[:-2])

    assert 0 == ended.code
    assert 2 == len(list((run_cli.folder / "here").glob("*.zip")))


@pytest.mark.parametrize("words", [["--sort", "-overlap"], ["--sort", "-j"], ["--bbox", "-73.4,45.7,-73.2,45.9"]])
def test_a_value_that_begins_with_a_minus_is_a_value(words: list[str]) -> None:
    if words[1] == "-j":
        with pytest.raises(ConfigError, match=r"^--sort: expected one argument$"):
            parse(["search", *words])
    else:
        args = parse(["search", *words])
        assert words[1] in {args.sort, args.flags.get("parameters.box")}


# -------------------------------------------------------------------------------------------------- cloud cover


@pytest.mark.parametrize(
    ("words", "sent"), [("20", "[0,20]"), ("20%", "[0,20]"), ("5,20", "[5,20]"), ("[5,20]", "[5,20]"), ("0", "[0,0]")]
)
async def test_one_number_is_the_most_cloud(
    serve: Callable[..., Any], run_cli: CommandHere, words: str, sent: str
) -> None:
    site = await serve(level2_scenes(1))

    by_flag = await run_cli("search", *at_url(site), "--cloud-cover", words)
    by_variable = await run_cli("search", *at_url(site), COLLGS_CLOUD_COVER=words)

    assert (0, 0) == (by_flag.code, by_variable.code)
    assert {sent} == {hit.query["cloudCover"] for hit in site.server.requests if "cloudCover" in hit.query}


# ---------------------------------------------------------------------------------------------- unknown flags


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("search --report r.json", "--report: unknown here; it belongs to download, sync and retry, not to search"),
        ("--repair", "--repair: unknown here; it belongs to verify, not to download"),
        ("verify --sizes", "--sizes: unknown here; it belongs to search, plan and download, not to verify"),
        ("verify --sizes=1", "--sizes: unknown here; it belongs to search, plan and download, not to verify"),
        ("--report r.json search", "--report: unknown here; it belongs to download, sync and retry, not to search"),
        ("search --reprt r.json", "--reprt: unknown here"),
        ("download --reprt r.json", "--reprt: unknown here; did you mean --report?"),
        ("--reprt r.json", "--reprt: unknown here; did you mean --report?"),
        ("--reprt r.json search", "--reprt: unknown here"),
        ("search --cloud 20", "--cloud: unknown here; did you mean --cloud-cover?"),
        ("search --cloud_cover 20", "--cloud_cover: unknown here; did you mean --cloud-cover?"),
        ("login --collections S2", "--collections: unknown here"),
        ("search -x", "-x: unknown here"),
        ("search folder", 'search: expected options, found "folder"'),
    ],
)
def test_an_unknown_word_is_told_whose_it_is_or_what_is_near(words: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(words.split())

    assert (line,) == caught.value.problems


# ------------------------------------------------------------------------------------------------------- choices


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("download", "--verify crc|structure|size"),
        ("verify", "--verify crc|structure|size"),
        ("search", f"--format {'|'.join(FORMATS)}"),
        ("collections", "--format table|json"),
        ("search", "--orbit-direction ASCENDING|DESCENDING"),
        ("search", "--by cloud|coverage"),
        ("login", "--sign-in auto|always"),
        ("demo", "--sign-in html|script"),
    ],
)
def test_the_help_lists_what_a_flag_may_be(name: str, flag: str) -> None:
    assert re.search(rf"^  {re.escape(flag)}( |$)", command_parser(name).format_help(), re.M)


# ------------------------------------------------------------------------------------------------------ examples


def commands_of(line: str) -> list[list[str]]:
    """Return the commands of an example, as words, without what a shell does with their output."""
    return [shlex.split(found) for found in re.findall(r"\bcollgs-async(?= |$)([^<>()]*)", line)]


RUN = [
    (name, words)
    for name, rows in EXAMPLES.items()
    for line in rows.values()
    for words in commands_of(line)
    if name != "demo"
]


def test_each_command_has_examples_in_its_help() -> None:
    assert list(EXAMPLES) == list(COMMANDS)
    for name, rows in EXAMPLES.items():
        shown = re.sub(r" \\\n +", " ", command_parser(name).format_help().partition("examples:\n")[2])
        assert [f"  # {purpose}\n  {line}\n" for purpose, line in rows.items()] == re.findall("  #.*\n.*\n", shown)
        assert all(commands_of(line) for line in rows.values())


@pytest.mark.parametrize("line", EXAMPLES["demo"].values())
def test_the_examples_of_the_demo_are_understood(line: str) -> None:
    for words in commands_of(line):
        args = parse(words)
        assert "demo" == args.command
        assert set(args.fault) <= set(FAULTS)


@pytest.mark.parametrize(("name", "words"), RUN, ids=[" ".join(words) for _, words in RUN])
async def test_an_example_does_what_it_says(
    serve: Callable[..., Any], run_cli: CommandHere, name: str, words: list[str]
) -> None:
    first = date(2025, 6, 1) if "2025-06-01" in words else (datetime.now(UTC) - timedelta(days=20)).date()
    site = await serve(make_constellation(first=first, last=first + timedelta(days=15), size=20_000))
    environ = {"COLLGS_BASE_URL": site.server.url, "XDG_CACHE_HOME": str(run_cli.folder)}
    if name != "login":
        environ["COLLGS_COUNT"] = "2"
    if name == "plan" and "--collection" not in words:
        await run_cli("plan", "plan.json", "--collection", "S2_MSIL2A", **environ)
    if name == "verify":
        await run_cli("--collection", "S2_MSIL2A", **environ)
    if name in {"prune", "status", "ledger", "retry"}:
        for folder in ("mirror", "downloads"):
            (run_cli.folder / folder).mkdir()
            await run_cli("ledger", "rebuild", "-o", folder)
        await run_cli("--collection", "S2_MSIL2A", "-o", "mirror", **environ)
        await run_cli("ledger", "rebuild", "-o", "mirror")
        held = next((run_cli.folder / "mirror").glob("*.zip")).stem
        words = [held if word.startswith("S2A_") else word for word in words]
    if name == "ls":
        names = [scene.identifier for scene in site.server.scenes if scene.collection == "S2_MSIL2A"]
        (run_cli.folder / "chosen.txt").write_text("\n".join(names[:2]))
    if "config.json" in words and "-c" in words:
        (run_cli.folder / "config.json").write_text('{"parameters": {"parentIdentifier": "S2_MSIL2A"}}')

    ended = await run_cli(*words, **environ)

    assert 0 == ended.code, ended.err
    assert "warning" not in ended.err or "without a known SHA-256" in ended.err
    assert made_by(words) <= {path.name for path in run_cli.folder.iterdir()}


def made_by(words: list[str]) -> set[str]:
    """Return the files and folders that an example ought to leave."""
    named = {word for flag, word in pairwise(words) if flag in {"-o", "--map", "--report"}}
    if words[0] == "init":
        named.add(words[1] if len(words) > 1 else "config.json")
    return set() if "--dry-run" in words else named
