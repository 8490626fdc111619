"""All that the ledger has of one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.ledger.products import attempts_of, file_of, find_product
from collgs_async.ledger.records import RunRecord
from collgs_async.models.redaction import without_userinfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

    from collgs_async.ledger.records import AttemptRecord, FileRecord, ProductRecord

__all__ = ["ProductDetails", "read_details"]

_SUFFIXES = (".zip", ".SAFE", ".SEN3", ".parts")


@dataclass(frozen=True, slots=True)
class ProductDetails:
    """One product.

    Attributes
    ----------
    file
        None: none of it was ever here.
    url
        Address of its archive, without a password; None: unknown.
    attempts
        What has happened to it, the oldest first.
    runs
        The runs in which, by number.
    editions
        The other products of its acquisition.
    """

    product: ProductRecord
    file: FileRecord | None
    url: str | None
    attempts: tuple[AttemptRecord, ...]
    runs: Mapping[int, RunRecord]
    editions: tuple[ProductRecord, ...]


def read_details(connection: Connection, name: str) -> ProductDetails | None:
    """Return what is known of a product; None: the ledger does not have it.

    Parameters
    ----------
    name
        Its identifier, or the name of its archive or of a folder with members of it.
    """
    product = find_product(connection, name)
    for suffix in _SUFFIXES:
        if product is None and name.endswith(suffix):
            product = find_product(connection, name.removesuffix(suffix))
    if product is None:
        return None
    attempts = tuple(attempts_of(connection, product.id))
    entry = connection.execute("SELECT url FROM entry WHERE product = ?", (product.id,)).fetchone()
    return ProductDetails(
        product,
        file_of(connection, product.id),
        without_userinfo(entry[0]) if entry and entry[0] else None,
        attempts,
        _runs(connection, {one.run for one in attempts if one.run is not None}),
        _editions(connection, product),
    )


def _runs(connection: Connection, numbers: set[int]) -> dict[int, RunRecord]:
    query = "SELECT id, begun, ended, words, host, version, code, told FROM run WHERE id = ?"
    rows = [connection.execute(query, (number,)).fetchone() for number in numbers]
    return {row[0]: RunRecord(*row) for row in rows if row is not None}


def _editions(connection: Connection, product: ProductRecord) -> tuple[ProductRecord, ...]:
    rows = connection.execute(
        "SELECT identifier FROM product WHERE acquisition = ? AND id != ? ORDER BY edition, produced, id LIMIT 20",
        (product.acquisition, product.id),
    )
    found = [find_product(connection, name) for (name,) in rows.fetchall()]
    return tuple(one for one in found if one is not None)
