"""STAC items of a mirror: those that are missing are written, and all are noted in the ledger."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CollgsError
from collgs_async.ledger.item_records import archives_without_item, note_item
from collgs_async.ledger.times import from_ms
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.reporting.stac_catalogs import refresh_catalogs
from collgs_async.reporting.stac_items import Obtained, checksum_of, is_up_to_date, read_item, write_item
from collgs_async.reporting.stac_recorder import MOST_TOLD, problem_words
from collgs_async.storage.archive_reading import never

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.ledger.item_records import ArchiveWithoutItem
    from collgs_async.mirror.context import Mirror

__all__ = ["note_stac_items"]

log = logging.getLogger("collgs_async")

_AT_ONCE: Final = 100
"""Archives that are read from the ledger at once."""


async def note_stac_items(mirror: Mirror, until: Callable[[], bool] = never) -> int:
    """Write the STAC items that are missing, if the settings ask for them, and note all that are new in the ledger.

    Those of archives that this run has downloaded are there already; so are their catalogs. An item that cannot be
    written is a warning, and is tried again by the next run.

    Parameters
    ----------
    until
        Called before each archive; returns True if no more is to be written.

    Returns
    -------
    int
        The number of items that were noted.
    """
    if not mirror.config.keep.stac:
        return 0
    folder = mirror.ledger.paths.folder
    noted, failed, after = 0, 0, 0
    folders: set[Path] = set()
    try:
        while archives := await mirror.ledger.run(archives_without_item, after, _AT_ONCE):
            for archive in archives:
                if until():
                    return noted
                after, files = archive.number, folder / archive.path
                try:
                    sha256 = await _in_thread(mirror, archive, files)
                except (CollgsError, OSError, ValueError) as error:
                    failed += 1
                    level = logging.WARNING if failed <= MOST_TOLD else logging.DEBUG
                    log.log(level, "%s: no STAC item was written: %s", files, problem_words(error))
                    continue
                now = mirror.clock()
                await mirror.ledger.run(partial(note_item, sha256=sha256, now=now), archive.number)
                folders.add(files.parent)
                noted += 1
    finally:
        if failed > MOST_TOLD:
            log.warning("no STAC item was written of %s", plural(failed - MOST_TOLD, "other archive"))
        if folders:
            await wait_completed(asyncio.to_thread(refresh_catalogs, folder, folders))
    return noted


async def _in_thread(mirror: Mirror, archive: ArchiveWithoutItem, files: Path) -> str | None:
    """Write an item in a thread; when the task is cancelled, reading the archive ends at once."""
    is_over = False
    work = asyncio.ensure_future(asyncio.to_thread(_ensure, archive, files, mirror.config.base_url, lambda: is_over))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        is_over = True
        await wait_completed(asyncio.gather(work, return_exceptions=True))
        raise


def _ensure(archive: ArchiveWithoutItem, files: Path, catalogue: str, stop: Callable[[], bool]) -> str | None:
    """Write the item of an archive unless it is there; return the SHA-256 that is in it, if any."""
    if is_up_to_date(files) and (item := read_item(files)) is not None:
        return checksum_of(item)
    how = (archive.how, archive.etag, archive.modified)
    obtained = Obtained(from_ms(archive.fetched), from_ms(archive.checked), *how)
    return write_item(archive.product, files, obtained, catalogue=catalogue, stop=stop)
