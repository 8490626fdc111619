"""What a client asks the store and the output folder about archives, without downloading one."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collgs_async.errors import ConciseErrors
from collgs_async.http.auth import Authenticator
from collgs_async.http.credentials import find_credentials, passwords_at_hand
from collgs_async.http.requester import StoreRequester
from collgs_async.http.session import HttpSession, Session
from collgs_async.models.timing import Timing
from collgs_async.pipeline import in_order
from collgs_async.reporting.choice import SharedProgress
from collgs_async.selection.planned import GivenProducts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.config.settings import Config
    from collgs_async.http.credentials import Credentials
    from collgs_async.http.shared_limits import SharedLimits
    from collgs_async.models.member_list import MemberList
    from collgs_async.models.product import Outcome, Product
    from collgs_async.models.progress import GivenProgress, Progress
    from collgs_async.transfer.action import Action
    from collgs_async.transfer.archive_sizes import ArchiveSizes
    from collgs_async.transfer.downloader import Downloader
    from collgs_async.transfer.member_lists import MemberLists
    from collgs_async.transfer.quicklooks import Picture
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["StoreClient"]


class StoreClient:
    """The store's side of `Client`: owns the session, and the downloader, whose threads start when it is first needed.

    Parameters
    ----------
    config, progress, credentials, sleep, tuning
        As for `Client`.
    shared
        Limits of its downloads that other processes of the same run share; None: there are no others.
    """

    def __init__(
        self,
        config: Config,
        progress: GivenProgress,
        *,
        credentials: Callable[[], Credentials | None] | None,
        sleep: Callable[[float], Awaitable[None]],
        tuning: TransferTuning | None,
        shared: SharedLimits | None = None,
    ) -> None:
        self._config = config
        self._progress = SharedProgress(progress, self._config.download_options.workers)
        connection = self._config.connection
        http = HttpSession(connection, self._config.download_options.min_rate)
        self._host = urlsplit(self._config.base_url).hostname or ""
        find = credentials or partial(find_credentials, os.environ, self._host)
        auth = Authenticator(http, self._host, find, auth_hosts=connection.auth_hosts)
        self._session = Session(http, auth, connection.retries, Timing(sleep))
        self._tuning = tuning
        self._shared = shared
        self._downloads = False
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._session.http)
            for username, password in passwords_at_hand(os.environ, self._host):
                self._session.http.keep_secret(password, username)
            self._stack = stack.pop_all()
        self._downloads = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @cached_property
    def _downloader(self) -> Downloader:
        from collgs_async.transfer.downloader import Downloader  # deferred: a search needs nothing of it

        return Downloader(self._session, self._config, self._progress.listener, self._tuning, shared=self._shared)

    async def _open_downloader(self) -> Downloader:
        """Return the downloader, whose threads start with the first call."""
        async with self._opening:  # it may look through a large folder, while other calls wait for it
            if not self._downloads:
                await self._stack.enter_async_context(self._downloader)
                self._downloads = True
        return self._downloader

    @asynccontextmanager
    async def _recording(
        self, command: str, *, is_one_of_many: bool = False
    ) -> AsyncIterator[Callable[[Outcome], None]]:
        """Yield what takes each outcome, for the ledger and the STAC items of the output folder."""
        from collgs_async.ledger.hand_in import hand_in  # deferred: a search needs none of this, and starts faster
        from collgs_async.reporting.stac_recorder import stac_items

        config = self._config
        async with hand_in(config, command, is_one_of_many=is_one_of_many) as note, stac_items(config) as describe:

            def record(outcome: Outcome) -> None:
                note(outcome)
                describe(outcome)

            yield record

    @property
    def config(self) -> Config:
        """The settings."""
        return self._config

    @property
    def progress(self) -> Progress:
        """What receives the events of downloads."""
        return self._progress.listener

    def path_for(self, product: Product) -> Path:
        """Return the path of a product's archive, whether it exists or not; that of an object store never does."""
        return self._downloader.path_for(product)

    def place_for(self, product: Product) -> str:
        """Return the path of a product's archive, or its URL in an object store, whether it exists or not."""
        return self._downloader.place_of(product) or str(self.path_for(product))

    async def local_state(self, product: Product) -> Action:
        """Return what `download` would do about a product, from what is in the output folder or the object store.

        That is ``SKIP`` where the archive is complete, or all its wanted members are here; ``RESUME`` where a part of
        it is here, else ``FETCH``.
        """
        return await (await self._open_downloader()).action(product)

    def fetch_sizes(self, products: Iterable[Product] | AsyncIterable[Product]) -> AsyncGenerator[Product, None]:
        """Yield each product with its ``size`` in bytes, as the store states it; None where it cannot be had.

        Where the settings ask for parts of archives, the directory of each is read (64 KiB), and ``wanted`` is set.

        Parameters
        ----------
        products
            The source, such as `search` or a list; its order is kept. Several are requested at once.

        Raises
        ------
        AuthenticationError
            The store requires a login.
        """
        if not self._config.parts.wish:
            return in_order(GivenProducts.stream(products), self._archive_sizes(), at_once=self._requested_ahead)
        lists = self._member_lists()

        async def sized(product: Product) -> Product:
            return replace((await lists.try_read(product))[0], problem=product.problem)

        return in_order(GivenProducts.stream(products), sized, at_once=self._requested_ahead)

    async def list_members(self, product: Product) -> MemberList:
        """List the members of a product's archive, and which of them the settings want, from its directory.

        Mostly this is one request for 64 KiB.

        Raises
        ------
        NotAvailableError
            The store does not serve the archive, or whole archives only; or the archive has no wanted band.
        IntegrityError
            The archive has no valid directory, or is another product's.
        TransferError
            The connection or the server failed.
        AuthenticationError, StorageError
            As for `download_all`.
        """
        with ConciseErrors():
            return await self._member_lists().read(product)

    def stream_members(
        self, products: Iterable[Product] | AsyncIterable[Product]
    ) -> AsyncGenerator[tuple[Product, MemberList | None], None]:
        """Yield each product, as `fetch_sizes` does, with the list of its archive's members; `download` fetches these.

        The list is None, with a warning, where it cannot be had; see `list_members`. The product then has its
        ``problem`` if a download would fail.

        Parameters
        ----------
        products
            The source, such as `search` or a list; its order is kept. Several are requested at once.

        Raises
        ------
        AuthenticationError, StorageError
            As for `download_all`.
        """
        return in_order(GivenProducts.stream(products), self._member_lists().try_read, at_once=self._requested_ahead)

    def fetch_quicklooks(
        self, products: Iterable[Product] | AsyncIterable[Product], *, largest: int = 8 * 2**20
    ) -> AsyncGenerator[tuple[Product, Picture | None], None]:
        """Yield each product with its preview; None where there is none, or it cannot be fetched.

        Parameters
        ----------
        products
            The source, such as `search` or a list; its order is kept. Several are fetched at once.
        largest
            Limit on a preview in bytes.
        """
        from collgs_async.transfer.quicklooks import Pictures

        fetch = Pictures(self._store_requester(), largest=largest)

        async def both(product: Product) -> tuple[Product, Picture | None]:
            return product, await fetch(product)

        return in_order(GivenProducts.stream(products), both, at_once=self._requested_ahead)

    def _archive_sizes(self) -> ArchiveSizes:
        from collgs_async.transfer.archive_sizes import ArchiveSizes

        return ArchiveSizes(self._store_requester())

    def _member_lists(self) -> MemberLists:
        from collgs_async.transfer.member_lists import MemberLists

        parts = self._config.parts
        return MemberLists(self._open_downloader, parts.wish, sizes=self._archive_sizes() if parts.else_whole else None)

    @property
    def _requested_ahead(self) -> int:
        """Number of products whose sizes, members or previews are requested ahead of the one that is needed."""
        return 2 * self._config.download_options.workers

    def _store_requester(self) -> StoreRequester:
        return StoreRequester(self._session, workers=self._config.download_options.workers)
