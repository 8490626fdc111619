"""Move archives that are here already to where a layout puts them.

What is on the disk is looked through, not only what the ledger has. Files are renamed, never copied. A run that is
killed leaves each archive in one of both places, and the next run goes on.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from collgs_async.errors import CollgsError
from collgs_async.ledger.moves import Move, begin_moves, cancel_moves, end_moves, known_by_name, known_by_path
from collgs_async.ledger.stored_products import unpack
from collgs_async.mirror.moving import beside, move_files, move_problem, remove_empty, stem_of, sync_folders
from collgs_async.models.product import Product
from collgs_async.models.sentinel import recognise
from collgs_async.models.timing import wait_completed
from collgs_async.reporting.stac_catalogs import refresh_catalogs
from collgs_async.storage.executor import in_thread
from collgs_async.storage.folder_index import mark_layout, unmark_layout, walk_products
from collgs_async.storage.lock import ProductLock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from sqlite3 import Connection

    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.moves import Known
    from collgs_async.models.layout import Layout

__all__ = ["Relocation", "relocate"]

T = TypeVar("T")

_BATCH: Final = 200
"""Archives between two commits."""

_CHANGED_NAME: Final = re.compile(r"-[0-9a-f]{32}$")
"""A name that has a digest, since the identifier is no safe one."""


class _Found(NamedTuple):
    """A product with files in a folder, which is relative and has slashes."""

    folder: str
    stem: str

    def path_of(self, suffix: str) -> str:
        """Return the relative path of a file."""
        return f"{self.folder}/{self.stem}{suffix}" if self.folder else f"{self.stem}{suffix}"


@dataclass(slots=True)
class Relocation:
    """What was moved.

    Attributes
    ----------
    moved
        The number of products whose files were moved, or would be in a dry run.
    right
        The number of those that lie where the layout puts them.
    left
        Paths of those that stay where they are, and why.
    """

    moved: int = 0
    right: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)


async def relocate(
    top: Path,
    layout: Layout | None,
    ledger: Ledger | None,
    *,
    run: int | None = None,
    now: int = 0,
    dry_run: bool = False,
    on_move: Callable[[str, str], None] = lambda *_: None,
) -> Relocation:
    """Move all archives, and what lies beside them, to their folders; the caller holds the lock of the output folder.

    Parameters
    ----------
    top
        The output folder.
    layout
        None: into the output folder itself.
    ledger, run, now
        The ledger, the number of this run in it, and the time in milliseconds UTC; None: there is no ledger, and the
        names of archives tell where they belong.
    dry_run
        Whether nothing is moved.
    on_move
        Called with the relative paths of each archive before and after.

    Raises
    ------
    LedgerError
        The ledger cannot be read or written.
    """
    report, touched = Relocation(), set[Path]()
    found = await _in_thread(lambda: _find(top))
    for first in range(0, len(found), _BATCH):
        batch = found[first : first + _BATCH]
        known = await ledger.run(_look_up, batch) if ledger else {}
        moves = await _in_thread(partial(_plan, top, layout, batch, known, report))
        if not dry_run:
            moves = await _carry_out(top, moves, report, ledger, run=run, now=now)
        report.moved += len(moves)
        touched |= {(top / path).parent for move in moves for path in (move.path, move.to)}
        for move in moves:
            on_move(move.path, move.to)
    if not dry_run:
        await _in_thread(partial(_tidy, top, layout, [top / one.folder for one in found], touched, report))
    return report


async def _in_thread(work: Callable[[], T]) -> T:
    return await wait_completed(in_thread(None, work))


def _find(top: Path) -> list[_Found]:
    """Return each product in each folder, once."""
    return [_Found(where, stem) for where, names in walk_products(top) for stem in sorted({name for _, name in names})]


def _look_up(connection: Connection, batch: Sequence[_Found]) -> dict[str, Known]:
    """Return what the ledger knows of products, by their stems."""
    known = known_by_name(connection, (one.stem for one in batch))
    odd = {one.path_of(".zip"): one.stem for one in batch if _CHANGED_NAME.search(one.stem)}
    return known | {odd[path]: row for path, row in known_by_path(connection, odd).items()}


def _plan(
    top: Path, layout: Layout | None, batch: Sequence[_Found], known: Mapping[str, Known], report: Relocation
) -> list[Move]:
    """Return what is to be moved; record the others."""
    moves: list[Move] = []
    for one in batch:
        row = known.get(one.stem)
        product = _product(one.stem, row)
        name = next(iter(beside(top / one.folder, one.stem)), None)
        if name is None:
            continue  # it has gone meanwhile
        path = f"{one.folder}/{name}" if one.folder else name
        if product is None:
            report.left.append((path, "its name is that of no known product"))
            continue
        folder = layout.folder(product) if layout else ""
        if folder == one.folder:
            report.right += 1
        elif problem := move_problem(one.stem, top / one.folder, top / folder):
            report.left.append((path, problem))
        else:
            moves.append(
                Move(row.product if row else 0, product.identifier, path, f"{folder}/{name}" if folder else name)
            )
    return moves


def _product(stem: str, row: Known | None) -> Product | None:
    """Return a product as far as the ledger, or else its name, tells of it; None: neither does."""
    if row is not None and row.packed is not None:
        with suppress(ValueError):
            return unpack(row.identifier, row.packed)
    identifier = row.identifier if row else stem
    return Product(identifier, None, row.collection if row else None) if row or recognise(stem) else None


async def _carry_out(
    top: Path, moves: Sequence[Move], report: Relocation, ledger: Ledger | None, *, run: int | None, now: int
) -> list[Move]:
    """Move files, between two commits of the ledger; return what was moved."""
    recorded = [move for move in moves if move.product]
    if ledger:
        await ledger.run(begin_moves, recorded)
    done = await _in_thread(partial(_move_all, top, moves, report))
    if ledger:
        await ledger.run(cancel_moves, [move for move in recorded if move not in done])
        await ledger.run(end_moves, [move for move in done if move.product], run=run, now=now)
    return done


def _move_all(top: Path, moves: Sequence[Move], report: Relocation) -> list[Move]:
    done: list[Move] = []
    for move in moves:
        old, new = top / move.path, top / move.to
        lock = ProductLock(old.with_name(f"{stem_of(old)}.zip.part"))
        try:
            if not lock.acquire():
                report.left.append((move.path, "another run is fetching it"))
                continue
            try:
                move_files(stem_of(old), old.parent, new.parent)
            finally:
                lock.release()
        except CollgsError as error:
            report.left.append((move.path, str(error)))
        except OSError as error:
            report.left.append((move.path, f"{error.filename2 or error.filename}: {error.strerror}"))
        else:
            done.append(move)
    sync_folders({(top / path).parent for move in done for path in (move.path, move.to)}, top)
    return done


def _tidy(
    top: Path, layout: Layout | None, folders: Sequence[Path], touched: Collection[Path], report: Relocation
) -> None:
    """Write the STAC catalogs anew, remove folders that are empty, and record whether archives may lie in folders."""
    if touched:
        refresh_catalogs(top, touched)
    remove_empty((folder for folder in folders if folder != top), top)
    if layout is not None:
        mark_layout(top, str(layout))
    elif not report.left:
        unmark_layout(top)
