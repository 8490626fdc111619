"""Move the files of a product to another folder of the same file system, by renaming.

The archive, or what there is instead, is renamed first, then what lies beside it. So where the first one lies after a
kill says whether the rest is to be completed or nothing was done.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError
from collgs_async.ledger.moves import DELETED, cancel_moves, end_moves, forget_moves, open_moves
from collgs_async.ledger.times import from_ms
from collgs_async.models.images import IMAGE_TYPES
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import create_folder, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.moves import Move

__all__ = [
    "beside",
    "complete_move",
    "free_path",
    "move_files",
    "move_problem",
    "remove_empty",
    "remove_files",
    "settle_moves",
    "stem_of",
    "sync_folders",
]

log = logging.getLogger("collgs_async")

MAIN: Final = (".zip", ".parts", ".zip.part")
"""Endings of what a product has on the disk; the first one that is there is moved first."""

_DESCRIPTIONS: Final = (".stac.json", *(kind.suffix for kind in IMAGE_TYPES))
_BESIDE: Final = (*MAIN, ".zip.part.json", *_DESCRIPTIONS)


def beside(folder: Path, stem: str) -> list[str]:
    """Return the names of a product's files in a folder, in the order in which they are moved.

    Parameters
    ----------
    stem
        The name of its archive, without ``.zip``.
    """
    names = (f"{stem}{suffix}" for suffix in _BESIDE)
    return [name for name in names if os.path.lexists(folder / name)]


def move_problem(stem: str, folder: Path, to: Path) -> str | None:
    """Return why the files of a product cannot be moved into another folder; None: they can."""
    for name in beside(folder, stem):
        if os.path.lexists(to / name):
            return f"{to / name} is there already"
        if (folder / name).is_symlink():
            return "it is a symbolic link"
    there = next(place for place in (to, *to.parents) if os.path.lexists(place))
    try:
        same_disk = there.stat().st_dev == folder.stat().st_dev
    except OSError as error:
        return f"{there}: {error.strerror}"
    return None if same_disk else f"{there} is on another file system"


def move_files(stem: str, folder: Path, to: Path) -> None:
    """Move the files of a product into another folder, which is made.

    Raises
    ------
    FileError
        They cannot be moved there; see `move_problem`.
    OSError
        A file cannot be renamed, or the folder cannot be made.
    """
    if problem := move_problem(stem, folder, to):
        raise FileError(problem)
    create_folder(to)
    for name in beside(folder, stem):
        (folder / name).rename(to / name)


def complete_move(stem: str, folder: Path, to: Path) -> None:
    """Move what is left of a product's files, after its first one was moved."""
    for name in beside(folder, stem):
        if not os.path.lexists(to / name):
            (folder / name).rename(to / name)


def free_path(top: Path, place: str, path: str, now: int) -> str:
    """Return where an archive is moved out of the way: a path that is free, relative to the output folder.

    Parameters
    ----------
    place
        A folder for archives of one reason, relative to the output folder; the path has the month below it.
    path
        Where the archive lies.
    now
        Milliseconds UTC.
    """
    for number in count():
        month = f"{from_ms(now) or datetime.now(UTC):%Y-%m}" + (f".{number}" if number else "")
        to = f"{place}/{month}/{path}"
        if not beside((top / to).parent, stem_of(top / to)):
            return to
    raise AssertionError  # there is always another number


def remove_files(stem: str, folder: Path) -> int:
    """Delete the files of a product; return how many bytes are free now.

    Once the first one is gone, what cannot be removed beside it is a warning.

    Raises
    ------
    OSError
        The first one cannot be deleted.
    """
    first, *others = beside(folder, stem)
    freed = _remove(folder / first)
    for name in others:
        try:
            freed += _remove(folder / name)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", folder / name, error.strerror)
    return freed


def _remove(path: Path) -> int:
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        size = sum(one.lstat().st_blocks * 512 for one in path.rglob("*"))
        shutil.rmtree(path)
        return size
    path.unlink()
    return status.st_blocks * 512 if status.st_nlink == 1 else 0


def sync_folders(folders: Iterable[Path], top: Path) -> None:
    """Flush the entries of folders, and of those above them, up to the output folder."""
    for place in {place for folder in folders for place in (folder, *folder.parents) if place.is_relative_to(top)}:
        sync_folder(place)


def remove_empty(folders: Iterable[Path], top: Path) -> None:
    """Remove folders that are empty, and then those above them, but not the output folder."""
    for folder in sorted(set(folders), key=lambda one: len(one.parts), reverse=True):
        for place in (folder, *folder.parents):
            if place == top or not place.is_relative_to(top):
                break
            try:
                place.rmdir()
            except OSError:  # it is not empty, or already gone
                if place.exists():
                    break


async def settle_moves(ledger: Ledger, *, run: int | None, now: int) -> None:
    """End what a killed run was moving or deleting; to be called before anything else of a run.

    Raises
    ------
    OSError
        A file cannot be renamed.
    """
    moves = await ledger.run(open_moves)
    if not moves:
        return
    done, undone, lost = await wait_completed(in_thread(None, lambda: _settle(ledger.paths.folder, moves)))
    await ledger.run(cancel_moves, undone)
    await ledger.run(forget_moves, lost)
    await ledger.run(end_moves, done, run=run, now=now, why="a killed run was at it")


def _settle(top: Path, moves: Iterable[Move]) -> tuple[list[Move], list[Move], list[Move]]:
    """Return which moves are done, which are not, and of which there is nothing in either place."""
    done: list[Move] = []
    undone: list[Move] = []
    lost: list[Move] = []
    for move in moves:
        old, new = top / move.path, top / move.to
        if move.to != DELETED and os.path.lexists(new):
            complete_move(stem_of(old), old.parent, new.parent)
            sync_folders([old.parent, new.parent], top)
            done.append(move)
        elif os.path.lexists(old):
            undone.append(move)
        elif move.to == DELETED:
            for suffix in _DESCRIPTIONS:
                old.with_name(f"{stem_of(old)}{suffix}").unlink(missing_ok=True)
            done.append(move)
        else:
            lost.append(move)
    return done, undone, lost


def stem_of(path: Path) -> str:
    """Return the name of a product's archive without its ending."""
    return next((path.name.removesuffix(suffix) for suffix in MAIN if path.name.endswith(suffix)), path.name)
