"""Totals of a listing: number of products, range of sensing times, and size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collgs_async.models.facts import sensing_time
from collgs_async.models.sentinel import parse
from collgs_async.models.text import format_bytes
from collgs_async.selection.filters import closing_iter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable
    from datetime import datetime

    from collgs_async.models.product import Product

__all__ = ["ListingTotals"]


@dataclass(slots=True)
class ListingTotals:
    """Counts products as they are listed.

    Attributes
    ----------
    count
        The number of products.
    bytes, sized
        The sum of the known sizes, and their number.
    first, last
        The earliest and the latest sensing time; None while none is known.
    skipped
        The number of products that a run would skip, since they are complete.
    here
        Bytes on disk of unfinished archives.
    actions
        What a run would do about each product, by identifier.
    """

    count: int = 0
    bytes: int = 0
    sized: int = 0
    first: datetime | None = None
    last: datetime | None = None
    skipped: int = 0
    here: int = 0
    actions: dict[str, str] = field(default_factory=dict)

    async def over(
        self, products: AsyncIterable[Product], *, kept: list[Product] | None = None
    ) -> AsyncGenerator[Product, None]:
        """Yield products while counting them, and optionally keep them."""
        async with closing_iter(products) as source:
            async for product in source:
                self._add(product)
                if kept is not None:
                    kept.append(product)
                yield product

    def _add(self, product: Product) -> None:
        self.count += 1
        if product.size is not None:
            self.bytes += product.size
            self.sized += 1
        if moment := sensing_time(product, parse(product.identifier)):
            self.first = min(self.first or moment, moment)
            self.last = max(self.last or moment, moment)

    @property
    def dates(self) -> str:
        """The range of sensing days; empty when unknown."""
        if self.first is None or self.last is None:
            return ""
        days = dict.fromkeys((f"{self.first:%Y-%m-%d}", f"{self.last:%Y-%m-%d}"))
        return " to ".join(days)

    @property
    def size(self) -> str:
        """The total size, or that of the products whose size is known."""
        if not self.sized:
            return "size not known (--sizes asks the store)"
        unknown = self.count - self.sized
        return format_bytes(self.bytes) + (f" and {unknown} of unknown size" if unknown else "")

    def words(self, total: int | None, *, dry_run: bool) -> str:
        """Summarise the listing in a line.

        Parameters
        ----------
        total
            The catalogue's count of results; None when unknown.
        dry_run
            Whether only products to download are listed.
        """
        here = f", {self.skipped} already here" if self.skipped else ""
        if not self.count:
            return f"nothing to list{here}"
        # A list that lost products while it was read may have had more than its final count.
        promised = "" if total is None or total < self.count else f" of {total} that match"
        pulled = " would be pulled" if dry_run else ""
        dates = f", sensed {self.dates}" if self.dates else ""
        return f"{self.count}{promised}{pulled}{here}{dates}, {self.size}"
