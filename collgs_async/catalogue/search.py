"""Run a search: request pages on demand and yield their products."""

from __future__ import annotations

import difflib
import logging
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp

from collgs_async.catalogue.compliance import outside
from collgs_async.catalogue.description import COMMON_PARAMETERS, LEGACY_PARAMETERS
from collgs_async.catalogue.division import Division
from collgs_async.catalogue.page_sizes import CatalogueHints, PageSizes
from collgs_async.catalogue.recognition import foreign_names
from collgs_async.catalogue.response import AddressTooLongError, Page, read_page
from collgs_async.catalogue.spans import Span
from collgs_async.config.settings import BY_KEY
from collgs_async.errors import AuthenticationError, CatalogueError, ConciseErrors, ConfigError
from collgs_async.http.network_errors import root_of
from collgs_async.http.requester import CatalogueRequester
from collgs_async.models.criteria import CRITERIA_KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from collgs_async.catalogue.description import Description
    from collgs_async.catalogue.known import Twin
    from collgs_async.config.settings import Config
    from collgs_async.http.session import Session
    from collgs_async.models.product import Product
    from collgs_async.models.query import Query

__all__ = ["CatalogueHints", "Search"]

log = logging.getLogger("collgs_async")

_ECHOED_AS: Final = {"timestart": "start", "timeend": "end", "timerelation": "relation"}
"""Parameters that some versions echo under the name of the OGC time extension (``time:start``)."""

MAX_WITHOUT_LINK: Final = 1000
"""Limit on products without a link that are held back, in case a later entry of the same name has one."""


class Search:
    """The results of one query, as an asynchronous iterator of products.

    Pages are requested with ``startIndex``, never by the server's ``next`` link, whose namespaced keys the server
    itself would not understand. Each product is yielded once. The search ends without an error only when all products
    listed have been yielded, as far as the catalogue lets that be verified.

    Parameters
    ----------
    look_up
        Returns the description of a collection; called when the query has uncommon parameters. None: they are not
        checked.
    before
        Called with the query before the first request, for instance to log in.
    explain
        Returns a better description of an error about a collection, when the first page fails; None: there is none.
    strict
        Whether unknown parameters are an error; otherwise they cause a warning.
    hints
        What earlier searches have learned about the catalogue.

    Attributes
    ----------
    total
        The catalogue's count of results, updated by each page; None while it is unknown.
    pages
        The number of pages read.
    honoured
        The parameters that the catalogue reports as applied.
    """

    def __init__(
        self,
        session: Session,
        config: Config,
        query: Query,
        *,
        look_up: Callable[[str], Awaitable[Description | None]] | None = None,
        before: Callable[[Query], Awaitable[None]] | None = None,
        explain: Callable[[CatalogueError, str], Awaitable[CatalogueError]] | None = None,
        strict: bool = False,
        hints: CatalogueHints | None = None,
    ) -> None:
        self._config = config
        self._query = query
        self._look_up = look_up
        self._before = before
        self._explain = explain
        self._strict = strict
        self._hints = hints or CatalogueHints(config.connection.page_size)
        requester = CatalogueRequester(session, outage=config.connection.outage)
        self._sizes = PageSizes(requester, config.base_url, self._hints)
        self._parent_key = "parentIdentifier"
        self._parameters = dict(query.parameters)
        self.total: int | None = None
        self.pages = 0
        self.honoured: frozenset[str] = frozenset()

    @property
    def expected(self) -> int | None:
        """The most products this search will yield; None while that is unknown."""
        if self.total is None:
            return None
        left = max(0, self.total - self._query.start_index + 1)
        return left if self._query.count is None else min(left, self._query.count)

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product once; those without a link last, since a later entry may have one.

        Raises
        ------
        CatalogueError
            A request failed, or the response holds no results.
        ConfigError
            The collection does not have one of the parameters, and `strict` is set.
        """
        with ConciseErrors():
            async with aclosing(self._found()) as products:
                async for product in products:
                    yield product

    async def _found(self) -> AsyncGenerator[Product, None]:
        if self._before is not None:
            await self._before(self._query)
        await self._check_parameters()
        if self._hints.short_addresses:
            self._use_fallbacks(list(self._query.fallbacks))
        left = self._query.count
        relation = self._parameters.get("timeRelation", "intersects")
        start, divisible = self._query.start_index, self._query.start_index == 1 and relation == "intersects"
        division = Division(self._page, Span.of(self._parameters), first=start, divisible=divisible)
        without_link: dict[str, Product] = {}
        failure: CatalogueError | None = None
        async with aclosing(aiter(division)) as products:
            while left is None or left > 0:
                try:
                    product, twin = await anext(products)
                except StopAsyncIteration:
                    self.total = division.total
                    break
                except CatalogueError as error:
                    failure = error
                    if self._explain is not None and self.pages == 0:
                        failure = await self._explain(error, self._query.collection)
                    break
                is_new = without_link.pop(product.identifier, None) is None
                if product.url is None:
                    without_link[product.identifier] = product
                    if len(without_link) > MAX_WITHOUT_LINK:
                        yield without_link.pop(next(iter(without_link)))
                else:
                    yield product if twin is None else _as_duplicate(product, twin)
                left = None if left is None else left - is_new
        for product in without_link.values():
            yield product
        if failure:
            raise failure

    async def _check_parameters(self) -> None:
        """Report parameters that the collection does not have, before they make the results too broad."""
        if self._look_up is None or COMMON_PARAMETERS.issuperset(self._query.parameters):
            return
        try:
            description = await self._look_up(self._query.collection)
        except (CatalogueError, AuthenticationError) as error:
            log.debug("no description document for %s: %s", self._query.collection, error)
            return
        if description is None:
            log.debug("the catalogue has no description document for %s", self._query.collection)
            return
        self._hints.page_size = min(self._hints.page_size, description.page_maximum or self._hints.page_size)
        handled = self._query.also_local | self._query.required | set(self._query.fallbacks)
        lacking = [name for name in description.unsupported(self._query.parameters) if name not in handled]
        refused = [name for name in lacking if name not in LEGACY_PARAMETERS] if self._strict else []
        if refused:
            raise ConfigError([f"parameters.{name}: {self._describe_unknown(name, description)}" for name in refused])
        for name in self._unreported(lacking):
            log.warning("%s; the catalogue will ignore it", self._describe_unknown(name, description))

    def _unreported(self, names: Iterable[str]) -> list[str]:
        """Return the names not reported yet, and mark them as reported."""
        collection = self._query.collection
        unreported = [name for name in names if (collection, name) not in self._hints.warned]
        self._hints.warned.update((collection, name) for name in unreported)
        return unreported

    def _describe_unknown(self, name: str, description: Description) -> str:
        hint = ""
        if criterion := _criterion_near(name, description):
            hint = f"; --{criterion.replace('_', '-')} (selection.{criterion}) is checked on this side"
        elif near := description.nearest(name):
            hint = f"; did you mean {near}?"
        return f"{self._query.collection} has no search parameter {_with_flag(name)}{hint}"

    async def _page(self, span: Span | None, start: int) -> tuple[Page[Product], int]:
        """Request one page of a span (None: the whole list), with older parameter names if the server needs them."""
        while True:
            # Later pages are requested in full, since they may begin with known entries.
            most = self._query.count if not self.pages else None
            parameters = dict(self._parameters) | ({} if span is None else span.parameters())
            parameters[self._parent_key] = parameters.pop("parentIdentifier")
            parameters |= {"startIndex": str(start), "httpAccept": "json"}
            read = partial(read_page, download_base=self._config.download_base)
            try:
                page, asked = await self._sizes.ask(parameters, read, most)
            except CatalogueError as error:
                if not _may_be_too_long(error) or not self._use_fallbacks(list(self._query.fallbacks)):
                    raise
                self._hints.short_addresses = True
                log.warning("%s; it is asked by the box around the area, and footprints are compared here", error)
                continue
            if self.pages == 0 and not self._is_understood(page):
                continue
            self._require_compliance(page)
            self.pages += 1
            if span is None:
                self.total = page.total
            return page, asked

    def _is_understood(self, page: Page[Product]) -> bool:
        """Check on the first page which of our parameters the server applied (it repeats those that it knows).

        Return False to request the page again: an older server knows the collection only as ``parentId`` and lists
        collections otherwise. An ignored filter is reported once, since it makes the results too broad.
        """
        if page.strange:
            raise CatalogueError(page.strange)
        if not page.echo:
            return not self._lists_collections(page)
        echo = {name.lower() for name in page.echo}
        if not echo & {"parentidentifier", "parentid"}:
            self._ask_by_parent_id(page)
            return False
        sent = [name for name in self._parameters if name != "parentIdentifier"]
        ignored = [name for name in sent if not {name.lower(), _ECHOED_AS.get(name.lower())} & echo]
        self.honoured = frozenset(sent).difference(ignored)
        if (foreign := foreign_names(page.echo)) and (ignored or _announces_more(page)):
            raise CatalogueError(
                f"the catalogue is asked by other names ({', '.join(foreign)}) than startIndex and count, "
                "which are not supported"
            )
        if needed := self._query.required.intersection(ignored):
            raise CatalogueError(f"the catalogue cannot be asked by {' and '.join(sorted(needed))}")
        if self._use_fallbacks(ignored):
            return False
        here = [name for name in ignored if name in self._query.also_local]
        if here:
            log.debug("the catalogue ignored %s, which is checked on this side", " and ".join(here))
        if unchecked := self._unreported(name for name in ignored if name not in here):
            log.warning(
                "the catalogue ignored %s: its answer does not repeat it, so more may be found than you asked for",
                " and ".join(map(_with_flag, unchecked)),
            )
        return True

    def _ask_by_parent_id(self, page: Page[Product]) -> None:
        """Switch to the older name of the collection parameter; where it is in use already, raise."""
        if self._parent_key == "parentId":
            other = any(product.collection for product in page.products)
            what = "lists products by parameters of other names" if other else "lists its collections instead"
            raise CatalogueError(f"the catalogue ignores the collection that was asked for and {what}")
        self._parent_key = "parentId"

    def _lists_collections(self, page: Page[Product]) -> bool:
        """Whether the entries are collections, the requested one included; then switch to the older parameter name."""
        if all(product.identifier != self._query.collection for product in page.products):
            return False
        self._ask_by_parent_id(page)
        return True

    def _require_compliance(self, page: Page[Product]) -> None:
        """Reject products outside the query, or warn about them; see the table in `compliance`."""
        asked = {name: value for name, value in self._parameters.items() if name not in self._query.also_local}
        found = outside(asked, page.products)
        evidence = " and ".join(f"{name} {asked[name]}, but {words}" for name, words in list(found.items())[:3])
        if found and (not page.echo or self._query.required.intersection(found)):
            kind = f"; it seems to be {page.kind}, which is not supported" if page.kind else ""
            raise CatalogueError(
                f"the catalogue does not go by {' and '.join(found)}: asked for {evidence}{kind}; "
                "nothing that it lists can be taken for what was asked for"
            )
        if new := self._unreported(name for name in found if name in self.honoured or name == "parentIdentifier"):
            log.warning(
                "the catalogue says that it goes by %s and does not: asked for %s; more may be found than was wanted",
                " and ".join(map(_with_flag, new)),
                evidence,
            )

    def _use_fallbacks(self, ignored: list[str]) -> bool:
        """Replace parameters that the server ignores or rejects by the query's fallbacks; whether one was replaced."""
        changed = False
        for name in ignored:
            other, value = self._query.fallbacks.get(name, (name, ""))
            if name in self._parameters and other not in self._parameters:
                del self._parameters[name]
                self._parameters[other] = value
                log.debug("the catalogue does not know %s; it is asked by %s", name, other)
                changed = True
        return changed


def _with_flag(name: str) -> str:
    """Return the name of a search parameter, with the flag that sets it."""
    option = BY_KEY.get(f"parameters.{name}")
    return f"{name} ({option.flag})" if option else name


def _announces_more(page: Page[Product]) -> bool:
    """Whether the response announces more than this first page."""
    if page.total is not None:
        return page.total > len(page.products)
    return bool(page.products) and page.more is not False


def _may_be_too_long(error: CatalogueError) -> bool:
    """Whether a shorter URL may help: some servers reset the connection instead of answering 414."""
    cause = root_of(error.__cause__ or error)
    cut = isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionResetError)
    return isinstance(error, AddressTooLongError) or (cut and not isinstance(cause, aiohttp.ClientConnectorError))


def _criterion_near(name: str, description: Description) -> str | None:
    """Return the selection criterion for a parameter such as ``platform`` or ``tileId``, known to other catalogues."""
    by_word = {
        word: criterion for criterion in CRITERIA_KEYS if not description.has(word := criterion.replace("_", ""))
    }
    near = difflib.get_close_matches(name.lower().replace("_", ""), by_word, n=1, cutoff=0.8)
    return by_word[near[0]] if near else None


def _as_duplicate(product: Product, twin: Twin) -> Product:
    """Replace a product whose name is taken by one that fails: one file name cannot hold two archives."""
    first = "is another one" if twin.first is None else f"is at {twin.first}"
    problem = (
        f"the catalogue lists two products of this name: this one is at {product.url}, what it listed first {first}"
    )
    log.warning("%s: %s", product.identifier, problem)
    return replace(product, problem=problem)
