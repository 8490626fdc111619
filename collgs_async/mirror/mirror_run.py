"""What ``sync`` and ``retry`` share: one run at a time in a folder, its place in the ledger, and its downloads."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, ClassVar, Final

from collgs_async.errors import CollgsError
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.recorder import OutcomeRecorder
from collgs_async.mirror.context import Mirror
from collgs_async.mirror.exclusive import ExclusiveRun, utc_now
from collgs_async.mirror.metrics import write_run_metrics
from collgs_async.mirror.reserve import keep_reserve
from collgs_async.mirror.result import SyncResult
from collgs_async.mirror.told import archive_hooks
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from collgs_async.client import Client
    from collgs_async.mirror.feed import Feed
    from collgs_async.models.product import Outcome

__all__ = ["MirrorRun"]

_TIMED: Final = frozenset({"max_time", "until"})
"""Limits after which nothing more is asked of the catalogue either."""


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
        async with ExclusiveRun(self._paths, self.words, clock=self._clock) as run:
            if "delete" in self._config.keep.policies:
                await wait_completed(in_thread(None, lambda: keep_reserve(self._paths.folder)))
            mirror = Mirror(self._config, run.ledger, self._client.progress, run.now, run.run)
            is_cancelled = True
            try:
                await self._work(mirror, run.begun)
                is_cancelled = False
            except CollgsError as error:
                self.result.error = error
                is_cancelled = False
                raise
            finally:
                code = None if is_cancelled else self.result.code
                ended = await run.end(code, self.result.to_dict())
                if code is not None:
                    await self._write_metrics(mirror, code, ended)
        return self.result

    async def _write_metrics(self, mirror: Mirror, code: int, ended: int) -> None:
        moved = (self.result.report.bytes if self.result.report else 0) + self.result.revalidation.bytes
        await write_run_metrics(mirror, watch=self.result.watch, words=self.words, code=code, moved=moved, ended=ended)

    async def _download(self, mirror: Mirror, feed: Feed, beside: Coroutine[Any, Any, None] | None = None) -> None:
        """Download what is handed out, and note each outcome.

        Parameters
        ----------
        beside
            Work that hands it out; it is ended with the downloads at a limit of time. None: all was handed out before.
        """
        async with AsyncExitStack() as stack:
            recorder = await stack.enter_async_context(
                OutcomeRecorder(
                    self._paths,
                    how=self._config.download_options.verify,
                    words=self.words,
                    ledger=mirror.ledger,
                    run=mirror.run,
                    clock=mirror.clock,
                    has_hook=bool(self._config.keep.on_archive),
                )
            )
            hooks = await stack.enter_async_context(await archive_hooks(mirror, recorder))

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
