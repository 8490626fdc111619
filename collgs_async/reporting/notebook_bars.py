"""Progress in a notebook: a bar for each transfer, and one for the run."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from collgs_async.models.text import format_bytes, format_duration, format_rate, format_share
from collgs_async.reporting.names import short_name
from collgs_async.reporting.progress import ProgressCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm

    from collgs_async.reporting.progress import Transfer

    Bar = tqdm[Any]

__all__ = ["NotebookProgress", "is_notebook"]

_REDRAW_SECONDS = 0.1
_BAR = "\0"


class NotebookProgress(ProgressCounter):
    """Widgets with a bar for each transfer and for the whole run, redrawn at most ten times per second.

    Parameters
    ----------
    workers
        The number of transfers with a bar of their own; further ones take the first bar that becomes free.
    file
        Where text bars go if the widgets are not installed; None means standard error.
    clock
        Seconds of any monotonic clock.
    """

    def __init__(
        self, workers: int, *, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = sys.stderr if file is None else file
        self._workers = workers
        super().__init__(clock)

    def _reset(self) -> None:
        super()._reset()
        self._bars: list[Bar] = []
        self._slots: list[str | None] = []
        self._drawn_at = self._clock() - _REDRAW_SECONDS

    def _end(self) -> None:
        for bar in reversed(self._bars):
            bar.n = 1  # a bar that closes before its end would stay in red
            with contextlib.suppress(OSError, ValueError):
                bar.close()

    def _show(self) -> None:
        if self._clock() - self._drawn_at < _REDRAW_SECONDS:
            return
        self._drawn_at = self._clock()
        if not self._bars:
            self._bars = _bars(self._workers, self._file)
            self._slots = [None] * (len(self._bars) - 1)
        self._assign_slots()
        now = self._now()
        texts = [_transfer_text(self.transfers[key], now) if key else (" ", 0.0) for key in self._slots]
        for bar, (text, fraction) in zip(self._bars, [*texts, _total_text(self)], strict=True):
            bar.n, bar.bar_format = fraction, text.replace("{", "{{").replace("}", "}}").replace(_BAR, "{bar}")
            with contextlib.suppress(OSError, ValueError):
                bar.refresh()

    def _assign_slots(self) -> None:
        """Keep the bars of running transfers, and assign free bars to those without one, the oldest first."""
        moving = [key for key, transfer in self.transfers.items() if not transfer.checking and transfer.why is None]
        self._slots = [key if key in moving else None for key in self._slots]
        standing = iter([key for key in moving if key not in self._slots])
        self._slots = [next(standing, None) if key is None else key for key in self._slots]


def is_notebook() -> bool:
    """Whether this is an IPython kernel, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


def _bars(workers: int, file: TextIO) -> list[Bar]:
    """Create widgets where they are installed, since text in a notebook has only one rewritable line."""
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm as widget

    slots = workers if issubclass(tqdm, widget) else 0
    return [
        tqdm(total=1, file=file, leave=False, dynamic_ncols=True, bar_format=" ")  # leave=False: no bar stays behind
        for _ in range(slots + 1)
    ]


def _transfer_text(transfer: Transfer, now: float) -> tuple[str, float]:
    name, speed = short_name(transfer.identifier), format_rate(transfer.speed.rate(now))
    if not transfer.size:
        return f"{name}  {format_bytes(transfer.here)}  {speed}", 0.0
    percent, share = 100 * transfer.here // transfer.size, format_share(transfer.here, transfer.size)
    return f"{name} {percent:3}%|{_BAR}| {share}  {speed}", transfer.here / transfer.size


def _total_text(counter: ProgressCounter) -> tuple[str, float]:
    here, total, left = counter.here, counter.total, counter.seconds_left
    checking = sum(transfer.checking for transfer in counter.transfers.values())
    notes = [
        format_rate(counter.rate),
        format_duration(counter.elapsed),
        *([f"~{format_duration(left)} left"] if left is not None else []),
        *([f"{counter.failed} failed"] if counter.failed else []),
        *([f"{checking} verifying"] if checking else []),
        *([f"waiting for {counter.waits_for}"] if counter.waits_for else []),
    ]
    if not total:
        return "  ".join([counter.products, counter.amount, *notes]), 0.0
    bar = f"{100 * here // total:3}%|{_BAR}|"
    return "  ".join([f"{counter.products}  {counter.amount} {bar} {notes[0]}", *notes[1:]]), here / total
