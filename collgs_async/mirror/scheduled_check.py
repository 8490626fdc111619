"""Scheduled checks: verify the archives that were verified longest ago, and repair what is damaged.

A check of 1 % a day has read everything after 100 days. Each archive is read once: its members are compared with their
CRC-32, and its SHA-256 is computed in the same pass, noted where the ledger has none, and compared where it has one.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.errors import (
    CatalogueError,
    ConfigError,
    NotAvailableError,
    ProductError,
)
from collgs_async.ledger.check_records import bad_files, earlier_damage, oldest_files
from collgs_async.ledger.hand_in import hand_in
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.recorder import OutcomeRecorder
from collgs_async.ledger.taking_in import take_in_if_free
from collgs_async.models.product import Status
from collgs_async.models.progress import SilentProgress
from collgs_async.models.text import format_bytes, plural
from collgs_async.storage.archive_reading import never, quoted
from collgs_async.storage.audit import RecordedFile, verify_files
from collgs_async.storage.verify import DamagedMembersError, Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from collgs_async.client import Client
    from collgs_async.config.settings import Config
    from collgs_async.ledger.check_records import FileToCheck
    from collgs_async.mirror.context import Mirror
    from collgs_async.storage.audit import CheckedFile
    from collgs_async.storage.audit_results import AuditProgress, DamagedArchive, FolderAudit

__all__ = ["CheckResult", "check_oldest", "check_share", "repair_bad"]

log = logging.getLogger("collgs_async")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a scheduled check has found.

    Attributes
    ----------
    audit
        The archives that were read.
    missing
        Number of archives that the ledger has, and the folder has not.
    """

    audit: FolderAudit
    missing: int

    @property
    def ok(self) -> bool:
        """Whether no archive is damaged or missing; also if the time was over before all were read."""
        return self.audit.ok and not self.missing


async def check_share(
    config: Config,
    share: float | str,
    progress: AuditProgress,
    *,
    manifest: bool = False,
    until: Callable[[], bool] = never,
) -> CheckResult:
    """Verify a share of the archives of an output folder, as ``verify --oldest`` does.

    What is found reaches the ledger by the spool, so that a check of hours keeps no other run from writing it; at the
    end it is taken in, unless another run is writing the ledger: then that does it, or the next one.

    Parameters
    ----------
    share
        Bytes, or a share of all bytes such as ``1%``.
    manifest
        Whether members are also compared with the manifest of their product.
    until
        Called before each archive; returns True if no more is to be begun.

    Raises
    ------
    ConfigError
        The folder has no ledger.
    LedgerError
        The ledger is damaged, or cannot be read.
    """
    paths = LedgerPaths.of(config)
    if not await asyncio.to_thread(paths.database.exists):
        raise ConfigError(f"--oldest: expected a ledger of {paths.folder}, found none: 'collgs-async sync' makes one")
    await take_in_if_free(paths)
    async with Ledger.read(paths) as ledger:
        files = await ledger.run(oldest_files, share)
        async with hand_in(config, "verify", how="manifest" if manifest else Level.CRC) as note:
            result = await _check(paths.folder, files, progress, note, manifest=manifest, until=until)
        await _tell_of_disk(ledger, paths.folder, files, result.audit.bad)
    await take_in_if_free(paths)
    return result


async def check_oldest(mirror: Mirror, until: Callable[[], bool] = never) -> CheckResult | None:
    """Verify the share of a mirror that its settings ask for (``keep.verify_oldest``); None: they ask for none.

    A damaged archive is noted, and wanted again: `repair_bad` of the next run repairs it.
    """
    share, paths = mirror.config.keep.verify_oldest, mirror.ledger.paths
    if share is None:
        return None
    files = await mirror.ledger.run(oldest_files, share)
    async with _recorder(mirror) as recorder:
        result = await _check(paths.folder, files, SilentProgress(), recorder.add, until=until)
    await _tell_of_disk(mirror.ledger, paths.folder, files, result.audit.bad)
    if files:
        log.info("scheduled check: %s", result.audit, extra={"colour": "green" if result.ok else "red"})
    return result


def _recorder(mirror: Mirror) -> OutcomeRecorder:
    return OutcomeRecorder(
        mirror.ledger.paths,
        how=Level.CRC,
        words="sync",
        ledger=mirror.ledger,
        run=mirror.run,
        clock=mirror.clock,
    )


async def _check(
    folder: Path,
    files: Sequence[FileToCheck],
    progress: AuditProgress,
    note: Callable[[CheckedFile], None],
    *,
    manifest: bool = False,
    until: Callable[[], bool] = never,
) -> CheckResult:
    here = await asyncio.to_thread(_existing, folder, files)
    for file in files:
        if file.path not in here:
            log.error("%s: it is not here any more; the next sync fetches it again", folder / file.path)
    recorded = {
        here[file.path]: RecordedFile(file.size, file.mtime, file.sha256.hex())
        for file in files
        if file.path in here and file.size is not None and file.mtime is not None and file.sha256 is not None
    }
    audit = await verify_files(
        here,
        Level.CRC,
        progress,
        manifest=manifest,
        hashed=True,
        recorded=recorded,
        on_checked=lambda one: None if has_vanished(one) else note(one),
        until=until,
    )
    return CheckResult(audit, len(files) - len(here))


def _existing(folder: Path, files: Sequence[FileToCheck]) -> dict[str, Path]:
    """Return those that are there, whatever they are, by their names."""
    return {file.path: path for file in files if _is_there(path := folder / file.path)}


def has_vanished(one: CheckedFile) -> bool:
    """Whether an archive was moved or removed before it was read, which is no damage."""
    return one.size is None and not isinstance(one.found, Verdict) and not _is_there(one.path)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it cannot be looked at, and reading it says why
    return True


async def _tell_of_disk(
    ledger: Ledger, folder: Path, files: Sequence[FileToCheck], bad: Sequence[DamagedArchive]
) -> None:
    """Say which archives are damaged again, and elsewhere: a disk that does that loses more."""
    products = {folder / file.path: file.product for file in files}
    for one in bad:
        if isinstance(one.problem, DamagedMembersError):
            before = await ledger.run(earlier_damage, products[one.path])
            if is_damaged_elsewhere([quoted(name) for name in one.members], before, str(one.problem)):
                log.error("%s: it was damaged before, at another member: this disk loses bytes", one.path)


def is_damaged_elsewhere(members: Sequence[str], before: Sequence[str], now: str) -> bool:
    """Whether earlier checks have found an archive damaged, and none of them one of these members.

    Parameters
    ----------
    members
        The damaged ones, as messages quote them.
    before, now
        What the earlier checks have said, and this one, which may be among them already.
    """
    earlier = [said for said in before if now not in said]
    return bool(earlier) and not any(name in said for said in earlier for name in members)


async def repair_bad(mirror: Mirror, client: Client, until: Callable[[], bool] = never) -> tuple[int, int]:
    """Repair the archives that checks have found damaged: only their damaged members are downloaded again.

    Each is verified once more for that, and one that is right by now is noted as right. One that cannot be repaired is
    tried again as other failed downloads are; one that the catalogue does not list stays as it is until it does.

    Parameters
    ----------
    client
        Of the same settings; only products of its collection are repaired.
    until
        Called before each archive; returns True if no more is to be begun.

    Returns
    -------
    tuple
        The numbers of those that are right now, and of the others.

    Raises
    ------
    AuthenticationError, StorageError
        As for `Client.repair`.
    """
    ledger, paths = mirror.ledger, mirror.ledger.paths
    collection, now = mirror.config.needed_query().collection, mirror.clock()
    repaired = failed = 0
    async with _recorder(mirror) as recorder:
        for file in await ledger.run(bad_files, collection, now):
            if until():
                break
            checked = await _check(paths.folder, [file], SilentProgress(), recorder.add)
            if checked.missing:
                continue
            is_right = checked.ok or await _repair(client, checked.audit.bad[0], recorder)
            repaired, failed = repaired + is_right, failed + (not is_right)
    if repaired or failed:
        log.info("%s of %s repaired", repaired, plural(repaired + failed, "damaged archive"))
    return repaired, failed


async def _repair(client: Client, one: DamagedArchive, recorder: OutcomeRecorder) -> bool:
    """Repair an archive, and return whether it is right now."""
    try:
        if one.is_tree:
            outcome = await client.repair_members(one.path, one.members)
        else:
            outcome = await client.repair(one.path, one.damaged)
    except (ProductError, CatalogueError) as error:
        log.error("%s: not repaired: %s", one.path, error)
        return False
    if outcome.status is not Status.DOWNLOADED:
        log.error("%s: not repaired: %s", one.path, outcome.error or outcome.reason)
    if isinstance(outcome.error, NotAvailableError):
        return False  # nothing was touched, and it stays wanted
    recorder.add(outcome)
    await recorder.flush()
    if outcome.status is not Status.DOWNLOADED:
        return False
    log.info("%s: repaired, %s fetched", one.path, format_bytes(outcome.bytes))
    return True
