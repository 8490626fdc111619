"""Which files are being moved or deleted, so that a run that is killed meanwhile leaves no doubt about them.

All functions run within one transaction each, in the ledger's thread. Paths are relative to the output folder, with
slashes. A file is renamed between `begin_moves` and `end_moves`; after a kill, where it lies decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.products import add_event
from collgs_async.ledger.recording import forget_file
from collgs_async.ledger.records import AttemptRecord, Event, State
from collgs_async.ledger.values import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

__all__ = [
    "DELETED",
    "Known",
    "Move",
    "begin_moves",
    "cancel_moves",
    "end_moves",
    "forget_moves",
    "known_by_name",
    "known_by_path",
    "open_moves",
]

DELETED: Final = ""
"""The new path of what is being deleted."""

_KNOWN: Final = (
    "SELECT product.id, identifier, collection, path, json FROM product LEFT JOIN file ON file.product = product.id"
    " LEFT JOIN entry ON entry.product = product.id"
)


class Move(NamedTuple):
    """A file that is being moved.

    Attributes
    ----------
    product
        The number of its product.
    identifier
        The name of its product.
    path
        Where it lay.
    to
        Where it will lie; `DELETED`: nowhere.
    """

    product: int
    identifier: str
    path: str
    to: str


class Known(NamedTuple):
    """What the ledger has of a product whose files are on the disk.

    Attributes
    ----------
    path
        Where the ledger has its archive; None: nowhere.
    packed
        The product as the catalogue lists it; see `stored_products.unpack`. None: unknown.
    """

    product: int
    identifier: str
    collection: str | None
    path: str | None
    packed: bytes | None


def known_by_name(connection: Connection, names: Iterable[str]) -> dict[str, Known]:
    """Return what is known of products, by their names."""
    return {row.identifier: row for name in names for row in _known(connection, "identifier = ?", name)}


def known_by_path(connection: Connection, paths: Iterable[str]) -> dict[str, Known]:
    """Return what is known of files whose names have a digest instead of the identifier, by their paths."""
    return {path: row for path in paths for row in _known(connection, "path = ?", path)}


def _known(connection: Connection, condition: str, value: str) -> list[Known]:
    return [Known(*row) for row in connection.execute(f"{_KNOWN} WHERE {condition}", (as_text(value),))]


def open_moves(connection: Connection) -> list[Move]:
    """Return the moves that a killed run has not ended."""
    rows = connection.execute(
        "SELECT product.id, identifier, path, moving FROM file JOIN product ON product.id = file.product"
        " WHERE moving IS NOT NULL AND path IS NOT NULL"
    )
    return [Move(*row) for row in rows]


def begin_moves(connection: Connection, moves: Iterable[Move]) -> None:
    """Write down where files will lie."""
    connection.executemany(
        "UPDATE file SET moving = ? WHERE product = ?", ((as_text(move.to), move.product) for move in moves)
    )


def cancel_moves(connection: Connection, moves: Iterable[Move]) -> None:
    """Write down that files lie where they lay."""
    connection.executemany("UPDATE file SET moving = NULL WHERE product = ?", ((move.product,) for move in moves))


def forget_moves(connection: Connection, moves: Iterable[Move]) -> None:
    """Write down that files are not here, so that they are wanted again."""
    for move in moves:
        _forget(connection, move.product)
        connection.execute(
            "UPDATE product SET state = ? WHERE id = ? AND state IN (?, ?)",
            (State.WANTED, move.product, State.HELD, State.PART),
        )


def end_moves(connection: Connection, moves: Iterable[Move], *, run: int | None, now: int, why: str = "") -> None:
    """Write down that files lie at their new paths; what was moved out of the way, or deleted, is not here any more.

    Parameters
    ----------
    why
        The reason, for the history of the product.
    """
    for move in moves:
        if move.to and not move.to.startswith("."):
            connection.execute(
                "UPDATE file SET path = ?, moving = NULL, stac = NULL WHERE product = ?",
                (as_text(move.to), move.product),
            )
        else:
            _forget(connection, move.product)
        event = Event.MOVED if move.to else Event.DELETED
        words = ": ".join(filter(None, (why, f"{move.path} to {move.to}" if move.to else move.path)))
        add_event(connection, move.product, AttemptRecord(now, event, run, error=words))


def _forget(connection: Connection, product: int) -> None:
    forget_file(connection, product)
    connection.execute("UPDATE file SET moving = NULL, stac = NULL WHERE product = ?", (product,))
