"""The words of each command as the references list them: those that every command has, its own, and no settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.config.settings import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["forms", "general_words", "meaning", "own_words"]


def own_words(name: str) -> list[argparse.Action]:
    """Return the arguments and flags of a command that are neither settings nor general."""
    general = _general_flags()
    return [action for action in _words(name) if not general.intersection(action.option_strings)]


def general_words() -> list[argparse.Action]:
    """Return the flags that every command has."""
    general = _general_flags()
    return [action for action in _words(next(iter(COMMANDS))) if general.intersection(action.option_strings)]


def forms(action: argparse.Action) -> Iterator[str]:
    """Give an argument, or a flag in all its forms, with the placeholder for its value."""
    value = f" {action.metavar}" if action.metavar and action.nargs != 0 else ""
    if not action.option_strings:
        yield str(action.metavar or action.dest)
    for flag in action.option_strings:
        yield f"{flag}{value}"


def meaning(action: argparse.Action) -> str:
    """Return the help of a word."""
    return (action.help or "") % vars(action)


def _words(name: str) -> list[argparse.Action]:
    settings = {option.flag for option in OPTIONS}
    actions = command_parser(name)._actions  # noqa: SLF001 - argparse has no other list of them
    shown = [action for action in actions if action.help and action.help != argparse.SUPPRESS]
    return [action for action in shown if not settings.intersection(action.option_strings)]


def _general_flags() -> set[str]:
    return set.intersection(*({flag for word in _words(name) for flag in word.option_strings} for name in COMMANDS))
