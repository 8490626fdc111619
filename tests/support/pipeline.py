"""A source of work for tests of the pipeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collgs_async.models.product import Product

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


WORKERS, QUEUE = 3, 5


class Source:
    """A search of so many products, that may fail at its end; knows how many it gave and whether it was closed."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self.given = 0
        self.closed = False
        self._count = count
        self._failure = failure

    async def __call__(self) -> AsyncGenerator[Product, None]:
        try:
            for number in range(self._count):
                self.given += 1
                yield Product(f"P{number}", url=None)
            if self._failure:
                raise self._failure
        finally:
            self.closed = True


async def turns(count: int = 100) -> None:
    """Let everything happen that can happen without outside help."""
    for _ in range(count):
        await asyncio.sleep(0)
