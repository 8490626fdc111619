"""A client for newer versions of archives that are here: it fetches them beside these."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from collgs_async.client import Client
from collgs_async.config.keep_options import KeepOptions
from collgs_async.config.parts_options import PartsOptions
from collgs_async.errors import NotAvailableError, ProductError, TransferError
from collgs_async.mirror.replacing import AGAIN
from collgs_async.pipeline import in_order
from collgs_async.selection.planned import GivenProducts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Sequence
    from typing import Self

    from collgs_async.config.settings import DownloadOptions
    from collgs_async.models.product import Product
    from collgs_async.storage.sidecar import RemoteVersion
    from collgs_async.transfer.archive_sizes import ArchiveSizes

__all__ = ["Answer", "ClientBeside"]

Answer: TypeAlias = "RemoteVersion | ProductError | None"
"""The version of an archive at the store; None, or an error, if that is not known."""


class ClientBeside(Client):
    """Asks the store about archives, and fetches them beside those that are here; shares the session of a client."""

    def __init__(self, client: Client, options: DownloadOptions) -> None:
        folder = client.config.folder.absolute() / AGAIN
        config = replace(
            client.config,
            output_directory=folder,
            keep=KeepOptions(),
            parts=PartsOptions(),
            download_options=replace(options, skip_existing=True),
        )
        super().__init__(config, client.progress)
        self._session, self._tuning = client._session, client._tuning  # noqa: SLF001  (both are of its own base)

    async def __aenter__(self) -> Self:
        return self  # the session is open

    @cached_property
    def _versions(self) -> ArchiveSizes:
        return self._archive_sizes()

    async def answer(self, product: Product) -> Answer:
        """Ask the store about the archive of a product."""
        return await _answer(self._versions.version(product.url or ""))

    async def served(self, product: Product) -> Answer:
        """Ask the store as a download does, whose answers may have other validators."""
        return await _answer(self._versions.served_version(product.url or ""))

    async def answers(self, products: Sequence[Product]) -> AsyncGenerator[tuple[Product, Answer], None]:
        """Yield each product, in order, with what the store says of its archive; several are asked about at once."""

        async def ask(product: Product) -> tuple[Product, Answer]:
            return product, await self.answer(product)

        stream = GivenProducts.stream(products)
        async with aclosing(in_order(stream, ask, at_once=self._requested_ahead)) as answers:
            async for answer in answers:
                yield answer


async def _answer(version: Awaitable[RemoteVersion | None]) -> Answer:
    try:
        return await version
    except (NotAvailableError, TransferError) as error:
        return error
