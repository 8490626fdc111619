"""The library: a client that searches, downloads and reports."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collgs_async.catalogue.collections import list_collections
from collgs_async.catalogue.description import find_description
from collgs_async.catalogue.first_sign_in import FirstSignIn
from collgs_async.catalogue.search import Search
from collgs_async.catalogue.sizes import CatalogueHints
from collgs_async.errors import AuthenticationError, CatalogueError, CollgsError, NotAvailableError, StorageError
from collgs_async.http.auth import Authenticator
from collgs_async.http.credentials import find_credentials, passwords_at_hand
from collgs_async.http.requester import Requester
from collgs_async.http.session import HttpSession
from collgs_async.models.product import Outcome, Product, Report, Status
from collgs_async.models.progress import SilentProgress
from collgs_async.models.query import Query
from collgs_async.models.timing import Timing
from collgs_async.pipeline import in_order, run_pipeline
from collgs_async.reporting.run_report import RunReportWriter
from collgs_async.selection.search import SelectedProducts
from collgs_async.transfer.downloader import Downloader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
    from types import TracebackType
    from typing import Self

    from collgs_async.catalogue.description import Description
    from collgs_async.catalogue.response import Collection
    from collgs_async.config.settings import Config
    from collgs_async.http.auth import Identity
    from collgs_async.http.credentials import Credentials
    from collgs_async.http.previews import PreviewRequester
    from collgs_async.models.progress import Progress
    from collgs_async.reporting.products import Products
    from collgs_async.selection.filters import Excluded
    from collgs_async.selection.plan import Plan, PlanExclusion
    from collgs_async.selection.planned import PlannedProducts
    from collgs_async.transfer.action import Action
    from collgs_async.transfer.quicklooks import Picture

__all__ = ["Client", "run"]

log = logging.getLogger("collgs_async")


class Client:
    """A catalogue and its store, with one HTTP session for both; an asynchronous context manager.

    Parameters
    ----------
    config
        All settings.
    progress
        Whom to tell what goes on; None: nobody.
    credentials
        Looks up user name and password when the store asks for a sign-in; None: in ``COLLGS_USERNAME`` and
        ``COLLGS_PASSWORD``, else in ``~/.netrc``.
    sleep
        The way to wait between tries, in seconds; another one in tests.

    Attributes
    ----------
    report
        What became of the last `run`, also of one that was cancelled or stopped by an error.

    Examples
    --------
    ::

        async with Client(Config(parameters={"parentIdentifier": "S2_MSIL2A"})) as client:
            async for product in client.choose():
                outcome = await client.download(product)
    """

    def __init__(
        self,
        config: Config,
        progress: Progress | None = None,
        *,
        credentials: Callable[[], Credentials | None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config = config
        self._progress = progress or SilentProgress()
        self._sleep = sleep
        self._timing = Timing(sleep)
        self._session = HttpSession(config.connection, config.download_options.min_rate)
        host = urlsplit(config.base_url).hostname or ""
        self._authenticator = Authenticator(
            self._session,
            host,
            credentials or partial(find_credentials, os.environ, host),
            auth_hosts=config.connection.auth_hosts,
        )
        self._downloader = Downloader(self._session, self._authenticator, config, self._progress, timing=self._timing)
        self._descriptions: dict[str, Description | None] = {}
        self._without_answer: set[str] = set()
        self._hints = CatalogueHints(config.connection.page_size)
        self._first_sign_in = self._sign_in_first() if config.connection.sign_in == "always" else None
        self._stack = AsyncExitStack()
        self.report = Report()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._session)
            for username, password in passwords_at_hand(os.environ, urlsplit(self._config.base_url).hostname or ""):
                self._session.keep_secret(password, username)
            await stack.enter_async_context(self._downloader)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def choose(
        self, query: Query | None = None, *, on_excluded: Callable[[Excluded], None] | None = None
    ) -> SelectedProducts:
        """Search the catalogue, and choose among what it has as the configuration's ``selection`` says.

        This is what `run` pulls, and what the command line lists and plans.

        Parameters
        ----------
        query
            What to ask for; None: what the configuration's ``parameters`` say.
        on_excluded
            Called with each product that is left out, and why; None: nobody wants to know.

        Returns
        -------
        Choice
            An asynchronous iterator of products. It counts what is left out, by reason, and names what is missing.

        Raises
        ------
        ConfigError
            No collection is named; nothing was asked for.
        """
        config = self._config
        return SelectedProducts(
            self.search, query or config.needed_query(), config.selection, config.base_url, on_excluded=on_excluded
        )

    def search(self, query: Query | None = None) -> Search:
        """Search the catalogue, and take all that it finds; see `choose`.

        Parameters
        ----------
        query
            What to ask for; None: what the configuration's ``parameters`` say.

        Returns
        -------
        Search
            An asynchronous iterator of products. Pages are asked for as they are needed.

        Raises
        ------
        ConfigError
            No collection is named; nothing was asked for.
        """
        return self._search(query or self._config.needed_query(), self._first_sign_in)

    def _search(self, query: Query, before: Callable[[Query], Awaitable[None]] | None = None) -> Search:
        return Search(
            self._session,
            self._authenticator,
            self._config,
            query,
            sleep=self._sleep,
            look_up=self._look_up,
            before=before,
            strict=self._config.selection.strict,
            hints=self._hints,
        )

    async def find(self, query: Query | None = None) -> Products:
        """Search the catalogue, and give all products that are wanted at once; see `choose`.

        Returns
        -------
        Products
            A list, which a notebook shows as a table and on a map.
        """
        from collgs_async.reporting.products import Products

        choice = self.choose(query)
        async with aclosing(aiter(choice)) as products:
            found = [product async for product in products]
        return Products(found, area=choice.area.geojson() if choice.area else None)

    async def collections(self) -> list[Collection]:
        """List the collections that the catalogue has, by name.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or does not answer with results.
        """
        if self._first_sign_in is not None:
            await self._first_sign_in(self._config.query)
        return await self._collections()

    async def _collections(self) -> list[Collection]:
        return await list_collections(self._requester(), self._config.base_url, self._hints)

    async def describe(self, collection: str | None = None) -> Description | None:
        """Ask what can be asked of a collection: its search parameters, their ranges, and the size of a page.

        Parameters
        ----------
        collection
            Its name; None: that of the configuration's search.

        Returns
        -------
        Description or None
            None when the server has no description document, as older ones.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or it does not have this collection.
        """
        collection = collection or self._config.needed_query().collection
        if self._first_sign_in is not None:
            await self._first_sign_in(Query.create(collection))
        return await self._description(collection, self._requester())

    async def _look_up(self, collection: str) -> Description | None:
        """Describe a collection to a search. One failure stands for all; where it can do without, one try is enough."""
        if collection in self._without_answer:
            return None
        once = Requester(self._session, self._authenticator, 1, sleep=self._sleep)
        try:
            return await self._description(collection, self._requester() if self._config.selection.strict else once)
        except (CatalogueError, AuthenticationError):
            self._without_answer.add(collection)
            raise

    async def _description(self, collection: str, requester: Requester) -> Description | None:
        if collection not in self._descriptions:
            self._descriptions[collection] = await find_description(requester, self._config.base_url, collection)
        return self._descriptions[collection]

    def with_sizes(self, products: AsyncIterable[Product]) -> AsyncGenerator[Product, None]:
        """Ask the store how long each archive is, several at once; one that it does not tell stays unknown.

        Parameters
        ----------
        products
            Where they come from, such as `choose`; their order is kept.

        Raises
        ------
        AuthenticationError
            The store asks for a sign-in.
        """
        from collgs_async.transfer.sizes import Lengths

        return in_order(products, Lengths(self._previews()), at_once=self._taken_ahead)

    def with_quicklooks(
        self, products: AsyncIterable[Product], *, largest: int = 8 * 2**20
    ) -> AsyncGenerator[tuple[Product, Picture | None], None]:
        """Fetch the preview of each product, several at once; one that cannot be had is None.

        Parameters
        ----------
        products
            Where they come from, such as `choose`; their order is kept.
        largest
            Bytes of a picture that is taken.
        """
        from collgs_async.transfer.quicklooks import Pictures

        fetch = Pictures(self._previews(), largest=largest)

        async def both(product: Product) -> tuple[Product, Picture | None]:
            return product, await fetch(product)

        return in_order(products, both, at_once=self._taken_ahead)

    def archive(self, product: Product) -> Path:
        """Say where the archive of a product is, or will be."""
        return self._downloader.path_for(product)

    @property
    def _taken_ahead(self) -> int:
        return 2 * self._config.download_options.workers

    def _previews(self) -> PreviewRequester:
        from collgs_async.http.previews import PreviewRequester

        workers, retries = self._config.download_options.workers, self._config.connection.retries
        return PreviewRequester(self._session, self._authenticator, workers=workers, retries=retries, sleep=self._sleep)

    def _sign_in_first(self) -> FirstSignIn:
        retries = self._config.connection.retries
        return FirstSignIn(self._authenticator, self._search, self._collections, retries, sleep=self._sleep)

    def _requester(self) -> Requester:
        retries = self._config.connection.retries
        return Requester(self._session, self._authenticator, retries, sleep=self._sleep)

    async def sign_in(self) -> Identity | None:
        """Try the credentials on the first product that the configuration's search finds.

        Returns
        -------
        SignedIn or None
            Who one is; None when the store hands archives out without a sign-in, or the search finds nothing.

        Raises
        ------
        AuthenticationError
            There are no credentials, or they were refused.
        CatalogueError, TransferError
            The catalogue or the store did not answer.
        """
        async with aclosing(aiter(self._search(self._config.needed_query()))) as found:
            async for product in found:
                if product.url is not None:
                    return await self._authenticator.authenticate(product.url)
        return None

    async def action(self, product: Product) -> Action:
        """Say what `download` would do about a product, from what is in the output folder."""
        return await self._downloader.action(product)

    async def download(self, product: Product) -> Outcome:
        """Fetch one product into the output folder, verified, or find that it is there.

        A large one comes over up to ``segments`` connections. All products that are fetched at the same time have
        as many in all as there are ``workers``.

        Returns
        -------
        Outcome
            Also of a product that failed: its ``error`` says why.

        Raises
        ------
        AuthenticationError
            The store asks for a sign-in.
        StorageError
            The output folder cannot take another byte.
        """
        return await self._downloader.download(product)

    async def repair(self, archive: Path, damaged: Iterable[tuple[int, int]] = ()) -> Outcome:
        """Set an archive right that is on disk: find it in the catalogue, and fetch again what is wrong of it.

        It loses its final name at once, and gets it back when it is whole and right.

        Parameters
        ----------
        archive
            The file, in the output folder, by the name that a download would give it. The product is looked for by
            this name without ``.zip``: one whose identifier had to be changed or shortened to be a safe name cannot
            be found.
        damaged
            Ranges of bytes that are wrong, as ``(first, one past the last)``; what is missing at the end is found
            without.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked.
        AuthenticationError, StorageError
            As for `download`.
        """
        name, collection = archive.stem, self._config.needed_query().collection
        query = Query.parse({"parentIdentifier": collection, "identifier": name})
        async with aclosing(aiter(self.search(query))) as found:
            product = await anext(found, None)
        if product is None:
            return _not_found(name, f"the catalogue lists no product {name} in {collection}")
        final = self._downloader.path_for(product)
        if not _same_name(final, archive):
            return _not_found(name, f"asked for {name}, the catalogue gives a product whose archive is {final}")
        return await self._downloader.download(product, damaged=damaged)

    async def run(self, query: Query | None = None, *, report: str | Path | None = None) -> Report:
        """Fetch everything that a search finds and that is wanted, while it is still finding.

        Parameters
        ----------
        query
            What to ask for; None: what the configuration's ``parameters`` say.
        report
            Where to write the report as JSON; it is written also when the run is cancelled. None: nowhere.

        Returns
        -------
        Report
            What became of all products. A search that ended early is part of it, not raised.

        Raises
        ------
        ConfigError
            No report can be written to that place, or the area or the list of identifiers cannot be read; nothing
            was asked for.
        AuthenticationError
            The store asks for a sign-in.
        StorageError
            The output folder cannot take another byte.
        """
        choice = self.choose(query)
        await choice.prepare()
        return await self._pull(choice, report)

    async def plan(self, query: Query | None = None, *, sizes: bool = False) -> Plan:
        """Choose as `run` does, and write down what was chosen instead of fetching it.

        Parameters
        ----------
        query
            What to ask for; None: what the configuration's ``parameters`` say.
        sizes
            Whether to ask the store how long each archive is; see `with_sizes`.

        Raises
        ------
        ConfigError
            The area or the list of identifiers cannot be read; nothing was asked for.
        CatalogueError
            The search ended early: there is no plan of a part.
        AuthenticationError
            The store asks for a sign-in.
        """
        from collgs_async.selection.plan import MISSING, TWIN, Plan, PlanExclusion

        left_out: list[PlanExclusion] = []

        def note(dropped: Excluded) -> None:
            left_out.append(PlanExclusion(dropped.product.identifier, dropped.reason, dropped.kind))

        choice, asked = self.choose(query, on_excluded=note), query or self._config.needed_query()
        found = self.with_sizes(choice) if sizes else aiter(choice)
        async with aclosing(found) as products:
            found_all = [product async for product in products]
        by_name: dict[str, Product] = {}
        for product in found_all:  # one may be met first without its link, while it is being put into the catalogue
            if not product.is_twin and (product.identifier not in by_name or product.url is not None):
                by_name[product.identifier] = product
        chosen = list(by_name.values())
        left_out += [PlanExclusion(one.identifier, one.problem or TWIN, TWIN) for one in found_all if one.is_twin]
        left_out += [PlanExclusion(name, "the catalogue does not list it", MISSING) for name in choice.missing]
        return Plan.of(
            self._config.base_url,
            chosen,
            left_out,
            parameters=asked.to_dict(),
            selection=choice.to_dict(),
        )

    async def pull(self, plan: Plan, *, report: str | Path | None = None) -> Report:
        """Fetch exactly what a plan names; the catalogue is not asked.

        Parameters
        ----------
        plan
            What to fetch.
        report
            Where to write the report as JSON; it is written also when this is cancelled. None: nowhere.

        Returns
        -------
        Report
            What became of all products.

        Raises
        ------
        ConfigError
            No report can be written to that place.
        AuthenticationError, StorageError
            As for `run`.
        """
        from collgs_async.selection.planned import PlannedProducts

        return await self._pull(PlannedProducts(plan), report)

    async def _pull(self, choice: SelectedProducts | PlannedProducts, report: str | Path | None) -> Report:
        begun, moved_before = time.monotonic(), self._downloader.moved
        error: CatalogueError | None = None
        stopped_by: BaseException | None = None
        workers = self._config.download_options.workers
        with RunReportWriter(None if report is None else Path(report)) as report_writer:
            try:
                error = await run_pipeline(
                    self._announced(choice),
                    self._downloader,
                    report_writer.record,
                    workers=self._downloader.max_concurrent,
                    queue_size=workers,
                    idle=self._downloader.assist,
                    timing=self._timing,
                )
                if error:
                    log.error("the search ended early: %s", error)
            except BaseException as stop:
                stopped_by = stop
                raise
            finally:
                full = _added(report_writer, self._downloader.take_unsettled())
                moved = self._downloader.moved - moved_before
                summed_up = report_writer.report(choice.total, choice.pages, error, time.monotonic() - begun, moved)
                self.report = replace(
                    summed_up,
                    stopped_by=stopped_by if isinstance(stopped_by, CollgsError) else full,
                    left_out=dict(choice.excluded),
                    missing=tuple(choice.missing),
                )
                _write(report_writer, self.report, already_stopped=stopped_by is not None)
        return self.report

    async def _announced(self, choice: SelectedProducts | PlannedProducts) -> AsyncGenerator[Product, None]:
        """Pass products on, telling how many there will be whenever that changes."""
        expected = None
        async with aclosing(aiter(choice)) as products:
            async for product in products:
                if choice.expected is not None and choice.expected != expected:
                    expected = choice.expected
                    self._progress.expect(expected)
                yield product


def _added(report_writer: RunReportWriter, outcomes: Iterable[Outcome]) -> StorageError | None:
    """Add what was finished in the moment in which the run was stopped; give the error where it cannot be written."""
    full = None
    for outcome in outcomes:
        try:
            report_writer.record(outcome)
        except StorageError as error:
            full = error
    return full


def _write(report_writer: RunReportWriter, report: Report, *, already_stopped: bool) -> None:
    """Write the report; where that fails after something else has stopped the run, only say so."""
    try:
        report_writer.write(report)
    except StorageError as error:
        if not already_stopped:
            raise
        log.error("%s", error)


def _not_found(identifier: str, problem: str) -> Outcome:
    return Outcome(Product(identifier, url=None, problem=problem), Status.FAILED, error=NotAvailableError(problem))


def _same_name(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()


async def run(
    config: Config, query: Query | None = None, *, progress: Progress | None = None, report: str | Path | None = None
) -> Report:
    """Fetch everything that a search finds; `Client.run` in a session of its own.

    Parameters
    ----------
    config
        All settings.
    query
        What to ask for; None: what the configuration's ``parameters`` say.
    progress
        Whom to tell what goes on; None: nobody.
    report
        Where to write the report as JSON; None: nowhere.
    """
    async with Client(config, progress) as client:
        return await client.run(query, report=report)
