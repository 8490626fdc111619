"""Run ``--on-archive`` at least once for each archive that a run with a ledger has downloaded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AlreadyRunningError, LedgerError
from collgs_async.ledger.told_records import count_due, due_archives, set_told
from collgs_async.mirror.hooks import ArchiveCall, ArchiveHooks
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collgs_async.ledger.recorder import OutcomeRecorder
    from collgs_async.mirror.context import Mirror

__all__ = ["archive_hooks"]

log = logging.getLogger("collgs_async")

_MOST: Final = 10_000
"""Archives of earlier runs that one run tells of."""


async def archive_hooks(mirror: Mirror, recorder: OutcomeRecorder) -> ArchiveHooks:
    """Return what runs the command, with the archives of earlier runs waiting for it.

    Parameters
    ----------
    recorder
        Notes outcomes; what waits in it is written before an archive is noted as told.
    """
    ledger = mirror.ledger

    async def told(call: ArchiveCall, sha256: str | None) -> None:
        await recorder.flush()
        try:
            await ledger.run(set_told, call.identifier, sha256, now=mirror.clock())
        except (LedgerError, AlreadyRunningError) as error:
            log.warning("%s; --on-archive is run again for %s", error, call.identifier)

    hooks = ArchiveHooks(mirror.config.keep.on_archive, told, later=True)
    if mirror.config.keep.on_archive is not None:
        for due in await ledger.run(due_archives, _MOST):
            digest = due.sha256.hex() if due.sha256 else None
            entry = {"status": "downloaded", "size": due.size}
            hooks.call(ArchiveCall(due.identifier, ledger.paths.folder / due.path, entry, digest))
        if (left := await ledger.run(count_due) - _MOST) > 0:
            log.info("--on-archive is run for %s by later runs", plural(left, "more archive", "more archives"))
    return hooks
