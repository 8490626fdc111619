"""Read all products of a ledger, a few at a time, so that a writer never waits for long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.products import attempts_of, file_of
from collgs_async.ledger.records import ProductRecord, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from sqlite3 import Connection

    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.records import AttemptRecord, FileRecord

__all__ = ["Exported", "export_products"]

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Exported:
    """A product with its archive, its address, and what has happened to it."""

    product: ProductRecord
    file: FileRecord | None
    url: str | None
    attempts: tuple[AttemptRecord, ...]


async def export_products(ledger: Ledger) -> AsyncIterator[Exported]:
    """Yield each product, in the order in which they became known.

    It is no snapshot: what a writer changes meanwhile is in it or not.
    """
    last = 0
    while rows := await ledger.run(_some, last):
        for row in rows:
            yield row
        last = rows[-1].product.id


def _some(connection: Connection, after: int) -> list[Exported]:
    names = ", ".join(ProductRecord.__slots__)
    query = f"SELECT {names} FROM product WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608  (names of fields)
    found = []
    for row in connection.execute(query, (after, _AT_ONCE)).fetchall():
        values = dict(zip(ProductRecord.__slots__, row, strict=True))
        product = ProductRecord(**{**values, "state": State(values["state"])})
        entry = connection.execute("SELECT url FROM entry WHERE product = ?", (product.id,)).fetchone()
        file, attempts = file_of(connection, product.id), attempts_of(connection, product.id)
        found.append(Exported(product, file, entry[0] if entry else None, tuple(attempts)))
    return found
