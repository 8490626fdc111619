"""Hand wanted products to the downloads while a census is still finding them, from the ledger."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.due_records import due, products_of, wanted_now
from collgs_async.selection.planned import GivenProducts

if TYPE_CHECKING:
    from array import array
    from collections.abc import AsyncGenerator, Iterable

    from collgs_async.errors import CatalogueError
    from collgs_async.ledger.ledger import Ledger
    from collgs_async.models.product import Product

__all__ = ["Feed"]

_AT_ONCE: Final = 50
"""Products that are read from the ledger at once."""


class Feed(GivenProducts):
    """The products to download, as an asynchronous iterator: new ones first, then others, then those due again.

    Only their numbers are in memory. A product is handed out once, and only if it is still to be fetched then.

    Parameters
    ----------
    watch
        The watch whose products are handed out; None: only those that are offered.
    now
        The time in milliseconds, for retries.

    Attributes
    ----------
    expected
        The most products that are handed out, as far as they were offered.
    """

    def __init__(self, ledger: Ledger, watch: int | None, now: int) -> None:
        super().__init__(())
        self._ledger = ledger
        self._watch = watch
        self._now = now
        self._waiting: deque[array[int] | list[int]] = deque()
        self._handed = bytearray()
        self._changed = asyncio.Event()
        self._is_complete = False
        self._error: CatalogueError | None = None
        self.total, self.expected = None, 0

    def offer(self, numbers: Iterable[int]) -> None:
        """Add products, by their numbers; those that were handed out before are passed over."""
        fresh = [number for number in numbers if not self._was_handed(number)]
        if fresh:
            self._waiting.append(fresh)
            self.expected = self.yielded + sum(map(len, self._waiting))
            self._changed.set()

    def complete(self, error: CatalogueError | None = None) -> None:
        """Say that nothing more is offered, so that what earlier runs have left comes next.

        Parameters
        ----------
        error
            Why that is not all; it is raised after the last product.
        """
        self._is_complete, self._error = True, error
        self._changed.set()

    def _was_handed(self, number: int) -> bool:
        place = number // 8
        return place < len(self._handed) and bool(self._handed[place] & 1 << number % 8)

    def _mark(self, number: int) -> None:
        """Remember that a product was handed out: one bit of memory for each."""
        place = number // 8
        if place >= len(self._handed):
            self._handed.extend(bytes(place + 1024 - len(self._handed)))
        self._handed[place] |= 1 << number % 8

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product.

        Raises
        ------
        CatalogueError
            The search that has found them ended early.
        """
        while self._waiting or not self._is_complete:
            if self._waiting:
                async for product in self._read(self._waiting.popleft()):
                    yield product
            else:
                self._changed.clear()
                await self._changed.wait()
        if self._watch is not None:
            self.offer(await self._ledger.run(wanted_now, self._watch))
            self.offer(await self._ledger.run(due, self._watch, self._now))
        while self._waiting:
            async for product in self._read(self._waiting.popleft()):
                yield product
        if self._error is not None:
            raise self._error

    async def _read(self, numbers: array[int] | list[int]) -> AsyncGenerator[Product, None]:
        for begin in range(0, len(numbers), _AT_ONCE):
            for number, product in await self._ledger.run(products_of, numbers[begin : begin + _AT_ONCE]):
                if not self._was_handed(number):
                    self._mark(number)
                    self.yielded += 1
                    yield product
