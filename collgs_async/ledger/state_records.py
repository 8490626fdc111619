"""The state of a mirror in figures. All functions run within one transaction each, in the ledger's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collgs_async.ledger.records import State

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["MirrorState", "mirror_state"]


class MirrorState(NamedTuple):
    """Figures of a ledger; times are milliseconds UTC.

    Attributes
    ----------
    products
        The number of products by state, in lower case.
    held_bytes
        Length of all archives that are here.
    oldest_check
        When the archive that was not checked for the longest time was checked; 0: one never was. None: none is here.
    oldest_listing
        When the span that was not listed completely for the longest time was; 0: one never was. None: there is none.
    last_success
        The end of the last run of this command with exit code 0; None: there was none.
    """

    products: dict[str, int]
    held_bytes: int
    oldest_check: int | None
    oldest_listing: int | None
    last_success: int | None


def mirror_state(connection: Connection, watch: str, words: str) -> MirrorState:
    """Return the figures of a ledger.

    Parameters
    ----------
    watch
        The name of the watch whose spans count.
    words
        The command whose runs count.
    """
    states = connection.execute("SELECT state, count(*) FROM product GROUP BY state").fetchall()
    held, checked = connection.execute(
        "SELECT TOTAL(size), MIN(COALESCE(checked, 0)) FROM file WHERE path IS NOT NULL"
    ).fetchone()
    (listed,) = connection.execute(
        "SELECT MIN(COALESCE(settled, 0)) FROM span JOIN watch ON watch.id = span.watch WHERE name = ?", (watch,)
    ).fetchone()
    (success,) = connection.execute("SELECT MAX(ended) FROM run WHERE code = 0 AND words = ?", (words,)).fetchone()
    return MirrorState(
        {name.name.lower(): 0 for name in State} | {State(state).name.lower(): count for state, count in states},
        int(held),
        checked,
        listed,
        success,
    )
