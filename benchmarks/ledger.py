"""A ledger of a million products: size, a page of names, state of all, memory; ``python benchmarks/ledger.py``."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async import Config, Product
from collgs_async.ledger.details import read_details
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.listing_records import Listed, record_listed, set_seen
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.overview import read_overview
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event
from collgs_async.ledger.runs import begin_run, end_run
from collgs_async.models.product import RawTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PAGE: Final = 100
_TILES: Final = [f"{zone}U{column}{row}" for zone in (31, 32) for column in "FGLM" for row in "PQRSTUV"]
_FIRST: Final = datetime(2015, 7, 1, tzinfo=UTC)
_NOW: Final = 1_790_000_000_000

_PROGRAM: Final = """\
import resource, sys
from pathlib import Path
from collgs_async.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(used.ru_utime + used.ru_stime, int(peak) / 1024, code, file=sys.stderr)
"""
"""Says at its end what it has used: CPU seconds, MiB at the peak (Linux), and its exit code."""


def products(count: int) -> Iterator[Product]:
    """Yield Sentinel-2 products as a catalogue lists them; a third of them are reprocessings of another one."""
    for index in range(count):
        acquisition, edition = (index // 3, 1) if index % 3 == 2 else (index - index // 3, 0)
        tile, moment = _TILES[acquisition % len(_TILES)], _FIRST + timedelta(minutes=acquisition * 7)
        begin, made = f"{moment:%Y%m%dT%H%M%S}", moment + timedelta(days=400 * edition, hours=5)
        name = f"S2A_MSIL2A_{begin}_N0{5 if edition else 3}00_R{acquisition % 143 + 1:03}_T{tile}_{made:%Y%m%dT%H%M%S}"
        west, south = 5.1 + index % 97 / 100, 49.2 + index % 89 / 100
        ring = [[west, south], [west + 1.4, south + 0.1], [west + 1.3, south + 1], [west, south + 0.9], [west, south]]
        yield Product(
            name,
            f"https://collgs.example.org/repository/S2_MSIL2A/{moment:%Y/%m/%d}/{name}/{name}.zip",
            collection="S2_MSIL2A",
            raw=RawTimes(f"{moment:%Y-%m-%dT%H:%M:%S}.024Z", f"{moment:%Y-%m-%dT%H:%M:%S}.024Z"),
            footprint={"type": "Polygon", "coordinates": [ring]},
            cloud_cover=round(index * 7.3 % 100, 2),
            orbit_direction="DESCENDING",
            orbit_number=acquisition % 143 + 1,
            platform="Sentinel-2A",
            created=made,
        )


def note(connection: sqlite3.Connection, page: tuple[Product, ...], run: int) -> None:
    """Note products as listed; nine of ten as held, one of a hundred as failed, every fifth as not wanted."""
    listed = [Listed(product, "cloud cover" if number % 5 == 4 else None) for number, product in enumerate(page)]
    found = record_listed(connection, 1, "S2_MSIL2A", listed, now=_NOW, run=run)
    set_seen(connection, found.ids, _NOW)
    for number, one in enumerate(listed):
        name = one.product.identifier
        if one.unwanted or number % 10 == 8:
            continue
        if number % 100 == 7:
            record = OutcomeRecord(name, Event.FAILED, _NOW, kind="TransferError", error="HTTP 503: busy")
        else:
            path = f"S2_MSIL2A/S2A/{name[11:15]}/{name[15:17]}/{name}.zip"
            facts = {"etag": f'"{number:x}-5d2a7c"', "how": "crc", "sha256": f"{number:064x}"}
            record = OutcomeRecord(name, Event.DOWNLOADED, _NOW, "S2_MSIL2A", path, 8 * 10**8, _NOW, **facts)
        record_outcome(connection, record, run=run, now=_NOW)


async def fill(paths: LedgerPaths, count: int) -> None:
    """Make a ledger, as the real functions write it, but without waiting for the disk."""
    async with Ledger.open(paths):
        pass
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as tables:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000", "locking_mode = EXCLUSIVE"):
            tables.execute(f"PRAGMA {pragma}")
        tables.execute("BEGIN")
        tables.execute("INSERT INTO watch(id, name) VALUES (1, 'S2_MSIL2A')")
        run = begin_run(tables, "sync", now=_NOW)
        for page in in_pages(products(count), 1000):
            note(tables, page, run)
        end_run(tables, run, now=_NOW, code=0)
        tables.execute("COMMIT")


def in_pages(items: Iterator[Product], size: int) -> Iterator[tuple[Product, ...]]:
    """Yield items in tuples."""
    while page := tuple(item for _, item in zip(range(size), items, strict=False)):
        yield page


async def measure(paths: LedgerPaths, count: int) -> None:
    """Print what reads and writes take, each the median of nine."""
    begins = sorted(random.Random(1).sample(range(count - _PAGE), 9))
    pages: list[list[Listed]] = [[] for _ in begins]
    for number, product in enumerate(products(count)):
        for begin, page in zip(begins, pages, strict=True):
            if begin <= number < begin + _PAGE:
                page.append(Listed(product, None))
    names = [page[0].product.identifier for page in pages]
    async with Ledger.open(paths) as ledger:

        async def timed(title: str, function: Callable[..., object], arguments: list[tuple[object, ...]]) -> None:
            seconds = []
            for given in arguments:
                began = time.perf_counter()
                await ledger.run(function, *given)
                seconds.append(time.perf_counter() - began)
            sys.stdout.write(f"| {title} | {sorted(seconds)[len(seconds) // 2] * 1000:.1f} ms |\n")
            sys.stdout.flush()

        await timed("all that is known of one product", read_details, [(name,) for name in names])
        await timed(f"compare a page of {_PAGE} listed products, and commit", compare, [(page,) for page in pages])
        await timed("state of all products", read_overview, [()] * 9)


def compare(connection: sqlite3.Connection, page: list[Listed]) -> None:
    """Do what a census does with a page on which nothing is new."""
    set_seen(connection, record_listed(connection, 1, "S2_MSIL2A", page, now=_NOW + 1, run=1).ids, _NOW + 1)


def command(folder: Path, *words: str) -> None:
    """Run the real command in a process of its own, and print its row."""
    began = time.perf_counter()
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PROGRAM, *words, "--output", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall = time.perf_counter() - began
    seconds, peak, _ = process.stderr.splitlines()[-1].split()
    sys.stdout.write(f"| `{' '.join(words)}` | {float(seconds):.2f} s CPU, {wall:.2f} s, {float(peak):.0f} MiB |\n")
    sys.stdout.flush()


def main() -> None:
    """Make a ledger in a temporary folder, or use that of ``--keep``, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="a folder for the ledger, which stays for the next time")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp())
    paths = LedgerPaths.of(Config(output_directory=folder))
    try:
        if not paths.database.exists():
            began = time.process_time()
            asyncio.run(fill(paths, given.products))
            took = (time.process_time() - began) / given.products * 1000
            sys.stdout.write(f"| note one product, listed and fetched | {took:.2f} ms CPU |\n")
        size = paths.database.stat().st_size
        sys.stdout.write(f"| size | {size / 10**6:.0f} MB, {size / given.products:.0f} bytes a product |\n")
        asyncio.run(measure(paths, given.products))
        command(folder, "status")
        command(folder, "status", next(products(1)).identifier)
        command(folder, "ledger", "export", "--format", "sha256sums")
    finally:
        if given.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
