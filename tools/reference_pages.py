"""Write the reference as Markdown from the program's own tables, so that the two cannot differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.cli.topics import EXIT_CODES, FILES, VARIABLES
from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from tools.command_words import forms, general_words, meaning, own_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

__all__ = ["commands", "general_flags", "meanings", "settings"]

_MEANINGS: Final = {"exit-codes": EXIT_CODES, "files": FILES, "variables": VARIABLES}


def settings(group: str) -> list[str]:
    """List the settings of a group by their flags: meaning, default, key and variable of each."""
    lines = []
    for option in (one for one in OPTIONS if one.group == group):
        flag = option.flag
        short = f"`{option.short}`, " if option.short else ""
        term = f"`{flag}`, `--no-{flag[2:]}`" if option.is_switch else f"{short}`{flag} {option.metavar}`"
        shown = str(option.default).lower() if option.is_switch else option.default
        default = "" if option.default is None else f" Default: `{shown}`."
        places = f"Key `{option.key}`, variable `{env_name(option)}`."
        lines += [term, f": {_sentence(option.help)}{default}", "", f"  {places}", ""]
    return lines


def general_flags() -> list[str]:
    """Make a table of the flags that every command has."""
    return _words(general_words())


def commands() -> list[str]:
    """Write a section on each command: its purpose, usage, arguments, and flags that others do not have."""
    return [line for name in COMMANDS for line in _command(name)]


def meanings(table: str) -> list[str]:
    """Make a table of names with their meanings: ``exit-codes``, ``files`` or ``variables``."""
    rows = [f"| {_code(name)} | {_cell(words)} |" for name, words in _MEANINGS[table].items()]
    return ["| name | meaning |", "| --- | --- |", *rows]


def _command(name: str) -> list[str]:
    command = COMMANDS[name]
    heading = [f"(command-{name})=", "", f"## {name}", "", _sentence(command.help), ""]
    usage = ["```text", (command_parser(name).usage or "").strip(), "```", ""]
    links = ", ".join(f"[{group}](#settings-{group})" for group in command.shown)
    effective = [f"Settings that have an effect: {links}.", ""] if links else []
    return [*heading, *usage, *_words(own_words(name)), *effective]


def _words(actions: Iterable[argparse.Action]) -> list[str]:
    rows = [f"| {', '.join(map(_code, forms(action)))} | {_cell(meaning(action))} |" for action in actions]
    return ["| word | meaning |", "| --- | --- |", *rows, ""] if rows else []


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}.".replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")  # a table is split before code is marked
