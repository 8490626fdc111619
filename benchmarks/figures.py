"""What the runs come to: medians, ratios within a round, and tables of them in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from goods import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rounds import Run
    from scenarios import Scenario, Target

__all__ = ["Verdict", "judged", "measured_table", "target_table"]

_NONE = "-"
_HEADS = (
    "tool",
    "wall s (min-max)",
    "MB/s",
    "wall ratio",
    "CPU s/GiB",
    "CPU ratio",
    "memory MiB",
    "other CPU s, median (max)",
    "right",
)
_TARGET_HEADS = ("scenario", "what", "measured (min-max)", "at most", "")
_WORDS = {
    "wall": "wall of {who} to {to}",
    "cpu": "CPU of {who} to {to}",
    "memory": "peak memory of {who}, MiB",
    "bound": "wall of {who} over the least possible",
    "delay": "wall of {who} beyond {to}, ms",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and what was measured.

    Attributes
    ----------
    scenario
        Its name.
    target
        What was to be reached.
    found
        A value for each round in which all went right.
    """

    scenario: str
    target: Target
    found: tuple[float, ...]

    @property
    def met(self) -> bool | None:
        """Whether the median is not above the limit; None: nothing was measured."""
        return median(self.found) <= self.target.at_most if self.found else None


def judged(scenario: Scenario, size: int, runs: Sequence[Run]) -> list[Verdict]:
    """Hold a scenario's runs against its targets; `size` is that of its archives in bytes."""
    return [Verdict(scenario.name, target, _values(target, scenario, size, runs)) for target in scenario.targets]


def measured_table(scenario: Scenario, size: int, runs: Sequence[Run]) -> list[str]:
    """Write what was measured, a row for each tool; `size` is that of the archives in bytes."""
    tools = list(dict.fromkeys(tool for tool in scenario.tools if any(run.tool == tool for run in runs)))
    return [*_head(_HEADS), *(_row(_cells(tool, scenario.reference, size, runs)) for tool in tools)]


def target_table(verdicts: Iterable[Verdict]) -> list[str]:
    """Write which targets were met."""
    return [*_head(_TARGET_HEADS), *(_row(_target_cells(verdict)) for verdict in verdicts)]


def _cells(tool: str, reference: str, size: int, runs: Sequence[Run]) -> list[str]:
    own = [run for run in runs if run.tool == tool]
    right = [run.measured for run in own if run.problem is None]
    share = f"{len(right)}/{len(own)}"
    if not right:
        return [tool, *[_NONE] * (len(_HEADS) - 2), share]
    walls = [run.wall for run in right]
    return [
        tool,
        _spread(walls, 2),
        f"{size / 1e6 / median(walls):.0f}" if size else _NONE,
        _median(_pairs(runs, tool, reference, lambda one, other: one.measured.wall / other.measured.wall)),
        f"{median(run.user + run.system for run in right) / size * 2**30:.2f}" if size else _NONE,
        _median(_pairs(runs, tool, reference, lambda one, other: _cpu(one) / _cpu(other))),
        f"{median(run.memory for run in right) / MIB:.0f}",
        f"{median(run.other for run in right):.2f} ({max(run.other for run in right):.2f})",
        share,
    ]


def _target_cells(verdict: Verdict) -> list[str]:
    target = verdict.target
    digits = 0 if target.measure in {"memory", "delay"} else 2
    what = _WORDS[target.measure].format(who=target.who, to=target.to)
    found = _spread(verdict.found, digits) if verdict.found else _NONE
    said = {True: "met", False: "missed", None: "not measured"}[verdict.met]
    return [verdict.scenario, what, found, f"{target.at_most:.{digits}f}", said]


def _values(target: Target, scenario: Scenario, size: int, runs: Sequence[Run]) -> tuple[float, ...]:
    if target.measure == "wall":
        return _pairs(runs, target.who, target.to, lambda one, other: one.measured.wall / other.measured.wall)
    if target.measure == "cpu":
        return _pairs(runs, target.who, target.to, lambda one, other: _cpu(one) / _cpu(other))
    if target.measure == "delay":
        return _pairs(runs, target.who, target.to, lambda one, other: 1e3 * (one.measured.wall - other.measured.wall))
    right = [run.measured for run in runs if run.tool == target.who and run.problem is None]
    if target.measure == "memory":
        return tuple(run.memory / MIB for run in right)
    least = scenario.bound(size)
    return tuple(run.wall / least for run in right) if least else ()


def _pairs(runs: Sequence[Run], one: str, other: str, compare: Callable[[Run, Run], float]) -> tuple[float, ...]:
    """Compare two tools in each round in which both went right."""
    right = {(run.tool, run.round): run for run in runs if run.problem is None}
    numbers = [number for tool, number in right if tool == one and (other, number) in right]
    return tuple(compare(right[one, number], right[other, number]) for number in numbers)


def _cpu(run: Run) -> float:
    return run.measured.user + run.measured.system


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.2f}" if values else _NONE


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _head(texts: Sequence[str]) -> list[str]:
    return [_row(texts), _row(["---"] * len(texts))]


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
