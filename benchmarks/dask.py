"""Measure runs in several processes: what a product costs in each way, and how far more processes help.

The store is the embedded one, in a process of its own: it sends each archive at 4 MiB/s, as one that limits each
connection. `large` fetches 32 archives of 8 MiB, two connections a process; `tiny` fetches 2,000 archives of 700 bytes
over 8 connections, and says what one of them costs beside the start: the difference to a run over 500 of them.

    python benchmarks/dask.py
    python benchmarks/dask.py --rounds 1 --only tiny
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collgs_async.demo.scenes import make_scenes
from collgs_async.demo.server import DemoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
LARGE, TINY, FEW = 32, 2000, 500
COLLECTION = "S2_MSIL2A"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to fetch with so many connections in all.

    Attributes
    ----------
    engine
        As `--engine`.
    shards
        Number of commands that share the products.
    """

    name: str
    engine: str = "none"
    shards: int = 1


def ways() -> Iterator[Way]:
    """Yield the ways that are compared."""
    yield Way("one process")
    for processes in (2, 4):
        yield Way(f"{processes} x `--shard`", shards=processes)
    for processes in (1, 2, 4):
        yield Way(f"`--engine dask=local:{processes}`", engine=f"dask=local:{processes}")


def serve(count: int, size: int, rate: float | None, folder: Path, told: Any) -> None:
    """Serve archives until this process is ended; tell the address."""
    scenes = [scene for scene in make_scenes(count * 6, size=size) if scene.collection == COLLECTION][:count]

    async def run() -> None:
        async with DemoServer([replace(scene, deflated=False) for scene in scenes], folder, rate=rate) as server:
            told.send(server.url)
            await asyncio.Event().wait()

    asyncio.run(run())


def fetch(way: Way, url: str, connections: int, count: int, folder: Path) -> tuple[float, float]:
    """Fetch so many products, and return the seconds on the wall and of the processor; exit if one is missing."""
    shutil.rmtree(folder, ignore_errors=True)
    words = [sys.executable, "-m", "collgs_async", "--base-url", url, "--collection", COLLECTION, "--quiet"]
    words += ["--output", str(folder), "--engine", way.engine, "--workers", str(connections // way.shards)]
    words += ["--count", str(count)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    shards = [["--shard", f"{number}/{way.shards}"] for number in range(1, way.shards + 1)] if way.shards > 1 else [[]]
    running = [subprocess.Popen([*words, *shard]) for shard in shards]  # noqa: S603 - the program that is measured
    codes = [process.wait() for process in running]
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    here = len(list(folder.glob("*.zip")))
    if any(codes) or here != count:
        sys.exit(f"{way.name}: exit codes {codes}, {here} of {count} archives are here")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def large(url: str, folder: Path, found: dict[str, dict[str, list[float]]]) -> None:
    """Measure each way once, and one process with as many connections as each has."""
    for way in ways():
        processes = int(way.engine[-1]) if way.engine != "none" else way.shards
        wall, cpu = fetch(way, url, 2 * processes, LARGE, folder)
        name = f"{way.name}, 2 connections" if way.name == "one process" else way.name
        found[name]["wall"].append(wall)
        found[name]["cpu"].append(cpu)
    for connections in (4, 8):
        wall, cpu = fetch(Way("one process"), url, connections, LARGE, folder)
        found[f"one process, {connections} connections"]["wall"].append(wall)
        found[f"one process, {connections} connections"]["cpu"].append(cpu)


def tiny(url: str, folder: Path, found: dict[str, dict[str, list[float]]]) -> None:
    """Measure each way once over few and many products."""
    for way in ways():
        _, few = fetch(way, url, 8, FEW, folder)
        wall, many = fetch(way, url, 8, TINY, folder)
        found[way.name]["wall"].append(wall)
        found[way.name]["cpu"].append(many)
        found[way.name]["ms"].append((many - few) / (TINY - FEW) * 1000)


def show(title: str, found: dict[str, dict[str, list[float]]]) -> None:
    """Print medians as a table."""
    figures = {"wall": "wall s", "cpu": "CPU s", "ms": "CPU ms a product"}
    columns = [name for name in figures if name in next(iter(found.values()))]
    sys.stdout.write(f"\n| {title} | {' | '.join(figures[name] for name in columns)} |\n")
    sys.stdout.write(f"| --- |{' ---: |' * len(columns)}\n")
    for way, values in found.items():
        medians = " | ".join(f"{statistics.median(values[name]):.1f}" for name in columns)
        sys.stdout.write(f"| {way} | {medians} |\n")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is run, in turns")
    parser.add_argument("--only", choices=("large", "tiny"), help="one of the two")
    asked = parser.parse_args()
    sets = {"large": (large, LARGE, 8 * MIB, 4.0 * MIB), "tiny": (tiny, TINY, 700, None)}
    for name, (measure, count, size, rate) in sets.items():
        if asked.only not in (None, name):
            continue
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = multiprocessing.get_context("spawn").Pipe()
            words = (count, size, rate, Path(folder) / "store", theirs)
            server = multiprocessing.get_context("spawn").Process(target=serve, args=words, daemon=True)
            server.start()
            url = ours.recv()
            fetch(Way("first"), url, 8, count, Path(folder) / "out")  # the store makes its archives
            for number in range(asked.rounds):
                sys.stderr.write(f"{name}: round {number + 1}\n")
                measure(url, Path(folder) / "out", found)
            server.kill()
            server.join()
        show(name, found)


if __name__ == "__main__":
    main()
