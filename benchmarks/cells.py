"""One tool before one fault: archives are served, the tool is run, its files are compared byte for byte."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collgs_async.demo.archives import write_archive
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.scenes import make_scenes
from collgs_async.demo.server import DemoServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from programs import Tool

    from collgs_async.demo.scenes import Scene

__all__ = ["NOT_ASKED", "RIGHT", "ROWS", "SIZE", "Cell", "Row", "play"]

SIZE = 6 * 2**20
"""Bytes of the archive."""

RIGHT = ("ok", "ok, from zero")
"""The verdicts that mean right bytes under the final name and exit code 0."""

NOT_ASKED = "-"
"""What stands in the table where a row is about searching, which the tool does not do."""

_RATE = 2e6
_SMALLER = 2**20
"""Bytes of each archive where there are several."""

_AT_ONCE = 4
"""Archives that are fetched at once where a tool is started for each; ours has as many workers."""

_STOPPED_AT = SIZE // 2
_WASTE = 1.3
_GRACE = 10.0
_LOOK_EVERY = 0.01
_TRAILER = bytes(200)


@dataclass(frozen=True, slots=True)
class Row:
    """What goes wrong.

    Attributes
    ----------
    name
        For ``--rows``.
    title
        The head of the row.
    fault
        What the store plays, a key of `FAULTS`; None: nothing.
    stop
        The signal that ends the tool in the middle of the file, before it is run again; None: it is run once.
    replaced
        Whether another version takes the archive's place while the tool is stopped.
    obtainable
        Whether there is a right file to be had; where there is none, a clear failure without a file is right.
    reusable
        Whether what came before the trouble can be a part of the right file; else one more size may move.
    count
        How many archives there are.
    gone
        For how many seconds the server is gone once a third of the bytes has moved.
    pages
        What the catalogue plays, a key of `FAULTS`; such a row is for tools that search.
    times
        How many pages that spoils.
    """

    name: str
    title: str
    fault: str | None = None
    stop: signal.Signals | None = None
    replaced: bool = False
    obtainable: bool = True
    reusable: bool = True
    count: int = 1
    gone: float = 0.0
    pages: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of it.

    Attributes
    ----------
    row, tool
        Their names.
    verdict
        What stands in the table.
    right
        Whether that is as good as can be: right bytes, or a clear failure without a file where none can be had.
    code
        The exit code of the last run, negative for a signal; None: it was killed when its time was up.
    left
        Bytes under the final name; None: there is no such file.
    moved
        Archive bytes that the store has sent in all runs.
    seconds
        All runs together.
    said
        The end of what the tool said.
    """

    row: str
    tool: str
    verdict: str
    right: bool
    code: int | None
    left: int | None
    moved: int
    seconds: float
    said: str


def _played(name: str, *, reusable: bool = True) -> Row:
    fault = FAULTS[name]
    return Row(name, fault.summary, name, obtainable=fault.recoverable, reusable=reusable)


_ROWS = (
    Row("none", "nothing"),
    _played("cut"),
    _played("no-range", reusable=False),
    _played("login"),
    _played("no-length"),
    _played("503"),
    Row("kill", "SIGKILL in the middle, run again", stop=signal.SIGKILL),
    Row("ctrl-c", "Ctrl-C in the middle, run again", stop=signal.SIGINT),
    Row(
        "kill-replaced",
        "SIGKILL in the middle, replaced by another version of the same length with a new ETag, run again",
        stop=signal.SIGKILL,
        replaced=True,
        reusable=False,
    ),
    Row("ctrl-c-replaced", "the same with Ctrl-C", stop=signal.SIGINT, replaced=True, reusable=False),
    _played("stall"),
    *map(_played, ("reset", "half-header", "429", "500", "etag-per-node", "early-206", "200-range", "if-range-200")),
    *map(_played, ("weak-etag", "no-validators")),
    _played("replaced", reusable=False),
    _played("replaced-silently", reusable=False),
    *map(_played, ("html", "corrupt", "truncated")),
    _played("gzip", reusable=False),
    *map(_played, ("wrong-range", "trailing", "flows", "missing", "forbidden", "rotten")),
    *map(_played, ("staged", "signed", "coding")),
    Row("outage", "10 archives, the store gone for 20 s when a third has come", count=10, gone=20.0),
    Row("deletion", "12 archives, 5 a page, one deleted with each of 3", count=12, pages="catalogue-deletion", times=3),
    Row("empty-page", "12 archives, 5 a page, one page empty before the total", count=12, pages="catalogue-empty"),
)

ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
"""Every row by name, in the order of the table; the first eleven are those that any network will show one day."""


async def play(tool: Tool, row: Row, folder: Path, time_limit: float) -> Cell:
    """Put a tool before a fault.

    Parameters
    ----------
    tool, row
        Which.
    folder
        An empty folder for this cell alone.
    time_limit
        Seconds after which a run is killed and said to hang.
    """
    work = folder / "work"
    work.mkdir()
    if row.count > 1:
        return await _play_several(tool, row, folder, work, time_limit)
    scene = replace(make_scenes(1)[0], size=SIZE, deflated=False)
    faults = {scene.identifier: FAULTS[row.fault]} if row.fault else None
    begun = time.monotonic()
    async with DemoServer([scene], folder / "store", rate=_RATE, faults=faults) as server:
        code = await _meet(tool, row, server, work, time_limit)
        moved, seconds = _moved(server), time.monotonic() - begun
    path = work / f"{scene.identifier}.zip"
    found = path.read_bytes() if path.exists() else None
    verdict = _judge(code, moved, row, found=found, expected=_originals(row, scene, folder))
    return Cell(
        row=row.name,
        tool=tool.name,
        verdict=verdict,
        right=verdict in RIGHT if row.obtainable else verdict == "fails",
        code=code,
        left=None if found is None else len(found),
        moved=moved,
        seconds=round(seconds, 1),
        said=_said(work),
    )


async def _play_several(tool: Tool, row: Row, folder: Path, work: Path, time_limit: float) -> Cell:
    """Put a tool before a row with several archives, all of which are to be had."""
    if row.pages and not tool.searches:
        return Cell(row.name, tool.name, NOT_ASKED, right=False, code=None, left=None, moved=0, seconds=0.0, said="")
    made = [scene for scene in make_scenes(8 * row.count) if scene.collection == "S2_MSIL2A"][: row.count]
    scenes = [replace(scene, size=_SMALLER, deflated=False) for scene in made]
    pages = {"catalogue": replace(FAULTS[row.pages], times=row.times)} if row.pages else None
    begun = time.monotonic()
    async with DemoServer(scenes, folder / "store", rate=_RATE / 4, page_maximum=5, faults=pages) as server:
        outage = asyncio.create_task(_go_away(server, row.gone, len(scenes) * _SMALLER // 3))
        code = await _fetch_all(tool, server, work, time_limit + row.gone)
        outage.cancel()
        await asyncio.wait([outage])
        moved, seconds = _moved(server), time.monotonic() - begun
    verdict = _judge_several(code, moved, _compared(scenes, work, folder), row.count)
    return Cell(
        row=row.name,
        tool=tool.name,
        verdict=verdict,
        right=verdict in RIGHT,
        code=code,
        left=None,
        moved=moved,
        seconds=round(seconds, 1),
        said=_said(work),
    )


def _compared(scenes: list[Scene], work: Path, folder: Path) -> list[bool]:
    """Tell of each archive that has its final name whether its bytes are right."""
    found = []
    for scene in scenes:
        path = work / f"{scene.identifier}.zip"
        if path.exists():
            write_archive(scene, folder / "original.zip")
            found.append(path.read_bytes() == (folder / "original.zip").read_bytes())
    return found


async def _go_away(server: DemoServer, seconds: float, at: int) -> None:
    """Let the server be gone once so many bytes have moved."""
    while seconds and _moved(server) < at:  # noqa: ASYNC110 - the server has no event for so many bytes
        await asyncio.sleep(_LOOK_EVERY)
    if seconds:
        await server.vanish(seconds)


async def _fetch_all(tool: Tool, server: DemoServer, work: Path, time_limit: float) -> int | None:
    """Run the tool once where it searches, else once for each archive; gives the worst exit code."""
    (work / "config.json").write_text(_config(server.url, server.scenes[0]))
    if tool.searches:
        return await _run(tool.command("", ""), work, time_limit)
    places = asyncio.Semaphore(_AT_ONCE)

    async def fetch(scene: Scene) -> int | None:
        async with places:
            return await _run(
                tool.command(f"{server.origin}/{scene.location}", f"{scene.identifier}.zip"), work, time_limit
            )

    codes = await asyncio.gather(*(fetch(scene) for scene in server.scenes))
    return None if None in codes else max((code or 0 for code in codes), key=abs)


def _judge_several(code: int | None, moved: int, found: list[bool], count: int) -> str:
    right, wrong = found.count(True), found.count(False)
    if code is None:
        return "hangs"
    if code != 0:
        return f"fails {count - right} of {count}" + (f", leaves {wrong} wrong files" if wrong else "")
    if right < count:
        return "CORRUPT" if wrong else f"exit 0, {count - right} missing"
    return "ok" if moved <= _WASTE * count * _SMALLER else "ok, from zero"


async def _meet(tool: Tool, row: Row, server: DemoServer, work: Path, time_limit: float) -> int | None:
    """Run the tool as the row has it; gives the exit code of the last run, None when its time was up."""
    scene = server.scenes[0]
    (work / "config.json").write_text(_config(server.url, scene))
    command = tool.command(f"{server.origin}/{scene.location}", f"{scene.identifier}.zip")
    if row.stop is not None:
        await _run(command, work, time_limit, _Stop(row.stop, lambda: _moved(server) >= _STOPPED_AT))
        if row.replaced:
            server.replace(scene.identifier)
    return await _run(command, work, time_limit)


def _config(url: str, scene: Scene) -> str:
    return json.dumps(
        {
            "base_url": url,
            "parameters": {"parentIdentifier": scene.collection},
            "output_directory": ".",
            "connection": {"timeout": 3},
        }
    )


def _moved(server: DemoServer) -> int:
    return sum(hit.sent for hit in server.requests if hit.path.startswith("/repository/"))


def _originals(row: Row, scene: Scene, folder: Path) -> list[bytes]:
    """Give the files that are right: the current version; where the store appends bytes, with and without them."""
    path = folder / "original.zip"
    replaced = row.replaced or row.fault in {"replaced", "replaced-silently"}
    write_archive(scene, path, version=1 if replaced else 0)
    original = path.read_bytes()
    return [original, original + _TRAILER] if row.fault == "trailing" else [original]


def _judge(code: int | None, moved: int, row: Row, *, found: bytes | None, expected: list[bytes]) -> str:
    if code is None:
        return "hangs"
    right = found in expected and row.obtainable
    if code != 0:
        return "fails" if right or found is None else "fails, leaves a wrong file"
    if not right:
        return "exit 0, no file" if found is None else "CORRUPT"
    allowed = _WASTE if row.reusable else _WASTE + 1
    return "ok" if moved <= allowed * SIZE else "ok, from zero"


def _said(work: Path) -> str:
    return (work / "said.txt").read_text(errors="replace")[-500:]


# ------------------------------------------------------------------------------------------------------- processes


@dataclass(frozen=True, slots=True)
class _Stop:
    """A signal for a process, and when it is due."""

    signal: signal.Signals
    due: Callable[[], bool]


async def _run(command: list[str], work: Path, time_limit: float, stop: _Stop | None = None) -> int | None:
    """Run a command until it ends, is stopped, or its time is up (None)."""
    with (work / "said.txt").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=work,
            env=_surroundings(work),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(time_limit):
            if stop is not None:
                await _stop(process, stop)
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        _signal(process, signal.SIGKILL)
        await process.wait()


async def _stop(process: asyncio.subprocess.Process, stop: _Stop) -> None:
    ended = asyncio.ensure_future(process.wait())
    while not (ended.done() or stop.due()):
        await asyncio.wait([ended], timeout=_LOOK_EVERY)
    _signal(process, stop.signal)
    # Some need a second Ctrl-C, or do not end at all: the next run is what counts.
    await asyncio.wait([ended], timeout=_GRACE)
    _signal(process, signal.SIGKILL)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal all of a process's group, as a terminal does."""
    # It may have ended a moment ago, and asyncio not know yet.
    with suppress(ProcessLookupError):
        if process.returncode is None:
            os.killpg(process.pid, number)


def _surroundings(home: Path) -> dict[str, str]:
    """Give an environment without anybody's proxies, settings and passwords, so that defaults are defaults."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
