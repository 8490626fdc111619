"""Make the pictures of README: a terminal in the middle of a run, and a page of scenes.

``python -m tools.make_pictures`` needs pyte, Chromium and the extra ``geo``; it asks the embedded catalogue only.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from html import escape
from pathlib import Path
from typing import Any, Final

import pyte

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"

COLUMNS: Final = 90
LINES: Final = 12
CELL: Final = (8.4, 18)
"""Width and height of a character, in pixels."""

COLOURS: Final = {
    "default": "#d0d4d9",
    "black": "#6b7280",
    "red": "#f87171",
    "green": "#4ade80",
    "brown": "#facc15",
    "blue": "#60a5fa",
    "magenta": "#e879f9",
    "cyan": "#22d3ee",
    "white": "#ffffff",
}


def frame_of(command: list[str], seconds: float) -> pyte.Screen:
    """Run a command on a terminal of its own, and return what the screen shows after so many seconds."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    with tempfile.TemporaryDirectory() as folder:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.environ["TERM"] = "xterm-256color"
            os.execvp(command[0], command)  # noqa: S606 - our own command
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        begun, first = time.monotonic(), None
        while first is None or time.monotonic() - first < seconds:
            if time.monotonic() - begun > 60:
                raise TimeoutError("nothing was shown in a minute")
            if select.select([terminal], [], [], 0.1)[0]:
                stream.feed(os.read(terminal, 65536))
                first = first or (time.monotonic() if any("%" in line for line in screen.display) else None)
        os.kill(pid, 15)
        os.close(terminal)
        os.waitpid(pid, 0)
    return screen


def picture(screen: pyte.Screen) -> str:
    """Draw a screen as SVG, in the colours of its cells."""
    width, height = CELL
    rows = [_row(screen.buffer[y], y) for y in range(LINES) if screen.display[y].strip()]
    last = max(y for y in range(LINES) if screen.display[y].strip())
    size = f'width="{COLUMNS * width + 32:.0f}" height="{(last + 1) * height + 32}"'
    style = "font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            '<rect width="100%" height="100%" rx="8" fill="#16191d"/>',
            f'<g style="{style}" fill="{COLOURS["default"]}">',
            *rows,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _row(cells: Any, y: int) -> str:
    """Draw a line: a piece of text for each run of one colour, stretched to its cells."""
    width, height = CELL
    pieces, x = [], 0
    while x < COLUMNS:
        colour, end = cells[x].fg, x
        while end < COLUMNS and cells[end].fg == colour:
            end += 1
        text = "".join(cells[at].data for at in range(x, end)).rstrip()
        if text:
            fill = f' fill="{COLOURS.get(colour, COLOURS["default"])}"' if colour != "default" else ""
            place = f'x="{16 + x * width:.1f}" y="{16 + (y + 0.75) * height:.1f}" textLength="{len(text) * width:.1f}"'
            words = escape(text).replace(" ", "&#160;")  # of several blanks, SVG would keep one
            pieces.append(f"<text {place}{fill}>{words}</text>")
        x = end
    return "".join(pieces)


def photograph_page(target: Path) -> None:
    """Let the embedded catalogue's scenes be listed on a page, and take a picture of it."""
    program = [sys.executable, "-m", "collgs_async"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(Path(__file__).parents[1] / "collgs_async" / "demo" / "luxembourg.geojson", folder)
        with subprocess.Popen([*program, "demo", "--serve", "--constellation"], stdout=subprocess.PIPE) as server:  # noqa: S603
            assert server.stdout is not None  # noqa: S101 - for the type checker
            text = b""
            while not text.endswith(b"}\n"):
                text += server.stdout.readline()
            (folder / "config.json").write_bytes(text)
            words = "search --collection S2_MSIL2A --aoi luxembourg.geojson --min-overlap 20 --start 2022-07-01"
            more = "--end 2022-09-30 --cloud-cover 0,60 --latest-baseline --map scenes.html"
            try:
                subprocess.run([*program, *words.split(), *more.split()], cwd=folder, check=True, capture_output=True)  # noqa: S603
            finally:
                server.terminate()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,760"]
        page = (folder / "scenes.html").as_uri()
        subprocess.run(["chromium", *flags, f"--screenshot={target}", page], check=True, capture_output=True)  # noqa: S603, S607


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    screen = frame_of([sys.executable, "-m", "collgs_async", "demo", "--output", "downloads"], 1.5)
    (IMAGES / "terminal.svg").write_text(picture(screen), "utf-8")
    photograph_page(IMAGES / "map.png")
