"""What is known of all products together, in one short read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.records import RunRecord, State
from collgs_async.ledger.runs import latest_runs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

__all__ = ["LISTERS", "LedgerOverview", "read_overview"]

LISTERS: Final = ("sync", "retry")
"""Commands whose runs are those of the mirror."""

_KEPT: Final = (State.SUPERSEDED, State.WITHDRAWN, State.AGED)


@dataclass(frozen=True, slots=True)
class LedgerOverview:
    """The state of a mirror; times are milliseconds UTC, and None where there is none.

    Attributes
    ----------
    states
        Number of products by state.
    archives, bytes
        Number of whole archives that are here, and their length.
    kept, kept_bytes
        Those of superseded, withdrawn and aged archives, by state.
    unwanted
        Number of products that are listed and not wanted, by the kind of reason.
    retry_at
        When the next failed product is due.
    given_up
        Number of products that are not tried again, by the kind of error.
    bad
        Number of archives that were found damaged, and not fetched again yet.
    changed
        Number of archives that the store has replaced, and that are not fetched again yet.
    gone, absent
        Number of products that the catalogue lists no more, and of those that the last listing did not have.
    unchecked, oldest_check
        Number of archives that were never verified since they are here, and when the longest not verified one was.
    unsettled, spans, oldest_listing
        Of the watch that was listed last: number of spans of sensing time that were never read to their end, of all
        its spans, and when the longest not read one was.
    other_listings
        When the other watches were listed last, by name, the latest first.
    hooks_due
        Number of archives of which ``--on-archive`` was not told yet.
    watches
        What is kept equal to the catalogue, by name.
    last_run, last_success
        Of the runs of `sync` and `retry`.
    """

    states: Mapping[State, int]
    archives: int = 0
    bytes: int = 0
    kept: Mapping[State, int] = field(default_factory=dict)
    kept_bytes: Mapping[State, int] = field(default_factory=dict)
    unwanted: Mapping[str, int] = field(default_factory=dict)
    retry_at: int | None = None
    given_up: Mapping[str, int] = field(default_factory=dict)
    bad: int = 0
    changed: int = 0
    gone: int = 0
    absent: int = 0
    unchecked: int = 0
    oldest_check: int | None = None
    unsettled: int = 0
    spans: int = 0
    oldest_listing: int | None = None
    other_listings: Mapping[str, int | None] = field(default_factory=dict)
    hooks_due: int = 0
    watches: tuple[str, ...] = ()
    last_run: RunRecord | None = None
    last_success: RunRecord | None = None

    @property
    def products(self) -> int:
        """Number of all products."""
        return sum(self.states.values())


def read_overview(connection: Connection) -> LedgerOverview:
    """Read it; each figure comes from an index."""
    archives, size = connection.execute("SELECT count(size), total(size) FROM file").fetchone()
    (spans, unsettled, oldest), others = _listings(connection)
    kept = {state: _kept(connection, state) for state in _KEPT}
    return LedgerOverview(
        states={state: _count(connection, "product WHERE state = ?", state) for state in State},
        archives=archives,
        bytes=int(size),
        kept={state: kept[state][0] for state in _KEPT},
        kept_bytes={state: kept[state][1] for state in _KEPT},
        unwanted=_unwanted(connection),
        retry_at=_first(connection, "SELECT min(retry_at) FROM product WHERE state = ?", State.FAILED),
        given_up=_given_up(connection),
        bad=_count(connection, "file WHERE bad IS NOT NULL"),
        changed=_count(connection, "change WHERE removal IS NOT 1"),
        gone=_count(connection, "product WHERE gone IS NOT NULL"),
        absent=_count(connection, "product WHERE absent != 0 AND gone IS NULL"),
        unchecked=_count(connection, "file WHERE checked IS NULL AND size IS NOT NULL"),
        oldest_check=_first(connection, "SELECT min(checked) FROM file WHERE checked IS NOT NULL AND size IS NOT NULL"),
        unsettled=unsettled,
        spans=spans,
        oldest_listing=oldest,
        other_listings=others,
        hooks_due=_count(connection, "file WHERE told = 0"),
        watches=tuple(name for (name,) in connection.execute("SELECT name FROM watch ORDER BY id")),
        last_run=_last_run(connection, is_success=False),
        last_success=_last_run(connection, is_success=True),
    )


def _listings(connection: Connection) -> tuple[tuple[int, int, int | None], dict[str, int | None]]:
    """Return the number of spans of the watch that was listed last, how many were never read to their end, and the age.

    Of all others, return when they were listed last: what is asked for may have changed for good.
    """
    rows = connection.execute(
        "SELECT name, count(*), count(*) - count(settled), min(settled), max(listed) FROM span"
        " JOIN watch ON watch.id = span.watch GROUP BY watch.id ORDER BY max(listed) DESC, watch.id DESC"
    ).fetchall()
    figures = rows[0][1:4] if rows else (0, 0, None)
    return figures, {name: listed for name, *_, listed in rows[1:]}


def _first(connection: Connection, query: str, *values: object) -> int | None:
    found: int | None = connection.execute(query, values).fetchone()[0]
    return found


def _count(connection: Connection, rows: str, *values: object) -> int:
    return _first(connection, f"SELECT count(*) FROM {rows}", *values) or 0  # noqa: S608  (rows is a constant)


def _kept(connection: Connection, state: State) -> tuple[int, int]:
    """Return the number of archives of a state that are here, and their length."""
    query = "SELECT count(size), total(size) FROM product CROSS JOIN file ON file.product = product.id WHERE state = ?"
    count, size = connection.execute(query, (state,)).fetchone()
    return count, int(size)


def _unwanted(connection: Connection) -> dict[str, int]:
    """Return the number of products that are not wanted by the kind of why not, the most frequent first."""
    kinds: Counter[str] = Counter()
    # Hardly any of them has failed, and the index has the others in the order of their kinds.
    for condition in ("retry_at IS NULL", "retry_at IS NOT NULL"):
        query = f"SELECT wanted, count(*) FROM product WHERE state = ? AND {condition} GROUP BY wanted"  # noqa: S608
        for kind, count in connection.execute(query, (State.EXCLUDED,)):
            kinds[kind or ""] += count
    return dict(kinds.most_common())


def _given_up(connection: Connection) -> dict[str, int]:
    """Return the number of products that are not tried again by the class of their error."""
    kinds: Counter[str] = Counter()
    for (error,) in connection.execute("SELECT error FROM product WHERE state = ?", (State.FINAL,)):
        kinds[(error or "").partition(":")[0]] += 1
    return dict(kinds.most_common())


def _last_run(connection: Connection, *, is_success: bool) -> RunRecord | None:
    """Return the last run of the mirror, or the last one that has done all that it was to do."""
    for run in latest_runs(connection, 1000):
        if run.words.partition(" ")[0] in LISTERS and (run.code == 0 or not is_success):
            return run
    return None
