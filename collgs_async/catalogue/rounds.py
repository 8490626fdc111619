"""Read a changing list repeatedly, until its entries are complete."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from collgs_async.catalogue.known import Entry
from collgs_async.catalogue.paging import Reading
from collgs_async.errors import CatalogueError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from collgs_async.catalogue.known import Known, Twin
    from collgs_async.catalogue.response import Page

__all__ = ["Rounds"]

MAX_READINGS: Final = 8
"""Limit on readings of a list that keeps changing."""

MAX_RESTLESS: Final = 3
"""Accept the result after this many readings in which entries came and went but none moved."""

MAX_ODD: Final = 6
"""The same where entries may have moved, though none was seen to."""

E = TypeVar("E", bound=Entry)


class Rounds(Generic[E]):
    """All new entries of a list, as an asynchronous iterator.

    One reading is enough while nothing changes. Entries that appear meanwhile are missing at the end, as the total
    shows, and are searched for from the beginning. Once entries may have moved, the list is read again: until a reading
    saw no change, until two were equal, or, for a list in random order, until a second round has read as many entries
    as the total and none that the first round missed.

    Parameters
    ----------
    ask, known, first
        As for `Reading`.
    alone
        Whether `known` covers this list only.
    divisible
        Whether the caller can request parts of the list, given its last page; then a list that stayed the same and came
        up short is not read again. None: it cannot.

    Attributes
    ----------
    reading
        The last reading.
    shortfall
        Why the entries may be incomplete; None when they are complete.
    deep
        Whether parts of the list may return more than the whole.
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
        # State of the round, which takes as many readings as needed to reach the total:
        self._met: set[int] | None = None if alone else set()
        self._ever: set[int] | None = None if alone else set()
        self._again = False
        self._calm = self._steady = True
        self._fresh = 0
        # State of all readings:
        self._readings = self._restless = self._rounds = 0
        self._moved = self._odd = False
        self._order = b""
        self.reading: Reading[E] = Reading(ask, known)
        self.shortfall: CatalogueError | None = None
        self.deep = False

    @property
    def first(self) -> int:
        """The position of the first entry, counted from 1."""
        return self._first

    @property
    def total(self) -> int | None:
        """The server's count of entries from the first one on; None when it is missing or not credible."""
        total = self.reading.total
        return None if total is None else max(0, total - self._first + 1)

    async def __aiter__(self) -> AsyncGenerator[tuple[E, Twin | None], None]:
        """Yield each entry that is new, and those that share the name of another one.

        Raises
        ------
        CatalogueError
            A request failed, or the server returns the same page for every position.
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
                self._check_count()
                return
            enough = self.total if self._again and self._calm else None

    def _is_settled(self) -> bool:
        """Whether the list is complete, or given up; otherwise prepare another reading or round."""
        last, total = self.reading, self.total
        self._readings += 1
        if self._ever is not None and self._met is not None:
            self._ever |= self._met
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
        sound = total is not None or not self._moved  # without a total, one calm reading is no longer enough
        if (self._calm and sound) or (self._restless >= (MAX_ODD if self._odd else MAX_RESTLESS) and not self._moved):
            return True
        if self._rounds and self._steady and not self._fresh and total is not None:
            return True
        if self._readings >= MAX_READINGS:
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

    def _check_count(self) -> None:
        """Set the shortfall where the last reading began with a greater count than all readings have brought.

        What vanished within it was there in an earlier one; so fewer entries than that were never listed.
        """
        last = self.reading
        came = len(self._known) if self._ever is None else len(self._ever) + self._known.surplus
        highest = last.highest - self._first + 1
        if self.shortfall is None and max(came, last.end - self._first + 1) < highest:  # some may be listed twice
            self.deep = self._divisible is not None and self._divisible(last.tail)
            self.shortfall = CatalogueError(
                f"{came} of {plural(highest, 'result')} came, by a count of the catalogue that fell while it was read"
            )

    def _is_short(self, total: int) -> bool:
        """Whether to give up on the missing entries: reading again has stopped bringing any."""
        last = self.reading
        without_gain = self._readings > 1 and not last.gained
        self.deep = self._calm and last.steady and self._divisible is not None and self._divisible(last.tail)
        if self.deep or without_gain or self._readings >= MAX_READINGS:
            again = ", also when it was asked again" if self._readings > 1 else ""
            self.shortfall = CatalogueError(
                f"{last.came} of {plural(total, 'result')} came, by the catalogue's count{again}"
            )
            return True
        self._again = True
        return False
