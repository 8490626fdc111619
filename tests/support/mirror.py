"""A watch on the embedded catalogue, in a ledger, day by day."""

from __future__ import annotations

from array import array
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from collgs_async import Client, Config
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.census import Census
from collgs_async.mirror.census_report import CensusLimits
from collgs_async.mirror.listing import Lister
from collgs_async.mirror.spans import DAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.demo.server import DemoServer
    from collgs_async.mirror.census_report import CensusReport


class Watch:
    """Takes one census after the other of what a server lists.

    Attributes
    ----------
    requests
        Pages requested by the last census.
    offered
        Numbers of the products that it found wanted.
    """

    def __init__(self, client: Client, ledger: Ledger, *, requests: int, page: int, overlap: int) -> None:
        self.client = client
        self.ledger = ledger
        self._limits = CensusLimits(requests, overlap * DAY)
        self._page = page
        self.requests = 0
        self.new = 0
        self.offered = array("q")

    async def census(self, now: datetime, *, believe: bool = False) -> CensusReport:
        config, moment = self.client.config, to_ms(now)
        query = config.needed_query()
        self.offered = array("q")
        lister = Lister(
            self.ledger,
            self.client.catalogue.search,
            query,
            config.selection,
            config.base_url,
            page=self._page,
            now=moment,
            offer=self.offered.extend,
        )
        watch = await lister.open(config.parameters)
        census = Census(
            self.ledger,
            lister,
            watch,
            query.collection,
            limits=self._limits,
            now=moment,
            believe=believe,
        )
        self.offered.extend(await census.take())
        self.requests, self.new = lister.requests, lister.new
        return census.report

    async def believed(self) -> set[str]:
        """Return the names of the products that are taken to be listed."""
        return await self.ledger.run(_believed)

    async def known(self) -> set[str]:
        """Return the names of all products that were ever listed."""
        return await self.ledger.run(_known)


def _believed(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT identifier FROM product WHERE absent = 0 AND gone IS NULL")
    return {name for (name,) in rows}


def _known(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT identifier FROM product")}


@asynccontextmanager
async def watching(
    server: DemoServer,
    folder: Path,
    *,
    requests: int = 500,
    page: int = 20,
    overlap: int = 30,
    collection: str = "S2_MSIL2A",
    **settings: Any,
) -> AsyncIterator[Watch]:
    """Open a ledger and a client of a server."""
    config = Config.create(
        base_url=f"{server.origin}/catalog/oseo/search",
        collection=collection,
        output_directory=folder,
        page_size=page,
        **settings,
    )
    async with Ledger.open(LedgerPaths.of(config)) as ledger, Client(config) as client:
        yield Watch(client, ledger, requests=requests, page=page, overlap=overlap)
