"""``init``, ``download``, ``login`` and ``verify``, and the settings of all commands."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collgs_async.config.loading import load_config, sample_config
from collgs_async.errors import CollgsError, ConfigError
from collgs_async.models.product import Report, Status
from collgs_async.models.text import format_bytes

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from collgs_async.cli.console import ConsoleHandler
    from collgs_async.config.settings import Config
    from collgs_async.models.progress import Progress
    from collgs_async.selection.plan import Plan
    from collgs_async.storage.audit import DamagedArchive

__all__ = ["download", "initialise", "login", "read_config", "read_settings", "read_verify", "start_progress", "verify"]

log = logging.getLogger("collgs_async")

DEFAULT_CONFIG = Path("config.json")


def read_settings(args: Namespace, flags: Mapping[str, object], *, needs_collection: bool = False) -> Config:
    """Load the settings; a missing collection is an error only if one is needed."""
    file = DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None
    return load_config(args.config or file, environ=os.environ, flags=flags, needs_collection=needs_collection)


def read_config(args: Namespace, flags: dict[str, object]) -> Config:
    """Load the settings of a search, and log notes on reinterpreted values."""
    config = read_settings(args, flags, needs_collection=True)
    for note in config.query.notes if config.query else ():
        log.info("note: %s", note)
    return _read_stdin_identifiers(config)


def _read_stdin_identifiers(config: Config) -> Config:
    """Read identifiers from standard input now, since waiting for it could not be interrupted later."""
    if config.selection.ids != "-":
        return config
    from collgs_async.selection.identifiers import read_identifiers

    return replace(config, selection=replace(config.selection, ids=read_identifiers("-")))


def read_verify(args: Namespace, flags: dict[str, object]) -> tuple[Config, Path]:
    """Load the settings of a command that rarely queries the catalogue, and so needs no collection."""
    config = read_settings(args, flags, needs_collection=args.repair)
    folder = args.folder if args.folder else config.output_directory
    if not folder.exists():
        raise ConfigError(f"DIR: expected a folder with archives, found nothing at {folder}")
    return config, folder


def initialise(target: Path) -> int:
    """Write the sample configuration; never overwrite a file."""
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(sample_config())
    except FileExistsError:
        raise ConfigError(f"{target}: expected no file of this name, found one; it was left alone") from None
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from None
    name = "" if target == DEFAULT_CONFIG else f" --config {target}"
    log.warning("wrote %s: a sample that searches Sentinel-2 over Québec", target)
    log.warning("edit its parameters, look with `collgs-async search%s`, then run `collgs-async%s`", name, name)
    return 0


async def download(config: Config, args: Namespace, console: ConsoleHandler) -> int:
    """Download all matching products, or those of a plan."""
    from collgs_async.client import Client

    _check_listing_flags(args)
    plan = _plan(args)
    if args.dry_run:
        if args.report:
            raise ConfigError("--report: expected a run that fetches, found --dry-run")
        from collgs_async.cli.commands.search import search

        return await search(config, args, plan)
    progress = start_progress(config, args, console)
    client = Client(config, progress)
    failure: CollgsError | None = None
    interrupted = False
    try:
        async with client:
            await (client.run(report=args.report) if plan is None else client.pull(plan, report=args.report))
    except ConfigError:
        raise
    except CollgsError as error:
        failure = error
    except asyncio.CancelledError:
        interrupted = True
        raise
    finally:
        progress.close()
        console.write_line = None
        if failure is not None:
            log.error("%s", failure)
        if interrupted or client.report != Report():
            _summarise(client.report, config.output_directory, interrupted=interrupted)
    return 0 if client.report.ok and failure is None else 1


def _plan(args: Namespace) -> Plan | None:
    """Read the plan to download; None: run a search."""
    if not args.plan:
        return None
    from collgs_async.selection.plan import Plan

    return Plan.read(args.plan)


def _check_listing_flags(args: Namespace) -> None:
    """Refuse listing options without a listing: a user who wants to look must not start a download of terabytes."""
    given = {"--map": args.map, "--sort": args.sort, "--sizes": args.sizes, "--format": args.format != "table"}
    for flag, value in given.items():
        if value and not args.dry_run:
            raise ConfigError(f"{flag}: expected --dry-run or the command search beside it, found neither")


def start_progress(config: Config, args: Namespace, console: ConsoleHandler) -> Progress:
    """Choose the progress display, and let messages be written above it."""
    from collgs_async.models.progress import SilentProgress
    from collgs_async.reporting.bars import TqdmProgress
    from collgs_async.reporting.choice import choose_progress

    if args.log_json:
        return SilentProgress()
    progress = choose_progress(config.download_options.workers, quiet=args.quiet)
    if isinstance(progress, TqdmProgress):
        console.write_line = progress.write_line
    return progress


def _summarise(report: Report, folder: Path, *, interrupted: bool) -> None:
    from collgs_async.reporting.summary import summary_lines

    for line in summary_lines(report, folder, interrupted=interrupted):
        log.info("%s", line)


async def login(config: Config) -> int:
    """Check the credentials, and print the user."""
    from collgs_async.client import Client

    async with Client(config) as client:
        signed_in = await client.sign_in()
    log.info("%s", signed_in or "the store hands out archives without a sign-in")
    return 0


async def verify(folder: Path, config: Config, args: Namespace, console: ConsoleHandler) -> int:
    """Verify all archives of a folder, several at once; list the damaged ones."""
    from collgs_async.storage.audit import verify_folder

    progress = start_progress(config, args, console)
    try:
        audit = await verify_folder(folder, config.download_options, progress)
    finally:
        progress.close()
        console.write_line = None
    log.info("%s", audit)
    if args.repair and not audit.ok:
        return await _repair(audit.bad, config)
    return 0 if audit.ok else 1


async def _repair(bad: Sequence[DamagedArchive], config: Config) -> int:
    """Repair each damaged archive that the catalogue lists."""
    from collgs_async.client import Client

    repaired = 0
    for one in bad:
        beside = replace(config, output_directory=one.path.parent)
        async with Client(beside) as client:
            try:
                outcome = await client.repair(one.path, one.damaged)
            except CollgsError as error:
                log.error("%s: %s", one.path, error)
                return 1
        if outcome.status is Status.DOWNLOADED:
            repaired += 1
            log.info("%s: repaired, %s fetched", one.path, format_bytes(outcome.bytes))
        else:
            log.error("%s: not repaired: %s", one.path, outcome.error or "another run is fetching it")
    log.info("%d of %d repaired", repaired, len(bad))
    return 0 if repaired == len(bad) else 1
