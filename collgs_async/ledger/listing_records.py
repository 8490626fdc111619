"""What a census writes down of products: which are listed, which came back, and which are absent.

All functions run within one transaction each, in the ledger's thread. Times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.choice_records import OLDER, known_products, listed_state, set_choice, state_of
from collgs_async.ledger.products import add_event, name_facts
from collgs_async.ledger.records import REMOVED, AttemptRecord, Event, State
from collgs_async.ledger.stored_products import pack
from collgs_async.ledger.times import to_ms
from collgs_async.ledger.values import as_text
from collgs_async.models.shard import OTHER_SHARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from sqlite3 import Connection, Row

    from collgs_async.models.product import Product

__all__ = [
    "Listed",
    "Recorded",
    "acquisitions",
    "mark_absent",
    "mark_aged",
    "missing_from",
    "record_listed",
    "replaced",
    "set_seen",
]

_EXPECTED: Final = """
    SELECT product.id FROM product CROSS JOIN listed ON listed.product = product.id AND listed.watch = :watch
    WHERE gone IS NULL"""
_WITHIN: Final = " AND collection = :collection AND start >= :first AND start < :last"


class Listed(NamedTuple):
    """A product that the catalogue lists, and the kind of reason why it is not wanted; None: it is."""

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
    unwanted, others
        The number of new ones that are not wanted, and of those among them that are of other shards.
    missing
        The numbers of those that are wanted and not here.
    changed
        The acquisitions whose newest edition may be another one now.
    """

    ids: array[int] = field(default_factory=lambda: array("q"))
    new: list[str] = field(default_factory=list)
    unwanted: int = 0
    others: int = 0
    returned: list[str] = field(default_factory=list)
    missing: array[int] = field(default_factory=lambda: array("q"))
    changed: set[int] = field(default_factory=set)


def record_listed(
    connection: Connection, watch: int, collection: str, batch: Iterable[Listed], *, now: int, run: int | None
) -> Recorded:
    """Write down products that the catalogue lists: new ones, those that are back, and what has changed.

    The last listing that had each is written down by `set_seen`, once its span was read to its end. Products whose name
    another one has are left out.
    """
    found = Recorded()
    named: dict[str, Listed] = {}
    for one in batch:
        name = as_text(one.product.identifier)
        if not one.product.is_twin and (name not in named or one.product.url is not None):
            named[name] = one
    known = {row["identifier"]: row for row in known_products(connection, list(named))}
    for name, (product, unwanted) in named.items():
        row = known.get(name)
        if row is None:
            number, state = _insert(connection, collection, product, unwanted, now), listed_state(unwanted)
            is_changed = True
            found.new.append(name)
            found.unwanted += unwanted is not None
            found.others += unwanted == OTHER_SHARD
        else:
            why = REMOVED if row["wanted"] == REMOVED and row["path"] is None else unwanted
            number, state = row["id"], state_of(row, why, is_changed=not _is_same(row, collection, product))
            is_changed = _update(connection, row, collection, product, why, state)
            if row["gone"] is not None:
                found.returned.append(name)
                add_event(connection, number, AttemptRecord(now, Event.RETURNED, run))
        set_choice(connection, watch, number, unwanted)
        found.ids.append(number)
        if state is State.WANTED:
            found.missing.append(number)
        if is_changed and unwanted in {None, OTHER_SHARD} and (key := name_facts(name).acquisition) is not None:
            found.changed.add(key)
    return found


def _insert(connection: Connection, collection: str, product: Product, unwanted: str | None, now: int) -> int:
    name = as_text(product.identifier)
    facts = name_facts(name)
    cursor = connection.execute(
        "INSERT INTO product(identifier, acquisition, edition, produced, first_seen, seen, wanted, state, collection,"
        " start, stop, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            facts.acquisition,
            facts.edition,
            facts.produced,
            now,
            now,
            unwanted,
            listed_state(unwanted),
            *_entry_facts(collection, product),
        ),
    )
    number = int(cursor.lastrowid or 0)
    if _is_kept(unwanted):
        _set_entry(connection, number, product)
    return number


def _entry_facts(collection: str, product: Product) -> tuple[str, int | None, int | None, int | None, int | None]:
    """Return what the catalogue says: collection, begin and end of sensing, dates of the product and its entry."""
    times = (product.sensing_start, product.sensing_end, product.created, product.updated)
    start, stop, created, updated = map(to_ms, times)
    return as_text(collection), start, stop, created, updated


def _is_same(row: Row, collection: str, product: Product) -> bool:
    """Whether the catalogue says the same of a product as before."""
    columns = ("collection", "start", "stop", "created", "updated")
    return _entry_facts(collection, product) == tuple(row[name] for name in columns)


def _update(
    connection: Connection, row: Row, collection: str, product: Product, unwanted: str | None, state: State
) -> bool:
    """Update a known product where anything has changed; return whether that may matter for other editions."""
    same = _is_same(row, collection, product)
    back = row["gone"] is not None or row["absent"] != 0
    if not same or back or unwanted != row["wanted"] or state != row["state"]:
        connection.execute(
            "UPDATE product SET collection = ?, start = ?, stop = ?, created = ?, updated = ?, absent = 0,"
            " gone = NULL, wanted = ?, state = ? WHERE id = ?",
            (*_entry_facts(collection, product), unwanted, state, row["id"]),
        )
    is_fetched = row["path"] is not None
    stale = not row["has_entry"] or not same or (not is_fetched and row["url"] != _url(product))
    if stale and _is_kept(unwanted):
        _set_entry(connection, row["id"], product)
    return back or unwanted != row["wanted"]


def _is_kept(unwanted: str | None) -> bool:
    """Whether the entry of a product is kept: it is wanted, or bears on which edition is."""
    return unwanted is None or unwanted in OLDER or unwanted == OTHER_SHARD


def _set_entry(connection: Connection, number: int, product: Product) -> None:
    values = (number, _url(product), pack(product))
    connection.execute("INSERT OR REPLACE INTO entry(product, url, json) VALUES (?, ?, ?)", values)


def _url(product: Product) -> str | None:
    return None if product.url is None else as_text(product.url)


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


def mark_absent(
    connection: Connection, absent: Iterable[int], *, now: int, run: int | None, min_absence: int
) -> list[str]:
    """Mark products as absent, and as gone those that were absent for long enough; return the names of these.

    Parameters
    ----------
    min_absence
        Milliseconds between the first settled listing without a product and the one that takes it for gone.
    """
    names: list[str] = []
    for number in absent:
        connection.execute("UPDATE product SET absent = ? WHERE id = ? AND absent = 0", (now, number))
        row = connection.execute(
            "SELECT identifier FROM product WHERE id = ? AND absent <= ?", (number, now - min_absence)
        ).fetchone()
        if row is not None:
            names.append(row[0])
            connection.execute("UPDATE product SET gone = ?, state = ? WHERE id = ?", (now, State.WITHDRAWN, number))
            add_event(connection, number, AttemptRecord(now, Event.GONE, run))
    return names


def mark_aged(connection: Connection, watch: int, before: int, *, now: int, run: int | None) -> int:
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
    for (number,) in rows:
        add_event(connection, number, AttemptRecord(now, Event.AGED, run))
    return len(rows)


def acquisitions(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Return the acquisitions of products."""
    found = (connection.execute("SELECT acquisition FROM product WHERE id = ?", (one,)).fetchone()[0] for one in ids)
    return {key for key in found if key is not None}
