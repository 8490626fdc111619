"""The real command on a real pseudo-terminal: colours, whole words, Ctrl-Z, and what a dumb terminal gets."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import fault, level2_scenes
from tests.support.commands import assert_clean_exit, at_url, stored_scenes
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandHere

pytestmark = pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid, which gives a terminal, is missing")

ESCAPE = b"\x1b"
PROGRAM = f"{sys.executable} -m collgs_async"


async def started(terminal: Terminal, folder: Path, script: str, **environ: str) -> asyncio.subprocess.Process:
    """Start a script of the shell as the session of a terminal."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    return await asyncio.create_subprocess_exec(
        *("setsid", "--ctty", "bash", "-c", script),
        cwd=folder,
        env={**clean, "TERM": "xterm-256color", **environ},
        stdin=terminal.file,
        stdout=terminal.file,
        stderr=terminal.file,
    )


async def on_terminal(folder: Path, words: tuple[object, ...], *, columns: int = 80, **environ: str) -> Terminal:
    """Run the command to its end, and return the terminal."""
    terminal = Terminal(columns, lines=50)
    script = f"{PROGRAM} {' '.join(map(str, words))}; echo ended with $?"
    process = await started(terminal, folder, script, **environ)
    await terminal.until(lambda lines: any(line.startswith("ended with ") for line in lines))
    await process.wait()
    return terminal


def colours_of(terminal: Terminal, start: str) -> tuple[set[str], set[str]]:
    """Return the colours of the first word of the line that begins like this, and of its other words."""
    row = next(at for at, line in enumerate(terminal.shown()) if line.startswith(start))
    cells = [terminal.emulated.buffer[row][at] for at in range(terminal.columns)]
    first = "".join(cell.data for cell in cells).index(" ")
    return {cell.fg for cell in cells[:first]}, {cell.fg for cell in cells[first:] if cell.data.strip()}


async def test_errors_are_red_warnings_yellow_and_a_good_end_green(serve: Callable[..., Any], cwd: Path) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[0].identifier: (fault("cut"), fault("missing"))})

    with closing(await on_terminal(cwd, at_url(site), columns=120)) as terminal:
        assert ({"brown"}, {"default"}) == colours_of(terminal, "warning: ")
        assert ({"red"}, {"default"}) == colours_of(terminal, "error: ")
        assert ({"red"}, {"red"}) == colours_of(terminal, "2 downloaded")
        assert ({"default"}, {"default"}) == colours_of(terminal, "The archives are in")
        assert "ended with 1" == terminal.shown()[-1]
    site = await serve(scenes)
    with closing(await on_terminal(cwd, (*at_url(site), "-v"), columns=120)) as terminal:
        assert ({"green"}, {"green"}) == colours_of(terminal, "1 downloaded")
        assert ({"green"}, {"green"}) == colours_of(terminal, scenes[0].identifier)


async def test_no_color_leaves_the_bars_and_takes_the_colours(serve: Callable[..., Any], cwd: Path) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})

    with closing(await on_terminal(cwd, at_url(site), NO_COLOR="1", FORCE_COLOR="1")) as terminal:
        assert re.search(rb"\x1b\[[0-9;]*[JKA]", terminal.written)
        assert not re.search(rb"\x1b\[[0-9;]*m", terminal.written)


@pytest.mark.parametrize(
    ("words", "kind"),
    [pytest.param((), "dumb", id="a dumb terminal"), pytest.param(("--log-json",), "xterm-256color", id="JSON")],
)
async def test_what_is_no_screen_gets_neither_colours_nor_cursor_moves(
    serve: Callable[..., Any], cwd: Path, words: tuple[str, ...], kind: str
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})

    with closing(await on_terminal(cwd, (*at_url(site), *words), TERM=kind)) as terminal:
        assert b"1 downloaded" in terminal.written
        assert b"2/2 products" in terminal.written
        assert ESCAPE not in terminal.written
        assert b"\r" not in terminal.written.replace(b"\r\n", b"")


async def test_a_pipe_gets_colours_only_if_they_are_demanded(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})
    words = ("--report", "-")

    plain = assert_clean_exit(await run_cli(*at_url(site), *words))
    forced = assert_clean_exit(await run_cli(*at_url(site), *words, FORCE_COLOR="1"))
    as_json = assert_clean_exit(await run_cli(*at_url(site), "--log-json", FORCE_COLOR="1"))

    assert "\x1b" not in plain.err + plain.out + as_json.err
    assert "\x1b[31merror:\x1b[0m " in forced.err
    assert "\x1b" not in forced.out


@pytest.mark.parametrize("columns", [40, 80])
async def test_a_line_break_splits_no_word(serve: Callable[..., Any], cwd: Path, columns: int) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})

    with closing(await on_terminal(cwd, at_url(site), columns=columns, NO_COLOR="1")) as terminal:
        text = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", terminal.written).decode().replace("\r", "")
        said = " ".join(text.split())
        assert f"error: {scenes[0].identifier}: HTTP 404: Not Found; it is left out" in said
        # What fills a line has gone on in the next one: only a word that is longer than a line does.
        assert [] == [line for line in terminal.shown() if len(line) == columns and " " in line.strip()]
        assert str(site.folder) + "." in text


RATE = re.compile(r"\d [kM]?B/s")


async def test_ctrl_z_leaves_the_screen_to_the_shell_and_the_run_goes_on(serve: Callable[..., Any], cwd: Path) -> None:
    site = await serve(stored_scenes(3, 4_000_000), rate=1_000_000.0)
    words = " ".join(map(str, (*at_url(site), "-j", 1)))
    script = f"set -m; {PROGRAM} {words}; echo stopped; read; fg >/dev/null; echo ended with $?"

    with closing(Terminal(80)) as terminal:
        process = await started(terminal, cwd, script)
        await terminal.until(lambda lines: any(map(RATE.search, lines)))
        terminal.type("\x1a")
        stopped = await terminal.until(lambda lines: "stopped" in lines)
        assert [] == [line for line in stopped if RATE.search(line) or "products" in line]
        have = site.moved()
        terminal.type("\r")
        await terminal.until(lambda lines: any(map(RATE.search, lines)))
        ended = await terminal.until(lambda lines: "ended with 0" in lines)
        assert 0 == await process.wait()
        assert [] == [line for line in ended if "|" in line]
        assert any(line.startswith("3 downloaded (12.0 MB in ") for line in ended)
        assert have < site.moved() < 12_000_000 + 1_000_000
