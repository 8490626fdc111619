"""Runs, and how they ended."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from collgs_async import __version__
from collgs_async.ledger.records import RunRecord
from collgs_async.ledger.values import as_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

__all__ = ["begin_run", "end_run", "insert_run", "latest_runs"]


def begin_run(connection: Connection, words: str, *, now: int) -> int:
    """Note that a run of the writer begins, and return its number.

    Runs of the past that have not ended were killed: they count as ended when they began, without an exit code.

    Parameters
    ----------
    words
        The command, such as ``sync``; no arguments, which may hold a password.
    now
        Milliseconds UTC.
    """
    connection.execute("UPDATE run SET ended = begun WHERE ended IS NULL")
    return insert_run(connection, words, begun=now, ended=None, host=socket.gethostname(), version=__version__)


def insert_run(connection: Connection, words: str, *, begun: int, ended: int | None, host: str, version: str) -> int:
    """Add a run, and return its number."""
    row = (begun, ended, as_line(words), as_line(host), as_line(version))
    added = connection.execute("INSERT INTO run(begun, ended, words, host, version) VALUES (?, ?, ?, ?, ?)", row)
    return added.lastrowid or 0


def end_run(
    connection: Connection, run: int, *, now: int, code: int | None, told: Mapping[str, Any] | None = None
) -> None:
    """Note how a run ended.

    Parameters
    ----------
    code
        Its exit code; None: unknown.
    told
        Its summary: what JSON can hold.
    """
    summary = None if told is None else json.dumps(told)
    connection.execute("UPDATE run SET ended = ?, code = ?, told = ? WHERE id = ?", (now, code, summary, run))


def latest_runs(connection: Connection, most: int) -> list[RunRecord]:
    """Return the latest runs, the newest first."""
    rows = connection.execute(
        "SELECT id, begun, ended, words, host, version, code, told FROM run ORDER BY id DESC LIMIT ?", (most,)
    )
    return [RunRecord(*row) for row in rows]
