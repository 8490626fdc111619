"""Access the output folder in threads, without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar

from collgs_async.errors import StorageError
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import DiskExecutor, in_thread
from collgs_async.storage.files import sync_folder, trouble
from collgs_async.storage.verify import verify_archive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self, Unpack

    from collgs_async.storage.verify import Level, Verdict
    from collgs_async.storage.zip_members import KnownCrc

__all__ = ["Disk"]

T = TypeVar("T")

_SHORT_THREADS: Final = 2
"""Threads for short operations; more of them would only contend for the GIL."""


class VerifyOptions(TypedDict, total=False):
    """Further parameters of `verify_archive`."""

    identifier: str
    joined: bool
    lenient: bool
    seen: Mapping[int, KnownCrc]


class Disk:
    """Threads for verification and for short operations; an asynchronous context manager.

    Parameters
    ----------
    folder
        The output folder; it need not exist yet.

    Attributes
    ----------
    checkers
        Number of archives that are verified at once.
    executor
        Executor for short operations.
    """

    def __init__(self, folder: Path) -> None:
        self.checkers = min(4, os.cpu_count() or 1)
        self._folder = folder
        self._executor: ThreadPoolExecutor | None = None
        self._threads: ThreadPoolExecutor | None = None
        self.executor = self._flushing = DiskExecutor()
        self._stop = threading.Event()
        self._free_and_total = (0, 0)
        self._cached_until = 0.0

    async def __aenter__(self) -> Self:
        self._stop.clear()
        self._executor = ThreadPoolExecutor(self.checkers, thread_name_prefix="verify")
        self._threads = ThreadPoolExecutor(_SHORT_THREADS, thread_name_prefix="disk")
        self.executor, self._flushing = DiskExecutor(self._threads), DiskExecutor(self._threads)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        self.executor = self._flushing = DiskExecutor()
        with suppress(*(() if error is None else (StorageError,))):  # report the error that ended the run instead
            sync_folder(self._folder)

    def stopping(self) -> bool:
        """Whether verifying threads should stop."""
        return self._stop.is_set()

    async def check(self, path: Path, size: int | None, level: Level, **options: Unpack[VerifyOptions]) -> Verdict:
        """Run `verify_archive` in a thread, which stops when the task is cancelled."""
        cancelled = threading.Event()
        try:
            return await in_thread(self._entered(), partial(self.verify_sync, path, size, level, cancelled, **options))
        except OSError as error:
            raise trouble(error, path, self._folder) from error
        finally:
            cancelled.set()  # after a cancellation the thread is still reading

    def verify_sync(
        self,
        path: Path,
        size: int | None,
        level: Level,
        cancelled: threading.Event | None = None,
        **options: Unpack[VerifyOptions],
    ) -> Verdict:
        """Run `verify_archive` in the calling thread."""

        def stop() -> bool:
            return self.stopping() or bool(cancelled and cancelled.is_set())

        return verify_archive(path, size=size, level=level, stop=stop, **options)

    async def run(self, work: Callable[[], T]) -> T:
        """Run a short operation to its end."""
        self._entered()
        return await self._done(self.executor.run(work))

    async def run_flush(self, work: Callable[[], T]) -> T:
        """Run a short operation to its end that includes an fsync, whose duration is measured separately."""
        return await self._done(self._flushing.run(work))

    async def run_long(self, work: Callable[[], T]) -> T:
        """Run an operation to its end that may take long, always in a thread."""
        return await self._done(wait_completed(in_thread(None, work)))

    async def run_stoppable(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Run an operation in a verifying thread, to its end or until it stops after a cancellation.

        Parameters
        ----------
        work
            The operation, given a function that returns True once it should stop; it raises `Stopped` then.
        """
        cancelled = threading.Event()
        thread = in_thread(self._entered(), partial(work, lambda: self.stopping() or cancelled.is_set()))
        try:
            return await self._done(asyncio.shield(thread))
        except asyncio.CancelledError:
            cancelled.set()
            with suppress(Exception):  # the cancellation takes precedence
                await wait_completed(thread)
            raise

    async def _done(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except OSError as error:
            raise trouble(error, Path(error.filename or self._folder), self._folder) from error

    async def free_space(self, needed: int | None = None) -> tuple[int, int]:
        """Return the free bytes and the total bytes of the disk.

        The values are cached for a second, as long as ten times of `needed` is free; None: they are those of now.
        """
        if needed is None or time.monotonic() >= self._cached_until or 10 * needed > self._free_and_total[0]:
            usage = await self.run(lambda: shutil.disk_usage(_nearest(self._folder)))
            self._free_and_total, self._cached_until = (usage.free, usage.total), time.monotonic() + 1
        return self._free_and_total

    def _entered(self) -> ThreadPoolExecutor:
        if self._executor is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        return self._executor


def _nearest(folder: Path) -> Path:
    """Return a folder or its nearest existing parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
