"""A list that is too long for the catalogue's pages, read part by part: each is a span of sensing time."""

from __future__ import annotations

import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.catalogue.known import Known
from collgs_async.catalogue.rounds import Rounds
from collgs_async.catalogue.spans import Span, Times
from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from datetime import datetime

    from collgs_async.catalogue.known import Twin
    from collgs_async.catalogue.response import Page
    from collgs_async.models.product import Product

__all__ = ["Division"]

log = logging.getLogger("collgs_async")

MOST_BARREN: Final = 8
"""Spans in a row that bring nothing new, after which a list is not divided any further."""

MOST_ALIKE: Final = 2
"""The same where they have as many results as the whole: the catalogue seems not to go by time."""

CAPS: Final = 100
"""Results; a multiple of this may be the most that a catalogue counts. A list in the order of time, as most are, costs
a request or two to be looked behind."""

USUAL_CAPS: Final = frozenset({1000, 10_000, 100_000, 1_000_000})
"""The same, where a list that cannot be looked behind is not believed to be whole."""


class Division:
    """All products of a search, as an asynchronous iterator of those that were not known.

    Usually the list is read as one. It is divided where the catalogue gives less than it counts, where it refuses to go
    further, and where its count may be none. What stands at a cut is in both parts.

    Parameters
    ----------
    ask
        Asks for the page of a span that begins at a position; None is the whole list.
    span
        What the search asks for.
    first
        The position to begin at.
    divisible
        Whether the search can be asked for spans.

    Attributes
    ----------
    total
        How many results the catalogue counts in all; None when it does not say, or cannot be believed.
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
        """Hand out each product that was not known, and those that have the name of another one.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or what came may not be all.
        """
        whole = True
        while self._spans and not (self._wanted is not None and len(self._known) >= self._wanted):
            span, times, before = self._spans.pop(), Times(*self._limits), len(self._known)
            rounds = Rounds(
                partial(self._noted, None if whole else span, times),
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

    async def _noted(self, span: Span | None, times: Times, start: int) -> tuple[Page[Product], int]:
        """Ask for a page, and note the times of all that is on it: what was known before shows the order, too."""
        page, asked = await self._ask(span, start)
        for product in page.products:
            times.note(product)
        return page, asked

    def _shortfall(self) -> str:
        """Say how many results of the whole list came; an empty string when all that it counts did."""
        if self._wanted is None or len(self._known) >= self._wanted:
            return ""
        return f"{len(self._known)} of {self._wanted} results came, by the catalogue's count"

    def _divide(self, span: Span, times: Times, rounds: Rounds[Product], doubt: CatalogueError | None) -> None:
        """Divide a list that was not read to its end; what has not been read of it comes first.

        Raises
        ------
        CatalogueError
            It cannot be divided.
        """
        short = rounds.shortfall
        if short is None and doubt is None:
            return
        found = self._cut(span, times, rounds.reading.tail) if doubt or rounds.deep else None
        # More than it counts in all: its count is none, and it does go by time.
        capped = self.total is not None and len(self._known) > self.total
        alike = rounds.total is not None and rounds.total == self.total and not capped
        if found is None or self._barren > (MOST_ALIKE if alike else MOST_BARREN):
            if short is None and not capped and not USUAL_CAPS & _places(rounds):
                return  # a round number, but none at which catalogues stop counting
            if (told := self._shortfall()) and rounds.reading.refusal is None and rounds.total != self._wanted:
                # What a part lacks says nothing to a user who asked for the whole.
                raise CatalogueError(f"{told}, also when it was asked by spans of time")
            raise short or doubt or CatalogueError("the catalogue does not give its whole list")
        log.debug("%s; it is asked for by spans of time", short or doubt)
        older, newer = found
        parts = [older, newer] if times.rising else [newer, older]
        # What was read to its end, in the order of time, has been read on the side of the cut that came first.
        read = short is None and (times.rising or times.falling)
        self._spans += parts[1:] if read else parts

    def _can_cut(self, span: Span, times: Times, tail: Sequence[Product]) -> bool:
        return self._cut(span, times, tail) is not None

    def _cut(self, span: Span, times: Times, tail: Sequence[Product]) -> tuple[Span, Span] | None:
        times.turn(tail)
        return span.cut(times) if self._divisible else None


def _places(rounds: Rounds[Product]) -> set[int]:
    """Give the positions at which the list may have been cut off: as entries were counted, and as they stood."""
    return {rounds.reading.end, rounds.reading.came + rounds.first - 1} - {0}


def _doubt(rounds: Rounds[Product]) -> CatalogueError | None:
    """Say why a count may only be the most that the catalogue counts, or gives; None where it seems to be right."""
    came, total = rounds.reading.came, rounds.total
    if rounds.reading.refusal is not None and (total is None or total < came + len(rounds.reading.tail)):
        return rounds.reading.refusal
    if (total is not None and total > came) or not came or all(place % CAPS for place in _places(rounds)):
        return None
    return CatalogueError(f"the catalogue gave {came} results, and whether it has more of them cannot be known")
