"""A scenario played: its servers are started, its tools run in turns, round by round, and the bytes compared."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from contenders import Order
from goods import SETS, difference
from line import laid, reason_against
from processes import measure
from stores import Certificate, opened, searchable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from contenders import Contender
    from processes import Measured, Service
    from scenarios import Scenario

__all__ = ["MEMORY", "Bench", "Run", "reason_to_skip"]

MEMORY = Path("/dev/shm")  # noqa: S108 - that is where Linux has its tmpfs; a folder with an unguessable name is made there
"""A file system in memory."""

_SETTLING = 0.2
_WORDS_KEPT = 300


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one tool.

    Attributes
    ----------
    scenario, tool
        Their names.
    round
        Counted from 1.
    measured
        What it took.
    problem
        What is wrong with its exit code or the bytes that arrived; None: nothing.
    """

    scenario: str
    tool: str
    round: int
    measured: Measured
    problem: str | None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything lies, and how long a tool may take.

    Attributes
    ----------
    folder
        On a disk; the archives, the servers' files and the outputs go there.
    certificate
        For the entrance over TLS.
    time_limit
        Seconds after which a run is killed.
    """

    folder: Path
    certificate: Certificate
    time_limit: float

    def play(
        self,
        scenario: Scenario,
        contenders: Mapping[str, Contender],
        rounds: int,
        tell: Callable[[Run], None] = lambda _: None,
    ) -> list[Run]:
        """Run each of the tools so many times.

        Parameters
        ----------
        scenario
            What is fetched.
        contenders
            Who fetches it, by name.
        rounds
            How many times each.
        tell
            Is given each run when it has ended.
        """
        runs = []
        with ExitStack() as stack:
            place = _Place(self, scenario, stack)
            for number in range(rounds):
                for tool in _turned(list(contenders), number):
                    measured, problem = place.run(contenders[tool])
                    runs.append(Run(scenario.name, tool, number + 1, measured, problem))
                    tell(runs[-1])
        return runs


def reason_to_skip(scenario: Scenario) -> str | None:
    """Say why a scenario cannot be played here; None: it can."""
    if scenario.line is not None and (reason := reason_against()) is not None:
        return reason
    if not scenario.in_memory:
        return None
    wanted = sum(SETS[scenario.goods].sizes)
    free = shutil.disk_usage(MEMORY).free if MEMORY.is_dir() else 0
    return None if free > wanted else f"it needs {wanted >> 20} MiB in {MEMORY}, and there are {free >> 20}"


class _Place:
    """The servers of a scenario, and where its tools work."""

    def __init__(self, bench: Bench, scenario: Scenario, stack: ExitStack) -> None:
        self._bench = bench
        self._scenario = scenario
        parent = MEMORY if scenario.in_memory else bench.folder
        self._output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="speed-out-", dir=parent))) / "out"
        self._originals: list[Path] = []
        self._servers: list[Service] = []
        self._before: tuple[str, ...] = ()
        self._base_url = self._search_url = ""
        if scenario.goods:
            self._open(stack)

    def _open(self, stack: ExitStack) -> None:
        folder, goods = self._bench.folder, self._scenario.goods
        root = folder / "goods"
        self._originals = SETS[goods].make(root)
        host = "127.0.0.1"
        far: tuple[str, ...] = ()
        if self._scenario.line is not None:
            line = stack.enter_context(laid(self._scenario.line, folder))
            host, far, self._before = line.host, line.far, line.near
            self._servers.append(line.relay)
        store = stack.enter_context(opened(root, folder, self._bench.certificate, host, far))
        catalogue, self._search_url = stack.enter_context(searchable(goods, folder, host, far))
        self._servers += [store.service, catalogue]
        self._base_url = store.url(self._scenario.entrance)

    def run(self, contender: Contender) -> tuple[Measured, str | None]:
        """Run a tool once in an empty folder; says what it took, and what is wrong."""
        self._output.mkdir()
        log = self._bench.folder / "said.txt"
        command = contender.command(self._order())
        command = replace(command, words=(*self._before, *command.words))
        os.sync()
        time.sleep(_SETTLING)
        measured = measure(command, log, self._bench.time_limit, self._servers)
        problem = self._judge(measured, log)
        shutil.rmtree(self._output)
        return measured, problem

    def _order(self) -> Order:
        goods = self._scenario.goods
        return Order(
            names=tuple(f"{goods}/{original.name}" for original in self._originals),
            base_url=self._base_url,
            search_url=self._search_url,
            output=self._output,
            scratch=self._bench.folder,
            connections=self._scenario.connections,
            ca_file=self._bench.certificate.path if self._scenario.entrance == "https" else None,
        )

    def _judge(self, measured: Measured, log: Path) -> str | None:
        if measured.code is None:
            return f"killed after {self._bench.time_limit:g} s"
        if measured.code != 0:
            return f"exit {measured.code}: {log.read_text(errors='replace').strip()[-_WORDS_KEPT:]}"
        differences = (difference(self._output / original.name, original) for original in self._originals)
        return next(filter(None, differences), None)


def _turned(tools: Sequence[str], number: int) -> list[str]:
    """Let another one begin in each round, so that none always follows the same."""
    shift = number % len(tools)
    return [*tools[shift:], *tools[:shift]]
