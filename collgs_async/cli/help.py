"""The texts of ``collgs-async --help``, on one screen, and of ``collgs-async help TOPIC``."""

from __future__ import annotations

from textwrap import TextWrapper
from typing import TYPE_CHECKING, Final

from collgs_async.cli.parser import COMMANDS, command_parser
from collgs_async.cli.topics import TOPICS
from collgs_async.config.settings import OPTIONS
from collgs_async.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["help_text", "overview"]

_WIDTH: Final = 79

_MOST_NEEDED: Final = (
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
  collgs-async COMMAND --help    every option of a command"""


def overview() -> str:
    """Return an overview of all commands."""
    parts = [
        "usage: collgs-async [COMMAND] [OPTIONS]",
        "Pull Sentinel archives from the CollGS: concurrently, resumably, verified.",
    ]
    for heading in dict.fromkeys(command.heading for command in COMMANDS.values()):
        named = {name: command.help for name, command in COMMANDS.items() if command.heading == heading}
        parts.append(f"{heading}:\n{_table(named, 15)}")
    options = {
        f"{', '.join(one.flags)} {one.metavar}".rstrip(): one.help for one in OPTIONS if one.flag in _MOST_NEEDED
    }
    options["--dry-run"] = "list what would be pulled, and leave"
    topics = _table({"collgs-async help TOPIC": ", ".join(TOPICS)}, 33)
    return "\n\n".join([*parts, f"options that are needed most:\n{_table(options, 28)}", f"{_EXAMPLES}\n{topics}\n"])


def help_text(topic: str | None) -> str:
    """Explain a topic or a command; without one, list the topics.

    Raises
    ------
    ConfigError
        There is no such topic.
    """
    if topic is None:
        titles = _table({name: one.title for name, one in TOPICS.items()})
        return f"Topics, for `collgs-async help TOPIC`:\n\n{titles}\n\nA command explains itself in the same way.\n"
    if topic in COMMANDS:
        return command_parser(topic).format_help()
    if topic not in TOPICS:
        found = f"{topic!r}{did_you_mean(topic, [*TOPICS, *COMMANDS])}"
        raise ConfigError(f"help: expected a command or one of {', '.join(TOPICS)}, found {found}")
    title, prose, table = TOPICS[topic]
    paragraphs = [part if part.startswith(" ") else _wrapped(part) for part in prose.split("\n\n") if part]
    rows = [_table(table)] if table else []
    return "\n\n".join([f"{topic}: {title}", *paragraphs, *rows]) + "\n"


def _table(rows: Mapping[str, str], column: int = 0) -> str:
    """Format names beside their meaning, which begins at `column`; a longer name gets a line of its own."""
    column = column or min(max(map(len, rows)), 28) + 4
    lines = []
    for name, meaning in rows.items():
        title = f"  {name}"
        if len(title) > column - 2:
            lines.append(title)
            title = ""
        lines.append(_wrapped(meaning, title.ljust(column), " " * column))
    return "\n".join(lines)


def _wrapped(words: str, first: str = "", others: str = "") -> str:
    """Wrap to the width, without breaking ``collgs-async`` in two."""
    wrapper = TextWrapper(_WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
    return wrapper.fill(" ".join(words.split()))
