"""Fetch a few members of an archive, by ours and by peers in turns, and print how long, in how many requests and bytes.

The archive has the names of a real product of Sentinel-2, level 2A, and a quarter of its sizes. nginx hands it out at
8 MB/s for each connection, behind a relay that makes each round trip 40 ms. nginx comes with the system, and this
package is installed; of the peers, those that are not are named, with how to install them. What every tool has written
is checked; the exit code is 1 when a run failed or brought wrong bytes.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from contenders import OURS
from far import SEARCH_AT, STORE_AT
from member_tools import Order, Tool, tools_for
from processes import BenchError, Measured, Service, measure, serving

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.golden import GOLDEN, GoldenMember, GoldenProduct, write_sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RATE = "8m"
_WANTED = ("_B02_10m", "_B03_10m", "_B04_10m", "_B08_10m", "_SCL_20m", "/MTD_", "/manifest.safe", "/INSPIRE.xml")
_SETTLING = 0.5
_MIB = 2**20
_HEADS = ("tool", "wall s (min-max)", "to curl", "to remotezip", "requests", "MB moved", "too much", "MiB", "right")

_CONFIGURATION = """\
{user}worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  log_format moved '$status $body_bytes_sent $http_range'; access_log {folder}/moved.log moved;
  sendfile on; tcp_nodelay on; etag on; default_type application/zip;
  client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} sndbuf=128k; root "{root}"; limit_rate {rate}; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one tool.

    Attributes
    ----------
    tool, round
        Who, and which time, counted from 1.
    measured
        What it took.
    requests
        Status, bytes of the body and range of each, in the order in which they ended.
    moved
        Bytes that the store sent.
    problem
        What is wrong with its exit code or what it has written; None: nothing.
    """

    tool: str
    round: int
    measured: Measured
    requests: list[str]
    moved: int
    problem: str | None


def main() -> int:
    """Run every tool so many times; 0 when every byte was right."""
    asked = _read_words()
    tools = [tool for tool in tools_for(asked.ours) if tool.name in asked.tools]
    try:
        with tempfile.TemporaryDirectory(prefix="parts-") as folder:
            product, runs = _play(asked, [tool for tool in tools if tool.version], Path(folder))
    except BenchError as error:
        sys.stderr.write(f"parts.py: {error}\n")
        return 2
    if asked.json:
        asked.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    sys.stdout.write(
        "\n".join([*_header(asked, tools, product), "", *_table(product, runs), "", *_targets(product, runs)])
    )
    sys.stdout.write("\n")
    return int(any(run.problem for run in runs))


def _read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [tool.name for tool in tools_for(OURS)]
    parser.add_argument("--rounds", type=_count, default=3, help="how many times each tool is run (default: 3)")
    only = f"only these, with commas: {', '.join(names)}"
    parser.add_argument("--tools", type=lambda text: _pick(text, names), default=names, help=only)
    parser.add_argument("--round-trip", type=float, default=40, metavar="MS", help="milliseconds (default: 40)")
    parser.add_argument("--divisor", type=_count, default=4, help="what the real sizes are divided by (default: 4)")
    parser.add_argument("--ours", default=OURS, metavar="COMMAND", help=f"how ours is called (default: {OURS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run with all that was measured")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="when a run is killed")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return int(text)


def _pick(text: str, known: Sequence[str]) -> list[str]:
    wanted = [name.strip() for name in text.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}; found {', '.join(unknown)}")
    return wanted


def _play(asked: argparse.Namespace, tools: Sequence[Tool], folder: Path) -> tuple[GoldenProduct, list[Run]]:
    real = GOLDEN["L2A"]
    members = tuple(replace(member, size=member.size // asked.divisor) for member in real.members)
    product = replace(real, members=members)
    root = folder / "store"
    root.mkdir()
    archive = root / f"{product.identifier}.zip"
    write_sparse(archive, product)
    runs = []
    with _opened(root, folder) as (port, nginx):
        words = [port, asked.round_trip, product.identifier, archive.stat().st_size, folder / "catalogue"]
        script = Path(__file__).with_name("far.py")
        with serving([sys.executable, "-P", str(script), *map(str, words)], folder / "far.log") as far:
            url = f"{far.word_after(STORE_AT)}{archive.name}"
            order = Order(url, far.word_after(SEARCH_AT), folder / "out", folder, _wanted(product))
            for number in range(asked.rounds):
                turned = [*tools[number % len(tools) :], *tools[: number % len(tools)]]
                for tool in turned:
                    runs.append(_run(tool, number + 1, order, product, archive, asked.timeout, (nginx, far)))
                    _tell(runs[-1])
    return product, runs


def _wanted(product: GoldenProduct) -> tuple[GoldenMember, ...]:
    return tuple(
        member
        for member in product.members
        if any(word in member.name for word in _WANTED) and "/DATASTRIP/" not in member.name
    )


def _run(
    tool: Tool,
    number: int,
    order: Order,
    product: GoldenProduct,
    archive: Path,
    time_limit: float,
    servers: Sequence[Service],
) -> Run:
    shutil.rmtree(order.output, ignore_errors=True)
    order.output.mkdir()
    moved_log = order.scratch / "moved.log"
    before = moved_log.stat().st_size
    measured = measure(tool.command(order), order.scratch / f"{tool.name}.log", time_limit, servers)
    time.sleep(_SETTLING)  # what has been broken off is logged when nginx has noticed
    with moved_log.open() as log:
        log.seek(before)
        answers = [line.split() for line in log]
    problem = None
    if measured.code != 0:
        said = (order.scratch / f"{tool.name}.log").read_text(errors="replace").strip()
        problem = f"exit {measured.code}: {said[-300:]}"
    elif tool.whole:
        problem = _whole_problem(order.output, archive)
    else:
        problem = _members_problem(order.output / tool.folder.format(identifier=product.identifier), order.wanted)
    return Run(
        tool.name,
        number,
        measured,
        [" ".join(answer) for answer in answers],
        sum(int(answer[1]) for answer in answers),
        problem,
    )


def _whole_problem(output: Path, archive: Path) -> str | None:
    found = list(output.glob("*.zip"))
    if [archive.stat().st_size] != [path.stat().st_size for path in found]:
        return f"expected one archive of {archive.stat().st_size} bytes, found {len(found)} files"
    with found[0].open("rb") as one, archive.open("rb") as other:
        while block := one.read(_MIB):
            if block != other.read(_MIB):
                return "expected the store's bytes, found others"
    return None


def _members_problem(folder: Path, wanted: Sequence[GoldenMember]) -> str | None:
    for member in wanted:
        path, crc = folder / member.name, 0
        if not path.is_file():
            return f"expected {member.name}, found none"
        with path.open("rb") as file:
            while block := file.read(_MIB):
                crc = zlib.crc32(block, crc)
        if (crc, path.stat().st_size) != (member.crc, member.size):
            return f"expected the right bytes of {member.name}, found others"
    return None


@contextmanager
def _opened(root: Path, folder: Path) -> Iterator[tuple[int, Service]]:
    """Run nginx for as long as the context lasts; gives its port and its process."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, root=root, port=port, rate=_RATE))
    words = ["nginx", "-p", str(folder), "-c", str(configuration), "-e", str(folder / "nginx-early.log")]
    pid_file = folder / "nginx.pid"
    with serving(words, folder / "nginx.log") as service:
        service.wait_for(lambda: pid_file if pid_file.exists() and pid_file.read_text().strip() else None)
        yield port, service


def _header(asked: argparse.Namespace, tools: Sequence[Tool], product: GoldenProduct) -> list[str]:
    wanted = _wanted(product)
    machine = f"{os.cpu_count()} vCPU, Linux {platform.release()}, Python {platform.python_version()}"
    what = f"{len(wanted)} of {len(product.members)} members"
    size = f"{_size(wanted) / 1e6:.1f} of {_size(product.members) / 1e6:.1f} MB"
    line = f"{_RATE} B/s for each connection, {asked.round_trip:g} ms"
    return [
        f"{datetime.now(UTC):%Y-%m-%d}; {machine}; {asked.rounds} rounds; {line}; {what}, {size}.",
        "",
        *(
            f"* {tool.name} {tool.version}: {tool.how}"
            if tool.version
            else f"* {tool.name}: not installed here; `{tool.install}`"
            for tool in tools
        ),
    ]


def _size(members: Sequence[GoldenMember]) -> int:
    """Bytes of packed members and their local headers."""
    return sum(30 + len(member.name) + member.packed for member in members)


def _table(product: GoldenProduct, runs: Sequence[Run]) -> list[str]:
    wanted = _size(_wanted(product))
    rows = [_HEADS, ("---",) * len(_HEADS)]
    for tool in dict.fromkeys(run.tool for run in sorted(runs, key=lambda run: run.round)):
        own = [run for run in runs if run.tool == tool]
        right = [run for run in own if run.problem is None]
        share = f"{len(right)}/{len(own)}"
        if not right:
            rows.append((tool, *["-"] * (len(_HEADS) - 2), share))
            continue
        walls = [run.measured.wall for run in right]
        rows.append(
            (
                tool,
                f"{median(walls):.1f} ({min(walls):.1f}-{max(walls):.1f})",
                *(_shown(_ratios(runs, tool, other)) for other in ("curl", "remotezip")),
                f"{median(len(run.requests) for run in right):.0f}",
                f"{median(run.moved for run in right) / 1e6:.1f}",
                f"{median(run.moved for run in right) / wanted - 1:.1%}",
                f"{median(run.measured.memory for run in right) / _MIB:.0f}",
                share,
            )
        )
    return [f"| {' | '.join(row)} |" for row in rows]


def _targets(product: GoldenProduct, runs: Sequence[Run]) -> list[str]:
    """Say of each target of ours whether its median is met."""
    right = [run for run in runs if run.tool == "ours" and run.problem is None]
    wanted = _size(_wanted(product))
    targets = (
        ("requests", [len(run.requests) for run in right], 8.0),
        ("bytes moved to bytes wanted", [run.moved / wanted for run in right], 1.005),
        ("wall to remotezip", _ratios(runs, "ours", "remotezip"), 0.35),
        ("wall to curl of the whole", _ratios(runs, "ours", "curl"), 0.20),
    )
    lines = ["| ours | measured | at most | |", "| --- | --- | --- | --- |"]
    for what, found, most in targets:
        said = "not measured" if not found else "met" if median(found) <= most else "missed"
        lines.append(f"| {what} | {f'{median(found):.4g}' if found else '-'} | {most:g} | {said} |")
    return lines


def _ratios(runs: Sequence[Run], one: str, other: str) -> list[float]:
    """Compare two tools in each round in which both went right."""
    walls = {(run.tool, run.round): run.measured.wall for run in runs if run.problem is None}
    rounds = [number for tool, number in walls if tool == one and (other, number) in walls]
    return [walls[one, number] / walls[other, number] for number in rounds]


def _shown(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f}" if ratios else "-"


def _tell(run: Run) -> None:
    sys.stderr.write(
        f"round {run.round} {run.tool:10} {run.measured.wall:6.1f} s  {len(run.requests):4} requests  "
        f"{run.moved / 1e6:6.1f} MB  {run.problem or 'right'}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
