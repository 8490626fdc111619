"""Call commands of the user with what was done: ``--on-archive`` for each archive, ``--on-end`` for the run.

A hook is never a cause of failure: what goes wrong with it is a warning. Mail, chat and checks of health are for these
commands to send.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from collgs_async.mirror.commands import CommandRun, child_environment, run_command
from collgs_async.models.product import Status
from collgs_async.models.text import plural
from collgs_async.reporting.run_report import product_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.models.product import Outcome

__all__ = ["HOOK_SECONDS", "ArchiveCall", "ArchiveHooks", "EndHook"]

log = logging.getLogger("collgs_async")

HOOK_SECONDS: Final = 600.0
"""Seconds after which a hook is ended."""

_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class ArchiveCall:
    """An archive, or a folder with members of one, that the command of ``--on-archive`` is to be told of.

    Attributes
    ----------
    identifier
        The product's name.
    path
        The archive, or the folder with its wanted members.
    entry
        What standard input has, beside ``id``, ``path`` and ``sha256``.
    sha256
        Of the archive, in hexadecimal digits; None if it is not known, so that the archive is read for it.
    """

    identifier: str
    path: Path
    entry: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> ArchiveCall | None:
        """Return the call for an outcome; None for what this run has not downloaded."""
        if outcome.status is not Status.DOWNLOADED or outcome.path is None:
            return None
        return cls(outcome.product.identifier, outcome.path, product_entry(outcome))


class ArchiveHooks:
    """Runs the command of ``--on-archive``, two at once, beside the downloads; an asynchronous context manager.

    Its end waits for all of them, or ends those that run when it is cancelled.

    Parameters
    ----------
    command
        The command; None: nothing is run.
    on_told
        Awaited with each archive whose command ended with 0, and with the SHA-256 of the archive; None for a folder.
    later
        Whether a later run repeats what fails, and what is not run any more.
    seconds
        How long a command may take.
    """

    def __init__(
        self,
        command: str | None,
        on_told: Callable[[ArchiveCall, str | None], Awaitable[None]] | None = None,
        *,
        later: bool = False,
        seconds: float = HOOK_SECONDS,
    ) -> None:
        self._command = command
        self._on_told = on_told
        self._later = "; the next run repeats it" if later else ""
        self._seconds = seconds
        self._waiting: deque[ArchiveCall] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._is_broken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            await self.cancel()
        else:
            await self.finish(all_of_them=error is None or not self._later)

    def add(self, outcome: Outcome) -> None:
        """Run the command for an outcome, if that is of a download; returns at once."""
        if self._command is not None and (call := ArchiveCall.of(outcome)):
            self.call(call)

    def call(self, call: ArchiveCall) -> None:
        """Run the command for an archive; returns at once."""
        if self._command is not None and not self._is_broken:
            self._waiting.append(call)
            self._start()

    async def finish(self, *, all_of_them: bool = True) -> None:
        """Wait for the commands that run, and for those that are still to be run, unless these are left out.

        When this is cancelled, the running ones are ended.
        """
        if not all_of_them:
            self._give_up()
        if left := len(self._waiting) + len(self._running):
            log.info("waiting for %s of --on-archive", plural(left, "run"))
        try:
            while self._running:
                await asyncio.wait(self._running)
        except asyncio.CancelledError:
            await self.cancel()
            raise

    async def cancel(self) -> None:
        """End the commands that run, and run no more."""
        self._give_up()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _give_up(self) -> None:
        if self._waiting:
            log.warning("--on-archive is not run for %s%s", plural(len(self._waiting), "archive"), self._later)
            self._waiting.clear()

    def _start(self) -> None:
        while self._waiting and len(self._running) < _AT_ONCE:
            self._running.add(task := asyncio.create_task(self._run(self._waiting.popleft())))
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("--on-archive: %s", error)
        self._start()

    async def _run(self, call: ArchiveCall) -> None:
        """Run the command for one archive, and log what became of it."""
        path = call.path.absolute()
        try:
            sha256 = call.sha256 or await asyncio.to_thread(_digest, path)
        except OSError as error:
            log.warning("%s: --on-archive is not run: %s", call.identifier, error.strerror)
            return
        known = {"COLLGS_ID": call.identifier, "COLLGS_PATH": str(path), "COLLGS_SHA256": sha256 or ""}
        variables = {name: _as_variable(value) for name, value in known.items() if value}
        entry = {**call.entry, "id": call.identifier, "path": str(path), "sha256": sha256}
        ended = await _call(self._command or "", [str(path)], entry, variables, self._seconds)
        if ended.problem is None:
            if self._on_told is not None:
                await self._on_told(call, sha256)
            if ended.line:
                log.info("%s: --on-archive: %s", call.identifier, ended)
            return
        log.warning("%s: --on-archive: %s%s", call.identifier, ended, self._later)
        if not ended.started:
            self._is_broken = True  # so it would be for each archive
            self._give_up()


class EndHook:
    """Runs the command of ``--on-end``, once.

    Parameters
    ----------
    command
        The command; None: nothing is run.
    name
        The command of this program, such as ``download``.

    Attributes
    ----------
    summary
        What standard input has, beside ``command`` and ``exit``.
    """

    def __init__(self, command: str | None, name: str, *, seconds: float = HOOK_SECONDS) -> None:
        self._command = command
        self._name = name
        self._seconds = seconds
        self.summary: dict[str, Any] = {}

    async def __call__(self, code: int) -> None:
        """Run the command after a run that ends with this exit code."""
        if self._command is None:
            return
        entry = {"command": self._name, "exit": code, **self.summary}
        ended = await _call(self._command, [], entry, {"COLLGS_EXIT": str(code)}, self._seconds)
        if ended.problem is not None:
            log.warning("--on-end: %s", ended)
        elif ended.line:
            log.info("--on-end: %s", ended)


async def _call(
    command: str, arguments: list[str], entry: dict[str, Any], variables: dict[str, str], seconds: float
) -> CommandRun:
    given = json.dumps(entry, ensure_ascii=True, allow_nan=False, default=str).encode() + b"\n"
    environment = child_environment(os.environ, variables)
    return await run_command(command, arguments, given, environment, seconds=seconds)


def _as_variable(value: str) -> str:
    """Return an identifier as the value of a variable, which has no NUL."""
    return value.replace("\0", "?")


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of an archive; None for a folder."""
    if path.is_dir():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
