"""``collgs-async help TOPIC``: text generated from the program's tables, so that it is never outdated."""

from __future__ import annotations

from textwrap import TextWrapper
from typing import TYPE_CHECKING, Final

from collgs_async.cli.parser import COMMANDS, TOPICS, command_parser
from collgs_async.config.options import Option, env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXIT_CODES", "FILES", "VARIABLES", "help_text"]

_WIDTH: Final = 79

EXIT_CODES: Final = {
    "0": "everything is here (also when nothing matched)",
    "1": "a product, the search or the sign-in failed, or the disk is full",
    "2": "wrong usage or configuration; nothing was touched",
    "129": "a hang-up: the terminal was closed",
    "130": "Ctrl-C; a second one leaves at once",
    "143": "SIGTERM",
}

FILES: Final = {
    "<identifier>.zip": "a complete, verified archive",
    "<identifier>.zip.part": "one on its way; the next run goes on with it",
    "<identifier>.zip.part.json": (
        "which version of it that is: address, length, validators, and which ranges are here"
    ),
    "<identifier>.zip.part.lease": "some run is fetching it now",
}

VARIABLES: Final = {
    "COLLGS_USERNAME": "the user name for the sign-in",
    "COLLGS_PASSWORD": "the password for the sign-in; there is no flag for it",
    "HTTP_PROXY, HTTPS_PROXY": "the proxy to go through, unless --proxy names one",
    "NO_PROXY": "hosts that are reached without the proxy",
}
"""Environment variables beside those of the options table."""

_SELECTION: Final = """\
All that is asked for holds at once. Where the catalogue knows how to ask, it is asked; what identifier and footprint
tell is checked here, and what is left out is counted by its reason (each is named with -v). The filters come first,
then the newest of what passes them, then the best of these, then --count.

A collection must be named. Times are UTC; a date as the end means the end of that day.
"""

_PLAN: Final = """\
A plan is a JSON file with the query, the catalogue, the date, each chosen product and each one that was left out
with its reason: one a line, in an order of its own, so that any tool can compare two of them. It names no file of
this computer and holds no password. Lines of products may be deleted by hand.

  collgs-async plan plan.json [OPTIONS]       choose, and write it down
  collgs-async --plan plan.json               pull exactly that, also elsewhere
  collgs-async --plan plan.json --dry-run     list what of it is not here yet
  collgs-async plan --diff plan.json          what has changed since
  collgs-async plan --diff old.json new.json  in what two plans differ

A pull from a plan asks the catalogue nothing. Nor does a plan say where a password may go: that remains the host of
--base-url and those of --auth-hosts. A difference is marked + for new, - for gone and ~ for changed.
"""

_FILES: Final = """\
A second run skips what is here and goes on with what is unfinished. An identifier that is no safe file name is
changed, and gets eight digits of its SHA-256 so that two never share a file.
"""

_CONFIG: Final = """\
A JSON file, named by --config, or config.json where it exists. A flag goes before the variable, that before the
file, that before the default. `collgs-async init` writes a sample. The section parameters may hold any other search
parameter of the catalogue.
"""

_ENVIRONMENT: Final = """\
A flag goes before the variable, that before the file, that before the default; an empty variable counts as not set.
"""

_SIGN_IN: Final = """\
The search needs no account; archives may. User name and password are read from COLLGS_USERNAME and COLLGS_PASSWORD,
else from ~/.netrc, which only its owner may be able to read:

  machine collgs.lu login NAME password WORD

There is no flag and no key for a password, and none is ever written to a log, a report or a plan. It is posted only
over https, and only to the catalogue's host, to those below it, or to hosts that --auth-hosts names.
`collgs-async login` tries them, and says who one is.
"""

_TRANSFER: Final = """\
Every archive is fetched into a .part, checked, and only then gets its name.
"""


def help_text(topic: str | None) -> str:
    """Explain a topic or a command; without one, list the topics.

    Raises
    ------
    ConfigError
        There is no such topic.
    """
    if topic is None:
        return _paragraphs(
            ["Topics, for `collgs-async help TOPIC`:", _table(TOPICS), "A command explains itself in the same way."]
        )
    if topic in COMMANDS:
        return command_parser(topic).format_help()
    if topic not in TOPICS:
        found = f"{topic!r}{did_you_mean(topic, [*TOPICS, *COMMANDS])}"
        raise ConfigError(f"help: expected a command or one of {', '.join(TOPICS)}, found {found}")
    return _paragraphs([f"{topic}: {TOPICS[topic]}", *_explained(topic)])


def _explained(topic: str) -> list[str]:
    match topic:
        case "selection":
            return [_SELECTION, _flags("selection")]
        case "plans":
            return [_PLAN]
        case "files":
            return [_table(FILES), _FILES]
        case "config":
            return [_CONFIG, _table({option.key: _meaning(option) for option in OPTIONS})]
        case "environment":
            return [_ENVIRONMENT, _table({env_name(option): _meaning(option) for option in OPTIONS} | VARIABLES)]
        case "sign-in":
            return [_SIGN_IN, _table({name: words for name, words in VARIABLES.items() if name.startswith("COLLGS")})]
        case "transfer":
            return [_TRANSFER, _flags("output", "transfer", "connection")]
        case _:
            return [_table(EXIT_CODES)]


def _flags(*groups: str) -> str:
    """List the options of these groups."""
    options = [option for option in OPTIONS if option.group in groups]
    return _table({f"{option.flag} {option.metavar}".rstrip(): _meaning(option) for option in options})


def _meaning(option: Option) -> str:
    if option.default is None:
        return option.help
    default = str(option.default).lower() if option.is_switch else option.default
    return f"{option.help} (default: {default})"


def _table(rows: dict[str, str]) -> str:
    """Format names beside their meaning; a name too long for its column gets a line of its own."""
    column = min(max(map(len, rows)), 28) + 4
    lines: list[str] = []
    for name, words in rows.items():
        title = f"  {name}"
        if len(title) > column - 2:
            lines.append(title)
            title = ""
        lines += _wrapped(words, title.ljust(column), " " * column)
    return "\n".join(lines)


def _paragraphs(parts: Iterable[str]) -> str:
    """Wrap prose to the width; indented text, such as a table, is unchanged."""
    blocks = [block.strip("\n") for part in parts for block in part.split("\n\n")]
    filled = [block if block.startswith("  ") else "\n".join(_wrapped(" ".join(block.split()))) for block in blocks]
    return "\n\n".join(filled) + "\n"


def _wrapped(words: str, first: str = "", others: str = "") -> list[str]:
    """Wrap to the width, without breaking ``collgs-async`` in two."""
    return TextWrapper(_WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False).wrap(words)
