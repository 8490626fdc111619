"""List the collections of a catalogue."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.catalogue.known import Known
from collgs_async.catalogue.page_sizes import CatalogueHints, PageSizes
from collgs_async.catalogue.response import Page, read_collections
from collgs_async.catalogue.rounds import Rounds
from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collgs_async.catalogue.response import Collection
    from collgs_async.http.requester import CatalogueRequester

__all__ = ["list_collections"]

_MOST: Final = 10_000
"""Limit on the number of collections; a catalogue with more is taken to page without end."""


async def list_collections(
    requester: CatalogueRequester, base_url: str, hints: CatalogueHints | None = None
) -> list[Collection]:
    """List all collections, sorted by name. In OpenSearch-EO, a search that names no collection is one for collections.

    Parameters
    ----------
    base_url
        The search address.
    hints
        Page sizes learned from earlier requests; None: nothing is known.

    Raises
    ------
    CatalogueError
        The request failed, the response holds no results, or the list is incomplete.
    """
    found: dict[str, Collection] = {}
    rounds = Rounds(partial(_page, PageSizes(requester, base_url, hints or CatalogueHints())), Known())
    async with aclosing(aiter(rounds)) as collections:
        async for collection, _ in collections:
            found[collection.identifier] = collection
            if len(found) > _MOST:
                raise CatalogueError(f"the catalogue lists more than {_MOST} collections")
    if rounds.shortfall is not None:
        raise rounds.shortfall
    found.pop("", None)  # a collection without a name cannot be requested
    return [found[name] for name in sorted(found)]


async def _page(sizes: PageSizes, start: int) -> tuple[Page[Collection], int]:
    return await sizes.ask({"startIndex": str(start), "httpAccept": "json"}, read_collections)
