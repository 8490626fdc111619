"""Gather the outcomes of a run, and write them into the ledger or the spool about once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import AlreadyRunningError, CollgsError, LedgerError
from collgs_async.ledger.outcomes import checked_file, outcome_record
from collgs_async.ledger.spool import SpoolWriter
from collgs_async.models.product import Outcome
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from sqlite3 import Connection
    from types import TracebackType
    from typing import Self

    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.outcomes import OutcomeRecord
    from collgs_async.ledger.paths import LedgerPaths
    from collgs_async.storage.audit import CheckedFile

__all__ = ["OutcomeRecorder"]

log = logging.getLogger("collgs_async")

_INTERVAL: Final = 1.0
"""Seconds for which outcomes are gathered: a commit has to wait for the disk."""

_MOST_WAITING: Final = 10_000
"""Outcomes that are kept in memory while nothing can be written."""


class OutcomeRecorder:
    """Writes outcomes into a ledger, or hands them in by the spool; an asynchronous context manager.

    Neither a ledger nor a spool that cannot be written is an error of the run: that is said once, and outcomes wait.
    On leaving, also by a cancellation, what waits is written; so it is left before the ledger.

    Parameters
    ----------
    paths
        The files of the ledger.
    how
        How archives are verified, such as ``crc``.
    words
        The command, for the spool.
    ledger, run
        The ledger and the number of the run, where this process writes it; None: the spool.
    has_hook
        Whether ``--on-archive`` is to be told of each downloaded archive; then it is due with the same commit.
    clock
        Milliseconds UTC.
    sleep
        Waits, in seconds.
    """

    def __init__(
        self,
        paths: LedgerPaths,
        *,
        how: str,
        words: str,
        ledger: Ledger | None = None,
        run: int | None = None,
        has_hook: bool = False,
        clock: Callable[[], int] = lambda: time.time_ns() // 10**6,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._paths, self._how = paths, how
        self._ledger, self._run, self._has_hook = ledger, run, has_hook
        self._clock, self._sleep = clock, sleep
        self._spool = SpoolWriter(paths.spool, words)
        self._told: list[tuple[Outcome | CheckedFile, int]] = []
        self._lines: list[bytes] = []
        self._records: list[OutcomeRecord] = []
        self._dropped = 0
        self._is_told = False
        self._writing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._later is not None:
            self._later.cancel()
        await wait_completed(self._finish())

    def add(self, outcome: Outcome | CheckedFile) -> None:
        """Take the outcome of a download or a check, on the event loop; it is written within about a second."""
        self._told.append((outcome, self._clock()))
        if self._later is None or self._later.done():
            self._later = asyncio.create_task(self._write_later())

    async def flush(self) -> None:
        """Write what waits; it is written to its end also when the task is cancelled meanwhile."""
        await wait_completed(self._flush())

    async def _flush(self) -> None:
        async with self._writing:
            told, self._told = self._told, []
            if told or self._records:
                self._records += await in_thread(None, partial(self._read_files, told))
                await self._write()

    async def _write_later(self) -> None:
        while self._told:
            await self._sleep(_INTERVAL)
            await self.flush()

    async def _finish(self) -> None:
        await self.flush()
        with suppress(OSError):
            await in_thread(None, self._spool.close)
        if lost := len(self._records) + self._dropped:
            log.warning(
                "%s could not be noted; archives that are here are found again by the next run that writes the ledger",
                plural(lost, "outcome"),
            )

    def _read_files(self, told: list[tuple[Outcome | CheckedFile, int]]) -> list[OutcomeRecord]:
        """Return the outcomes as they are written, once their files were looked at."""
        named: dict[str, Any] = {"folder": self._paths.folder, "how": self._how}
        found = [
            outcome_record(one, at=at, **named) if isinstance(one, Outcome) else checked_file(one, at=at, **named)
            for one, at in told
        ]
        return [record for record in found if record is not None]

    async def _write(self) -> None:
        """Write all records: into the ledger, else into the spool, else they wait for the next time."""
        problem: Exception | None = None
        if self._ledger is not None:
            try:
                await self._ledger.run(_record_all, self._records, self._run, self._clock(), is_due=self._has_hook)
            except (LedgerError, AlreadyRunningError) as error:
                problem = error
            else:
                self._records = []
                return
        try:
            lines = b"".join(record.to_line() for record in self._records)
            await in_thread(None, partial(self._spool.append, lines))
        except (OSError, CollgsError) as error:
            self._tell(problem or error)
            self._dropped += max(0, len(self._records) - _MOST_WAITING)
            self._records = self._records[-_MOST_WAITING:]
        else:
            self._records = []
            if problem is not None:
                self._tell(problem)

    def _tell(self, error: Exception) -> None:
        """Log once why the ledger does not get the outcomes."""
        if not self._is_told:
            self._is_told = True
            said = f"{self._paths.spool}: {error.strerror}" if isinstance(error, OSError) else str(error)
            log.warning("%s; the archives are not affected", said)


def _record_all(
    connection: Connection, records: list[OutcomeRecord], run: int | None, now: int, *, is_due: bool
) -> None:
    from collgs_async.ledger.recording import record_outcome

    for record in records:
        record_outcome(connection, record, run=run, now=now, is_due=is_due)
