"""Console output that does not garble progress bars, and signals that end a run in good order."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import json_text, printable
from collgs_async.models.width import wrap
from collgs_async.reporting.colour import has_colour, is_screen, paint
from collgs_async.reporting.screen import terminal_size

if TYPE_CHECKING:
    import asyncio
    from argparse import Namespace
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

    from collgs_async.config.settings import Config
    from collgs_async.models.progress import SilentProgress
    from collgs_async.reporting.bars import TqdmProgress
    from collgs_async.reporting.colour import Colour
    from collgs_async.reporting.progress import ProgressCounter

__all__ = ["ConsoleHandler", "run_with_signals"]

log = logging.getLogger("collgs_async")


_LABELS: Final[dict[int, Colour]] = {logging.ERROR: "red", logging.WARNING: "yellow"}


class ConsoleHandler(logging.Handler):
    """Writes log messages to standard error, above the progress bars if there are any.

    On a terminal, long messages are wrapped between words. A record may have the attribute ``colour``, that of the
    message where there are colours, and ``event``, further members of its JSON object.

    Attributes
    ----------
    as_json
        Whether each message is a JSON object with time (UTC), level and message.
    write_line
        Writes a line above the bars; None while there are none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.as_json = False
        self.write_line: Callable[[str], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        line = self._json(record) if self.as_json else _text(record)
        if self.write_line:
            self.write_line(line)
            return
        with suppress(OSError, ValueError):  # standard error is closed; the run continues
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    @contextmanager
    def progress(self, config: Config, args: Namespace) -> Iterator[ProgressCounter | SilentProgress]:
        """Yield the display for a run, which begins and ends it, with messages above it."""
        from collgs_async.reporting.bars import TqdmProgress
        from collgs_async.reporting.choice import choose_progress
        from collgs_async.reporting.plain import EventProgress

        progress: ProgressCounter | SilentProgress
        if args.log_json and not args.quiet:
            progress = EventProgress(_log_progress)
        else:
            progress = choose_progress(config.download_options.workers, quiet=args.quiet)
        with ExitStack() as stack:
            if isinstance(progress, TqdmProgress):
                self.write_line = progress.write_line
                stack.callback(setattr, self, "write_line", None)
                stack.enter_context(_hidden_while_stopped(progress))
            yield progress

    @staticmethod
    def _json(record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        moment = f"{stamp}.{int(record.msecs):03d}Z"
        event = getattr(record, "event", {})
        return json_text(
            {"time": moment, "level": record.levelname.lower(), "message": record.getMessage(), **event},
        )


def _text(record: logging.LogRecord) -> str:
    """Return a message as people read it: with its level, and on a terminal in lines and colours."""
    label = f"{record.levelname.lower()}:" if record.levelno >= logging.WARNING else ""
    text = printable(f"{label} {record.getMessage()}" if label else record.getMessage())
    if is_screen(sys.stderr):
        text = "\n".join(wrap(text, terminal_size(sys.stderr)[0]))
    if not has_colour(sys.stderr):
        return text
    if label:
        return paint(label, _LABELS.get(record.levelno)) + text.removeprefix(label)
    return paint(text, getattr(record, "colour", None))


def _log_progress(line: str, figures: dict[str, Any]) -> None:
    log.info("%s", line, extra={"event": {"event": "progress", **figures}})


@contextmanager
def _hidden_while_stopped(progress: TqdmProgress) -> Iterator[None]:
    """Remove the bars before Ctrl-Z stops the process, so that the shell does not write over them."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTSTP) != signal.SIG_DFL:
        yield
        return
    import asyncio

    loop = asyncio.get_running_loop()

    def stop() -> None:
        progress.hide()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # returns when the process goes on
        signal.signal(signal.SIGTSTP, handler)

    def handler(_: int, __: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)  # not here: the handler may interrupt a redraw

    signal.signal(signal.SIGTSTP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)


def run_with_signals(
    work: Coroutine[Any, Any, int], at_end: Callable[[int], Coroutine[Any, Any, None]] | None = None
) -> int:
    """Run a command to its exit code; Ctrl-C, SIGTERM and a hang-up end it in good order, a second one at once.

    Parameters
    ----------
    work
        The command.
    at_end
        Awaited with the exit code, also that of a run which was ended; None: nothing. Not if the settings are wrong.
    """
    import asyncio

    return asyncio.run(_guarded(work, at_end))


async def _guarded(work: Coroutine[Any, Any, int], at_end: Callable[[int], Coroutine[Any, Any, None]] | None) -> int:
    import asyncio

    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        # Not a handler of the loop: a second Ctrl-C must work also while the loop is blocked in a write.
        if caught:
            os.write(2, b"\r\x1b[J" if is_screen(sys.stderr) else b"\n")  # the bars are below the cursor
            os._exit(128 + number)
        caught.append(number)
        loop.call_soon_threadsafe(_begin_to_stop, task, number)

    with _handling(stop):
        try:
            code = await task
        except asyncio.CancelledError:
            if not caught:
                raise
            code = 128 + caught[0]
        if at_end is not None:
            await at_end(code)
        return code


def _begin_to_stop(task: asyncio.Task[int], number: int) -> None:
    again = "; press Ctrl-C again to leave at once" if number == signal.SIGINT else ""
    log.info("stopping%s", again)
    task.cancel()


@contextmanager
def _handling(stop: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `stop` on signals that end a run; outside the main thread, signals are left to the caller.

    An ignored hang-up, as under ``nohup``, stays ignored.
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
