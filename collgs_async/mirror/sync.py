"""Keep a folder equal to what a catalogue lists: take a census, and download what is wanted meanwhile."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.ledger.due_records import changes_at, left_over
from collgs_async.ledger.runs import begin_run
from collgs_async.mirror.census import Census
from collgs_async.mirror.census_report import CensusLimits
from collgs_async.mirror.disk_check import check_disk
from collgs_async.mirror.exclusive import begin_time, utc_now
from collgs_async.mirror.feed import Feed
from collgs_async.mirror.listing import Lister
from collgs_async.mirror.members_check import want_missing_members
from collgs_async.mirror.mirror_run import MirrorRun
from collgs_async.mirror.rehearsal import copied_ledger, rehearsed
from collgs_async.mirror.result import Left, SyncResult
from collgs_async.mirror.revalidate import Revalidator
from collgs_async.mirror.scheduled_check import check_oldest, repair_bad
from collgs_async.mirror.stac_files import note_stac_items
from collgs_async.mirror.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from collgs_async.client import Client
    from collgs_async.ledger.ledger import Ledger
    from collgs_async.mirror.context import Mirror
    from collgs_async.models.product import Product

__all__ = ["Sync"]


class Sync(MirrorRun):
    """One run of ``sync``: makes a folder equal to what the catalogue lists.

    Parameters
    ----------
    client, report, clock
        As for `MirrorRun`.
    believe
        Whether a catalogue, or a folder, that has lost too much is believed.
    ignore_missing
        Whether archives that are not here any more were removed by the user, and are not wanted from now on.
    """

    words = "sync"

    def __init__(
        self,
        client: Client,
        *,
        believe: bool = False,
        ignore_missing: bool = False,
        report: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(client, report=report, clock=clock)
        self._believe = believe
        self._ignore_missing = ignore_missing

    async def rehearse(
        self, tell: Callable[[str, Product], None], tell_change: Callable[[str, str], None] = lambda *_: None
    ) -> SyncResult:
        """Take the census only, on a copy of the ledger: nothing is fetched, and nothing is written down.

        Parameters
        ----------
        tell
            Called with each product that would be fetched, after ``new``, ``missing`` or ``due``.
        tell_change
            Called with the name of each product that would be marked, after ``absent``, ``gone`` or ``superseded``.

        Raises
        ------
        ConfigError, LedgerError, AuthenticationError
            As for `run`.
        """
        async with copied_ledger(self._paths) as ledger:
            now = await begin_time(ledger, self._clock)
            run = await ledger.run(begin_run, self.words, now=now)
            census = await self._prepare(ledger, run, now, lambda _: None)
            try:
                await self._list(ledger, census, run, now)
                for kind, names in (await ledger.run(changes_at, now)).items():
                    for name in names:
                        tell_change(kind, name)
                async with aclosing(rehearsed(ledger, census.watch.id, now)) as products:
                    async for kind, product in products:
                        tell(kind, product)
            finally:
                await self._conclude(ledger, census)
        return self.result

    async def _work(self, mirror: Mirror, now: int) -> None:
        feed: Feed | None = None

        def offer(numbers: Iterable[int]) -> None:
            if feed is not None:
                feed.offer(numbers)

        census = await self._prepare(mirror.ledger, mirror.run, now, offer)
        feed, limit = Feed(mirror.ledger, census.watch.id, now), TimeLimit(self._config.download_options)
        self.result.repaired, self.result.unrepaired = await repair_bad(mirror, self._client, limit)
        try:
            await self._download(mirror, feed, self._list_for(feed, mirror, census, now))
        finally:
            await self._conclude(mirror.ledger, census)
        is_limited = self.result.report is not None and self.result.report.limit is not None
        await self._revalidate(mirror, census.watch.id, limit, now, is_limited=is_limited or limit())
        if not is_limited:
            await note_stac_items(mirror, limit)
            self.result.check = await check_oldest(mirror, limit)

    async def _revalidate(self, mirror: Mirror, watch: int, limit: TimeLimit, now: int, *, is_limited: bool) -> None:
        """Ask the store about as many archives as the settings say, within what is left of the limits.

        What is known to have changed is fetched also where the settings ask about none, or left at a limit.
        """
        options, most = self._config.download_options, self._config.keep.revalidate
        if options.max_bytes is not None:
            moved = self.result.report.bytes if self.result.report else 0
            options = replace(options, max_bytes=max(1.0, options.max_bytes - moved))
        work = Revalidator(mirror, self._client, options, limit, begun=now)
        self.result.revalidation = work.result
        await work.count(watch)
        if not is_limited and (most or work.result.changed):
            await work.run(watch, most)

    async def _prepare(self, ledger: Ledger, run: int, now: int, offer: Callable[[Iterable[int]], None]) -> Census:
        """Return a census of what the settings ask for."""
        config = self._config
        query, limits = config.needed_query(), CensusLimits(config.keep.requests, int(config.keep.overlap * 1000))
        lister = Lister(
            ledger,
            self._client.catalogue.search,
            replace(query, count=None, start_index=1),
            config.selection,
            config.base_url,
            page=config.connection.page_size,
            now=now,
            run=run,
            offer=offer,
        )
        watch = await lister.open(config.parameters)
        self.result.watch = watch.name
        census = Census(ledger, lister, watch, query.collection, limits=limits, now=now, run=run, believe=self._believe)
        self.result.census = census.report
        return census

    async def _conclude(self, ledger: Ledger, census: Census) -> None:
        """Note what was found, and what is left to do."""
        lister = census.lister
        self.result.requests = lister.requests
        self.result.new, self.result.unwanted, self.result.others = lister.new, lister.unwanted, lister.others
        self.result.returned, self.result.twins = lister.returned, lister.twins
        self.result.left = Left(*await ledger.run(left_over, census.watch.id))
        if self.result.report is not None and self.result.report.limit is not None:
            self.result.report = replace(self.result.report, left=self.result.left.wanted)

    async def _list_for(self, feed: Feed, mirror: Mirror, census: Census, now: int) -> None:
        """Take the census, and tell the downloads when nothing more is to come."""
        try:
            feed.offer(await self._list(mirror.ledger, census, mirror.run, now))
        finally:
            feed.pages = census.lister.requests
            feed.complete(census.report.error)

    async def _list(self, ledger: Ledger, census: Census, run: int, now: int) -> list[int]:
        """Compare the folder and the catalogue with the ledger; return what is wanted again."""
        folder = self._config.folder.absolute()
        how = {"believe": self._believe, "ignore_missing": self._ignore_missing}
        self.result.disk = await check_disk(ledger, folder, run=run, now=now, **how)
        again = await census.take()
        await want_missing_members(ledger, self._client, census.watch.id)
        return again
