"""Archives whose STAC item is still to be written, and what the ledger knows for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.outcomes import is_below
from collgs_async.ledger.paths import OWN_FOLDER
from collgs_async.ledger.stored_products import unpack
from collgs_async.models.product import Product

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["ArchiveWithoutItem", "archives_without_item", "note_item"]

log = logging.getLogger("collgs_async")

_QUERY: Final = f"""
SELECT product.id, identifier, collection, entry.json, path, fetched, checked, how, etag, modified, sha256
FROM file JOIN product ON product.id = file.product LEFT JOIN entry ON entry.product = product.id
WHERE path IS NOT NULL AND path NOT LIKE '{OWN_FOLDER}/%' AND stac IS NULL AND file.product > ?
ORDER BY file.product LIMIT ?
"""  # noqa: S608  (a constant)


@dataclass(frozen=True, slots=True)
class ArchiveWithoutItem:
    """An archive, or a folder with members of one; None: unknown.

    Attributes
    ----------
    number
        Number of the product.
    product
        What the catalogue said of it; only its name, if that is not known.
    path
        Relative to the output folder, with slashes; it stays below it.
    fetched, checked
        When it was downloaded, and last verified: milliseconds UTC.
    how
        How it was verified.
    etag, modified
        Of the archive at the store.
    sha256
        In hexadecimal digits.
    """

    number: int
    product: Product
    path: str
    fetched: int | None
    checked: int | None
    how: str | None
    etag: str | None
    modified: str | None
    sha256: str | None


def archives_without_item(connection: Connection, after: int, most: int) -> list[ArchiveWithoutItem]:
    """Return archives whose STAC item is not noted, in the order of their products.

    Parameters
    ----------
    after
        Only products with a greater number than this.
    most
        How many at most.
    """
    found = []
    for number, identifier, collection, packed, path, fetched, checked, how, *rest in connection.execute(
        _QUERY, (after, most)
    ):
        if is_below(path):
            product = _product(identifier, collection, packed)
            etag, modified, sha256 = rest
            digest = None if sha256 is None else sha256.hex()
            found.append(ArchiveWithoutItem(number, product, path, fetched, checked, how, etag, modified, digest))
    return found


def note_item(connection: Connection, product: int, *, sha256: str | None, now: int) -> None:
    """Note that the STAC item of an archive is written, and the SHA-256 that is in it, in hexadecimal digits."""
    digest = bytes.fromhex(sha256) if sha256 else None
    connection.execute(
        "UPDATE file SET stac = ?, sha256 = COALESCE(?, sha256) WHERE product = ?", (now, digest, product)
    )


def _product(identifier: str, collection: str | None, packed: bytes | None) -> Product:
    if packed is not None:
        try:
            return unpack(identifier, packed)
        except (ValueError, TypeError, LookupError) as error:
            log.debug("%s: its entry in the ledger is damaged: %s", identifier, error)
    return Product(identifier, None, collection)
