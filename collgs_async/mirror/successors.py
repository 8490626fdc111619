"""Prove that the newer edition of a superseded archive is on the disk, and right, before the older one is removed."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError, ProductError, StorageError
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import is_same_mtime, refuse_odd
from collgs_async.storage.verify import Level, verify_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.removal_records import KnownEdition
    from collgs_async.mirror.removals import Removal

__all__ = ["SuccessorCheck"]

_RECENT: Final = 30 * 86_400_000
"""Milliseconds for which a file that was read counts as right, where the older one is moved only."""


class SuccessorCheck:
    """Reads newer editions, each once in a run, and notes the result in the ledger.

    Parameters
    ----------
    run, now
        The number of this run, and the time in milliseconds UTC.
    """

    def __init__(self, ledger: Ledger, *, run: int, now: int) -> None:
        self._ledger = ledger
        self._run = run
        self._now = now
        self._right: dict[int, tuple[int, int, int, int]] = {}
        self._wrong: dict[int, str] = {}

    async def problem(self, removal: Removal) -> str | None:
        """Return why a superseded archive must stay; None: its newest edition is right.

        For what is superseded by nothing, that is None.
        """
        if not removal.successors:
            return None
        newest = removal.successors[0]
        if newest.id not in self._right and newest.id not in self._wrong:
            await self._check(newest, is_final=removal.policy == "delete")
        if why := self._wrong.get(newest.id):
            return f"its newer edition {newest.product.identifier} {why}"
        return None

    def is_unchanged(self, removal: Removal) -> bool:
        """Whether the newer edition is still the file that was found right; to be called just before the removal."""
        if not removal.successors:
            return True
        newest = removal.successors[0]
        return newest.id in self._right and _version(self._path(newest)) == self._right[newest.id]

    def _path(self, edition: KnownEdition) -> Path:
        return self._ledger.paths.folder / (edition.path or "")

    async def _check(self, edition: KnownEdition, *, is_final: bool) -> None:
        """Look at a newer edition, and read it unless that was done a short time ago and the archive is only moved."""
        before = _version(self._path(edition))
        if before is None:
            self._wrong[edition.id] = "is not on the disk"
            return
        if not is_final and self._was_read(edition, before):
            self._right[edition.id] = before
            return
        why, is_damaged = await self._read(edition)
        if why is None and _version(self._path(edition)) != before:
            why, is_damaged = "was changed while it was read", False
        if why is None:
            self._right[edition.id] = before
        else:
            self._wrong[edition.id] = why
        if why is None or is_damaged:
            await self._ledger.run(record_outcome, self._outcome(edition, before, why), run=self._run, now=self._now)

    def _was_read(self, edition: KnownEdition, version: tuple[int, int, int, int]) -> bool:
        """Whether the ledger says that just this file was read a short time ago, and found right."""
        _, _, size, mtime = version
        is_recorded = size == edition.size and is_same_mtime(mtime // 10**6, edition.mtime or 0)
        return is_recorded and edition.read is not None and 0 <= self._now - edition.read <= _RECENT

    async def _read(self, edition: KnownEdition) -> tuple[str | None, bool]:
        """Compare every checksum of an archive; return what is wrong, and whether it is the archive that is."""
        cancelled = threading.Event()
        thread = in_thread(None, partial(_examine, self._path(edition), edition.product.identifier, cancelled.is_set))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            cancelled.set()
            await wait_completed(asyncio.gather(thread, return_exceptions=True))
            raise

    def _outcome(self, edition: KnownEdition, version: tuple[int, int, int, int], why: str | None) -> OutcomeRecord:
        """Return the result of reading an archive, for the ledger."""
        _, _, size, mtime = version
        return OutcomeRecord(
            edition.product.identifier,
            Event.CHECKED if why is None else Event.BAD,
            self._now,
            path=edition.path,
            size=size,
            mtime=mtime // 10**6,
            how=str(Level.CRC),
            kind=None if why is None else IntegrityError.__name__,
            error=why,
        )


def _examine(path: Path, identifier: str, stop: Callable[[], bool]) -> tuple[str | None, bool]:
    try:
        refuse_odd(path, path.lstat().st_mode)
        verdict = verify_archive(path, level=Level.CRC, identifier=identifier, lenient=True, stop=stop)
    except IntegrityError as error:
        return f"is damaged: {error}", True
    except (ProductError, StorageError) as error:
        return f"cannot be read: {error}", False
    except OSError as error:
        return f"cannot be read: {error.strerror}", False
    if verdict.unchecked:
        return f"has {plural(verdict.unchecked, 'file')} that cannot be checked", False
    return (None, False) if verdict.named else ("does not say which product it is of", False)


def _version(path: Path) -> tuple[int, int, int, int] | None:
    """Return values that change when a file is replaced or written; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
