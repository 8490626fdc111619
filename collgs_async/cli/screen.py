"""What a person sees: messages that never garble bars, and a run that ends in good order when it is interrupted."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Screen", "run_interruptibly"]

log = logging.getLogger("collgs_async")


class Screen(logging.Handler):
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
        line = self._json(record) if self.as_json else self._words(record)
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
        return json.dumps({"time": moment, "level": record.levelname.lower(), "message": record.getMessage()})


def run_interruptibly(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its exit code; Ctrl-C and SIGTERM end it in good order, a second one at once."""
    return asyncio.run(_guarded(work))


async def _guarded(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    caught: list[int] = []

    def stop(number: int) -> None:
        if caught:
            sys.stderr.write("\n")
            os._exit(128 + number)
        caught.append(number)
        again = "; press Ctrl-C again to leave at once" if number == signal.SIGINT else ""
        log.info("stopping: what has arrived is kept%s", again)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop, number)
        except (NotImplementedError, RuntimeError, ValueError):
            break  # not the main thread, or no such thing here: the caller deals with signals
    try:
        return await task
    except asyncio.CancelledError:
        if not caught:
            raise
        return 128 + caught[0]
