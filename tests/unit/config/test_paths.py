"""Names of files and folders with a tilde or variables in them, wherever they are written."""

from __future__ import annotations

import json
import os
import pwd
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.config.loading import load_config
from collgs_async.config.paths import read_path
from collgs_async.config.settings import Config, Connection, Selection
from collgs_async.errors import ConfigError
from tests.conftest import level2_scenes
from tests.support.commands import COLLECTION, at_url, files_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere

ME = pwd.getpwuid(os.getuid())
SEARCH = {"parentIdentifier": "S2_MSIL2A"}
CERTIFICATE = Path(__file__).parents[2] / "support" / "certificate.pem"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own, and a folder to work in."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BLANK", "")
    monkeypatch.delenv("UNSET", raising=False)
    (tmp_path / "cwd").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "cwd")
    return folder


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", "{home}"),
        ("~/", "{home}"),
        ("~/a/~b", "{home}/a/~b"),
        (f"~{ME.pw_name}/a", f"{ME.pw_dir.rstrip('/')}/a"),
        ("$DATA", "{data}"),
        ("$DATA/a", "{data}/a"),
        ("${DATA}a/$DATA", "{data}a/{data}"),
        ("/x/$$DATA", "/x/$DATA"),
        ("/x/US$/5$", "/x/US$/5$"),
        ("a/~", "a/~"),
        ("-", "-"),
    ],
)
def test_a_path_means_what_it_means_in_a_shell(written: str, meant: str, home: Path, tmp_path: Path) -> None:
    assert read_path(written) == Path(meant.format(home=home, data=tmp_path / "data"))


def test_a_tilde_may_come_out_of_a_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "~/archives")

    assert home / "archives" == read_path("$DATA")


def test_a_dollar_that_comes_out_of_a_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/a/$UNSET")

    assert Path("/a/$UNSET") == read_path("$DATA")


def test_a_folder_that_is_called_like_a_user_can_be_named() -> None:
    assert Path.cwd() / "~a" == read_path("./~a") == read_path(read_path("./~a"))


def test_without_home_the_system_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("HOME")
        else:
            monkeypatch.setenv("HOME", value)

        assert Path(ME.pw_dir, "a") == read_path("~/a")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("~no.such.user/a", 'expected the home of a known user, found "~no.such.user/a"'),
        ("$UNSET/a", 'expected a variable that is set, found "$UNSET/a": UNSET is not set; $$ means a dollar'),
        ("a/${UNSET}", 'expected a variable that is set, found "a/${UNSET}": UNSET is not set; $$ means a dollar'),
        ("$BLANK/a", 'expected a variable that is set, found "$BLANK/a": BLANK is empty; $$ means a dollar'),
        ("${DATA:-/tmp}", 'expected variables such as $NAME or ${NAME}, found "${DATA:-/tmp}"'),
        ("${DATA", 'expected variables such as $NAME or ${NAME}, found "${DATA"'),
        ("${}", 'expected variables such as $NAME or ${NAME}, found "${}"'),
    ],
)
def test_what_leads_nowhere_is_refused(written: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        read_path(written)


@pytest.mark.parametrize("written", ["", " ", "a\0b", "\ud800"])
def test_what_is_no_name_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_path(written)


async def test_an_empty_name_is_refused(run_cli: CommandHere) -> None:
    said = await run_cli("--report=", *COLLECTION)

    assert (2, 'error: --report: expected the name of a file or folder, found ""\n') == (said.code, said.err)


def test_a_home_that_is_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "here")

    with pytest.raises(ValueError, match='expected a home that is a folder, found "~/a": it is "here"'):
        read_path("~/a")


@given(st.text())
def test_no_text_leads_to_a_folder_called_tilde(written: str) -> None:
    try:
        path = read_path(written)
    except ValueError:
        return

    assert not str(path).startswith("~")
    assert path == read_path(path)


def test_every_path_of_the_configuration_is_read_so(home: Path) -> None:
    (home / "ca.pem").write_bytes(CERTIFICATE.read_bytes())
    (home / "aoi (1).geojson").write_text('{"type": "Point", "coordinates": [6, 49.6]}')
    (home / "ids.txt").write_text("A")
    file = home / "config.json"
    sections = {
        "connection": {"ca_file": "~/ca.pem"},
        "selection": {"aoi": "~/aoi (1).geojson", "ids": "$HOME/ids.txt"},
    }
    file.write_text(json.dumps({"parameters": SEARCH, "output_directory": "${HOME}/archives", **sections}))

    config = Config.from_file("~/config.json")

    assert home / "archives" == config.output_directory
    assert home / "ca.pem" == config.connection.ca_file
    assert home / "aoi (1).geojson" == config.selection.aoi
    assert home / "ids.txt" == config.selection.ids


def test_flags_and_variables_are_read_so(home: Path) -> None:
    by_flag = load_config(None, environ={}, flags={"parameters.parentIdentifier": "A", "output_directory": "~/a"})
    by_variable = load_config(None, environ={"COLLGS_COLLECTION": "A", "COLLGS_OUTPUT": "~/b"}, flags={})

    assert [home / "a", home / "b"] == [by_flag.output_directory, by_variable.output_directory]


def test_a_path_of_python_is_read_so_but_for_its_dollars(home: Path) -> None:
    config = Config(parameters=SEARCH, output_directory=Path("~/a$UNSET"))

    assert home / "a$UNSET" == config.output_directory
    assert config.output_directory == replace(config, base_url="http://a.example").output_directory


@pytest.mark.parametrize("wrong", ["~no.such.user/a", "$UNSET/a", "$BLANK/a"])
@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda path: Config(parameters=SEARCH, output_directory=path), "output_directory"),
        (lambda path: Connection(ca_file=path), "connection.ca_file"),
        (lambda path: Selection(aoi=path), "selection.aoi"),
        (lambda path: Selection(ids=path), "selection.ids"),
    ],
)
def test_what_leads_nowhere_is_named_by_its_key(make: Callable[[str], object], key: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(wrong)

    assert [f"{key}: expected"] == [problem[: len(key) + 10] for problem in caught.value.problems]
    assert f'"{wrong}"' in str(caught.value)


WORDS = [
    ("download", "--config"),
    ("download", "--report"),
    ("download", "--plan"),
    ("download", "--output"),
    ("download", "--ca-file"),
    ("download", "--aoi"),
    ("download", "--ids"),
    ("search", "--map"),
    ("plan", "--diff"),
    ("plan", "FILE"),
    ("verify", "DIR"),
    ("init", "FILE"),
]


@pytest.mark.parametrize("wrong", ["~no.such.user/a", "$UNSET/a.json", "${UNSET}"])
@pytest.mark.parametrize(("name", "flag"), WORDS)
async def test_a_word_that_leads_nowhere_ends_the_command(
    run_cli: CommandHere, name: str, flag: str, wrong: str, tmp_path: Path
) -> None:
    words = [f"{flag}={wrong}"] if flag.startswith("--") else [wrong]
    before = files_below(tmp_path)

    said = await run_cli(name, *words, "--base-url", "http://127.0.0.1:9", *COLLECTION)

    assert (2, "") == (said.code, said.out)
    assert [f"error: {flag}: expected"] == [line[: len(flag) + 17] for line in said.err.splitlines()]
    assert before == files_below(tmp_path)


async def test_a_run_reads_and_writes_at_home(run_cli: CommandHere, serve: Callable[..., Any], home: Path) -> None:
    site = await serve(level2_scenes(1))
    words = (*at_url(site)[:-1], "~/archives", "--report=~/report.json")

    said = await run_cli(*words)
    planned = await run_cli("plan", *words[:-1], "~/plan.json")
    mapped = await run_cli("search", *words[:-1], "--map=$HOME/map.html", "--no-quicklooks")
    verified = await run_cli("verify", "~/archives")
    begun = await run_cli("init", "$HOME/mine.json")

    assert [0] * 5 == [each.code for each in (said, planned, mapped, verified, begun)]
    name = level2_scenes(1)[0].identifier
    found = ["archives", f"archives/{name}.zip", "map.html", "mine.json", "plan.json", "report.json"]
    assert found == files_below(home)
    assert [] == files_below(Path.cwd())
