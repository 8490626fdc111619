"""Programs run and measured, and servers beside them: what each took, and what else the machine did meanwhile."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["BenchError", "Command", "Measured", "Service", "measure", "output_of", "serving"]

_LOOK_EVERY = 0.02
_GRACE_SECONDS = 20.0
_GRACE = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PEAK = b"VmHWM:"

_Seen = TypeVar("_Seen")


class BenchError(Exception):
    """The bench itself cannot go on: something that it needs is not here, or does not start."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Attributes
    ----------
    words
        The program and its arguments.
    stdin
        A file that it reads; None: nothing.
    """

    words: tuple[str, ...]
    stdin: Path | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took.

    Attributes
    ----------
    code
        The exit code, negative for a signal; None: it was killed when its time was up.
    wall
        Seconds from its start to its end.
    user, system
        Seconds of processor time, of the process and all that it has waited for.
    memory
        Bytes: the peak of the process itself (VmHWM), with that of children that ran at the same time.
    other
        Seconds of processor time that neither the run, nor its servers, nor the bench account for.
    """

    code: int | None
    wall: float
    user: float
    system: float
    memory: int
    other: float


@dataclass(frozen=True, slots=True)
class Service:
    """A server that runs beside.

    Attributes
    ----------
    pid
        Of its first process.
    log
        What it says.
    """

    pid: int
    log: Path

    def cpu(self) -> float:
        """Seconds of processor time so far, with its children."""
        return sum(_ticks(pid) for pid in _family(self.pid)) / _TICKS

    def wait_for(self, look: Callable[[], _Seen | None]) -> _Seen:
        """Wait until there is something to be seen, and give it."""
        until = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < until and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if (seen := look()) is not None:
                return seen
            time.sleep(_LOOK_EVERY)
        raise BenchError(f"expected {self.log.stem} to start, found: {_end_of(self.log) or 'no word of it'}")

    def word_after(self, beginning: str) -> str:
        """Wait for a line that begins so, and give the rest of it."""

        def look() -> str | None:
            lines = self.log.read_text(errors="replace").splitlines(keepends=True)
            found = (line for line in lines if line.startswith(beginning) and line.endswith("\n"))
            return next((line.removeprefix(beginning).strip() for line in found), None)

        return self.wait_for(look)


def output_of(*words: str) -> str:
    """Run a program that ends at once, and give what it says."""
    try:
        answer = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_GRACE_SECONDS)  # noqa: S603 - the words are ours
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"expected `{words[0]}` to run, found: {error}") from None
    said = (answer.stdout + answer.stderr).strip()
    if answer.returncode != 0:
        raise BenchError(f"expected `{' '.join(words)}` to succeed, found exit {answer.returncode}: {said[-300:]}")
    return said


@contextmanager
def serving(words: Sequence[str], log: Path) -> Iterator[Service]:
    """Run a server for as long as the context lasts."""
    pid = _spawn(Command(tuple(words)), log)
    try:
        yield Service(pid, log)
    finally:
        os.kill(pid, signal.SIGTERM)
        with _watched(pid) as watch:
            if not select.select([watch], [], [], _GRACE)[0]:
                os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def measure(command: Command, log: Path, time_limit: float, servers: Sequence[Service] = ()) -> Measured:
    """Run a program to its end.

    Parameters
    ----------
    command
        The program.
    log
        Where its words go.
    time_limit
        Seconds after which it is killed.
    servers
        Whose processor time is no disturbance.
    """
    before = _elsewhere(servers)
    begun = time.monotonic()
    pid = _spawn(command, log)
    try:
        memory, ended = _watch(pid, begun + time_limit)
    finally:
        # Nothing happens to a process that has ended, for it has not been waited for.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - begun
    own = usage.ru_utime + usage.ru_stime
    return Measured(
        code=os.waitstatus_to_exitcode(status) if ended else None,
        wall=wall,
        user=usage.ru_utime,
        system=usage.ru_stime,
        memory=memory,
        other=max(0.0, _elsewhere(servers) - before - own),
    )


def _watch(pid: int, until: float) -> tuple[int, bool]:
    """Follow a process to its end, or for as long as there is time: its peak of memory, and whether it has ended."""
    peak, ended = 0, False
    with _watched(pid) as watch:
        while not ended and time.monotonic() < until:
            peak = max(peak, sum(map(_peak, _family(pid))))
            ended = bool(select.select([watch], [], [], _LOOK_EVERY)[0])
    return peak, ended


@contextmanager
def _watched(pid: int) -> Iterator[int]:
    watch = os.pidfd_open(pid)
    try:
        yield watch
    finally:
        os.close(watch)


def _spawn(command: Command, log: Path) -> int:
    """Start a program in a group of its own, which a Ctrl-C at the terminal does not reach."""
    try:
        return os.posix_spawnp(
            command.words[0],
            command.words,
            _surroundings(log.parent),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, command.stdin or os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        )
    except OSError as error:
        raise BenchError(f"expected `{command.words[0]}` to run, found: {error.strerror}") from None


def _surroundings(home: Path) -> dict[str, str]:
    """Give an environment without anybody's proxies, settings and passwords, so that defaults are defaults."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def _family(pid: int) -> list[int]:
    """Name a process and what it has started; only first threads are asked, which is where such programs fork."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()
    except OSError:
        return [pid]
    return [pid, *(relative for child in children for relative in _family(int(child)))]


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_PEAK))


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _elsewhere(servers: Sequence[Service]) -> float:
    """Give the processor time that the machine has spent, stolen time included, but for the bench and its servers."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = (user + nice + system + irq + softirq + steal) / _TICKS
    return busy - time.process_time() - sum(server.cpu() for server in servers)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-300:] if log.exists() else ""
