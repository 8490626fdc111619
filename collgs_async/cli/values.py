"""Parse the command line, with the command in any position, and report unknown words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from collgs_async.cli.help import overview
from collgs_async.cli.parser import COMMANDS, command_parser, flags_in, unknown_flag
from collgs_async.config.options import search_parameter
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["flags_of", "parse"]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line.

    Returns
    -------
    argparse.Namespace
        `command` is one of `COMMANDS`; options of the table that were given are stored under their configuration keys,
        the others under their own names.

    Raises
    ------
    ConfigError
        A command, an option or a value is invalid.
    SystemExit
        ``--help`` or ``--version`` was given, and has been printed.
    """
    command, words = _command_first(argv)
    parser = command_parser(command) if command else command_parser("download", overview=overview())
    args = parser.parse_args(words)
    args.command = command or "download"
    return args


def flags_of(args: argparse.Namespace) -> dict[str, object]:
    """Return the values for the configuration, by key."""
    flags = {option.key: getattr(args, option.key) for option in OPTIONS if hasattr(args, option.key)}
    return flags | {f"parameters.{key}": value for key, value in map(_set, args.set)}


def _set(words: str) -> tuple[str, str]:
    try:
        return search_parameter(words)
    except ValueError as error:
        raise ConfigError(f"--set: {error}") from None


def _command_first(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Move the command to the front from any position, and attach values to their options.

    By itself argparse accepts common options on one side of the command only, and takes a value with a leading minus
    sign, such as a western longitude, for an option.
    """
    command: str | None = None
    words: list[str] = []
    waiting = list(argv)
    while waiting:
        word = waiting.pop(0)
        if word in _TAKES_VALUE and waiting and not _is_flag(waiting[0]):
            words.append(f"{word}={waiting.pop(0)}" if word.startswith("--") else word + waiting.pop(0))
        elif command is None and word in COMMANDS:
            command = word
        elif command is None and not word.startswith("-"):
            _refuse_unknown_flags(words)
            raise ConfigError(_no_command(word))
        else:
            words.append(word)
    return command, words


def _refuse_unknown_flags(words: Sequence[str]) -> None:
    """Report an unknown flag, rather than the value after it, which then looks like a command."""
    known = {flag for command in COMMANDS for flag in flags_in(command_parser(command))}
    for word in words:
        if word.startswith("--") and word.partition("=")[0] not in known:
            raise ConfigError(unknown_flag(word, sorted(known)))


def _is_flag(word: str) -> bool:
    return word.startswith("--") or re.fullmatch(r"-[A-Za-z]", word) is not None


def _no_command(word: str) -> str:
    if word.endswith(".json"):
        return f"expected a command, found {word!r}; did you mean --config {word}?"
    return f"expected one of {', '.join(COMMANDS)}, found {word!r}{did_you_mean(word, COMMANDS)}"


_TAKES_VALUE: Final = {option.flag for option in OPTIONS if not option.is_switch} | {
    "--config",
    "--diff",
    "--format",
    "--map",
    "--plan",
    "--port",
    "--products",
    "--report",
    "--set",
    "--sort",
}
