"""One day's sync of an archive that knows many products: seconds, requests and peak memory.

The catalogue is made up as it is asked, in a process of its own, and the ledger says that all products are here. So a
run has to list, to compare and to look at the disk, and finds a few products that are new.

    python benchmarks/sync.py 20000 1000000
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from collgs_async import Client, Config
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.dialects import STOCK
from collgs_async.demo.feed import SEARCH_PATH, Page, json_reply
from collgs_async.demo.parameters import Limits
from collgs_async.demo.query import read_search
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.products import name_facts
from collgs_async.ledger.records import State
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.listing import Lister
from collgs_async.mirror.spans import OPEN

if TYPE_CHECKING:
    from sqlite3 import Connection

    from collgs_async.demo.scenes import Scene

COLLECTION: Final = "S2_MSIL2A"
PORT: Final = 18_923
FIRST: Final = datetime(2017, 1, 1, tzinfo=UTC)
STEP: Final = 120
"""Seconds from one product to the next."""

NEW: Final = 3
"""Products that the ledger does not know."""

PROGRAM: Final = """\
import resource, sys, time
from pathlib import Path
from collgs_async.cli import main
begun = time.perf_counter()
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime, int(peak) / 1024, code)
"""


class Made(Sequence["Scene"]):
    """Scenes that are made as they are needed, the newest first; a slice is one, too."""

    def __init__(self, base: Scene, numbers: range) -> None:
        self._base = base
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Made(self._base, self._numbers[at])
        start = FIRST + timedelta(seconds=STEP * self._numbers[at])
        return replace(self._base, identifier=name_of(self._numbers[at]), start=start, end=start)


def name_of(number: int) -> str:
    """Return the name of a product."""
    start = FIRST + timedelta(seconds=STEP * number)
    return f"S2A_MSIL2A_{start:%Y%m%dT%H%M%S}_N0511_R051_T31UFR_{start + timedelta(hours=3):%Y%m%dT%H%M%S}"


def serve(products: int) -> None:
    """Serve a catalogue of so many products."""
    scenes = make_constellation(1000, tiles=("31UFR",), last=date(2023, 6, 30), size=1000)
    base = next(scene for scene in scenes if scene.collection == COLLECTION)
    limits = Limits(100, 10)

    async def search(request: web.Request) -> web.Response:
        asked = read_search(list(request.query.items()), limits, STOCK)
        known = asked.known
        first, last = (number_at(known[name]) if name in known else None for name in ("timeStart", "timeEnd"))
        low = 0 if first is None else max(0, -(-first // 1))
        high = products - 1 if last is None else min(products - 1, last // 1)
        numbers = range(int(high), int(low) - 1, -1)
        if "creationDate" in known:
            numbers = numbers[:NEW]
        made = Made(base, numbers)
        begin = asked.start_index - 1
        page = Page(asked, list(made[begin : begin + asked.count]), len(made), f"http://127.0.0.1:{PORT}")
        reply = json_reply(page, STOCK)
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    application = web.Application()
    application.router.add_get(SEARCH_PATH, search)
    web.run_app(application, host="127.0.0.1", port=PORT, print=None)


def number_at(text: str) -> float:
    """Return which product a time is that of, with the fraction between two."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - FIRST).total_seconds() / STEP


def fill(connection: Connection, watch: int, products: int, now: int) -> None:
    """Write down that all products but the last few are here."""
    junk = random.Random(1).randbytes(300)
    for begin in range(0, products - NEW, 10_000):
        numbers = range(begin, min(begin + 10_000, products - NEW))
        starts = [int((FIRST + timedelta(seconds=STEP * number)).timestamp()) * 1000 for number in numbers]
        rows = []
        for number, start in zip(numbers, starts, strict=True):
            facts = name_facts(name_of(number))
            values = (facts.acquisition, facts.edition, facts.produced, now, now)
            rows.append((number + 1, name_of(number), COLLECTION, start, start, *values, State.HELD))
        connection.executemany(
            "INSERT INTO product(id, identifier, collection, start, stop, acquisition, edition, produced, first_seen,"
            " seen, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.executemany(
            "INSERT INTO listed(watch, product) VALUES (?, ?)", ((watch, number + 1) for number in numbers)
        )
        connection.executemany(
            "INSERT INTO entry VALUES (?, ?, ?)",
            ((number + 1, f"http://127.0.0.1:{PORT}/{name_of(number)}", junk) for number in numbers),
        )
        connection.executemany(
            "INSERT INTO file(product, path, size, fetched, checked, how) VALUES (?, 'one.zip', 1, ?, ?, 'crc')",
            ((number + 1, now, now) for number in numbers),
        )
    connection.execute("INSERT INTO span VALUES (?, ?, ?, ?, 0, ?, ?)", (watch, -OPEN, OPEN, products, now, now))


async def prepare(config: Config, products: int) -> None:
    """Make a ledger, and the one file that stands for all archives."""
    config.output_directory.mkdir(parents=True)
    (config.output_directory / "one.zip").write_bytes(b"x")
    async with Ledger.open(LedgerPaths.of(config)) as ledger, Client(config) as client:
        lister = Lister(
            ledger,
            client.catalogue.search,
            config.needed_query(),
            config.selection,
            config.base_url,
            page=100,
            now=1,
            offer=lambda _: None,
        )
        watch = await lister.open(config.parameters)
        await ledger.run(fill, watch.id, products, to_ms(datetime.now(UTC) - timedelta(days=2)))


async def list_only(config: Config) -> tuple[float, int]:
    """Return how long the catalogue's own search takes, and its requests."""
    begun = time.perf_counter()
    async with Client(config) as client:
        search = client.catalogue.search()
        async for _ in search:
            pass
        return time.perf_counter() - begun, search.pages


def measure(products: int) -> None:
    """Measure two runs; the first one of a large archive divides it into spans."""
    server = subprocess.Popen([sys.executable, __file__, "serve", str(products)])  # noqa: S603  (this file)
    try:
        with TemporaryDirectory(prefix="collgs-sync-") as folder:
            config = Config.create(
                base_url=f"http://127.0.0.1:{PORT}{SEARCH_PATH}",
                collection=COLLECTION,
                output_directory=Path(folder) / "mirror",
            )
            asyncio.run(prepare(config, products))
            if products <= 100_000:
                seconds, pages = asyncio.run(list_only(config))
                say(f"{products:,} products: the search alone {seconds:.1f} s, {pages} requests")
            words = [
                "sync",
                "--base-url",
                config.base_url,
                "--collection",
                COLLECTION,
                "-o",
                str(config.output_directory),
            ]
            for run in (1, 2):
                done = subprocess.run(  # noqa: S603  (this interpreter)
                    [sys.executable, "-c", PROGRAM, *words, "--retries", "1", "--outage", "0"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                seconds, used, peak, code = done.stdout.split()[-4:]
                requests = next(line for line in done.stderr.splitlines() if "request" in line)
                say(
                    f"{products:,} products, run {run}: {float(seconds):.1f} s, {float(used):.1f} CPU s, "
                    f"{float(peak):.0f} MiB, exit {code}; {requests}"
                )
            size = (config.output_directory / ".collgs" / "ledger.sqlite").stat().st_size
            say(f"{products:,} products: ledger of {size / 1e6:.0f} MB")
    finally:
        server.kill()
        server.wait()


def say(words: str) -> None:
    """Write a line at once."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        for count in map(int, sys.argv[1:] or ["20000", "1000000"]):
            measure(count)
