"""Compare the archives that the ledger has with those that are here."""

from __future__ import annotations

import asyncio
import os
import stat
from array import array
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.file_records import forget_missing, recorded_files, removed_files, want_returned
from collgs_async.mirror.absence import Loss, lost_too_much

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collgs_async.ledger.file_records import RecordedFile
    from collgs_async.ledger.ledger import Ledger

__all__ = ["DiskCheck", "check_disk"]

_AT_ONCE: Final = 1000


@dataclass(slots=True)
class DiskCheck:
    """What became of the archives of the ledger.

    Attributes
    ----------
    loss
        How many there should be, and how many are not here, or have another length.
    wanted
        The number of those that are wanted again.
    removed
        The number of those that are not wanted any more, as the user has removed them.
    is_refused
        Whether too many are missing for this to be believed, so that nothing is fetched again.
    """

    loss: Loss = field(default_factory=Loss)
    wanted: int = 0
    removed: int = 0
    is_refused: bool = False


async def check_disk(
    ledger: Ledger, folder: Path, *, run: int, now: int, believe: bool, ignore_missing: bool = False
) -> DiskCheck:
    """Look for each archive of the ledger; what is not here is wanted again.

    Where more than a tenth is missing, a disk may not be mounted: then nothing is changed.

    Parameters
    ----------
    folder
        The output folder.
    run, now
        The number of the run, and the time in milliseconds.
    believe
        Whether any number may be missing.
    ignore_missing
        Whether what is not here was removed by the user, and is not wanted any more.
    """
    missing, other, had, after = array("q"), array("q"), 0, 0
    while files := await ledger.run(recorded_files, after, _AT_ONCE):
        had, after = had + len(files), files[-1].product
        gone, changed = await asyncio.to_thread(partial(_compare, folder, files))
        missing.extend(gone)
        other.extend(changed)
    check = DiskCheck(Loss(had, len(missing) + len(other)))
    if lost_too_much(check.loss, everything=ignore_missing) and not believe:
        check.is_refused = True
        return check
    if ignore_missing:
        check.removed = await ledger.run(forget_missing, missing, run=run, now=now, is_removed=True)
    else:
        other.extend(missing)
    check.wanted = await ledger.run(forget_missing, other, run=run, now=now)
    removed = await ledger.run(removed_files)
    if removed:
        back = await asyncio.to_thread(lambda: [one for one, path in removed if os.path.lexists(folder / path)])
        await ledger.run(want_returned, back)
    return check


def _compare(folder: Path, files: Sequence[RecordedFile]) -> tuple[list[int], list[int]]:
    """Return the products whose archive is not here, and those whose archive is another thing, or of another length."""
    root = os.fspath(folder)
    absent = [one for one in files if not _is_here(os.path.join(root, one.path), one)]  # noqa: PTH118  (many)
    gone = [one.product for one in absent if not os.path.lexists(folder / one.path)]
    return gone, [one.product for one in absent if one.product not in gone]


def _is_here(path: str, one: RecordedFile) -> bool:
    try:
        status = os.stat(path)  # noqa: PTH116  (many)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):  # it cannot be looked at, which is another matter
        return True
    if stat.S_ISDIR(status.st_mode):
        return one.is_tree
    return one.size is None or status.st_size == one.size
