"""The lease: one product has one fetcher, also when two processes, or two machines, share a folder.

A lease is a small file beside the part, made by ``O_CREAT | O_EXCL``, that says which process has the product; its
mtime is the heartbeat. ``flock`` is not trusted: on several network file systems it says yes to everybody.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from collgs_async.errors import StorageError, TakenOverError
from collgs_async.storage.files import open_regular, read_small

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEARTBEAT", "STALE_AFTER", "TRUSTED", "LockOwner", "ProductLock"]

HEARTBEAT: Final = 15.0
"""Seconds; the longest time between two calls of `ProductLock.renew`."""

STALE_AFTER: Final = 120.0
"""Seconds without a heartbeat after which a holder that cannot be seen from here is taken for dead.

It leaves room for a network file system that answers from its cache, for a minute by default, and a few lost beats.
"""

TRUSTED: Final = 2 * HEARTBEAT
"""Seconds since the last look for which a lease is certainly still ours; far below `STALE_AFTER`, since a network
file system may show others a heartbeat that is a minute old."""

_PROC = Path("/proc")
_TOKEN = re.compile(r"[0-9a-f]{32}")
_LARGEST = 4096
_DEEPEST = 3

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that goes on while the computer sleeps: on macOS the monotonic one does, on Linux it stands still."""


def _clock() -> float:
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who has a lease.

    Attributes
    ----------
    host
        The machine's name and this boot of it, for machines share names.
    namespace
        The PID namespace, for containers share machines; empty where there are none.
    pid
        The process.
    started
        When it started, in the system's own words, for numbers of processes are used again; None when unknown.
    token
        32 random hexadecimal digits, new each time that a lease is taken.
    """

    host: str
    namespace: str
    pid: int
    started: str | None
    token: str

    @classmethod
    def here(cls) -> LockOwner:
        """Describe this process, with a new token."""
        return cls(*_place(os.getpid()), token=os.urandom(16).hex())

    @classmethod
    def parse(cls, text: bytes) -> LockOwner | None:
        """Read a lease; None when it is damaged, as after a crash, or of another make."""
        try:
            holder = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        strings = all(isinstance(value, str) for value in (holder.host, holder.namespace, holder.token))
        numbers = type(holder.pid) is int and 0 < holder.pid < 2**31
        known = strings and numbers and isinstance(holder.started, str | None)
        return holder if known and _TOKEN.fullmatch(holder.token) else None

    def text(self) -> bytes:
        """Write it as `parse` reads it."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    def alive(self) -> bool | None:
        """Whether this process is still running; None when that cannot be seen from here."""
        host, namespace, *_ = _place(os.getpid())
        if (self.host, self.namespace) != (host, namespace) or self.started is None:
            return None
        try:
            started = _started(self.pid)
        except ProcessLookupError:
            return False
        return None if started is None else started == self.started


class ProductLock:
    """The right to fetch one product; for one task, whose calls are made one at a time, but for `confirm`.

    A holder on this machine keeps its lease for as long as its process lives, stopped or not, and loses it at once
    with it. One on another machine, since another boot, or in another container keeps it while its heart beats. So
    a holder that stood still for longer than `STALE_AFTER`, or was cut off from the folder, may lose its lease, and may
    wake up in the middle of a write. Two things keep its bytes out of what the next holder makes of the part:

    1. Who takes a lease from a holder that cannot be seen first gives the part another inode (`inherit`), still as
       the one who replaces the lease, so that a crash in between leaves the old lease and the work to the next one.
       What the old holder has open is then a file without a name, or a copy that it has no name for.
    2. The old holder asks `confirm` before each write, and before it renames or removes anything. A pause shorter
       than `TRUSTED` cannot have cost the lease, so that the file is not read each time.

    Every method lets an `OSError` of the folder go up: full, read-only, gone; and a `FileError` where something odd
    has the lease's name.

    Parameters
    ----------
    part
        The unfinished archive; the lease is ``<part>.lease``, and ``<part>.lease~`` while a dead one is replaced.
    inherit
        Called before a lease is taken over from a holder that may still be alive, with the part and a function that
        lets the heart beat, which is to be called now and then and raises `TakenOverError` when it is too late; None:
        nothing is to be done.
    """

    def __init__(self, part: Path, inherit: Callable[[Path, Callable[[], None]], None] | None = None) -> None:
        self.path = part.with_name(f"{part.name}.lease")
        self._part = part
        self._inherit = inherit
        self._mine: bytes | None = None
        self._confirmed = -math.inf
        self._folder: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Take the lease, from a dead holder too, and make its folder; False: somebody who is alive has it.

        This process counts as somebody: a second task must not enter either.
        """
        text, began = LockOwner.here().text(), _clock()
        # Asleep in the middle, we may have been taken for dead; what the file says is what everybody else sees.
        if not self._enter(self.path, text):
            return False
        # Before it is looked at: where that fails, what was made is still given back.
        self._mine, self._confirmed, self._folder = text, began, _identity(self.path.parent)
        if _read(self.path) != text:
            self._mine = None
        return self._mine is not None

    def refresh(self) -> None:
        """Let the heart beat, at least each `HEARTBEAT` seconds; nothing happens when the lease is no longer ours."""
        began = _clock()
        if self.is_held():
            with suppress(FileNotFoundError):
                # No time is given, so that the file system's own clock sets it.
                os.utime(self.path, follow_symlinks=False)
                self._confirmed = began
        else:
            self._confirmed = -math.inf

    def confirm(self, *, now: bool = False) -> None:
        """Make certain that the lease is ours, before something is written or removed; from any thread.

        Parameters
        ----------
        now
            Whether to look at the file in any case, not only after a pause.

        Raises
        ------
        TakenOverError
            Another run has the product, or had it since.
        StorageError
            The folder is gone.
        """
        if self._mine is None or (not now and _clock() - self._confirmed < TRUSTED):
            return
        if self.lost():
            raise TakenOverError("another run took it over while this one stood still")
        self.refresh()

    def lost(self) -> bool:
        """Whether we took the lease and it is no longer ours, though its folder is there.

        Raises
        ------
        StorageError
            The folder is gone; there may be a new one of its name, which somebody else has made, or our own next lease.
        """
        if self._mine is None or self.is_held():
            return False
        if _identity(self.path.parent) != self._folder:
            raise StorageError(f"{self.path}: {os.strerror(errno.ENOENT)}: its folder was moved or removed")
        return True

    def release(self) -> None:
        """Give the lease back; nothing happens when it is not ours."""
        if self.is_held():
            self.path.unlink(missing_ok=True)
        self._mine = None

    def trace(self) -> tuple[object, ...]:
        """Give what changes while whoever has the lease is at work: its heartbeat, and the part."""
        return tuple(map(_seen, (self.path, self._part)))

    @property
    def taken(self) -> bool:
        """Whether we took it and have not given it back; somebody may have taken it over."""
        return self._mine is not None

    def is_held(self) -> bool:
        """Whether we took it and nobody has taken it over or removed it."""
        return self._mine is not None and _read(self.path) == self._mine

    def _enter(self, path: Path, text: bytes, depth: int = 0) -> bool:
        """Make the file ours if nobody has it or a dead one does.

        Two that find the same dead holder must not both replace it, nor the second one the first. So a dead holder is
        replaced only by who has the lease on the lease and, having it, looks again; the rename makes one of the two.
        That one may be a dead holder's too, from a crash right here.
        """
        if _create(path, text):
            return True
        claim = path.with_name(f"{path.name}~")
        if depth == _DEEPEST or not _is_stale(path) or not self._enter(claim, text, depth + 1):
            return False
        try:
            if self._may_replace(path, claim, text):
                with suppress(FileNotFoundError):
                    claim.replace(path)
                return _read(path) == text
        finally:
            if _read(claim) == text:
                claim.unlink(missing_ok=True)
        return False

    def _may_replace(self, path: Path, claim: Path, text: bytes) -> bool:
        """Look again, and have the part inherited, which may take a while."""

        def beat() -> None:
            if _read(claim) != text:
                raise TakenOverError("another run was quicker to take it over")
            os.utime(claim, follow_symlinks=False)

        state = _state(path)
        if path == self.path and state is _State.SILENT and self._inherit:
            try:
                self._inherit(self._part, beat)
                beat()
            except TakenOverError:
                return False
            state = _state(path)  # it may have woken up meanwhile: it finds out that its part has another inode
        return state in _STALE_STATES


def _create(path: Path, text: bytes) -> bool:
    try:
        file = _open_new(path)
    except FileExistsError:
        return False
    try:
        os.write(file, text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    return True


def _open_new(path: Path) -> int:
    """Open a file that must not be there yet; its folder is made when it is missing, which it seldom is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _seen(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> bytes | None:
    return read_small(path, _LARGEST)


class _State(Enum):
    """What is known of a lease's holder."""

    FREE = "there is no lease"
    ALIVE = "it is running, or its heart beats"
    DEAD = "it is certainly gone"
    SILENT = "it cannot be seen from here, and its heart does not beat: dead, or standing still"


_STALE_STATES: Final = (_State.DEAD, _State.SILENT)


def _state(path: Path) -> _State:
    try:
        file = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return _State.FREE
    try:
        holder, beat = LockOwner.parse(os.read(file, _LARGEST)), os.fstat(file).st_mtime
    finally:
        os.close(file)
    alive = holder.alive() if holder else None
    if alive is not None:
        return _State.ALIVE if alive else _State.DEAD
    # A heartbeat from the future is of a clock that was set back; waiting for that hour helps nobody.
    return _State.SILENT if abs(_now(path.parent) - beat) > STALE_AFTER else _State.ALIVE


def _is_stale(path: Path) -> bool:
    return _state(path) in _STALE_STATES


def _now(folder: Path) -> float:
    """Ask the file system's own clock, for those of two machines differ."""
    with TemporaryFile(dir=folder) as probe:
        return os.fstat(probe.fileno()).st_mtime


@lru_cache(maxsize=1)
def _place(pid: int) -> tuple[str, str, int, str | None]:
    """Tell host, PID namespace, pid and start of this process, which a fork makes another."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        import uuid  # takes a while to load, and Linux does without

        boot, namespace = f"{uuid.getnode():012x}", ""
    return f"{socket.gethostname()} {boot}", namespace, pid, _started(pid)


def _started(pid: int) -> str | None:
    """Tell when a process started; None when that is hidden; raise `ProcessLookupError` when it is gone."""
    known = _started_by_proc(pid) if (_PROC / "self/stat").exists() else _started_by_ps(pid)
    if known is None:
        with suppress(PermissionError):
            os.kill(pid, 0)  # there all the same, as with hidepid?
        return None
    state, started = known
    if state[:1] in "ZX":
        raise ProcessLookupError  # dead, though its parent has not yet looked
    return started


def _started_by_proc(pid: int) -> tuple[str, str] | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the name before it may hold blanks and brackets
    return fields[0].decode(), fields[19].decode()


def _started_by_ps(pid: int) -> tuple[str, str] | None:
    command = ["/bin/ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    try:
        # Another language or time zone would make another process of it.
        answer = subprocess.run(command, env={"LC_ALL": "C", "TZ": "UTC"}, capture_output=True, check=False)  # noqa: S603 - a number is all that varies
    except OSError:
        return None
    state, _, started = answer.stdout.decode("ascii", "replace").strip().partition(" ")
    return (state, " ".join(started.split())) if started else None
