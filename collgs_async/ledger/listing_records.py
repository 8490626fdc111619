"""What a census writes down of products: which are listed, which came back, and which are absent.

All functions run within one transaction each, in the ledger's thread. Times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.records import State
from collgs_async.ledger.stored_products import pack, unpack
from collgs_async.ledger.times import to_ms
from collgs_async.models.sentinel import recognise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from sqlite3 import Connection, Row

    from collgs_async.models.product import Product

__all__ = [
    "OLDER",
    "Edition",
    "Listed",
    "Recorded",
    "acquisition_key",
    "acquisitions",
    "due",
    "editions",
    "mark_absent",
    "mark_aged",
    "missing_from",
    "products_of",
    "record_listed",
    "replaced",
    "set_seen",
    "set_unwanted",
    "wanted_now",
]

OLDER: Final = ("older baseline", "older version")
"""Kinds of products that are not wanted only since there is a newer edition of them."""

_CHUNK: Final = 500
"""Names in one statement; SQLite takes 999 at least."""


_KNOWN: Final = """
    SELECT p.id, p.identifier, p.collection, p.start, p.stop, p.created, p.updated, p.absent, p.gone, p.wanted, p.state,
        e.url, e.product IS NOT NULL AS has_entry, f.path, f.members
    FROM product p LEFT JOIN entry e ON e.product = p.id LEFT JOIN file f ON f.product = p.id
    WHERE p.identifier IN ({})"""

_EXPECTED: Final = """
    SELECT product.id FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = :watch
    WHERE gone IS NULL"""
_WITHIN: Final = " AND collection = :collection AND start >= :first AND start < :last"

_TO_FETCH: Final = """
    SELECT product.id, identifier, json FROM product JOIN entry ON entry.product = product.id
    WHERE product.id IN ({}) AND state IN ({}) AND wanted IS NULL AND absent = 0 AND gone IS NULL"""


class Listed(NamedTuple):
    """A product that the catalogue lists, and the kind of reason why it is not wanted; None: it is."""

    product: Product
    unwanted: str | None


class Edition(NamedTuple):
    """One of the products that were made of one acquisition."""

    id: int
    product: Product
    unwanted: str | None


@dataclass(slots=True)
class Recorded:
    """What a batch of listed products has brought.

    Attributes
    ----------
    ids
        The numbers of all of them.
    new, returned
        The names of those that were not known, and of those that had gone.
    missing
        The numbers of those that are wanted and not here.
    changed
        The acquisitions whose newest edition may be another one now.
    """

    ids: array[int] = field(default_factory=lambda: array("q"))
    new: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    missing: array[int] = field(default_factory=lambda: array("q"))
    changed: set[int] = field(default_factory=set)


def acquisition_key(identifier: str) -> int | None:
    """Return a number that all products of one acquisition share; None where the name does not tell."""
    name = recognise(identifier)
    return None if name is None else _key(name.acquisition)


def _key(acquisition: str) -> int:
    return int.from_bytes(hashlib.blake2b(acquisition.encode(), digest_size=8).digest(), signed=True)


def record_listed(connection: Connection, watch: int, collection: str, batch: Sequence[Listed], now: int) -> Recorded:
    """Write down products that the catalogue lists: new ones, those that are back, and what has changed.

    The last listing that had each is written down by `set_seen`, once its span was read to its end.
    """
    found = Recorded()
    known = {row["identifier"]: row for row in _known(connection, [one.product.identifier for one in batch])}
    for product, unwanted in batch:
        if product.is_twin:
            continue  # its name is another product's
        row = known.get(product.identifier)
        if row is None:
            number = _insert(connection, collection, product, unwanted, now)
            connection.execute("INSERT INTO listed(watch, product) VALUES (?, ?)", (watch, number))
            found.new.append(product.identifier)
            is_changed, state = True, _listed_state(unwanted)
        else:
            number = row["id"]
            if row["gone"] is not None:
                found.returned.append(product.identifier)
            is_changed, state = _update(connection, row, collection, product, unwanted), _state(row, unwanted)
            connection.execute("INSERT OR IGNORE INTO listed(watch, product) VALUES (?, ?)", (watch, number))
        found.ids.append(number)
        if state is State.WANTED:
            found.missing.append(number)
        if is_changed and unwanted is None and (key := acquisition_key(product.identifier)) is not None:
            found.changed.add(key)
    return found


def _known(connection: Connection, names: Sequence[str]) -> Iterator[Row]:
    import sqlite3  # deferred: nothing but a ledger needs it

    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    for begin in range(0, len(names), _CHUNK):
        chunk = names[begin : begin + _CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from cursor.execute(_KNOWN.format(marks), chunk)


def _insert(connection: Connection, collection: str, product: Product, unwanted: str | None, now: int) -> int:
    name = recognise(product.identifier)
    cursor = connection.execute(
        "INSERT INTO product(identifier, collection, start, stop, acquisition, edition, produced, created, updated,"
        " first_seen, seen, wanted, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            product.identifier,
            collection,
            to_ms(product.sensing_start),
            to_ms(product.sensing_end),
            None if name is None else _key(name.acquisition),
            None if name is None or name.edition is None else ".".join(map(str, name.edition)),
            to_ms(name.produced) if name else None,
            to_ms(product.created),
            to_ms(product.updated),
            now,
            now,
            unwanted,
            _listed_state(unwanted),
        ),
    )
    number = int(cursor.lastrowid or 0)
    if _is_kept(unwanted):
        _set_entry(connection, number, product)
    return number


def _update(connection: Connection, row: Row, collection: str, product: Product, unwanted: str | None) -> bool:
    """Update a known product where anything has changed; return whether that may matter for other editions."""
    dates = (product.sensing_start, product.sensing_end, product.created, product.updated)
    facts = (collection, *map(to_ms, dates))
    same = facts == tuple(row[name] for name in ("collection", "start", "stop", "created", "updated"))
    back = row["gone"] is not None or row["absent"] != 0 or row["state"] in {State.WITHDRAWN, State.AGED}
    if not same or back or unwanted != row["wanted"]:
        connection.execute(
            "UPDATE product SET collection = ?, start = ?, stop = ?, created = ?, updated = ?, absent = 0,"
            " gone = NULL, wanted = ?, state = ? WHERE id = ?",
            (*facts, unwanted, _state(row, unwanted), row["id"]),
        )
    is_fetched = row["path"] is not None
    stale = not row["has_entry"] or not same or (not is_fetched and row["url"] != product.url)
    if stale and _is_kept(unwanted):
        _set_entry(connection, row["id"], product)
    return back or unwanted != row["wanted"]


def _state(row: Row, unwanted: str | None) -> State:
    """Return the state of a product that is listed."""
    if row["path"] is not None:
        if unwanted in OLDER:
            return State.SUPERSEDED
        return State.HELD if row["members"] is None else State.PART
    if unwanted is None and row["state"] in {State.FAILED, State.FINAL}:
        return State(row["state"])
    return _listed_state(unwanted)


def _listed_state(unwanted: str | None) -> State:
    """Return the state of a product that is listed and was not tried yet."""
    return State.WANTED if unwanted is None else State.EXCLUDED


def _is_kept(unwanted: str | None) -> bool:
    """Whether the entry of a product is kept: it is wanted, or will be when its newer edition goes."""
    return unwanted is None or unwanted in OLDER


def _set_entry(connection: Connection, number: int, product: Product) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO entry(product, url, json) VALUES (?, ?, ?)", (number, product.url, pack(product))
    )


def set_seen(connection: Connection, ids: Iterable[int], now: int) -> None:
    """Write down that a listing had these products."""
    connection.executemany("UPDATE product SET seen = ? WHERE id = ?", ((now, number) for number in ids))


def missing_from(
    connection: Connection, watch: int, collection: str, first: int, last: int, ids: Iterable[int], *, whole: bool
) -> tuple[int, array[int]]:
    """Return how many products a complete listing of a span should have had, and which of them it did not have.

    Parameters
    ----------
    ids
        The numbers of those that it had.
    whole
        Whether the listing had no limit of time, so that products without a sensing time are in it.
    """
    values = {"watch": watch, "collection": collection, "first": first, "last": last}
    rows = connection.execute(_EXPECTED if whole else _EXPECTED + _WITHIN, values)
    came, had, absent = set(ids), 0, array("q")
    for (number,) in rows:
        had += 1
        if number not in came:
            absent.append(number)
    return had, absent


def replaced(connection: Connection, watch: int, absent: Sequence[int]) -> int:
    """Return how many of these absent products have another edition that is listed, so that they are not lost."""
    gone = set(absent)
    count = 0
    for number in absent:
        others = connection.execute(
            "SELECT other.id FROM product JOIN product other ON other.acquisition = product.acquisition"
            " JOIN listed ON listed.product = other.id AND listed.watch = ?"
            " WHERE product.id = ? AND other.id != product.id AND other.absent = 0 AND other.gone IS NULL",
            (watch, number),
        )
        count += any(other not in gone for (other,) in others)
    return count


def mark_absent(connection: Connection, absent: Iterable[int], now: int, patience: int) -> list[str]:
    """Mark products as absent, and as gone those that were absent for long enough; return the names of these.

    Parameters
    ----------
    patience
        Milliseconds between the first settled listing without a product and the one that takes it for gone.
    """
    names: list[str] = []
    for number in absent:
        connection.execute("UPDATE product SET absent = ? WHERE id = ? AND absent = 0", (now, number))
        row = connection.execute(
            "SELECT identifier FROM product WHERE id = ? AND absent <= ?", (number, now - patience)
        ).fetchone()
        if row is not None:
            names.append(row[0])
            connection.execute("UPDATE product SET gone = ?, state = ? WHERE id = ?", (now, State.WITHDRAWN, number))
    return names


def mark_aged(connection: Connection, watch: int, before: int) -> int:
    """Mark the products that a rolling mirror has left behind: those whose sensing ended before a time."""
    rows = connection.execute(
        "SELECT product.id FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?"
        " WHERE coalesce(stop, start) < ? AND state != ?",
        (watch, before, State.AGED),
    ).fetchall()
    connection.executemany("UPDATE product SET state = ? WHERE id = ?", ((State.AGED, number) for (number,) in rows))
    connection.executemany(
        "DELETE FROM listed WHERE watch = ? AND product = ?", ((watch, number) for (number,) in rows)
    )
    return len(rows)


# ------------------------------------------------------------------------------------------------------ editions


def editions(connection: Connection, watch: int, acquisition: int) -> list[Edition]:
    """Return the listed editions of an acquisition that are wanted, or would be without a newer one."""
    rows = connection.execute(
        "SELECT product.id, identifier, wanted, json FROM product"
        " JOIN listed ON listed.product = product.id AND listed.watch = ? JOIN entry ON entry.product = product.id"
        " WHERE acquisition = ? AND absent = 0 AND gone IS NULL AND (wanted IS NULL OR wanted IN (?, ?))",
        (watch, acquisition, *OLDER),
    )
    return [Edition(number, unpack(name, packed), unwanted) for number, name, unwanted, packed in rows]


def set_unwanted(connection: Connection, number: int, unwanted: str | None) -> None:
    """Write down that a product is wanted, or why it is not."""
    cursor = connection.execute("SELECT identifier FROM product WHERE id = ?", (number,))
    for row in _known(connection, [cursor.fetchone()[0]]):
        connection.execute(
            "UPDATE product SET wanted = ?, state = ? WHERE id = ?", (unwanted, _state(row, unwanted), number)
        )


def acquisitions(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Return the acquisitions of products."""
    found = (connection.execute("SELECT acquisition FROM product WHERE id = ?", (one,)).fetchone()[0] for one in ids)
    return {key for key in found if key is not None}


# --------------------------------------------------------------------------------------------------- what is due


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


def products_of(connection: Connection, numbers: Sequence[int]) -> list[tuple[int, Product]]:
    """Return those of these products that are still to be fetched, in their order."""
    marks = ",".join("?" * len(numbers))
    states = ",".join(str(int(state)) for state in (State.WANTED, State.FAILED, State.FINAL))
    rows = connection.execute(_TO_FETCH.format(marks, states), numbers)
    found = {number: unpack(name, packed) for number, name, packed in rows}
    return [(number, found[number]) for number in numbers if number in found]
