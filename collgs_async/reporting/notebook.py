"""Progress in a notebook: one output of the cell, which is replaced while the run goes on.

It needs no widgets, and no front end has to know more than HTML; one that shows plain text only has the last line.
"""

from __future__ import annotations

import html
import itertools
import os
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

from collgs_async.http.messages import printable
from collgs_async.models.text import format_bytes, format_duration, format_rate, format_share
from collgs_async.reporting.names import short_name
from collgs_async.reporting.progress import ProgressCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.reporting.progress import Transfer

__all__ = ["NotebookProgress"]

_REDRAW_SECONDS: Final = 0.25

_numbers = itertools.count(1)


class NotebookProgress(ProgressCounter):
    """A row with a bar for each transfer, and one for the run, replaced at most four times a second.

    At the end, one line with the final counts remains in the notebook; of a run without any product, nothing.

    Parameters
    ----------
    workers
        The most transfers with a row of their own; further ones are counted in the last row.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(self, workers: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        super().__init__(clock)

    def _reset(self) -> None:
        super()._reset()
        self._display_id: str | None = None
        self._drawn_at = self._clock() - _REDRAW_SECONDS

    def _show(self) -> None:
        if self._clock() - self._drawn_at < _REDRAW_SECONDS:
            return
        self._drawn_at = self._clock()
        now = self._now()
        shown = list(self.transfers.values())[: self._workers]
        hidden = len(self.transfers) - len(shown)
        line = _total_line(self, hidden)
        rows = [_transfer_row(transfer, now) for transfer in shown]
        rows.append(_row(_total_bar(self), line, line=True))
        self._draw(line, f'<table style="font-variant-numeric: tabular-nums"><tbody>{"".join(rows)}</tbody></table>')

    def _end(self) -> None:
        if self._display_id is None and not self.settled:
            return
        line = _final_line(self)
        self._draw(line, f"<span>{_text(line)}</span>")

    def _draw(self, text: str, shown: str) -> None:
        """Replace the output; the first call adds it to the cell that is being run."""
        bundle = {"text/plain": text, "text/html": shown}
        display = import_module("IPython.display")
        if self._display_id is None:
            self._display_id = f"collgs-async-{os.getpid()}-{next(_numbers)}"
            display.display(bundle, raw=True, display_id=self._display_id)
        else:
            display.update_display(bundle, raw=True, display_id=self._display_id)


def _row(bar: float | None, *cells: str, line: bool = False) -> str:
    """Return a row of the table: name, bar and figures, or the bar and a line over the whole width."""
    inner = "" if bar is None else f'<progress value="{bar:.3f}" max="1" style="width: 12em"></progress>'
    if line:
        return f'<tr><td colspan="3" style="text-align: left">{inner} {_text(cells[0])}</td></tr>'
    name, figures = map(_text, cells)
    return f'<tr><td style="text-align: left">{name}</td><td>{inner}</td><td>{figures}</td></tr>'


def _text(line: str) -> str:
    """Return text as HTML, in which two spaces would separate nothing."""
    return html.escape(printable(line)).replace("  ", " · ")


def _transfer_row(transfer: Transfer, now: float) -> str:
    name = short_name(transfer.identifier)
    if transfer.why is not None:
        left = "" if transfer.until is None else f", again in {format_duration(max(0.0, transfer.until - now))}"
        return _row(None, name, f"{transfer.why}{left}")
    if transfer.checking:
        return _row(1.0, name, f"{format_bytes(transfer.here)}  verifying")
    speed = format_rate(transfer.speed.rate(now))
    if not transfer.size:
        return _row(None, name, f"{format_bytes(transfer.here)}  {speed}")
    return _row(transfer.here / transfer.size, name, f"{format_share(transfer.here, transfer.size)}  {speed}")


def _total_bar(counter: ProgressCounter) -> float | None:
    return counter.here / counter.total if counter.total else None


def _total_line(counter: ProgressCounter, hidden: int) -> str:
    left = counter.seconds_left
    notes = [
        counter.products,
        counter.amount,
        format_rate(counter.rate),
        format_duration(counter.elapsed),
        *([f"~{format_duration(left)} left"] if left is not None else []),
        *([f"{hidden} more at work"] if hidden else []),
        *([f"{counter.failed} failed"] if counter.failed else []),
        *([f"waiting for {counter.waits_for}"] if counter.waits_for else []),
    ]
    return "  ".join(notes)


def _final_line(counter: ProgressCounter) -> str:
    """Return what stays in the notebook: ``12/12 products  3.4 GB moved in 01:40``."""
    failed = f"  {counter.failed} failed" if counter.failed else ""
    moved = f"{format_bytes(counter.moved)} moved" if counter.moved else "nothing moved"
    return f"{counter.products}  {moved} in {format_duration(counter.elapsed)}{failed}"
