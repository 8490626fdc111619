"""Make a ledger anew from the archives that are in the folder, or compare one with them; nothing is fetched."""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from collgs_async.errors import LedgerError
from collgs_async.ledger.found_files import FoundFile, examine, find_files, look_at
from collgs_async.ledger.ledger import Ledger, check_pages
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.outcomes import damage_record
from collgs_async.ledger.products import add_event, file_of, find_product, product_id
from collgs_async.ledger.recording import forget_file, record_outcome
from collgs_async.ledger.records import AttemptRecord, Event, FileRecord, State
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.ledger.values import as_line, as_text
from collgs_async.models.text import plural
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.errors import ProductError
    from collgs_async.ledger.paths import LedgerPaths

__all__ = ["Rebuilt", "rebuild"]

log = logging.getLogger("collgs_async")

_AT_ONCE: Final = 200
"""Files of one transaction."""

_MOST_MISSING: Final = 0.1
_FEW: Final = 20
"""Share of the recorded archives, and number, from which on missing ones look like a disk that is not mounted."""


@dataclass(slots=True)
class Rebuilt:
    """What was found.

    Attributes
    ----------
    archives, trees
        Number of archives and of folders with members of one that are in the ledger now.
    adopted
        Number of those that were not in it before.
    damaged
        Number of archives whose structure is damaged; they are wanted again.
    others
        Number of files and folders that belong to no known product, or are a second copy; they are left alone.
    missing
        Number of recorded archives that are not in the folder.
    is_refused
        Whether so many were missing that nothing was noted of them.
    """

    archives: int = 0
    trees: int = 0
    adopted: int = 0
    damaged: int = 0
    others: int = 0
    missing: int = 0
    is_refused: bool = False

    @property
    def ok(self) -> bool:
        """Whether all that is here is whole, and what is recorded is here."""
        return not self.damaged and not self.is_refused

    def __str__(self) -> str:
        """Describe the result in one line."""
        trees = f", {plural(self.trees, 'folder')} with members of one" if self.trees else ""
        words = [f"{plural(self.archives, 'archive')}{trees}: {self.adopted} new to the ledger"]
        if self.damaged:
            words.append(f"{self.damaged} damaged")
        if self.missing and not self.is_refused:
            words.append(f"{self.missing} recorded and not here any more")
        if self.others:
            words.append(f"{plural(self.others, 'other file')} left alone")
        return "; ".join(words)


async def rebuild(paths: LedgerPaths) -> Rebuilt:
    """Make the ledger agree with the folder; a damaged one is put aside, and a new one made.

    Archives are taken over after a check of their structure, without which none is held. What was listed comes back
    with the next listing; what has happened before a damage is in the file that was put aside.

    Raises
    ------
    AlreadyRunningError
        Another run is at work in the folder.
    LedgerError
        The ledger is of a later release, another database, or no file, and is not touched; or it cannot be written.
    """
    async with FolderLock(paths.sync):
        await _put_aside_if_damaged(paths)
        async with Ledger.open(paths) as ledger:
            run = await ledger.run(begin_run, "ledger rebuild", now=_now())
            await take_in_spool(ledger)
            await ledger.run(_begin_look)
            found = await _look_through(ledger, run)
            await ledger.run(_note_missing, found, run)
            await ledger.run(end_run, run, now=_now(), code=0 if found.ok else 1)
    return found


async def _put_aside_if_damaged(paths: LedgerPaths) -> None:
    try:
        async with Ledger.open(paths, takes_over=True) as ledger:
            await ledger.run(check_pages)
        return
    except LedgerError as error:
        if not error.is_damaged:
            raise
        reason = error
    async with FolderLock(paths.writer):
        aside = await in_thread(None, partial(_put_aside, paths.database))
    log.warning("%s", str(reason).partition(";")[0])
    log.warning("it is put aside as %s, and a new one is made", aside)


def _put_aside(database: Path) -> Path:
    """Rename a database and its journal, which belong together by their names."""
    numbers = ("" if number == 1 else f"-{number}" for number in range(1, 1000))
    aside = next(
        path for number in numbers if not (path := database.with_name(f"{database.name}.damaged{number}")).exists()
    )
    journal = database.with_name(f"{database.name}-journal")
    database.replace(aside)
    if journal.exists():
        journal.replace(aside.with_name(f"{aside.name}-journal"))
    return aside


async def _look_through(ledger: Ledger, run: int) -> Rebuilt:
    """Check what is in the folder, a few files at once, and note it."""
    rebuilt = Rebuilt()
    folder, paths = ledger.paths.folder, find_files(ledger.paths.folder)
    stop = threading.Event()
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="rebuild") as threads:
        try:
            while files := await in_thread(None, partial(_next_files, paths, folder, rebuilt)):
                known = await ledger.run(_known_files, files)
                pairs = zip(files, known, strict=True)
                checks = [in_thread(threads, partial(examine, *pair, stop.is_set)) for pair in pairs]
                problems = [await check for check in checks]
                await ledger.run(_note_files, list(zip(files, problems, strict=True)), rebuilt, run)
        finally:
            stop.set()
    return rebuilt


def _next_files(paths: Iterator[Path], folder: Path, rebuilt: Rebuilt) -> list[FoundFile]:
    """Return the next files of products; the others are counted."""
    found: list[FoundFile] = []
    while not found and (batch := list(islice(paths, _AT_ONCE))):
        looked = [look_at(path, folder, at=_now()) for path in batch]
        found = [one for one in looked if one is not None and one.is_ours]
        rebuilt.others += len(batch) - len(found)
    return found


def _known_files(connection: Connection, files: list[FoundFile]) -> list[FileRecord | None]:
    known: list[FileRecord | None] = []
    for one in files:
        product = find_product(connection, one.record.identifier)
        known.append(file_of(connection, product.id) if product else None)
    return known


def _begin_look(connection: Connection) -> None:
    connection.execute("CREATE TEMP TABLE here(product INTEGER PRIMARY KEY)")


def _note_files(
    connection: Connection, files: list[tuple[FoundFile, ProductError | None]], rebuilt: Rebuilt, run: int
) -> None:
    """Note files in one transaction; it is not repeated, so the counts are right where it fails, too."""
    for one, problem in files:
        record, now = one.record, _now()
        product = product_id(connection, record.identifier, now=now, collection=record.collection)
        is_first = connection.execute("INSERT OR IGNORE INTO here VALUES (?)", (product,)).rowcount > 0
        before = file_of(connection, product)
        if not is_first and (problem is not None or not _is_better(before, one)):
            rebuilt.others += 1
            continue
        rebuilt.trees += record.members is not None
        rebuilt.archives += record.members is None and problem is None
        if problem is not None:
            rebuilt.damaged += 1
            log.warning("%s: %s", one.path, problem)
            connection.execute("DELETE FROM here WHERE product = ?", (product,))
            record_outcome(connection, damage_record(record, problem), run=run, now=now)
            continue
        record_outcome(connection, record, run=run, now=now)
        if before is None or before.path is None:
            rebuilt.adopted += 1
        if one.item is not None and (before is None or before.fetched is None):
            _note_item(connection, product, one)


def _is_better(before: FileRecord | None, one: FoundFile) -> bool:
    """Whether a second file of a product is its archive, and the first one only had members of it."""
    return before is not None and before.members is not None and one.record.members is None


def _note_item(connection: Connection, product: int, one: FoundFile) -> None:
    """Note what the STAC item says of an archive that the ledger did not have."""
    item = one.item
    assert item is not None  # noqa: S101  (for mypy)
    connection.execute(
        "UPDATE file SET sha256 = ?, etag = ?, modified = ?, fetched = ?, checked = ?, how = ? WHERE product = ?",
        (
            bytes.fromhex(item.sha256) if item.sha256 else None,
            item.etag and as_text(item.etag),
            item.modified and as_text(item.modified),
            item.fetched,
            item.checked,
            item.how and as_line(item.how),
            product,
        ),
    )


def _note_missing(connection: Connection, rebuilt: Rebuilt, run: int) -> None:
    """Note the recorded archives that are not in the folder, unless they are so many that a disk may be missing."""
    (recorded,) = connection.execute("SELECT count(*) FROM file WHERE path IS NOT NULL").fetchone()
    rows = "FROM file WHERE path IS NOT NULL AND bad IS NULL AND product NOT IN (SELECT product FROM here)"
    (rebuilt.missing,) = connection.execute(f"SELECT count(*) {rows}").fetchone()
    if rebuilt.missing >= _FEW and rebuilt.missing > _MOST_MISSING * recorded:
        rebuilt.is_refused = True
        return
    now = _now()
    for (product,) in connection.execute(f"SELECT product {rows}").fetchall():
        forget_file(connection, product)
        connection.execute(
            "UPDATE product SET state = ? WHERE id = ? AND state IN (?, ?)",
            (State.WANTED, product, State.HELD, State.PART),
        )
        add_event(connection, product, AttemptRecord(now, Event.MISSING, run))


def _now() -> int:
    return time.time_ns() // 10**6
