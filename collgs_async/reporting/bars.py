"""Progress on a terminal: a line for each transfer, and one for the run."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from collgs_async.reporting.colour import has_colour
from collgs_async.reporting.progress import ProgressCounter
from collgs_async.reporting.rows import RowFormat, total_row, transfer_row
from collgs_async.reporting.screen import Screen, terminal_size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TqdmProgress"]

_REDRAW_SECONDS = 0.1


class TqdmProgress(ProgressCounter):
    """A line with a bar for each transfer and a line for the whole run below, redrawn at most ten times per second.

    Where the screen has too few lines, the last line counts the transfers that are not shown.

    Parameters
    ----------
    workers
        The number of products that are fetched at once. At least so many lines are shown, as far as the screen has
        room; products that only wait have a line where one is left.
    file
        The terminal; None means standard error. A terminal that was closed is not an error.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(
        self, workers: int, *, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = sys.stderr if file is None else file
        self._screen = Screen(self._file)
        self._workers = workers
        super().__init__(clock)

    def _reset(self) -> None:
        super()._reset()
        self._format = RowFormat(colour=has_colour(self._file), encoding=getattr(self._file, "encoding", None))
        self._rows: list[str | None] = []
        self._most = self._workers
        self._drawn_at = self._clock() - _REDRAW_SECONDS

    def write_line(self, text: str) -> None:
        """Write a line above the bars, without garbling them; safe from any thread, and after the end."""
        self._screen.write_line(text)

    def hide(self) -> None:
        """Clear all lines until the next redraw, such as before the process is stopped."""
        self._screen.clear()

    def _end(self) -> None:
        self._screen.clear()

    def _show(self) -> None:
        if self._clock() - self._drawn_at < _REDRAW_SECONDS:
            return
        self._drawn_at = self._clock()
        columns, lines = terminal_size(self._file)
        self._assign_rows(max(0, lines - 2))  # reserve the last line, and room for a message
        now = self._now()
        self._format.fit(columns, [self.transfers[name] for name in self._rows if name])
        rows = [transfer_row(self.transfers[name], now, self._format) if name else "" for name in self._rows]
        hidden = len(self.transfers) - sum(name is not None for name in self._rows)
        self._screen.draw([*rows, total_row(self, hidden, self._format)])

    def _assign_rows(self, room: int) -> None:
        """Keep the rows of running transfers, and assign free rows to those without one, the oldest first.

        While further products are expected, free rows stay empty for them, so that no row moves.
        """
        running = [name for name, transfer in self.transfers.items() if transfer.why is None]
        waiting = [name for name, transfer in self.transfers.items() if transfer.why is not None]
        self._most = max(self._most, len(running))
        shown = [*running, *waiting][: min(room, self._most)]
        rows = [name if name in shown else None for name in self._rows]
        standing = [name for name in shown if name not in rows]
        while None in rows and standing:
            rows[rows.index(None)] = standing.pop(0)
        rows += standing
        more_to_come = self.expected is None or self.settled + len(self.transfers) < self.expected
        if not more_to_come or len(rows) > room:
            rows = [name for name in rows if name is not None]
        self._rows = rows
