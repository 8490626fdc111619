"""``search``, ``--dry-run`` and ``quicklooks``: show what a run would download."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.cli.commands.map import check_place, write_map
from collgs_async.client import Client
from collgs_async.errors import CatalogueError
from collgs_async.http.messages import printable
from collgs_async.models.images import IMAGE_TYPES
from collgs_async.models.text import format_bytes
from collgs_async.reporting.listing import write_listing
from collgs_async.reporting.ordering import read_order, sort_by
from collgs_async.reporting.summary import excluded_line, missing_lines
from collgs_async.reporting.totals import ListingTotals
from collgs_async.selection.filters import closing_iter
from collgs_async.selection.planned import PlannedProducts
from collgs_async.selection.search import SelectedProducts
from collgs_async.storage.atomic import write_whole

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncGenerator, AsyncIterable
    from pathlib import Path

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Product
    from collgs_async.selection.plan import Plan
    from collgs_async.transfer.quicklooks import Picture

__all__ = ["quicklooks", "search"]

log = logging.getLogger("collgs_async")


async def search(config: Config, args: Namespace, plan: Plan | None = None) -> int:
    """List matching products, or those of a plan, on stdout; in a dry run, only those to download."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    dry_run = getattr(args, "dry_run", False)
    order = read_order(args.sort) if args.sort else None
    place = check_place(args.map) if args.map else None
    totals = ListingTotals()
    kept: list[Product] = []
    error: CatalogueError | None = None
    async with Client(config) as client:
        selected = client.search() if plan is None else PlannedProducts(plan)
        if isinstance(selected, SelectedProducts):
            await selected.prepare()
        products = _incomplete(client, selected, totals) if dry_run else aiter(selected)
        if args.sizes:
            products = client.fetch_sizes(products)
        if order:
            products = sort_by(products, order)
        products = totals.over(products, kept=kept if place else None)
        action = (lambda product: totals.actions.pop(product.identifier)) if dry_run else None
        async with aclosing(products):
            try:
                await write_listing(products, args.format, sys.stdout, width=width, action=action)
            except BrokenPipeError:
                if place is None:
                    raise
                async for _ in products:  # `head` has ended, but the map shows all products
                    pass
            except CatalogueError as failure:
                error = failure
        if place:
            await write_map(place, kept, client, selected, quicklooks=args.quicklooks, error=error)
    for line in missing_lines(selected.missing):
        log.error("%s", line)
    if error:
        log.error("%s", error)
        return 1
    if dry_run and totals.bytes:
        _log_free_space(config.output_directory, totals.bytes - totals.here)
    words = totals.words(selected.total, dry_run=dry_run)
    log.info("%s%s", words, f". {excluded_line(selected.excluded)}" if selected.excluded else "")
    return 1 if selected.missing else 0


async def _incomplete(
    client: Client, products: AsyncIterable[Product], totals: ListingTotals
) -> AsyncGenerator[Product, None]:
    """Yield the products that are not complete yet, and record what would be done about each."""
    async with closing_iter(products) as source:
        async for product in source:
            if product.is_twin:
                continue  # the file of that name is another product's archive; a warning has been logged
            action = await client.local_state(product)
            if action == "skip":
                totals.skipped += 1
                continue
            totals.actions[product.identifier] = str(action)
            totals.here += _on_disk(client.path_for(product)) if action == "resume" else 0
            yield product


def _on_disk(archive: Path) -> int:
    """Return the size of a part file on disk; 0 where nothing has been written yet."""
    try:
        return archive.with_name(f"{archive.name}.part").stat().st_blocks * 512
    except OSError:
        return 0


def _log_free_space(folder: Path, needed: int) -> None:
    """Log whether the disk has room for the download."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    words = f"{format_bytes(max(0, needed))} of disk needed in {folder}, {format_bytes(free)} free"
    (log.warning if needed > free else log.info)("%s", words)


async def quicklooks(config: Config) -> int:
    """Save the previews of matching products; print the path of each."""
    config.output_directory.mkdir(parents=True, exist_ok=True)
    counts = Counter[str]()
    error: CatalogueError | None = None
    async with Client(config) as client:
        selected = client.search()
        wanted = _without_preview(client, selected, counts, skip_existing=config.download_options.skip_existing)
        async with aclosing(client.fetch_quicklooks(wanted)) as pictures:
            try:
                async for product, picture in pictures:
                    await _save(picture, product, client)
                    counts["saved" if picture else "failed"] += 1
            except CatalogueError as failure:
                error = failure
    for line in missing_lines(selected.missing):
        log.error("%s", line)
    if error:
        log.error("%s", error)
    words = ", ".join(f"{counts[what]} {what}" for what in _OUTCOMES if counts[what] or what == "saved")
    log.info("%s%s", words, f". {excluded_line(selected.excluded)}" if selected.excluded else "")
    return 1 if counts["failed"] or error or selected.missing else 0


_OUTCOMES = ("saved", "already here", "without a quicklook", "failed")


async def _without_preview(
    client: Client, products: AsyncIterable[Product], counts: Counter[str], *, skip_existing: bool
) -> AsyncGenerator[Product, None]:
    """Yield the products whose preview is to be fetched, and count the others."""
    async with closing_iter(products) as source:
        async for product in source:
            if product.quicklook is None:
                counts["without a quicklook"] += 1
            elif skip_existing and _is_here(client, product):
                counts["already here"] += 1
            else:
                yield product


async def _save(picture: Picture | None, product: Product, client: Client) -> None:
    if picture is None:
        log.warning("%s: its quicklook cannot be had", product.identifier)
        return
    path = client.path_for(product).with_name(f"{_stem(client, product)}{picture.suffix}")
    await asyncio.to_thread(write_whole, path, [picture.data])
    sys.stdout.write(printable(str(path)) + "\n")
    sys.stdout.flush()


def _stem(client: Client, product: Product) -> str:
    return client.path_for(product).name.removesuffix(".zip")


def _is_here(client: Client, product: Product) -> bool:
    """Whether a preview is here, in any format."""
    folder, stem = client.path_for(product).parent, _stem(client, product)
    return any((folder / f"{stem}{kind.suffix}").exists() for kind in IMAGE_TYPES)
