"""An event loop in a thread of its own, for callers that have no loop, or that block the one they have."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from collgs_async.errors import ConciseErrors

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractAsyncContextManager

__all__ = ["LoopThread"]

T = TypeVar("T")

_MAX_CLOSING: Final = 30.0
"""Seconds that the end of the interpreter waits for a loop that was never closed."""

_TURN: Final = 0.5
"""Seconds for which a lock is waited for at once. A signal that came while the process was stopped may wake another
thread than the main one, which hears of it only when its wait ends."""


class LoopThread:
    """Runs coroutines in an event loop of its own, within an asynchronous context.

    The thread starts with the first call, and ends with `close`: at the latest when this object is garbage, or when the
    interpreter ends. Any thread may call, several at once.

    Parameters
    ----------
    context
        Entered in the loop before the first call, and left when the loop ends.
    """

    def __init__(self, context: AbstractAsyncContextManager[object]) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._running: _RunningLoop | None = None
        self._closed = False

    def start(self) -> None:
        """Start the thread, and enter the context; further calls do nothing.

        Raises
        ------
        RuntimeError
            The loop was closed, belongs to another process, or is the caller itself.
        """
        self._started()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and return its result.

        On Ctrl-C, and on the stop button of a notebook, the coroutine is cancelled and ends in good order before
        KeyboardInterrupt is raised; a second one does not wait for that.

        Raises
        ------
        RuntimeError
            As `start`; or another thread closed the loop meanwhile.
        """
        try:
            running = self._started()
        except BaseException:
            coroutine.close()
            raise
        with ConciseErrors():
            return running.call(coroutine)

    def clean_up(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the loop without waiting for it; the loop does not end before it.

        A garbage collection may call this in any thread, at any point: so it neither waits nor takes a lock.
        """
        if self._running is None or self._process != os.getpid() or not self._running.clean_up(coroutine):
            coroutine.close()

    def close(self) -> None:
        """Cancel what other threads still wait for, leave the context, and end the thread.

        A second call does nothing.

        Raises
        ------
        Exception
            Leaving the context failed.
        """
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.close()

    def _started(self) -> _RunningLoop:
        if self._process != os.getpid():
            raise RuntimeError("a synchronous client belongs to the process that made it: make one in each process")
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            if self._running is None:
                running = _RunningLoop(self._context)
                running.start()
                weakref.finalize(self, running.stop).atexit = False  # `_close_all` waits for it
                self._running = running
        if threading.current_thread() is self._running.thread:
            raise RuntimeError("a callback cannot call the client that it is called by: it would wait for itself")
        return self._running


class _RunningLoop:
    """A thread with its loop, from entering the context to leaving it; it does not refer to the `LoopThread`."""

    def __init__(self, context: AbstractAsyncContextManager[object]) -> None:
        self.thread = threading.Thread(target=self._run, name="collgs-async", daemon=True)
        self.process = os.getpid()
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._entered: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._calls: set[asyncio.Task[Any]] = set()
        self._cleaning: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the thread; return when the context is entered, and raise what that raises."""
        _open.add(self)
        self.thread.start()
        try:
            _wait_for(self._entered)
        except BaseException:
            self.stop()
            raise

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(coroutine)
            tasks.append(task)
            self._calls.add(task)
            task.add_done_callback(lambda _: _settle(done, task))
            task.add_done_callback(self._calls.discard)

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError:
            coroutine.close()
            raise RuntimeError("the client is closed") from None
        try:
            return _wait_for(done)
        except KeyboardInterrupt:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(cancel)
                _wait_until_done(done)
            raise

    def clean_up(self, coroutine: Coroutine[Any, Any, None]) -> bool:
        def begin() -> None:
            task = self._loop.create_task(coroutine)
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)

        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError:  # the loop has ended
            return False
        return True

    def stop(self) -> None:
        """Begin to end, without waiting: a caller in the garbage collector may hold a lock that the loop needs."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def close(self, seconds: float | None = None) -> None:
        """End, and wait for that; not with Thread.join, which before Python 3.13 loses its thread to a Ctrl-C."""
        self.stop()
        if threading.current_thread() is not self.thread and wait([self._ended], seconds).done:
            self._ended.result()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                serving = runner.get_loop().create_task(self._serve())
                while not serving.done():
                    # SystemExit of a callback interrupts the loop; the call that it belongs to raises it as well.
                    with suppress(SystemExit, KeyboardInterrupt):
                        self._loop.run_until_complete(serving)
                serving.result()
        except BaseException as error:
            (self._ended if self._entered.done() else self._entered).set_exception(error)
        finally:
            _open.discard(self)
            if not self._ended.done():
                self._ended.set_result(None)

    async def _serve(self) -> None:
        async with self._context:
            self._entered.set_result(None)
            await self._stop.wait()
            for task in self._calls:
                task.cancel()
            while tasks := self._calls | self._cleaning:
                await asyncio.wait(tasks)


def _wait_for(done: Future[T]) -> T:
    _wait_until_done(done)
    return done.result()


def _wait_until_done(done: Future[Any]) -> None:
    while not wait([done], _TURN).done:
        pass


def _settle(done: Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        done.set_exception(RuntimeError("the call was cancelled, since the client was closed meanwhile"))
    elif error := task.exception():
        done.set_exception(error)
    else:
        done.set_result(task.result())


_open: set[_RunningLoop] = set()


@atexit.register
def _close_all() -> None:
    """Close, at the end of the interpreter, what was not closed; a child process leaves its parent's alone."""
    for running in list(_open):
        if running.process == os.getpid():
            with suppress(Exception):
                running.close(_MAX_CLOSING)
