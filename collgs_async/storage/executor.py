"""Short work on a disk: done at once while the disk is quick, else in a thread, so that the event loop goes on."""

from __future__ import annotations

import asyncio
import errno
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.models.timing import wait_completed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

__all__ = ["DiskExecutor", "in_thread"]

T = TypeVar("T")

_QUICK: Final = 0.001
"""Seconds that the loop may wait for a disk. The way to a thread and back takes some tenths of that, and takes the
interpreter from whoever has it; most of what a small archive needs is a good deal quicker."""

_QUICK_THERE: Final = 10 * _QUICK
"""The same for what was done in a thread, which may have had to wait for the interpreter."""

_CAUTION: Final = 100
"""How many times as long as something took a slow disk is not tried again: the loop loses a hundredth of its time."""


class DiskExecutor:
    """Does what is asked, here or in threads; first there, until the disk has been found to be quick.

    Parameters
    ----------
    threads
        Where things are done while the disk is slow; None: in the loop's own threads.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._threads = threads
        self._quick = False
        self._slow_until = 0.0

    async def run(self, work: Callable[..., T], *arguments: object, **named: object) -> T:
        """Do something to its end, also when the task is cancelled meanwhile."""
        if self._quick:
            return self._timed(_QUICK, work, *arguments, **named)
        if time.monotonic() < self._slow_until:
            return await wait_completed(in_thread(self._threads, partial(work, *arguments, **named)))
        timed = partial(self._timed, _QUICK_THERE, work, *arguments, **named)
        return await wait_completed(in_thread(self._threads, timed))

    def _timed(self, most: float, work: Callable[..., T], *arguments: object, **named: object) -> T:
        begun = time.monotonic()
        try:
            return work(*arguments, **named)
        finally:
            took = time.monotonic() - begun
            self._quick = took <= most
            self._slow_until = begun + _CAUTION * took


def in_thread(threads: Executor | None, work: Callable[[], T]) -> asyncio.Future[T]:
    """Do something in a thread; None: in one of the loop's own.

    Raises
    ------
    OSError
        The system gives no thread.
    """
    try:
        return asyncio.get_running_loop().run_in_executor(threads, work)
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"the system gives no thread to work in ({error})") from error
