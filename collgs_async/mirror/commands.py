"""Run a command that the user has given, such as a hook: without a shell, for a limited time, in a session of its own.

Its standard input and output are never waited for: the input is a file, and the output is read as it comes, up to its
end or that of the command, since a process that the command leaves behind may keep the output open for ever.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from collgs_async.config.options import env_name
from collgs_async.config.settings import OPTIONS
from collgs_async.models.text import format_duration, printable

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CommandRun", "child_environment", "run_command"]

_GRACE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_TAIL: Final = 4096
"""Bytes of the output that are kept."""

_LONGEST_LINE: Final = 200
"""Letters of the output that are told."""

_DRAINED: Final = 64
"""Reads of what is left in the pipe once the command has ended, of 64 KiB at most."""

_CREDENTIALS: Final = ("COLLGS_USERNAME", "COLLGS_PASSWORD", "COLLGS_PASSWORD_FILE")


class CommandRun:
    """How a command ended.

    Attributes
    ----------
    problem
        Why it counts as failed, such as ``exit code 3``; None if it ended with 0.
    line
        The last line of its output, printable; empty if there is none.
    started
        Whether it could be started at all.
    """

    __slots__ = ("line", "problem", "started")

    def __init__(self, problem: str | None, line: str = "", *, started: bool = True) -> None:
        self.problem = problem
        self.line = line
        self.started = started

    def __str__(self) -> str:
        """Describe the end in one line."""
        return ": ".join(filter(None, (self.problem, self.line)))


def child_environment(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: ours without credentials, with further variables.

    Addresses among our settings that have a password in them are left out as well.
    """
    secret = {*_CREDENTIALS, *_with_password(environ)}
    return {name: value for name, value in environ.items() if name not in secret} | dict(variables)


def _with_password(environ: Mapping[str, str]) -> Iterator[str]:
    for option in OPTIONS:
        if option.kind.may_hold_password and "@" in environ.get(env_name(option), ""):
            yield env_name(option)


async def run_command(
    command: str, arguments: Sequence[str], given: bytes, environment: Mapping[str, str], *, seconds: float
) -> CommandRun:
    """Run a command to its end.

    Parameters
    ----------
    command
        Its words, as a shell would split them.
    arguments
        Further words, unchanged.
    given
        Its standard input.
    environment
        All of its environment.
    seconds
        After this time, its process group is ended: by SIGTERM, and by SIGKILL 5 seconds later. So it is when this is
        cancelled.
    """
    read_end, write_end = os.pipe()
    output = _Tail(read_end)
    try:
        try:
            with TemporaryFile() as file:
                file.write(given)
                file.seek(0)
                process = await asyncio.create_subprocess_exec(
                    *(*shlex.split(command), *arguments),
                    stdin=file,
                    stdout=write_end,
                    stderr=asyncio.subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,
                )
        finally:
            os.close(write_end)
        with output:
            in_time = await _wait(process, seconds)
    except OSError as error:
        return CommandRun(f"cannot be started: {error.strerror or error}", started=False)
    finally:
        os.close(read_end)
    if not in_time:
        return CommandRun(f"ended after {format_duration(seconds)}, which is the limit", output.line)
    return CommandRun(_problem(process.returncode or 0), output.line)


def _problem(code: int) -> str | None:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"ended by signal {-code}"
    return f"exit code {code}" if code else None


async def _wait(process: Process, seconds: float) -> bool:
    """Wait for the end of a command, and end it when there is no more time; return whether it was in time."""
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        await _end(process)
        return False
    except asyncio.CancelledError:
        await _end(process)
        raise
    return True


async def _end(process: Process) -> None:
    """End a command with the processes that it has started, unless these have left its group."""
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    finally:
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all have ended; some run as another user
        os.killpg(process.pid, number)


class _Tail:
    """The end of what is written to a pipe; a context manager that reads meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._bytes = b""

    def __enter__(self) -> None:
        os.set_blocking(self._descriptor, False)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def __exit__(self, *_error: object) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        for _ in range(_DRAINED):
            if not self._read():
                break

    def _read(self) -> bool:
        """Read what is there; return whether there may be more."""
        try:
            block = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return False
        if not block:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._bytes = (self._bytes + block)[-_TAIL:]
        return bool(block)

    @property
    def line(self) -> str:
        """The last line that is not blank, without what could control a terminal."""
        lines = self._bytes.decode("utf-8", "replace").splitlines()
        last = next((line for line in reversed(lines) if line.strip()), "")
        return printable(last.strip())[:_LONGEST_LINE]
