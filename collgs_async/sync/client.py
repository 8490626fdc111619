"""`Client` without ``await``: one session and one sign-in for many calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collgs_async.client import Client
from collgs_async.models.query import Query
from collgs_async.sync.loop_thread import LoopThread
from collgs_async.sync.results import SyncSearch, SyncSearchResults, iterate, to_async

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.catalogue.catalogue import Catalogue
    from collgs_async.catalogue.description import Description
    from collgs_async.catalogue.response import Collection
    from collgs_async.config.settings import Config
    from collgs_async.http.auth import Identity
    from collgs_async.http.credentials import Credentials
    from collgs_async.models.member_list import MemberList
    from collgs_async.models.product import Outcome, Product
    from collgs_async.models.progress import GivenProgress, Progress
    from collgs_async.models.report import Report
    from collgs_async.selection.filters import Excluded
    from collgs_async.selection.plan import Plan
    from collgs_async.transfer.action import Action
    from collgs_async.transfer.quicklooks import Picture

__all__ = ["SyncCatalogue", "SyncClient"]


class SyncClient:
    """`Client` without ``await``, for scripts and notebooks: one session and one sign-in for many calls.

    An event loop in a thread of its own does the work, from the first call to `close`; so it works where a loop is
    running already, as in notebooks. It is closed at the end of ``with``, by `close`, or at the latest at the end of
    the interpreter. Several threads may call at once, and share its connections; one iterator belongs to one thread.
    Ctrl-C, and the stop button of a notebook, let a call end in good order before KeyboardInterrupt is raised; the
    client remains usable. Callbacks run in its thread, and cannot call it. After a fork, make a client in each process.

    Parameters
    ----------
    config, credentials, **settings
        As for `Client`.
    progress
        Shows the progress of downloads: ``"auto"``, the default, chooses what fits the terminal, notebook or log, on
        standard error; any `Progress` object receives the events; None is silence.

    Attributes
    ----------
    catalogue
        The catalogue itself: its collections, what can be searched for, and searches without a selection.

    Raises
    ------
    ConfigError
        With one line per unknown or invalid setting.
    TypeError
        There are both a configuration and settings by name.
    RuntimeError
        From any call: the client is closed, or the call comes from a callback or from another process.

    Examples
    --------
    ::

        with SyncClient(collection="S2_MSIL2A", bbox=(5.7, 49.4, 6.6, 50.2), workers=8) as client:
            products = client.search().collect()
            report = client.download_all(products)
    """

    def __init__(
        self,
        config: Config | None = None,
        progress: GivenProgress = "auto",
        *,
        credentials: Callable[[], Credentials | None] | None = None,
        **settings: Any,
    ) -> None:
        self._client = Client(config, progress, credentials=credentials, **settings)
        self._thread = LoopThread(self._client)
        self.catalogue = SyncCatalogue(self._client.catalogue, self._thread)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the session; calls of other threads are cancelled. A second call does nothing."""
        self._thread.close()

    @property
    def config(self) -> Config:
        """The settings."""
        return self._client.config

    @property
    def progress(self) -> Progress:
        """Receives the events of downloads."""
        return self._client.progress

    @property
    def report(self) -> Report:
        """The report of the last `download_all` or `download_plan`, also of one that was stopped."""
        return self._client.report

    def search(
        self, query: Query | None = None, *, on_excluded: Callable[[Excluded], None] | None = None
    ) -> SyncSearchResults:
        """Search the catalogue, and apply the configuration's ``selection`` to what it finds; see `Client.search`.

        Returns
        -------
        SyncSearchResults
            An iterator of products, which requests pages as needed; ``results.collect()`` reads all.
        """
        return SyncSearchResults(self._client.search(query, on_excluded=on_excluded), self._thread)

    def fetch_sizes(self, products: Iterable[Product]) -> Generator[Product, None, None]:
        """Yield each product with its ``size`` in bytes; see `Client.fetch_sizes`."""
        return iterate(self._client.fetch_sizes(to_async(products)), self._thread)

    def list_members(self, product: Product) -> MemberList:
        """List the members of a product's archive, and which of them are wanted; see `Client.list_members`."""
        return self._thread.call(self._client.list_members(product))

    def stream_members(self, products: Iterable[Product]) -> Generator[tuple[Product, MemberList | None], None, None]:
        """Yield each product with the list of its archive's members; see `Client.stream_members`."""
        return iterate(self._client.stream_members(to_async(products)), self._thread)

    def fetch_quicklooks(
        self, products: Iterable[Product], *, largest: int = 8 * 2**20
    ) -> Generator[tuple[Product, Picture | None], None, None]:
        """Yield each product with its preview; see `Client.fetch_quicklooks`."""
        return iterate(self._client.fetch_quicklooks(to_async(products), largest=largest), self._thread)

    def check_login(self) -> Identity | None:
        """Check the credentials at the first archive that the search finds; see `Client.check_login`."""
        return self._thread.call(self._client.check_login())

    def path_for(self, product: Product) -> Path:
        """Return the path of a product's archive, whether it exists or not; see `Client.path_for`."""
        return self._client.path_for(product)

    def place_for(self, product: Product) -> str:
        """Return the path of a product's archive, or its URL in an object store, whether it exists or not."""
        return self._client.place_for(product)

    def local_state(self, product: Product) -> Action:
        """Return what `download` would do about a product; see `Client.local_state`."""
        return self._thread.call(self._client.local_state(product))

    def download(self, product: Product) -> Outcome:
        """Download one product and verify it, unless it is complete already; see `Client.download`."""
        return self._thread.call(self._client.download(product))

    def repair(self, archive: Path, damaged: Iterable[tuple[int, int]] = ()) -> Outcome:
        """Repair an archive on disk; see `Client.repair`."""
        return self._thread.call(self._client.repair(archive, damaged))

    def repair_members(self, folder: Path, damaged: Iterable[str]) -> Outcome:
        """Repair a folder with members of an archive; see `Client.repair_members`."""
        return self._thread.call(self._client.repair_members(folder, damaged))

    def download_all(
        self,
        products: Query | Iterable[Product] | None = None,
        *,
        report: str | Path | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
        engine: str | None = None,
    ) -> Report:
        """Download all products of a search, or those given; see `Client.download_all`."""
        wanted = products if products is None or isinstance(products, Query) else to_async(products)
        how: dict[str, Any] = {"report": report, "on_outcome": on_outcome, "engine": engine}
        return self._thread.call(self._client.download_all(wanted, **how))

    def create_plan(self, query: Query | None = None, *, sizes: bool = False) -> Plan:
        """Select products, and return them as a plan; see `Client.create_plan`."""
        return self._thread.call(self._client.create_plan(query, sizes=sizes))

    def download_plan(
        self,
        plan: Plan,
        *,
        report: str | Path | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
        engine: str | None = None,
    ) -> Report:
        """Download exactly the products of a plan; see `Client.download_plan`."""
        how: dict[str, Any] = {"report": report, "on_outcome": on_outcome, "engine": engine}
        return self._thread.call(self._client.download_plan(plan, **how))


class SyncCatalogue:
    """`Catalogue` without ``await``; `SyncClient.catalogue` is the one of a client."""

    def __init__(self, catalogue: Catalogue, thread: LoopThread) -> None:
        self._catalogue = catalogue
        self._thread = thread

    def search(self, query: Query | None = None) -> SyncSearch:
        """Search for all products that the catalogue lists, without a selection; see `Catalogue.search`."""
        return SyncSearch(self._catalogue.search(query), self._thread)

    def collections(self) -> list[Collection]:
        """List the collections, sorted by name; see `Catalogue.collections`."""
        return self._thread.call(self._catalogue.collections())

    def describe(self, collection: str | None = None) -> Description | None:
        """Return the search parameters of a collection; see `Catalogue.describe`."""
        return self._thread.call(self._catalogue.describe(collection))
