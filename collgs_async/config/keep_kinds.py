"""Kinds of values for keeping a mirror: layouts of folders, commands of the user, and files for metrics."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from collgs_async.config.kinds import FILE, Kind, one_of
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.models.layout import Layout

__all__ = ["COMMAND", "LAYOUT", "METRICS", "POLICY"]

_FLAT: Final = "flat"
"""The word for no layout: all archives in the output folder itself."""


def _layout(value: object) -> Layout | None:
    from collgs_async.models.layout import Layout  # deferred: it compiles the patterns of all names

    if isinstance(value, Layout):
        return value
    if isinstance(value, str) and value.strip().lower() == _FLAT:
        return None
    if not isinstance(value, str) or "{" not in value:
        raise ValueError
    return Layout.parse(value)


def _command(value: object) -> str | None:
    """Validate a command: words as a shell would split them, of which the first one is the program; empty: none."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    if not value.strip():
        return None
    try:
        words = shlex.split(value)
    except ValueError as error:
        problem = str(error)
        raise ValueError(f"expected a command, found {quote_value(value)}: {problem[0].lower()}{problem[1:]}") from None
    if not (words and words[0]):
        raise ValueError
    return value


def _metrics(value: object) -> Path:
    """Validate the path of a file for node_exporter, whose textfile collector reads ``*.prom`` only."""
    path: Path = FILE.read(value)
    if path.suffix != ".prom":
        raise ValueError
    return path


LAYOUT = Kind("folders such as {collection}/{year}/{month}, or flat", _layout)
COMMAND = Kind("a command such as 'notify --archive'", _command, may_hold_password=True)
METRICS = Kind("the name of a file such as collgs.prom", _metrics)
POLICY = one_of("keep", "move", "delete")
