"""The catalogue of a client: its collections, what can be searched for, and all that a search finds."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.catalogue.collections import list_collections
from collgs_async.catalogue.description import find_description
from collgs_async.catalogue.first_sign_in import FirstSignIn
from collgs_async.catalogue.page_sizes import CatalogueHints
from collgs_async.catalogue.search import Search
from collgs_async.catalogue.unknown import is_about_collection, unknown_collection
from collgs_async.errors import AuthenticationError, CatalogueError, ConciseErrors
from collgs_async.http.requester import CatalogueRequester
from collgs_async.models.query import Query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collgs_async.catalogue.description import Description
    from collgs_async.catalogue.response import Collection
    from collgs_async.config.settings import Config
    from collgs_async.http.session import Session

__all__ = ["Catalogue"]


class Catalogue:
    """An OpenSearch-EO catalogue; `Client.catalogue` is the one of a client.

    What one search learns, such as the page size that the server accepts, the next ones use.

    Parameters
    ----------
    config
        Its address, how it is reached, and the query of searches that name none.
    """

    def __init__(self, session: Session, config: Config) -> None:
        self._session = session
        self._config = config
        self._hints = CatalogueHints(config.connection.page_size)
        self._descriptions: dict[str, Description | None] = {}
        self._without_answer: set[str] = set()
        self._first_sign_in: FirstSignIn | None = None
        if config.connection.sign_in == "always":
            self._first_sign_in = FirstSignIn(session, self.search_anonymously, self._collections)

    def search(self, query: Query | None = None) -> Search:
        """Search for all products that the catalogue lists, without the configuration's ``selection``.

        Parameters
        ----------
        query
            The query; None: that of the configuration's ``parameters``.

        Returns
        -------
        Search
            An asynchronous iterator of products, which requests pages as needed.

        Raises
        ------
        ConfigError
            No collection is named; no request was made.
        """
        return self._search(query, before=self._first_sign_in)

    def search_anonymously(self, query: Query | None = None) -> Search:
        """Search as `search` does, but never sign in before, even where ``connection.sign_in`` is ``always``."""
        return self._search(query)

    def _search(self, query: Query | None, before: Callable[[Query], Awaitable[None]] | None = None) -> Search:
        return Search(
            self._session,
            self._config,
            query or self._config.needed_query(),
            look_up=self._look_up,
            before=before,
            explain=self._explained,
            strict=self._config.selection.strict,
            hints=self._hints,
        )

    async def collections(self) -> list[Collection]:
        """List the collections, sorted by name.

        Raises
        ------
        CatalogueError
            The request failed, or the response holds no results.
        """
        with ConciseErrors():
            if self._first_sign_in is not None:
                await self._first_sign_in(self._config.query)
            return await self._collections()

    async def _collections(self) -> list[Collection]:
        return await list_collections(CatalogueRequester(self._session), self._config.base_url, self._hints)

    async def describe(self, collection: str | None = None) -> Description | None:
        """Return the search parameters of a collection, their ranges, and the largest page size.

        Parameters
        ----------
        collection
            Its name; None: that of the configuration's ``parameters``.

        Returns
        -------
        Description or None
            None when the server has no description document, as older ones.

        Raises
        ------
        CatalogueError
            The request failed, or there is no such collection.
        """
        collection = collection or self._config.needed_query().collection
        with ConciseErrors():
            if self._first_sign_in is not None:
                await self._first_sign_in(Query.create(collection))
            try:
                return await self._description(collection, CatalogueRequester(self._session))
            except CatalogueError as error:
                if (explained := await self._explained(error, collection)) is error:
                    raise
                raise explained from error

    async def _explained(self, error: CatalogueError, collection: str) -> CatalogueError:
        """Return an error that names the nearest collection, if this one is refused; any other error is unchanged."""
        if not is_about_collection(error):
            return error
        once = CatalogueRequester(replace(self._session, retries=1))
        known: list[str] = []
        with suppress(CatalogueError, AuthenticationError):
            known = [one.identifier for one in await list_collections(once, self._config.base_url, self._hints)]
        return error if collection in known else unknown_collection(error, collection, known)

    async def _look_up(self, collection: str) -> Description | None:
        """Return the description of a collection for a search; a failure is not repeated.

        A search that is not strict works without it, so one attempt is enough.
        """
        if collection in self._without_answer:
            return None
        session = self._session if self._config.selection.strict else replace(self._session, retries=1)
        try:
            return await self._description(collection, CatalogueRequester(session))
        except (CatalogueError, AuthenticationError):
            self._without_answer.add(collection)
            raise

    async def _description(self, collection: str, requester: CatalogueRequester) -> Description | None:
        if collection not in self._descriptions:
            self._descriptions[collection] = await find_description(requester, self._config.base_url, collection)
        return self._descriptions[collection]
