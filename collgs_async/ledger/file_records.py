"""Compare the archives that the ledger has with those of the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collgs_async.ledger.products import add_event
from collgs_async.ledger.recording import forget_file
from collgs_async.ledger.records import REMOVED, AttemptRecord, Event, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

__all__ = ["RecordedFile", "forget_missing", "recorded_files", "removed_files", "want_returned"]


class RecordedFile(NamedTuple):
    """An archive that should be here: its product, its path below the output folder, its bytes, if it is a folder."""

    product: int
    path: str
    size: int | None
    is_tree: bool


def recorded_files(connection: Connection, after: int, limit: int) -> list[RecordedFile]:
    """Return archives in the order of their products' numbers, from behind a number on."""
    rows = connection.execute(
        "SELECT product, path, size, members IS NOT NULL FROM file"
        " WHERE product > ? AND path IS NOT NULL AND moving IS NULL ORDER BY product LIMIT ?",
        (after, limit),
    )
    return [RecordedFile(product, path, size, bool(is_tree)) for product, path, size, is_tree in rows]


def forget_missing(
    connection: Connection, products: Iterable[int], *, run: int, now: int, is_removed: bool = False
) -> int:
    """Write down that archives are not here any more; return how many of them were held and wanted.

    Parameters
    ----------
    is_removed
        Whether the user has removed them, so that they are not wanted any more; else they are wanted again.
    """
    state, why, event = (State.EXCLUDED, REMOVED, Event.EXCLUDED) if is_removed else (State.WANTED, None, Event.MISSING)
    held = 0
    for product in products:
        if is_removed:
            connection.execute("UPDATE file SET removed = path WHERE product = ?", (product,))
        forget_file(connection, product)
        add_event(connection, product, AttemptRecord(now, event, run, error=why))
        changed = connection.execute(
            "UPDATE product SET state = ?, wanted = coalesce(?, wanted)"
            " WHERE id = ? AND state IN (?, ?) AND wanted IS NULL",
            (state, why, product, State.HELD, State.PART),
        )
        held += changed.rowcount
        if not changed.rowcount:  # another watch wants it
            connection.execute(
                "UPDATE product SET state = ? WHERE id = ? AND state IN (?, ?)",
                (State.EXCLUDED, product, State.HELD, State.PART),
            )
    return held


def removed_files(connection: Connection) -> list[tuple[int, str]]:
    """Return the products whose archives the user has removed, and where these lay."""
    return connection.execute(
        "SELECT product, removed FROM file JOIN product ON product.id = file.product WHERE wanted = ?", (REMOVED,)
    ).fetchall()


def want_returned(connection: Connection, products: Iterable[int]) -> None:
    """Write down that archives are there again that the user had removed, so that they are looked at."""
    connection.executemany(
        "UPDATE product SET wanted = NULL, state = ? WHERE id = ?", ((State.WANTED, one) for one in products)
    )
