"""Take the outcomes of other runs into the ledger."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CollgsError, FileError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.moves import open_moves
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.runs import insert_run
from collgs_async.ledger.spool import SpoolFile, is_spool_name
from collgs_async.ledger.values import as_integer
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import remove_file

if TYPE_CHECKING:
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.ledger.paths import LedgerPaths

__all__ = ["take_in_if_free", "take_in_spool"]

log = logging.getLogger("collgs_async")

_AT_ONCE: Final = 1000
"""Lines of one transaction."""

_SILENT_SECONDS: Final = 7 * 24 * 3600.0
"""Age of a file of a process that cannot be seen from here, after which it is removed; it makes another then."""


async def take_in_spool(ledger: Ledger) -> int:
    """Take in what other runs have handed in, and remove the files of those that have ended.

    A file that cannot be read is left where it is, with a warning.

    Returns
    -------
    int
        The number of outcomes.

    Raises
    ------
    LedgerError
        The ledger cannot be written; what was not taken in is still in the spool.
    """
    taken = 0
    names = await ledger.run(lambda connection: _begin(connection, ledger.paths.spool))
    for name in names:
        path = ledger.paths.spool / name
        try:
            taken += await _take_in(ledger, path)
        except (OSError, FileError) as error:
            log.warning("%s: %s; its outcomes are not in the ledger", path, getattr(error, "strerror", None) or error)
    return taken


async def take_in_if_free(paths: LedgerPaths) -> None:
    """Take in the spool, unless another process writes the ledger, which does that at its next begin.

    So a folder to which only downloads come has a ledger that is up to date, and no spool that grows. Trouble is a
    matter of the next run that writes the ledger; so is a run that was killed while it moved archives, since what lies
    beside them has to follow before anything else is noted of them.
    """
    if not await in_thread(None, partial(os.path.isfile, paths.database)):
        return
    try:
        async with Ledger.open_briefly(paths) as ledger:
            if not await ledger.run(open_moves):
                await take_in_spool(ledger)
    except CollgsError as error:
        log.debug("the outcomes stay in %s: %s", paths.spool, error)


def _begin(connection: Connection, folder: Path) -> list[str]:
    """Return the files that are there, in the order of their last lines, and forget those that were removed."""
    written: list[tuple[int, str]] = []
    with suppress(OSError):
        written += [(path.lstat().st_mtime_ns, path.name) for path in folder.iterdir() if is_spool_name(path.name)]
    names = [name for _, name in sorted(written)]
    known = {name for (name,) in connection.execute("SELECT name FROM spool")}
    connection.executemany("DELETE FROM spool WHERE name = ?", [(name,) for name in known - {*names}])
    return names


async def _take_in(ledger: Ledger, path: Path) -> int:
    taken, is_done, more = 0, False, True
    while more:
        lines, has_ended, more = await ledger.run(_take_lines, path)
        taken, is_done = taken + lines, is_done or has_ended
    if is_done:
        # In the ledger first: a run that is killed in between finds nothing left to take in.
        await ledger.run(lambda _: remove_file(path))
    return taken


def _take_lines(connection: Connection, path: Path) -> tuple[int, bool, bool]:
    """Take in some lines of one file.

    Returns
    -------
    tuple
        The number of outcomes; whether its process will write no more of them; whether there are more lines.
    """
    now = time.time_ns() // 10**6
    with SpoolFile(path) as file:
        header = file.header()
        # Before its lines are read, which a process may still write that is found dead afterwards.
        alive = header.owner.alive() if header.owner else None
        is_silent = alive is None and time.time() - file.modified() > _SILENT_SECONDS
        row = connection.execute("SELECT taken, run FROM spool WHERE name = ?", (path.name,)).fetchone()
        offset, run = row or (0, None)
        taken, is_done, count = 0, alive is False or is_silent, 0
        for behind, line in islice(file.lines(offset), _AT_ONCE):
            if ended := _ended(line):  # it is read again, should the file be here still
                is_done = True
                connection.execute("UPDATE run SET ended = ? WHERE id = ?", (min(ended, now), run))
                break
            count, offset = count + 1, behind
            if run is None:
                began, whose = min(header.begun or now, now), {"host": header.host, "version": header.version}
                run = insert_run(connection, header.words, begun=began, ended=began, **whose)
            if record := OutcomeRecord.from_line(line):
                record_outcome(connection, record, run=run, now=now)
                connection.execute("UPDATE run SET ended = max(ended, ?) WHERE id = ?", (min(record.at, now), run))
                taken += 1
    if run is not None:
        connection.execute("INSERT OR REPLACE INTO spool(name, taken, run) VALUES (?, ?, ?)", (path.name, offset, run))
    return taken, is_done, count == _AT_ONCE


def _ended(line: bytes) -> int | None:
    """Return when a run ended, if the line says so."""
    with suppress(ValueError, RecursionError):
        match json.loads(line):
            case {"ended": ended}:
                return as_integer(ended)
    return None
