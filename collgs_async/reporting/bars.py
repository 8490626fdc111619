"""Progress bars on a terminal or in a notebook: one per transfer, and one for the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from collgs_async.models.text import elide, format_bytes, format_duration, format_rate, format_share
from collgs_async.reporting.names import short_name
from collgs_async.reporting.progress import ProgressCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm

    from collgs_async.reporting.progress import Transfer

    Bar = tqdm[Any]

__all__ = ["TqdmProgress", "is_notebook"]

_CLEAR_BELOW = "\x1b[J"
_REDRAW_SECONDS = 0.1
_TICK_SECONDS = 0.25
_NAME_WIDTH = 29
_BAR = "\0"
_BAR_LEAST = 6


class TqdmProgress(ProgressCounter):
    """A bar per transfer and a line for the whole run below, redrawn at most ten times per second.

    While an event loop runs, the bars are also redrawn when nothing arrives, so that a stalled rate falls to 0.

    Parameters
    ----------
    workers
        The number of transfers with a bar of their own, as far as the screen has room; further ones are counted in the
        last line, and take the first bar that becomes free.
    file
        The terminal; None means standard error. A terminal that was closed is not an error.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(
        self, workers: int, *, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(clock)
        self._file = sys.stderr if file is None else file
        self._bars = _notebook_bars(workers, self._file) if is_notebook() else _terminal_bars(workers, self._file)
        self._slots: list[str | None] = [None] * (len(self._bars) - 1)
        self._drawn_at = clock() - _REDRAW_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def write_line(self, text: str) -> None:
        """Write a line above the bars, without garbling them; safe from any thread, and after the end."""
        with contextlib.suppress(OSError, ValueError):
            type(self._bars[-1]).write(text, file=self._file)

    def close(self) -> None:
        """Clear all lines; the cursor is left where the first one began."""
        if self._timer:
            self._timer.cancel()
        if self._closed:
            return
        self._closed = True
        for bar in reversed(self._bars):  # the first line last, since the cursor stays there
            bar.n = 1  # a notebook would keep a bar in red that closes before its end
            with contextlib.suppress(OSError, ValueError):
                bar.close()
        with contextlib.suppress(OSError, ValueError):
            if self._file.isatty():
                self._file.write(_CLEAR_BELOW)  # such as the ^C that the terminal has echoed among the bars
                self._file.flush()

    def _changed(self) -> None:
        if self._timer is None:
            self._tick_later()
        if self._clock() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw()

    def _tick_later(self) -> None:
        with contextlib.suppress(RuntimeError):  # without a loop, only events redraw the bars
            self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._tick_later()
        self._draw()

    def _draw(self) -> None:
        if self._closed:
            return
        self._drawn_at = self._clock()
        self._assign_rows()
        columns, lines = _screen_size(self._file)
        texts = [self._slot_text(key, columns) for key in self._slots]
        for bar, (text, fraction) in zip(self._bars, [*texts, self._total_text(columns)], strict=True):
            bar.ncols, bar.nrows = columns, lines
            bar.n, bar.bar_format = fraction, _bar_format(text, columns)
            with contextlib.suppress(OSError, ValueError):
                bar.refresh()
        with contextlib.suppress(OSError, ValueError):
            # At the end of a full line, the ^C that a terminal echoes would wrap, and push every line down.
            self._file.write("\r")
            self._file.flush()

    def _assign_rows(self) -> None:
        """Keep the rows of running transfers, and assign free rows to those without one, the oldest first."""
        moving = [key for key, transfer in self.transfers.items() if not transfer.checking]
        self._slots = [key if key in moving else None for key in self._slots]
        standing = iter([key for key in moving if key not in self._slots])
        self._slots = [next(standing, None) if key is None else key for key in self._slots]

    def _slot_text(self, key: str | None, columns: int) -> tuple[str, float]:
        if key is None:
            return " ", 0
        transfer = self.transfers[key]
        return _transfer_text(transfer, transfer.speed.rate(self._drawn_at), columns)

    def _total_text(self, columns: int) -> tuple[str, float]:
        """Format the last line, without its bar or its noun where it does not fit."""
        here, total, left = self.here, self.total, self.seconds_left
        notes = "  ".join(
            [
                format_rate(self.rate),
                *([f"{format_duration(left)} left"] if left is not None else []),
                *([f"{self.failed} failed"] if self.failed else []),
                *([f"{checking} checking"] if (checking := self._checking()) else []),
                *([f"waiting for {self.waits_for}"] if self.waits_for else []),
            ]
        )
        if not total:
            return f"{self.products}  {format_bytes(here)}  {notes}", 0
        amounts = f"{self.products}  {format_share(here, total)}"
        percent = f"{100 * here // total:3}%"
        text = f"{amounts:{_name_width(columns)}} {percent}|{_BAR}| {notes}"
        if len(text) + _BAR_LEAST > columns:
            text = f"{amounts}  {percent.strip()}  {notes}"
        if len(text) > columns:
            text = text.replace(" products", "", 1)
        return text, here / total

    def _checking(self) -> int:
        return sum(transfer.checking for transfer in self.transfers.values())


def is_notebook() -> bool:
    """Whether this is an IPython kernel, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


def _terminal_bars(workers: int, file: TextIO) -> list[Bar]:
    from tqdm import tqdm

    columns, lines = _screen_size(file)
    slots = max(0, min(workers, lines - 3))  # reserve the last line, and room for the cursor and a message
    return [
        tqdm(total=1, file=file, leave=False, position=n, ncols=columns, nrows=lines, bar_format=" ")
        for n in range(slots + 1)
    ]


def _notebook_bars(workers: int, file: TextIO) -> list[Bar]:
    """Create widgets where they are installed, since text in a notebook has only one rewritable line."""
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm as widget

    slots = workers if issubclass(tqdm, widget) else 0
    return [tqdm(total=1, file=file, leave=False, dynamic_ncols=True, bar_format=" ") for _ in range(slots + 1)]


def _screen_size(file: TextIO) -> tuple[int, int]:
    """Return the columns and lines that may be written; 80 and 24 when the terminal's size is unknown."""
    try:
        columns, lines = os.get_terminal_size(file.fileno())
    except (OSError, ValueError):
        columns, lines = 0, 0
    return (columns or 80) - 1, lines or 24  # a full line would leave the cursor beyond the edge


def _transfer_text(transfer: Transfer, rate: float, columns: int) -> tuple[str, float]:
    width = _name_width(columns)
    name = elide(short_name(transfer.identifier), width)
    speed = f"{format_rate(rate):>9}"
    if not transfer.size:
        amount = f"{format_bytes(transfer.here)}  {speed}"
        return f"{name:{width}} {amount:>{max(0, columns - width - 1)}}", 0
    percent = 100 * transfer.here // transfer.size
    share = format_share(transfer.here, transfer.size)
    return f"{name:{width}} {percent:3}%|{_BAR}| {share:>12}  {speed}", transfer.here / transfer.size


def _name_width(columns: int) -> int:
    """Return the width of names: what bar and figures (38 columns together) leave, within bounds."""
    return max(8, min(_NAME_WIDTH, columns - 38))


def _bar_format(text: str, columns: int) -> str:
    """Convert a text to a bar template for tqdm, since older versions truncate only lines that have one."""
    text = text if _BAR in text else text[:columns]
    return text.replace("{", "{{").replace("}", "}}").replace(_BAR, "{bar}")
