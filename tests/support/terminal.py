"""A real pseudo-terminal, and an emulator of what its screen shows."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import struct
import termios
from typing import TYPE_CHECKING

import pyte

from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal:
    """A pseudo-terminal, whose screen `pyte` emulates.

    Attributes
    ----------
    file
        Where to write.
    name
        Its device, for another process.
    written
        What was written before the last look at the screen, and after the one before.
    """

    def __init__(self, columns: int, lines: int = 24) -> None:
        self.columns = columns
        self.master, slave = os.openpty()
        self.emulated = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.emulated)
        self.name = os.ttyname(slave)
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

    async def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Read what another process writes until the screen fulfils a condition, and return its lines."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.master, readable.set)
        try:
            async with asyncio.timeout(HANGS):
                while not condition(self.shown()):
                    await readable.wait()
                    readable.clear()
                    while select.select([self.master], [], [], 0)[0]:  # the event may be that of an earlier read
                        self.written += (data := os.read(self.master, 65536))
                        self._stream.feed(data)
        except TimeoutError:
            raise AssertionError("\n".join(["the screen shows:", *self.shown()])) from None
        finally:
            loop.remove_reader(self.master)
        return self.shown()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def shown(self) -> list[str]:
        """Return the lines of the screen without reading more."""
        rows = [row.rstrip() for row in self.emulated.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def colours(self, row: int) -> set[str]:
        """Return the colours of a line's letters."""
        return {letter.fg for letter in self.emulated.buffer[row].values() if letter.data.strip()}
