"""Log in before the search, for catalogues that show more to known users.

A GeoServer shows collections and products by role (its EO security rules) and answers status 200 to everyone, so a
search never triggers a login. The archive store does: the link of an archive leads to the login form, and the session
behind it is valid for the catalogue, too. So an anonymous search finds a link, and the real search starts over with
the cookies of the login.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from collgs_async.errors import AuthenticationError, CatalogueError, TransferError
from collgs_async.http.retry import RetryPolicy, retry_call
from collgs_async.models.query import Query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from collgs_async.catalogue.response import Collection
    from collgs_async.catalogue.search import Search
    from collgs_async.http.auth import Identity
    from collgs_async.http.session import Session

__all__ = ["FirstSignIn"]

log = logging.getLogger("collgs_async")

_MAX_COLLECTIONS: Final = 5
"""Limit on collections searched for a link."""

_LOOKED_AT: Final = 10
"""Limit on products per search among which a link is looked for."""


class FirstSignIn:
    """Logs in once, before the first request of a search.

    Parameters
    ----------
    search
        Creates a search that does not itself wait for the login.
    collections
        Lists the collections, for the case that the anonymous search finds nothing.
    """

    def __init__(
        self,
        session: Session,
        search: Callable[[Query], Search],
        collections: Callable[[], Awaitable[Sequence[Collection]]],
    ) -> None:
        self._session = session
        self._search = search
        self._collections = collections
        self._turn = asyncio.Lock()
        self._done = False

    async def __call__(self, query: Query | None) -> None:
        """Log in at the first archive that this query finds, or that any collection has; None: any collection.

        Raises
        ------
        AuthenticationError
            Credentials are missing or were rejected, or nothing asks for a login.
        CatalogueError
            A request failed, in the search or in the login.
        """
        async with self._turn:
            if not self._done:
                await self._sign_in(query)
                self._done = True

    async def _sign_in(self, query: Query | None) -> None:
        url = await self._link(query)
        if self._session.auth.generation:  # the catalogue itself has asked for it
            return
        if url is None:
            raise AuthenticationError(
                "connection.sign_in is always, but without a sign-in the catalogue lists no archive, whose link would "
                "lead to its form"
            )
        if (signed_in := await self._at(url)) is None:
            raise AuthenticationError(
                f"connection.sign_in is always, but {urlsplit(url).hostname} serves archives without a sign-in"
            )
        log.info("%s, before the search", signed_in)

    async def _at(self, url: str) -> Identity | None:
        try:
            return await retry_call(
                lambda: self._session.auth.authenticate(url),
                RetryPolicy(self._session.retries),
                worth_it=lambda error: isinstance(error, TransferError),
                sleep=self._session.timing.sleep,
            )
        except TransferError as error:
            raise CatalogueError(f"before the search: {error}") from None

    async def _link(self, query: Query | None) -> str | None:
        refusal: CatalogueError | None = None
        async for one in self._queries(query):
            try:
                async with aclosing(aiter(self._search(one))) as products:
                    async for product in products:
                        if product.url is not None:
                            return product.url
            except CatalogueError as error:  # the collection may be hidden from anonymous users
                refusal = refusal or error
        if refusal is not None and not self._session.auth.generation:
            raise refusal
        return None

    async def _queries(self, query: Query | None) -> AsyncIterator[Query]:
        """Yield queries that may find a link, the narrowest first, since a whole collection may be hidden."""
        if query is not None:
            yield replace(query, count=_LOOKED_AT, start_index=1)
            yield _any_of(query.collection)
        names = [collection.identifier for collection in await self._collections()]
        for name in [name for name in names if query is None or name != query.collection][:_MAX_COLLECTIONS]:
            yield _any_of(name)


def _any_of(collection: str) -> Query:
    return replace(Query.create(collection), count=_LOOKED_AT)
