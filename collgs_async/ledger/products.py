"""Find products in the ledger, add them, and note what happens to them."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.records import AttemptRecord, Event, FileRecord, ProductRecord, State
from collgs_async.ledger.times import to_ms
from collgs_async.ledger.values import as_line, as_text
from collgs_async.models.sentinel import recognise

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["NameFacts", "add_event", "attempts_of", "file_of", "find_product", "name_facts", "product_id"]

_LATEST: Final = 20
"""Events that are kept of each product."""

_PRODUCT: Final = ", ".join(one.name for one in fields(ProductRecord))
_FILE: Final = ", ".join(one.name for one in fields(FileRecord))


class NameFacts(NamedTuple):
    """What the name of a product tells; each is None where it does not.

    Times are milliseconds UTC; `edition` sorts as the processing baselines do.
    """

    start: int | None = None
    stop: int | None = None
    acquisition: int | None = None
    edition: str | None = None
    produced: int | None = None


@lru_cache(maxsize=1024)
def name_facts(identifier: str) -> NameFacts:
    """Return what the name of a product tells."""
    name = recognise(identifier)
    if name is None:
        return NameFacts()
    digest = blake2b(name.acquisition.encode(), digest_size=8).digest()
    return NameFacts(
        start=to_ms(name.start),
        stop=to_ms(name.stop),
        acquisition=int.from_bytes(digest, "big", signed=True),
        edition=None if name.edition is None else ".".join("-" if part < 0 else f"{part:04}" for part in name.edition),
        produced=to_ms(name.produced),
    )


def product_id(
    connection: Connection, identifier: str, *, now: int, collection: str | None = None, state: State = State.WANTED
) -> int:
    """Return the number of a product; it is added where the ledger does not have it.

    Parameters
    ----------
    now
        When it is seen first, in milliseconds UTC, if it is added.
    collection, state
        Those of a product that is added; a known one keeps its state, and gets the collection if it has none.
    """
    name = as_text(identifier)
    row = connection.execute("SELECT id, collection FROM product WHERE identifier = ?", (name,)).fetchone()
    where = None if collection is None else as_text(collection)
    if row is None:
        facts = name_facts(name)
        added = connection.execute(
            "INSERT INTO product(identifier, collection, state, first_seen,"
            " start, stop, acquisition, edition, produced) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (name, where, state, now, *facts),
        )
        return added.lastrowid or 0
    number: int = row[0]
    if row[1] is None and where is not None:
        connection.execute("UPDATE product SET collection = ? WHERE id = ?", (where, number))
    return number


def find_product(connection: Connection, identifier: str) -> ProductRecord | None:
    """Return a product by its name; None: the ledger does not have it."""
    query = f"SELECT {_PRODUCT} FROM product WHERE identifier = ?"  # noqa: S608  (names of fields)
    row = connection.execute(query, (as_text(identifier),)).fetchone()
    if row is None:
        return None
    values = dict(zip((one.name for one in fields(ProductRecord)), row, strict=True))
    return ProductRecord(**{**values, "state": State(values["state"])})


def file_of(connection: Connection, product: int) -> FileRecord | None:
    """Return what is known of a product's archive; None: it was never here."""
    query = f"SELECT {_FILE} FROM file WHERE product = ?"  # noqa: S608  (names of fields)
    row = connection.execute(query, (product,)).fetchone()
    return None if row is None else FileRecord(*row)


def attempts_of(connection: Connection, product: int) -> list[AttemptRecord]:
    """Return what has happened to a product, the oldest first; at most the last 20 things."""
    rows = connection.execute(
        "SELECT at, outcome, run, bytes, seconds, requests, error FROM attempt WHERE product = ? ORDER BY rowid",
        (product,),
    )
    return [AttemptRecord(at, Event(event), *rest) for at, event, *rest in rows]


def add_event(connection: Connection, product: int, event: AttemptRecord) -> None:
    """Note what has happened to a product; of each, the last 20 events are kept."""
    error = None if event.error is None else as_line(event.error)
    connection.execute(
        "INSERT INTO attempt(product, run, at, outcome, bytes, seconds, requests, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (product, event.run, event.at, event.event, event.bytes, event.seconds, event.requests, error),
    )
    connection.execute(
        "DELETE FROM attempt WHERE rowid IN"
        " (SELECT rowid FROM attempt WHERE product = ? ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
        (product, _LATEST),
    )
