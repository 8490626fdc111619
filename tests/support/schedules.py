"""Random schedules of faults, each from its seed: what goes wrong, when, and whether the command comes through it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from collgs_async.demo.archives import write_archive
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.server import DemoServer
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import level2_scenes
from tests.support.tuned import tuned_command

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.faults import Fault
    from collgs_async.demo.http import RequestRecord
    from collgs_async.demo.scenes import Scene

__all__ = ["Event", "Played", "Schedule", "draw", "play"]

MIB: Final = 2**20
KILL, INTERRUPT, REPLACE = "kill -9", "Ctrl-C", "replace"

SEND_BUFFER: Final = 16 * 1024
"""Bytes that each end of a connection holds back.

All of it counts as moved, also where a segment ends early or a run is stopped before the command has read it. A
command that was halted nine tenths of the time moved up to 2.1 MB more than the 6.9 MB of an archive with 64 KiB, and
with 16 KiB less than half of that.
"""

TIMEOUT: Final = 6
"""Seconds without a byte after which the command connects anew; a busy machine is silent for two of them."""

LONGEST_SILENCE: Final = TIMEOUT + 10.0
"""Seconds without a byte and without a request; all waits that these faults can lead to are shorter."""

LONGEST_LOOK: Final = 0.05
"""Seconds that count between two looks at a command, of which there is one each 5 ms."""

LONGEST_START: Final = 60.0
"""Seconds until its first request; a busy machine takes its time to import everything."""

LOST_BY: Final = {KILL: 4 * MIB, INTERRUPT: MIB}
"""Bytes that a stop may cost: a kill what is not written yet, Ctrl-C what is on its way."""

SURPLUS: Final = 1.25

SHORT: Final = ("cut", "reset", "stall", "half-header", "500", "503", "429", "flows", "gzip", "html", "unasked")
LYING: Final = (
    "truncated",
    "corrupt",
    "replaced",
    "wrong-range",
    "no-range",
    "rezipped",
    "replaced-silently",
    "bad-chunk",
)
ODD: Final = ("if-range-200", "etag-per-node", "early-206", "200-range", "weak-etag", "control-etag")
UNREADABLE: Final = 0.15
"""The share of archives whose members cannot be read."""

COSTLY: Final = frozenset({*LYING, "if-range-200", "200-range"})
"""Faults of which each spoilt request may cost an archive's size: a lie, another version, a range not given."""

SMALL_SOCKETS: Final = """\
import socket
class Short(socket.socket):
    def connect(self, address):
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        return super().connect(address)
socket.socket = Short
"""
"""Sockets that hold little, so that what the server has sent is what the command has read, however busy it all is."""

SMALL_SCALE: Final = TransferTuning(min_piece_bytes=2**19, min_split_seconds=0.1)
"""Archives are split as in life when they are a good deal smaller than in life."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens once.

    Attributes
    ----------
    at
        When: the archive bytes that must have moved, as a share of all sizes; below 0: before the start.
    what
        `KILL`, `INTERRUPT`, `REPLACE` or the name of a fault.
    scene
        The place of the archive concerned.
    times
        How many requests a fault spoils.
    """

    at: float
    what: str
    scene: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """What there is to fetch, over which line, and what goes wrong.

    Attributes
    ----------
    seed
        `draw` makes the same schedule of it again.
    scenes
        The archives.
    rate
        Bytes a second of each connection.
    events
        In the order of their time.
    settings
        Workers and segments of the first start, of the first restart and so on; then from the first again.
    """

    seed: int
    scenes: tuple[Scene, ...]
    rate: float
    events: tuple[Event, ...]
    settings: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """Bytes of all archives."""
        return sum(scene.size for scene in self.scenes)

    def __str__(self) -> str:
        sizes = " + ".join(
            f"{scene.size / MIB:.1f}{' deflated' * scene.deflated}{' unreadable' * scene.unreadable}"
            for scene in self.scenes
        )
        events = ", ".join(f"{event.at:.2f} {event.what}×{event.times} of {event.scene}" for event in self.events)
        return f"seed {self.seed}: {sizes} MiB at {self.rate / MIB:.0f} MiB/s, {self.settings}; {events}"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a schedule; no problems mean that all was as it has to be."""

    schedule: Schedule
    problems: tuple[str, ...]
    starts: int
    spoilt: int
    moved: int
    seconds: float


def draw(seed: int) -> Schedule:
    """Make up a schedule, always the same one of the same seed."""
    rng = random.Random(seed)
    templates = level2_scenes(3, seed=seed)[: rng.randint(1, 3)]
    scenes = tuple(replace(scene, size=_size(rng), deflated=False) for scene in templates)
    # Deflating is slow, and what is deflated is as random as what is not.
    scenes = tuple(replace(scene, deflated=scene.size < 6 * MIB and rng.random() < 0.5) for scene in scenes)
    scenes = tuple(replace(scene, unreadable=not scene.deflated and rng.random() < UNREADABLE) for scene in scenes)
    events = [_event(rng, scenes) for _ in range(rng.randint(2, 8))]
    settings = tuple((rng.randint(1, 8), rng.randint(1, 8)) for _ in range(4))
    rate = rng.choice((8, 16, 24)) * MIB
    return Schedule(seed, scenes, rate, tuple(sorted(events, key=lambda event: event.at)), settings)


def _size(rng: random.Random) -> int:
    return int(24 ** rng.random() * MIB)


def _event(rng: random.Random, scenes: tuple[Scene, ...]) -> Event:
    kinds = ((KILL,), (INTERRUPT,), (REPLACE,), SHORT, SHORT, LYING, ODD)
    what, scene = rng.choice(rng.choice(kinds)), rng.randrange(len(scenes))
    if what == "corrupt" and scenes[scene].unreadable:
        what = "truncated"  # a wrong bit in a member that cannot be read is seen by no client
    times = 1 if what not in SHORT else rng.randint(1, 2)
    if what in {*ODD, "no-range", "wrong-range", "rezipped", "replaced-silently"}:
        times = rng.randint(2, 4)  # of these the first request is only cut
    earliest = -0.3 if what in FAULTS else 0.0
    return Event(rng.uniform(earliest, 0.9), what, scene, times)


async def play(schedule: Schedule, folder: Path) -> Played:
    """Run the command, and run it again after each stop, until all archives are here or something is wrong."""
    begun = time.monotonic()
    play = _Play(schedule, folder)
    await play.run()
    return Played(schedule, tuple(play.problems), play.starts, play.spoilt(), play.moved(), time.monotonic() - begun)


class _Play:
    """A schedule on its way."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        self.folder = folder
        self.archives = folder / "archives"
        self.problems: list[str] = []
        self.starts = 0
        self._lost = 0
        self._waiting = list(schedule.events)
        self._replaced = 0
        self._faults: dict[str, tuple[Fault, ...]] = {scene.identifier: () for scene in schedule.scenes}
        self._server = DemoServer(schedule.scenes, folder / "store", rate=schedule.rate, faults=self._faults)
        self._digests: dict[tuple[str, int, int], bytes] = {}
        self._oldest = dict.fromkeys((scene.identifier for scene in schedule.scenes), (0, 0))

    async def run(self) -> None:
        folder = self.folder / "cwd"
        folder.mkdir(parents=True)
        self._let_happen(-0.001, None)
        async with self._server:
            self._shorten_the_line()
            code = None
            while code != 0 and not self.problems:
                self._note_oldest()
                code = await self._run_once()
                self._check_finals()
                if self.starts > len(self.schedule.events) + 2:
                    self.problems.append("it does not come to an end")
            if not self.problems:
                self._check_end()

    def _shorten_the_line(self) -> None:
        """Let little be on its way, also on a busy machine: what is sent to a full line counts as moved."""
        runner = self._server._runner
        for site in runner.sites if runner else ():
            listening = site._server
            assert isinstance(listening, asyncio.Server)
            for end in listening.sockets:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    async def _run_once(self) -> int:
        """Run the command once, and give its exit code."""
        workers, segments = self.schedule.settings[self.starts % len(self.schedule.settings)]
        self.starts += 1
        before, spoilt = len(self._hits()), self.spoilt()
        log = self.folder / f"said{self.starts}.txt"
        tuning = replace(SMALL_SCALE, min_receiver_bytes=2**60 if self.schedule.seed % 2 else 2**18)
        program = tuned_command(tuning, prepare=SMALL_SOCKETS)
        with log.open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program, "--base-url", self._server.url),
                *("--collection", "S2_MSIL2A", "--output", str(self.archives)),
                *("--workers", str(workers), "--segments", str(segments)),
                *("--timeout", str(TIMEOUT), "-v"),
                cwd=self.folder / "cwd",
                env={**_clean_environment(), "PYTHONWARNINGS": "error"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            stopped = await self._accompany(process, before)
        self._check_exit(process.returncode or 0, stopped, self.spoilt() - spoilt, log.read_text("utf-8"))
        return process.returncode or 0

    async def _accompany(self, process: asyncio.subprocess.Process, before: int) -> str | None:
        """Let happen what is due while the command runs; give how it was stopped, None when it was not."""
        stopped = None
        ended = asyncio.ensure_future(process.wait())
        alive, moment, silence = (0, 0), time.monotonic(), 0.0
        asked = len(self._server.requests)
        while not ended.done():
            await asyncio.wait([ended], timeout=0.005)
            if stopped is None and len(self._hits()) > before:
                stopped = self._let_happen(self.moved() / self.schedule.size, process)
            # A look that comes late had no processor for that long, and neither had the command.
            silence += min(time.monotonic() - moment, LONGEST_LOOK)
            moment = time.monotonic()
            if alive != (alive := (self.moved(), len(self._server.requests))):
                silence = 0.0
            retry = LONGEST_SILENCE if len(self._server.requests) > asked else LONGEST_START
            if silence > retry:
                self.problems.append(f"nothing moves for {retry:.0f} s")
                process.kill()
                break
        await ended
        return stopped

    def _let_happen(self, share: float, process: asyncio.subprocess.Process | None) -> str | None:
        """Let all happen that is due; give how the command was stopped, if it was."""
        while self._waiting and self._waiting[0].at <= share:
            event = self._waiting.pop(0)
            name = self.schedule.scenes[event.scene].identifier
            if event.what == REPLACE:
                self._server.replace(name)
                self._replaced += self.schedule.scenes[event.scene].size
            elif event.what in FAULTS:
                fault = replace(FAULTS[event.what], times=event.times)
                self._faults[name] = (*self._faults[name], fault)
            elif process is not None and process.returncode is None:
                self._lost += LOST_BY[event.what]
                with suppress(ProcessLookupError):  # it has just ended, and has not been waited for
                    process.send_signal(signal.SIGKILL if event.what == KILL else signal.SIGINT)
                    return event.what
        return None

    def _hits(self) -> list[RequestRecord]:
        return [hit for hit in self._server.requests if hit.path.startswith("/repository/")]

    def moved(self) -> int:
        """Archive bytes that the server has sent."""
        return sum(hit.sent for hit in self._hits() if hit.status in {200, 206})

    def _turns(self, name: str) -> int:
        return self._server._store._script._turns[name]

    def spoilt(self) -> int:
        """How many requests were spoilt so far."""
        return sum(map(self._turns, self._oldest))

    def _version(self, name: str) -> tuple[int, int]:
        return self._server._store.version(name)

    def _costs(self) -> int:
        """Bytes that lies, versions and ranges not given may have cost, and those that were played alone."""
        costs = self._replaced
        for scene in self.schedule.scenes:
            faults = self._faults[scene.identifier]
            played = [fault for fault in faults for _ in range(fault.times or 0)][: self._turns(scene.identifier)]
            costs += scene.size * sum(fault.name in COSTLY for fault in played)
            if scene.unreadable and any(fault.name in {*ODD, *LYING} for fault in played):
                costs += scene.size  # joined without a validator, it cannot be proved: it is fetched once more, whole
        return costs

    def _note_oldest(self) -> None:
        """A start finds an archive whole, or begins an old version no more; a whole part is only to be verified."""
        for scene in self.schedule.scenes:
            final = self.archives / f"{scene.identifier}.zip"
            part = final.with_name(final.name + ".part")
            if not final.exists() and not (part.exists() and part.stat().st_size >= scene.size):
                self._oldest[scene.identifier] = self._version(scene.identifier)

    def _check_exit(self, code: int, stopped: str | None, spoilt: int, said: str) -> None:
        expected = {None: {0, 1}, KILL: {-signal.SIGKILL}, INTERRUPT: {130, 0}}[stopped]
        if code not in expected:
            self.problems.append(f"exit code {code} after {stopped}")
        if code == 1 and spoilt < 2:
            self.problems.append(f"it failed although only {spoilt} of its requests were spoilt: {said[-1500:]}")
        for word in ("Traceback", "Exception ignored", "never awaited", "never retrieved", "elsewhere"):
            if word in said:
                self.problems.append(f"{word!r} on stderr")

    def _check_finals(self) -> None:
        for scene in self.schedule.scenes:
            name = scene.identifier
            final = self.archives / f"{name}.zip"
            if not final.exists():
                continue
            digest = hashlib.sha256(final.read_bytes()).digest()
            oldest, newest = self._oldest[name], self._version(name)
            possible = itertools.product(range(oldest[0], newest[0] + 1), range(oldest[1], newest[1] + 1))
            if not any(digest == self._original(scene, *version) for version in possible):
                self.problems.append(f"{name} is none of the versions {oldest} to {newest}")

    def _original(self, scene: Scene, version: int, edition: int) -> bytes:
        """Give the digest of an edition of a version of an archive."""
        key = scene.identifier, version, edition
        if key not in self._digests:
            path = self.folder / "original.zip"
            write_archive(scene, path, version, edition)
            self._digests[key] = hashlib.sha256(path.read_bytes()).digest()
        return self._digests[key]

    def _check_end(self) -> None:
        here = sorted(path.name for path in self.archives.rglob("*"))
        if (expected := sorted(f"{scene.identifier}.zip" for scene in self.schedule.scenes)) != here:
            self.problems.append(f"expected {expected}, found {here}")
        if strange := list((self.folder / "cwd").iterdir()):
            self.problems.append(f"left behind: {strange}")
        allowed = int(SURPLUS * self.schedule.size) + self._lost + self._costs()
        if self.moved() > allowed:
            self.problems.append(f"{self.moved()} bytes moved, {allowed} are allowed")


def _clean_environment() -> dict[str, str]:
    """No schedule may depend on the proxies or settings of the user who runs it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY") and not name.startswith("COLLGS_")
    }
