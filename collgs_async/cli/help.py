"""The text of ``collgs-async --help``, on one screen; details are in the help of each command and topic."""

from __future__ import annotations

import textwrap
from typing import Final

from collgs_async.cli.parser import COMMANDS, TOPICS
from collgs_async.config.settings import OPTIONS

__all__ = ["overview"]

_COMMAND_GROUPS: Final = {
    "choose": ("search", "collections", "describe", "quicklooks", "plan"),
    "pull": ("download", "verify"),
    "set up": ("init", "login", "demo", "completion", "help"),
}

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


def overview() -> str:
    """Return an overview on one screen."""
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
