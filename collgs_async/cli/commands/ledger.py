"""``ledger``: what is done with the ledger of a folder and the archives in it, without the catalogue."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from collgs_async.errors import ConfigError
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.mirror.exclusive import ExclusiveRun
from collgs_async.mirror.relocate import relocate
from collgs_async.models.text import plural, printable

if TYPE_CHECKING:
    from collgs_async.config.settings import Config
    from collgs_async.mirror.relocate import Relocation

__all__ = ["move_to_layout"]

log = logging.getLogger("collgs_async")


async def move_to_layout(config: Config, *, dry_run: bool) -> int:
    """Move all archives of the output folder to where its layout puts them, or print what would be moved."""
    paths, layout = LedgerPaths.of(config), config.keep.layout
    if not paths.folder.is_dir():
        raise ConfigError(f"--output: expected a folder with archives, found nothing at {paths.folder}")
    on_move = _print if dry_run else _debug
    if not paths.database.exists():
        async with nullcontext() if dry_run else FolderLock(paths.sync):
            report = await relocate(paths.folder, layout, None, dry_run=dry_run, on_move=on_move)
    elif dry_run:
        async with Ledger.read(paths) as ledger:
            report = await relocate(paths.folder, layout, ledger, dry_run=True, on_move=on_move)
    else:
        async with ExclusiveRun(paths, "ledger relocate") as exclusive:
            run, now = exclusive.run, exclusive.now
            report = await relocate(paths.folder, layout, exclusive.ledger, run=run, now=now, on_move=on_move)
            exclusive.code = _code(report)
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
