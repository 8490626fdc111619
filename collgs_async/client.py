"""The library's client: search, download and report."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collgs_async.catalogue.catalogue import Catalogue
from collgs_async.config.engine_kinds import ENGINE
from collgs_async.config.settings import Config
from collgs_async.errors import ConciseErrors
from collgs_async.models.query import Query
from collgs_async.models.report import Report
from collgs_async.reporting.products import SearchResults
from collgs_async.selection.planned import GivenProducts, PlannedProducts
from collgs_async.transfer.store_client import StoreClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable

    from collgs_async.http.auth import Identity
    from collgs_async.http.credentials import Credentials
    from collgs_async.models.engine import DaskEngine
    from collgs_async.models.product import Outcome, Product
    from collgs_async.models.progress import GivenProgress
    from collgs_async.models.wish import Wish
    from collgs_async.selection.filters import Excluded
    from collgs_async.selection.plan import Plan
    from collgs_async.transfer.run import ManyDownloader, ToDownload
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["Client", "run"]


class Client(StoreClient):
    """A catalogue and its archive store, sharing one HTTP session and one sign-in; an asynchronous context manager.

    All calls belong to the event loop that entered it; any number of them may run at once. `SyncClient` is the same
    without ``await``.

    Parameters
    ----------
    config
        The settings; None: those of `settings`.
    progress
        Shows the progress of downloads: ``"auto"`` chooses what fits the terminal, notebook or log, on standard error;
        any `Progress` receives the events; None, the default here, is silence. Each run begins and ends the display.
    credentials
        Returns user name and password when the store requires a login; None: from ``COLLGS_USERNAME`` and
        ``COLLGS_PASSWORD``, else from ``~/.netrc``.
    sleep
        Waits between attempts, in seconds; replaceable for tests.
    tuning
        Figures of the engine, for tests and unusual lines; None: the defaults.
    **settings
        The settings by name, such as ``base_url``, ``output_directory`` and ``workers``, in the place of `config`; see
        `Config.create`.

    Attributes
    ----------
    catalogue
        The catalogue itself: its collections, what can be searched for, and searches without a selection.
    report
        The report of the last `download_all` or `download_plan`, also of one that was stopped.

    Raises
    ------
    ConfigError
        With one line per unknown or invalid setting.
    TypeError
        There are both a configuration and settings by name.

    Examples
    --------
    ::

        async with Client(collection="S2_MSIL2A", bbox=(5.7, 49.4, 6.6, 50.2), workers=8) as client:
            async for product in client.search():
                outcome = await client.download(product)
    """

    def __init__(
        self,
        config: Config | None = None,
        progress: GivenProgress = None,
        *,
        credentials: Callable[[], Credentials | None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tuning: TransferTuning | None = None,
        **settings: Any,
    ) -> None:
        if config is not None and settings:
            raise TypeError(f"expected a configuration or settings by name, found both: {', '.join(settings)}")
        chosen = Config.create(**settings) if config is None else config
        super().__init__(chosen, progress, credentials=credentials, sleep=sleep, tuning=tuning)
        self._has_own_credentials = credentials is not None
        self.catalogue = Catalogue(self._session, self._config)
        self.report = Report()

    def search(
        self, query: Query | None = None, *, on_excluded: Callable[[Excluded], None] | None = None
    ) -> SearchResults:
        """Search the catalogue, and apply the configuration's ``selection`` to what it finds.

        These are the products that `download_all` downloads, and that the command line lists and plans;
        ``catalogue.search`` has all that is found.

        Parameters
        ----------
        query
            The query; None: that of the configuration's ``parameters``.
        on_excluded
            Called with each excluded product and the reason; None: not reported.

        Returns
        -------
        SearchResults
            An asynchronous iterator of products, which requests pages as needed; ``await results.collect()`` reads all.

        Raises
        ------
        ConfigError
            No collection is named; no request was made.
        """
        query = query or self._config.needed_query()
        return SearchResults(
            self.catalogue.search, query, self._config.selection, self._config.base_url, on_excluded=on_excluded
        )

    async def check_login(self) -> Identity | None:
        """Check the credentials at the first archive that the configuration's search finds.

        Returns
        -------
        Identity or None
            The user; None when the store requires no login, or the search finds nothing.

        Raises
        ------
        AuthenticationError, CatalogueError, TransferError
            Credentials are missing or were rejected, or a request failed.
        """
        async with aclosing(aiter(self.catalogue.search_anonymously())) as found:
            async for product in found:
                if product.url is not None:
                    return await self._session.auth.authenticate(product.url)
        return None

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
        AuthenticationError, StorageError
            As for `download_all`.
        """
        downloader = await self._open_downloader()
        async with self._recording("download") as record:
            with ConciseErrors(), self._progress:
                outcome = await downloader.download(product)
            record(outcome)
        return outcome

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
        CatalogueError, AuthenticationError, StorageError
            The request failed; or as for `download`.
        ConfigError
            Archives are for an object store.
        """
        from collgs_async.transfer.named_archive import repair_named

        return await self._repair("repair", partial(repair_named, archive, damaged))

    async def repair_members(self, folder: Path, damaged: Iterable[str]) -> Outcome:
        """Repair a folder with members of an archive: find its product in the catalogue, and fetch members again.

        Parameters
        ----------
        folder
            The folder ``<identifier>.parts``, in the output folder.
        damaged
            Names of the damaged members in the archive.

        Raises
        ------
        FileError
            The folder has no usable ``parts.json``.
        CatalogueError, AuthenticationError, StorageError
            As for `repair`.
        """
        from collgs_async.transfer.named_archive import repair_tree

        return await self._repair("repair_members", partial(repair_tree, folder, frozenset(damaged)))

    async def _repair(self, name: str, repair: Callable[..., Awaitable[Outcome]]) -> Outcome:
        self._config.needed_folder(name, "an archive that is wrong there is fetched again once its object is removed")
        collection, search = self._config.needed_query().collection, self.catalogue.search
        downloader = await self._open_downloader()
        async with self._recording("repair", is_one_of_many=True) as record:
            with ConciseErrors(), self._progress:
                outcome = await repair(collection=collection, search=search, downloader=downloader)
            record(outcome)
        return outcome

    async def download_all(
        self,
        products: Query | Iterable[Product] | AsyncIterable[Product] | None = None,
        *,
        report: str | Path | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
        engine: str | None = None,
    ) -> Report:
        """Download all products of a search, while the search goes on, or those given.

        Parameters
        ----------
        products
            A query, to whose results the ``selection`` is applied; or products, such as a list or `search` itself.
            None: the query of the configuration's ``parameters``.
        report
            Path of the report as JSON, which is written also when the run is cancelled. None: no report.
        on_outcome
            Called with each outcome, in order of time, on the event loop; an error of it ends the run.
        engine
            Where to download: ``"dask"`` or ``"dask=local:4"`` in processes of this machine, ``"dask=tcp://host:8786"``
            in those of a cluster. None: what the settings say, by default this process.

        Returns
        -------
        Report
            Counts of outcomes, and those that failed. A search that ended early is part of it, not raised; nor is a
            limit of the settings that was reached, such as ``max_bytes``, which is its `Report.limit`.

        Raises
        ------
        ConfigError
            The report cannot be written there, or the area or the list of identifiers is invalid; no request was made.
            Or the engine cannot be used: a package is missing, or a process has another release.
        AuthenticationError, StorageError
            The store requires a login; the output folder is full or not writable.
        EngineError
            The cluster cannot be reached, or is lost.
        """
        if products is None or isinstance(products, Query):
            products = self.search(products)
        if not isinstance(products, SearchResults):
            given = products if isinstance(products, GivenProducts) else GivenProducts(products)
            return await self._run(given, report, on_outcome, engine)
        await products.prepare()
        return await self._run(products, report, on_outcome, engine)

    async def create_plan(self, query: Query | None = None, *, sizes: bool = False) -> Plan:
        """Select products as `download_all` does, and return them as a plan instead of downloading them.

        Parameters
        ----------
        query
            As for `search`.
        sizes
            Whether to request the length of each archive, and with parts that of what is wanted; see `fetch_sizes`.

        Raises
        ------
        ConfigError
            The area or the list of identifiers is invalid; no request was made.
        CatalogueError
            The search ended early: there is no partial plan.
        AuthenticationError
            The store requires a login.
        """
        from collgs_async.selection.plan import Plan, PlanExclusion

        left_out: list[PlanExclusion] = []
        query = query or self._config.needed_query()
        selected = self.search(query, on_excluded=lambda excluded: left_out.append(PlanExclusion.of(excluded)))
        async with aclosing(self.fetch_sizes(selected) if sizes else aiter(selected)) as products:
            found = [product async for product in products]
        written: dict[str, Any] = {"parameters": query.to_dict(), "selection": selected.to_dict()}
        written["wish"] = self._config.parts.wish
        return Plan.from_search(self._config.base_url, found, left_out, selected.missing, **written)

    async def download_plan(
        self,
        plan: Plan,
        *,
        report: str | Path | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
        engine: str | None = None,
    ) -> Report:
        """Download exactly the products of a plan, or those of the configuration's ``shard``, without a search.

        Parameters
        ----------
        report
            Path of the report as JSON, which is written also when this is cancelled. None: no report.
        on_outcome, engine
            As for `download_all`.

        Raises
        ------
        ConfigError, AuthenticationError, StorageError, EngineError
            As for `download_all`.
        """
        return await self._run(
            PlannedProducts(plan, self._config.selection.shard),
            report,
            on_outcome,
            engine,
            wish=self._config.parts.wish or plan.wish,
        )

    async def _run(
        self,
        products: ToDownload,
        report: str | Path | None,
        on_outcome: Callable[[Outcome], None] | None,
        engine: str | None,
        *,
        wish: Wish | None = None,
    ) -> Report:
        from collgs_async.transfer.run import Run  # deferred, as in `_recording`

        if wish:
            self._config.needed_folder("plan", "it asks for parts of archives, and an object store gets whole ones")
        options, progress, timing = self._config.download_options, self._progress, self._session.timing
        chosen = await self._choose_engine(engine)
        async with self._recording("download") as record, self._downloading(chosen) as downloader:

            def tell(outcome: Outcome) -> None:
                record(outcome)
                if on_outcome is not None:
                    on_outcome(outcome)

            run = Run(downloader, progress.listener, options, timing=timing, on_outcome=tell)
            try:
                with ConciseErrors(), progress:
                    await run.download(products, None if report is None else Path(report), wish=wish)
            finally:
                self.report = run.report
        return self.report

    async def _choose_engine(self, given: str | None) -> DaskEngine | None:
        """Return the engine that is given, or that of the settings, if the settings permit it; None: this process."""
        chosen: DaskEngine | None = self._config.download_options.engine
        if given is not None:
            chosen = ENGINE.check("engine", given)
        if chosen is not None:
            from collgs_async.engine.check import check_engine

            await check_engine(self._config, has_own_credentials=self._has_own_credentials)
        return chosen

    @asynccontextmanager
    async def _downloading(self, engine: DaskEngine | None) -> AsyncIterator[ManyDownloader]:
        """Yield what downloads the products of a run: in this process, or in those of an engine."""
        if engine is None:
            yield await self._open_downloader()
            return
        from collgs_async.engine.driver import DaskDownloader  # deferred: few runs need it

        async with DaskDownloader(engine, self._config, self._progress.listener, self._tuning) as downloader:
            yield downloader


async def run(
    config: Config,
    query: Query | None = None,
    *,
    progress: GivenProgress = None,
    report: str | Path | None = None,
    engine: str | None = None,
) -> Report:
    """Download all selected products of a search in a session of its own; see `Client.download_all`."""
    async with Client(config, progress) as client:
        return await client.download_all(query, report=report, engine=engine)
