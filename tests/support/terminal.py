"""A real pseudo-terminal, and an emulator of what its screen shows."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

import pyte


class Terminal:
    """A pseudo-terminal, whose screen `pyte` emulates.

    Attributes
    ----------
    file
        Where to write.
    written
        What was written before the last look at the screen, and after the one before.
    """

    def __init__(self, columns: int, lines: int = 24) -> None:
        self.columns = columns
        self.master, slave = os.openpty()
        self.emulated = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.emulated)
        self._resize_kernel(slave, columns, lines)
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self.written = b""

    def close(self) -> None:
        self.file.close()
        os.close(self.master)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window; unlike many terminals, this one does not wrap its lines anew."""
        self.screen()
        self._resize_kernel(self.file.fileno(), columns, lines)
        self.emulated.resize(lines, columns)

    @staticmethod
    def _resize_kernel(descriptor: int, columns: int, lines: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def screen(self) -> list[str]:
        """Read all that was written so far; return the lines down to the last one that is not empty."""
        self.file.write("\0")  # the kernel passes output on in its own time: read until this mark
        self.file.flush()
        data = b""
        while not data.endswith(b"\0"):
            data += os.read(self.master, 65536)
        self.written = data[:-1]
        self._stream.feed(self.written)
        return self.shown()

    def shown(self) -> list[str]:
        """Return the lines of the screen without reading more."""
        rows = [row.rstrip() for row in self.emulated.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def colours(self, row: int) -> set[str]:
        """Return the colours of a line's letters."""
        return {letter.fg for letter in self.emulated.buffer[row].values() if letter.data.strip()}
