"""Asynchronous iterators of a client, for ``for`` loops without ``async``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from collgs_async.reporting.products import Products

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterable, Generator, Iterable

    from collgs_async.catalogue.search import Search
    from collgs_async.models.product import Product
    from collgs_async.reporting.products import SearchResults
    from collgs_async.selection.aoi.area import Area
    from collgs_async.sync.loop_thread import LoopThread

__all__ = ["SyncSearch", "SyncSearchResults", "iterate", "to_async"]

T = TypeVar("T")


class SyncSearch:
    """All products that a search finds: an iterator, which requests pages as needed; it can be iterated once."""

    def __init__(self, search: Search, thread: LoopThread) -> None:
        self._search = search
        self._thread = thread

    @property
    def source(self) -> AsyncIterable[Product]:
        """The same search for use within the loop."""
        return self._search

    @property
    def total(self) -> int | None:
        """The catalogue's count of results; None while it is unknown."""
        return self._search.total

    def __iter__(self) -> Generator[Product, None, None]:
        """Yield each product.

        Raises
        ------
        CatalogueError
            A request failed, or the response holds no results.
        """
        return iterate(self._search, self._thread)

    def collect(self) -> Products:
        """Read all pages, and return all products at once."""
        return Products(self)


class SyncSearchResults:
    """The selected products of a search: an iterator, which requests pages as needed; it can be iterated once."""

    def __init__(self, results: SearchResults, thread: LoopThread) -> None:
        self._results = results
        self._thread = thread

    @property
    def source(self) -> AsyncIterable[Product]:
        """The same results for use within the loop."""
        return self._results

    @property
    def area(self) -> Area | None:
        """The area of interest; None: none, or not read yet."""
        return self._results.area

    @property
    def excluded(self) -> Counter[str]:
        """The number of excluded products by reason."""
        return self._results.excluded

    @property
    def missing(self) -> list[str]:
        """Requested identifiers that no search has found."""
        return self._results.missing

    @property
    def total(self) -> int | None:
        """The catalogue's count of results, before any selection; None while it is unknown."""
        return self._results.total

    @property
    def yielded(self) -> int:
        """The number of products yielded."""
        return self._results.yielded

    def __iter__(self) -> Generator[Product, None, None]:
        """Yield each product.

        Raises
        ------
        CatalogueError
            A request failed, or the response holds no results.
        """
        return iterate(self._results, self._thread)

    def collect(self) -> Products:
        """Read all pages, and return all products at once."""
        return self._thread.call(self._results.collect())


def iterate(source: AsyncIterable[T], thread: LoopThread) -> Generator[T, None, None]:
    """Yield the items of an asynchronous iterable, which is closed when this is left early."""
    iterator = aiter(source)
    ended = object()

    async def next_item() -> T | object:
        return await anext(iterator, ended)

    try:
        while (item := thread.call(next_item())) is not ended:
            yield item  # type: ignore[misc]  # mypy cannot tell that what is not `ended` is a T
    finally:
        if isinstance(iterator, AsyncGenerator):
            thread.clean_up(_close(iterator))


async def _close(iterator: AsyncGenerator[T, None]) -> None:
    with suppress(RuntimeError):  # a second Ctrl-C did not wait for its last item
        await iterator.aclose()


def to_async(products: Iterable[Product]) -> Iterable[Product] | AsyncIterable[Product]:
    """Return products for use within the loop: what may block, such as a generator, is read in threads."""
    if isinstance(products, SyncSearch | SyncSearchResults):
        return products.source
    if isinstance(products, list | tuple):
        return products
    return _read_in_threads(products)


async def _read_in_threads(products: Iterable[Product]) -> AsyncGenerator[Product, None]:
    iterator = iter(products)
    while (product := await asyncio.to_thread(next, iterator, None)) is not None:
        yield product
