"""The search: one page after the other, no sooner than somebody wants its products."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Final

from yarl import URL

from collgs_async.catalogue.answers import Page, PageLimitError, read_page
from collgs_async.errors import CatalogueError
from collgs_async.patience import LONGEST_WAIT, Patience, retry_after, retrying
from collgs_async.transport import NETWORK_ERRORS, describe, read_at_most
from collgs_async.words import asks_to_sign_in, looks_like_html

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from tenacity import RetryCallState

    from collgs_async.auth import Authenticator
    from collgs_async.config import Config
    from collgs_async.models import Product
    from collgs_async.query import Query
    from collgs_async.transport import Transport

__all__ = ["Search"]

log = logging.getLogger("collgs_async")

PAGE_SIZE: Final = 100
"""Results asked for at once: GeoServer's default maximum. A lower one is learnt from the server's refusal."""

LARGEST_PAGE: Final = 32 * 2**20
"""Bytes of a page after which we stop reading; a hundred results take about 0.4 MB."""

REPEATS: Final = 3
"""How often a page may come again before the server is taken to ignore ``startIndex``."""

_ECHOED_AS: Final = {"timestart": "start", "timeend": "end", "timerelation": "relation"}
"""Parameters that some versions echo by the name of the OGC time extension (``time:start``)."""


class Search:
    """The results of one query, as an asynchronous iterator of products.

    Pages are asked for by our own parameters with the next ``startIndex``, never by the server's ``next`` link,
    whose namespaced keys it would not understand itself. New products push old ones to later pages; a product that
    was seen is not handed out again.

    Parameters
    ----------
    transport
        The HTTP session.
    authenticator
        Signs in, should the catalogue ask for it.
    config
        Where the catalogue is, and how patient to be with it.
    query
        What to ask for.
    sleep
        The way to wait between tries, in seconds.

    Attributes
    ----------
    total
        How many results the catalogue says that it has; None while it has not said. Read anew on each page.
    pages
        How many pages were read.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        config: Config,
        query: Query,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._authenticator = authenticator
        self._config = config
        self._query = query
        self._sleep = sleep
        self._page_size = PAGE_SIZE
        self._parent_key = "parentIdentifier"
        self.total: int | None = None
        self.pages = 0

    @property
    def expected(self) -> int | None:
        """How many products this search will hand out at the most; None while nobody knows."""
        if self.total is None:
            return None
        left = max(0, self.total - self._query.start_index + 1)
        return left if self._query.count is None else min(left, self._query.count)

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Hand out each product once.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or does not answer with results.
        """
        start, wanted = self._query.start_index, self._query.count
        seen: set[int] = set()
        repeats, before = 0, None
        while wanted is None or wanted > 0:
            page = await self._page(start, wanted)
            fresh = [product for product in page.products if _is_new(product, seen)]
            for product in fresh[:wanted]:
                yield product
            if wanted is not None:
                wanted -= len(fresh[:wanted])
            start += len(page.products)
            if self._is_last(page, start):
                return
            names = [product.identifier for product in page.products]
            repeats, before = repeats + 1 if names == before else 0, names
            if repeats == REPEATS:
                raise CatalogueError(f"the catalogue repeats itself: it gave the same page {repeats + 1} times")

    def _is_last(self, page: Page, next_start: int) -> bool:
        if not page.products:
            return True
        if page.total is not None:
            return next_start > page.total
        return page.more is False

    async def _page(self, start: int, wanted: int | None) -> Page:
        """Ask for one page, smaller or by an older parameter name if the server turns out to need that."""
        while True:
            # Later pages are whole ones, for they may begin with what was seen before.
            count = min(wanted, self._page_size) if wanted is not None and not self.pages else self._page_size
            try:
                page = await self._ask_patiently(start, count)
            except PageLimitError as error:
                if error.maximum >= count:
                    raise
                self._page_size = error.maximum
                log.debug("the catalogue gives at most %d results a page", error.maximum)
                continue
            if self.pages == 0 and not self._understood(page):
                continue
            self.pages += 1
            self.total = page.total
            return page

    async def _ask_patiently(self, start: int, count: int) -> Page:
        patience = Patience(self._config.connection.retries)
        attempt = retrying(
            patience,
            worth_it=lambda error: isinstance(error, CatalogueError) and error.retryable,
            before_sleep=_announce,
            sleep=self._sleep,
        )
        return await attempt(self._ask, start, count)

    async def _ask(self, start: int, count: int) -> Page:
        parameters = dict(self._query.parameters)
        parameters[self._parent_key] = parameters.pop("parentIdentifier")
        parameters |= {"startIndex": str(start), "count": str(count), "httpAccept": "json"}
        url = self._config.base_url
        visit = self._authenticator.visit()
        while True:
            try:
                async with self._transport.get(url, params=parameters, decompress=True) as response:
                    body, whole = await read_at_most(response, LARGEST_PAGE)
            except NETWORK_ERRORS as error:
                raise CatalogueError(f"the catalogue at {url}: {describe(error)}", retryable=True) from error
            if not (looks_like_html(body) and asks_to_sign_in(body)):
                break
            await visit.sign_in(URL(url).update_query(parameters))
        if not whole:
            raise CatalogueError(f"the catalogue's answer is larger than {LARGEST_PAGE // 2**20} MiB")
        try:
            return read_page(response.status, body, download_base=self._config.download_base)
        except CatalogueError as error:
            error.retry_after = retry_after(response.headers)
            if (error.retry_after or 0) > LONGEST_WAIT:
                error.retryable = False
            raise

    def _understood(self, page: Page) -> bool:
        """Check on the first page what the server has made of our parameters (it repeats those that it knows).

        An older server knows the collection only as ``parentId`` and would list collections otherwise: it is
        asked once more. A filter that was ignored is said, once, since it means more results than were wanted.
        """
        if not page.echo:
            return True
        echo = {name.lower() for name in page.echo}
        if not echo & {"parentidentifier", "parentid"}:
            if self._parent_key == "parentId":
                raise CatalogueError(
                    "the catalogue ignores the collection that was asked for and lists its collections instead"
                )
            self._parent_key = "parentId"
            return False
        sent = [name for name in self._query.parameters if name != "parentIdentifier"]
        ignored = [name for name in sent if not {name.lower(), _ECHOED_AS.get(name.lower())} & echo]
        if ignored:
            log.warning(
                "the catalogue ignored %s: its answer does not repeat it, so more may be found than you asked for",
                " and ".join(ignored),
            )
        return True


def _is_new(product: Product, seen: set[int]) -> bool:
    """Remember a digest of each identifier rather than the identifier: a tenth of the memory."""
    digest = hashlib.blake2b(product.identifier.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    known = len(seen)
    seen.add(int.from_bytes(digest))
    return len(seen) > known


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s; asking again in %.1f s", error, state.upcoming_sleep)
