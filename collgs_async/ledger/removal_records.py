"""What the ledger knows of archives that are here and not wanted any more.

All functions run within one transaction each, in the ledger's thread. Times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.choice_records import WANTED_BY_ANY
from collgs_async.ledger.records import State
from collgs_async.ledger.stored_products import unpack
from collgs_async.models.product import Product

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

__all__ = [
    "KnownEdition",
    "acquisition_of",
    "aged",
    "count_held",
    "editions_here",
    "set_state",
    "shared_acquisitions",
    "withdrawn",
]

_COLUMNS: Final = (
    "product.id, identifier, collection, gone, absent, path, size, mtime, members, bad, checked, fetched, how, json"
)
_FROM: Final = "FROM product LEFT JOIN file ON file.product = product.id LEFT JOIN entry ON entry.product = product.id"


class KnownEdition(NamedTuple):
    """A product, and its archive if that is here.

    Attributes
    ----------
    id
        Its number.
    product
        As the catalogue lists it; without its footprint and all else where the ledger has no entry of it.
    listed
        Whether the catalogue lists it.
    path
        Of its archive, or of the folder with members; relative to the output folder. None: it is not here.
    size, mtime
        When the archive was recorded.
    is_whole
        Whether it is the whole archive, and not known to be damaged.
    read
        When its file was last read, and every checksum compared; None: never since it was downloaded.
    """

    id: int
    product: Product
    listed: bool
    path: str | None
    size: int | None
    mtime: int | None
    is_whole: bool
    read: int | None


def shared_acquisitions(connection: Connection) -> list[int]:
    """Return the acquisitions that have several known editions, of which one or more are here."""
    rows = connection.execute(
        "SELECT acquisition FROM product LEFT JOIN file ON file.product = product.id WHERE acquisition IS NOT NULL"
        " GROUP BY acquisition HAVING count(*) > 1 AND count(path) > 0 ORDER BY acquisition"
    )
    return [key for (key,) in rows]


def editions_here(connection: Connection, acquisition: int) -> list[KnownEdition]:
    """Return all known editions of an acquisition."""
    return _read(connection, "acquisition = ? ORDER BY product.id", acquisition)


def acquisition_of(connection: Connection, product: int) -> int | None:
    """Return the acquisition of a product; None: its name does not tell."""
    (key,) = connection.execute("SELECT acquisition FROM product WHERE id = ?", (product,)).fetchone()
    return None if key is None else int(key)


def withdrawn(connection: Connection, before: int) -> list[KnownEdition]:
    """Return what is here and was not listed any more before a time."""
    return _read(connection, "gone IS NOT NULL AND gone <= ? AND path IS NOT NULL ORDER BY product.id", before)


def aged(connection: Connection) -> list[KnownEdition]:
    """Return what is here and has left a rolling time range."""
    return _read(connection, "state = ? AND path IS NOT NULL ORDER BY product.id", State.AGED)


def wanted_by_any(connection: Connection, product: int, since: int) -> bool:
    """Whether any watch that has been at work since a time wants a product."""
    query = f"SELECT {WANTED_BY_ANY} FROM product WHERE id = ?"  # noqa: S608  (a constant)
    return bool(connection.execute(query, (since, product)).fetchone()[0])


def count_held(connection: Connection) -> int:
    """Return of how many products something is here."""
    (count,) = connection.execute("SELECT count(*) FROM file WHERE path IS NOT NULL").fetchone()
    return int(count)


def set_state(connection: Connection, products: Iterable[int], state: State) -> None:
    """Write down what products are to the mirror."""
    connection.executemany("UPDATE product SET state = ? WHERE id = ?", ((state, number) for number in products))


def _read(connection: Connection, condition: str, value: int) -> list[KnownEdition]:
    rows = connection.execute(f"SELECT {_COLUMNS} {_FROM} WHERE {condition}", (value,))
    return [_edition(*row) for row in rows]


def _edition(
    number: int,
    identifier: str,
    collection: str | None,
    gone: int | None,
    absent: int,
    path: str | None,
    size: int | None,
    mtime: int | None,
    members: int | None,
    bad: str | None,
    checked: int | None,
    fetched: int | None,
    how: str | None,
    packed: bytes | None,
) -> KnownEdition:
    # A download compares checksums of what it writes, and not of what the disk gives back.
    was_read = checked is not None and how in {"crc", "manifest"} and (fetched is None or checked > fetched)
    return KnownEdition(
        number,
        _product(identifier, collection, packed),
        listed=gone is None and not absent,
        path=path,
        size=size,
        mtime=mtime,
        is_whole=path is not None and members is None and bad is None,
        read=checked if was_read else None,
    )


def _product(identifier: str, collection: str | None, packed: bytes | None) -> Product:
    if packed is not None:
        with suppress(ValueError):
            return unpack(identifier, packed)
    return Product(identifier, None, collection)
