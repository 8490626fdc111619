"""Products of a plan, or given by the caller, with the interface of a search, so that downloads accept all three."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Sized
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.models.product import Product
from collgs_async.models.query import Query
from collgs_async.selection.filters import closing_iter, shard_rejection
from collgs_async.selection.packed import Packed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from collgs_async.models.shard import Shard
    from collgs_async.selection.aoi.area import Area
    from collgs_async.selection.plan import Plan

__all__ = ["GivenProducts", "PlannedProducts"]


class GivenProducts:
    """Products given by the caller, as an asynchronous iterator without any request.

    Parameters
    ----------
    products
        Any iterable; the same product is yielded once.

    Attributes
    ----------
    total, expected
        The number of products; None where the iterable does not tell.
    pages, excluded, missing
        Empty: there is no search.
    yielded
        The number of products yielded.
    """

    def __init__(self, products: Iterable[Product] | AsyncIterable[Product]) -> None:
        self._products = products
        self.total: int | None = len(products) if isinstance(products, Sized) else None
        self.expected: int | None = self.total
        self.pages = 0
        self.excluded: Counter[str] = Counter()
        self.missing: list[str] = []
        self.yielded = 0

    @staticmethod
    async def stream(products: Iterable[Product] | AsyncIterable[Product]) -> AsyncGenerator[Product, None]:
        """Yield products from either kind of iterable, and close it on every exit.

        Raises
        ------
        TypeError
            Something given is no product.
        """
        if isinstance(products, AsyncIterable):
            async with closing_iter(products) as source:
                async for product in source:
                    yield _checked(product)
        else:
            for product in products:
                yield _checked(product)

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product, in the order given."""
        if isinstance(self._products, Packed):  # each name is there once
            for product in self._products:
                self.yielded += 1
                yield product
            return
        seen: set[tuple[str, str | None]] = set()
        async with aclosing(self.stream(self._products)) as source:
            async for product in source:
                if (product.identifier, product.url) not in seen:
                    seen.add((product.identifier, product.url))
                    self.yielded += 1
                    yield product


class PlannedProducts(GivenProducts):
    """The products of a plan, or one shard of them, in its order.

    Parameters
    ----------
    shard
        The part of them that is yielded; None: all.
    """

    def __init__(self, plan: Plan, shard: Shard | None = None) -> None:
        super().__init__(plan.products)
        self._plan = plan
        self._shard = shard

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product of the shard, and count the others."""
        async with aclosing(super().__aiter__()) as products:
            async for product in products:
                if dropped := shard_rejection(product, self._shard):
                    self.excluded[dropped.kind] += 1
                    self.yielded -= 1
                    self.expected = None if self.expected is None else self.expected - 1
                else:
                    yield product

    @property
    def queries(self) -> tuple[Query, ...]:
        """The query that the plan was made with."""
        return (Query.parse(self._plan.parameters),)

    @property
    def area(self) -> Area | None:
        """The area of interest that the plan was made with."""
        geometry = self._plan.selection.get("aoi")
        if geometry is None:
            return None
        from collgs_async.selection.aoi.area import Area

        return Area.of(geometry)


def _checked(given: object) -> Product:
    if not isinstance(given, Product):
        kind = type(given).__name__
        raise TypeError(f"products: expected products, as a search yields them, found one of type {kind}")
    return given
