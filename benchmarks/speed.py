"""Run ours and the peers in turns on the same archives, round by round, and print how fast, at what cost.

nginx, curl, wget, aria2c and openssl come with the system, and this package is installed. nginx and the embedded
catalogue are started on free ports of the loopback; all that is made lies in a folder that is deleted at the end, also
after Ctrl-C: up to 6 GB on the disk, and 2.2 GB in /dev/shm. Scenarios with a slow or lossy line need root. Every file
is compared with its original; the exit code is 1 when a run failed or brought wrong bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from contenders import OURS, PEERS, Contender, before, ours
from figures import Verdict, judged, measured_table, target_table
from goods import SETS
from processes import BenchError, output_of
from rounds import Bench, Run, reason_to_skip
from scenarios import SCENARIOS, WARM_UP, Scenario, with_before
from stores import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

_NEEDED = ("nginx", "openssl")
_TOOLS = (*PEERS, *ours(OURS))
"""Those that may be named, by ``--tools``."""
_ROOM = 6 * 10**9
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_LEGEND = """\
Ratios are medians of what each round gave, to the first tool of the table; the tools take turns within a round. CPU is
user and system time of the process and its children. Memory is the process's own peak (VmHWM); of wget, that of eight
together. Other CPU is what the machine did beside the run, its servers and the bench: where it is large, run again."""


@dataclass(slots=True)
class _Results:
    """What has been measured so far."""

    header: list[str]
    runs: list[Run] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    failed: bool = False

    def text(self) -> str:
        """Write everything for people."""
        lines = [*self.header, "", _LEGEND, "", *self.tables]
        if self.verdicts:
            lines += ["**Targets**", "", *target_table(self.verdicts)]
        return "\n".join(lines).rstrip() + "\n"

    def document(self) -> dict[str, Any]:
        """Write everything for programs."""
        verdicts = [{**asdict(verdict), "met": verdict.met} for verdict in self.verdicts]
        return {"header": self.header, "runs": [asdict(run) for run in self.runs], "targets": verdicts}


def main() -> int:
    """Play the scenarios that were asked for; 0 when every byte was right."""
    for number in _STOPS:
        signal.signal(number, _leave)
    asked = _read_words()
    contenders = {**PEERS, **ours(asked.ours), **(before(asked.before) if asked.before else {})}
    try:
        _check_machine(asked.folder)
        with tempfile.TemporaryDirectory(prefix="speed-", dir=asked.folder) as folder:
            results = _play_all(asked, contenders, Path(folder))
    except BenchError as error:
        sys.stderr.write(f"speed.py: {error}\n")
        return 2
    if asked.json:
        asked.json.write_text(json.dumps(results.document(), indent=1) + "\n")
    sys.stdout.write(results.text())
    return int(results.failed or any(run.problem for run in results.runs))


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """End in good order; a second Ctrl-C must not keep the first one from cleaning up."""
    for other in _STOPS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=_count, default=5, help="how many times each tool is run (default: 5)")
    parser.add_argument(
        "--scenarios",
        type=lambda names: _pick(names, SCENARIOS),
        default=list(SCENARIOS),
        help=f"only these, with commas: {', '.join(SCENARIOS)}",
    )
    tools = list(_TOOLS)
    parser.add_argument(
        "--tools",
        type=lambda names: _pick(names, tools),
        default=tools,
        help=f"only these, with commas: {', '.join(tools)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run with all that was measured")
    parser.add_argument("--markdown", action="store_true", help="the tables alone, without each run as it comes")
    parser.add_argument("--ours", default=OURS, metavar="COMMAND", help=f"how ours is called (default: {OURS})")
    parser.add_argument(
        "--before", metavar="COMMAND", help="how an earlier build is called, which takes part wherever ours does"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="a folder on a disk (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="when a run is killed (default: 300)"
    )
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return int(text)


def _pick(names: str, known: Iterable[str]) -> list[str]:
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}; found {', '.join(unknown)}")
    return [name for name in known if name in wanted]


def _check_machine(folder: Path) -> None:
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        raise BenchError(f"expected {' and '.join(_NEEDED)} to be installed, found no {' and no '.join(missing)}")
    if not folder.is_dir():
        raise BenchError(f"expected a folder, found none at {folder}")
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        raise BenchError(f"expected {_ROOM / 1e9:g} GB to be free in {folder}, found {free / 1e9:.1f}")


def _play_all(asked: argparse.Namespace, contenders: dict[str, Contender], folder: Path) -> _Results:
    here = {name: one for name, one in contenders.items() if name in asked.tools or name not in _TOOLS}
    versions = {name: one.version() for name, one in here.items()}
    here = {name: one for name, one in here.items() if versions[name]}
    bench = Bench(folder, make_certificate(folder), asked.timeout)
    results = _Results(_header(asked, versions, contenders, folder))
    _warm_up(bench, contenders)
    for name in asked.scenarios:
        scenario = with_before(SCENARIOS[name]) if asked.before else SCENARIOS[name]
        taking_part = {tool: here[tool] for tool in scenario.tools if tool in here}
        reason = reason_to_skip(scenario) if taking_part else "none of its tools is asked for and here"
        results.tables += [f"**{name}**: {scenario.heading()}", ""]
        if reason is None:
            _play(scenario, bench, taking_part, asked, results)
        else:
            _print(f"{name}: skipped, {reason}", quiet=asked.markdown)
            results.tables += [f"Skipped: {reason}.", ""]
    return results


def _play(
    scenario: Scenario, bench: Bench, tools: dict[str, Contender], asked: argparse.Namespace, results: _Results
) -> None:
    try:
        runs = bench.play(scenario, tools, asked.rounds, lambda run: _tell(run, quiet=asked.markdown))
    except BenchError as error:
        # What the others have measured is not lost for that.
        _print(f"{scenario.name}: {error}", quiet=False)
        results.tables += [f"Not played: {error}.", ""]
        results.failed = True
        return
    size = _size(scenario, bench.folder)
    results.runs += runs
    results.verdicts += judged(scenario, size, runs)
    results.tables += [*_bound_line(scenario, size), *measured_table(scenario, size, runs), ""]


def _warm_up(bench: Bench, contenders: dict[str, Contender]) -> None:
    """Run ours once, so that no round pays for compiling it, and a command that does not work is found at once."""
    for run in bench.play(WARM_UP, {name: contenders[name] for name in WARM_UP.tools}, rounds=1):
        if run.problem is not None:
            raise BenchError(f"expected ours to fetch one small archive, found: {run.problem}")


def _size(scenario: Scenario, folder: Path) -> int:
    made = SETS[scenario.goods].make(folder / "goods") if scenario.goods else []
    return sum(path.stat().st_size for path in made)


def _bound_line(scenario: Scenario, size: int) -> Sequence[str]:
    least = scenario.bound(size)
    return (
        [] if least is None else [f"At up to {scenario.connections} connections it takes {least:.2f} s at least.", ""]
    )


def _header(
    asked: argparse.Namespace, versions: dict[str, str | None], contenders: dict[str, Contender], folder: Path
) -> list[str]:
    """Say when and where this was, and who took part."""
    machine = f"{os.cpu_count()} vCPU, Linux {platform.release()}, Python {platform.python_version()}"
    store = output_of("nginx", "-v").rpartition("/")[2]
    told = [
        f"* {name} {version}: {contenders[name].how}" if version else f"* {name}: not installed here"
        for name, version in versions.items()
    ]
    rounds = f"{asked.rounds} round{'s' if asked.rounds > 1 else ''}"
    disk = _file_system(folder)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return [f"{today}; {machine}, {_checksums()}; outputs on {disk} or tmpfs; nginx {store}; {rounds}.", "", *told]


def _checksums() -> str:
    """Name what computes checksums here, which is as with the extra "fast" or without it."""
    try:
        return f"isal {metadata.version('isal')}"
    except metadata.PackageNotFoundError:
        return "no isal"


def _file_system(folder: Path) -> str:
    """Name the kind of file system that a folder is on."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0]
    return "a disk"


def _tell(run: Run, *, quiet: bool) -> None:
    took = run.measured
    _print(
        f"{run.scenario:12} round {run.round} {run.tool:10} {took.wall:7.2f} s  CPU {took.user + took.system:6.2f} s  "
        f"{took.memory / 2**20:5.0f} MiB  other {took.other:5.2f} s  {run.problem or 'right'}",
        # What went wrong is said in any case: the table only counts it.
        quiet=quiet and run.problem is None,
    )


def _print(words: str, *, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write(words + "\n")


if __name__ == "__main__":
    sys.exit(main())
