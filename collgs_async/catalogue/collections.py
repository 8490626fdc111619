"""Which collections the catalogue has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collgs_async.catalogue.answers import PageLimitError, read_collections

if TYPE_CHECKING:
    from collgs_async.catalogue.answers import Collection
    from collgs_async.catalogue.inquiry import Inquiry

__all__ = ["list_collections"]

_PAGE_SIZE: Final = 100
_MOST: Final = 10_000
"""Collections after which a catalogue is taken to have no end."""


async def list_collections(inquiry: Inquiry, base_url: str) -> list[Collection]:
    """List all collections, in the order of their names: a search that names none is a search among them.

    Parameters
    ----------
    inquiry
        Asks.
    base_url
        The search address.

    Raises
    ------
    CatalogueError
        The catalogue could not be asked, or does not answer with results.
    """
    found: dict[str, Collection] = {}
    start, size = 1, _PAGE_SIZE
    while len(found) < _MOST:
        parameters = {"startIndex": str(start), "count": str(size), "httpAccept": "json"}
        try:
            page = await inquiry.ask(base_url, parameters, read_collections)
        except PageLimitError as error:
            if error.maximum >= size:
                raise
            size = error.maximum
            continue
        known = len(found)
        found |= {collection.identifier: collection for collection in page}
        if len(found) == known:
            break
        start += len(page)
    return [found[name] for name in sorted(found)]
