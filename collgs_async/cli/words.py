"""The words of the command line: every option from one table, wherever it stands."""

from __future__ import annotations

import argparse
import re
import textwrap
from typing import TYPE_CHECKING, Final, NoReturn

from collgs_async.errors import ConfigError, did_you_mean
from collgs_async.listing import FORMATS
from collgs_async.options import OPTIONS, Option, search_parameter
from collgs_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "SHELLS", "TOPICS", "command_parser", "flags_of", "parse"]

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

_COMMAND_GROUPS: Final = {
    "choose": ("search", "collections", "describe", "quicklooks", "plan"),
    "pull": ("download", "verify"),
    "set up": ("init", "login", "demo", "completion", "help"),
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
    "exit-codes": "what a script is told at the end",
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
"""Which options of the table a command shows, where it is not all; others are understood, and have no effect."""

_NEEDED_MOST: Final = (
    "--collection",
    "--aoi",
    "--bbox",
    "--start",
    "--end",
    "--cloud-cover",
    "--latest-baseline",
    "--output",
)

_EXAMPLES: Final = """\
examples:
  collgs-async search --collection S2_MSIL2A --bbox 5.7,49.4,6.6,50.2 \\
               --start 2025-06-01 --end 2025-08-31 --cloud-cover 0,20
  collgs-async plan plan.json --config config.json
  collgs-async --plan plan.json --output luxembourg --workers 8

more:
  collgs-async COMMAND --help    every option of a command
"""
_TOPIC_INDENT: Final = "  collgs-async help TOPIC        "


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and what may have been meant."""

    overview: str | None = None

    def format_help(self) -> str:
        return self.overview or super().format_help()

    def error(self, message: str) -> NoReturn:
        raise ConfigError(_clearer(message, self))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Returns
    -------
    argparse.Namespace
        `command` is one of `COMMANDS`; options of the table that were given stand under their configuration
        keys, the others under their own names.

    Raises
    ------
    ConfigError
        Something there is no command, option or value.
    SystemExit
        ``--help`` or ``--version`` was asked for, and has been answered.
    """
    command, words = _command_first(argv)
    parser = _parser(command or "download", general=command is None)
    found = parser.parse_args(words)
    found.command = command or "download"
    return found


def flags_of(found: argparse.Namespace) -> dict[str, object]:
    """Pick what belongs into the configuration, by its key there."""
    flags = {option.key: getattr(found, option.key) for option in OPTIONS if hasattr(found, option.key)}
    return flags | {f"parameters.{key}": value for key, value in map(_set, found.set)}


def _set(words: str) -> tuple[str, str]:
    try:
        return search_parameter(words)
    except ValueError as error:
        raise ConfigError(f"--set: {error}") from None


def _command_first(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take the command out, wherever it stands, and tie values to their options.

    argparse by itself wants common options on one side of the command, and takes a value that begins with a
    minus sign, such as a western longitude, for an option.
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
    """Name a flag that does not exist, rather than the value behind it, which looks like a command then."""
    known = {flag for command in COMMANDS for flag in _flags(_parser(command, general=False))}
    for word in words:
        if word.startswith("--") and word.partition("=")[0] not in known:
            raise ConfigError(_unknown(word, sorted(known)))


def command_parser(command: str) -> argparse.ArgumentParser:
    """Give the words that a command understands; those that it does not show have no help."""
    return _parser(command, general=False)


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001


def _unknown(word: str, known: Sequence[str]) -> str:
    flag = word.partition("=")[0]
    return f"{flag}: unknown here{did_you_mean(flag, known)}"


def _is_flag(word: str) -> bool:
    return word.startswith("--") or re.fullmatch(r"-[A-Za-z]", word) is not None


def _no_command(word: str) -> str:
    if word.endswith(".json"):
        return f"expected a command, found {word!r}; did you mean --config {word}?"
    return f"expected one of {', '.join(COMMANDS)}, found {word!r}{did_you_mean(word, COMMANDS)}"


def _clearer(message: str, parser: argparse.ArgumentParser) -> str:
    """Put argparse's message into our form: the flag, what was expected, what was found."""
    if strange := re.match(r"unrecognized arguments: (\S+)", message):
        return _unknown(strange[1], _flags(parser))
    return re.sub(r"^argument (?:\S+/)?(\S+): ", r"\1: ", message)


def _parser(command: str, *, general: bool) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="collgs-async",
        usage=f"collgs-async {command} [OPTIONS]",
        description=COMMANDS[command],
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30),
        allow_abbrev=False,
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    _add_general(parser)
    _ADD.get(command, _add_nothing)(parser)
    _add_table(parser, _SHOWN.get(command, tuple(_GROUPS)))
    if general:
        parser.overview = _overview()
    return parser


def _overview() -> str:
    """Say what there is, on one screen: what each command takes, its own help says."""
    lines = [
        "usage: collgs-async [COMMAND] [OPTIONS]",
        "",
        "Pull Sentinel archives from the CollGS: concurrently, resumably, verified.",
    ]
    for title, names in _COMMAND_GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:12} {COMMANDS[name]}" for name in names if name in COMMANDS)]
    lines += ["", "options that are needed most:"]
    for option in OPTIONS:
        if option.flag in _NEEDED_MOST:
            lines += _entry(f"{option.flag} {option.metavar}", option.help)
    lines += _entry("--dry-run", "list what would be pulled, and leave")
    topics = textwrap.wrap(
        ", ".join(TOPICS), 79, initial_indent=_TOPIC_INDENT, subsequent_indent=" " * 33, break_on_hyphens=False
    )
    return "\n".join([*lines, "", _EXAMPLES + "\n".join(topics), ""])


def _entry(title: str, words: str) -> list[str]:
    return textwrap.wrap(words, 79, initial_indent=f"  {title:25} ", subsequent_indent=" " * 28)


def _add_general(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("general")
    group.add_argument("-h", "--help", action="help", help="show this and leave")
    group.add_argument(
        "--version", action="version", version=f"collgs-async {__version__}", help="show the version and leave"
    )
    group.add_argument(
        "--config", metavar="FILE", default=None, help="the configuration (config.json, where it exists)"
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
    group.add_argument("--map", metavar="FILE", default=None, help="write a page with map, timeline and table, too")
    group.add_argument(
        "--quicklooks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether that page shows small pictures of the scenes (default: yes)",
    )


def _add_catalogue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", metavar="NAME", default="table", choices=("table", "json"), help="table (the default) or json"
    )


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="COLLECTION", nargs="?", default=None, help="such as S2_MSIL2A")
    _add_catalogue(parser)


def _add_download(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("this run")
    group.add_argument("--dry-run", action="store_true", default=False, help="list what would be pulled, and leave")
    group.add_argument("--plan", metavar="FILE", default=None, help="pull what this plan names; nothing is searched")
    group.add_argument("--report", metavar="FILE", default=None, help="write what became of each product, as JSON")
    _add_listing(group, of="--dry-run lists")


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", nargs="?", default=None, help="the folder (default: --output)")
    parser.add_argument(
        "--repair", action="store_true", default=False, help="fetch again what is wrong; needs --collection"
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the plan")
    group.add_argument("file", metavar="FILE", nargs="?", default=None, help="the plan to write, as JSON")
    group.add_argument(
        "--diff",
        metavar="FILE",
        default=None,
        help="say what is new, gone or changed since this plan: in the catalogue, or in the other plan that is named",
    )
    group.add_argument("--sizes", action="store_true", default=False, help="ask the store how large each archive is")


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def _add_help(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "topic", metavar="TOPIC", nargs="?", default=None, help=f"a command, or one of {', '.join(TOPICS)}"
    )


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="config.json", help="its name (default: config.json)"
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


def _add_table(parser: argparse.ArgumentParser, shown: Sequence[str]) -> None:
    for name, title in _GROUPS.items():
        group = parser.add_argument_group(title)
        for option in OPTIONS:
            if option.group == name:
                _add_option(group, option, shown=name in shown)
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


def _add_option(group: argparse._ArgumentGroup, option: Option, *, shown: bool) -> None:
    words = option.help.replace("%", "%%")
    if option.default is not None and not option.switch:
        words += f" (default: {option.default})"
    if not shown:
        words = argparse.SUPPRESS
    if option.switch:
        group.add_argument(option.flag, dest=option.key, action=argparse.BooleanOptionalAction, help=words)
    else:
        group.add_argument(option.flag, dest=option.key, metavar=option.metavar, help=words)


_TAKES_VALUE: Final = {option.flag for option in OPTIONS if not option.switch} | {
    "--config",
    "--diff",
    "--format",
    "--map",
    "--plan",
    "--port",
    "--products",
    "--report",
    "--set",
    "--sign-in",
    "--sort",
}
