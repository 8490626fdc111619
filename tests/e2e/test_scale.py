"""Very many products: memory does not grow with their number, and what is here is not asked for again."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MIB = 2**20
ON_LINUX = sys.platform == "linux"
"""Only there a process is told its own peak of memory."""

SERVER = """\
import asyncio, sys
from pathlib import Path
from collgs_async.demo import DemoServer, make_scenes
from collgs_async.demo.scenes import make_newcomers

async def serve(count, folder):
    scene = next(scene for scene in make_scenes(9, size=700) if scene.collection == "S2_MSIL2A")
    async with DemoServer(make_newcomers(scene, count), folder) as server:
        print(server.url, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(sum(hit.path.startswith("/repository/") for hit in server.requests), flush=True)
            server.forget()

asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
"""
"""Prints where to search; then, for each line that it reads, how many archives were asked for since the last one."""

CLIENT = """\
import sys
from collgs_async.cli import main
code = main(sys.argv[1:])
if sys.platform == "linux":
    print(open("/proc/self/status").read(), file=sys.stderr)
sys.exit(code)
"""
"""The command, which says at its end what it has taken: seen from outside, the peak of its parent counts too."""


class Catalogue:
    """An embedded catalogue in a process of its own, so that its memory is not the command's."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, folder: Path) -> None:
        self._process = process
        self._url = url
        self._folder = folder

    async def archive_requests(self) -> int:
        """How many archives were asked for since this was called last."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return int(await read_line(self._process))

    async def pull(self, count: int) -> Pulled:
        """Let the command pull so many products, into a folder for that number."""
        folder, report = self._folder / str(count), self._folder / f"{count}.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, "--base-url", self._url, "--collection", "S2_MSIL2A"),
            *("--count", str(count), "--output", folder, "--report", report),
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert 0 == process.returncode, said.decode()
        peak = re.search(rb"VmHWM:\s*(\d+) kB", said)
        summary = json.loads(report.read_text())["summary"]
        return Pulled(
            downloaded=summary["downloaded"],
            skipped=summary["skipped"],
            moved=summary["bytes"],
            archives=len(list(folder.glob("*.zip"))),
            peak=int(peak[1]) * 1024 if peak else 0,
        )


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a run has done; `peak` is its memory, `moved` what came over the line, both in bytes."""

    downloaded: int
    skipped: int
    moved: int
    archives: int
    peak: int


async def read_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@asynccontextmanager
async def catalogue_of(count: int, folder: Path) -> AsyncIterator[Catalogue]:
    """Serve so many products, each an archive of about 700 bytes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(count), folder / "store"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Catalogue(process, await read_line(process), folder)
    finally:
        await process.communicate(b"")


@pytest.mark.parametrize(
    ("few", "many", "growth"),
    [
        (500, 1_500, 1.75 * MIB),
        pytest.param(1_000, 20_000, 20 * MIB, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
async def test_memory_does_not_grow_and_a_complete_folder_moves_no_archive_byte(
    tmp_path: Path, few: int, many: int, growth: float
) -> None:
    async with catalogue_of(many, tmp_path) as catalogue:
        small = await catalogue.pull(few)
        assert few == await catalogue.archive_requests()
        large = await catalogue.pull(many)
        assert many == await catalogue.archive_requests()
        again = await catalogue.pull(many)
        assert 0 == await catalogue.archive_requests()

    assert (few, few) == (small.downloaded, small.archives)
    assert (many, many) == (large.downloaded, large.archives)
    assert (0, many, 0, many) == (again.downloaded, again.skipped, again.moved, again.archives)
    if ON_LINUX:
        assert 0 < small.peak
        assert max(large.peak, again.peak) - small.peak <= growth


PLANNED = {
    "identifier": "S2B_MSIL2A_20230629T104707_N0509_R051_T31UFQ_20230629T000000",
    "url": "http://127.0.0.1:9/repository/Sentinel-2/S2B_MSIL2A_20230629T104707_N0509_R051_T31UFQ_20230629T000000.zip",
    "start": "2023-06-29T10:47:07.024Z",
    "footprint": {
        "type": "Polygon",
        "coordinates": [[[4.3, 49.6], [4.3, 48.6], [4.8, 48.6], [5.3, 49.6], [4.3, 49.6]]],
    },
}


def write_plan(path: Path, count: int, cloud_cover: int) -> None:
    """A plan as `collgs-async plan` writes it, some of whose products have this cloud cover."""
    head = {
        "format": "collgs-async plan",
        "version": 1,
        "created": "2026-11-30T12:00:00Z",
        "catalogue": "http://127.0.0.1:9/",
        "query": {"parameters": {"parentIdentifier": "S2_MSIL2A"}},
    }
    line = json.dumps(PLANNED)
    lines = (
        line.replace("T000000", f"T{number:06d}")[:-1] + f', "cloud_cover": {0 if number % 100 else cloud_cover}}}'
        for number in range(count)
    )
    left_out = (json.dumps({"identifier": f"X{number}", "reason": "older baseline"}) for number in range(count))
    texts = ",\n".join(lines), ",\n".join(left_out)
    path.write_text(json.dumps(head)[:-1] + f', "products": [{texts[0]}], "left_out": [{texts[1]}]}}')


async def peak_of(folder: Path, *words: object) -> tuple[int, bytes]:
    """The peak of memory of a command, in bytes, and what it has written."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, *map(str, words)),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    written, said = await process.communicate()
    assert 0 == process.returncode, said.decode()
    peak = re.search(rb"VmHWM:\s*(\d+) kB", said)
    return (int(peak[1]) * 1024 if peak else 0), written


@pytest.mark.parametrize(
    ("words", "many", "growth"),
    [
        ("plan --diff {plan} {other}", 20_000, 12 * MIB),
        ("--plan {plan} --dry-run --format urls", 20_000, 4 * MIB),
    ],
)
async def test_a_long_plan_takes_little_memory(tmp_path: Path, words: str, many: int, growth: float) -> None:
    """As objects, each product would take 3 kB, and twice that for a comparison."""
    peaks: list[int] = []
    for count in (100, many):
        write_plan(tmp_path / f"{count}.json", count, 5)
        write_plan(tmp_path / f"{count}-later.json", count, 6)
        names = {"plan": f"{count}.json", "other": f"{count}-later.json"}
        peak, written = await peak_of(tmp_path, *words.format(**names).split())
        peaks.append(peak)
        assert (count // 100 if "--diff" in words else count) == len(written.splitlines())

    if ON_LINUX:
        assert 0 < peaks[0]
        assert peaks[1] - peaks[0] <= growth, peaks
