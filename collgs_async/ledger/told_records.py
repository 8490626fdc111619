"""Of which archives ``--on-archive`` is still to be told, and of which it was.

A run with such a command makes each archive due with the commit that notes it. All functions run within one transaction
each, in the ledger's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collgs_async.ledger.values import as_text

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["DueArchive", "count_due", "due_archives", "set_told"]


class DueArchive(NamedTuple):
    """An archive of an earlier run.

    Attributes
    ----------
    path
        Relative to the output folder, with slashes.
    size
        Bytes; None for a folder with members.
    sha256
        32 bytes; None: unknown.
    """

    identifier: str
    path: str
    size: int | None
    sha256: bytes | None


def due_archives(connection: Connection, most: int) -> list[DueArchive]:
    """Return archives that the command is still to be told of, those first that came first."""
    rows = connection.execute(
        "SELECT identifier, path, size, sha256 FROM file JOIN product ON product.id = file.product"
        " WHERE told = 0 AND path IS NOT NULL ORDER BY fetched, file.product LIMIT ?",
        (most,),
    )
    return [DueArchive(*row) for row in rows]


def count_due(connection: Connection) -> int:
    """Return of how many archives the command is still to be told."""
    (count,) = connection.execute("SELECT count(*) FROM file WHERE told = 0 AND path IS NOT NULL").fetchone()
    return int(count)


def set_told(connection: Connection, identifier: str, sha256: str | None, *, now: int) -> None:
    """Write down that the command has ended with 0, and the digest that it was told, in hexadecimal digits."""
    connection.execute(
        "UPDATE file SET told = ?, sha256 = COALESCE(?, sha256) WHERE product ="
        " (SELECT id FROM product WHERE identifier = ?)",
        (now, bytes.fromhex(sha256) if sha256 else None, as_text(identifier)),
    )
