"""``ls``: list the members of archives in the store."""

from __future__ import annotations

import logging
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.client import Client
from collgs_async.config.settings import Selection
from collgs_async.errors import CatalogueError, ProductError
from collgs_async.models.query import Query
from collgs_async.reporting.member_listing import MemberListing
from collgs_async.reporting.summary import missing_lines
from collgs_async.selection.search import SelectedProducts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Product

__all__ = ["list_members"]

log = logging.getLogger("collgs_async")


async def list_members(names: Mapping[str, Sequence[str]], config: Config, form: str) -> int:
    """List the members of named products, those of one collection after those of another.

    Parameters
    ----------
    names
        Identifiers by collection.
    form
        One of `MEMBER_FORMATS`.
    """
    ok = True
    with MemberListing(form, sys.stdout, several=sum(map(len, names.values())) > 1) as listing:
        async with Client(config) as client:
            for collection, wanted in names.items():
                query, only = Query.create(collection), Selection(ids=tuple(wanted))
                found = SelectedProducts(client.catalogue.search, query, only, config.base_url)
                try:
                    async with aclosing(aiter(found)) as products:
                        async for product in products:
                            ok &= await _list(client, product, listing)
                except CatalogueError as error:
                    log.error("%s", error)
                    ok = False
                for line in missing_lines(found.missing, collection):
                    log.error("%s", line)
                    ok = False
    return 0 if ok else 1


async def _list(client: Client, product: Product, listing: MemberListing) -> bool:
    """List the members of one archive, and say how much of it is wanted; return False if that failed."""
    try:
        members = await client.list_members(product)
    except ProductError as error:
        log.error("%s: %s", product.identifier, error)
        return False
    listing.write(members)
    log.info("%s: %s", product.identifier, members)
    return True
