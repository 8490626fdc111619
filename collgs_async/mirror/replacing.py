"""Put an archive that the store has replaced in the place of the one that is here, whatever is killed meanwhile.

The new one is fetched, under the same name, into ``.collgs/again``. Where the old one goes is committed first; then the
old one is moved there, the new one into its place, and a second commit ends it; only then the old one is deleted, if it
is to be. After a kill, what lies where says
which of these steps are to be made. So the final name is missing between two renames at most, and until the next run.
"""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import CollgsError, FileError
from collgs_async.ledger.change_records import (
    changes,
    count_changes,
    end_change,
    forget_change,
    note_asked,
    note_fetched,
    note_same,
    recorded_path,
)
from collgs_async.ledger.paths import OLD, OWN_FOLDER
from collgs_async.mirror.deprecation import deprecate_item
from collgs_async.mirror.moving import (
    beside,
    complete_move,
    free_path,
    move_files,
    remove_empty,
    remove_files,
    stem_of,
    sync_folders,
)
from collgs_async.mirror.strays import place_stray
from collgs_async.models.timing import wait_completed
from collgs_async.reporting.stac_catalogs import refresh_catalogs
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import create_folder, is_same_mtime
from collgs_async.storage.lock import ProductLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.config.keep_options import Policy
    from collgs_async.ledger.change_records import Change
    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.outcomes import OutcomeRecord

__all__ = ["AGAIN", "Replacer", "drop_again", "path_again"]

T = TypeVar("T")

log = logging.getLogger("collgs_async")

AGAIN: Final = f"{OWN_FOLDER}/again"
"""The folder, within the output folder, into which archives are fetched that are here in an older version."""

_MOVED: Final = f"{OLD}/replaced"


def path_again(top: Path, path: str | None) -> Path:
    """Return where the newer version of an archive is, which need not exist: it has the same name."""
    return top / AGAIN / PurePosixPath(path or "").name


class Replacer:
    """Puts newer archives in their places, in a run that has the lock of the output folder.

    Parameters
    ----------
    run
        The number of this run in the ledger.
    clock
        Returns milliseconds UTC.
    """

    def __init__(self, ledger: Ledger, run: int, clock: Callable[[], int]) -> None:
        self._ledger, self._run, self._clock = ledger, run, clock
        self._top = ledger.paths.folder
        self._folders: set[Path] = set()

    async def settle(self) -> None:
        """End what a killed run was replacing; to be called before anything else of a run.

        Raises
        ------
        LedgerError
            The ledger cannot be read or written.
        """
        for change in await self._ledger.run(changes):
            if change.is_done:
                await self._remove_old(change)
            elif change.is_obsolete:
                await _in_thread(partial(drop_again, self._top, change.path))
                await self._ledger.run(forget_change, change.number)
            elif change.record is not None:
                await self._replace(change)
        await self._settle_strays()
        await self.clear()

    async def _settle_strays(self) -> None:
        """Put complete archives into their places of which the ledger knows nothing, as after its loss."""
        known = {path_again(self._top, change.path) for change in await self._ledger.run(changes)}
        for new in await _in_thread(lambda: sorted((self._top / AGAIN).glob("*.zip"))):
            if new in known:
                continue
            recorded = await self._ledger.run(recorded_path, new.stem)
            try:
                final = await _in_thread(partial(place_stray, self._top, new, recorded, _MOVED))
            except (CollgsError, OSError) as error:
                log.error("%s: it is left there, and not put in its place: %s", new, error)
                continue
            if final:
                log.warning("%s: a killed run had fetched it, and it is in its place now", final)

    async def clear(self) -> None:
        """Write the STAC catalogs anew, and remove what is left of newer archives, once each one is in its place."""
        if self._folders:
            await _in_thread(partial(refresh_catalogs, self._top, self._folders))
        if not await self._ledger.run(count_changes):
            await _in_thread(partial(_clear, self._top / AGAIN))

    async def take(self, change: Change, record: OutcomeRecord, policy: Policy) -> bool | None:
        """Put a complete newer archive in its place, unless it has the same bytes as the one that is here.

        Parameters
        ----------
        record
            The download of the newer archive.
        policy
            What is done with superseded archives: with ``keep``, too, the older one is moved, as both have one name.

        Returns
        -------
        bool or None
            Whether it is in its place; None: it has the same bytes.
        """
        there = change.there  # what the download was not told, as when it has resumed a part of an unknown version
        record = replace(record, etag=record.etag or there.etag, modified=record.modified or there.modified)
        if await _in_thread(partial(_is_same, self._top, change, record)):
            await self._ledger.run(note_same, change, record, now=self._clock())
            await _in_thread(partial(drop_again, self._top, change.path))
            return None
        path = change.path or ""
        aside = await _in_thread(partial(free_path, self._top, _MOVED, path, self._clock()))
        record = replace(record, path=path)
        change = change._replace(aside=aside, record=record, is_deleted=policy == "delete")
        await self._ledger.run(note_fetched, change)
        return await self._replace(change)

    async def _replace(self, change: Change) -> bool:
        """Make the steps that are left, and note the result; return whether the newer archive is in its place."""
        try:
            is_here = await _in_thread(partial(_carry_out, self._top, change))
        except (CollgsError, OSError) as error:
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            log.error(
                "%s: the archive that the store has now is not put in its place: %s; the next sync tries again",
                change.identifier,
                why,
            )
            return False
        if not is_here:
            log.warning("%s: the archive that the store has now is lost; the next sync asks again", change.identifier)
            await self._ledger.run(_lose, change)
            return False
        self._folders.add((self._top / (change.path or "")).parent)
        old = "deleted" if change.is_deleted else f"moved to {change.aside}"
        why = f"the old archive was {old}"
        await self._ledger.run(end_change, change, run=self._run, now=self._clock(), why=why)
        if change.is_deleted:
            await self._remove_old(change)
        log.info("%s: replaced, as it was at the store; %s", change.identifier, why)
        return True

    async def _remove_old(self, change: Change) -> None:
        try:
            await _in_thread(partial(_remove, self._top, change.aside or ""))
        except OSError as error:
            log.warning("%s: the old archive cannot be deleted: %s", self._top / (change.aside or ""), error.strerror)
        await self._ledger.run(forget_change, change.number)


def _lose(connection: Connection, change: Change) -> None:
    forget_change(connection, change.number)
    note_asked(connection, [change.number], None)


def _carry_out(top: Path, change: Change) -> bool:
    """Move the old archive away, and the new one into its place, as far as that was not done.

    Returns
    -------
    bool
        Whether the new one is in its place; False: there is none.
    """
    final, new, aside = top / (change.path or ""), path_again(top, change.path), top / (change.aside or "")
    stem, lock = stem_of(final), ProductLock(final.with_name(f"{stem_of(final)}.zip.part"))
    if not lock.acquire():
        raise FileError("another run is fetching it")
    try:
        if os.path.lexists(new):
            _make_way(final, new, aside, change)
            try:
                new.rename(final)
            except OSError:
                complete_move(stem, aside.parent, final.parent)
                raise
            sync_folders([final.parent, aside.parent, new.parent], top)
        elif not (change.record and _is_file(final, change.record.size, change.record.mtime)):
            if os.path.lexists(aside) and not os.path.lexists(final):
                complete_move(stem, aside.parent, final.parent)
            return False
        if not change.is_deleted:
            deprecate_item(aside.with_name(f"{stem}.stac.json"), [final])
    finally:
        lock.release()
    return True


def _make_way(final: Path, new: Path, aside: Path, change: Change) -> None:
    """Move the old archive away, with what lies beside it; a file that is another one stays."""
    if not os.path.lexists(final):
        create_folder(aside.parent)
        complete_move(stem_of(final), final.parent, aside.parent)
    elif final.is_symlink():
        raise FileError(f"{final} is a symbolic link")
    elif not _is_file(final, change.old_size, change.old_mtime):
        raise FileError(f"{final} is not the archive that was recorded")
    elif new.stat().st_dev != final.parent.stat().st_dev:
        raise FileError(f"{new.parent} is on another file system")
    else:
        move_files(stem_of(final), final.parent, aside.parent)


def _remove(top: Path, aside: str) -> None:
    """Delete the old archive from where it was moved."""
    path = top / aside
    if beside(path.parent, stem_of(path)):
        remove_files(stem_of(path), path.parent)
    remove_empty([path.parent], top)


def _clear(folder: Path) -> None:
    """Remove what is left of newer archives, but none that is complete."""
    if not any(folder.glob("*.zip")):
        shutil.rmtree(folder, ignore_errors=True)


def _is_same(top: Path, change: Change, record: OutcomeRecord) -> bool:
    """Whether the newer archive has the bytes of the one that is here."""
    final = top / (change.path or "")
    if record.size != change.old_size or not _is_file(final, change.old_size, change.old_mtime):
        return False
    try:
        return filecmp.cmp(final, path_again(top, change.path), shallow=False)
    except OSError:  # a disk that cannot read the old one is no reason to keep it
        return False


def _is_file(path: Path, size: int | None, mtime: int | None) -> bool:
    """Whether a file is the recorded one, by length and time."""
    if not path.is_file():
        return False
    status = path.stat()
    return status.st_size == size and (mtime is None or is_same_mtime(status.st_mtime_ns // 10**6, mtime))


def drop_again(top: Path, path: str | None) -> None:
    """Remove the newer version of an archive, or the part of it."""
    new = path_again(top, path)
    for name in beside(new.parent, stem_of(new)):
        with suppress(OSError):  # it goes with its folder
            (new.parent / name).unlink()


async def _in_thread(work: Callable[[], T]) -> T:
    return await wait_completed(in_thread(None, work))
