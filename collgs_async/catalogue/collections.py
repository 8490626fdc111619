"""Which collections the catalogue has."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.catalogue.known import Known
from collgs_async.catalogue.response import Page, read_collections
from collgs_async.catalogue.rounds import Rounds
from collgs_async.catalogue.sizes import Lessons, Sizes
from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collgs_async.catalogue.response import Collection
    from collgs_async.http.requester import Requester

__all__ = ["list_collections"]

_MOST: Final = 10_000
"""Collections after which a catalogue is taken to have no end."""


async def list_collections(requester: Requester, base_url: str, lessons: Lessons | None = None) -> list[Collection]:
    """List all collections, in the order of their names: a search that names none is a search among them.

    Parameters
    ----------
    inquiry
        Asks.
    base_url
        The search address.
    lessons
        What is known of the catalogue's pages; None: nothing.

    Raises
    ------
    CatalogueError
        The catalogue could not be asked, does not answer with results, or does not give all of them.
    """
    found: dict[str, Collection] = {}
    rounds = Rounds(partial(_page, Sizes(requester, base_url, lessons or Lessons())), Known())
    async with aclosing(aiter(rounds)) as collections:
        async for collection, _ in collections:
            found[collection.identifier] = collection
            if len(found) > _MOST:
                raise CatalogueError(f"the catalogue lists more than {_MOST} collections")
    if rounds.shortfall is not None:
        raise rounds.shortfall
    found.pop("", None)  # what has no name cannot be asked for
    return [found[name] for name in sorted(found)]


async def _page(sizes: Sizes, start: int) -> tuple[Page[Collection], int]:
    return await sizes.ask({"startIndex": str(start), "httpAccept": "json"}, read_collections)
