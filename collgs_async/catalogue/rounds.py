"""Reading a list as often as it takes, until what came is what is listed."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from collgs_async.catalogue.known import Entry
from collgs_async.catalogue.paging import Reading
from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from collgs_async.catalogue.known import Known, Twin
    from collgs_async.catalogue.response import Page

__all__ = ["Rounds"]

MOST_READINGS: Final = 8
"""How often a list is read that changes all the time."""

MOST_RESTLESS: Final = 3
"""Readings in which entries came and went, and none changed its place, after which they are taken to be sound."""

MOST_ODD: Final = 6
"""The same where entries may have changed their places, though none was seen that had."""

E = TypeVar("E", bound=Entry)


class Rounds(Generic[E]):
    """All entries of a list, as an asynchronous iterator of those that were not known.

    In calm one reading is enough. What appears while it goes on is missing in the end, which the total tells, and is
    looked for from the beginning. Once something may have changed its place, the list is read again: until a reading
    was calm, until two were the same, or, of a list that is given in any order, until a second round has brought as
    many as the total says and nothing that the first one had not.

    Parameters
    ----------
    ask, known, first
        As for `Reading`.
    alone
        Whether `known` is about this list alone.
    divisible
        Whether the caller can ask for parts of the list, given its last page; where a calm reading gave too little, it
        is then not read again. None: the caller cannot.

    Attributes
    ----------
    reading
        The last reading.
    shortfall
        Why what came may not be all; None when it is.
    deep
        Whether parts of the list may give more than the whole of it.
    """

    def __init__(
        self,
        ask: Callable[[int], Awaitable[tuple[Page[E], int]]],
        known: Known,
        *,
        first: int = 1,
        alone: bool = True,
        divisible: Callable[[Sequence[E]], bool] | None = None,
    ) -> None:
        self._ask = ask
        self._known = known
        self._first = first
        self._divisible = divisible
        # Of the round, which is as many readings as it takes to have as many entries as the total says:
        self._met: set[int] | None = None if alone else set()
        self._again = False
        self._calm = self._steady = True
        self._fresh = 0
        # Of all readings:
        self._readings = self._restless = self._rounds = 0
        self._moved = self._odd = False
        self._order = b""
        self.reading: Reading[E] = Reading(ask, known)
        self.shortfall: CatalogueError | None = None
        self.deep = False

    @property
    def first(self) -> int:
        """Where the list begins, as a position that counts from 1."""
        return self._first

    @property
    def total(self) -> int | None:
        """How many entries the server counts from the first one on; None when it does not say, or is not believed."""
        total = self.reading.total
        return None if total is None else max(0, total - self._first + 1)

    async def __aiter__(self) -> AsyncGenerator[tuple[E, Twin | None], None]:
        """Hand out each entry that was not known, and those that have the name of another one.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or gives the same answer to every question.
        """
        enough: int | None = None
        while True:
            self.reading = Reading(
                self._ask, self._known, first=self._first, met=self._met, again=self._again, enough=enough
            )
            async with aclosing(aiter(self.reading)) as entries:
                async for entry in entries:
                    yield entry
            if self._is_settled():
                return
            enough = self.total if self._again and self._calm else None

    def _is_settled(self) -> bool:
        """Judge the last reading; where it is not the last one, begin another round or go on with this one."""
        last, total = self.reading, self.total
        self._readings += 1
        self._calm &= last.calm
        self._steady &= last.steady
        self._moved |= last.moved
        self._odd |= last.odd
        self._fresh += last.fresh
        self._restless += not last.calm
        same, self._order = last.order == self._order and not last.fresh, last.order
        if last.refusal is not None:
            self.shortfall, self.deep = last.refusal, True
            return True
        if same and last.steady and (total is None or max(last.came, last.end - self._first + 1) >= total):
            return True
        if total is not None and last.came < total:
            return self._is_short(total)
        sound = total is not None or not self._moved  # without a total, one calm reading is not enough any more
        if (self._calm and sound) or (self._restless >= (MOST_ODD if self._odd else MOST_RESTLESS) and not self._moved):
            return True
        if self._rounds and self._steady and not self._fresh and total is not None:
            return True
        if self._readings >= MOST_READINGS:
            self.shortfall = CatalogueError(
                f"the catalogue's list changed whenever it was read, {self._readings} times: {len(self._known)} "
                "results came, and whether these are all cannot be known"
            )
            return True
        self._met, self._again = set(), False
        self._rounds += 1
        self._calm = self._steady = True
        self._fresh = 0
        return False

    def _is_short(self, total: int) -> bool:
        """Look for what the total says beyond what came, as long as that brings anything."""
        last = self.reading
        fruitless = self._readings > 1 and not last.gained
        self.deep = self._calm and last.steady and self._divisible is not None and self._divisible(last.tail)
        if self.deep or fruitless or self._readings >= MOST_READINGS:
            again = ", also when it was asked again" if self._readings > 1 else ""
            self.shortfall = CatalogueError(f"{last.came} of {total} results came, by the catalogue's count{again}")
            return True
        self._again = True
        return False
