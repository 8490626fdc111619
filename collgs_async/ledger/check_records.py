"""Which archives are due for a check, and what earlier checks have found."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.outcomes import is_below
from collgs_async.ledger.paths import OWN_FOLDER
from collgs_async.ledger.records import Event, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection

__all__ = ["FileToCheck", "bad_files", "earlier_damage", "oldest_files"]

_HERE: Final = f"file.path IS NOT NULL AND file.path NOT LIKE '{OWN_FOLDER}/%'"
_COLUMNS: Final = "product.id, product.identifier, file.path, file.size, file.mtime, file.sha256, file.members"


@dataclass(frozen=True, slots=True)
class FileToCheck:
    """An archive, or a folder with members of one.

    Attributes
    ----------
    product
        Number of its product.
    identifier
        Name of its product.
    path
        Relative to the output folder, with slashes; it stays below it.
    size, mtime
        Bytes, and milliseconds UTC; None for a folder, or unknown.
    sha256
        32 bytes; None: unknown.
    members
        Number of members that are here; None: the whole archive.
    """

    product: int
    identifier: str
    path: str
    size: int | None
    mtime: int | None
    sha256: bytes | None
    members: int | None


def oldest_files(connection: Connection, share: float | str) -> list[FileToCheck]:
    """Return the archives that were verified longest ago, or never, the oldest first.

    Parameters
    ----------
    share
        Bytes, or a share of all bytes such as ``1%``. At least one archive is returned, if there is one; and of folders
        with members, the same share of their number.
    """
    (total, folders) = connection.execute(
        f"SELECT TOTAL(size), COUNT(members) FROM file WHERE {_HERE}"  # noqa: S608  (constants)
    ).fetchone()
    part = float(share.rstrip("%")) / 100 if isinstance(share, str) else share / total if total else 1.0
    most_bytes, most_folders = part * total, ceil(part * folders)
    found, nbytes, trees = [], 0, 0
    for file in _files(connection, f"{_HERE} ORDER BY file.checked, file.size, file.product"):
        is_tree = file.members is not None
        if (trees >= most_folders) if is_tree else (nbytes >= most_bytes and nbytes):
            if nbytes >= most_bytes and trees >= most_folders:
                break
            continue
        found.append(file)
        trees += is_tree
        nbytes += 0 if is_tree else max(1, file.size or 0)
    return found


def bad_files(connection: Connection, collection: str, now: int) -> list[FileToCheck]:
    """Return the archives of a collection that a check has found damaged, and that are to be repaired now."""
    return list(
        _files(
            connection,
            f"{_HERE} AND file.bad IS NOT NULL AND product.collection = ? AND product.gone IS NULL"
            " AND (product.state = ? OR (product.state IN (?, ?) AND product.retry_at <= ?)) ORDER BY file.product",
            (collection, State.WANTED, State.FAILED, State.FINAL, now),
        )
    )


def earlier_damage(connection: Connection, product: int) -> list[str]:
    """Return what earlier checks have found wrong with the archives of a product, the oldest first."""
    rows = connection.execute(
        "SELECT error FROM attempt WHERE product = ? AND outcome = ? ORDER BY rowid", (product, Event.BAD)
    )
    return [error or "" for (error,) in rows]


def _files(connection: Connection, where: str, values: tuple[object, ...] = ()) -> Iterator[FileToCheck]:
    query = f"SELECT {_COLUMNS} FROM file JOIN product ON product.id = file.product WHERE {where}"  # noqa: S608
    for row in connection.execute(query, values):
        file = FileToCheck(*row)
        if is_below(file.path):
            yield file
