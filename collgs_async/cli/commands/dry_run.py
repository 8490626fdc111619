"""``--dry-run``: what a run would do about each product, and whether the disk has room for it."""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError
from collgs_async.models.report import Report
from collgs_async.models.text import format_bytes
from collgs_async.selection.filters import closing_iter
from collgs_async.storage.filenames import parts_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable
    from pathlib import Path

    from collgs_async.client import Client
    from collgs_async.models.product import Product
    from collgs_async.reporting.dry_run import DryRunReport
    from collgs_async.reporting.totals import ListingTotals
    from collgs_async.selection.planned import PlannedProducts
    from collgs_async.selection.search import SelectedProducts

__all__ = ["NoListing", "incomplete", "log_free_space", "of_search", "recorded", "sized", "without_actions"]

log = logging.getLogger("collgs_async")


class NoListing(io.StringIO):
    """Takes what would be listed, and keeps none of it."""

    def write(self, text: str) -> int:
        """Return the number of characters."""
        return len(text)


async def incomplete(
    client: Client, products: AsyncIterable[Product], totals: ListingTotals, report: DryRunReport | None
) -> AsyncGenerator[Product, None]:
    """Yield the products that are not complete yet, and record what would be done about each."""
    async with closing_iter(products) as source:
        async for product in source:
            path = client.path_for(product)
            # The file of a twin's name is another product's archive; a warning has been logged.
            action = None if product.is_twin else await client.local_state(product)
            if action is not None and action != "skip":
                totals.actions[product.identifier] = str(action)
                totals.here += _on_disk(path) if action == "resume" else 0
                if action == "fetch" and not client.config.parts.wish:
                    totals.in_trees += await asyncio.to_thread(_in_tree, path)
                yield product
                continue
            totals.skipped += action == "skip"
            if report is not None:
                report.record(product, client.place_for(product), "skip" if action == "skip" else "fetch")


async def recorded(
    client: Client, products: AsyncIterable[Product], totals: ListingTotals, report: DryRunReport
) -> AsyncGenerator[Product, None]:
    """Yield the products, whose sizes are known by now, and record that they would be fetched."""
    async with closing_iter(products) as source:
        async for product in source:
            action = totals.actions[product.identifier]
            report.record(product, client.place_for(product), "resume" if action == "resume" else "fetch")
            yield product


async def without_actions(products: AsyncIterable[Product], totals: ListingTotals) -> AsyncGenerator[Product, None]:
    """Yield the products for a listing that does not show what would be done, and forget that of each."""
    async with closing_iter(products) as source:
        async for product in source:
            totals.actions.pop(product.identifier, None)
            yield product


async def sized(
    client: Client, products: AsyncGenerator[Product, None], totals: ListingTotals, *, dry_run: bool
) -> AsyncGenerator[Product, None]:
    """Yield the products with their sizes; where only parts are wanted, a dry run counts what is not here of these."""
    if not client.config.parts.wish:
        async with aclosing(client.fetch_sizes(products)) as source:
            async for product in source:
                yield product
        return
    async with aclosing(client.stream_members(products)) as listed:
        async for product, members in listed:
            yield totals.add_members(product, members) if dry_run else product


def _on_disk(archive: Path) -> int:
    """Return the size of a part file on disk; 0 where nothing has been written yet."""
    try:
        return archive.with_name(f"{archive.name}.part").stat().st_blocks * 512
    except OSError:
        return 0


def _in_tree(archive: Path) -> int:
    """Return the bytes of an archive that need not be fetched, as earlier runs have extracted them into its tree."""
    from collgs_async.storage.parts_record import read_record  # deferred: `search` needs nothing of ZIP

    try:
        record = read_record(parts_folder(archive))
    except CollgsError:
        return 0  # the download tells why
    return record.archive_bytes if record else 0


def log_free_space(folder: Path, needed: int) -> None:
    """Log whether the disk has room for the download."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    words = f"{format_bytes(max(0, needed))} of disk needed in {folder}, {format_bytes(free)} free"
    (log.warning if needed > free else log.info)("%s", words)


def of_search(selected: SelectedProducts | PlannedProducts, error: CollgsError | None) -> Report:
    """Return what became of a search, for the report."""
    return Report(
        search_total=selected.total,
        search_pages=getattr(selected, "pages", 0),
        search_error=error,
        left_out=dict(selected.excluded),
        missing=tuple(selected.missing),
    )
