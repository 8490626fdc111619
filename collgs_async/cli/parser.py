"""The commands, options and topics, and a parser for each command, derived from the options table."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final, NoReturn

from collgs_async import __version__
from collgs_async.config.paths import read_path
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError, did_you_mean
from collgs_async.models.query import quote_value
from collgs_async.reporting.listing import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collgs_async.config.options import Option

__all__ = ["COMMANDS", "SHELLS", "TOPICS", "command_parser", "flags_in", "unknown_flag"]

COMMANDS: Final = {
    "download": "pull everything that matches (also without a command)",
    "search": "list what matches, as a table or on a map",
    "collections": "list the collections of the catalogue",
    "describe": "show what can be asked of a collection",
    "quicklooks": "save small pictures of what matches",
    "plan": "write down what would be pulled, for --plan, or compare plans",
    "verify": "check the archives in a folder",
    "login": "try the credentials, and say who one is",
    "demo": "show it all on an embedded catalogue: no account, no internet",
    "init": "write the sample configuration",
    "completion": "print the completion of words for bash, zsh or fish",
    "help": "explain a topic or a command",
}

_GROUPS: Final = {
    "selection": "what to search for",
    "output": "what is kept",
    "transfer": "how it is fetched",
    "connection": "where from",
}

SHELLS: Final = ("bash", "zsh", "fish")

TOPICS: Final = {
    "selection": "what is pulled: where, when and which",
    "plans": "choosing now, pulling later or elsewhere",
    "files": "what lies in the output folder",
    "config": "the configuration file, and all its keys",
    "environment": "the variables that are read",
    "sign-in": "user name and password",
    "transfer": "how archives are fetched, kept and checked",
    "exit-codes": "what each exit code means",
}

_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "search": ("selection", "connection"),
    "collections": ("connection",),
    "describe": ("connection",),
    "quicklooks": ("selection", "output", "connection"),
    "plan": ("selection", "connection"),
    "verify": ("output", "transfer", "connection"),
    "login": ("connection",),
    "demo": ("output", "transfer"),
    "init": (),
    "completion": (),
    "help": (),
}
"""Options of the table that a command's help shows, where not all; others are accepted, but without effect."""

_OPERANDS: Final = {
    "describe": " [COLLECTION]",
    "plan": " FILE",
    "verify": " [DIR]",
    "init": " [FILE]",
    "completion": " SHELL",
    "help": " [TOPIC]",
}
"""Positional arguments of a command, for the first line of its help."""


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, with a suggestion."""

    overview: str | None = None

    def format_help(self) -> str:
        return self.overview or super().format_help()

    def error(self, message: str) -> NoReturn:
        raise ConfigError(_rewrite_message(message, self))


def command_parser(command: str, *, overview: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of a command; options that it does not show have no help.

    Parameters
    ----------
    command
        One of `COMMANDS`.
    overview
        Replaces the list of options in its help; None: the list is shown.
    """
    parser = _Parser(
        prog="collgs-async",
        usage=f"collgs-async {command}{_OPERANDS.get(command, '')} [OPTIONS]",
        description=COMMANDS[command],
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30),
        allow_abbrev=False,
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    _add_general(parser)
    _ADD.get(command, _add_nothing)(parser)
    _add_table(parser, _SHOWN.get(command, tuple(_GROUPS)), without=_OTHER_MEANING.get(command, frozenset()))
    parser.overview = overview
    return parser


def flags_in(parser: argparse.ArgumentParser) -> list[str]:
    """Return all flags of a parser."""
    return [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001


def unknown_flag(word: str, known: Sequence[str]) -> str:
    """Return the message for an unknown flag, with a suggestion."""
    flag = word.partition("=")[0]
    return f"{flag}: unknown here{did_you_mean(flag, known)}"


def _rewrite_message(message: str, parser: argparse.ArgumentParser) -> str:
    """Convert a message of argparse to our form: the flag, what was expected, what was found."""
    if strange := re.match(r"unrecognized arguments: (\S+)", message):
        return unknown_flag(strange[1], flags_in(parser))
    return re.sub(r"^argument (?:\S+/)?(\S+): ", r"\1: ", message)


def _path(words: str) -> Path:
    try:
        return read_path(words)
    except ValueError as error:
        expected = f"expected the name of a file or folder, found {quote_value(words)}"
        raise argparse.ArgumentTypeError(str(error) or expected) from None


def _add_general(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("general")
    group.add_argument("-h", "--help", action="help", help="show this and leave")
    group.add_argument(
        "--version", action="version", version=f"collgs-async {__version__}", help="show the version and leave"
    )
    group.add_argument(
        "--config", metavar="FILE", type=_path, default=None, help="the configuration (config.json, where it exists)"
    )
    group.add_argument("-q", "--quiet", action="store_true", default=False, help="say nothing but errors")
    group.add_argument("-v", "--verbose", action="store_true", default=False, help="say more")
    group.add_argument(
        "--log-json", action="store_true", default=False, help="messages as JSON, one a line, and no bars"
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    _add_listing(parser.add_argument_group("the list"), of="")


def _add_listing(group: argparse._ArgumentGroup, *, of: str) -> None:
    group.add_argument(
        "--format",
        metavar="NAME",
        default="table",
        choices=FORMATS,
        help=f"how {of or 'to list'}: table, json, geojson, csv or urls (default: table)",
    )
    group.add_argument(
        "--sort",
        metavar="KEY,...",
        default=None,
        help="in this order: time, cloud, orbit, overlap, size or identifier; a minus before it means backwards",
    )
    group.add_argument("--sizes", action="store_true", default=False, help="ask the store how large each archive is")
    group.add_argument(
        "--map", metavar="FILE", type=_path, default=None, help="write a page with map, timeline and table, too"
    )
    group.add_argument(
        "--quicklooks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether that page shows small pictures of the scenes (default: yes)",
    )


def _add_catalogue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("the list").add_argument(
        "--format", metavar="NAME", default="table", choices=("table", "json"), help="table (the default) or json"
    )


def _add_describe(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the collection")
    group.add_argument("name", metavar="COLLECTION", nargs="?", default=None, help="such as S2_MSIL2A")
    _add_catalogue(parser)


def _add_download(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("this run")
    group.add_argument("--dry-run", action="store_true", default=False, help="list what would be pulled, and leave")
    group.add_argument(
        "--plan", metavar="FILE", type=_path, default=None, help="pull what this plan names; nothing is searched"
    )
    group.add_argument(
        "--report", metavar="FILE", type=_path, default=None, help="write what became of each product, as JSON"
    )
    _add_listing(group, of="--dry-run lists")


def _add_verify(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the archives")
    group.add_argument(
        "folder", metavar="DIR", nargs="?", type=_path, default=None, help="their folder (default: --output)"
    )
    group.add_argument(
        "--repair", action="store_true", default=False, help="fetch again what is wrong; needs --collection"
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the plan")
    group.add_argument("file", metavar="FILE", nargs="?", type=_path, default=None, help="the plan to write, as JSON")
    group.add_argument(
        "--diff",
        metavar="FILE",
        type=_path,
        default=None,
        help="say what is new, gone or changed since this plan: in the catalogue, or in the other plan that is named",
    )
    group.add_argument("--sizes", action="store_true", default=False, help="ask the store how large each archive is")


def _add_completion(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the shell")
    group.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def _add_help(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("the topic").add_argument(
        "topic", metavar="TOPIC", nargs="?", default=None, help=f"a command, or one of {', '.join(TOPICS)}"
    )


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("the file").add_argument(
        "file", metavar="FILE", nargs="?", type=_path, default="config.json", help="its name (default: config.json)"
    )


def _add_demo(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the show")
    group.add_argument("--products", metavar="N", default=None, help="how many products there are (default: 12)")
    group.add_argument(
        "--constellation",
        action="store_true",
        default=False,
        help="serve a year of Sentinel-1 and -2 over Luxembourg and Fiji, with real tiles, orbits and reprocessings",
    )
    group.add_argument(
        "--fault",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="what the store does wrong, one product each: all, list, or names",
    )
    group.add_argument(
        "--sign-in",
        metavar="FORM",
        default=None,
        choices=("html", "script"),
        help="let the store ask for a sign-in, by a form in html or put together by a script (demo, demo)",
    )
    group.add_argument("--serve", action="store_true", default=False, help="only serve, and say how to use it")
    group.add_argument("--port", metavar="N", default="0", help="where to serve (default: any free port)")


def _add_nothing(_: argparse.ArgumentParser) -> None:
    """Add nothing."""


_ADD: Final = {
    "download": _add_download,
    "search": _add_search,
    "collections": _add_catalogue,
    "describe": _add_describe,
    "verify": _add_verify,
    "plan": _add_plan,
    "demo": _add_demo,
    "init": _add_init,
    "completion": _add_completion,
    "help": _add_help,
}


_OTHER_MEANING: Final = {"demo": frozenset({"--sign-in"})}
"""Flags of settings with another meaning in a command."""


def _add_table(parser: argparse.ArgumentParser, shown: Sequence[str], *, without: frozenset[str]) -> None:
    for name, title in _GROUPS.items():
        group = parser.add_argument_group(title)
        for option in OPTIONS:
            if option.group == name and option.flag not in without:
                _add_option(group, option, is_shown=name in shown)
        if name == "selection":
            group.add_argument(
                "--set",
                action="append",
                metavar="KEY=VALUE",
                default=[],
                help="any other search parameter of the catalogue; may be given several times"
                if name in shown
                else argparse.SUPPRESS,
            )


def _add_option(group: argparse._ArgumentGroup, option: Option, *, is_shown: bool) -> None:
    words = option.help.replace("%", "%%")
    if option.default is not None and not option.is_switch:
        words += f" (default: {option.default})"
    if not is_shown:
        words = argparse.SUPPRESS
    if option.is_switch:
        group.add_argument(option.flag, dest=option.key, action=argparse.BooleanOptionalAction, help=words)
    else:
        group.add_argument(option.flag, dest=option.key, metavar=option.metavar, help=words)
