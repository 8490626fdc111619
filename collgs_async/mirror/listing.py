"""List one span of a watch, and write down what the catalogue lists there."""

from __future__ import annotations

import hashlib
import json
from array import array
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from collgs_async.ledger.choice_records import OLDER, restore_choice
from collgs_async.ledger.listing_records import Listed, Recorded, record_listed
from collgs_async.ledger.span_records import open_watch
from collgs_async.ledger.times import from_ms, to_ms
from collgs_async.mirror.editions import exclude_older
from collgs_async.mirror.spans import OPEN, WHOLE, Span, pages_of
from collgs_async.models.parameter_values import is_relative_day
from collgs_async.models.product import read_time
from collgs_async.models.query import canonical_parameter
from collgs_async.selection.filters import shard_rejection
from collgs_async.selection.search import SelectedProducts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
    from sqlite3 import Connection

    from collgs_async.config.settings import Selection
    from collgs_async.ledger.ledger import Ledger
    from collgs_async.ledger.span_records import WatchRecord
    from collgs_async.models.product import Product
    from collgs_async.models.query import Query
    from collgs_async.selection.filters import Excluded
    from collgs_async.selection.search import SearchRun

__all__ = ["Lister", "Listing", "written"]

BATCH: Final = 100
"""Products that are written down in one transaction."""


RESTLESS: Final = 2
"""How many times the requests that a list should take it may take before it is given up."""


@dataclass(slots=True)
class Listing:
    """One listing of a span.

    Attributes
    ----------
    most_pages
        It is given up once it is known to take more requests.
    needs
        A search parameter without which it is worth nothing; None: none.
    ids
        The products that it had, by their numbers in the ledger.
    total
        The catalogue's count; None: it has none.
    pages
        Requests that it took.
    came
        Products so far, also those that are not wanted.
    is_measured
        Whether the length of its first page was noted.
    is_complete
        Whether it was read to its end.
    """

    span: Span
    most_pages: int
    needs: str | None = None
    ids: array[int] = field(default_factory=lambda: array("q"))
    total: int | None = None
    pages: int = 0
    came: int = 0
    is_measured: bool = False
    is_complete: bool = False


class _GivenUpError(Exception):
    """Ends a listing from within the search."""


class Lister:
    """Lists spans of a watch, one after the other; `open` comes first.

    Parameters
    ----------
    search
        Runs one query, as `Catalogue.search` does: it ends without an error only if all was read.
    query, selection, base_url
        As for `SelectedProducts`.
    page
        Products of a page, as far as is known.
    now, run
        The time in milliseconds, and the number of the run; None: it has none.
    offer
        Called with the numbers of products that are listed, wanted and not here.

    Attributes
    ----------
    bounds
        The times that are asked for at all.
    is_divisible
        Whether spans of time can be asked for.
    is_rolling
        Whether the begin of these times is counted from today, so that products leave by age.
    requests
        Pages of results requested so far.
    is_latest
        Whether only the newest edition of each acquisition is wanted.
    page
        Products of a page, as the catalogue gives them.
    new, unwanted, others
        The number of products that were not known, of those among them that are not wanted, and of those among these
        that are of other shards.
    returned
        Names of those that had gone.
    twins
        Names that the catalogue lists for two archives.
    """

    def __init__(
        self,
        ledger: Ledger,
        search: Callable[[Query], SearchRun],
        query: Query,
        selection: Selection,
        base_url: str,
        *,
        page: int,
        now: int,
        run: int | None = None,
        offer: Callable[[Iterable[int]], None],
    ) -> None:
        self._ledger = ledger
        self._search = search
        self._selected = SelectedProducts(self._watched, replace(query, count=None), selection, base_url)
        self._collection, self._parameters = query.collection, query.parameters
        self.is_latest, self._shard = selection.latest_baseline, selection.shard
        self._watch = 0
        self._now, self._run = now, run
        self._offer = offer
        self._batch: list[Listed] = []
        self._listing = Listing(WHOLE, 0)
        self.bounds = Span(
            _moment(query.parameters.get("timeStart"), -OPEN), _moment(query.parameters.get("timeEnd"), OPEN)
        )
        self.is_divisible = query.parameters.get("timeRelation", "intersects") == "intersects"
        self.is_rolling = False
        self.page = page
        self.requests = self.new = self.unwanted = self.others = 0
        self.returned: list[str] = []
        self.twins: list[str] = []

    async def open(self, parameters: Mapping[str, object]) -> WatchRecord:
        """Read the area and the like, and return the watch of what is asked for, which the ledger may know already.

        Parameters
        ----------
        parameters
            The search parameters as the user wrote them: a time that is counted from today stays the same each day.

        Raises
        ------
        ConfigError
            The area is invalid; no request was made.
        """
        await self._selected.prepare()
        given = {canonical_parameter(name): value for name, value in parameters.items()}
        relative = {name: str(given[name]) for name in self._parameters if is_relative_day(given.get(name))}
        asked = {"parameters": {**self._parameters, **relative}, "selection": self._selected.to_dict()}
        words = json.dumps(asked, sort_keys=True, default=str)
        digest = hashlib.blake2b(words.encode(), digest_size=16).digest()
        watch = await self._ledger.run(open_watch, digest, words, self._collection, self._now)
        await self._ledger.run(restore_choice, watch.id)
        self._watch, self.is_rolling = watch.id, "timeStart" in relative
        return watch

    async def list(self, span: Span, most_pages: int, *, also: tuple[str, str] | None = None) -> Listing:
        """List a span, and write down what it has.

        Parameters
        ----------
        most_pages
            Give up once it is known to take more requests.
        also
            A further search parameter, with its value, that must be honoured; None: none.

        Returns
        -------
        Listing
            Also one that was given up, and so is not complete.

        Raises
        ------
        CatalogueError
            A request failed; what came before is written down.
        """
        self._listing = listing = Listing(span, most_pages, None if also is None else also[0])
        part = self._selected.during(self._times(span) | dict([also] if also else []), on_excluded=self._exclude)
        try:
            async with aclosing(aiter(part)) as products:
                async for product in products:
                    self._batch.append(Listed(product, None))
            listing.is_complete = True
        except _GivenUpError:
            pass
        finally:
            listing.pages, listing.total = part.pages, part.total
            self.requests += part.pages
            await self._write()
        return listing

    def asks_for(self, name: str) -> bool:
        """Whether the query itself has a search parameter."""
        return name in self._parameters

    async def count(self, span: Span) -> int | None:
        """Return how many products a catalogue counts in a span, by one request; None where it does not count."""
        query = self._selected.queries[0]
        search = self._search(replace(query, parameters={**query.parameters, **self._times(span)}, count=1))
        try:
            async with aclosing(aiter(search)) as products:
                async for _ in products:
                    break
        finally:
            self.requests += search.pages
        return search.total

    def _watched(self, query: Query) -> _WatchedSearch:
        needs = self._listing.needs
        if needs is not None:  # it is checked on the first page, so no warning is needed
            query = replace(query, also_local=query.also_local | {needs})
        return _WatchedSearch(self._search(query), self._check)

    async def _check(self, search: SearchRun) -> None:
        """Give a listing up that is too long, and write down what has come, before the next product is taken."""
        listing = self._listing
        if search.pages > 1 and listing.came > 1 and not listing.is_measured:
            self.page, listing.is_measured = min(self.page, listing.came), True  # what the first page had
        listing.came += 1
        if listing.needs is not None and listing.needs not in search.honoured:
            raise _GivenUpError
        restless = search.pages > RESTLESS * listing.most_pages + 1  # it is read again and again, as it changes
        if restless or pages_of(search.total, self.page) > listing.most_pages:
            raise _GivenUpError
        if search.total is None and search.pages > listing.most_pages:
            raise _GivenUpError
        if len(self._batch) >= BATCH:
            await self._write()

    def _exclude(self, excluded: Excluded) -> None:
        # An older edition of another shard is never this one's, also when the newer one has gone.
        other = shard_rejection(excluded.product, self._shard) if excluded.kind in OLDER else None
        self._batch.append(Listed(excluded.product, (other or excluded).kind))

    async def _write(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        self.twins += [one.product.identifier for one in batch if one.product.is_twin]
        found = await self._ledger.run(
            _record, self._watch, self._collection, batch, now=self._now, run=self._run, latest=self.is_latest
        )
        self._listing.ids.extend(found.ids)
        self.new += len(found.new)
        self.unwanted += found.unwanted
        self.others += found.others
        self.returned += found.returned
        self._offer(found.missing)

    def _times(self, span: Span) -> dict[str, str]:
        """Return the search parameters of a span, within the times that the watch asks for."""
        inside = span.within(self.bounds)
        ends = {"timeStart": inside.first, "timeEnd": inside.last}
        return {name: written(moment) for name, moment in ends.items() if abs(moment) < OPEN}


class _WatchedSearch:
    """A search that calls a function before each product."""

    def __init__(self, search: SearchRun, check: Callable[[SearchRun], Awaitable[None]]) -> None:
        self._search = search
        self._check = check

    @property
    def total(self) -> int | None:
        return self._search.total

    @property
    def pages(self) -> int:
        return self._search.pages

    @property
    def honoured(self) -> frozenset[str]:
        return self._search.honoured

    @property
    def expected(self) -> int | None:
        return self._search.expected

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        async with aclosing(aiter(self._search)) as products:
            async for product in products:
                await self._check(self._search)
                yield product


def _record(
    connection: Connection,
    watch: int,
    collection: str,
    batch: Sequence[Listed],
    *,
    now: int,
    run: int | None,
    latest: bool,
) -> Recorded:
    found = record_listed(connection, watch, collection, batch, now=now, run=run)
    if latest:
        exclude_older(connection, watch, found.changed)
    return found


def written(moment: int) -> str:
    """Return a time in milliseconds as a catalogue is asked for it."""
    date = from_ms(moment)
    return "" if date is None else date.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _moment(text: str | None, default: int) -> int:
    moment = to_ms(read_time(text))
    return default if moment is None else moment
