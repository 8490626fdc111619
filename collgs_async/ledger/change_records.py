"""Which archives the store is asked about, and those that it has replaced under the same name.

All functions run within one transaction each, in the ledger's thread. A row of the table ``change`` is there from when
another archive is noticed at the store until it is in its place. Times are milliseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from collgs_async.ledger.outcomes import OutcomeRecord, is_below
from collgs_async.ledger.products import add_event
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import AttemptRecord, Event, State
from collgs_async.ledger.stored_products import unpack
from collgs_async.ledger.values import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from sqlite3 import Connection

    from collgs_async.models.product import Product

__all__ = [
    "Change",
    "HeldArchive",
    "Validators",
    "archives_to_ask",
    "begin_change",
    "changes",
    "count_changes",
    "end_change",
    "forget_change",
    "note_asked",
    "note_fetched",
    "note_same",
    "note_unchanged",
    "note_versions",
    "pending_changes",
    "recorded_path",
]


LATEST: Final = 2**63 - 1
"""Milliseconds UTC that nothing is later than."""


class Validators(NamedTuple):
    """What tells one version of an archive from another; each is None where it is unknown."""

    size: int | None = None
    etag: str | None = None
    modified: str | None = None


class HeldArchive(NamedTuple):
    """An archive that is here.

    Attributes
    ----------
    number
        That of its product.
    path
        Where it is, relative to the output folder.
    here
        Those of the version that is here.
    mtime
        Milliseconds UTC, when it was recorded.
    """

    number: int
    product: Product
    path: str
    here: Validators
    mtime: int | None


class Change(NamedTuple):
    """An archive that the store has replaced.

    Attributes
    ----------
    number, identifier
        Those of its product.
    at
        When that was noticed.
    there
        Those of the version at the store, then.
    old_size, old_mtime
        Bytes, and milliseconds UTC, of the archive that it replaces.
    path
        Where that one is, relative to the output folder; None: the ledger has none.
    aside
        Where that one goes; None: the new one is not complete.
    record
        The download of the new one, with the path at which it will be; None: as `aside`.
    is_obsolete
        Whether the archive was fetched anew since, or is not wanted any more.
    is_deleted
        Whether the old one is deleted once the new one is in its place.
    is_done
        Whether only that is left to do.
    """

    number: int
    identifier: str
    at: int
    there: Validators
    old_size: int | None
    old_mtime: int | None
    path: str | None
    aside: str | None
    record: OutcomeRecord | None
    is_obsolete: bool
    is_deleted: bool = False
    is_done: bool = False


_HELD: Final = """
    SELECT product.id, identifier, json, path, file.size, file.etag, file.modified, mtime FROM {}
    CROSS JOIN product ON product.id = file.product CROSS JOIN entry ON entry.product = product.id
    CROSS JOIN listed ON listed.product = product.id AND listed.watch = ?
    WHERE state = ? AND absent = 0 AND gone IS NULL AND url IS NOT NULL AND path IS NOT NULL AND bad IS NULL
    AND members IS NULL AND moving IS NULL AND coalesce(asked < ?, 1) AND {} LIMIT ?"""
_PENDING: Final = _HELD.format("change CROSS JOIN file ON file.product = change.product", "outcome IS NULL ORDER BY at")
_OTHERS: Final = _HELD.format(
    "file", "NOT EXISTS (SELECT 1 FROM change WHERE change.product = file.product) ORDER BY asked, file.product"
)
_AT_ONCE: Final = 200
"""Archives that are read at once: each one is a few kilobytes."""


def archives_to_ask(connection: Connection, watch: int, most: int, *, before: int = LATEST) -> list[HeldArchive]:
    """Return archives of a watch: those that are known to have changed, then those that were asked about longest ago.

    At most some hundreds are returned: call it until there are none.

    Parameters
    ----------
    most
        The number of archives; more only if more are known to have changed.
    before
        Those that were asked about since then are left out.
    """
    pending = list(_held(connection, _PENDING, watch, before, _AT_ONCE))
    others = min(most, _AT_ONCE) - len(pending)
    return pending + list(_held(connection, _OTHERS, watch, before, max(0, others)))


def pending_changes(connection: Connection, watch: int) -> list[Change]:
    """Return what is known to have changed of a watch, and is still to be fetched."""
    numbers = {archive.number for archive in _held(connection, _PENDING, watch, LATEST, -1)}
    return [change for change in changes(connection) if change.number in numbers]


def _held(connection: Connection, query: str, watch: int, before: int, most: int) -> Iterator[HeldArchive]:
    for number, name, packed, path, *here, mtime in connection.execute(query, (watch, State.HELD, before, most)):
        yield HeldArchive(number, unpack(name, packed), path, Validators(*here), mtime)


def note_asked(connection: Connection, numbers: Iterable[int], now: int | None) -> None:
    """Write down when the store was asked about archives; None: that it is to be asked about them first."""
    connection.executemany("UPDATE file SET asked = ? WHERE product = ?", ((now, number) for number in numbers))


def note_unchanged(connection: Connection, numbers: Iterable[int], now: int) -> None:
    """Write down that the store was asked about archives, and has no others than those that are here."""
    for number in numbers:
        note_asked(connection, [number], now)
        forget_change(connection, number)


def note_versions(connection: Connection, versions: Iterable[tuple[int, Validators]]) -> None:
    """Write down what the store has told of archives of which less was known, by the numbers of their products."""
    for number, there in versions:
        texts = (text and as_text(text) for text in (there.etag, there.modified))
        connection.execute(
            "UPDATE file SET etag = coalesce(etag, ?), modified = coalesce(modified, ?) WHERE product = ?",
            (*texts, number),
        )


def begin_change(
    connection: Connection, archive: HeldArchive, there: Validators, *, now: int, is_due: bool = False
) -> None:
    """Write down that the store has another archive, before it is fetched.

    Parameters
    ----------
    is_due
        Whether ``--on-archive`` is to be told of it.
    """
    texts = (text and as_text(text) for text in (there.etag, there.modified))
    connection.execute(
        "INSERT OR REPLACE INTO change(product, at, size, etag, modified, old_size, old_mtime, told)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (archive.number, now, there.size, *texts, archive.here.size, archive.mtime, 0 if is_due else None),
    )
    note_asked(connection, [archive.number], now)


def changes(connection: Connection) -> list[Change]:
    """Return all that the store has replaced and that is not in its place, the longest known first."""
    rows = connection.execute(
        "SELECT change.product, identifier, at, change.size, change.etag, change.modified, old_size, old_mtime,"
        " file.path, aside, outcome, coalesce(file.fetched > at, 0)"
        " OR (outcome IS NULL AND (file.path IS NULL OR state != ?)), removal"
        " FROM change JOIN product ON product.id = change.product LEFT JOIN file ON file.product = change.product"
        " ORDER BY at, change.product",
        (State.HELD,),
    )
    return [_change(*row) for row in rows]


def _change(
    number: int,
    identifier: str,
    at: int,
    size: int | None,
    etag: str | None,
    modified: str | None,
    old_size: int | None,
    old_mtime: int | None,
    path: str | None,
    aside: str | None,
    outcome: str | None,
    is_obsolete: int,
    removal: int | None,
) -> Change:
    there, record = Validators(size, etag, modified), OutcomeRecord.from_line(outcome.encode()) if outcome else None
    if record is None or aside is None or not is_below(aside):
        record = aside = None
    where = path or (record.path if record else None)
    record = record and replace(record, path=where)  # the old one may have been moved since
    return Change(
        number,
        identifier,
        at,
        there,
        old_size,
        old_mtime,
        where,
        aside,
        record,
        bool(is_obsolete),
        removal is not None,
        removal == 1,
    )


def count_changes(connection: Connection) -> int:
    """Return how many archives the store has replaced that are not in their places."""
    (count,) = connection.execute("SELECT count(*) FROM change").fetchone()
    return int(count)


def note_fetched(connection: Connection, change: Change) -> None:
    """Write down that the new archive is complete, and where the old one goes; nothing is moved before."""
    line = change.record.to_line().decode() if change.record else None
    connection.execute(
        "UPDATE change SET aside = ?, outcome = ?, removal = ? WHERE product = ?",
        (change.aside, line, 0 if change.is_deleted else None, change.number),
    )


def note_same(connection: Connection, change: Change, record: OutcomeRecord, *, now: int) -> None:
    """Write down that the archive at the store has the same bytes as the one here, and other validators."""
    connection.execute(
        "UPDATE file SET etag = ?, modified = ?, asked = ? WHERE product = ?",
        (record.etag and as_text(record.etag), record.modified and as_text(record.modified), now, change.number),
    )
    forget_change(connection, change.number)


def end_change(connection: Connection, change: Change, *, run: int | None, now: int, why: str) -> None:
    """Write down that the new archive is in its place, as after any download; only then the old one is deleted.

    Parameters
    ----------
    why
        What has become of the old one, for the history of the product.
    """
    record = change.record
    if record is None:
        return
    row = connection.execute("SELECT told FROM change WHERE product = ?", (change.number,)).fetchone()
    add_event(connection, change.number, AttemptRecord(min(record.at, now), Event.CHANGED, run, error=why))
    record_outcome(connection, record, run=run, now=now, is_due=bool(row) and row[0] is not None)
    if change.is_deleted:
        connection.execute("UPDATE change SET removal = 1 WHERE product = ?", (change.number,))
    else:
        forget_change(connection, change.number)


def recorded_path(connection: Connection, identifier: str) -> str | None:
    """Return where the archive of a product is, relative to the output folder; None: the ledger has none."""
    row = connection.execute(
        "SELECT path FROM file JOIN product ON id = product WHERE identifier = ?", (as_text(identifier),)
    ).fetchone()
    return str(row[0]) if row and row[0] else None


def forget_change(connection: Connection, number: int) -> None:
    """Write down that the archive that is here is the one to have."""
    connection.execute("DELETE FROM change WHERE product = ?", (number,))
