"""Lock a product, so that only one process downloads it, even if several machines share the folder.

The lock is a small file next to the part file, created with ``O_CREAT | O_EXCL``. It names the owning process, and its
mtime is the heartbeat. ``flock`` is not used, because on several network file systems it always succeeds.
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
from collgs_async.storage.files import create_folder, open_regular, read_small

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEARTBEAT", "STALE_AFTER", "TRUSTED", "LockOwner", "ProductLock"]

HEARTBEAT: Final = 15.0
"""Maximum seconds between two calls of `ProductLock.refresh`."""

STALE_AFTER: Final = 120.0
"""Seconds without a heartbeat after which an owner whose process is not visible from here counts as dead.

Allows for the cache of a network file system, a minute by default, and for a few missed heartbeats.
"""

TRUSTED: Final = 2 * HEARTBEAT
"""Seconds after a check for which the lock is certainly still held; far below `STALE_AFTER`, since a network file
system may show other machines a heartbeat that is a minute old."""

_PROC = Path("/proc")
_TOKEN = re.compile(r"[0-9a-f]{32}")
_LARGEST = 4096
_DEEPEST = 3

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that advances while the computer is suspended; the monotonic clock does so on macOS, but not on Linux."""


def _clock() -> float:
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The process that holds a lock.

    Attributes
    ----------
    host
        Host name and boot ID, because host names are not unique.
    namespace
        PID namespace, because containers share a host; empty if the system has none.
    pid
        Process ID.
    started
        Start time of the process, as the system formats it, because process IDs are reused; None if unknown.
    token
        32 random hexadecimal digits, new for each acquisition.
    """

    host: str
    namespace: str
    pid: int
    started: str | None
    token: str

    @classmethod
    def here(cls) -> LockOwner:
        """Return the owner record of this process, with a new token."""
        return cls(*_place(os.getpid()), token=os.urandom(16).hex())

    @classmethod
    def parse(cls, text: bytes) -> LockOwner | None:
        """Parse a lock file; return None if it is damaged, as after a crash, or not one of this package."""
        try:
            owner = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        strings = all(isinstance(value, str) for value in (owner.host, owner.namespace, owner.token))
        numbers = type(owner.pid) is int and 0 < owner.pid < 2**31
        known = strings and numbers and isinstance(owner.started, str | None)
        return owner if known and _TOKEN.fullmatch(owner.token) else None

    def text(self) -> bytes:
        """Return the content of the lock file, as `parse` reads it."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    def alive(self) -> bool | None:
        """Whether the process is still running; None if it is not visible from here."""
        host, namespace, *_ = _place(os.getpid())
        if (self.host, self.namespace) != (host, namespace) or self.started is None:
            return None
        try:
            started = _started(self.pid)
        except ProcessLookupError:
            return False
        return None if started is None else started == self.started


class ProductLock:
    """The lock of one product. Used by one task at a time; only `confirm` may be called from any thread.

    An owner on this machine keeps the lock for as long as its process exists, stopped or not. An owner on another
    machine, from an earlier boot, or in another container keeps it while its heartbeat is recent. So an owner that was
    suspended for longer than `STALE_AFTER`, or cut off from the folder, may lose the lock, and may resume in the middle
    of a write. Two rules keep its bytes out of the next owner's part file:

    1. Before a process takes a lock from an owner that is not visible, it replaces the part file by a copy with another
       inode (`inherit`). It does so while holding the claim on the lock, so that after a crash in between the old lock
       is still there for the next process. The file that the old owner has open is then no longer the part file.
    2. The old owner calls `confirm` before each write, and before it renames or removes anything. The lock cannot be
       lost within `TRUSTED` seconds, so the file is not read each time.

    All methods raise `OSError` if the folder is full, read-only or missing, and `FileError` if something that is not a
    file has the name of the lock file.

    Parameters
    ----------
    part
        Path of the part file. The lock file is ``<part>.lease``, and ``<part>.lease~`` is the claim while a stale lock
        is replaced.
    inherit
        Called before a lock is taken over from an owner that may still be alive, with the part file and a heartbeat
        function. It has to call that function regularly, which raises `TakenOverError` if another run was faster.
        None to do nothing.
    """

    def __init__(self, part: Path, inherit: Callable[[Path, Callable[[], None]], None] | None = None) -> None:
        self.path = part.with_name(f"{part.name}.lease")
        self._part = part
        self._inherit = inherit
        self._mine: bytes | None = None
        self._confirmed = -math.inf
        self._folder: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Acquire the lock, also from a dead owner, and create its folder; return False if a live process holds it.

        This process counts, too: a second task of it cannot acquire the lock.
        """
        text, began = LockOwner.here().text(), _clock()
        if not self._create_or_replace(self.path, text):
            return False
        # Set before the file is read, as a suspended process may have lost it: `release` removes it if reading fails.
        self._mine, self._confirmed, self._folder = text, began, _identity(self.path.parent)
        if _read(self.path) != text:
            self._mine = None
        return self._mine is not None

    def refresh(self) -> None:
        """Write the heartbeat; to be called at least every `HEARTBEAT` seconds. Does nothing if the lock was lost."""
        began = _clock()
        if self.is_held():
            self._beat(began)
        else:
            self._confirmed = -math.inf

    def _beat(self, began: float) -> None:
        with suppress(FileNotFoundError):
            # Without an explicit time, the file system's own clock is used.
            os.utime(self.path, follow_symlinks=False)
            self._confirmed = began

    def confirm(self, *, now: bool = False) -> None:
        """Check that the lock is held, before something is written or removed; callable from any thread.

        The file is not read where the last check was recent, unless `now` is set.

        Raises
        ------
        TakenOverError
            Another run has the lock, or has had it since.
        StorageError
            The folder is missing.
        """
        if self._mine is None or (not now and _clock() - self._confirmed < TRUSTED):
            return
        began = _clock()
        if self.lost():
            raise TakenOverError("another run took it over while this one stood still")
        self._beat(began)

    def lost(self) -> bool:
        """Whether the lock was acquired and lost to another run.

        Raises
        ------
        StorageError
            The folder is missing, or was replaced by another one of the same name.
        """
        if self._mine is None or self.is_held():
            return False
        if _identity(self.path.parent) != self._folder:
            raise StorageError(f"{self.path}: {os.strerror(errno.ENOENT)}: its folder was moved or removed")
        return True

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""
        if self.is_held():
            self.path.unlink(missing_ok=True)
        self._mine = None

    def trace(self) -> tuple[object, ...]:
        """Return values that change while the owner is working: those of the lock file and of the part file."""
        return tuple(map(_seen, (self.path, self._part)))

    @property
    def taken(self) -> bool:
        """Whether it was acquired and not released; it may have been lost in the meantime."""
        return self._mine is not None

    def is_held(self) -> bool:
        """Whether it was acquired and the lock file still has our token."""
        return self._mine is not None and _read(self.path) == self._mine

    def _create_or_replace(self, path: Path, text: bytes, depth: int = 0) -> bool:
        """Create the lock file, or replace that of a dead owner; return whether it is ours now.

        Two processes that find the same dead owner must not both replace its file, nor may the second one replace the
        first one's. So a stale lock is replaced only while holding a second lock, the claim, and after checking again;
        the rename turns the claim into the lock. After a crash right here, the claim itself may be stale, hence the
        recursion.
        """
        if _create(path, text):
            return True
        claim = path.with_name(f"{path.name}~")
        if depth == _DEEPEST or not _is_stale(path) or not self._create_or_replace(claim, text, depth + 1):
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
        """Check again that the lock is stale, and let `inherit` replace the part file, which may take a while."""

        def heartbeat() -> None:
            if _read(claim) != text:
                raise TakenOverError("another run was quicker to take it over")
            os.utime(claim, follow_symlinks=False)

        state = _state(path)
        if path == self.path and state is _State.SILENT and self._inherit:
            try:
                self._inherit(self._part, heartbeat)
                heartbeat()
            except TakenOverError:
                return False
            state = _state(path)  # the owner may have resumed; `confirm` shows it that its part file was replaced
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
    """Create a file that must not exist yet; its folder is created if it is missing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        create_folder(path.parent)
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
    """What is known of a lock's owner."""

    FREE = "there is no lock"
    ALIVE = "it is running, or its heartbeat is recent"
    DEAD = "it is certainly gone"
    SILENT = "it cannot be seen from here, and its heartbeat is old: dead, or suspended"


_STALE_STATES: Final = (_State.DEAD, _State.SILENT)


def _state(path: Path) -> _State:
    try:
        file = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return _State.FREE
    try:
        owner, heartbeat = LockOwner.parse(os.read(file, _LARGEST)), os.fstat(file).st_mtime
    finally:
        os.close(file)
    alive = owner.alive() if owner else None
    if alive is not None:
        return _State.ALIVE if alive else _State.DEAD
    # A heartbeat in the future means that the clock was set back; it must not block the product until then.
    return _State.SILENT if abs(_now(path.parent) - heartbeat) > STALE_AFTER else _State.ALIVE


def _is_stale(path: Path) -> bool:
    return _state(path) in _STALE_STATES


def _now(folder: Path) -> float:
    """Return the time of the file system's clock, because the clocks of two machines differ."""
    with TemporaryFile(dir=folder) as probe:
        return os.fstat(probe.fileno()).st_mtime


@lru_cache(maxsize=1)
def _place(pid: int) -> tuple[str, str, int, str | None]:
    """Return host, PID namespace, PID and start time of this process; cached by PID, which changes after a fork."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        import uuid  # slow to import, and not needed on Linux

        boot, namespace = f"{uuid.getnode():012x}", ""
    return f"{socket.gethostname()} {boot}", namespace, pid, _started(pid)


def _started(pid: int) -> str | None:
    """Return the start time of a process; None if it is hidden. Raise `ProcessLookupError` if it does not exist."""
    known = _started_by_proc(pid) if (_PROC / "self/stat").exists() else _started_by_ps(pid)
    if known is None:
        with suppress(PermissionError):
            os.kill(pid, 0)  # a process that /proc hides (hidepid) still exists
        return None
    state, started = known
    if state[:1] in "ZX":
        raise ProcessLookupError  # a zombie: it has ended, and its parent has not reaped it yet
    return started


def _started_by_proc(pid: int) -> tuple[str, str] | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the command name before it may contain blanks and parentheses
    return fields[0].decode(), fields[19].decode()


def _started_by_ps(pid: int) -> tuple[str, str] | None:
    command = ["/bin/ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    try:
        # A fixed locale and time zone, so that the same process always has the same start time.
        answer = subprocess.run(command, env={"LC_ALL": "C", "TZ": "UTC"}, capture_output=True, check=False)  # noqa: S603 - a number is all that varies
    except OSError:
        return None
    state, _, started = answer.stdout.decode("ascii", "replace").strip().partition(" ")
    return (state, " ".join(started.split())) if started else None
