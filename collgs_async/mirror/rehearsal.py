"""A copy of the ledger on which a run is rehearsed, and what it would do."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.due_records import due, first_seen, products_of, wanted_now
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from collgs_async.models.product import Product

__all__ = ["copied_ledger", "rehearsed"]

_AT_ONCE: Final = 100


@asynccontextmanager
async def copied_ledger(paths: LedgerPaths) -> AsyncIterator[Ledger]:
    """Open a copy of a ledger that is dropped at the end; an empty one where there is none yet.

    Raises
    ------
    LedgerError
        The ledger is damaged, or of a later release.
    """
    with TemporaryDirectory(prefix="collgs-") as folder:
        copy = LedgerPaths(Path(folder), Path(folder) / "ledger.sqlite")
        if paths.database.exists():
            async with Ledger.read(paths) as ledger:
                await ledger.run(_copy, copy.database)
        async with Ledger.open(copy) as ledger:
            yield ledger


def _copy(connection: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        connection.backup(copy)


async def rehearsed(ledger: Ledger, watch: int, now: int) -> AsyncGenerator[tuple[str, Product], None]:
    """Yield what a run would fetch after its census: each product, as ``new``, ``missing`` or ``due``."""
    wanted = await ledger.run(wanted_now, watch)
    again = await ledger.run(due, watch, now)
    for numbers, is_due in ((wanted, False), (again, True)):
        for begin in range(0, len(numbers), _AT_ONCE):
            chunk = numbers[begin : begin + _AT_ONCE]
            new = await ledger.run(first_seen, chunk, now)
            for number, product in await ledger.run(products_of, chunk):
                yield "due" if is_due else "new" if number in new else "missing", product
