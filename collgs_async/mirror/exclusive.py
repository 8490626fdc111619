"""A run that is the only one to change a folder and its ledger, such as that of `prune`."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.moving import settle_moves

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from collgs_async.ledger.paths import LedgerPaths

__all__ = ["ExclusiveRun"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ExclusiveRun:
    """One run with the lock of a folder, and its ledger open for writing; an asynchronous context manager.

    On entry, what a killed run was moving is settled, and the outcomes of other runs are taken in.

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
    code
        The exit code, to be set before leaving; None: unknown.

    Raises
    ------
    AlreadyRunningError
        On entry: another such run is at work.
    LedgerError, StorageError, FileError
        On entry: the ledger or its folder cannot be read or written.
    """

    ledger: Ledger
    run: int

    def __init__(self, paths: LedgerPaths, words: str, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._paths = paths
        self._words = words
        self._clock = clock
        self._stack = AsyncExitStack()
        self.code: int | None = None

    @property
    def now(self) -> int:
        """The time in milliseconds UTC."""
        return to_ms(self._clock()) or 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(FolderLock(self._paths.sync))
            self.ledger = await stack.enter_async_context(Ledger.open(self._paths))
            self.run = await self.ledger.run(begin_run, self._words, now=self.now)
            await settle_moves(self.ledger, run=self.run, now=self.now)  # others tell of files where they lie now
            await take_in_spool(self.ledger)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = 1 if self.code is None and isinstance(error, CollgsError) else self.code
        try:
            with suppress(CollgsError):  # a ledger that cannot be written has been told of
                await self.ledger.run(end_run, self.run, now=self.now, code=code)
        finally:
            await self._stack.aclose()
