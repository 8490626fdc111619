"""What ``sync`` and ``retry`` share: one run at a time in a folder, its place in the ledger, and its downloads."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from collgs_async.errors import AlreadyRunningError, CollgsError, LedgerError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.recorder import OutcomeRecorder
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.ledger.span_records import last_begun
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.context import Mirror
from collgs_async.mirror.metrics import write_run_metrics
from collgs_async.mirror.moving import settle_moves
from collgs_async.mirror.reserve import keep_reserve
from collgs_async.mirror.result import SyncResult
from collgs_async.mirror.told import archive_hooks
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from collgs_async.client import Client
    from collgs_async.mirror.feed import Feed
    from collgs_async.models.product import Outcome

__all__ = ["MirrorRun", "utc_now"]

log = logging.getLogger("collgs_async")

_SET_BACK: Final = 60_000
"""Milliseconds by which a clock may differ from that of the last run."""

_TIMED: Final = frozenset({"max_time", "until"})
"""Limits after which nothing more is asked of the catalogue either."""


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class MirrorRun(ABC):
    """One run over a folder that is kept equal to what a catalogue lists.

    Parameters
    ----------
    client
        An entered client, whose settings say what is wanted, and where it goes.
    report
        Path of the report as JSON; None: no report.
    clock
        Returns the time, aware.

    Attributes
    ----------
    words
        The command.
    result
        What was found and done, also when the run was cancelled or stopped by an error.
    """

    words: ClassVar[str]

    def __init__(self, client: Client, *, report: Path | None = None, clock: Callable[[], datetime] = utc_now) -> None:
        self._client = client
        self._config = client.config
        self._paths = LedgerPaths.of(client.config)
        self._report = report
        self._clock = clock
        self.result = SyncResult()

    @abstractmethod
    async def _work(self, mirror: Mirror, now: int) -> None:
        """Do what the command is for; `now` is in milliseconds, later than the begin of any run before."""

    async def run(self) -> SyncResult:
        """Do the work, as far as the limits allow.

        Raises
        ------
        ConfigError
            A setting is invalid; no request was made.
        AlreadyRunningError
            Another run is at work in the folder; nothing was done.
        LedgerError
            The ledger cannot be read or written.
        AuthenticationError, StorageError
            The store requires a login; the output folder is full or not writable.
        """
        async with FolderLock(self._paths.sync), Ledger.open(self._paths) as ledger:
            now = await self._now(ledger)
            run = await ledger.run(begin_run, self.words, now=now)
            await settle_moves(ledger, run=run, now=now)  # others tell of files where they lie now
            await take_in_spool(ledger)
            if "delete" in self._config.keep.policies:
                await wait_completed(in_thread(None, lambda: keep_reserve(self._paths.folder)))
            mirror = Mirror(self._config, ledger, self._client.progress, self._clock, run)
            is_cancelled = True
            try:
                await self._work(mirror, now)
                is_cancelled = False
            except CollgsError as error:
                self.result.error = error
                is_cancelled = False
                raise
            finally:
                code, ended = None if is_cancelled else self.result.code, max(now, to_ms(self._clock()))
                with suppress(LedgerError, AlreadyRunningError):  # told already, where it was the reason
                    await ledger.run(end_run, mirror.run, now=ended, code=code, told=self.result.to_dict())
                if code is not None:
                    await self._write_metrics(mirror, code, ended)
        return self.result

    async def _write_metrics(self, mirror: Mirror, code: int, ended: int) -> None:
        moved = self.result.report.bytes if self.result.report else 0
        await write_run_metrics(mirror, watch=self.result.watch, words=self.words, code=code, moved=moved, ended=ended)

    async def _now(self, ledger: Ledger) -> int:
        """Return the time, later than that of any run before, so that no age is negative."""
        now, before = to_ms(self._clock()), await ledger.run(last_begun)
        if before is None:
            return now
        if now < before - _SET_BACK:
            log.warning("the clock is behind that of the last run; ages are counted from that one")
        return max(now, before + 1)

    async def _download(
        self, mirror: Mirror, feed: Feed, now: int, beside: Coroutine[Any, Any, None] | None = None
    ) -> None:
        """Download what is handed out, and note each outcome.

        Parameters
        ----------
        beside
            Work that hands it out; it is ended with the downloads at a limit of time. None: all was handed out before.
        """

        def clock() -> int:
            return max(now, to_ms(self._clock()))

        async with AsyncExitStack() as stack:
            recorder = await stack.enter_async_context(
                OutcomeRecorder(
                    self._paths,
                    how=self._config.download_options.verify,
                    words=self.words,
                    ledger=mirror.ledger,
                    run=mirror.run,
                    clock=clock,
                    has_hook=bool(self._config.keep.on_archive),
                )
            )
            hooks = await stack.enter_async_context(await archive_hooks(mirror, recorder, clock))

            def note(outcome: Outcome) -> None:
                recorder.add(outcome)
                hooks.add(outcome)

            other = None if beside is None else asyncio.create_task(beside)
            try:
                await self._client.download_all(feed, report=self._report, on_outcome=note)
                limit = self._client.report.limit
                if other is not None and (limit is None or limit.setting not in _TIMED):
                    await other
            finally:
                self.result.report = self._client.report
                if other is not None:
                    other.cancel()
                    await wait_completed(asyncio.gather(other, return_exceptions=True))
            await hooks.finish(all_of_them=self._client.report.limit is None)
