"""The command line as one tree: a root, and a subparser for each command with its arguments, flags and help.

`COMMANDS` has a row for each command, with the function that adds what only this command has. The flags of settings
come from the table in `config.settings`; every command accepts all of them, so that one line of flags serves all.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

from collgs_async.cli.arguments import OWN_ARGUMENTS, add_general
from collgs_async.cli.examples import examples
from collgs_async.cli.unknown import unknown_command, unknown_word
from collgs_async.config.options import GROUPS, Group, Option, search_parameter
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["COMMANDS", "Command", "command_parser", "parse"]

_HEADINGS: Final[dict[Group, str]] = {
    "selection": "what to search for",
    "parts": "which parts of an archive",
    "output": "what is kept",
    "keep": "how an archive is kept",
    "transfer": "how it is fetched",
    "connection": "where from",
}


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows the value of a flag once, after all its names."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        return f"{', '.join(action.option_strings)} {self._format_args(action, action.dest.upper())}"


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, with a suggestion."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(
            **keywords,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown words here, where the flags to suggest are those of the command."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            raise ConfigError(unknown_word(unknown[0], self.prog.rpartition(" ")[2], _root().commands))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        raise ConfigError(re.sub(r"^argument (?:\S+/)?(\S+): ", r"\1: ", message))


class _Root(_Parser):
    """The program itself, whose help is the overview."""

    commands: dict[str, _Parser]

    def format_help(self) -> str:
        from collgs_async.cli.help import overview

        return overview()


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the program.

    Attributes
    ----------
    heading
        Its heading in the overview.
    help
        Its purpose, in one line.
    shown
        Groups of settings that its help shows; flags of the others are accepted, but without effect.
    idle
        Keys of settings of these groups that are without effect all the same, and not shown.
    """

    heading: str
    help: str
    shown: tuple[Group, ...] = ()
    idle: tuple[str, ...] = ()


COMMANDS: Final = {
    "search": Command("choose", "list what matches, as a table or on a map", ("selection", "parts", "connection")),
    "collections": Command("choose", "list the collections of the catalogue", ("connection",)),
    "describe": Command("choose", "show what can be asked of a collection", ("connection",)),
    "quicklooks": Command("choose", "save small pictures of what matches", ("selection", "output", "connection")),
    "ls": Command(
        "choose",
        "list the files within an archive that is in the store",
        ("parts", "connection"),
        idle=("parts.else_whole", "parts.keep_part"),
    ),
    "plan": Command(
        "choose",
        "write down what would be pulled, for --plan, or compare plans",
        ("selection", "parts", "connection"),
    ),
    "download": Command("pull", "pull everything that matches (also without a command)", GROUPS),
    "sync": Command("keep", "keep a folder equal to what the catalogue lists, run after run", GROUPS),
    "retry": Command(
        "keep", "try again what sync could not fetch", ("parts", "output", "keep", "transfer", "connection")
    ),
    "verify": Command(
        "pull",
        "check the archives in a folder",
        ("output", "keep", "transfer", "connection"),
        idle=("download_options.engine",),
    ),
    "prune": Command("keep", "move or delete archives that are not wanted any more", ("output", "keep")),
    "status": Command("keep", "tell the state of an archive, or what happened to a product"),
    "ledger": Command("keep", "export the ledger, make it anew, or move archives", ("output", "keep")),
    "init": Command("set up", "write the sample configuration"),
    "login": Command("set up", "try the credentials, and say who one is", shown=("connection",)),
    "demo": Command(
        "set up",
        "try it all on an embedded catalogue: no account, no internet",
        ("parts", "output", "transfer"),
    ),
    "completion": Command("set up", "print the completion of words for bash, zsh or fish"),
    "help": Command("set up", "explain a topic or a command"),
}


# ------------------------------------------------------------------------------------------------------ the tree


@cache
def _root() -> _Root:
    """Build the tree."""
    root = _Root(prog="collgs-async")
    root.add_argument("-h", "--help", action="help")
    commands = root.add_subparsers(dest="command", parser_class=_Parser)
    for name, command in COMMANDS.items():
        parser = commands.add_parser(name, description=command.help, epilog=examples(name))
        add_general(parser)
        if name in OWN_ARGUMENTS:
            OWN_ARGUMENTS[name](parser)
        _add_settings(parser, command)
        operands = [action for action in parser._actions if not action.option_strings]  # noqa: SLF001
        forms = {"?": "[{}]", "*": "[{} ...]"}
        words = [forms.get(str(one.nargs), "{}").format(one.metavar) for one in operands]
        parser.usage = " ".join(["collgs-async", name, *words, "[OPTIONS]"])
    root.commands = commands.choices
    return root


def _add_settings(parser: _Parser, command: Command) -> None:
    taken = {*parser._option_string_actions}  # noqa: SLF001  (flags with another meaning in this command)
    for name, heading in _HEADINGS.items():
        add = parser.add_argument_group(heading).add_argument
        for option in OPTIONS:
            if option.group == name and option.flag not in taken:
                is_shown = name in command.shown and option.key not in command.idle
                words = _help(option) if is_shown else argparse.SUPPRESS
                flags = [flag for flag in option.flags if flag not in taken]
                if option.is_switch:
                    add(*flags, dest=option.key, action=argparse.BooleanOptionalAction, help=words)
                else:
                    add(*flags, dest=option.key, metavar=option.metavar, help=words)
        if name == "selection":
            words = "any other search parameter of the catalogue; may be given several times"
            words = words if name in command.shown else argparse.SUPPRESS
            add("--set", action="append", metavar="KEY=VALUE", default=[], help=words)


def _help(option: Option) -> str:
    default = "" if option.default is None or option.is_switch else f" (default: {option.default})"
    return option.help.replace("%", "%%") + default


def command_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command; the options that it does not show have no help."""
    return _root().commands[command]


# ------------------------------------------------------------------------------------------------ reading a line


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line.

    Returns
    -------
    argparse.Namespace
        `command` is one of `COMMANDS`, and `flags` has the values for the configuration by key; what is no setting is
        stored under its own name.

    Raises
    ------
    ConfigError
        A command, an option or a value is invalid.
    SystemExit
        ``--help`` or ``--version`` was given, and has been printed.
    """
    command, words = _command_first(argv)
    if command is None and not {"-h", "--help"}.isdisjoint(words):
        words = ["--help"]
    else:
        words.insert(0, command or "download")
    args = _root().parse_args(words)
    args.flags = _flags(args)
    return args


def _flags(args: argparse.Namespace) -> dict[str, object]:
    given = {option.key: getattr(args, option.key, None) for option in OPTIONS}
    flags: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    for words in args.set:
        try:
            key, value = search_parameter(words)
        except ValueError as error:
            raise ConfigError(f"--set: {error}") from None
        flags[f"parameters.{key}"] = value
    if not str(flags.get("parts.bands", "any")).strip(" ,"):
        flags.setdefault("parts.resolution", "")  # all bands again, not those of the plan's or file's resolution
    return flags


def _command_first(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Find the command in any position, and attach values to their flags.

    By itself argparse accepts the flags of a command only after it, and takes a value with a leading minus sign, such
    as a western longitude, for a flag.
    """
    commands = _root().commands
    waits = _flags_with_value()
    command: str | None = None
    words: list[str] = []
    waiting = list(argv)
    while waiting:
        word = waiting.pop(0)
        if waits(word) and waiting and not _is_flag(waiting[0]):
            is_row = word[1] != "-" and len(word) > 2
            words.append(f"{word}{'' if is_row else '='}{waiting.pop(0)}")
        elif command is None and word in COMMANDS:
            command = word
        elif command is None and not word.startswith("-"):
            meant = next((other for other in waiting if other in COMMANDS), "download")
            for flag in _unknown_flags(words):  # the word may be the value of an unknown flag
                raise ConfigError(unknown_word(flag, meant, commands))
            raise ConfigError(unknown_command(word, commands))
        else:
            words.append(word)
    return command, words


def _flags_with_value() -> Callable[[str], bool]:
    """Return a test for words after which a value comes: a flag, or short ones in a row of which the last takes one."""
    actions = [action for parser in _root().commands.values() for action in parser._actions]  # noqa: SLF001
    valued = {flag for action in actions if action.nargs is None for flag in action.option_strings}
    switches = {flag[1] for action in actions if action.nargs == 0 for flag in action.option_strings if len(flag) == 2}

    def waits(word: str) -> bool:
        is_row = len(word) > 2 and word[0] == "-" and switches.issuperset(word[1:-1])
        return word in valued or (is_row and f"-{word[-1]}" in valued)

    return waits


def _unknown_flags(words: Sequence[str]) -> Iterator[str]:
    known = {flag for parser in _root().commands.values() for flag in parser._option_string_actions}  # noqa: SLF001
    for word in words:
        if word.startswith("--") and word.partition("=")[0] not in known:
            yield word


def _is_flag(word: str) -> bool:
    return word.startswith("--") or re.fullmatch(r"-[A-Za-z]", word) is not None
