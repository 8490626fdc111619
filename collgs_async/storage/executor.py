"""Run short file operations inline while they are fast, otherwise in a thread."""

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

_QUICK: Final = 0.002
"""Maximum seconds for an operation to run in the event loop. A switch to a thread and back takes some tenths of that,
and contends for the GIL; most operations on a small archive are much faster."""

_QUICK_IN_THREAD: Final = 10 * _QUICK
"""The same for an operation that was measured in a thread, where it may have had to wait for the GIL."""

_RETRY_FACTOR: Final = 100
"""Factor by which a slow operation's duration is multiplied to obtain the time before the disk is measured again; the
event loop loses at most a hundredth of its time."""


class DiskExecutor:
    """Runs operations inline or in threads; in threads until the disk has been measured as fast.

    Parameters
    ----------
    threads
        Executor for a slow disk; None for the event loop's default executor.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        self._threads = threads
        self._quick = False
        self._slow_until = 0.0

    async def run(self, work: Callable[..., T], *arguments: object, **named: object) -> T:
        """Run an operation to its end, even if the task is cancelled in the meantime."""
        if self._quick:
            return self._timed(_QUICK, work, *arguments, **named)
        if time.monotonic() < self._slow_until:
            return await wait_completed(in_thread(self._threads, partial(work, *arguments, **named)))
        timed = partial(self._timed, _QUICK_IN_THREAD, work, *arguments, **named)
        return await wait_completed(in_thread(self._threads, timed))

    def _timed(self, most: float, work: Callable[..., T], *arguments: object, **named: object) -> T:
        started = time.monotonic()
        try:
            return work(*arguments, **named)
        finally:
            took = time.monotonic() - started
            self._quick = took <= most
            self._slow_until = started + _RETRY_FACTOR * took


def in_thread(threads: Executor | None, work: Callable[[], T]) -> asyncio.Future[T]:
    """Run an operation in a thread of an executor; None for the event loop's default executor.

    Raises
    ------
    OSError
        The system cannot start a thread.
    """
    try:
        return asyncio.get_running_loop().run_in_executor(threads, work)
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"the system gives no thread to work in ({error})") from error
