"""Progress without a terminal: occasional timed lines, for logs and batch queues."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, TextIO

from collgs_async.models.text import format_bytes, format_rate
from collgs_async.reporting.progress import ProgressCounter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlainProgress"]


class PlainProgress(ProgressCounter):
    """Lines such as ``00:01:40  12/50 products  3.4 GB  85.3 MB/s  1 failed``.

    The bytes are those transferred in this run. A line is written at an event when the last line is old enough, and
    once more at the end when something changed since.

    Parameters
    ----------
    file
        The output; write errors are ignored.
    interval
        Minimum seconds between two lines; 0 means a line per event.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(self, *, file: TextIO, interval: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._file = file
        self._interval = interval
        self._began = self._told_at = clock()
        self._written = (self.settled, self.moved)

    def close(self) -> None:
        """Write the final state, unless the last line shows it already."""
        if self._written != (self.settled, self.moved):
            self._write_status()

    def _changed(self) -> None:
        if self._clock() - self._told_at >= self._interval:
            self._write_status()

    def _write_status(self) -> None:
        self._told_at = self._clock()
        self._written = (self.settled, self.moved)
        with contextlib.suppress(OSError, ValueError):  # a progress line that cannot be written must not end the run
            self._file.write(f"{self._line()}\n")
            self._file.flush()

    def _line(self) -> str:
        minutes, second = divmod(int(self._told_at - self._began), 60)
        hours, minute = divmod(minutes, 60)
        elapsed = f"{hours:02}:{minute:02}:{second:02}"
        failures = [f"{self.failed} failed"] if self.failed else []
        waits = [f"waiting for {self.waits_for}"] if self.waits_for else []
        return "  ".join([elapsed, self.products, format_bytes(self.moved), format_rate(self.rate), *failures, *waits])
