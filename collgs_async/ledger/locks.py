"""Locks of a whole folder, held for as long as a run takes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AlreadyRunningError, CollgsError, TakenOverError
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import read_small, storage_trouble
from collgs_async.storage.lock import HEARTBEAT, LockOwner, ProductLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self, TypeVar

    T = TypeVar("T")

__all__ = ["FolderLock", "owner_of"]

_LARGEST: Final = 4096
_POLL: Final = 0.2


class FolderLock:
    """A lock that one run holds; an asynchronous context manager, which keeps the heartbeat.

    Parameters
    ----------
    path
        What is locked, such as `LedgerPaths.sync`; the lock file is ``<path>.lease``, and its folder is made.
    timeout
        Seconds to wait for another run that holds it.

    Raises
    ------
    AlreadyRunningError
        On entry: another run holds it.
    StorageError, FileError
        On entry: the folder cannot be written, or the name of the lock file is no file's.
    """

    def __init__(self, path: Path, *, timeout: float = 0) -> None:
        self._lock = ProductLock(path)
        self._timeout = timeout
        self._heart: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        until = time.monotonic() + self._timeout
        while not await self._do(self._lock.acquire):
            if time.monotonic() < until:
                await asyncio.sleep(_POLL)
                continue
            owner = await self._do(lambda: owner_of(self._lock.path))
            words = f" (process {owner.pid} on {owner.host.partition(' ')[0]})" if owner else ""
            raise AlreadyRunningError(f"{self._lock.path}: another run is at work here{words}; nothing was done")
        self._heart = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._heart is not None:
            self._heart.cancel()
        with suppress(CollgsError):  # the lock of a process that has ended counts as free
            await self._do(self._lock.release)

    def confirm(self) -> None:
        """Check that the lock is held still, from any thread, before something is changed.

        Raises
        ------
        AlreadyRunningError
            Another run has it, since this one was suspended for long.
        """
        try:
            self._lock.confirm()
        except TakenOverError as error:
            raise AlreadyRunningError(f"{self._lock.path}: {error}") from error

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            with suppress(CollgsError):  # `confirm` tells of it
                await self._do(self._lock.refresh)

    async def _do(self, work: Callable[[], T]) -> T:
        with storage_trouble(self._lock.path):
            return await wait_completed(in_thread(None, work))


def owner_of(lock: Path) -> LockOwner | None:
    """Return the process that is named in a lock file; None if there is none, or no readable one."""
    try:
        text = read_small(lock, _LARGEST)
    except (OSError, CollgsError):
        return None
    return LockOwner.parse(text) if text else None
