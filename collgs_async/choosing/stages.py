"""What the stages of choosing have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from collgs_async.models import Product
    from collgs_async.names import Name

    Products: TypeAlias = AsyncIterable[Product]
    Tell: TypeAlias = Callable[["Dropped"], None]

__all__ = ["Dropped", "Products", "Tell", "opened", "sensed"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A product that was found and is not wanted.

    Attributes
    ----------
    product
        The product.
    reason
        Why not, in words.
    kind
        Why not, in the few words under which it is counted, such as ``older baseline``.
    """

    product: Product
    reason: str
    kind: str = ""


@asynccontextmanager
async def opened(products: Products) -> AsyncIterator[AsyncIterator[Product]]:
    """Go through products, and close what they come from on every way out: a search stops asking for pages then."""
    iterator = aiter(products)
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def sensed(product: Product, name: Name | None) -> datetime | None:
    """Say when a product was sensed, by its entry or else by its name."""
    try:
        moment = datetime.fromisoformat(product.start or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return name.start if name else None
