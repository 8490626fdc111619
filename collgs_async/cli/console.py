"""What a person sees: messages that never garble bars, and a run that ends in good order when it is interrupted."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from collgs_async.http.messages import json_text, printable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

__all__ = ["ConsoleHandler", "run_with_signals"]

log = logging.getLogger("collgs_async")


class ConsoleHandler(logging.Handler):
    """Write messages to standard error, above the bars where there are any.

    Attributes
    ----------
    as_json
        Whether each message is a JSON object with time (UTC), level and message.
    write_line
        How a line is written while there are bars; None while there are none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.as_json = False
        self.write_line: Callable[[str], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        line = self._json(record) if self.as_json else printable(self._words(record))
        if self.write_line:
            self.write_line(line)
            return
        with suppress(OSError, ValueError):  # nobody reads any more; the run goes on
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    @staticmethod
    def _words(record: logging.LogRecord) -> str:
        label = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return label + record.getMessage()

    @staticmethod
    def _json(record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        moment = f"{stamp}.{int(record.msecs):03d}Z"
        return json_text({"time": moment, "level": record.levelname.lower(), "message": record.getMessage()})


def run_with_signals(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its exit code; Ctrl-C, SIGTERM and a hang-up end it in good order, a second one at once."""
    import asyncio

    return asyncio.run(_guarded(work))


async def _guarded(work: Coroutine[Any, Any, int]) -> int:
    import asyncio

    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.call_soon(_collect_garbage)  # after the first step of the work, in which it imports what it needs
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        # Not a handler of the loop: a second Ctrl-C must be heard also while the loop is stuck in a write.
        if caught:
            os.write(2, b"\n")
            os._exit(128 + number)
        caught.append(number)
        loop.call_soon_threadsafe(_begin_to_stop, task, number)

    with _handling(stop):
        try:
            return await task
        except asyncio.CancelledError:
            if not caught:
                raise
            return 128 + caught[0]


def _collect_garbage() -> None:
    """Collect garbage from now on, where that was put off; what is loaded by now stays."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _begin_to_stop(task: asyncio.Task[int], number: int) -> None:
    again = "; press Ctrl-C again to leave at once" if number == signal.SIGINT else ""
    log.info("stopping%s", again)
    task.cancel()


@contextmanager
def _handling(stop: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let `stop` hear what ends a run; in another thread than the main one, the caller deals with signals.

    A hang-up that is ignored, as below ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    former = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
