"""The scenarios: what is fetched from where and by which program, and what ours must reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from goods import SETS
from line import Line
from stores import CAPPED_RATE

if TYPE_CHECKING:
    from stores import Entrance

__all__ = ["SCENARIOS", "WARM_UP", "Measure", "Scenario", "Target", "with_before"]

Measure = Literal["wall", "cpu", "memory", "bound", "delay"]
"""Wall or CPU as a ratio, memory in MiB, wall over the least that is possible, or a difference in milliseconds."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one of ours must reach, as the median over the rounds.

    Attributes
    ----------
    measure
        What is looked at.
    at_most
        The limit.
    to
        Who is on the other side of a ratio or a difference; empty: there is no other side.
    who
        Which of ours.
    """

    measure: Measure
    at_most: float
    to: str = ""
    who: str = "ours"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table.

    Attributes
    ----------
    name
        For ``--scenarios``.
    title
        For people.
    tools
        Who takes part, by name.
    goods
        The set of archives, a key of `SETS`; empty: nothing is fetched.
    targets
        What ours must reach.
    reference
        The program that ratios are relative to.
    entrance
        By which way the archives come.
    in_memory
        Whether the output goes to tmpfs; else to the disk.
    line
        What lies between; None: the loopback.
    connections
        How many ours, curl and wget may use at once.
    """

    name: str
    title: str
    tools: tuple[str, ...]
    goods: str = "large"
    targets: tuple[Target, ...] = ()
    reference: str = "curl"
    entrance: Entrance = "http"
    in_memory: bool = False
    line: Line | None = None
    connections: int = 8

    def bound(self, size: int) -> float | None:
        """Say how many seconds so many bytes take at least; None: only the machine limits them."""
        if self.line is not None:
            return self.line.seconds(size)
        return size / (CAPPED_RATE * self.connections) if self.entrance == "capped" else None

    def heading(self) -> str:
        """Say what it is, for the head of its table."""
        goods = f"{SETS[self.goods].title}, " if self.goods else ""
        return f"{goods}{self.title}"


_SLOW = Line(round_trip=40, rate=400)
_LOSSY = Line(round_trip=80, rate=400, loss=0.02)
_LITTLE_MEMORY = Target("memory", 64)


def with_before(scenario: Scenario) -> Scenario:
    """Return a scenario in which an earlier build takes part as well, to which ratios are relative."""
    builds = tuple(f"before{tool.removeprefix('ours')}" for tool in scenario.tools if tool.startswith("ours"))
    return replace(scenario, tools=(*builds, *scenario.tools), reference="before") if "before" in builds else scenario


WARM_UP = Scenario("warm-up", "to have all that is imported compiled", ("ours-crc",), "few", reference="")
"""A run that counts for nothing."""

_SCENARIOS = (
    Scenario(
        "https",
        "https, to disk",
        ("curl", "wget", "aria2-x1", "aria2-x8", "python-tls", "ours", "ours-crc"),
        targets=(
            Target("wall", 1.00, "curl"),
            Target("cpu", 1.10, "curl"),
            _LITTLE_MEMORY,
            Target("wall", 1.10, "ours", "ours-crc"),
        ),
        entrance="https",
    ),
    Scenario(
        "http",
        "http, to disk",
        ("curl", "wget", "aria2-x1", "aria2-x8", "ours"),
        targets=(
            Target("wall", 0.85, "curl"),
            Target("cpu", 1.00, "curl"),
            Target("wall", 0.50, "aria2-x1"),
            _LITTLE_MEMORY,
        ),
    ),
    Scenario("memory", "http, to memory", ("curl", "wget", "aria2-x1", "ours"), in_memory=True),
    Scenario(
        "slow",
        "a slow line: 400 Mbit/s, 40 ms, to memory",
        ("curl", "aria2-x1", "ours"),
        "medium",
        (Target("cpu", 1.10, "curl"),),
        in_memory=True,
        line=_SLOW,
    ),
    Scenario(
        "tail-capped",
        "20 MiB/s for each connection, to memory",
        ("curl", "aria2-x8", "ours"),
        "tail",
        (Target("bound", 1.15),),
        entrance="capped",
        in_memory=True,
    ),
    Scenario(
        "giant",
        "verified by CRC, 20 MiB/s for each connection, to memory",
        ("ours-crc",),
        "giant",
        (Target("bound", 1.30, who="ours-crc"),),
        reference="ours-crc",
        entrance="capped",
        in_memory=True,
    ),
    Scenario(
        "tail-slow",
        "the slow line, to memory",
        ("curl", "aria2-x8", "ours"),
        "tail",
        (Target("bound", 1.15),),
        in_memory=True,
        line=_SLOW,
    ),
    Scenario(
        "lossy",
        "a lossy long line: 400 Mbit/s, 80 ms, 0.02 % loss, to memory, up to 64 connections",
        ("aria2-x8", "ours"),
        "medium",
        (Target("wall", 1.00, "aria2-x8"),),
        reference="aria2-x8",
        in_memory=True,
        line=_LOSSY,
        connections=64,
    ),
    Scenario(
        "small",
        "http, to memory",
        ("curl", "wget", "aria2-x1", "aiohttp", "ours"),
        "small",
        (Target("wall", 3.0, "curl"),),
        in_memory=True,
    ),
    Scenario(
        "crc",
        "stored, verified by CRC, http, to disk",
        ("ours", "ours-crc"),
        targets=(Target("wall", 1.10, "ours", "ours-crc"), Target("memory", 64, who="ours-crc")),
        reference="ours",
    ),
    Scenario("crc-deflated", "verified by CRC, http, to disk", ("ours", "ours-crc"), "deflated", reference="ours"),
    Scenario(
        "start",
        "`--help`, the libraries that a run needs, and a bare `python -c pass`",
        ("python", "libraries", "ours-help"),
        "",
        (Target("delay", 120, "python", "ours-help"),),
        reference="python",
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _SCENARIOS}
"""Every scenario by name, in the order in which they are played."""
