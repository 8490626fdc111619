"""What a census writes down of a watch: what is asked, and when which span of sensing time was read.

All functions run within one transaction each, in the ledger's thread. Times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

__all__ = [
    "SpanRecord",
    "WatchRecord",
    "count_within",
    "doubtful",
    "last_begun",
    "members",
    "open_watch",
    "read_spans",
    "replace_spans",
    "set_tally",
    "share_dated",
    "starts_within",
    "tallies",
]


class SpanRecord(NamedTuple):
    """A row of the table of spans; see `mirror.spans`."""

    first: int
    last: int
    total: int | None
    surplus: int
    listed: int | None
    settled: int | None


@dataclass(frozen=True, slots=True)
class WatchRecord:
    """What one configuration asks of a catalogue.

    Attributes
    ----------
    id
        Its number in the ledger.
    name
        Its name, such as ``S2_MSIL2A``.
    is_new
        Whether it was asked for the first time.
    """

    id: int
    name: str
    is_new: bool


def open_watch(connection: Connection, digest: bytes, asked: str, collection: str, now: int) -> WatchRecord:
    """Return the watch of a digest; a new digest begins a new one, which has no spans yet."""
    found = connection.execute("SELECT id, name FROM watch WHERE digest = ?", (digest,)).fetchone()
    if found is not None:
        return WatchRecord(found[0], found[1], is_new=False)
    taken = {name for (name,) in connection.execute("SELECT name FROM watch")}
    names = (collection if number == 1 else f"{collection}-{number}" for number in range(1, len(taken) + 2))
    name = next(name for name in names if name not in taken)
    values = (name, asked, digest, now)
    cursor = connection.execute("INSERT INTO watch(name, asked, digest, begun) VALUES (?, ?, ?, ?)", values)
    return WatchRecord(int(cursor.lastrowid or 0), name, is_new=True)


def last_begun(connection: Connection) -> int | None:
    """Return the latest time that any run has written down; a clock before it was set back."""
    latest: int | None = connection.execute("SELECT max(begun) FROM run").fetchone()[0]
    return latest


def members(connection: Connection, watch: int) -> int:
    """Return how many products a watch lists, as far as is known."""
    counted: int = connection.execute(
        "SELECT count(*) FROM listed JOIN product ON product.id = listed.product"
        " WHERE listed.watch = ? AND absent = 0 AND gone IS NULL",
        (watch,),
    ).fetchone()[0]
    return counted


def read_spans(connection: Connection, watch: int) -> list[SpanRecord]:
    """Return the spans of a watch, in order of time."""
    rows = connection.execute(
        "SELECT first, last, total, surplus, listed, settled FROM span WHERE watch = ? ORDER BY first", (watch,)
    )
    return [SpanRecord(*row) for row in rows]


def replace_spans(connection: Connection, watch: int, first: int, last: int, spans: Iterable[SpanRecord]) -> None:
    """Replace the spans that lie within two borders."""
    connection.execute("DELETE FROM span WHERE watch = ? AND first >= ? AND last <= ?", (watch, first, last))
    connection.executemany(
        "INSERT INTO span(watch, first, last, total, surplus, listed, settled) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ((watch, *span) for span in spans),
    )


def starts_within(connection: Connection, watch: int, collection: str, first: int, last: int) -> array[int]:
    """Return the sensing times of a watch's products between two times, in ascending order."""
    rows = connection.execute(
        "SELECT start FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE collection = ? AND start >= ? AND start < ? AND absent = 0 AND gone IS NULL ORDER BY start",
        (watch, collection, first, last),
    )
    return array("q", (start for (start,) in rows))


def count_within(connection: Connection, watch: int, collection: str, first: int, last: int, reach: int) -> int:
    """Return how many products a catalogue should count between two times, by its rule: those whose sensing meets them.

    Parameters
    ----------
    reach
        The longest sensing that is considered, in milliseconds.
    """
    counted: int = connection.execute(
        "SELECT count(*) FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE collection = ? AND start BETWEEN ? AND ? AND coalesce(stop, start) >= ?"
        " AND absent = 0 AND gone IS NULL",
        (watch, collection, first - reach, last, first),
    ).fetchone()[0]
    return counted


def share_dated(connection: Connection, collection: str) -> float:
    """Return the share of products with a date of creation, among the last thousand that were found."""
    dated, counted = connection.execute(
        "SELECT count(created), count(*) FROM"
        " (SELECT created FROM product WHERE collection = ? ORDER BY id DESC LIMIT 1000)",
        (collection,),
    ).fetchone()
    return dated / counted if counted else 0.0


def doubtful(connection: Connection, watch: int, collection: str, before: int) -> list[int]:
    """Return the sensing times, in ascending order, of products that are absent since a time, and not gone yet."""
    rows = connection.execute(
        "SELECT start FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE collection = ? AND absent != 0 AND absent <= ? AND gone IS NULL AND start IS NOT NULL ORDER BY start",
        (watch, collection, before),
    )
    return [start for (start,) in rows]


def tallies(connection: Connection, watch: int) -> dict[tuple[int, int], int]:
    """Return by how much the catalogue's counts of years differ from what their parts have."""
    rows = connection.execute("SELECT first, last, surplus FROM tally WHERE watch = ?", (watch,))
    return {(first, last): surplus for first, last, surplus in rows}


def set_tally(connection: Connection, watch: int, first: int, last: int, surplus: int) -> None:
    """Write down by how much the count of a year differs, although all of its parts agree; or that of all years.

    A year's begin and end move as its spans are cut, so one that overlaps is replaced.
    """
    is_whole = first < 0 and last >= 2**53
    connection.execute(
        "DELETE FROM tally WHERE watch = ? AND first < ? AND last > ? AND (first < 0 AND last >= ?) = ?",
        (watch, last, first, 2**53, is_whole),
    )
    connection.execute("INSERT INTO tally VALUES (?, ?, ?, ?)", (watch, first, last, surplus))
