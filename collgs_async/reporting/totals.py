"""Totals of a listing: number of products, range of sensing times, and size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from collgs_async.models.facts import sensing_time
from collgs_async.models.member_list import share_of
from collgs_async.models.sentinel import parse
from collgs_async.models.text import format_bytes
from collgs_async.models.wish import Wish
from collgs_async.selection.filters import closing_iter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable
    from datetime import datetime

    from collgs_async.models.member_list import MemberList
    from collgs_async.models.product import Product

__all__ = ["ListingTotals"]


@dataclass(slots=True)
class ListingTotals:
    """Counts products as they are listed.

    Attributes
    ----------
    count
        The number of products.
    wish
        Which members of the archives are wanted; false: all.
    has_sizes
        Whether the store was asked for the sizes.
    bytes, sized
        The sum of the bytes to move, where known, and the number of products for which they are.
    archives
        The sum of the sizes of these archives.
    first, last
        The earliest and the latest sensing time; None while none is known.
    skipped
        The number of products that a run would skip, since they are complete.
    refused
        The number of products of which nothing can be downloaded.
    here
        Bytes on disk of unfinished archives.
    in_trees
        Where whole archives are wanted: bytes of them that need not be fetched, as trees of earlier runs have them.
    to_extract, largest
        Of parts: bytes of the members still to be extracted, and the most that are to be fetched of one archive.
    whole
        Where parts are wanted: bytes of the archives that are fetched whole, as their store has no ranges.
    actions
        What a run would do about each product, by identifier.
    """

    wish: Wish = field(default_factory=Wish)
    has_sizes: bool = False
    count: int = 0
    bytes: int = 0
    sized: int = 0
    archives: int = 0
    first: datetime | None = None
    last: datetime | None = None
    skipped: int = 0
    refused: int = 0
    here: int = 0
    in_trees: int = 0
    to_extract: int = 0
    largest: int = 0
    whole: int = 0
    actions: dict[str, str] = field(default_factory=dict)

    async def over(
        self, products: AsyncIterable[Product], *, kept: list[Product] | None = None
    ) -> AsyncGenerator[Product, None]:
        """Yield products while counting them, and optionally keep them."""
        async with closing_iter(products) as source:
            async for product in source:
                self.add(product)
                if kept is not None:
                    kept.append(product)
                yield product

    def add(self, product: Product) -> None:
        """Count a product."""
        self.count += 1
        moved = product.bytes_to_move(is_part=bool(self.wish))
        if moved is not None:
            self.bytes += moved
            self.archives += product.size or 0
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
        """The bytes to move, or those of the products for which they are known."""
        if not self.sized:
            return "size not known" if self.has_sizes else "size not known (--sizes asks the store)"
        unknown = self.count - self.refused - self.sized
        known = share_of(self.bytes, self.archives) if self.wish else format_bytes(self.bytes)
        in_trees = f", of which {format_bytes(self.in_trees)} are in folders .parts" if self.in_trees else ""
        return known + in_trees + (f" and {unknown} of unknown size" if unknown else "")

    def add_members(self, product: Product, members: MemberList | None) -> Product:
        """Count what the disk needs for the wanted members of an archive; return the product with what is to move.

        Parameters
        ----------
        members
            None: they cannot be listed, and the product says whether the whole archive is fetched, or nothing.
        """
        if members is None:
            self.whole += product.wanted or 0
            self.refused += product.problem is not None
            return product
        self.to_extract += members.missing_on_disk
        self.largest = max(self.largest, members.bytes_to_fetch)
        return replace(product, wanted=members.bytes_to_fetch)

    def disk_needed(self, workers: int, *, keep_part: bool) -> int:
        """Return the bytes that the download will add to the disk.

        What is fetched of an archive is there beside its members until these are extracted, of one archive for each
        worker, or of all with `keep_part`.
        """
        if not self.wish:
            return max(0, self.bytes - self.here)
        to_move = max(0, self.bytes - self.whole - self.here)
        return self.whole + self.to_extract + (to_move if keep_part else min(to_move, workers * self.largest))

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
        refused = f", {self.refused} cannot be" if self.refused else ""
        dates = f", sensed {self.dates}" if self.dates else ""
        counted = f"{self.count - self.refused}{promised}{pulled}{refused}{here}{dates}"
        if self.count == self.refused:
            return counted
        return f"{counted}, {f'{self.wish} of each: ' if self.wish else ''}{self.size}"
