"""The stream of selected products: one or more searches, and the stages that filter their results."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from collgs_async.errors import ConciseErrors
from collgs_async.models.criteria import Criteria
from collgs_async.models.shard import OTHER_SHARD
from collgs_async.selection.aoi import read_area
from collgs_async.selection.background import in_background
from collgs_async.selection.baselines import latest_baseline
from collgs_async.selection.best import best
from collgs_async.selection.filters import Excluded, filter_products, shard_rejection
from collgs_async.selection.identifiers import bare, read_identifiers
from collgs_async.selection.queries import build_queries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from collgs_async.config.settings import Selection
    from collgs_async.models.product import Product
    from collgs_async.models.query import Query
    from collgs_async.selection.aoi.area import Area

    _Prepared: TypeAlias = tuple[Area | None, tuple[str, ...], list[tuple[Query, tuple[str, ...]]] | None]

__all__ = ["SearchRun", "SelectedProducts"]

log = logging.getLogger("collgs_async")


class SearchRun(Protocol):
    """The part of `Search` that is used here."""

    @property
    def total(self) -> int | None:
        """The catalogue's count; None while it is unknown."""

    @property
    def pages(self) -> int:
        """The number of result pages read."""

    @property
    def honoured(self) -> frozenset[str]:
        """The parameters that the catalogue reports as applied."""

    @property
    def expected(self) -> int | None:
        """The most products that it yields; None while that is unknown."""

    def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product."""


class SelectedProducts:
    """The selected products of a search, as an asynchronous iterator.

    No request is made before the first product is needed. It can be iterated once. The query's ``count`` limits the
    products selected, so excluded ones do not count. A shard is a part of what is then selected, so that all shards
    together have what there is without them.

    Parameters
    ----------
    search
        Runs one query.
    query
        The query without the selection.
    selection
        The criteria and stages.
    base_url
        The search address, for the length of URLs.
    on_excluded
        Called with each excluded product; None: not reported.
    prepared
        Area, identifiers and queries, which then need not be read; see `during`.

    Attributes
    ----------
    queries
        The queries: one, or several for a long list of identifiers; empty before `prepare`.
    area
        The area of interest; None: none, or not read yet (see `prepare`).
    excluded
        The number of excluded products by reason.
    missing
        Requested identifiers that no search has found; those of other shards are left to these.
    yielded
        The number of products yielded.
    """

    def __init__(
        self,
        search: Callable[[Query], SearchRun],
        query: Query,
        selection: Selection,
        base_url: str,
        *,
        on_excluded: Callable[[Excluded], None] | None = None,
        prepared: _Prepared | None = None,
    ) -> None:
        self._search = search
        self._count = query.count
        self._selection = selection
        self._on_excluded = on_excluded
        self._query = replace(query, count=None) if selection.is_selective else query
        self._base_url = base_url
        self._is_part = prepared is not None
        self.area, self._identifiers, self._asked = prepared or (None, (), None)
        self._searches: list[SearchRun] = []
        self.excluded: Counter[str] = Counter()
        self.missing: list[str] = []
        self.yielded = 0

    async def prepare(self) -> None:
        """Read the identifiers and the area of interest, and build the queries, in a thread: it may take seconds.

        Called before the first product, if not earlier.

        Raises
        ------
        ConfigError
            One of them is invalid; no request was made.
        """
        if self._asked is None:
            self.area, self._identifiers, self._asked = await in_background(self._prepare)

    def during(
        self, times: Mapping[str, str], *, on_excluded: Callable[[Excluded], None] | None = None
    ) -> SelectedProducts:
        """Return the same selection of a part of the time, which can be iterated by itself; `prepare` comes before.

        Parameters
        ----------
        times
            The search parameters ``timeStart`` and ``timeEnd``, and others that narrow the search.
        on_excluded
            Called with each excluded product; None: not reported.
        """
        asked = [
            (replace(query, parameters={**query.parameters, **times}), batch) for query, batch in self._asked or ()
        ]
        return SelectedProducts(
            self._search,
            self._query,
            self._selection,
            self._base_url,
            on_excluded=on_excluded,
            prepared=(self.area, self._identifiers, asked),
        )

    def _prepare(self) -> _Prepared:
        ids, aoi = self._selection.ids, self._selection.aoi
        identifiers = () if ids is None else read_identifiers(ids)
        area = None if aoi is None else _area(aoi)
        if area is not None:
            area.prepare()
        return area, identifiers, build_queries(self._query, self._selection, area, identifiers, self._base_url)

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries to run; empty before `prepare`."""
        return tuple(query for query, _ in self._asked or ())

    def to_dict(self) -> dict[str, Any]:
        """Return the selection as in a configuration file, with the content of all files it names."""
        written = self._selection.to_dict()
        if self.area is not None:
            written["aoi"] = self.area.geojson()
        if self._identifiers:
            written["ids"] = list(self._identifiers)
        return written

    @property
    def total(self) -> int | None:
        """The catalogue's count of results, before any selection; None while it is unknown."""
        totals = [search.total for search in self._searches]
        known = [total for total in totals if total is not None]
        return sum(known) if known and len(known) == len(totals) else None

    @property
    def pages(self) -> int:
        """The number of result pages read."""
        return sum(search.pages for search in self._searches)

    @property
    def expected(self) -> int | None:
        """The most products this can still yield, as far as known; None while that is unknown."""
        if self._asked is None:
            return None
        begun = [search.expected for search in self._searches]
        lengths = [len(batch) or None for _, batch in self._asked]
        known = [total if total is not None else length for total, length in zip_longest(begun, lengths)]
        found = sum(number for number in known if number is not None)
        if None in known:
            return None
        others = self.excluded[OTHER_SHARD]
        left = max(0, found - self.excluded.total() + others)
        return max(0, (left if self._count is None else min(left, self._count)) - others)

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each selected product.

        Raises
        ------
        CatalogueError
            A request failed, or the response holds no results.
        """
        with ConciseErrors():
            await self.prepare()
            if not self._is_part:
                self._log_query()
            selected = 0
            async with aclosing(self._stages()) as products:
                while self._count is None or selected < self._count:
                    try:
                        product = await anext(products)
                    except StopAsyncIteration:
                        return
                    selected += 1
                    if dropped := shard_rejection(product, self._selection.shard):
                        self._drop(dropped)
                        continue
                    self.yielded += 1
                    yield product

    def _stages(self) -> AsyncGenerator[Product, None]:
        """Chain the stages: filters first, so that the newest and the best are chosen among products that match."""
        wanted = self._selection
        products = self._search_all()
        if wanted.criteria != Criteria():
            products = filter_products(products, wanted.criteria, self._drop)
        if self.area is not None:
            products = self._intersecting(products, self.area)
        if not wanted.latest_baseline and wanted.best is None:
            return products
        twins: list[Product] = []
        products = _bypass_twins(products, twins)
        if wanted.latest_baseline:
            products = latest_baseline(products, self._drop)
        if wanted.best is not None:
            coverage = None if self.area is None else _overlap
            products = best(products, wanted.best, self._drop, coverage=coverage)
        return _followed_by(products, twins)

    async def _search_all(self) -> AsyncGenerator[Product, None]:
        """Yield the products of all searches, and record which identifiers were found."""
        for query, batch in self._asked or ():
            search = self._search(query)
            self._searches.append(search)
            wanted = set(batch)
            async with aclosing(aiter(search)) as products:
                async for product in products:
                    name = bare(product.identifier)
                    if batch and name not in batch:
                        continue  # a catalogue that matches loosely may list others
                    wanted.discard(name)
                    yield _with_queried_direction(product, query, search)
            shard = self._selection.shard
            self.missing += [name for name in batch if name in wanted and (shard is None or name in shard)]

    async def _intersecting(self, products: AsyncGenerator[Product, None], area: Area) -> AsyncGenerator[Product, None]:
        """Compare exact footprints with the area, since a catalogue that compares boxes returns too many."""
        least = self._selection.min_overlap
        async with aclosing(products):
            async for found in products:
                overlap = area.overlap(found.footprint)
                product = replace(found, overlap=overlap)
                if not overlap and not area.touches(product.footprint):
                    self._drop(Excluded(product, "its footprint does not meet the area", "outside the area"))
                elif least and overlap is None:
                    self._drop(Excluded(product, "its footprint is not known", "too little of the area"))
                elif least and overlap is not None and overlap < least:
                    reason = f"it covers {overlap:.3g} % of the area, less than {least:g} %"
                    self._drop(Excluded(product, reason, "too little of the area"))
                else:
                    yield product

    def _drop(self, dropped: Excluded) -> None:
        self.excluded[dropped.kind] += 1
        log.debug("left out: %s: %s", dropped.product.identifier, dropped.reason)
        if self._on_excluded is not None:
            self._on_excluded(dropped)

    def _log_query(self) -> None:
        """Log what is sent to the catalogue and what is checked locally."""
        for note in self.area.notes if self.area else ():
            log.info("note: %s", note)
        first = self.queries[0]
        asked = " ".join(f"{key}={value}" for key, value in first.parameters.items())
        more = f", and {len(self.queries) - 1} more like this" if len(self.queries) > 1 else ""
        log.debug("asked of the catalogue: %s%s", asked, more)
        also = sorted(set(first.parameters) - {"parentIdentifier", "identifier"})
        if self._identifiers and also:
            log.info("note: what is asked for by identifier is only found where it fits %s, too", " and ".join(also))
        if here := self._selection.local_filters:
            log.debug("checked on this side: %s", ", ".join(here))


def _area(source: str | Path | Mapping[str, Any]) -> Area:
    if isinstance(source, str | Path):
        return read_area(source)
    from collgs_async.selection.aoi.area import Area

    return Area.of(source)


async def _bypass_twins(products: AsyncGenerator[Product, None], twins: list[Product]) -> AsyncGenerator[Product, None]:
    """Route products with the name of another one past the stages, so that neither replaces the other."""
    async with aclosing(products):
        async for product in products:
            if product.is_twin:
                twins.append(product)
            else:
                yield product


async def _followed_by(
    products: AsyncGenerator[Product, None], others: Sequence[Product]
) -> AsyncGenerator[Product, None]:
    async with aclosing(products):
        async for product in products:
            yield product
    for product in others:
        yield product


def _with_queried_direction(product: Product, query: Query, search: SearchRun) -> Product:
    """Fill in the orbit direction from the query where the catalogue applied it but its entries lack it."""
    asked = query.parameters.get("orbitDirection", "")
    if product.orbit_direction or "," in asked or "orbitDirection" not in search.honoured:
        return product
    return replace(product, orbit_direction=asked)


def _overlap(product: Product) -> float | None:
    return product.overlap
