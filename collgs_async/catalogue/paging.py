"""Reading a list of results page by page while it changes, so that nothing which is listed throughout is missed.

Offsets count from the beginning of the list: whatever vanishes before a page moves all later ones forward, and a
reader that asks for what follows would jump over one. So each page begins with the last entry of the page before. While
it does so, the pages hang together. Where none of its entries is known, the reader goes back, and further back, until
one is, or to the beginning. As long as the order is fixed, this is sound by induction: everything that was listed
throughout and stands before an entry which hangs together with the beginning has been met.

An order that changes cannot be seen through like this. It shows by an entry that comes after those it stood before, or
by a list that moved and whose total does not say so. Then the list is read again, until one reading was calm.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from collgs_async.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from collgs_async.catalogue.known import Entry, Known, Twin
    from collgs_async.catalogue.response import Page

__all__ = ["Reading"]

log = logging.getLogger("collgs_async")

REPEATS: Final = 3
"""How often a page may come again before the server is taken to ignore ``startIndex``."""

MOST_FRUITLESS: Final = 12
"""Requests in a row that bring nothing which this reading has not met."""

MOST_EMPTY: Final = 3
"""How often a first page that is empty is asked for again, though there is said to be more."""

REFUSED: Final = frozenset({400, 403, 404, 413, 416, 422, 500, 501})
"""How servers answer when they do not go so far into a list."""

E = TypeVar("E", bound="Entry")


class Reading(Generic[E]):
    """One reading of a list, from its beginning to its end, as an asynchronous iterator of what was not known.

    Parameters
    ----------
    ask
        Asks for the page that begins at a position, which counts from 1; says how many entries it asked for, too.
    known
        What was met before, in this list or in another part of it.
    first
        Where to begin.
    met
        The entries of this list that earlier readings have met, to which this one adds; None: `known` is about this
        list alone.
    again
        Whether earlier readings have met entries of this list.
    enough
        How many entries that were met end the reading at once; None: it goes on to its end.

    Attributes
    ----------
    end
        The position of the last entry.
    fresh, gained
        How many entries were not known, and how many no earlier reading of this list had met.
    calm
        Whether every page followed the one before, or was pushed on by as many new entries as the total says.
    steady
        Whether the total was the same throughout.
    moved
        Whether entries have changed their order.
    odd
        Whether they may have: the list moved by more than its total says.
    refusal
        Why the server did not go further into the list; None when it did.
    tail
        The entries of the last page that had some.
    """

    def __init__(
        self,
        ask: Callable[[int], Awaitable[tuple[Page[E], int]]],
        known: Known,
        *,
        first: int = 1,
        met: set[int] | None = None,
        again: bool = False,
        enough: int | None = None,
    ) -> None:
        self._ask = ask
        self._known = known
        self._first = first
        self._met = met
        self._again = again
        self._enough = enough
        self._page: list[int] = []  # the last one that hangs together with the beginning, and where it began
        self._begun = 0
        self._furthest: int | None = None
        self._largest = 0
        self._overlap = 1
        self._repeats = self._fruitless = 0
        self._insisted = False
        self._order = hashlib.blake2b(digest_size=16)
        self._total: int | None = None
        self._counted: int | None = None  # the total when the last page was read that hangs together with others
        self._believed = True
        self.end = 0
        self.fresh = self.gained = 0
        self.calm, self.steady, self.moved, self.odd = True, True, False, False
        self.refusal: CatalogueError | None = None
        self.tail: Sequence[E] = ()

    @property
    def total(self) -> int | None:
        """How many entries the server counts; None when it does not say, or cannot be believed."""
        return self._total if self._believed else None

    @property
    def order(self) -> bytes:
        """A digest of the pages: where it is the same twice, nothing has changed."""
        return self._order.digest()

    @property
    def came(self) -> int:
        """How many entries of this list were met, in this reading and in those that it goes on from."""
        return len(self._known) if self._met is None else len(self._met) + self._known.surplus

    async def __aiter__(self) -> AsyncGenerator[tuple[E, Twin | None], None]:
        """Hand out each entry that was not known, and those that have the name of another one.

        Raises
        ------
        CatalogueError
            The catalogue could not be asked, or gives the same answer to every question.
        """
        position: int | None = self._first
        while position is not None:
            try:
                page, asked = await self._ask(position)
            except CatalogueError as error:
                if position == self._first or error.status not in REFUSED:
                    raise
                self.refusal = error
                return
            keys = self._known.keys(page.products)
            earlier = {key for key in keys if key in (self._known if self._met is None else self._met)}
            settled = set(filter(self._known.linked, keys))
            linked = position <= self._first or bool(settled) or self._largest == 1
            for index, twin in self._known.take(page.products, keys):
                if twin is None:
                    self.fresh += 1
                    self._known.loose.add(keys[index])
                yield page.products[index], twin
            if self._met is not None:
                self._met.update(keys)
            gained = len(set(keys) - earlier)
            self.gained += gained
            self._note(page)
            if self._enough is not None and self.came >= self._enough:
                return
            if keys and keys == self._page and position != self._begun:
                position = self._come_again(position, full=len(keys) >= asked)
            elif not self._is_fruitful(gained):
                position = None
            elif not linked:
                position = self._go_back(position, empty=not keys)
            else:
                self._known.loose.difference_update(keys)
                self._compare(keys, earlier & settled, position)
                position = self._go_on(page, keys, position, asked)

    def _note(self, page: Page[E]) -> None:
        if page.total is not None:
            self.steady &= self._total in {None, page.total}
            self._total = page.total
        if page.products:
            self.tail = page.products

    def _is_fruitful(self, gained: int) -> bool:
        self._repeats = 0
        self._fruitless = 0 if gained else self._fruitless + 1
        # Once more over known ground takes as many requests as it has pages.
        ground = self.came // max(1, self._largest - 1) if self._again else 0
        if self._fruitless <= MOST_FRUITLESS + ground:
            return True
        self.calm = False
        if self.total is None or self.total - self._first + 1 > self.came:
            self.refusal = CatalogueError(f"the catalogue gave nothing new in {self._fruitless} requests")
        return False

    def _come_again(self, position: int, *, full: bool) -> int | None:
        """Go on after a page that came twice, unless the server turns out to give nothing else."""
        self._repeats += 1
        if self._total == len(self._page) and self._repeats > 1 and not full:
            return None  # a server that ignores where a page begins, and has no more than this one
        if self._repeats < REPEATS:
            return position + len(self._page)
        told = CatalogueError(f"the catalogue repeats itself: it gave the same page {self._repeats + 1} times")
        if self._begun <= self._first:
            raise told
        self.refusal = told
        return None

    def _go_back(self, position: int, *, empty: bool) -> int | None:
        """Look for something known further to the front, in growing steps."""
        if empty and self._insisted and position == self.end + 1:
            return None
        self.calm = False
        self._overlap *= 4
        return max(self._first, position - self._overlap)

    def _compare(self, keys: list[int], earlier: set[int], position: int) -> None:
        """See whether this page follows the last one as it should, and what has happened where it does not."""
        self._believed &= not keys or self._total is None or self._total >= position + len(keys) - 1
        before, self._counted = self._counted, self.total
        change = None if before is None or self.total is None else self.total - before
        shift = self._shift(keys, position)
        if not self._page or not keys:
            self.calm &= not change or change > 0
        elif self._largest == 1:
            self.calm, self.moved = False, True  # pages of one cannot overlap: anything may have happened between them
        elif shift is None:
            self.calm = False
        else:
            self.calm &= 0 <= shift <= (change or 0)
            self.odd |= shift != 0 and not (0 <= shift <= (change or 0) or (change or 0) <= shift <= 0)
        if self._furthest in keys:
            behind = keys[keys.index(self._furthest) + 1 :]
            if not self._again and any(key in earlier and key != self._furthest for key in behind):
                self.calm, self.moved = False, True  # it stood before what it now stands behind
            self._furthest = keys[-1]
        elif keys and (self._furthest is None or keys[-1] not in earlier):
            self._furthest = keys[-1]
        if shift == 0:
            self._overlap = max(1, self._overlap // 2)

    def _shift(self, keys: list[int], position: int) -> int | None:
        """Say by how much the last entry of the page before has moved; None when it is not on this page."""
        if not self._page or self._page[-1] not in keys:
            return None
        expected = self.end - position
        stands = 0 <= expected < len(keys) and keys[expected] == self._page[-1]
        return 0 if stands else keys.index(self._page[-1]) - expected

    def _go_on(self, page: Page[E], keys: list[int], position: int, asked: int) -> int | None:
        """Say where the next page begins; None when this was the last one."""
        end = position + len(keys) - 1
        more = page.more is True or (self.total is not None and self.total > end)
        if not keys and position <= self._first:
            again = MOST_EMPTY if more else 1 if page.total is None else 0
            return position if self._fruitless <= again else None
        if not keys or (self._page and keys[-1] == self._page[-1] and end == self.end and position > self._begun):
            full = len(keys) >= min(asked, max(2, self._largest))
            return self._insist(more=more or full or not keys)
        follows = bool(self._page)
        self._page, self._begun, self.end = keys, position, end
        self._insisted = False
        self._order.update(b"".join(key.to_bytes(16) for key in (position, *keys)))
        # A first page may be short because the server gives no larger ones, and count no more than what it gives.
        whole = page.size == asked or page.more is False or (page.size is None and page.total == end)
        short = len(keys) < self._largest if follows else whole
        self._largest = max(self._largest, len(keys))
        if len(keys) < asked and short and not more:
            return None
        return max(position + 1, end + 1 - min(self._overlap, max(1, len(keys) // 2)))

    def _insist(self, *, more: bool) -> int | None:
        """Ask once for what should follow the last entry, where there is said to be more."""
        if not more or self._insisted:
            return None
        self._insisted = True
        return self.end + 1
