"""Describe a word of the command line that is not understood, with what may have been meant."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from collgs_async.errors import did_you_mean
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["unknown_command", "unknown_word"]


def unknown_command(word: str, commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """Return the error for a word in the place of a command."""
    if word.endswith(".json"):
        return f"expected a command, found {word!r}; did you mean --config {word}?"
    return f"expected one of {', '.join(commands)}, found {word!r}{did_you_mean(word, commands)}"


def unknown_word(word: str, command: str, commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """Return the error for a word that a command does not know: whose flag it is, or a flag of this command near it.

    Parameters
    ----------
    word
        As typed, perhaps with a value after an equals sign.
    command
        The name of the command.
    commands
        The parsers of all commands, by name.
    """
    if not word.startswith("-"):
        return f"{command}: expected options, found {quote_value(word)}"
    flag = word.partition("=")[0]
    owners = [name for name, parser in commands.items() if flag in _shown_flags(parser)]
    if owners:
        return f"{flag}: unknown here; it belongs to {_listed(owners)}, not to {command}"
    return f"{flag or quote_value(flag)}: unknown here{_near_flag(flag, _shown_flags(commands[command]))}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _near_flag(flag: str, known: Sequence[str]) -> str:
    """Return a suggestion: the only flag that begins like this one, else the one most like it."""
    longer = [other for other in known if other.startswith(flag) and len(flag) > len("--x")]
    if len(longer) == 1:
        return f"; did you mean {longer[0]}?"
    import difflib  # deferred: only errors need it

    bare = {other.lstrip("-"): other for other in known}  # the dashes would make any two flags alike
    near = difflib.get_close_matches(flag.lstrip("-"), bare, n=1)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def _shown_flags(parser: argparse.ArgumentParser) -> list[str]:
    """Return the flags in the help of a command; the others have no effect there."""
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]  # noqa: SLF001
    return sorted(flag for action in shown for flag in action.option_strings)
