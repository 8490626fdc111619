"""Compare what a catalogue lists with the ledger, span by span of sensing time.

No date is trusted as a mark up to which all is known: products come late, with any date, and go. What fits into the
requests of one run is listed completely, each time. Beyond that the newest spans, those in doubt and those whose counts
differ come first, then all others in turn, so that each is listed once in a cycle.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from collgs_async.catalogue.paging import REFUSED
from collgs_async.errors import CatalogueError
from collgs_async.ledger import listing_records as records
from collgs_async.ledger import span_records
from collgs_async.ledger.span_records import SpanRecord
from collgs_async.mirror import spans as plan
from collgs_async.mirror.absence import MIN_ABSENCE, Loss, lost_too_much
from collgs_async.mirror.census_report import CensusReport
from collgs_async.mirror.editions import choose_newest
from collgs_async.mirror.listing import written
from collgs_async.mirror.spans import DAY, WHOLE, Span, pages_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence
    from sqlite3 import Connection

    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.span_records import WatchRecord
    from collgs_async.mirror.census_report import CensusLimits
    from collgs_async.mirror.listing import Lister, Listing

__all__ = ["Census"]

log = logging.getLogger("collgs_async")

_UNLIMITED: Final = 10**9
"""Pages."""

TOO_LARGE: Final = 40
"""Pages of one span beyond which it is cut before it is listed, so that an interrupted listing wastes little."""

REACH: Final = DAY
"""The longest sensing that is considered where products are counted, in milliseconds."""

LATE: Final = 3 * DAY
"""How long before the last census a product may have been made that was not listed then."""

DATED: Final = 0.99
"""Share of entries with a date of creation from which the catalogue is asked by it."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A span that was read to its end, but lacks products that it had."""

    span: Span
    absent: array[int]
    loss: Loss


class Census:
    """One census of a watch; `take` is called once.

    Parameters
    ----------
    lister
        Lists spans of the watch.
    collection
        The collection that is asked for.
    now
        The time in milliseconds, later than that of any run before.
    run
        The number of the run; None: it has none.
    believe
        Whether a catalogue that has lost too much is believed.

    Attributes
    ----------
    lister, watch
        Those given.
    report
        What was found so far.
    """

    def __init__(
        self,
        ledger: Ledger,
        lister: Lister,
        watch: WatchRecord,
        collection: str,
        *,
        limits: CensusLimits,
        now: int,
        run: int | None = None,
        believe: bool = False,
    ) -> None:
        self._ledger = ledger
        self.lister = self._lister = lister
        self.watch, self._watch = watch, watch.id
        self._collection = collection
        self._limits = limits
        self._now, self._run = now, run
        self._believe = believe
        self._spans: list[Span] = []
        self._doubts: list[_Doubt] = []
        self._had = 0
        self._reserved = 0
        self.report = CensusReport()

    async def take(self) -> list[int]:
        """List what is to be listed, and mark what is absent.

        Returns
        -------
        list
            The numbers of products that are wanted again, since a newer edition has gone.
        """
        again: list[int] = []
        if self._lister.is_rolling:
            before = self._lister.bounds.first
            self.report.aged = await self._ledger.run(
                records.mark_aged, self._watch, before, now=self._now, run=self._run
            )
        rows = await self._ledger.run(span_records.read_spans, self._watch)
        self._spans = plan.clipped([Span(*row) for row in rows], self._lister.bounds)
        try:
            await self._list_all()
        except CatalogueError as error:
            self.report.error = error  # and nothing is marked: a catalogue in trouble is not believed
            await self._set_listed(doubt.span for doubt in self._doubts)
        else:
            again = await self._mark()
        settled = [span.settled for span in self._spans]
        self.report.unread = settled.count(None)
        self.report.rest = len(settled) - settled.count(self._now) - self.report.unread
        self.report.oldest = min((moment for moment in settled if moment is not None), default=None)
        return again

    @property
    def _left(self) -> int:
        """The requests that are left for what is being done."""
        return self._limits.requests - self._lister.requests - self._reserved

    @property
    def _largest(self) -> int:
        """The most pages of one listing of a part."""
        return max(1, min(TOO_LARGE, self._limits.requests // 2))

    # -------------------------------------------------------------------------------------------------- the order

    async def _list_all(self) -> None:
        known = plan.joined(self._spans).total
        if known is None:
            known = await self._ledger.run(span_records.members, self._watch)
        is_divided = len(self._spans) > 1 and any(span.settled is None for span in self._spans)
        fits = not is_divided and pages_of(known, self._lister.page) <= self._left
        if (fits or not self._lister.is_divisible) and await self._list_whole():
            return
        if len(self._spans) == 1:
            await self._divide()
        await self._list_parts()

    async def _list_whole(self) -> bool:
        """List everything at once; return whether that is the end of the census."""
        listing = await self._lister.list(WHOLE, self._left if self._lister.is_divisible else _UNLIMITED)
        if listing.is_complete:
            self.report.whole = True
            await self._settle(listing)
        return listing.is_complete

    async def _divide(self) -> None:
        """Divide the time axis for the first time: where products are, as far as they are known, else by years."""
        (span,) = self._spans
        if span.settled is None:
            await self._replace(span, plan.first_division(self._now, self._lister.bounds))
        else:
            await self._replace(span, plan.cut(span, await self._starts(span), self._lister.page))

    async def _list_parts(self) -> None:
        """List what the requests suffice for, in order of importance."""
        before = max((span.listed for span in self._spans if span.listed is not None), default=None)
        doubtful = await self._ledger.run(span_records.doubtful, self._watch, self._collection, self._now - MIN_ABSENCE)
        in_doubt = {span for span in self._spans if plan.has_any(span, doubtful)}
        unread, *others = plan.urgent(self._spans, self._now, self._limits.overlap, in_doubt)
        await self._list_some(unread)
        self._reserved = self._limits.requests // 2  # whatever there is to look after, the cycle goes on
        for spans in others:
            await self._list_some(spans)
        if all(span.settled is not None for span in self._spans):
            await self._compare_counts()
            await self._list_created(before)
        self._reserved = 0
        while spans := plan.by_age(self._spans, self._now, self._left, self._lister.page):
            await self._list_some(spans)

    async def _list_some(self, spans: Sequence[Span]) -> None:
        for span in plan.merged(spans, self._lister.page, min(plan.LARGEST, self._largest)):
            if self._left <= 0 or not await self._list_span(span):
                return

    async def _list_span(self, span: Span) -> bool:
        """List a span, in halves where it is too large; return False where the requests do not suffice."""
        waiting = [span]
        while waiting:
            if self._left <= 0:
                return False
            span = waiting.pop()
            if span.settled is not None and self._left < pages_of(span.total, self._lister.page) <= self._largest:
                return False
            can_cut = len(plan.halves(span, [], self._lister.bounds, counted=True)) > 1
            most = min(self._largest, self._left) if can_cut else _UNLIMITED
            listing = await self._lister.list(span, most)
            if listing.is_complete:
                await self._settle(listing)
                continue
            counted = listing.total is not None
            needed = pages_of(listing.total, self._lister.page) if counted else listing.pages
            if most < self._largest and needed <= self._largest:  # it is not too large, but for what is left
                await self._set_listed([span])
                return False
            parts = plan.halves(span, await self._starts(span), self._lister.bounds, counted=counted)
            await self._replace(span, parts)
            waiting += parts
        return True

    async def _compare_counts(self) -> None:
        """List the spans in which the catalogue counts more or fewer products than are known."""
        tallies = await self._ledger.run(span_records.tallies, self._watch)
        for run in plan.years(self._spans, self._now):
            year = plan.joined(run)
            if all(span.listed == self._now for span in run):
                continue
            if self._left <= 0 or (total := await self._lister.count(year)) is None:
                return
            if await self._difference(year, total) == tallies.get((year.first, year.last), 0):
                continue
            await self._narrow(run)
            rest = await self._difference(year, total)  # how this catalogue counts; else the cycle comes to it
            await self._ledger.run(span_records.set_tally, self._watch, year.first, year.last, rest)
        await self._count_outside(tallies.get((WHOLE.first, WHOLE.last), 0))

    async def _count_outside(self, before: int) -> None:
        """Count what is in no span, such as products without a sensing time.

        Parameters
        ----------
        before
            How many there were in the last run: what has come since the spans were counted is no reason to warn.
        """
        if self._left <= 0 or (total := await self._lister.count(WHOLE)) is None:
            return
        tallies = await self._ledger.run(span_records.tallies, self._watch)
        counted = sum(
            surplus for (first, last), surplus in tallies.items() if (first, last) != (WHOLE.first, WHOLE.last)
        )
        known = await self._ledger.run(span_records.members, self._watch)
        outside = max(0, total - known - counted - sum(span.surplus for span in self._spans))
        await self._ledger.run(span_records.set_tally, self._watch, WHOLE.first, WHOLE.last, outside)
        self.report.outside = min(before, outside)

    async def _difference(self, span: Span, total: int) -> int:
        """Return how many more products the catalogue counts than are known."""
        inside = span.within(self._lister.bounds)
        known = await self._ledger.run(
            span_records.count_within, self._watch, self._collection, inside.first, inside.last, REACH
        )
        surplus = sum(one.surplus for one in self._spans if span.first <= one.first and one.last <= span.last)
        return total - known - surplus

    async def _narrow(self, run: Sequence[Span]) -> None:
        """List those among neighbouring spans whose count differs."""
        if len(run) == 1 or pages_of(plan.joined(run).total, self._lister.page) <= 2:  # no more than two counts
            await self._list_some(run)
            return
        for part in (run[len(run) // 2 :], run[: len(run) // 2]):
            whole = plan.joined(part)
            if self._left > 0 and not all(span.listed == self._now for span in part):
                total = await self._lister.count(whole)
                if total is not None and await self._difference(whole, total) != 0:
                    await self._narrow(part)

    async def _list_created(self, before: int | None) -> None:
        """List what was made since the last census, where the catalogue dates its products and goes by that."""
        if before is None or self._left <= 0 or self._lister.asks_for("creationDate"):
            return
        if await self._ledger.run(span_records.share_dated, self._collection) >= DATED:
            try:
                await self._lister.list(WHOLE, self._left, also=("creationDate", f"[{written(before - LATE)}"))
            except CatalogueError as error:
                if error.status not in REFUSED:
                    raise
                log.debug("the catalogue cannot be asked for what was made lately: %s", error)

    # --------------------------------------------------------------------------------------------------- the marks

    async def _settle(self, listing: Listing) -> None:
        """Write down that a span was read to its end; where products are absent, the end of the census decides."""
        span = replace(listing.span, total=listing.total)
        had, absent, successors = await self._ledger.run(
            _compare, self._watch, self._collection, span, listing.ids, self._now
        )
        self._had += had
        if absent:
            self._doubts.append(_Doubt(span, absent, Loss(had, len(absent), successors)))
            await self._set_listed([span])
        else:
            await self._store(span)

    async def _mark(self) -> list[int]:
        """Mark what is absent, unless it is too much to be believed."""
        total = Loss(self._had, 0)
        for doubt in self._doubts:
            total += replace(doubt.loss, had=0)
        self.report.loss = total
        refused = [one.loss for one in self._doubts if lost_too_much(one.loss, everything=one.span.is_whole)]
        if lost_too_much(total, everything=False):
            refused.append(total)
        if refused and not self._believe:
            self.report.refused = refused[-1]
            return []
        again: list[int] = []
        for doubt in self._doubts:
            gone, wanted = await self._ledger.run(
                _mark, self._watch, doubt.absent, now=self._now, run=self._run, latest=self._lister.is_latest
            )
            self.report.gone += gone
            again += wanted
            await self._store(doubt.span)
        return again

    async def _store(self, span: Span) -> None:
        """Write down that a span was read to its end, cut for the next run, unless everything is listed each time."""
        inside = span.within(self._lister.bounds)
        known = await self._ledger.run(
            span_records.count_within, self._watch, self._collection, inside.first, inside.last, REACH
        )
        surplus = 0 if span.total is None else span.total - known
        settled = replace(span, surplus=surplus, listed=self._now, settled=self._now)
        starts = await self._starts(span)
        if span.is_whole:
            await self._replace(span, [replace(settled, total=len(starts))])
        else:
            await self._replace(span, plan.cut(settled, starts, self._lister.page))

    async def _set_listed(self, spans: Iterable[Span]) -> None:
        """Write down that spans were asked for, and keep the age of their last complete listing."""
        for span in spans:
            inner = [one for one in self._spans if span.first <= one.first and one.last <= span.last]
            await self._replace(span, [replace(one, listed=self._now) for one in inner])

    async def _starts(self, span: Span) -> Sequence[int]:
        return await self._ledger.run(span_records.starts_within, self._watch, self._collection, span.first, span.last)

    async def _replace(self, span: Span, parts: Sequence[Span]) -> None:
        """Replace the spans within a span."""
        rows = [SpanRecord(one.first, one.last, one.total, one.surplus, one.listed, one.settled) for one in parts]
        await self._ledger.run(span_records.replace_spans, self._watch, span.first, span.last, rows)
        others = [one for one in self._spans if one.last <= span.first or one.first >= span.last]
        self._spans = sorted([*others, *parts], key=lambda one: one.first)


def _compare(
    connection: Connection, watch: int, collection: str, span: Span, ids: Sequence[int], now: int
) -> tuple[int, array[int], int]:
    """Return how many products a complete listing should have had, which it did not, and how many have a successor."""
    records.set_seen(connection, ids, now)
    had, absent = records.missing_from(connection, watch, collection, span.first, span.last, ids, whole=span.is_whole)
    return had, absent, records.replaced(connection, watch, absent)


def _mark(
    connection: Connection, watch: int, absent: Sequence[int], *, now: int, run: int | None, latest: bool
) -> tuple[list[str], list[int]]:
    """Mark products as absent; return the names of those that are gone, and the numbers of those wanted again."""
    gone = records.mark_absent(connection, absent, now=now, run=run, min_absence=MIN_ABSENCE)
    if not latest:
        return gone, []
    return gone, choose_newest(connection, watch, records.acquisitions(connection, absent))
