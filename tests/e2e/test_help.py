"""What the command says about itself: help on one screen, topics from the tables, and all that without a wait."""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from collgs_async.cli.help import help_text
from collgs_async.cli.main import main
from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.cli.topics import EXIT_CODES, FILES, TOPICS, VARIABLES
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError
from tests.support.demo import listing
from tests.support.servers import UNUSED_ORIGIN
from tools import reference_pages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command, CommandHere

COLLECTION = ("--collection", "S2_MSIL2A")

LOADED = """\
import json, sys
from collgs_async.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""


def reference_table(name: str) -> dict[str, str]:
    """The rows of a table of the reference."""
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in reference_pages.meanings(name)]
    return {html.unescape(name): html.unescape(meaning) for name, meaning in rows[2:]}


def too_long(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > 80]


async def test_the_help_fits_one_screen_and_names_commands_topics_and_three_examples(run_cli: CommandHere) -> None:
    ended = await run_cli("--help", COLUMNS="80")

    assert (0, "") == (ended.code, ended.err)
    assert len(ended.out.splitlines()) <= 60
    assert [] == too_long(ended.out)
    assert [] == [name for name in COMMANDS if not re.search(rf"^  {name} ", ended.out, re.M)]
    assert [] == [topic for topic in TOPICS if topic not in ended.out.partition("help TOPIC")[2]]
    assert 3 == len(re.findall("^  collgs-async (?!COMMAND|help)", ended.out, re.M))
    assert [] == list(run_cli.folder.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
async def test_help_of_each_command_fits_the_width_and_touches_nothing(run_cli: CommandHere, name: str) -> None:
    ended = await run_cli(name, "--help", COLUMNS="80")

    assert (0, "") == (ended.code, ended.err)
    assert COMMANDS[name].help in ended.out
    assert [] == too_long(ended.out)
    assert [] == list(run_cli.folder.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_of_a_help_names_what_stands_without_a_flag(name: str) -> None:
    usage, *rest = command_parser(name).format_help().splitlines()
    operands = [str(action.metavar) for action in command_parser(name)._actions if not action.option_strings]

    assert operands == re.findall(r"[A-Z]{3,}", usage.replace("[OPTIONS]", ""))
    assert "positional arguments:" not in rest


def test_the_help_of_a_download_names_every_option() -> None:
    told = command_parser("download").format_help()

    assert [] == [option.flag for option in OPTIONS if option.flag not in told]


def test_the_examples_of_the_help_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    from collgs_async.cli.parser import parse

    with pytest.raises(SystemExit):
        main(["--help"])
    examples = capsys.readouterr().out.partition("examples:\n")[2].partition("\n\n")[0].replace("\\\n", " ")

    for line in examples.splitlines():
        assert parse(line.split()[1:]).command in COMMANDS


# -------------------------------------------------------------------------------------------------------- topics


@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_is_explained_within_the_width(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["help", topic])
    told = capsys.readouterr()

    assert (0, "") == (code, told.err)
    assert told.out.startswith(f"{topic}: {TOPICS[topic].title}\n\n")
    assert [] == too_long(told.out)
    assert "collgs-\n" not in told.out


def test_help_without_a_topic_names_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["help"])

    told = capsys.readouterr().out
    assert [] == [topic for topic in TOPICS if f"  {topic} " not in told]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_a_command_as_the_command_itself_does(name: str) -> None:
    assert command_parser(name).format_help() == help_text(name)


def test_no_topic_has_the_name_of_a_command() -> None:
    assert set() == set(TOPICS) & set(COMMANDS)


def test_an_unknown_topic_is_told_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["help", "exit-code"])

    told = capsys.readouterr()
    assert "" == told.out
    assert told.err.startswith("error: help: expected a command or one of selection, ")
    assert told.err.endswith(", found 'exit-code'; did you mean exit-codes?\n")


def test_topics_name_all_that_the_tables_have() -> None:
    assert [] == [option.key for option in OPTIONS if f"  {option.key}" not in help_text("config")]
    assert [] == [env_name(option) for option in OPTIONS if f"  {env_name(option)} " not in help_text("environment")]
    assert [] == [name for name in VARIABLES if name not in help_text("environment")]
    told = help_text("selection") + help_text("parts") + help_text("mirror") + help_text("transfer")
    assert [] == [option.flag for option in OPTIONS if f" {option.flag}" not in told]


def test_the_tables_are_those_of_the_readme() -> None:
    assert EXIT_CODES == reference_table("exit-codes")
    assert FILES == reference_table("files")


def test_a_topic_is_needed_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^help: expected a command or one of"):
        help_text("")


# ------------------------------------------------------------------------------------------------------ no waiting


@pytest.mark.parametrize("words", ["--help", "--version", "search --help", "help", "help config", "completion zsh"])
async def test_what_needs_no_catalogue_waits_for_no_heavy_module(command: Command, words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOADED, *words.split()),
        cwd=command.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = await command.end(process)

    loaded = set(json.loads(ended.out.splitlines()[-1]))
    assert "collgs_async.config.options" in loaded
    heavy = {"aiohttp", "shapely", "tqdm", "tenacity", "aiofiles", "yarl", "asyncio", "ssl", "numpy"}
    ours = {"models.timetable", "reporting.listing", "reporting.member_listing"}
    assert set() == loaded & (heavy | {f"collgs_async.{name}" for name in ours})
    assert words not in {"--help", "--version"} or "collgs_async.config.loading" not in loaded


async def test_a_search_loads_nothing_of_downloads_maps_and_login_forms(command: Command) -> None:
    words = ("search", *COLLECTION, "--base-url", "http://127.0.0.1:9/", "--retries", "0")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOADED, *words),
        cwd=command.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = await command.end(process)

    loaded = set(json.loads(ended.out.splitlines()[-1]))
    assert "collgs_async.catalogue.search" in loaded
    needless = {"transfer.downloader", "storage.lock", "storage.verify", "reporting.map.page", "http.login_form"}
    needless |= {"transfer.run", "storage.zip_directory", "ledger.hand_in", "reporting.bars", "reporting.stac_items"}
    needless |= {"reporting.dry_run"}
    assert set() == loaded & {"shapely", "tqdm", "numpy", "html.parser", *(f"collgs_async.{name}" for name in needless)}


def test_what_a_command_hides_it_still_understands() -> None:
    """One configuration serves all commands, and so does one line of flags."""
    hidden = [action for action in command_parser("login")._actions if action.help == argparse.SUPPRESS]

    assert "--workers" in {flag for action in hidden for flag in action.option_strings}
    assert "8" == getattr(command_parser("login").parse_args(["--workers", "8"]), "download_options.workers")


@pytest.mark.parametrize(
    "words",
    [
        "search --collection S2_MSIL2A",
        "--collection S2_MSIL2A --dry-run",
        "--collection S2_MSIL2A --report -",
        "plan - --collection S2_MSIL2A",
        "plan --diff plan.json",
        "collections",
        "describe S2_MSIL2A",
    ],
)
async def test_a_result_that_has_nowhere_to_go_is_an_error(tmp_path: Path, words: str) -> None:
    script = f'exec "{sys.executable}" -m collgs_async {words} --base-url {UNUSED_ORIGIN} >&-'
    process = await asyncio.create_subprocess_exec("sh", "-c", script, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)

    _, err = await process.communicate()

    assert (1, b"error: standard output is closed, and the result would go there\n") == (process.returncode, err)
    assert [] == listing(tmp_path)


async def test_a_short_result_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """It stays in the buffer until the end."""
    script = f'exec "{sys.executable}" -m collgs_async demo --fault list > /dev/full'
    process = await asyncio.create_subprocess_exec("sh", "-c", script, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)

    _, err = await process.communicate()

    assert (1, b"error: standard output: No space left on device\n") == (process.returncode, err)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("help", 0), ("helo", 2)])
async def test_closed_output_is_no_reason_to_fail(tmp_path: Path, closed: str, words: str, code: int) -> None:
    script = f'exec "{sys.executable}" -m collgs_async {words} {closed}'
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("sh", "-c", script, cwd=tmp_path, stdout=pipe, stderr=pipe)

    _, err = await process.communicate()

    assert code == process.returncode
    assert b"Traceback" not in err
