"""Read a list page by page while it changes, without missing an entry that is listed throughout.

Offsets count from the beginning of the list: an entry that vanishes before a page moves all later ones forward, and a
reader that continues at the next offset would skip one. So each page begins with the last entry of the page before.
While it does, the pages overlap. Where no entry of a page is known, the reader goes back, in growing steps, until one
is, or to the beginning. For a fixed order this is sound by induction: every entry that was listed throughout and stands
before an entry connected with the beginning has been read.

A change of order defeats this. It shows in an entry that follows those it used to precede, or in a list that moved
while its total did not change accordingly. Then the list is read again, until one reading saw no change.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from collgs_async.errors import CatalogueError
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from collgs_async.catalogue.known import Entry, Known, Twin
    from collgs_async.catalogue.response import Page

__all__ = ["REFUSED", "Reading"]

log = logging.getLogger("collgs_async")

REPEATS: Final = 3
"""Repetitions of one page after which the server is taken to ignore ``startIndex``."""

MAX_FRUITLESS: Final = 12
"""Consecutive requests without an entry that is new to this reading."""

MAX_BARREN: Final = 2
"""Lists in a row of one search behind whose short last page nothing was found; then only the next page is tried."""

MAX_EMPTY: Final = 3
"""Repeated requests for an empty first page when the server announces more."""

REFUSED: Final = frozenset({400, 403, 404, 413, 416, 422, 500, 501})
"""Statuses of servers that refuse to page further into a list."""

E = TypeVar("E", bound="Entry")


class Reading(Generic[E]):
    """One reading of a list from beginning to end, as an asynchronous iterator of its new entries.

    Parameters
    ----------
    ask
        Requests the page at a position (counted from 1); also returns the number of entries requested.
    known
        Entries read before, in this list or in another part of it.
    first
        The position to begin at.
    met
        Entries of this list that earlier readings have read, updated by this one; None: `known` covers this list only.
    again
        Whether earlier readings have read entries of this list.
    enough
        Stop once this many entries have been read; None: read to the end.

    Attributes
    ----------
    end
        The position of the last entry.
    fresh, gained
        The number of entries that are new, and of those that no earlier reading of this list had read.
    calm
        Whether every page followed the one before, or moved by as many new entries as the total grew.
    steady
        Whether the total was the same throughout.
    moved
        Whether entries have changed their order.
    odd
        Whether they may have: the list moved by more than its total grew.
    refusal
        Why the server refused to page further; None when it did not.
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
        self._page: list[int] = []  # the last page connected with the beginning, and its position
        self._begun = 0
        self._furthest: int | None = None
        self._largest = 0
        self._overlap = 1
        self._repeats = self._without_gain = 0
        self._insisted = False
        self._probes: list[int] = []  # positions after a short page; what ends the list brings nothing at any of them
        self._order = hashlib.blake2b(digest_size=16)
        self._total: int | None = None
        self._highest = 0
        self._counted: int | None = None  # the total at the last page that overlaps with others
        self._believed = True
        self.end = 0
        self.fresh = self.gained = 0
        self.calm, self.steady, self.moved, self.odd = True, True, False, False
        self.refusal: CatalogueError | None = None
        self.tail: Sequence[E] = ()

    @property
    def total(self) -> int | None:
        """The server's count of entries; None when it is missing or not credible."""
        return self._total if self._believed else None

    @property
    def highest(self) -> int:
        """The greatest of the server's counts of entries in this reading; 0 when they are missing or not credible."""
        return self._highest if self._believed else 0

    @property
    def order(self) -> bytes:
        """A digest of the pages: equal digests mean an unchanged list."""
        return self._order.digest()

    @property
    def came(self) -> int:
        """The number of entries read of this list, in this reading and in those it continues."""
        return len(self._known) if self._met is None else len(self._met) + self._known.surplus

    async def __aiter__(self) -> AsyncGenerator[tuple[E, Twin | None], None]:
        """Yield each entry that is new, and those that share the name of another one.

        Raises
        ------
        CatalogueError
            A request failed, or the server returns the same page for every position.
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
            linked = position <= self._first or bool(settled) or self._largest == 1 or self._probes == [position]
            overlap = self._overlap_of(page, keys, position)
            repeated = set() if overlap is None else {at for at in range(overlap, len(keys)) if keys[at] in earlier}
            for index, twin in self._known.take(page.products, keys, overlap or 0, repeated):
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
            if not gained and self._probes[:1] == [position]:
                position = self._next_probe()
            elif keys and keys == self._page and position != self._begun:
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
            self._highest = max(self._highest, page.total)
        if page.products:
            self.tail = page.products

    def _is_fruitful(self, gained: int) -> bool:
        self._repeats = 0
        self._without_gain = 0 if gained else self._without_gain + 1
        # Reading known entries again takes as many requests as they have pages.
        ground = self.came // max(1, self._largest - 1) if self._again else 0
        if self._without_gain <= MAX_FRUITLESS + ground:
            return True
        self.calm = False
        if self.total is None or self.total - self._first + 1 > self.came:
            self.refusal = CatalogueError(f"the catalogue gave nothing new in {plural(self._without_gain, 'request')}")
        return False

    def _overlap_of(self, page: Page[E], keys: list[int], position: int) -> int | None:
        """Return how many entries of this page the last one has, too; None when entries may have moved."""
        steady = self.calm and (page.total is None or page.total == self._total)
        if self._again or not steady or self._shift(keys, position) != 0:
            return None
        return self.end + 1 - position

    def _come_again(self, position: int, *, full: bool) -> int | None:
        """Continue after a repeated page, unless the server returns nothing else."""
        self._repeats += 1
        if self._total == len(self._page) and self._repeats > 1 and not full:
            return None  # a server that ignores startIndex, and has no more than this one page
        if self._repeats < REPEATS:
            return position + len(self._page)
        error = CatalogueError(f"the catalogue repeats itself: it gave the same page {self._repeats + 1} times")
        if self._begun <= self._first:
            raise error
        self.refusal = error
        return None

    def _go_back(self, position: int, *, empty: bool) -> int | None:
        """Go back in growing steps to find a known entry."""
        if empty and self._insisted and position == self.end + 1:
            return None
        self.calm = False
        self._overlap *= 4
        return max(self._first, position - self._overlap)

    def _compare(self, keys: list[int], earlier: set[int], position: int) -> None:
        """Check whether this page follows the last one, and classify the change where it does not."""
        self._believed &= not keys or self._total is None or self._total >= position + len(keys) - 1
        before, self._counted = self._counted, self.total
        change = None if before is None or self.total is None else self.total - before
        shift = self._shift(keys, position)
        if not self._page or not keys:
            self.calm &= not change or change > 0
        elif self._largest == 1:
            self.calm, self.moved = False, True  # pages of one entry cannot overlap, so any change may have been missed
        elif shift is None:
            self.calm = False
        else:
            self.calm &= 0 <= shift <= (change or 0)
            self.odd |= shift != 0 and not (0 <= shift <= (change or 0) or (change or 0) <= shift <= 0)
        if self._furthest in keys:
            behind = keys[keys.index(self._furthest) + 1 :]
            if not self._again and any(key in earlier and key != self._furthest for key in behind):
                self.calm, self.moved = False, True  # it used to precede an entry that it now follows
            self._furthest = keys[-1]
        elif keys and (self._furthest is None or keys[-1] not in earlier):
            self._furthest = keys[-1]
        if shift == 0:
            self._overlap = max(1, self._overlap // 2)

    def _shift(self, keys: list[int], position: int) -> int | None:
        """Return by how many positions the last entry of the previous page moved; None when it is not on this page."""
        if not self._page or self._page[-1] not in keys:
            return None
        expected = self.end - position
        stands = 0 <= expected < len(keys) and keys[expected] == self._page[-1]
        return 0 if stands else keys.index(self._page[-1]) - expected

    def _go_on(self, page: Page[E], keys: list[int], position: int, asked: int) -> int | None:
        """Return the position of the next page; None after the last one."""
        end = position + len(keys) - 1
        largest = max(self._largest, len(keys))
        size = asked if page.size == asked or not largest else max(2, largest)
        if self._probes == [position]:
            self._known.barren = 0
        self._probes = []
        more = page.more is True or (self.total is not None and self.total > end)
        if not keys and position <= self._first:
            again = MAX_EMPTY if more else 1 if page.total is None else 0
            return position if self._without_gain <= again else self._probe(page, self._first + size)
        if not keys or (self._page and keys[-1] == self._page[-1] and end == self.end and position > self._begun):
            full = len(keys) >= min(asked, max(2, self._largest))
            return self._insist() if more or full or not keys else self._probe(page, end + size)
        follows = bool(self._page)
        self._page, self._begun, self.end = keys, position, end
        self._insisted = False
        self._order.update(b"".join(key.to_bytes(16) for key in (position, *keys)))
        # A first page may be short because of a server's limit, and its total count no more than that page.
        whole = page.size == asked or page.more is False or (page.size is None and page.total == end)
        short = len(keys) < self._largest if follows else whole
        self._largest = max(self._largest, len(keys))
        following = max(position + 1, end + 1 - min(self._overlap, max(1, len(keys) // 2)))
        if len(keys) < asked and short and not more:
            return self._probe(page, following, end + size)
        return following

    def _insist(self) -> int | None:
        """Request once what should follow the last entry."""
        if self._insisted:
            return None
        self._insisted = True
        return self.end + 1

    def _probe(self, page: Page[E], position: int, *positions: int) -> int | None:
        """Read on after a short page, where the server neither counts nor links: entries may be hidden on it.

        The next page may bring more, and so may the one behind it, since all entries of a page may be hidden.
        """
        if self.total is not None or page.more is not None:
            return None
        self._probes = [position, *(positions if self._known.barren < MAX_BARREN else ())]
        return position

    def _next_probe(self) -> int | None:
        """Return the position to probe after one that brought nothing; None after the last one."""
        self._probes = self._probes[1:]
        self._known.barren += not self._probes
        return self._probes[0] if self._probes else None
