"""A block of lines on a terminal that is redrawn in place."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Screen", "terminal_size"]

_CLEAR_BELOW = "\x1b[J"
_CLEAR_RIGHT = "\x1b[K"


def terminal_size(file: TextIO) -> tuple[int, int]:
    """Return the columns and lines of a terminal that may be used; 79 and 24 when its size is unknown.

    The last column stays free: a terminal may wrap a line that fills it.
    """
    try:
        columns, lines = os.get_terminal_size(file.fileno())
    except (OSError, ValueError):
        columns, lines = 0, 0
    return max(1, (columns or 80) - 1), lines or 24


class Screen:
    """The lines below everything that was written to a terminal.

    Between two calls, the cursor is where the first line begins. So whatever a terminal does with these lines when its
    window becomes narrower, what is left of them is below the cursor; and what a user types, such as the ^C that
    terminals echo, is overwritten by the next redraw. All methods are safe from any thread, and a terminal that was
    closed is not an error.

    Parameters
    ----------
    file
        The terminal.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._lines: Sequence[str] = ()
        self._size = terminal_size(self._file)

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines, none of them wider than the terminal, in the place of those drawn before."""
        with self._lock:
            if self._is_in_background():
                self._lines = ()
                return
            size, before = self._size, ""
            self._size = terminal_size(self._file)
            if size != self._size and self._lines:
                before = f"\r{_CLEAR_BELOW}"
            self._lines = lines
            self._write(before + self._block())

    def clear(self) -> None:
        """Remove the lines, until they are drawn again."""
        with self._lock:
            if self._lines:
                self._lines = ()
                self._write(f"\r{_CLEAR_BELOW}")

    def write_line(self, text: str) -> None:
        """Write a line above the lines; it may be of any width."""
        with self._lock:
            above = f"\r{_CLEAR_BELOW}{text}\n" if self._lines else f"{text}\n"
            self._write(above + (self._block() if self._lines else ""))

    def _block(self) -> str:
        text = f"{_CLEAR_RIGHT}\n".join(self._lines)
        up = f"\x1b[{len(self._lines) - 1}A" if len(self._lines) > 1 else ""
        return f"\r{text}{_CLEAR_BELOW}{up}\r"

    def _is_in_background(self) -> bool:
        """Whether the terminal belongs to another job of the shell, such as after Ctrl-Z and ``bg``."""
        try:
            return os.tcgetpgrp(self._file.fileno()) != os.getpgrp()
        except (OSError, ValueError):
            return False  # it is not the controlling terminal

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)
            self._file.flush()
