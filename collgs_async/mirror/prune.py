"""Move or delete archives that are not wanted any more, as policies say; the only command that removes archives.

An archive is superseded only by one that was read from the disk, with every checksum right: for deletion in this run.
What is moved lies in ``.collgs/old/<reason>/<month>`` below the output folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import CollgsError, FileError
from collgs_async.ledger.moves import DELETED, Move, begin_moves, cancel_moves, end_moves
from collgs_async.ledger.paths import OLD
from collgs_async.ledger.records import State
from collgs_async.ledger.removal_records import count_held, set_state
from collgs_async.mirror.deprecation import deprecate_item
from collgs_async.mirror.moving import free_path, move_files, remove_empty, remove_files, stem_of, sync_folders
from collgs_async.mirror.removals import Reason, find_removals
from collgs_async.mirror.successors import SuccessorCheck
from collgs_async.models.timing import wait_completed
from collgs_async.reporting.stac_catalogs import refresh_catalogs
from collgs_async.storage.executor import in_thread
from collgs_async.storage.lock import ProductLock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.config.keep_options import KeepOptions
    from collgs_async.ledger.ledger import Ledger
    from collgs_async.mirror.removals import Removal

__all__ = ["PrunePlan", "PruneReport", "plan_prune", "prune"]

T = TypeVar("T")

_LEAST: Final = 10
"""Archives that may be deleted in one run, however few there are."""

_STATES: Final = {Reason.SUPERSEDED: State.SUPERSEDED, Reason.WITHDRAWN: State.WITHDRAWN, Reason.AGED: State.AGED}


@dataclass(slots=True)
class PruneReport:
    """What was removed.

    Attributes
    ----------
    moved, deleted
        The number of products whose files were moved out of the way, or deleted.
    freed
        Bytes that deleting has set free.
    left
        Names of products that stay, and why.
    folders
        Where something was removed.
    """

    moved: int = 0
    deleted: int = 0
    freed: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What is to be removed.

    Attributes
    ----------
    removals
        In this run, those that are moved first.
    later
        The number of those beyond the most that one run deletes.
    wanted
        The number of those that stay, as another configuration of the folder wants them.
    """

    removals: tuple[Removal, ...]
    later: int
    wanted: int = 0


async def plan_prune(ledger: Ledger, keep: KeepOptions, *, now: int) -> PrunePlan:
    """Return what the policies say is to be removed; nothing is changed.

    Parameters
    ----------
    now
        Milliseconds UTC.
    """
    removals, wanted = await ledger.run(find_removals, keep, now=now)
    held = await ledger.run(count_held)
    most = max(_LEAST, int(held * keep.max_delete / 100))
    moves = [one for one in removals if one.policy == "move"]
    deletions = [one for one in removals if one.policy == "delete"]
    return PrunePlan((*moves, *deletions[:most]), max(0, len(deletions) - most), wanted)


async def prune(
    ledger: Ledger,
    plan: PrunePlan,
    *,
    run: int,
    clock: Callable[[], int],
    on_removed: Callable[[Removal, str | None], None] = lambda *_: None,
) -> PruneReport:
    """Move and delete what was planned, one archive after the other; the caller holds the lock of the output folder.

    Parameters
    ----------
    run
        The number of this run in the ledger.
    clock
        Returns milliseconds UTC.
    on_removed
        Called with each archive, and why it stays; None: it was removed.

    Raises
    ------
    LedgerError
        The ledger cannot be read or written.
    """
    report = PruneReport()
    check = SuccessorCheck(ledger, run=run, now=clock())
    for removal in plan.removals:
        why = await check.problem(removal) or await _remove(ledger, removal, check, report, run=run, now=clock())
        if why is not None:
            report.left.append((removal.identifier, why))
        on_removed(removal, why)
    if report.folders:
        await _in_thread(partial(_tidy, ledger.paths.folder, report.folders))
    return report


def _tidy(top: Path, folders: Collection[Path]) -> None:
    """Write the STAC catalogs anew, and remove folders that are empty."""
    refresh_catalogs(top, folders)
    remove_empty(folders, top)


async def _remove(
    ledger: Ledger, removal: Removal, check: SuccessorCheck, report: PruneReport, *, run: int, now: int
) -> str | None:
    """Remove one archive, between two commits of the ledger; return why it stays, None if it does not."""
    top, edition = ledger.paths.folder, removal.edition
    path = edition.path or ""
    to = (
        DELETED
        if removal.policy == "delete"
        else await _in_thread(partial(free_path, top, f"{OLD}/{removal.reason}", path, now))
    )
    move = Move(edition.id, removal.identifier, path, to)
    await ledger.run(begin_moves, [move])
    try:
        freed = await _in_thread(partial(_carry_out, top, removal, to, check))
    except (CollgsError, OSError) as error:
        await ledger.run(cancel_moves, [move])
        return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    await ledger.run(_note_removal, move, removal, run=run, now=now)
    report.folders.add((top / path).parent)
    if to == DELETED:
        report.deleted += 1
        report.freed += freed
    else:
        report.moved += 1
    return None


async def _in_thread(work: Callable[[], T]) -> T:
    return await wait_completed(in_thread(None, work))


def _carry_out(top: Path, removal: Removal, to: str, check: SuccessorCheck) -> int:
    """Move or delete the files of a product; return how many bytes are free now."""
    old = top / (removal.edition.path or "")
    stem, lock = stem_of(old), ProductLock(old.with_name(f"{stem_of(old)}.zip.part"))
    if not os.path.lexists(old):
        raise FileError(f"{old} is not there")
    if old.is_symlink():
        raise FileError(f"{old} is a symbolic link")
    if not lock.acquire():
        raise FileError("another run is fetching it")
    try:
        if not check.is_unchanged(removal):
            raise FileError("its newer edition has changed meanwhile")
        if to == DELETED:
            freed = remove_files(stem, old.parent)
            sync_folders([old.parent], top)
        else:
            new, freed = top / to, 0
            move_files(stem, old.parent, new.parent)
            sync_folders([old.parent, new.parent], top)
            deprecate_item(new.with_name(f"{stem}.stac.json"), [top / (one.path or "") for one in removal.successors])
    finally:
        lock.release()
    return freed


def _note_removal(connection: Connection, move: Move, removal: Removal, *, run: int, now: int) -> None:
    """Write down that an archive was removed, and why."""
    by = f" by {removal.successors[0].product.identifier}" if removal.successors else ""
    end_moves(connection, [move], run=run, now=now, why=f"{removal.reason}{by}")
    set_state(connection, [move.product], _STATES[removal.reason])
