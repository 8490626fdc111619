"""Write the outcome of one product into the tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.products import add_event, file_of, product_id
from collgs_async.ledger.records import REMOVED, AttemptRecord, Event, State
from collgs_async.ledger.times import next_retry
from collgs_async.ledger.values import as_line, as_text
from collgs_async.storage.files import is_same_mtime

if TYPE_CHECKING:
    from sqlite3 import Connection

    from collgs_async.ledger.outcomes import OutcomeRecord

__all__ = ["forget_file", "note_failure", "note_file", "record_outcome"]

_TO_FETCH: Final = (State.WANTED, State.FAILED, State.FINAL)
_FETCHED: Final = (State.HELD, State.PART)
"""States that follow from what is here; in the others, a product stays whatever is here of it."""

_NEVER: Final = "NotAvailableError"
_BAD: Final = "IntegrityError"
_CHANGED_NAME: Final = re.compile(r"-[0-9a-f]{32}$")


def record_outcome(
    connection: Connection, record: OutcomeRecord, *, run: int | None, now: int, is_due: bool = False
) -> None:
    """Write one outcome.

    Parameters
    ----------
    run
        The run that it is of; None: unknown.
    now
        Milliseconds UTC. An outcome from the future, by a wrong clock, counts as of now.
    is_due
        Whether ``--on-archive`` is to be told of a downloaded archive.
    """
    at = min(record.at, now)
    if record.event in (Event.CHECKED, Event.BAD):
        product = _checked_product(connection, record)
        if product is None:
            return
    else:
        product = product_id(connection, record.identifier, now=at, collection=record.collection)
    is_outdated = _is_outdated(connection, product, at=at, now=now)
    match record.event:
        case Event.SKIPPED:
            is_new = record.path is not None and not is_outdated
            if is_new and not _find(connection, product, record):
                _adopt(connection, product, record, run=run, at=at)
            return
        case _ if is_outdated:
            pass
        case Event.DOWNLOADED:
            note_file(connection, product, record, run=run, at=at)
            if is_due:
                connection.execute("UPDATE file SET told = 0 WHERE product = ?", (product,))
            _note_success(connection, product, State.HELD if record.members is None else State.PART)
        case Event.CHECKED:
            if not _is_recorded(connection, product, record):
                _adopt(connection, product, record, run=run, at=at)
            _note_check(connection, product, record, at=at)
        case Event.BAD:
            _note_damage(connection, product, record, at=at)
        case _:
            note_failure(connection, product, record.kind or "", record.error or "", now=at)
    said = ": ".join(filter(None, (record.kind, record.error))) or None
    figures = (record.received, record.seconds, record.requests)
    add_event(connection, product, AttemptRecord(at, record.event, run, *figures, said))


def _is_outdated(connection: Connection, product: int, *, at: int, now: int) -> bool:
    """Whether an archive was fetched since, of which an outcome that was handed in late tells nothing.

    A download of the future was noted before the clock was set back, and does not count.
    """
    known = file_of(connection, product)
    return known is not None and known.fetched is not None and at < known.fetched <= now


def _checked_product(connection: Connection, record: OutcomeRecord) -> int | None:
    """Return the product of a checked file; None: it is another file, such as a second copy, or one of the user's.

    Its name is the identifier of the product, or has a digest of that.
    """
    query, given = "SELECT id FROM product WHERE identifier = ?", record.identifier
    if record.path and _CHANGED_NAME.search(record.identifier):
        query, given = "SELECT product FROM file WHERE path = ?", record.path  # all rows are read; such names are rare
    row = connection.execute(query, (as_text(given),)).fetchone()
    known = file_of(connection, row[0]) if row else None
    is_other = known is not None and known.path is not None and known.path != as_text(record.path or "")
    return None if row is None or is_other else row[0]


def note_file(
    connection: Connection, product: int, record: OutcomeRecord, *, run: int | None, at: int, fetched: bool = True
) -> None:
    """Write what is known of an archive that was fetched, or found; it replaces what was known before."""
    connection.execute(
        "INSERT OR REPLACE INTO file(product, path, size, mtime, sha256, etag, modified, fetched, asked, run, checked,"
        " how, members) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            product,
            record.path and as_text(record.path),
            record.size,
            record.mtime,
            bytes.fromhex(record.sha256) if record.sha256 else None,
            record.etag and as_text(record.etag),
            record.modified and as_text(record.modified),
            at if fetched else None,
            at if fetched else None,
            run,
            at if record.how else None,
            record.how and as_line(record.how),
            record.members,
        ),
    )


def forget_file(connection: Connection, product: int) -> None:
    """Write that an archive is not here any more."""
    connection.execute("UPDATE file SET path = NULL, size = NULL, mtime = NULL WHERE product = ?", (product,))


def _note_success(connection: Connection, product: int, state: State) -> None:
    connection.execute("UPDATE product SET tries = 0, retry_at = NULL, error = NULL WHERE id = ?", (product,))
    connection.execute(
        "UPDATE product SET state = ?, wanted = NULL WHERE id = ? AND wanted = ?", (State.WANTED, product, REMOVED)
    )
    marks = ", ".join("?" * len((*_TO_FETCH, *_FETCHED)))
    connection.execute(
        f"UPDATE product SET state = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608  (question marks)
        (state, product, *_TO_FETCH, *_FETCHED),
    )


def note_failure(connection: Connection, product: int, kind: str, error: str, *, now: int) -> None:
    """Write why a product is not here, and when it is tried again.

    What the store does not have is not tried again by itself, nor an archive that was bad twice in a row.

    Parameters
    ----------
    kind
        Name of the class of the error.
    now
        Milliseconds UTC.
    """
    state, tries, before = connection.execute(
        "SELECT state, tries, error FROM product WHERE id = ?", (product,)
    ).fetchone()
    is_final = kind == _NEVER or (kind == _BAD and (before or "").startswith(_BAD))
    if state in _TO_FETCH:
        state = State.FINAL if is_final else State.FAILED
    connection.execute(
        "UPDATE product SET state = ?, tries = ?, retry_at = ?, error = ? WHERE id = ?",
        (state, tries + 1, None if is_final else next_retry(tries + 1, now), as_line(f"{kind}: {error}"), product),
    )


def _find(connection: Connection, product: int, record: OutcomeRecord) -> bool:
    """Whether an archive that is here is the recorded one; then it is here, whatever failed before."""
    if not _is_recorded(connection, product, record):
        return False
    known = file_of(connection, product)
    if known is not None and known.bad is None:
        _note_success(connection, product, State.HELD if known.members is None else State.PART)
    return True


def _is_recorded(connection: Connection, product: int, record: OutcomeRecord) -> bool:
    """Whether a file is the recorded one, by length and time; a path that differs is written."""
    known = file_of(connection, product)
    if known is None or known.path is None or record.path is None or known.size != record.size:
        return False
    if not is_same_mtime(known.mtime or 0, record.mtime or 0):
        return False
    if known.path != as_text(record.path):
        connection.execute("UPDATE file SET path = ? WHERE product = ?", (as_text(record.path), product))
    return True


def _adopt(connection: Connection, product: int, record: OutcomeRecord, *, run: int | None, at: int) -> None:
    """Write that an archive was found that no recorded download has brought."""
    note_file(connection, product, record, run=None, at=at, fetched=False)
    _note_success(connection, product, State.HELD if record.members is None else State.PART)
    add_event(connection, product, AttemptRecord(at, Event.ADOPTED, run))


def _note_check(connection: Connection, product: int, record: OutcomeRecord, *, at: int) -> None:
    digest = bytes.fromhex(record.sha256) if record.sha256 else None
    connection.execute(
        "UPDATE file SET checked = ?, how = ?, bad = NULL, sha256 = COALESCE(?, sha256) WHERE product = ?",
        (at, record.how and as_line(record.how), digest, product),
    )
    known = file_of(connection, product)
    _note_success(connection, product, State.PART if known and known.members is not None else State.HELD)


def _note_damage(connection: Connection, product: int, record: OutcomeRecord, *, at: int) -> None:
    """Write that an archive is damaged, so that it is wanted again."""
    if file_of(connection, product) is None:
        note_file(connection, product, record, run=None, at=at, fetched=False)
    said, how = as_line(f"{record.kind}: {record.error}"), record.how and as_line(record.how)
    connection.execute(
        "UPDATE file SET checked = ?, how = ?, bad = ? WHERE product = ?",
        (at, how, said, product),
    )
    connection.execute(
        "UPDATE product SET state = ? WHERE id = ? AND state IN (?, ?)", (State.WANTED, product, *_FETCHED)
    )
