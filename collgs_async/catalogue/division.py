"""Read a list that is too long for the catalogue's paging limits, in spans of sensing time."""

from __future__ import annotations

import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.catalogue.known import Known
from collgs_async.catalogue.rounds import Rounds
from collgs_async.catalogue.spans import Span, Times
from collgs_async.errors import CatalogueError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from datetime import datetime

    from collgs_async.catalogue.known import Twin
    from collgs_async.catalogue.response import Page
    from collgs_async.models.product import Product

__all__ = ["Division"]

log = logging.getLogger("collgs_async")

MAX_BARREN: Final = 8
"""Stop dividing after this many spans in a row without a new entry."""

MAX_ALIKE: Final = 2
"""Stop after this many spans in a row with as many results as the whole: the catalogue seems to ignore the time."""

CAPS: Final = 100
"""A total that is a multiple of this may be a cap on counting. Reading beyond it costs a request or two for a list in
order of time, as most are."""

USUAL_CAPS: Final = frozenset({1000, 10_000, 100_000, 1_000_000})
"""Totals that are taken for a cap also where the list cannot be read beyond them."""


class Division:
    """All products of a search that are not yet known, as an asynchronous iterator.

    Usually the list is read as a whole. It is divided when the catalogue delivers less than it counts, refuses to page
    further, or when its count may be capped. Products at the time of a cut are in both parts.

    Parameters
    ----------
    ask
        Requests the page of a span at a position; the span None is the whole list.
    span
        The span of the search.
    first
        The position of the first entry.
    divisible
        Whether the search can be limited to spans.

    Attributes
    ----------
    total
        The catalogue's count of all results; None when it is missing or not credible.
    """

    def __init__(
        self,
        ask: Callable[[Span | None, int], Awaitable[tuple[Page[Product], int]]],
        span: Span,
        *,
        first: int = 1,
        divisible: bool = True,
    ) -> None:
        self._ask = ask
        self._spans = [span]
        self._first = first
        self._divisible = divisible
        self._known = Known()
        self._limits: tuple[datetime | None, datetime | None] = (None, None)
        self._barren = 0
        self._wanted: int | None = None
        self.total: int | None = None

    async def __aiter__(self) -> AsyncGenerator[tuple[Product, Twin | None], None]:
        """Yield each product that is new, and those that share the name of another one.

        Raises
        ------
        CatalogueError
            A request failed, or the results may be incomplete.
        """
        whole = True
        while self._spans and not (self._wanted is not None and len(self._known) >= self._wanted):
            span, times, before = self._spans.pop(), Times(*self._limits), len(self._known)
            rounds = Rounds(
                partial(self._recorded, None if whole else span, times),
                self._known,
                first=self._first,
                alone=whole,
                divisible=partial(self._can_cut, span, times),
            )
            async with aclosing(aiter(rounds)) as products:
                async for product, twin in products:
                    yield product, twin
            self._limits = times.first, times.last
            doubt = _doubt(rounds)
            if whole:
                self.total, whole = rounds.reading.total, False
                self._wanted = rounds.total if rounds.shortfall is not None and doubt is None else None
            self._barren = self._barren + 1 if len(self._known) == before else 0
            self._divide(span, times, rounds, doubt)
        if shortfall := self._shortfall():
            raise CatalogueError(f"{shortfall}, also when it was asked by spans of time")

    async def _recorded(self, span: Span | None, times: Times, start: int) -> tuple[Page[Product], int]:
        """Request a page and record its times, known entries included, since they show the order as well."""
        page, asked = await self._ask(span, start)
        for product in page.products:
            times.add(product)
        return page, asked

    def _shortfall(self) -> str:
        """Return how many results of the whole list came; an empty string when none is missing."""
        if self._wanted is None or len(self._known) >= self._wanted:
            return ""
        return f"{len(self._known)} of {plural(self._wanted, 'result')} came, by the catalogue's count"

    def _divide(self, span: Span, times: Times, rounds: Rounds[Product], doubt: CatalogueError | None) -> None:
        """Divide a list that was not read to its end; its unread part is read first.

        Raises
        ------
        CatalogueError
            It cannot be divided.
        """
        short = rounds.shortfall
        if short is None and doubt is None:
            return
        found = self._cut(span, times, rounds.reading.tail) if doubt or rounds.deep else None
        # More entries than the total: the total is a cap, and the catalogue does apply the time.
        capped = self.total is not None and len(self._known) > self.total
        alike = rounds.total is not None and rounds.total == self.total and not capped
        if found is None or self._barren > (MAX_ALIKE if alike else MAX_BARREN):
            if short is None and not capped and not USUAL_CAPS & _places(rounds):
                return  # a round number, but not one at which catalogues stop counting
            if (shortfall := self._shortfall()) and rounds.reading.refusal is None and rounds.total != self._wanted:
                # A shortfall of one part means nothing to a user who asked for the whole list.
                raise CatalogueError(f"{shortfall}, also when it was asked by spans of time")
            raise short or doubt or CatalogueError("the catalogue does not give its whole list")
        log.debug("%s; it is asked for by spans of time", short or doubt)
        older, newer = found
        parts = [older, newer] if times.rising else [newer, older]
        # A list in order of time was read up to the cut, so one side of it needs no further request.
        read = short is None and (times.rising or times.falling)
        self._spans += parts[1:] if read else parts

    def _can_cut(self, span: Span, times: Times, tail: Sequence[Product]) -> bool:
        return self._cut(span, times, tail) is not None

    def _cut(self, span: Span, times: Times, tail: Sequence[Product]) -> tuple[Span, Span] | None:
        times.set_page(tail)
        return span.cut(times) if self._divisible else None


def _places(rounds: Rounds[Product]) -> set[int]:
    """Return the positions at which the list may have been cut off, by count and by position."""
    return {rounds.reading.end, rounds.reading.came + rounds.first - 1} - {0}


def _doubt(rounds: Rounds[Product]) -> CatalogueError | None:
    """Return why a total may be a cap rather than a count; None when it is credible."""
    came, total = rounds.reading.came, rounds.total
    if rounds.reading.refusal is not None and (total is None or total < came + len(rounds.reading.tail)):
        return rounds.reading.refusal
    if (total is not None and total > came) or not came or all(place % CAPS for place in _places(rounds)):
        return None
    return CatalogueError(
        f"the catalogue gave {plural(came, 'result')}, and whether it has more of them cannot be known"
    )
