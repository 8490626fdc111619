"""Products by hand, for tests of what is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from collgs_async.models.product import Product
    from collgs_async.selection.filters import Excluded


async def handed_out(products: Iterable[Product]) -> AsyncGenerator[Product, None]:
    for product in products:
        yield product


def silent(dropped: Excluded) -> None:
    """For tests that do not ask what was dropped."""


async def gathered(products: AsyncGenerator[Product, None], into: list[Product]) -> None:
    """Keep what comes, also when an error comes after it."""
    async for product in products:
        into.append(product)  # noqa: PERF401  # a comprehension would lose it with the error


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}
