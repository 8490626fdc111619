"""Repair an archive or a tree of members on the disk: the catalogue is asked for the product of its name."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from glob import escape
from typing import TYPE_CHECKING

from collgs_async.errors import FileError, NotAvailableError
from collgs_async.models.product import ELSEWHERE, Outcome, Product, Status
from collgs_async.models.query import Query
from collgs_async.selection.bands import choose_members
from collgs_async.storage.filenames import archive_of
from collgs_async.storage.member_names import RECORD
from collgs_async.storage.parts_tree import PartsTree

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from collgs_async.catalogue.search import Search
    from collgs_async.models.wish import Wish
    from collgs_async.storage.parts_record import PartsRecord
    from collgs_async.transfer.downloader import Downloader

__all__ = ["repair_named", "repair_tree"]


async def repair_named(
    archive: Path,
    damaged: Iterable[tuple[int, int]],
    *,
    collection: str,
    search: Callable[[Query], Search],
    downloader: Downloader,
) -> Outcome:
    """Find the product of an archive, and fetch its damaged parts again; see `Client.repair`."""
    product = await _find(archive.stem, archive, collection, search, downloader)
    return product if isinstance(product, Outcome) else await downloader.download(product, damaged=damaged)


async def repair_tree(
    folder: Path,
    names: Collection[str],
    *,
    collection: str,
    search: Callable[[Query], Search],
    downloader: Downloader,
) -> Outcome:
    """Find the product of a tree of members, and fetch damaged members again; see `Client.repair_members`."""
    tree = PartsTree(folder)
    record = await asyncio.to_thread(tree.read_record)
    if record is None:
        raise FileError(f"{folder}: there is no usable {RECORD}, which says of what product it is")
    wish = await asyncio.to_thread(_wish_for, record, names)
    product = await _find(record.identifier, archive_of(folder), collection, search, downloader)
    if isinstance(product, Outcome):
        return product
    if not await asyncio.to_thread(tree.drop, names):
        return Outcome(product, Status.SKIPPED, reason=ELSEWHERE)
    return await downloader.download(product, wish=wish)


def _wish_for(record: PartsRecord, names: Collection[str]) -> Wish:
    """Return the wish of a record, with those of these members that it does not choose."""
    members = [member.name for member in record.read_directory().members]
    try:
        chosen = choose_members(members, record.wish, identifier=record.identifier) if record.wish else ()
    except NotAvailableError:
        chosen = ()
    more = [escape(name.partition("/")[2] or name) for name in names if name not in chosen]
    return replace(record.wish, members=(*record.wish.members, *more))


async def _find(
    name: str, archive: Path, collection: str, search: Callable[[Query], Search], downloader: Downloader
) -> Product | Outcome:
    """Find the product whose archive has, or would have, this path; return the failure if there is none."""
    async with aclosing(aiter(search(Query.create(collection, extra={"identifier": name})))) as found:
        product = await anext(found, None)
    if product is None:
        return _not_found(name, f"the catalogue lists no product {name} in {collection}")
    final = downloader.path_for(product)
    if not _is_same_name(final, archive):
        return _not_found(name, f"asked for {name}, the catalogue gives a product whose archive is {final}")
    return product


def _is_same_name(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()


def _not_found(identifier: str, problem: str) -> Outcome:
    return Outcome(Product(identifier, url=None, problem=problem), Status.FAILED, error=NotAvailableError(problem))
