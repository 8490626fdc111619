"""Progress without a terminal: timed lines for logs and batch queues, and events for programs."""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TextIO

from collgs_async.models.text import format_duration, format_rate
from collgs_async.reporting.progress import ProgressCounter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventProgress", "PlainProgress"]

_LONGEST_INTERVAL = 60.0


class TimedProgress(ProgressCounter):
    """Displays the counts at intervals, and once more at the end when something changed since.

    Of a long run, a tenth of the time that it lasts so far passes between two displays, but at most a minute.

    Parameters
    ----------
    interval
        Minimum seconds between two displays; 0 means a display per event.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(self, *, interval: float, clock: Callable[[], float]) -> None:
        self._interval = interval
        super().__init__(clock)

    def _reset(self) -> None:
        super()._reset()
        self._told_at = self._began
        self._told = (self.settled, self.moved)

    def _end(self) -> None:
        if self._told != (self.settled, self.moved):
            self._write_status()

    def _show(self) -> None:
        now = self._clock()
        interval = self._interval and max(self._interval, min(_LONGEST_INTERVAL, (now - self._began) / 10))
        if now - self._told_at >= interval:
            self._write_status()

    def _write_status(self) -> None:
        self._told_at = self._clock()
        self._told = (self.settled, self.moved)
        self._write()

    @property
    def line(self) -> str:
        """The counts as a line, such as ``00:01:40  12/50 products  3.4/~14.1 GB  85.3 MB/s  ~02:05 left``."""
        minutes, second = divmod(int(self.elapsed), 60)
        hours, minute = divmod(minutes, 60)
        left = self.seconds_left
        notes = [
            *([f"~{format_duration(left)} left"] if left is not None else []),
            *([f"{self.failed} failed"] if self.failed else []),
            *([f"waiting for {self.waits_for}"] if self.waits_for else []),
        ]
        elapsed = f"{hours:02}:{minute:02}:{second:02}"
        return "  ".join([elapsed, self.products, self.amount, format_rate(self.rate), *notes])

    @abstractmethod
    def _write(self) -> None:
        """Write the counts."""


class PlainProgress(TimedProgress):
    """Lines such as ``00:01:40  12/50 products  3.4/~14.1 GB  85.3 MB/s  ~02:05 left  1 failed``.

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
        self._file = file
        super().__init__(interval=interval, clock=clock)

    def _write(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a progress line that cannot be written must not end the run
            self._file.write(f"{self.line}\n")
            self._file.flush()


class EventProgress(TimedProgress):
    """Calls a function with the counts, for programs that watch a run.

    Parameters
    ----------
    tell
        Called with the counts as a line, and with its figures by name:

        - ``products``, ``total_products``: products with an outcome, and expected; null while unknown;
        - ``failed``: those among them that failed;
        - ``bytes``, ``total_bytes``: bytes on disk of all products that were not skipped, and expected; null while
          unknown;
        - ``estimated``: whether ``total_bytes`` is an estimate, since the size of some products is not known yet;
        - ``moved_bytes``: bytes that were transferred in this run;
        - ``bytes_per_second``: the rate of the last 15 seconds;
        - ``seconds``, ``seconds_left``: since the run began, and estimated until its end; null while unknown;
        - ``waiting_for``: what the run waits for; null for nothing.
    interval
        Minimum seconds between two events; 0 means one for each change.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(
        self,
        tell: Callable[[str, dict[str, Any]], None],
        *,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        super().__init__(interval=interval, clock=clock)

    def _write(self) -> None:
        left = self.seconds_left
        figures = {
            "products": self.settled,
            "total_products": None if self.expected is None else max(self.expected, self.settled),
            "failed": self.failed,
            "bytes": self.here,
            "total_bytes": self.total,
            "estimated": self.is_estimate,
            "moved_bytes": self.moved,
            "bytes_per_second": round(self.rate),
            "seconds": round(self.elapsed, 3),
            "seconds_left": None if left is None else round(left),
            "waiting_for": self.waits_for,
        }
        self._tell(self.line, figures)
