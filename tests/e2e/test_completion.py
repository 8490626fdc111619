"""Completion, asked of the shells themselves: Tab is pressed in a terminal, and what they then run is looked at."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from collgs_async.cli.arguments import SHELLS
from collgs_async.cli.completion import completion_script
from collgs_async.cli.main import main
from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.cli.topics import TOPICS
from collgs_async.config.settings import OPTIONS
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOKS = 'collgs-async() { printf "ran"; printf " <%s>" "$@"; echo " end""ed"; }'
"""What stands for the command: it shows its words, marked so that the echo of what was typed is no answer."""


def shell(name: str) -> str:
    """Find a shell; without it the test is skipped, but never where all programs ought to be."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and with CI set it must be")
    return path or pytest.skip(f"{name} is not installed")


ON_A_TERMINAL = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
"""Runs a program on a terminal; to fork here would not do, since the process of the tests may have threads."""


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.line, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "dumb", "HISTFILE": "/dev/null", "HOME": str(folder)}
        environ.pop("XDG_CACHE_HOME", None)
        starter = [sys.executable, "-c", ON_A_TERMINAL, str(theirs), *words]
        self.process = subprocess.Popen(starter, cwd=folder, env=environ, pass_fds=[theirs])
        os.close(theirs)

    def type(self, text: str, until: str) -> str:
        """Type, and read until the terminal shows this (a regular expression)."""
        os.write(self.line, text.encode())
        shown, retry = "", time.monotonic() + HANGS
        while not re.search(until, shown):
            assert time.monotonic() < retry, f"typed {text!r}, waited for {until!r}, saw {shown!r}"
            if select.select([self.line], [], [], 0.5)[0]:
                shown += os.read(self.line, 4096).decode(errors="replace")
        return shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with something to complete, and the scripts outside of it."""
    outside = tmp_path_factory.mktemp("completion")
    for name in SHELLS:
        (outside / f"script.{name}").write_text(completion_script(name))
    inside = outside / "inside"
    inside.mkdir()
    (inside / "my plan.json").touch()
    (inside / "mylake").mkdir()
    kept = inside / ".cache" / "collgs-async" / "collections"  # bash and zsh have their home there
    kept.parent.mkdir(parents=True)
    kept.write_text("S2_MSIL1C\nS1_SAR_GRD\n")
    return inside


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    path = shell(request.param)
    quiet = ["--norc", "--noprofile", "-i"] if request.param == "bash" else ["-f", "-i"]
    opened = Terminal([path, *quiet], folder)
    if request.param == "zsh":
        opened.type("unsetopt prompt_sp; PS1='$ '; autoload -Uz compinit; compinit -u -D; echo rea''dy\n", "ready")
    opened.type(f"source {folder.parent}/script.{request.param}; echo rea''dy\n", "ready")
    opened.type(f"{LOOKS}; echo rea''dy\n", "ready")
    yield opened
    opened.close()


COMPLETED = [
    ("sea", "<search>"),
    ("--collection S2_MSIL2A --latest-b", "<--collection> <S2_MSIL2A> <--latest-baseline>"),
    ("--collection S2", "<--collection> <S2_MSIL1C>"),
    ("search --collection=S1", "<search> <--collection=S1_SAR_GRD>"),
    ("describe S1", "<describe> <S1_SAR_GRD>"),
    ("describe S9", "<describe> <S9>"),
    ("-j 2 -o myl", "<-j> <2> <-o> <mylake/?>"),
    ("--verify str", "<--verify> <structure>"),
    ("--verify=str", "<--verify=structure>"),
    ("--output search pla", "<--output> <search> <plan>"),
    ("--output myl", "<--output> <mylake/?>"),
    ("--plan my\\ ", "<--plan> <my plan.json>"),
    ("plan --diff my\\ ", "<plan> <--diff> <my plan.json>"),
    ("plan my\\ ", "<plan> <my plan.json>"),
    ("verify myl", "<verify> <mylake/?>"),
    ("help exit", "<help> <exit-codes>"),
    ("completion fi", "<completion> <fish>"),
    ("search --forma", "<search> <--format>"),
    ("--bands SC", "<--bands> <SCL>"),
    ("--bands B02,SC", "<--bands> <B02,SCL>"),
    ("--bands=B02,SC", "<--bands=B02,SCL>"),
    ("search --resolution 20,al", "<search> <--resolution> <20,all>"),
]


@pytest.mark.parametrize(("typed", "run"), COMPLETED, ids=[typed for typed, _ in COMPLETED])
def test_tab_completes_in_bash_and_zsh(terminal: Terminal, typed: str, run: str) -> None:
    # Tab and Enter are typed at once: the shell takes the one when it is done with the other.
    shown = terminal.type(f"collgs-async {typed}\t\n", "ran .* ended")

    assert re.search(f"ran {run} ended", shown), shown


def test_what_another_command_has_is_not_offered(terminal: Terminal) -> None:
    shown = terminal.type("collgs-async search --repor\t\n", "ran .* ended")

    assert "ran <search> <--repor> ended" in shown


def fish(folder: Path, typed: str) -> list[str]:
    """What fish offers, each without its description."""
    words = f"source ../script.fish; complete -C 'collgs-async {typed}'"
    environ = {**os.environ, "HOME": str(folder.parent), "XDG_CACHE_HOME": str(folder / ".cache")}
    ended = subprocess.run([shell("fish"), "-N", "-c", words], cwd=folder, env=environ, capture_output=True, text=True)
    assert (0, "") == (ended.returncode, ended.stderr)
    return [line.split("\t")[0] for line in ended.stdout.splitlines()]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", [*sorted(COMMANDS)]),
        ("sea", ["search"]),
        ("--collection S", ["S1_SAR_GRD", "S2_MSIL1C"]),
        ("describe S2", ["S2_MSIL1C"]),
        ("--verify s", ["size", "structure"]),
        ("--verify=s", ["--verify=size", "--verify=structure"]),
        ("--output my", ["mylake/"]),
        ("--output search pl", ["plan"]),
        ("--plan my", ["my plan.json", "mylake/"]),
        ("plan my", ["my plan.json", "mylake/"]),
        ("verify my", ["mylake/"]),
        ("help exit", ["exit-codes"]),
        ("completion fi", ["fish"]),
        ("--workers ", []),
        ("search --repor", []),
        ("--repor", ["--report"]),
        ("download --repor", ["--report"]),
        ("--bands SC", ["SCL"]),
        ("--bands VV,B02,IW", ["VV,B02,IW1", "VV,B02,IW2", "VV,B02,IW3"]),
        ("--bands=VV,IW", ["--bands=VV,IW1", "--bands=VV,IW2", "--bands=VV,IW3"]),
    ],
)
def test_fish_offers(folder: Path, typed: str, offered: list[str]) -> None:
    assert offered == sorted(fish(folder, typed))


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_is_printed_alone_and_right_for_its_shell(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["completion", name])

    told = capsys.readouterr()
    script = tmp_path / "script"
    script.write_text(told.out)
    assert "" == told.err
    assert 0 == subprocess.run([shell(name), "-n", str(script)]).returncode


@pytest.mark.parametrize("name", SHELLS)
def test_every_option_and_command_and_topic_is_in_it(name: str) -> None:
    script = completion_script(name)
    flags = {option.flag[2:] for option in OPTIONS} | {
        flag.lstrip("-") for command in COMMANDS for flag in command_parser(command)._option_string_actions
    }

    assert set() == {word for word in {*flags, *COMMANDS, *TOPICS} if not re.search(rf"\b{word}\b", script)}


def test_another_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["completion", "tcsh"])
    assert 2 == main(["completion"])

    assert "SHELL: " in capsys.readouterr().err
