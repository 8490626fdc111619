"""Hand outcomes in to the ledger of an output folder, where there is one; this module is quick to import."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from collgs_async.ledger.paths import LedgerPaths
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Outcome
    from collgs_async.storage.audit import CheckedFile

__all__ = ["hand_in"]


@asynccontextmanager
async def hand_in(
    config: Config, words: str, *, how: str | None = None, is_one_of_many: bool = False
) -> AsyncIterator[Callable[[Outcome | CheckedFile], None]]:
    """Yield what takes the outcomes of a run, and hands them in to the ledger of its output folder.

    They are dropped where there is no ledger, and where this process writes the ledger itself.

    Parameters
    ----------
    words
        The command, such as ``download``.
    how
        How archives are verified; None: as the settings say.
    is_one_of_many
        Whether more calls are likely to follow, so that the ledger is left to a later one.
    """
    paths = LedgerPaths.of(config)
    if not await in_thread(None, partial(_is_for_another_process, paths)):
        yield lambda _: None
        return
    from collgs_async.ledger.recorder import OutcomeRecorder  # deferred: most folders have no ledger

    async with OutcomeRecorder(paths, how=how or config.download_options.verify, words=words) as recorder:
        yield recorder.add
    if not is_one_of_many:
        from collgs_async.ledger.taking_in import take_in_if_free  # deferred: it needs SQLite

        await take_in_if_free(paths)


def _is_for_another_process(paths: LedgerPaths) -> bool:
    """Whether there is a ledger, and another process than this one writes it, or none does."""
    if not paths.spool.is_dir():
        return False
    from collgs_async.ledger.locks import owner_of
    from collgs_async.storage.lock import LockOwner

    writer = owner_of(paths.writer.with_name(f"{paths.writer.name}.lease"))
    here = LockOwner.here()
    return writer is None or (writer.host, writer.namespace, writer.pid) != (here.host, here.namespace, here.pid)
