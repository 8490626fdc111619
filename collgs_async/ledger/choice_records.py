"""Which of the listed products are wanted, as each watch has chosen: by its selection, and by the user's removals.

All functions run within one transaction each, in the ledger's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.records import REMOVED, State
from collgs_async.ledger.stored_products import unpack
from collgs_async.models.shard import OTHER_SHARD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from sqlite3 import Connection, Row

    from collgs_async.models.product import Product

__all__ = [
    "OLDER",
    "WANTED_BY_ANY",
    "Edition",
    "at_work_since",
    "editions",
    "known_products",
    "listed_state",
    "restore_choice",
    "set_choice",
    "set_unwanted",
    "state_of",
]

OLDER: Final = ("older baseline", "older version")
"""Kinds of products that are not wanted only since there is a newer edition of them."""

_CHUNK: Final = 500
"""Names in one statement; SQLite takes 999 at least."""

_KNOWN: Final = """
    SELECT p.id, p.identifier, p.collection, p.start, p.stop, p.created, p.updated, p.absent, p.gone, p.wanted, p.state,
        p.tries, p.retry_at, e.url, e.product IS NOT NULL AS has_entry, f.path, f.bad, f.members
    FROM product p LEFT JOIN entry e ON e.product = p.id LEFT JOIN file f ON f.product = p.id
    WHERE p.identifier IN ({})"""

_DIFFERENT: Final = """
    SELECT identifier, listed.unwanted FROM listed JOIN product ON product.id = listed.product
    WHERE listed.watch = ? AND (listed.unwanted IS NOT product.wanted OR state = ?) AND gone IS NULL
    AND product.wanted IS NOT ?"""

_IDLE: Final = 60 * 86_400_000
"""Milliseconds after which a watch that was not at work wants nothing any more."""

WANTED_BY_ANY: Final = (
    "EXISTS (SELECT 1 FROM watch JOIN listed ON listed.watch = watch.id AND listed.product = product.id"
    " WHERE listed.unwanted IS NULL AND product.absent = 0 AND product.gone IS NULL"
    " AND (SELECT max(span.listed) FROM span WHERE span.watch = watch.id) >= ?)"
)
"""Whether any watch wants a product that has been at work since a time, that of `at_work_since`."""


class Edition(NamedTuple):
    """One of the products that were made of one acquisition."""

    id: int
    product: Product
    unwanted: str | None


def known_products(connection: Connection, names: Sequence[str]) -> Iterator[Row]:
    """Yield what the ledger has of products, by their names."""
    import sqlite3  # deferred: nothing but a ledger needs it

    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    for begin in range(0, len(names), _CHUNK):
        chunk = names[begin : begin + _CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from cursor.execute(_KNOWN.format(marks), chunk)


def state_of(row: Row, unwanted: str | None, *, is_changed: bool = False) -> State:
    """Return the state of a product that is listed.

    Parameters
    ----------
    row
        As of `known_products`.
    unwanted
        The kind of reason why it is not wanted; None: it is.
    is_changed
        Whether the catalogue says something else of it than before, so that what failed is worth another try.
    """
    if row["path"] is not None and row["bad"] is None:
        if unwanted in OLDER:
            return State.SUPERSEDED
        return State.HELD if row["members"] is None else State.PART
    if unwanted is None and not is_changed and row["state"] in {State.FAILED, State.FINAL}:
        return State(row["state"])
    if unwanted is None and not is_changed and row["state"] == State.EXCLUDED and row["tries"]:
        return State.FINAL if row["retry_at"] is None else State.FAILED  # as it was before another watch left it out
    return listed_state(unwanted)


def listed_state(unwanted: str | None) -> State:
    """Return the state of a product that is listed and was not tried yet."""
    return State.WANTED if unwanted is None else State.EXCLUDED


def set_choice(connection: Connection, watch: int, number: int, unwanted: str | None) -> None:
    """Write down that a watch lists a product, and why it does not want it; None: it does."""
    connection.execute(
        "INSERT INTO listed(watch, product, unwanted) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET unwanted = excluded.unwanted WHERE unwanted IS NOT excluded.unwanted",
        (watch, number, unwanted),
    )


def restore_choice(connection: Connection, watch: int) -> None:
    """Make what a watch has chosen the choice that counts, as another watch of the folder may have run since."""
    (watches,) = connection.execute("SELECT count(*) FROM watch").fetchone()
    if watches > 1:
        chosen = dict(connection.execute(_DIFFERENT, (watch, State.AGED, REMOVED)).fetchall())
        for row in known_products(connection, list(chosen)):
            _set(connection, row, chosen[row["identifier"]])


def at_work_since(connection: Connection, now: int) -> int:
    """Return the time since which a watch has listed something if it still wants what it wanted.

    One whose settings were changed has not run since the watch of the new settings began.
    """
    (begun,) = connection.execute("SELECT coalesce(max(begun), 0) FROM watch").fetchone()
    return max(int(begun), now - _IDLE)


def editions(connection: Connection, watch: int, acquisition: int) -> list[Edition]:
    """Return the listed editions of an acquisition that are wanted, or would be without a newer one, or until removed.

    What the user has removed, or another shard has, is still the newest edition, so that an older one does not come in
    its place.
    """
    rows = connection.execute(
        "SELECT product.id, identifier, product.wanted, json FROM product"
        " JOIN listed ON listed.product = product.id AND listed.watch = ? JOIN entry ON entry.product = product.id"
        " WHERE acquisition = ? AND absent = 0 AND gone IS NULL"
        " AND (product.wanted IS NULL OR product.wanted IN (?, ?, ?, ?))",
        (watch, acquisition, *OLDER, REMOVED, OTHER_SHARD),
    )
    return [Edition(number, unpack(name, packed), unwanted) for number, name, unwanted, packed in rows]


def set_unwanted(connection: Connection, watch: int, number: int, unwanted: str | None) -> None:
    """Write down that a product is wanted, or why it is not; what the user has removed is not wanted anyway."""
    cursor = connection.execute("SELECT identifier FROM product WHERE id = ?", (number,))
    for row in known_products(connection, [cursor.fetchone()[0]]):
        set_choice(connection, watch, number, unwanted)
        if row["wanted"] != REMOVED:
            _set(connection, row, unwanted)


def _set(connection: Connection, row: Row, unwanted: str | None) -> None:
    values = (unwanted, state_of(row, unwanted), row["id"])
    connection.execute("UPDATE product SET wanted = ?, state = ? WHERE id = ?", values)
