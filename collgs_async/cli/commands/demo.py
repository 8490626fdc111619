"""``collgs-async demo``: run the real pipeline against the embedded catalogue."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collgs_async.client import Client
from collgs_async.config.kinds import whole
from collgs_async.config.loading import load_config
from collgs_async.demo.constellation import FIJI, LUXEMBOURG, make_constellation
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.history import History
from collgs_async.demo.login import SignIn
from collgs_async.demo.scenes import COLLECTIONS, make_scenes
from collgs_async.demo.server import DemoServer
from collgs_async.errors import ConfigError, did_you_mean
from collgs_async.http.credentials import Credentials
from collgs_async.http.messages import json_text
from collgs_async.models.band_words import wish_problems
from collgs_async.models.member_list import share_of
from collgs_async.models.text import format_bytes, format_duration, plural

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection, Iterable, Sequence

    from collgs_async.cli.console import ConsoleHandler
    from collgs_async.demo.faults import Fault
    from collgs_async.demo.scenes import Scene
    from collgs_async.models.wish import Wish

__all__ = ["demo"]

log = logging.getLogger("collgs_async")

SIZE: Final = 8_000_000
"""Mean size of an archive in bytes; real ones are a hundred times as large."""

RATE: Final = 3_000_000.0
"""Bytes per second for each connection to the store, slow enough to watch."""

PAGE: Final = 5
"""Products per page, few enough for several pages."""

PAGE_OF_A_YEAR: Final = 50
"""Products per page for the constellation, as requested from CollGS."""

SMALL: Final = 200_000
"""Mean size of an archive of the constellation in bytes; a year of them still fits on any disk."""

BEGUN: Final = datetime(2023, 1, 1, tzinfo=UTC)
"""Day 0 of the history."""

FIRST_SENSED: Final = date(2019, 1, 1)
LAST_SENSED: Final = date(2023, 6, 30)
"""Days of the first and the last acquisition of the history; late products and reprocessings come after them."""

TILES_OF_HISTORY: Final = ("31UFR", "32ULA")
"""Few enough for all archives of a day to be fetched in a rehearsal."""

SMALLER: Final = 60_000
"""Mean size of an archive of the history in bytes: all of one collection are fetched within a minute."""

FAULT_SETTINGS: Final = {"connection.timeout": "3", "connection.retries": "6"}
"""With faults, a silent store is given up after seconds, since two minutes would be too long for a demo; and the first
page of results meets all faults of the catalogue in a row."""


async def demo(args: Namespace, console: ConsoleHandler) -> int:
    """Serve the embedded catalogue, and download everything from it, twice."""
    faults = _select_faults(args.fault)
    if "list" in args.fault:
        return _list_faults()
    config = load_config(None, environ={}, flags=args.flags, needs_collection=False)  # refuse invalid flags first
    collections = _collections_with(config.parts.wish)
    for name in ("constellation", "history"):
        if getattr(args, name) and (not args.serve or faults):
            raise ConfigError(f"--{name}: expected --serve and no --fault beside it")
    if args.constellation and args.history:
        raise ConfigError("--history: expected no --constellation beside it; it has scenes of its own")
    if args.day is not None and not args.history:
        raise ConfigError("--day: expected --history beside it")
    count = None if args.products is None else whole(1, 100_000).check("--products", args.products)
    port = whole(0, 65535).check("--port", args.port)
    spoiled = [fault for fault in faults if not fault.name.startswith("catalogue-")]
    if args.history:
        scenes = _scenes_of_day(count, args.day)
    elif args.constellation:
        scenes = make_constellation(count, tiles=(*LUXEMBOURG, *FIJI), first=date(2022, 7, 1), size=SMALL)
    else:
        scenes = _make_scenes(max(count or 12, len(spoiled)), COLLECTIONS if args.serve else collections)
    if args.dry_run:
        return _log_scenes(scenes)
    with tempfile.TemporaryDirectory(prefix="collgs-store-") as store:
        server = DemoServer(
            scenes,
            Path(store),
            page_maximum=PAGE_OF_A_YEAR if args.constellation or args.history else PAGE,
            rate=None if args.serve else RATE,
            faults=_assign_faults(faults, _served_first(scenes) if args.serve else scenes),
            port=port,
            sign_in=SignIn("demo", "demo", form=args.sign_in) if args.sign_in else None,
        )
        try:
            await server.__aenter__()
        except OSError as error:
            raise ConfigError(f"--port: cannot serve on {port}: {os.strerror(error.errno or 0)}") from None
        try:
            return await (_serve(server) if args.serve else DemoRun(server, args, console).run())
        finally:
            await server.__aexit__(None, None, None)


def _scenes_of_day(count: int | None, day: str | None) -> list[Scene]:
    """Return what the catalogue with a history lists on a day; `count` limits what it ever lists to the newest."""
    scenes = make_constellation(count, tiles=TILES_OF_HISTORY, first=FIRST_SENSED, last=LAST_SENSED, size=SMALLER)
    history = History(scenes, begun=BEGUN)
    last = max(0, (history.ended - history.begun).days + 1)
    number = 0 if day is None else whole(0, last).check("--day", day)
    log.info("This is day %d of the history: %s, 00:00 UTC.", number, f"{history.day(number):%Y-%m-%d}")
    return history.at(history.day(number))


_SERVED: Final = "S2_MSIL2A"
"""The collection of the configuration that ``--serve`` prints."""


def _collections_with(wish: Wish) -> list[str]:
    """Return the collections that have the wanted bands.

    Raises
    ------
    ConfigError
        None of them has.
    """
    found = [name for name in COLLECTIONS if not list(wish_problems(wish, [name]))]
    if not found:
        key, problem = next(chain(wish_problems(wish, list(COLLECTIONS)), wish_problems(wish, list(COLLECTIONS)[:1])))
        raise ConfigError(f"--{key}: {problem}")
    return found


def _make_scenes(count: int, collections: Collection[str]) -> list[Scene]:
    """Make so many scenes of these collections."""
    if len(collections) == len(COLLECTIONS):
        return make_scenes(count, size=SIZE)
    return [scene for scene in make_scenes(5 * count + 20, size=SIZE) if scene.collection in collections][:count]


def _log_scenes(scenes: Sequence[Scene]) -> int:
    for collection in COLLECTIONS:
        sizes = [scene.size for scene in scenes if scene.collection == collection]
        log.info("  %-10s  %2d would be pulled, %s", collection, len(sizes), format_bytes(sum(sizes)))
    return 0


def _select_faults(names: Sequence[str]) -> list[Fault]:
    """Return the named faults; ``all`` is each but the login, which stops the run."""
    for name in names:
        if name not in {"all", "list", *FAULTS}:
            word = f"{name!r}{did_you_mean(name, FAULTS)}"
            raise ConfigError(f"--fault: expected all, list or a fault that --fault list names, found {word}")
    if "all" in names:
        return [fault for fault in FAULTS.values() if fault.name != "login"]
    return [FAULTS[name] for name in dict.fromkeys(names) if name != "list"]


def _assign_faults(faults: Sequence[Fault], scenes: Sequence[Scene]) -> dict[str, Fault | tuple[Fault, ...]]:
    """Assign each fault to a product of its own; those of the catalogue are applied one after the other."""
    pages = tuple(fault for fault in faults if fault.name.startswith("catalogue-"))
    archives = [fault for fault in faults if fault not in pages]
    dealt: dict[str, Fault | tuple[Fault, ...]] = {
        scene.identifier: fault for scene, fault in zip(scenes, archives, strict=False)
    }
    return {**dealt, "catalogue": pages} if pages else dealt


def _served_first(scenes: Sequence[Scene]) -> list[Scene]:
    """Order scenes so that the collection of the printed configuration gets the faults."""
    return sorted(scenes, key=lambda scene: scene.collection != _SERVED)


def _products(report: Path) -> list[dict[str, Any]]:
    products: list[dict[str, Any]] = json.loads(report.read_bytes())["products"]
    return products


def _list_faults() -> int:
    for fault in FAULTS.values():
        sys.stdout.write(f"{fault.name:18} {fault.summary}{'' if fault.recoverable else ' (not recoverable)'}\n")
    return 0


async def _serve(server: DemoServer) -> int:
    """Serve until Ctrl-C; a matching config.json is written to stdout."""
    config = {
        "base_url": server.url,
        "parameters": {"parentIdentifier": _SERVED, "count": None},
        "output_directory": "downloads",
    }
    sys.stdout.write(json_text(config, indent=2) + "\n")
    sys.stdout.flush()
    log.info("%s in %s. Ctrl-C ends it.", plural(len(server.scenes), "product"), ", ".join(COLLECTIONS))
    await asyncio.Event().wait()
    return 0


_NEVER_SEEN: Final = {"status": "never seen", "bytes": 0, "attempts": 0}


@dataclass(frozen=True, slots=True)
class _Pull:
    """The result of one download of all collections."""

    outcomes: dict[str, dict[str, Any]]
    seconds: float
    archive_bytes: int

    def count(self, status: str) -> int:
        return sum(outcome["status"] == status for outcome in self.outcomes.values())


def _downloaded_bytes(products: Iterable[dict[str, Any]]) -> int:
    """Return the size of the archives and members; what moved for them is more where a range was transferred twice."""
    paths = [Path(product["path"]) for product in products if product["status"] == "downloaded"]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.SAFE/**/*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


class DemoRun:
    """One demonstration: everything is downloaded, and then once more."""

    def __init__(self, server: DemoServer, args: Namespace, console: ConsoleHandler) -> None:
        self._server = server
        self._args = args
        self._console = console
        self._faults = _select_faults(args.fault)
        config = load_config(None, environ={}, flags=args.flags, needs_collection=False)
        config.needed_folder("demo", "demo --serve serves the same catalogue, and download takes it from there")
        self._wish = config.parts.wish
        self._flags = {**(FAULT_SETTINGS if self._faults else {}), **args.flags, "base_url": server.url}
        if "output_directory" not in self._flags:
            self._flags["output_directory"] = tempfile.mkdtemp(prefix="collgs-demo-")

    async def run(self) -> int:
        total = format_bytes(sum(scene.size for scene in self._server.scenes))
        log.info("An embedded catalogue listens on %s.", self._server.origin)
        collections = {scene.collection for scene in self._server.scenes}
        numbers = plural(len(self._server.scenes), "product"), total, plural(len(collections), "collection")
        log.info("It lists %s, %s of archives, in %s.", *numbers)
        log.info("")
        what = f"Pulling of each {self._wish}" if self._wish else "Pulling all of them"
        log.info("%s into %s:", what, self._flags["output_directory"])
        first = await self._pull()
        log.info("")
        log.info("The same once more:")
        second = await self._pull()
        log.info("")
        if self._faults:
            self._log_faults(first)
        self._log_result(first, second)
        return 0 if self._is_as_expected(first, second) else 1

    async def _pull(self) -> _Pull:
        self._server.forget()
        outcomes: dict[str, dict[str, Any]] = {}
        begun = time.monotonic()
        for collection in dict.fromkeys(scene.collection for scene in self._server.scenes):
            outcomes |= await self._pull_collection(collection)
        archives = [hit for hit in self._server.requests if hit.path.startswith("/repository/") and hit.status < 300]
        return _Pull(outcomes, time.monotonic() - begun, sum(hit.sent for hit in archives))

    async def _pull_collection(self, name: str) -> dict[str, dict[str, Any]]:
        config = load_config(None, environ={}, flags={**self._flags, "parameters.parentIdentifier": name})
        with tempfile.TemporaryDirectory(prefix="collgs-report-") as folder:
            path = Path(folder, "report.json")
            with self._console.progress(config, self._args) as progress:
                async with Client(config, progress, credentials=lambda: Credentials("demo", "demo")) as client:
                    report = await client.download_all(report=path)
            products = _products(path)
        log.info(
            "  %-10s  %2d downloaded, %2d already here, %d failed   %s in %s",
            name,
            report.downloaded,
            report.skipped,
            report.failed,
            format_bytes(_downloaded_bytes(products)),
            format_duration(report.seconds),
        )
        return {product["id"]: product for product in products}

    def _log_faults(self, first: _Pull) -> None:
        log.info("What the store did wrong, and what came of it:")
        for scene, fault in zip(self._server.scenes, self._archive_faults(), strict=False):
            outcome = first.outcomes.get(scene.identifier, _NEVER_SEEN)
            came = {"downloaded": "arrived whole", "failed": "not had"}.get(outcome["status"], outcome["status"])
            share = outcome["bytes"] / scene.size
            log.info(
                "  %-18s %-13s  %s, %.2f times its size moved",
                fault.name,
                came,
                plural(outcome["attempts"], "request"),
                share,
            )
        log.info("")

    def _log_result(self, first: _Pull, second: _Pull) -> None:
        size, total = _downloaded_bytes(first.outcomes.values()), sum(scene.size for scene in self._server.scenes)
        log.info(
            "First run: %s downloaded and verified, %s in %s.",
            ("parts of " if self._wish else "") + plural(first.count("downloaded"), "archive"),
            share_of(size, total) if self._wish else format_bytes(size),
            format_duration(first.seconds),
        )
        log.info(
            "Second run: %s already here; %s of archives moved, in %.1f s.",
            plural(second.count("skipped"), "was", "were"),
            format_bytes(second.archive_bytes),
            second.seconds,
        )
        log.info("The files are in %s", self._flags["output_directory"])

    def _archive_faults(self) -> list[Fault]:
        return [fault for fault in self._faults if not fault.name.startswith("catalogue-")]

    def _is_as_expected(self, first: _Pull, second: _Pull) -> bool:
        """Check the result: everything recoverable is here, and nothing was transferred twice."""
        lost = {
            scene.identifier
            for scene, fault in zip(self._server.scenes, self._archive_faults(), strict=False)
            if not fault.recoverable
        }
        missing = {name for name, outcome in first.outcomes.items() if outcome["status"] == "failed"}
        complete = len(first.outcomes) == len(self._server.scenes)
        nothing_moved = second.archive_bytes == 0 or bool(lost)
        skipped = len(self._server.scenes) - len(lost)
        return complete and missing == lost and nothing_moved and second.count("skipped") == skipped
