"""``status``: tell the state of a mirror, or all that has happened to one product."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collgs_async.errors import ConfigError
from collgs_async.http.messages import json_text
from collgs_async.ledger.details import read_details
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.overview import read_overview
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.spool import waiting_files
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.text import plural
from collgs_async.reporting.status import details_lines, details_values, overview_lines, overview_values

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from collgs_async.config.settings import Config
    from collgs_async.ledger.details import ProductDetails

__all__ = ["existing_ledger", "status"]

log = logging.getLogger("collgs_async")


def existing_ledger(config: Config) -> LedgerPaths:
    """Return the files of the ledger that a command needs.

    Raises
    ------
    ConfigError
        There is no ledger.
    """
    paths = LedgerPaths.of(config)
    if not paths.database.exists() and not paths.database.is_symlink():
        flag, place = ("--ledger", paths.database) if config.keep.ledger else ("--output", paths.folder)
        words = "expected a ledger" if config.keep.ledger else "expected a folder with a ledger"
        raise ConfigError(f"{flag}: {words}, found none at {place}; sync or ledger rebuild makes one")
    return paths


async def status(paths: LedgerPaths, args: Namespace) -> int:
    """Write the state of all, or of the named products."""
    now = datetime.now(UTC)
    found: list[ProductDetails] = []
    missing: list[str] = []
    async with Ledger.read(paths) as ledger:
        if not args.products:
            overview = await ledger.run(read_overview)
            free, waiting = await asyncio.to_thread(lambda: (_free(paths.folder), waiting_files(paths.spool)))
            if waiting:
                runs = plural(waiting, "run")
                log.info("note: the outcomes of %s are not in the ledger yet; the next sync takes them in", runs)
            if args.format == "json":
                _write([json_text(overview_values(overview, paths.folder, now=now, free=free))])
            else:
                _write(overview_lines(overview, paths.folder, now=now, free=free))
            return 0
        for name in args.products:
            details = await ledger.run(read_details, name)
            if details is None:
                missing.append(name)
            else:
                found.append(details)
    if args.format == "json":
        _write([json_text(details_values(one)) for one in found])
    else:
        for one in found:
            _write(details_lines(one, now=now))
    if missing:
        raise ConfigError([f"PRODUCT: expected a product of the ledger, found {quote_value(name)}" for name in missing])
    return 0


def _write(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _free(folder: Path) -> tuple[int, int] | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free, usage.total
