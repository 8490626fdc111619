"""Sort products for ``--sort``; the catalogue's own order is the newest first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import CatalogueError, ConfigError, did_you_mean
from collgs_async.models.facts import sensing_time
from collgs_async.models.sentinel import parse
from collgs_async.selection.filters import closing_iter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

    from collgs_async.models.product import Product

    Order = Sequence[tuple[str, bool]]

__all__ = ["KEYS", "read_order", "sort_by"]

KEYS: Final[dict[str, Callable[[Product], Any]]] = {
    "time": lambda product: sensing_time(product, parse(product.identifier)),
    "cloud": lambda product: _finite(product.cloud_cover),
    "orbit": lambda product: product.orbit_number,
    "overlap": lambda product: _finite(product.overlap),
    "size": lambda product: product.size if product.wanted is None else product.wanted,
    "identifier": lambda product: product.identifier,
}
"""Sort keys; an unknown value is None, and sorts last."""


def read_order(words: str) -> Order:
    """Parse ``cloud,-time``: by cloud, ties by the newest first.

    Raises
    ------
    ConfigError
        There is no such key.
    """
    order = [(word.strip().removeprefix("-"), word.strip().startswith("-")) for word in words.split(",")]
    for name, _ in order:
        if name not in KEYS:
            found = f"{name!r}{did_you_mean(name, KEYS)}"
            raise ConfigError(f"--sort: expected {', '.join(KEYS)} (- before it: backwards), found {found}")
    return order


async def sort_by(products: AsyncIterable[Product], order: Order) -> AsyncGenerator[Product, None]:
    """Yield products sorted, once all have been read; when the search ends early, those read so far, then the error."""
    seen: list[Product] = []
    failure: CatalogueError | None = None
    async with closing_iter(products) as source:
        try:
            async for product in source:
                seen.append(product)  # noqa: PERF401  (keeps what was read before an error)
        except CatalogueError as error:
            failure = error
    for name, backwards in reversed(order):
        key = KEYS[name]
        known = [product for product in seen if key(product) is not None]
        unknown = [product for product in seen if key(product) is None]
        seen = [*sorted(known, key=key, reverse=backwards), *unknown]
    for product in seen:
        yield product
    if failure:
        raise failure


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
