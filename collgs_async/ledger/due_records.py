"""What is to be fetched: products that are wanted, listed and not here, and those that failed before.

All functions run within one transaction each, in the ledger's thread. Times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.choice_records import WANTED_BY_ANY, at_work_since
from collgs_async.ledger.records import Event, State
from collgs_async.ledger.stored_products import pack, unpack
from collgs_async.ledger.values import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from sqlite3 import Connection

    from collgs_async.models.product import Product

__all__ = [
    "changes_at",
    "due",
    "failed_products",
    "first_seen",
    "left_over",
    "partial_products",
    "products_of",
    "set_wanted",
    "want_again",
    "wanted_now",
]

_FIRST_SEEN: Final = "SELECT id FROM product WHERE id IN ({}) AND first_seen = ?"
_REMOVED: Final = f"id IN (SELECT product FROM attempt WHERE at = ? AND outcome = {Event.EXCLUDED})"  # noqa: S608
_CHANGES: Final = "SELECT identifier FROM product WHERE {} ORDER BY identifier"

_TO_FETCH: Final = """
    SELECT product.id, identifier, json FROM product JOIN entry ON entry.product = product.id
    LEFT JOIN file ON file.product = product.id AND path IS NOT NULL AND bad IS NOT NULL
    WHERE file.product IS NULL AND product.id IN ({}) AND state IN ({}) AND wanted IS NULL
    AND absent = 0 AND gone IS NULL"""


def wanted_now(connection: Connection, watch: int) -> array[int]:
    """Return the numbers of the products that are wanted, listed and not here."""
    rows = connection.execute(
        "SELECT product.id FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE state = ? AND absent = 0 AND gone IS NULL ORDER BY product.id",
        (watch, State.WANTED),
    )
    return array("q", (number for (number,) in rows))


def due(connection: Connection, watch: int, now: int) -> array[int]:
    """Return the numbers of the products that failed before and are to be tried again."""
    rows = connection.execute(
        "SELECT product.id FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE state IN (?, ?) AND retry_at <= ? AND wanted IS NULL AND absent = 0 AND gone IS NULL"
        " ORDER BY retry_at, product.id",
        (watch, State.FAILED, State.FINAL, now),
    )
    return array("q", (number for (number,) in rows))


def left_over(connection: Connection, watch: int) -> tuple[int, int, int, int | None]:
    """Return how many listed and wanted products are not here: not tried, waiting and final; and when one is due."""
    rows = connection.execute(
        "SELECT state, retry_at IS NULL, count(*), min(retry_at) FROM product CROSS JOIN listed"
        " ON listed.product = product.id AND listed.watch = ? WHERE state IN (?, ?, ?) AND wanted IS NULL"
        " AND absent = 0 AND gone IS NULL GROUP BY 1, 2",
        (watch, State.WANTED, State.FAILED, State.FINAL),
    )
    wanted = waiting = final = 0
    due_at: int | None = None
    for state, is_final, count, earliest in rows:
        if state == State.WANTED:
            wanted += count
        elif is_final:
            final += count
        else:
            waiting += count
            due_at = earliest if due_at is None else min(due_at, earliest)
    return wanted, waiting, final, due_at


def first_seen(connection: Connection, numbers: Sequence[int], now: int) -> set[int]:
    """Return those of these products that were found at this time."""
    marks = ",".join("?" * len(numbers))
    rows = connection.execute(_FIRST_SEEN.format(marks), (*numbers, now))
    return {number for (number,) in rows}


def changes_at(connection: Connection, now: int) -> dict[str, list[str]]:
    """Return the names of products by what they were marked as at this time, and of all that are superseded.

    The kinds are ``absent``, ``gone`` and ``removed`` (by the user).
    """
    kinds = {
        "absent": ("absent = ? AND gone IS NULL", now),
        "gone": ("gone = ?", now),
        "superseded": ("state = ?", int(State.SUPERSEDED)),
        "removed": (_REMOVED, now),
    }
    return {
        kind: [name for (name,) in connection.execute(_CHANGES.format(condition), (value,))]
        for kind, (condition, value) in kinds.items()
    }


def products_of(connection: Connection, numbers: Sequence[int]) -> list[tuple[int, Product]]:
    """Return those of these products that are still to be fetched, in their order."""
    marks = ",".join("?" * len(numbers))
    states = ",".join(str(int(state)) for state in (State.WANTED, State.FAILED, State.FINAL))
    rows = connection.execute(_TO_FETCH.format(marks, states), numbers)
    found = {number: unpack(name, packed) for number, name, packed in rows}
    return [(number, found[number]) for number in numbers if number in found]


def partial_products(connection: Connection, watch: int, after: int, limit: int) -> list[tuple[int, Product]]:
    """Return wanted and listed products of which members are here, in the order of their numbers, from behind one."""
    rows = connection.execute(
        "SELECT product.id, identifier, json FROM product JOIN entry ON entry.product = product.id"
        " JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE product.id > ? AND state = ? AND wanted IS NULL AND absent = 0 AND gone IS NULL"
        " ORDER BY product.id LIMIT ?",
        (watch, after, State.PART, limit),
    )
    return [(number, unpack(name, packed)) for number, name, packed in rows]


def set_wanted(connection: Connection, numbers: Iterable[int]) -> None:
    """Write down that products are to be fetched, whatever of them is here."""
    connection.executemany("UPDATE product SET state = ? WHERE id = ?", ((State.WANTED, one) for one in numbers))


def failed_products(connection: Connection, kind: str | None, *, now: int) -> list[tuple[str, str | None]]:
    """Return names and collections of the products that failed before, whenever they are due.

    One that the latest watch leaves out counts where another one wants it.

    Parameters
    ----------
    kind
        Only those whose last error was of this class; None: all.
    now
        Milliseconds UTC.
    """
    states = f"state IN ({State.FAILED}, {State.FINAL}) AND wanted IS NULL"
    others = f"state = {State.EXCLUDED} AND tries > 0 AND {WANTED_BY_ANY}"
    rows = connection.execute(
        f"SELECT identifier, collection FROM product WHERE ({states} OR {others}) AND gone IS NULL"  # noqa: S608  (constants)
        " AND (? IS NULL OR error = ? OR substr(error, 1, ?) = ?) ORDER BY id",
        (at_work_since(connection, now), kind, kind, len(kind or "") + 1, f"{kind}:"),
    )
    return [(identifier, collection) for identifier, collection in rows]


def want_again(connection: Connection, products: Sequence[Product]) -> list[int]:
    """Write down that products are wanted now, as the catalogue lists them now; return their numbers."""
    numbers: list[int] = []
    for product in products:
        row = connection.execute(
            "SELECT id FROM product WHERE identifier = ?", (as_text(product.identifier),)
        ).fetchone()
        if row is not None:
            url = None if product.url is None else as_text(product.url)
            values = (row[0], url, pack(product))
            connection.execute("INSERT OR REPLACE INTO entry(product, url, json) VALUES (?, ?, ?)", values)
            connection.execute(
                "UPDATE product SET state = ?, wanted = NULL, absent = 0 WHERE id = ?", (State.WANTED, row[0])
            )
            numbers.append(row[0])
    return numbers
