"""``--map``: write the products found to a page for the browser."""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.text import format_bytes, plural
from collgs_async.reporting.summary import excluded_line
from collgs_async.storage.atomic import may_replace, unwritable_kind, write_file

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from collgs_async.client import Client
    from collgs_async.errors import CatalogueError
    from collgs_async.models.product import Product
    from collgs_async.models.wish import Wish
    from collgs_async.reporting.map.background import Background
    from collgs_async.selection.planned import PlannedProducts
    from collgs_async.selection.search import SelectedProducts

__all__ = ["check_place", "download_command", "read_background", "write_map"]

log = logging.getLogger("collgs_async")

_MAX_QUICKLOOK_BYTES: Final = 256 * 1024
"""Limit on an embedded quicklook in bytes."""

_MAX_TOTAL_BYTES: Final = 24 * 2**20
"""Limit for all embedded quicklooks in bytes, so the page can be opened and mailed."""

_MAX_FAILURES: Final = 10
"""Consecutive failures after which fetching stops, since a failing server costs half a minute for each."""

REPORT_INTERVAL: Final = 5.0
"""Seconds between progress messages for quicklooks."""


def check_place(path: Path) -> Path:
    """Return the path if a file can be written there, before any request is made.

    Raises
    ------
    ConfigError
        It is a folder, a socket, a block device or a file that is no page, or its folder does not exist.
    """
    if kind := unwritable_kind(path):
        raise ConfigError(f"--map: expected the name of a file, found {kind}, {quote_value(str(path))}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--map: expected a file in a folder that exists, found {quote_value(str(path))}")
    if not may_replace(path, b"<!doctype html>"):
        raise ConfigError(f"--map: expected no file or a page, found another file at {path}; it was left alone")
    return path


def read_background(args: Namespace) -> Background | None:
    """Read the server of tiles, before any request is made; None: the page is to make no request.

    Raises
    ------
    ConfigError
        It is no address of tiles, or there is no map to show it on.
    """
    if args.tiles is None:
        if args.tiles_credit is not None:
            raise ConfigError("--tiles-credit: expected --tiles beside it, found none")
        return None
    if not args.map:
        raise ConfigError("--tiles: expected --map beside it, found none")
    from collgs_async.reporting.map.background import Background

    try:
        return Background.parse(args.tiles, args.tiles_credit)
    except ValueError as error:
        raise ConfigError(f"--tiles: {error}") from None


def download_command(args: Namespace, collection: str, wish: Wish) -> str:
    """Return the command that downloads these parts of the products named in ``chosen.txt``, from this catalogue."""
    words = ["collgs-async", "download"]
    if args.config:
        words += ["--config", str(args.config)]
    address = str(args.flags.get("base_url") or "")
    if address and "@" not in address:  # a page is no place for a password
        words += ["--base-url", address]
    return shlex.join([*words, "--collection", collection, "--ids", "chosen.txt", *wish.as_flags()])


async def write_map(
    path: Path,
    products: Sequence[Product],
    client: Client,
    selected: SelectedProducts | PlannedProducts,
    *,
    quicklooks: bool,
    error: CatalogueError | None,
    query: Sequence[str] = (),
    command: str | None = None,
    background: Background | None = None,
) -> None:
    """Write the page, atomically.

    Parameters
    ----------
    path
        The file.
    products, client, selected
        The selected products, and where they come from.
    quicklooks
        Whether previews are fetched and embedded.
    error
        The error that ended the search early; None: it was complete.
    query, command, background
        As for `page`.
    """
    from collgs_async.reporting.map.page import page

    notes = [f"The search ended early: {error}"] if error else []
    if selected.excluded:
        notes.append(excluded_line(selected.excluded))
    text = page(
        products,
        area=selected.area.geojson() if selected.area else None,
        title=selected.queries[0].collection,
        query=query,
        quicklooks=await _pictures(client, products) if quicklooks else None,
        overlap={product.identifier: product.overlap for product in products if product.overlap is not None},
        notes=notes,
        command=command,
        background=background,
    )
    data = text.encode()
    await asyncio.to_thread(write_file, path, [data])
    log.info("the map is in %s (%s)", path, format_bytes(len(data)))


async def _pictures(client: Client, products: Sequence[Product]) -> dict[str, bytes]:
    """Fetch as many previews as one page may hold; failures are ignored."""
    wanted = [product for product in products if product.quicklook]
    if not wanted:
        return {}
    log.info("fetching %s; --no-quicklooks leaves them out", plural(len(wanted), "quicklook"))

    async def one_by_one() -> AsyncGenerator[Product, None]:
        for product in wanted:
            yield product

    found: dict[str, bytes] = {}
    room, failed, in_a_row, reported_at = _MAX_TOTAL_BYTES, 0, 0, time.monotonic()
    async with aclosing(client.fetch_quicklooks(one_by_one(), largest=_MAX_QUICKLOOK_BYTES)) as pictures:
        async for product, picture in pictures:
            if time.monotonic() - reported_at >= REPORT_INTERVAL:
                reported_at = time.monotonic()
                log.info("%d of %s so far", len(found) + failed, plural(len(wanted), "quicklook"))
            if picture is None:
                failed, in_a_row = failed + 1, in_a_row + 1
                if in_a_row == _MAX_FAILURES:
                    log.info("no more quicklooks are asked for")
                    break
                continue
            in_a_row = 0
            room -= len(picture.data)
            if room < 0:
                log.info("the map has only the first %s, more would make it too large", plural(len(found), "quicklook"))
                break
            found[product.identifier] = picture.data
    if failed:
        log.info("%s could not be had", plural(failed, "quicklook"))
    return found
