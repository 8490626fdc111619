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

from collgs_async import __version__
from collgs_async.cli.topics import TOPICS
from collgs_async.config.options import GROUPS, Group, Option, search_parameter
from collgs_async.config.paths import read_path
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError, did_you_mean
from collgs_async.models.parameter_values import quote_value
from collgs_async.reporting.listing import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = ["COMMANDS", "SHELLS", "Command", "command_parser", "parse"]

SHELLS: Final = ("bash", "zsh", "fish")

_HEADINGS: Final[dict[Group, str]] = {
    "selection": "what to search for",
    "output": "what is kept",
    "transfer": "how it is fetched",
    "connection": "where from",
}


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, with a suggestion."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(
            **keywords,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30),
            allow_abbrev=False,
            add_help=False,
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown words here, where the flags to suggest are those of the command."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            raise ConfigError(_unknown_flag(unknown[0], self._option_string_actions))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        raise ConfigError(re.sub(r"^argument (?:\S+/)?(\S+): ", r"\1: ", message))


class _Root(_Parser):
    """The program itself, whose help is the overview."""

    commands: dict[str, _Parser]

    def format_help(self) -> str:
        from collgs_async.cli.help import overview

        return overview()


# ------------------------------------------------------------------------------- flags and arguments, by command


def _path(words: str) -> Path:
    try:
        return read_path(words)
    except ValueError as error:
        expected = f"expected the name of a file or folder, found {quote_value(words)}"
        raise argparse.ArgumentTypeError(str(error) or expected) from None


_FILE: Final[dict[str, Any]] = {"metavar": "FILE", "type": _path}


def _add_general(parser: _Parser) -> None:
    add = parser.add_argument_group("general").add_argument
    add("-h", "--help", action="help", help="show this and leave")
    add("--version", action="version", version=f"collgs-async {__version__}", help="show the version and leave")
    add("--config", **_FILE, help="the configuration (config.json, where it exists)")
    add("-q", "--quiet", action="store_true", help="say nothing but errors")
    add("-v", "--verbose", action="store_true", help="say more")
    add("--log-json", action="store_true", help="messages as JSON, one a line, and no bars")


def _add_sizes(add: Callable[..., object]) -> None:
    add("--sizes", action="store_true", help="ask the store how large each archive is")


def _add_listing(add: Callable[..., object], of: str) -> None:
    formats = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    add("--format", metavar="NAME", default="table", choices=FORMATS, help=f"how {of}: {formats} (default: table)")
    add(
        "--sort",
        metavar="KEY,...",
        help="in this order: time, cloud, orbit, overlap, size or identifier; a minus before it means backwards",
    )
    _add_sizes(add)
    add("--map", **_FILE, help="write a page with map, timeline and table, too")
    add(
        "--quicklooks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether that page shows small pictures of the scenes (default: yes)",
    )


def _add_search(parser: _Parser) -> None:
    _add_listing(parser.add_argument_group("the list").add_argument, "to list")


def _add_collections(parser: _Parser) -> None:
    add = parser.add_argument_group("the list").add_argument
    add("--format", metavar="NAME", default="table", choices=("table", "json"), help="table (the default) or json")


def _add_describe(parser: _Parser) -> None:
    group = parser.add_argument_group("the collection")
    group.add_argument("name", metavar="COLLECTION", nargs="?", help="such as S2_MSIL2A")
    _add_collections(parser)


def _add_plan(parser: _Parser) -> None:
    add = parser.add_argument_group("the plan").add_argument
    add("file", **_FILE, nargs="?", help="the plan to write, as JSON")
    add(
        "--diff",
        **_FILE,
        help="say what is new, gone or changed since this plan: in the catalogue, or in the other plan that is named",
    )
    _add_sizes(add)


def _add_download(parser: _Parser) -> None:
    add = parser.add_argument_group("this run").add_argument
    add("--dry-run", action="store_true", help="list what would be pulled, and leave")
    add("--plan", **_FILE, help="pull what this plan names; nothing is searched")
    add("--report", **_FILE, help="write what became of each product, as JSON")
    _add_listing(add, "--dry-run lists")


def _add_verify(parser: _Parser) -> None:
    add = parser.add_argument_group("the archives").add_argument
    add("folder", metavar="DIR", nargs="?", type=_path, help="their folder (default: --output)")
    add("--repair", action="store_true", help="fetch again what is wrong; needs --collection")


def _add_init(parser: _Parser) -> None:
    group = parser.add_argument_group("the file")
    group.add_argument("file", **_FILE, nargs="?", default="config.json", help="its name (default: config.json)")


def _add_demo(parser: _Parser) -> None:
    add = parser.add_argument_group("the embedded catalogue").add_argument
    add("--products", metavar="N", help="how many products there are (default: 12)")
    add(
        "--constellation",
        action="store_true",
        help="serve a year of Sentinel-1 and -2 over Luxembourg and Fiji, with real tiles, orbits and reprocessings",
    )
    add(
        "--fault",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="what the store does wrong, one product each: all, list, or names",
    )
    add(
        "--sign-in",
        metavar="FORM",
        choices=("html", "script"),
        help="let the store ask for a sign-in, by a form in html or put together by a script (demo, demo)",
    )
    add("--serve", action="store_true", help="only serve, and say how to use it")
    add("--port", metavar="N", default="0", help="where to serve (default: any free port)")


def _add_completion(parser: _Parser) -> None:
    group = parser.add_argument_group("the shell")
    group.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def _add_help(parser: _Parser) -> None:
    group = parser.add_argument_group("the topic")
    group.add_argument("topic", metavar="TOPIC", nargs="?", help=f"a command, or one of {', '.join(TOPICS)}")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the program.

    Attributes
    ----------
    heading
        Its heading in the overview.
    help
        Its purpose, in one line.
    add_own
        Adds the arguments and flags that are no settings; None: there are none.
    shown
        Groups of settings that its help shows; flags of the others are accepted, but without effect.
    """

    heading: str
    help: str
    add_own: Callable[[_Parser], None] | None = None
    shown: tuple[Group, ...] = ()


COMMANDS: Final = {
    "search": Command("choose", "list what matches, as a table or on a map", _add_search, ("selection", "connection")),
    "collections": Command("choose", "list the collections of the catalogue", _add_collections, ("connection",)),
    "describe": Command("choose", "show what can be asked of a collection", _add_describe, ("connection",)),
    "quicklooks": Command("choose", "save small pictures of what matches", shown=("selection", "output", "connection")),
    "plan": Command(
        "choose",
        "write down what would be pulled, for --plan, or compare plans",
        _add_plan,
        ("selection", "connection"),
    ),
    "download": Command("pull", "pull everything that matches (also without a command)", _add_download, GROUPS),
    "verify": Command("pull", "check the archives in a folder", _add_verify, ("output", "transfer", "connection")),
    "init": Command("set up", "write the sample configuration", _add_init),
    "login": Command("set up", "try the credentials, and say who one is", shown=("connection",)),
    "demo": Command(
        "set up",
        "try it all on an embedded catalogue: no account, no internet",
        _add_demo,
        ("output", "transfer"),
    ),
    "completion": Command("set up", "print the completion of words for bash, zsh or fish", _add_completion),
    "help": Command("set up", "explain a topic or a command", _add_help),
}


# ------------------------------------------------------------------------------------------------------ the tree


@cache
def _root() -> _Root:
    """Build the tree."""
    root = _Root(prog="collgs-async")
    root.add_argument("-h", "--help", action="help")
    commands = root.add_subparsers(dest="command", parser_class=_Parser)
    for name, command in COMMANDS.items():
        parser = commands.add_parser(name, description=command.help)
        _add_general(parser)
        if command.add_own:
            command.add_own(parser)
        _add_settings(parser, command.shown)
        arguments = [action for action in parser._actions if not action.option_strings]  # noqa: SLF001
        words = [f"[{one.metavar}]" if one.nargs == "?" else str(one.metavar) for one in arguments]
        parser.usage = " ".join(["collgs-async", name, *words, "[OPTIONS]"])
    root.commands = commands.choices
    return root


def _add_settings(parser: _Parser, shown: tuple[Group, ...]) -> None:
    taken = {*parser._option_string_actions}  # noqa: SLF001  (flags with another meaning in this command)
    for name, heading in _HEADINGS.items():
        add = parser.add_argument_group(heading).add_argument
        for option in OPTIONS:
            if option.group == name and option.flag not in taken:
                words = _help(option) if name in shown else argparse.SUPPRESS
                if option.is_switch:
                    add(option.flag, dest=option.key, action=argparse.BooleanOptionalAction, help=words)
                else:
                    add(option.flag, dest=option.key, metavar=option.metavar, help=words)
        if name == "selection":
            words = "any other search parameter of the catalogue; may be given several times"
            words = words if name in shown else argparse.SUPPRESS
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
    return flags


def _command_first(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Find the command in any position, and attach values to their flags.

    By itself argparse accepts the flags of a command only after it, and takes a value with a leading minus sign, such
    as a western longitude, for a flag.
    """
    actions = [action for parser in _root().commands.values() for action in parser._actions]  # noqa: SLF001
    known = {flag for action in actions for flag in action.option_strings}
    with_value = {flag for action in actions if action.nargs is None for flag in action.option_strings}
    command: str | None = None
    words: list[str] = []
    waiting = list(argv)
    while waiting:
        word = waiting.pop(0)
        if word in with_value and waiting and not _is_flag(waiting[0]):
            words.append(f"{word}={waiting.pop(0)}")
        elif command is None and word in COMMANDS:
            command = word
        elif command is None and not word.startswith("-"):
            for flag in words:  # the word may be the value of an unknown flag
                if flag.startswith("--") and flag.partition("=")[0] not in known:
                    raise ConfigError(_unknown_flag(flag, known))
            raise ConfigError(_no_command(word))
        else:
            words.append(word)
    return command, words


def _is_flag(word: str) -> bool:
    return word.startswith("--") or re.fullmatch(r"-[A-Za-z]", word) is not None


def _no_command(word: str) -> str:
    if word.endswith(".json"):
        return f"expected a command, found {word!r}; did you mean --config {word}?"
    return f"expected one of {', '.join(COMMANDS)}, found {word!r}{did_you_mean(word, COMMANDS)}"


def _unknown_flag(word: str, known: Iterable[str]) -> str:
    flag = word.partition("=")[0]
    return f"{flag or quote_value(flag)}: unknown here{did_you_mean(flag, sorted(known))}"
