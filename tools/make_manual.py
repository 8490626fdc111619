"""Make the manual page and the completions of the wheel from the program's own tables, in ``docs/man`` and beside it.

``python -m tools.make_manual`` makes them again after a change of a command, a flag or the words about one.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async import __version__
from collgs_async.cli.completion import completion_script
from collgs_async.cli.parser import COMMANDS
from collgs_async.cli.topics import EXIT_CODES, FILES, TOPICS, VARIABLES
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from tools.command_words import forms, general_words, meaning, own_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from collgs_async.config.options import Option

DOCS: Final = Path(__file__).parents[1] / "docs"

COMPLETIONS: Final = {"bash": "collgs-async", "zsh": "_collgs-async", "fish": "collgs-async.fish"}
"""The names under which the shells look for them."""


def manual() -> str:
    """Return the manual page, in the macros of man(7)."""
    return "\n".join([line for part in _parts() for line in part]) + "\n"


def files() -> dict[Path, str]:
    """Return all files that this module makes, with their content."""
    completions = {DOCS / "completions" / name: completion_script(shell) for shell, name in COMPLETIONS.items()}
    return {DOCS / "man" / "collgs-async.1": manual(), **completions}


def _parts() -> Iterator[list[str]]:
    yield [f'.TH COLLGS-ASYNC 1 "" "collgs-async {__version__}" "User Commands"']
    yield [".SH NAME", _text("collgs-async - search and download Sentinel archives of the CollGS")]
    yield [".SH SYNOPSIS", ".B collgs-async", _text("[COMMAND] [OPTIONS]")]
    yield [".SH DESCRIPTION", _text(_DESCRIPTION)]
    yield [".SH COMMANDS", *_meanings({name: command.help for name, command in COMMANDS.items()})]
    yield [".SH OPTIONS", _text("Every command takes these, and all settings below.")]
    yield _meanings(_flags(general_words()))
    for name in COMMANDS:
        if own := own_words(name):
            yield [f".SS {_text(f'Options of {name}')}", *_meanings(_flags(own))]
    yield [".SH SETTINGS", _text("Each is a flag, an environment variable and a key of the configuration file.")]
    yield [line for option in OPTIONS for line in _setting(option)]
    yield [".SH EXIT STATUS", *_meanings(EXIT_CODES)]
    yield [".SH ENVIRONMENT", _text("Beside the variables of the settings:"), *_meanings(VARIABLES)]
    yield [".SH FILES", *_meanings(FILES)]
    for name in ("selection", "parts", "plans", "sign-in"):
        yield [f".SH {_text(name.upper())}", *_prose(TOPICS[name].prose)]


_DESCRIPTION: Final = (
    "Searches the catalogue and downloads what it finds: several archives at once, resumed where they stopped, and "
    "verified before they get their name. Without a command, download is meant. Exit code 0 means that everything "
    "which the catalogue lists for the query is here."
)


def _flags(actions: Iterable[argparse.Action]) -> dict[str, str]:
    return {", ".join(forms(action)): meaning(action) for action in actions}


def _setting(option: Option) -> list[str]:
    short = f"{option.short}, " if option.short else ""
    flag, places = f"{short}{option.flag} {option.metavar}".rstrip(), f"{option.key}, {env_name(option)}"
    return [".TP", f".B {_text(flag)}", _text(f"{option.help} ({places})")]


def _meanings(rows: Mapping[str, str]) -> list[str]:
    return [line for name, words in rows.items() for line in (".TP", f".B {_text(name)}", _text(words))]


def _prose(prose: str) -> Iterator[str]:
    for paragraph in prose.split("\n\n"):
        if paragraph.startswith(" "):
            yield from (".PP", ".nf", _text(textwrap.dedent(paragraph)), ".fi")
        elif paragraph:
            yield from (".PP", _text(" ".join(paragraph.split())))


def _text(words: str) -> str:
    """Escape what man(7) would read as a request, an escape or a typographic hyphen."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n"))


if __name__ == "__main__":
    for path, content in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
