"""The library's client: search, download and report."""

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
    """A catalogue and its archive store, sharing one HTTP session; an asynchronous context manager.

    Parameters
    ----------
    progress
        Receives progress events; None disables them.
    credentials
        Returns user name and password when the store requires a login; None: from ``COLLGS_USERNAME`` and
        ``COLLGS_PASSWORD``, else from ``~/.netrc``.
    sleep
        Waits between attempts, in seconds; replaceable for tests.

    Attributes
    ----------
    report
        The report of the last `run`, also of one that was cancelled or stopped by an error.

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
        """Search the catalogue, and apply the configuration's ``selection`` to the results.

        These are the products that `run` downloads, and that the command line lists and plans.

        Parameters
        ----------
        query
            The query; None: that of the configuration's ``parameters``.
        on_excluded
            Called with each excluded product and the reason; None: not reported.

        Returns
        -------
        SelectedProducts
            An asynchronous iterator of products, with counts of exclusions by reason and the missing identifiers.

        Raises
        ------
        ConfigError
            No collection is named; no request was made.
        """
        config = self._config
        return SelectedProducts(
            self.search, query or config.needed_query(), config.selection, config.base_url, on_excluded=on_excluded
        )

    def search(self, query: Query | None = None) -> Search:
        """Search the catalogue without a selection; see `choose`.

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
        """Search the catalogue, and return all selected products at once; see `choose`.

        Returns
        -------
        Products
            A list, which a notebook displays as a table and on a map.
        """
        from collgs_async.reporting.products import Products

        selected = self.choose(query)
        async with aclosing(aiter(selected)) as products:
            found = [product async for product in products]
        return Products(found, area=selected.area.geojson() if selected.area else None)

    async def collections(self) -> list[Collection]:
        """List the collections of the catalogue, sorted by name.

        Raises
        ------
        CatalogueError
            The request failed, or the response holds no results.
        """
        if self._first_sign_in is not None:
            await self._first_sign_in(self._config.query)
        return await self._collections()

    async def _collections(self) -> list[Collection]:
        return await list_collections(self._requester(), self._config.base_url, self._hints)

    async def describe(self, collection: str | None = None) -> Description | None:
        """Return the search parameters of a collection, their ranges, and the largest page size.

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
            The request failed, or there is no such collection.
        """
        collection = collection or self._config.needed_query().collection
        if self._first_sign_in is not None:
            await self._first_sign_in(Query.create(collection))
        return await self._description(collection, self._requester())

    async def _look_up(self, collection: str) -> Description | None:
        """Return the description of a collection for a search; a failure is not repeated.

        A search that is not strict works without it, so one attempt is enough.
        """
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
        """Request the length of each archive from the store, several at once; where that fails it stays unknown.

        Parameters
        ----------
        products
            The source, such as `choose`; its order is kept.

        Raises
        ------
        AuthenticationError
            The store requires a login.
        """
        from collgs_async.transfer.sizes import Lengths

        return in_order(products, Lengths(self._previews()), at_once=self._taken_ahead)

    def with_quicklooks(
        self, products: AsyncIterable[Product], *, largest: int = 8 * 2**20
    ) -> AsyncGenerator[tuple[Product, Picture | None], None]:
        """Fetch the preview of each product, several at once; one that cannot be fetched is None.

        Parameters
        ----------
        products
            The source, such as `choose`; its order is kept.
        largest
            Limit on a preview in bytes.
        """
        from collgs_async.transfer.quicklooks import Pictures

        fetch = Pictures(self._previews(), largest=largest)

        async def both(product: Product) -> tuple[Product, Picture | None]:
            return product, await fetch(product)

        return in_order(products, both, at_once=self._taken_ahead)

    def archive(self, product: Product) -> Path:
        """Return the path of a product's archive, whether it exists or not."""
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
        """Check the credentials with the first product that the configuration's search finds.

        Returns
        -------
        Identity or None
            The user; None when the store requires no login, or the search finds nothing.

        Raises
        ------
        AuthenticationError
            Credentials are missing or were rejected.
        CatalogueError, TransferError
            A request failed.
        """
        async with aclosing(aiter(self._search(self._config.needed_query()))) as found:
            async for product in found:
                if product.url is not None:
                    return await self._authenticator.authenticate(product.url)
        return None

    async def action(self, product: Product) -> Action:
        """Return what `download` would do about a product, from the content of the output folder."""
        return await self._downloader.action(product)

    async def download(self, product: Product) -> Outcome:
        """Download one product into the output folder and verify it, unless it is complete already.

        A large one is fetched over up to ``segments`` connections; all concurrent downloads share as many in all as
        there are ``workers``.

        Returns
        -------
        Outcome
            Also for a product that failed: its ``error`` says why.

        Raises
        ------
        AuthenticationError
            The store requires a login.
        StorageError
            The output folder is full or not writable.
        """
        return await self._downloader.download(product)

    async def repair(self, archive: Path, damaged: Iterable[tuple[int, int]] = ()) -> Outcome:
        """Repair an archive on disk: find it in the catalogue, and fetch its damaged parts again.

        It loses its final name at once, and regains it when it is complete and verified.

        Parameters
        ----------
        archive
            The file, in the output folder, under its final name. The product is searched for by this name without
            ``.zip``: one whose identifier had to be changed or shortened to be a safe file name cannot be found.
        damaged
            Damaged byte ranges, as ``(first, one past the last)``; missing bytes at the end are detected.

        Raises
        ------
        CatalogueError
            The request failed.
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
        if not _is_same_name(final, archive):
            return _not_found(name, f"asked for {name}, the catalogue gives a product whose archive is {final}")
        return await self._downloader.download(product, damaged=damaged)

    async def run(self, query: Query | None = None, *, report: str | Path | None = None) -> Report:
        """Download all selected products of a search, while the search goes on.

        Parameters
        ----------
        query
            The query; None: that of the configuration's ``parameters``.
        report
            Path of the report as JSON, which is written also when the run is cancelled. None: no report.

        Returns
        -------
        Report
            The outcomes of all products. A search that ended early is part of it, not raised.

        Raises
        ------
        ConfigError
            The report cannot be written there, or the area or the list of identifiers is invalid; no request was made.
        AuthenticationError
            The store requires a login.
        StorageError
            The output folder is full or not writable.
        """
        selected = self.choose(query)
        await selected.prepare()
        return await self._pull(selected, report)

    async def plan(self, query: Query | None = None, *, sizes: bool = False) -> Plan:
        """Select products as `run` does, and return them as a plan instead of downloading them.

        Parameters
        ----------
        query
            The query; None: that of the configuration's ``parameters``.
        sizes
            Whether to request the length of each archive; see `with_sizes`.

        Raises
        ------
        ConfigError
            The area or the list of identifiers is invalid; no request was made.
        CatalogueError
            The search ended early: there is no partial plan.
        AuthenticationError
            The store requires a login.
        """
        from collgs_async.selection.plan import MISSING, TWIN, Plan, PlanExclusion

        left_out: list[PlanExclusion] = []

        def note(dropped: Excluded) -> None:
            left_out.append(PlanExclusion(dropped.product.identifier, dropped.reason, dropped.kind))

        selected, asked = self.choose(query, on_excluded=note), query or self._config.needed_query()
        found = self.with_sizes(selected) if sizes else aiter(selected)
        async with aclosing(found) as products:
            found_all = [product async for product in products]
        by_name: dict[str, Product] = {}
        for product in found_all:  # a product may come first without its link, while it is being added to the catalogue
            if not product.is_twin and (product.identifier not in by_name or product.url is not None):
                by_name[product.identifier] = product
        chosen = list(by_name.values())
        left_out += [PlanExclusion(one.identifier, one.problem or TWIN, TWIN) for one in found_all if one.is_twin]
        left_out += [PlanExclusion(name, "the catalogue does not list it", MISSING) for name in selected.missing]
        return Plan.of(
            self._config.base_url,
            chosen,
            left_out,
            parameters=asked.to_dict(),
            selection=selected.to_dict(),
        )

    async def pull(self, plan: Plan, *, report: str | Path | None = None) -> Report:
        """Download exactly the products of a plan, without a search.

        Parameters
        ----------
        report
            Path of the report as JSON, which is written also when this is cancelled. None: no report.

        Returns
        -------
        Report
            The outcomes of all products.

        Raises
        ------
        ConfigError
            The report cannot be written there.
        AuthenticationError, StorageError
            As for `run`.
        """
        from collgs_async.selection.planned import PlannedProducts

        return await self._pull(PlannedProducts(plan), report)

    async def _pull(self, selected: SelectedProducts | PlannedProducts, report: str | Path | None) -> Report:
        begun, moved_before = time.monotonic(), self._downloader.moved
        error: CatalogueError | None = None
        stopped_by: BaseException | None = None
        workers = self._config.download_options.workers
        with RunReportWriter(None if report is None else Path(report)) as report_writer:
            try:
                error = await run_pipeline(
                    self._announced(selected),
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
                summed_up = report_writer.report(selected.total, selected.pages, error, time.monotonic() - begun, moved)
                self.report = replace(
                    summed_up,
                    stopped_by=stopped_by if isinstance(stopped_by, CollgsError) else full,
                    left_out=dict(selected.excluded),
                    missing=tuple(selected.missing),
                )
                _write(report_writer, self.report, already_stopped=stopped_by is not None)
        return self.report

    async def _announced(self, selected: SelectedProducts | PlannedProducts) -> AsyncGenerator[Product, None]:
        """Yield products, and report their expected number whenever it changes."""
        expected = None
        async with aclosing(aiter(selected)) as products:
            async for product in products:
                if selected.expected is not None and selected.expected != expected:
                    expected = selected.expected
                    self._progress.expect(expected)
                yield product


def _added(report_writer: RunReportWriter, outcomes: Iterable[Outcome]) -> StorageError | None:
    """Record what finished at the moment the run was stopped; return the error where that fails."""
    full = None
    for outcome in outcomes:
        try:
            report_writer.record(outcome)
        except StorageError as error:
            full = error
    return full


def _write(report_writer: RunReportWriter, report: Report, *, already_stopped: bool) -> None:
    """Write the report; where that fails after another error has stopped the run, only log it."""
    try:
        report_writer.write(report)
    except StorageError as error:
        if not already_stopped:
            raise
        log.error("%s", error)


def _not_found(identifier: str, problem: str) -> Outcome:
    return Outcome(Product(identifier, url=None, problem=problem), Status.FAILED, error=NotAvailableError(problem))


def _is_same_name(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()


async def run(
    config: Config, query: Query | None = None, *, progress: Progress | None = None, report: str | Path | None = None
) -> Report:
    """Download all selected products of a search; `Client.run` in a session of its own.

    Parameters
    ----------
    query
        The query; None: that of the configuration's ``parameters``.
    progress
        Receives progress events; None disables them.
    report
        Path of the report as JSON; None: no report.
    """
    async with Client(config, progress) as client:
        return await client.run(query, report=report)
