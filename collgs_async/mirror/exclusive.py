"""A run that is the only one to change a folder and its ledger, such as that of ``sync`` and ``prune``."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import CollgsError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.ledger.span_records import last_begun
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.moving import settle_moves
from collgs_async.mirror.replacing import Replacer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from collgs_async.ledger.paths import LedgerPaths

__all__ = ["ExclusiveRun", "begin_time", "utc_now"]

log = logging.getLogger("collgs_async")

_SET_BACK: Final = 60_000
"""Milliseconds by which a clock may differ from that of the last run."""


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


async def begin_time(ledger: Ledger, clock: Callable[[], datetime]) -> int:
    """Return the time in milliseconds UTC, later than that of any run before, so that no age is negative."""
    now, before = to_ms(clock()), await ledger.run(last_begun)
    if before is None:
        return now
    if now < before - _SET_BACK:
        log.warning("the clock is behind that of the last run; ages are counted from that one")
    return max(now, before + 1)


class ExclusiveRun:
    """One run with the lock of a folder, and its ledger open for writing; an asynchronous context manager.

    On entry, what a killed run was moving is settled, and the outcomes of other runs are taken in. Left without `end`,
    the run has no exit code, or 1 after an error.

    Parameters
    ----------
    words
        The command, such as ``prune``.
    clock
        Returns the time, aware.

    Attributes
    ----------
    ledger
        The ledger.
    run
        The number of this run.
    begun
        When it began, in milliseconds UTC; later than any run before.

    Raises
    ------
    AlreadyRunningError
        On entry: another such run is at work.
    LedgerError, StorageError, FileError
        On entry: the ledger or its folder cannot be read or written.
    """

    ledger: Ledger
    run: int
    begun: int

    def __init__(self, paths: LedgerPaths, words: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._paths = paths
        self._words = words
        self._clock = clock
        self._stack = AsyncExitStack()
        self._has_ended = False

    def now(self) -> int:
        """Return the time in milliseconds UTC, which is never before the begin of the run."""
        return max(self.begun, to_ms(self._clock()))

    async def end(self, code: int | None, told: Mapping[str, Any] | None = None) -> int:
        """Note how the run has ended, before leaving; a ledger that cannot be written has been told of before.

        Parameters
        ----------
        code
            The exit code; None: unknown.
        told
            The summary: what JSON can hold.

        Returns
        -------
        int
            When it has ended, in milliseconds UTC.
        """
        self._has_ended, now = True, self.now()
        with suppress(CollgsError):
            await self.ledger.run(end_run, self.run, now=now, code=code, told=told)
        return now

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(FolderLock(self._paths.sync))
            self.ledger = await stack.enter_async_context(Ledger.open(self._paths))
            self.begun = await begin_time(self.ledger, self._clock)
            self.run = await self.ledger.run(begin_run, self._words, now=self.begun)
            await settle_moves(self.ledger, run=self.run, now=self.begun)  # others tell of files where they lie now
            await Replacer(self.ledger, self.run, self.now).settle()
            await take_in_spool(self.ledger)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._has_ended:
                await self.end(1 if isinstance(error, CollgsError) else None)
        finally:
            await self._stack.aclose()
