"""``search``, ``--dry-run`` and ``quicklooks``: show what a run would download."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.cli.commands.dry_run import (
    NoListing,
    incomplete,
    log_free_space,
    of_search,
    recorded,
    sized,
    without_actions,
)
from collgs_async.cli.commands.map import check_place, download_command, read_background, write_map
from collgs_async.cli.nothing import describe_nothing
from collgs_async.client import Client
from collgs_async.errors import CatalogueError
from collgs_async.http.messages import printable
from collgs_async.models.images import IMAGE_TYPES
from collgs_async.reporting.listing import write_listing
from collgs_async.reporting.ordering import read_order, sort_by
from collgs_async.reporting.query_words import describe_query
from collgs_async.reporting.summary import excluded_line, missing_lines
from collgs_async.reporting.totals import ListingTotals
from collgs_async.selection.filters import closing_iter
from collgs_async.selection.planned import PlannedProducts
from collgs_async.selection.search import SelectedProducts
from collgs_async.storage.atomic import STDOUT, write_whole

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncGenerator, AsyncIterable, Mapping
    from pathlib import Path
    from typing import TextIO

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Product
    from collgs_async.reporting.dry_run import DryRunReport
    from collgs_async.reporting.map.background import Background
    from collgs_async.selection.plan import Plan
    from collgs_async.transfer.quicklooks import Picture

__all__ = ["quicklooks", "search"]

log = logging.getLogger("collgs_async")


async def search(config: Config, args: Namespace, plan: Plan | None = None) -> int:
    """List matching products, or those of a plan, on stdout; in a dry run, only those to download."""
    if not (args.dry_run and getattr(args, "report", None)):
        return await _list(config, args, plan, None, sys.stdout)
    from collgs_async.reporting.dry_run import DryRunReport  # deferred: few searches have a report

    with DryRunReport(args.report, is_part=bool(config.parts.wish)) as report:
        # A report on standard output is all that is written there.
        return await _list(config, args, plan, report, NoListing() if args.report == STDOUT else sys.stdout)


async def _list(config: Config, args: Namespace, plan: Plan | None, report: DryRunReport | None, out: TextIO) -> int:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    dry_run = args.dry_run
    order = read_order(args.sort) if args.sort else None
    place = check_place(args.map) if args.map else None
    background = read_background(args)
    totals = ListingTotals(config.parts.wish, has_sizes=args.sizes)
    kept: list[Product] = []
    error: CatalogueError | None = None
    async with Client(config) as client:
        selected = client.search() if plan is None else PlannedProducts(plan, config.selection.shard)
        if isinstance(selected, SelectedProducts):
            await selected.prepare()
        products = incomplete(client, selected, totals, report) if dry_run else aiter(selected)
        if args.sizes:
            products = sized(client, products, totals, dry_run=dry_run)
        if order:
            products = sort_by(products, order)
        products = totals.over(products, kept=kept if place else None)
        if report is not None:
            products = recorded(client, products, totals, report)
        if args.format == "urls":
            products = without_actions(products, totals)
        action = (lambda product: totals.actions.pop(product.identifier)) if dry_run else None
        async with aclosing(products):
            try:
                await write_listing(products, args.format, out, width=width, action=action)
            except BrokenPipeError:
                if place is None and report is None:
                    raise
                async for _ in products:  # `head` has ended, but map and report have all products
                    pass
            except CatalogueError as failure:
                error = failure
        if place:
            await _write_map(place, kept, client, selected, args, plan, error, background)
        if report is not None:
            report.write(of_search(selected, error))
        return await _conclude(client, selected, totals, error, dry_run=dry_run)


async def _conclude(
    client: Client,
    selected: SelectedProducts | PlannedProducts,
    totals: ListingTotals,
    error: CatalogueError | None,
    *,
    dry_run: bool,
) -> int:
    """Log the totals of a listing, or why it ended early, and return the exit code."""
    for line in missing_lines(selected.missing):
        log.error("%s", line)
    if error:
        log.error("%s", error)
        return 1
    if dry_run and totals.bytes and client.config.store_url is None:
        workers, keep_part = client.config.download_options.workers, client.config.parts.keep_part
        log_free_space(client.config.folder, totals.disk_needed(workers, keep_part=keep_part))
    words = totals.words(selected.total, dry_run=dry_run)
    level = logging.ERROR if totals.refused else logging.INFO
    log.log(level, "%s%s", words, f". {excluded_line(selected.excluded)}" if selected.excluded else "")
    if selected.missing or totals.refused:
        return 1
    if isinstance(selected, SelectedProducts) and not (totals.count or totals.skipped):
        for line in await describe_nothing(client, selected.excluded, _box(selected)):
            log.info("%s", line)
    return 0


def _box(selected: SelectedProducts) -> tuple[float, float, float, float] | None:
    return selected.area.box if selected.area else None


async def _write_map(
    place: Path,
    kept: list[Product],
    client: Client,
    selected: SelectedProducts | PlannedProducts,
    args: Namespace,
    plan: Plan | None,
    error: CatalogueError | None,
    background: Background | None,
) -> None:
    """Write the map of the products, with the words of the query or of the plan's query."""
    config = client.config
    parameters: Mapping[str, object] = plan.parameters if plan else config.needed_query().to_dict()
    selection = plan.selection if plan else config.selection.to_dict()
    await write_map(
        place,
        kept,
        client,
        selected,
        quicklooks=args.quicklooks,
        error=error,
        query=describe_query(parameters, selection),
        command=download_command(args, selected.queries[0].collection, config.parts.wish),
        background=background,
    )


async def quicklooks(config: Config, *, dry_run: bool = False) -> int:
    """Save the previews of matching products, and print their paths; in a dry run, those without a suffix only."""
    if not dry_run:
        config.folder.mkdir(parents=True, exist_ok=True)
    counts = Counter[str]()
    error: CatalogueError | None = None
    async with Client(config) as client:
        selected = client.search()
        wanted = _without_preview(client, selected, counts, skip_existing=config.download_options.skip_existing)
        try:
            if dry_run:
                async for product in wanted:
                    _write_path(client.path_for(product).with_name(_stem(client, product)))
                    counts["would be saved"] += 1
            else:
                await _fetch(client, wanted, counts)
        except CatalogueError as failure:
            error = failure
        is_empty = not (counts or error or selected.missing)
        nothing = await describe_nothing(client, selected.excluded, _box(selected)) if is_empty else []
    for line in missing_lines(selected.missing):
        log.error("%s", line)
    if error:
        log.error("%s", error)
    first = "would be saved" if dry_run else "saved"
    words = ", ".join(f"{counts[what]} {what}" for what in (first, *_OTHERS) if counts[what] or what == first)
    log.info("%s%s", words, f". {excluded_line(selected.excluded)}" if selected.excluded else "")
    for line in nothing:
        log.info("%s", line)
    return 1 if counts["failed"] or error or selected.missing else 0


_OTHERS = ("already here", "without a quicklook", "failed")


async def _fetch(client: Client, wanted: AsyncGenerator[Product, None], counts: Counter[str]) -> None:
    async with aclosing(client.fetch_quicklooks(wanted)) as pictures:
        async for product, picture in pictures:
            await _save(picture, product, client)
            counts["saved" if picture else "failed"] += 1


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
    _write_path(path)


def _write_path(path: Path) -> None:
    sys.stdout.write(printable(str(path)) + "\n")
    sys.stdout.flush()


def _stem(client: Client, product: Product) -> str:
    return client.path_for(product).name.removesuffix(".zip")


def _is_here(client: Client, product: Product) -> bool:
    """Whether a preview is here, in any format."""
    folder, stem = client.path_for(product).parent, _stem(client, product)
    return any((folder / f"{stem}{kind.suffix}").exists() for kind in IMAGE_TYPES)
