"""``ledger``: what is done with the ledger of a folder and the archives in it, without the catalogue."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from collgs_async.cli.commands.status import existing_ledger
from collgs_async.cli.settings import read_settings
from collgs_async.errors import ConfigError
from collgs_async.ledger.export import export_products
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.rebuild import rebuild
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.mirror.relocate import relocate
from collgs_async.models.text import plural, printable
from collgs_async.reporting.ledger_export import write_export

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Coroutine

    from collgs_async.config.settings import Config
    from collgs_async.mirror.relocate import Relocation

__all__ = ["ledger_action"]

log = logging.getLogger("collgs_async")


def ledger_action(args: Namespace) -> Coroutine[None, None, int]:
    """Return what an action does.

    Raises
    ------
    ConfigError
        There is no ledger to export, or no folder to make one for.
    """
    config = read_settings(args, is_local=True)
    if args.action == "export":
        return _export(existing_ledger(config), args.format)
    if not config.folder.is_dir():
        folder = config.folder.absolute()
        raise ConfigError(f"--output: expected a folder with archives, found nothing at {folder}")
    if args.action == "rebuild":
        return _rebuild(LedgerPaths.of(config))
    return _move_to_layout(config, dry_run=args.dry_run)


async def _export(paths: LedgerPaths, form: str) -> int:
    """Write all products; warn of archives without a checksum where checksums are written."""
    async with Ledger.read(paths) as ledger:
        left_out = await write_export(export_products(ledger), form, sys.stdout)
    if left_out:
        log.warning("%s without a known SHA-256 left out", plural(left_out, "archive"))
    return 0


async def _rebuild(paths: LedgerPaths) -> int:
    """Make the ledger agree with the archives that are here."""
    rebuilt = await rebuild(paths)
    log.info("%s", rebuilt, extra={"colour": "green" if rebuilt.ok else "red"})
    if rebuilt.is_refused:
        missing = plural(rebuilt.missing, "archive")
        log.error("%s recorded and not here: is a disk missing? nothing was noted of them", missing)
    return 0 if rebuilt.ok else 1


async def _move_to_layout(config: Config, *, dry_run: bool) -> int:
    """Move all archives of the output folder to where its layout puts them, or print what would be moved."""
    paths, layout = LedgerPaths.of(config), config.keep.layout
    on_move = _print if dry_run else _debug
    if not paths.database.exists():
        async with nullcontext() if dry_run else FolderLock(paths.sync):
            report = await relocate(paths.folder, layout, None, dry_run=dry_run, on_move=on_move)
    elif dry_run:
        async with Ledger.read(paths) as ledger:
            report = await relocate(paths.folder, layout, ledger, dry_run=True, on_move=on_move)
    else:
        async with ExclusiveRun(paths, "ledger relocate") as exclusive:
            run, now = exclusive.run, exclusive.begun
            report = await relocate(paths.folder, layout, exclusive.ledger, run=run, now=now, on_move=on_move)
            await exclusive.end(_code(report))
    _log(report, str(layout or "flat"), dry_run=dry_run)
    return _code(report)


def _code(report: Relocation) -> int:
    return 1 if report.left else 0


def _print(path: str, to: str) -> None:
    sys.stdout.write(f"{printable(path)} -> {printable(to)}\n")


def _debug(path: str, to: str) -> None:
    log.debug("%s -> %s", path, to)


def _log(report: Relocation, layout: str, *, dry_run: bool) -> None:
    for path, why in report.left:
        log.warning("%s: left where it is: %s", path, why)
    words = "would be moved" if dry_run else "moved"
    rest = f", {report.right} lie right" if report.right else ""
    left = f", {len(report.left)} left where they are" if report.left else ""
    log.info("%s %s to %s%s%s", plural(report.moved, "product"), words, layout, rest, left)
