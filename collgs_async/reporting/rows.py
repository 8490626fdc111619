"""The text of a line of the screen: of a transfer, and of the whole run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.http.messages import printable
from collgs_async.models.text import format_bytes, format_duration, format_rate, format_share
from collgs_async.models.width import cut, elide, from_a_letter, pad, text_width
from collgs_async.reporting.colour import paint
from collgs_async.reporting.names import short_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collgs_async.reporting.colour import Colour
    from collgs_async.reporting.progress import ProgressCounter, Transfer

__all__ = ["RowFormat", "total_row", "transfer_row"]

_GAP: Final = "  "
_BAR: Final = 10
_SHORT_NAME: Final = 29
_LEAST_NAME: Final = 8
_LEAST_FIGURES: Final = len(" 100%") + len("   85.3 MB/s")
_FIGURES: Final = _LEAST_FIGURES + len("    0.4/1.0 GB")
_WITH_BAR: Final = _FIGURES + len(" ||") + _BAR


class RowFormat:
    """What all lines share: the width of the terminal and of the names, and how bars and colours are written.

    Parameters
    ----------
    colour
        Whether colours are written.
    encoding
        The encoding of the terminal; None when unknown.

    Attributes
    ----------
    columns
        Columns that a line may take.
    name
        Columns of the names: as many as the longest so far takes, at most what bar and figures leave, and at least 8.
    has_bars, has_shares
        Whether there is room for bars, and for the amounts.
    """

    def __init__(self, *, colour: bool, encoding: str | None) -> None:
        self._colour = colour
        self._ascii = not _has_blocks(encoding)
        self.columns = 0
        self.name = 0
        self.has_bars = self.has_shares = False
        self._room = 0

    def fit(self, columns: int, transfers: Iterable[Transfer]) -> None:
        """Adapt to the width of the terminal, and to the names that are shown."""
        if columns != self.columns:
            self.columns = columns
            self.has_bars = columns >= _WITH_BAR + _SHORT_NAME
            self.has_shares = columns >= _FIGURES + _SHORT_NAME
            figures = _WITH_BAR if self.has_bars else _FIGURES if self.has_shares else _LEAST_FIGURES
            self._room = max(_LEAST_NAME, columns - figures)
            self.name = min(self._room, _SHORT_NAME)
        self.name = max([self.name, *(text_width(self._shortened(transfer)) for transfer in transfers)])

    def name_of(self, transfer: Transfer) -> str:
        """Return the name of a product, in the width of all names: whole where it fits, else shortened."""
        return pad(self._shortened(transfer), self.name)

    def _shortened(self, transfer: Transfer) -> str:
        whole = from_a_letter(printable(transfer.identifier))
        return whole if text_width(whole) <= self._room else from_a_letter(elide(short_name(whole), self._room))

    def bar(self, fraction: float) -> str:
        """Return a bar with the space before it; nothing where there is no room."""
        if not self.has_bars:
            return ""
        from tqdm import tqdm

        blocks = tqdm.format_meter(fraction, 1, 0, ncols=_BAR, ascii=self._ascii, bar_format="{bar}")
        return f" |{blocks}|"

    def no_bar(self) -> str:
        """Return the space that a bar would take."""
        return " " * (_BAR + 3 if self.has_bars else 0)

    def paint(self, text: str, colour: Colour | None) -> str:
        """Return a text in a colour, where colours are written."""
        return paint(text, colour if self._colour else None)


def _has_blocks(encoding: str | None) -> bool:
    try:
        "▏█".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def transfer_row(transfer: Transfer, now: float, form: RowFormat) -> str:
    """Return the line of a transfer: its name, how much of it is here, and its rate or what it waits for."""
    name, here, size = form.name_of(transfer), transfer.here, transfer.size
    percent = f" {100 * here // size:3}%" if size else " " * 5
    if transfer.why is not None:
        return _delayed_row(f"{name}{percent}", transfer, now, form)
    bar = form.bar(here / size) if size else form.no_bar()
    amount = format_share(here, size) if size else format_bytes(here)
    share = f"  {amount:>12}" if form.has_shares else ""
    state = "verifying" if transfer.checking else format_rate(transfer.speed.rate(now))
    return cut(f"{name}{percent}{bar}{share}  {state:>9}", form.columns)


def _delayed_row(start: str, transfer: Transfer, now: float, form: RowFormat) -> str:
    again = "" if transfer.until is None else f"; again in {_countdown(transfer.until - now)}"
    room = form.columns - text_width(start) - len(_GAP) - len(again)
    if room < 1:
        return cut(start, form.columns)
    why = printable(transfer.why or "")
    why = why if text_width(why) <= room else f"{cut(why, room - 1)}…"
    return f"{start}{_GAP}{form.paint(why + again, 'yellow')}"


def _countdown(seconds: float) -> str:
    """Return the time left, in whole seconds that end with 1."""
    whole = max(1, math.ceil(seconds))
    return f"{whole} s" if whole < 60 else format_duration(whole)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the last line; in the order of these numbers they are left out, or replaced by `shorter`; 0: never."""

    order: int
    text: str
    colour: Colour | None = None
    shorter: _Part | None = None


def total_row(counter: ProgressCounter, hidden: int, form: RowFormat) -> str:
    """Return the line of the whole run; where it is too narrow, what matters least is left out.

    Parameters
    ----------
    hidden
        The number of transfers without a line.
    """
    here, total, left = counter.here, counter.total, counter.seconds_left
    percent = f"{100 * here // total}%" if total else ""
    parts = [
        _Part(6, counter.products, shorter=_Part(0, counter.products.partition(" ")[0])),
        _Part(0, counter.amount),
        _Part(1, f"{percent}{form.bar(here / total)}" if total else "", shorter=_Part(3, percent)),
        _Part(0, format_rate(counter.rate)),
        _Part(2, format_duration(counter.elapsed)),
        _Part(4, f"~{format_duration(left)} left" if left is not None else ""),
        _Part(0, f"{counter.failed} failed" if counter.failed else "", "red"),
        _Part(5, f"and {hidden} more" if hidden else ""),
        _Part(7, f"waiting for {counter.waits_for}" if counter.waits_for else "", "yellow"),
    ]
    return _joined([part for part in parts if part.text], form)


def _joined(parts: list[_Part], form: RowFormat) -> str:
    while sum(text_width(part.text) + len(_GAP) for part in parts) - len(_GAP) > form.columns:
        least = min((part for part in parts if part.order), key=lambda part: part.order, default=None)
        if least is None:
            return cut(_GAP.join(part.text for part in parts), form.columns)
        at = parts.index(least)
        parts[at : at + 1] = [least.shorter] if least.shorter else []
    return _GAP.join(form.paint(part.text, part.colour) for part in parts)
