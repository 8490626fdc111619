"""Try again what failed in earlier runs, now, also what failed for good."""

from __future__ import annotations

import logging
from collections import defaultdict
from contextlib import aclosing
from typing import TYPE_CHECKING

from collgs_async.config.settings import Selection
from collgs_async.errors import CatalogueError
from collgs_async.ledger.due_records import failed_products, want_again
from collgs_async.mirror.exclusive import utc_now
from collgs_async.mirror.feed import Feed
from collgs_async.mirror.mirror_run import MirrorRun
from collgs_async.models.product_types import usual_collection
from collgs_async.models.query import Query
from collgs_async.models.sentinel import recognise
from collgs_async.models.text import plural
from collgs_async.selection.search import SelectedProducts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from collgs_async.client import Client
    from collgs_async.mirror.context import Mirror
    from collgs_async.models.product import Product

__all__ = ["Retry"]

log = logging.getLogger("collgs_async")

_AT_ONCE = 100


class Retry(MirrorRun):
    """One run of ``retry``: the catalogue is asked for what failed, by identifier, and it is downloaded.

    Parameters
    ----------
    client, report, clock
        As for `MirrorRun`.
    kind
        Only what failed by an error of this class, such as ``NotAvailableError``; None: all.

    Attributes
    ----------
    missing
        Names that the catalogue does not list any more.
    """

    words = "retry"

    def __init__(
        self,
        client: Client,
        *,
        kind: str | None = None,
        report: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(client, report=report, clock=clock)
        self._kind = kind
        self.missing: list[str] = []

    async def _work(self, mirror: Mirror, now: int) -> None:
        failed = await mirror.ledger.run(failed_products, self._kind, now=now)
        names: dict[str, list[str]] = defaultdict(list)
        for identifier, collection in failed:
            names[collection or self._collection_of(identifier)].append(identifier)
        feed = Feed(mirror.ledger, None, now)
        await self._download(mirror, feed, self._find(mirror, feed, names))

    def _collection_of(self, identifier: str) -> str:
        """Return the collection of a product that a plain download has failed at: what its name or the settings say."""
        name = recognise(identifier)
        return usual_collection(name) if name else self._config.needed_query().collection

    async def _find(self, mirror: Mirror, feed: Feed, names: dict[str, list[str]]) -> None:
        """Ask the catalogue for products by identifier, and hand out those that it lists."""
        error: CatalogueError | None = None
        try:
            for collection, identifiers in names.items():
                selected = SelectedProducts(
                    self._client.catalogue.search,
                    Query.create(collection),
                    Selection(ids=tuple(identifiers)),
                    self._config.base_url,
                )
                batch: list[Product] = []
                try:
                    async with aclosing(aiter(selected)) as products:
                        async for product in products:
                            batch.append(product)
                            if len(batch) == _AT_ONCE:
                                feed.offer(await mirror.ledger.run(want_again, batch))
                                batch = []
                finally:
                    feed.offer(await mirror.ledger.run(want_again, batch))
                    self.result.requests += selected.pages
                self.missing += selected.missing
        except CatalogueError as caught:
            error = caught
        finally:
            feed.pages = self.result.requests
            feed.complete(error)
        if self.missing:
            log.warning("%s of those that failed are not listed any more", plural(len(self.missing), "product"))
