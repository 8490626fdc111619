"""Repair an archive of which only the file is known: the catalogue is asked for the product of its name."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.errors import NotAvailableError
from collgs_async.models.product import Outcome, Product, Status
from collgs_async.models.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from collgs_async.catalogue.search import Search
    from collgs_async.transfer.downloader import Downloader

__all__ = ["repair_named"]


async def repair_named(
    archive: Path,
    damaged: Iterable[tuple[int, int]],
    *,
    collection: str,
    search: Callable[[Query], Search],
    downloader: Downloader,
) -> Outcome:
    """Find the product of an archive, and fetch its damaged parts again; see `Client.repair`."""
    name = archive.stem
    async with aclosing(aiter(search(Query.create(collection, extra={"identifier": name})))) as found:
        product = await anext(found, None)
    if product is None:
        return _not_found(name, f"the catalogue lists no product {name} in {collection}")
    final = downloader.path_for(product)
    if not _is_same_name(final, archive):
        return _not_found(name, f"asked for {name}, the catalogue gives a product whose archive is {final}")
    return await downloader.download(product, damaged=damaged)


def _is_same_name(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()


def _not_found(identifier: str, problem: str) -> Outcome:
    return Outcome(Product(identifier, url=None, problem=problem), Status.FAILED, error=NotAvailableError(problem))
