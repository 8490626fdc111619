"""``verify``: check the archives of a folder, and repair them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.cli.settings import read_settings
from collgs_async.config import kinds
from collgs_async.errors import CollgsError, ConfigError, ProductError
from collgs_async.ledger.hand_in import hand_in
from collgs_async.models.product import EXISTS, Status
from collgs_async.models.progress import SilentProgress
from collgs_async.models.text import format_bytes, plural
from collgs_async.storage.audit import verify_folder
from collgs_async.storage.verify import Level

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from pathlib import Path

    from collgs_async.cli.console import ConsoleHandler
    from collgs_async.config.settings import Config
    from collgs_async.storage.audit_results import DamagedArchive, FolderAudit

__all__ = ["read_verify", "verify"]

log = logging.getLogger("collgs_async")


def read_verify(args: Namespace) -> tuple[Path, Config]:
    """Load the settings of a command that rarely queries the catalogue, and so needs no collection."""
    config = read_settings(args, needs_collection=args.repair, is_local=not args.repair)
    level = Level(config.download_options.verify)
    if args.manifest and level is not Level.CRC:
        raise ConfigError(f"--manifest: expected --verify {Level.CRC}, which reads each file, found {level}")
    if args.oldest is not None:
        args.oldest = kinds.SHARE.check("--oldest", args.oldest)
        if level is not Level.CRC:
            raise ConfigError(f"--oldest: expected --verify {Level.CRC}, which reads each file, found {level}")
    folder: Path = args.folder or config.folder
    if not folder.exists():
        raise ConfigError(f"DIR: expected a folder with archives, found nothing at {folder}: it is missing")
    top = _mirror_of(folder, config).folder
    if args.oldest is not None and folder.absolute() != top.absolute():
        raise ConfigError(f"--oldest: expected all of {top}, whose ledger it goes by, found {folder}")
    return folder, config


async def verify(folder: Path, config: Config, args: Namespace, console: ConsoleHandler) -> int:
    """Verify the archives of a folder, several at once; list the damaged ones."""
    if args.oldest is not None:
        return await _verify_oldest(folder, config, args, console)
    level = Level(config.download_options.verify)
    async with hand_in(_mirror_of(folder, config), "verify", how="manifest" if args.manifest else level) as note:
        with console.progress(config, args) as progress:
            audit = await verify_folder(folder, level, progress, manifest=args.manifest, on_checked=note)
    return await _conclude(audit, config, args)


async def _verify_oldest(folder: Path, config: Config, args: Namespace, console: ConsoleHandler) -> int:
    """Verify the archives that were verified longest ago; return 3 if the time for it was over before."""
    from collgs_async.mirror.scheduled_check import check_share  # slow to import
    from collgs_async.mirror.time_limit import TimeLimit

    mirror, until = _mirror_of(folder, config), TimeLimit(config.download_options)
    with console.progress(config, args) as progress:
        result = await check_share(mirror, args.oldest, progress, manifest=args.manifest, until=until)
    code = await _conclude(result.audit, config, args) or int(result.missing > 0)
    return code or (3 if result.audit.left else 0)


async def _conclude(audit: FolderAudit, config: Config, args: Namespace) -> int:
    """Say what was found, and repair what is damaged, if that is asked for."""
    log.info("%s", audit, extra={"colour": "green" if audit.ok else "red"})
    if args.repair and args.dry_run:
        _log_repairs(audit.bad)
    elif args.repair and not audit.ok:
        return await _repair(audit.bad, config, manifest=args.manifest)
    return 0 if audit.ok else 1


def _mirror_of(folder: Path, config: Config) -> Config:
    """Return the settings of the output folder that a folder, or a single archive, is in; else it is one itself."""
    if config.store_url is None and folder.absolute().is_relative_to(config.folder.absolute()):
        return config
    return replace(config, output_directory=folder if folder.is_dir() else folder.parent)


def _log_repairs(bad: Sequence[DamagedArchive]) -> None:
    for one in bad:
        damaged = sum(end - first for first, end in one.damaged)
        what = plural(len(one.members), "member") if one.is_tree else format_bytes(damaged)
        if one.is_tree and not one.members:
            log.error("%s: cannot be repaired: %s", one.path, one.problem)
            continue
        log.info("%s: would be repaired%s", one.path, f", {what} of it" if damaged or one.is_tree else "")
    log.info("%d would be repaired", sum(bool(one.members) or not one.is_tree for one in bad))


async def _repair(bad: Sequence[DamagedArchive], config: Config, *, manifest: bool) -> int:
    """Repair each damaged archive or tree that the catalogue lists."""
    from collgs_async.client import Client

    repaired = 0
    for one in bad:
        if one.is_tree and not one.members:
            log.error("%s: not repaired: %s", one.path, one.problem)
            continue
        # In its own folder, whatever the layout.
        beside = replace(config, output_directory=one.path.parent, keep=replace(config.keep, layout=None))
        async with Client(beside) as client:
            try:
                repair = client.repair_members(one.path, one.members) if one.is_tree else None
                outcome = await (repair or client.repair(one.path, one.damaged))
            except ProductError as error:
                log.error("%s: not repaired: %s", one.path, error)
                continue
            except CollgsError as error:
                log.error("%s: %s", one.path, error)
                return 1
        if outcome.status is Status.DOWNLOADED:
            if manifest and not (await verify_folder(one.path, Level.CRC, SilentProgress(), manifest=True)).ok:
                log.error("%s: not repaired: its store has the same bytes", one.path)
                continue
            repaired += 1
            log.info("%s: repaired, %s fetched", one.path, format_bytes(outcome.bytes))
        else:
            why = "the whole archive is here" if outcome.reason == EXISTS else "another run is fetching it"
            log.error("%s: not repaired: %s", one.path, outcome.error or why)
    log.info("%d of %d repaired", repaired, len(bad))
    return 0 if repaired == len(bad) else 1
