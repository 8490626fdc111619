"""The output folder, at which threads work while the loop goes on."""

from __future__ import annotations

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

_FEW: Final = 2
"""Threads for what is short: more of them only fight for the interpreter, with each other and with the loop."""


class Told(TypedDict, total=False):
    """What else is known of an archive that is to be verified: parameters of `integrity.check`."""

    identifier: str
    joined: bool
    lenient: bool
    seen: Mapping[int, KnownCrc]


class Disk:
    """Threads that verify, and others for what is short; an asynchronous context manager.

    Parameters
    ----------
    folder
        Where archives are put. It need not exist yet.

    Attributes
    ----------
    checkers
        How many archives are verified at once.
    executor
        Who does what is short.
    """

    def __init__(self, folder: Path) -> None:
        self.checkers = min(4, os.cpu_count() or 1)
        self._folder = folder
        self._executor: ThreadPoolExecutor | None = None
        self._threads: ThreadPoolExecutor | None = None
        self.executor = self._flushing = DiskExecutor()
        self._stop = threading.Event()
        self._room = (0, 0)
        self._ask_again = 0.0

    async def __aenter__(self) -> Self:
        self._stop.clear()
        self._executor = ThreadPoolExecutor(self.checkers, thread_name_prefix="verify")
        self._threads = ThreadPoolExecutor(_FEW, thread_name_prefix="disk")
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
        with suppress(*(() if error is None else (StorageError,))):  # what ended the run is the reason
            sync_folder(self._folder)

    def stopping(self) -> bool:
        """Whether a thread that reads should give up."""
        return self._stop.is_set()

    async def check(self, path: Path, size: int | None, level: Level, **told: Unpack[Told]) -> Verdict:
        """Verify an archive as `integrity.check` does, in a thread that gives up when this is cancelled."""
        given_up = threading.Event()
        try:
            return await in_thread(self._entered(), partial(self.verify_sync, path, size, level, given_up, **told))
        except OSError as error:
            raise trouble(error, path, self._folder) from error
        finally:
            given_up.set()  # after a cancellation the thread is still reading

    def verify_sync(
        self,
        path: Path,
        size: int | None,
        level: Level,
        given_up: threading.Event | None = None,
        **told: Unpack[Told],
    ) -> Verdict:
        """Verify an archive in the thread that one is in."""

        def stop() -> bool:
            return self.stopping() or bool(given_up and given_up.is_set())

        return verify_archive(path, size=size, level=level, stop=stop, **told)

    async def run(self, work: Callable[[], T]) -> T:
        """Do something short, to its end."""
        self._entered()
        return await self._done(self.executor.run(work))

    async def run_flush(self, work: Callable[[], T]) -> T:
        """Do something short, to its end, that waits for the device."""
        return await self._done(self._flushing.run(work))

    async def run_long(self, work: Callable[[], T]) -> T:
        """Do something, to its end, that may take the disk a while."""
        return await self._done(wait_completed(in_thread(None, work)))

    async def _done(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except OSError as error:
            raise trouble(error, Path(error.filename or self._folder), self._folder) from error

    async def free_space(self, needed: int) -> tuple[int, int]:
        """Give the bytes that there is room for now, and those of the whole disk.

        The disk is asked at most once a second as long as ten times of what is needed is free.
        """
        if time.monotonic() >= self._ask_again or 10 * needed > self._room[0]:
            usage = await self.run(lambda: shutil.disk_usage(_nearest(self._folder)))
            self._room, self._ask_again = (usage.free, usage.total), time.monotonic() + 1
        return self._room

    def _entered(self) -> ThreadPoolExecutor:
        if self._executor is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        return self._executor


def _nearest(folder: Path) -> Path:
    """Find what is there already of the way to a folder."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
