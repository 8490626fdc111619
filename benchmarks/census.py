"""Count what a census of the catalogue misses, and what watermarks miss, over hundreds of runs on the same history.

The catalogue is the embedded one, asked over HTTP, with a history: products come late, with any date, go, return, and
are replaced by reprocessings. Each way of keeping up runs every other day. At the end, and at each run, what is listed
is compared with what is known.

    python benchmarks/census.py
    python benchmarks/census.py --runs 50 --budgets 500 10 --seed 2
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TextIO

from collgs_async import Client, Config
from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.history import History
from collgs_async.demo.server import DemoServer
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.census import Census
from collgs_async.mirror.census_report import CensusLimits
from collgs_async.mirror.listing import Lister

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from sqlite3 import Connection

    from collgs_async.demo.scenes import Scene

COLLECTION = "S2_MSIL2A"
BEGUN = datetime(2023, 1, 1, tzinfo=UTC)
PAGE = 50
CYCLE = timedelta(days=30)


@dataclass
class Watched:
    """How one way of keeping up did.

    Attributes
    ----------
    listed_since, gone_since
        By identifier, since when a product that is not known is listed, and since when one that is believed is gone.
    delays
        Days from the publication of each product to the run that found it.
    missed, ghosts
        What was listed and not known, and gone and still believed, for longer than a cycle and an interval; in
        products times runs.
    """

    known: set[str] = field(default_factory=set)
    believed: set[str] | None = None
    listed_since: dict[str, datetime] = field(default_factory=dict)
    gone_since: dict[str, datetime] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    missed: int = 0
    ghosts: int = 0

    def compare(self, listed: set[str], now: datetime, min_absence: timedelta) -> None:
        """Compare what is known after a run with what is listed."""
        since = {name: self.listed_since.get(name, now) for name in listed}
        self.delays += [(now - since[name]).total_seconds() / 86400 for name in self.known & listed - self._told]
        self._told |= self.known & listed
        self.listed_since = since
        self.missed += sum(now - since[name] > min_absence for name in listed - self.known)
        if self.believed is not None:
            self.gone_since = {name: self.gone_since.get(name, now) for name in self.believed - listed}
            self.ghosts += sum(now - moment > min_absence for moment in self.gone_since.values())

    _told: set[str] = field(default_factory=set)


def watermarks(history: History, moments: Sequence[datetime]) -> dict[str, Watched]:
    """Follow three kinds of marks over the same history, by what the listings say of each product."""
    ways: dict[str, Callable[[Scene], datetime]] = {
        "newest sensing time": lambda scene: scene.start,
        "newest `created`": lambda scene: scene.made_at,
        "`created`, by the clock of the last run": lambda scene: scene.made_at,
    }
    found = {name: Watched() for name in ways}
    marks = {name: datetime.min.replace(tzinfo=UTC) for name in ways}
    for now in moments:
        scenes = history.at(now)
        for name, date_of in ways.items():
            way, mark = found[name], marks[name]
            new = [scene for scene in scenes if date_of(scene) >= mark]
            way.known |= {scene.identifier for scene in new}
            newest = max((date_of(scene) for scene in new), default=mark)
            marks[name] = now if "clock" in name else max(mark, newest)
            way.compare({scene.identifier for scene in scenes}, now, CYCLE + (moments[1] - moments[0]))
    return found


async def census(history: History, moments: Sequence[datetime], budget: int) -> Watched:
    """Take a census at each moment."""
    way = Watched()
    with TemporaryDirectory(prefix="collgs-census-") as folder:
        async with DemoServer([], Path(folder) / "store", page_maximum=PAGE) as server:
            config = Config.create(
                base_url=f"{server.origin}/catalog/oseo/search",
                collection=COLLECTION,
                output_directory=Path(folder) / "mirror",
                page_size=PAGE,
            )
            async with Ledger.open(LedgerPaths.of(config)) as ledger, Client(config) as client:
                for number, now in enumerate(moments):
                    server.scenes[:] = history.at(now)
                    server.forget()
                    way.requests.append(await take(ledger, client, now, budget))
                    way.known, way.believed = await ledger.run(known)
                    way.compare({scene.identifier for scene in server.scenes}, now, CYCLE + (moments[1] - moments[0]))
                    if number % 50 == 0:
                        say(f"{budget} requests: run {number} of {len(moments)}", sys.stderr)
    return way


async def take(ledger: Ledger, client: Client, now: datetime, budget: int) -> int:
    """Take one census; return its requests."""
    config, moment = client.config, to_ms(now)
    query = config.needed_query()
    lister = Lister(
        ledger,
        client.catalogue.search,
        query,
        config.selection,
        config.base_url,
        page=PAGE,
        now=moment,
        offer=lambda _: None,
    )
    watch = await lister.open(config.parameters)
    taken = Census(ledger, lister, watch, COLLECTION, limits=CensusLimits(budget), now=moment)
    await taken.take()
    if taken.report.error or taken.report.refused:
        raise SystemExit(f"{now}: {taken.report}")
    return lister.requests


def say(words: str, stream: TextIO = sys.stdout) -> None:
    """Write a line at once."""
    stream.write(words + "\n")
    stream.flush()


def known(connection: Connection) -> tuple[set[str], set[str]]:
    """Return the names of all products, and of those that are believed to be listed."""
    rows = connection.execute("SELECT identifier, absent = 0 AND gone IS NULL FROM product").fetchall()
    return {name for name, _ in rows}, {name for name, is_listed in rows if is_listed}


def row(name: str, way: Watched, listed: set[str]) -> str:
    """Return a row of the table."""
    missed = len(listed - way.known)
    delays = sorted(way.delays)
    worst = f"{delays[int(len(delays) * 0.99)]:.0f} / {delays[-1]:.0f}" if delays else ""
    requests = f"{statistics.median(way.requests):.0f} / {max(way.requests)}" if way.requests else "1"
    ghosts = "not known" if way.believed is None else str(len(way.believed - listed))
    late = "" if way.believed is None else f"{way.missed} / {way.ghosts}"
    share = f"{missed} = {100 * missed / len(listed):.1f} %"
    return f"| {name} | {share if missed else '**0**'} | {worst} | {requests} | {ghosts} | {late or way.missed} |"


async def main(arguments: argparse.Namespace) -> None:
    """Run all ways, and print the table."""
    tiles, first, last = tuple(arguments.tiles.split(",")), date(2018, 1, 1), date(2023, 6, 30)
    scenes = make_constellation(tiles=tiles, first=first, last=last, size=1000, seed=arguments.seed)
    scenes = [scene for scene in scenes if scene.collection == COLLECTION]
    history = History(scenes, begun=BEGUN, seed=arguments.seed)
    moments = [history.day(number * arguments.step) for number in range(arguments.runs)]
    listed = {scene.identifier for scene in history.at(moments[-1])}
    ever = {scene.identifier for now in moments for scene in history.at(now)}
    say(f"{len(ever)} products ever listed, {len(listed)} at the end; {len(moments)} runs, page {PAGE}\n")
    say(
        "| way | missed of those listed at the end | delay p99 / most, days | requests p50 / most | "
        "believed, though gone | > a cycle: unknown / believed (product-runs) |"
    )
    say("| --- | ---: | ---: | ---: | ---: | ---: |")
    for budget in arguments.budgets:
        begun = time.process_time()
        way = await census(history, moments, budget)
        say(row(f"sync, at most {budget} requests a run", way, listed))
        say(f"{time.process_time() - begun:.0f} s of processor time", sys.stderr)
    for name, way in watermarks(history, moments).items():
        say(row(f"mark: {name}", way, listed))


def read_arguments(words: Iterable[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--step", type=int, default=2, help="days from run to run")
    parser.add_argument("--tiles", default="31UFR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--budgets", type=int, nargs="*", default=[10, 500], help="requests of a run; none: only the marks"
    )
    return parser.parse_args(words if words is None else list(words))


if __name__ == "__main__":
    asyncio.run(main(read_arguments()))
