"""Choose which spans of sensing time a census lists, and cut the time axis where products are known to be.

All times are milliseconds since 1970-01-01 UTC. The spans of a watch cover the whole time axis without a gap: each ends
where the next one begins. A catalogue is asked for both ends; a product counts for the span that begins at its sensing
time, since the catalogue's times may be finer than milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = [
    "DAY",
    "LARGEST",
    "OPEN",
    "WHOLE",
    "Span",
    "by_age",
    "clipped",
    "cut",
    "first_division",
    "halves",
    "has_any",
    "joined",
    "merged",
    "pages_of",
    "urgent",
    "years",
]

DAY: Final = 86_400_000
"""Milliseconds."""

OPEN: Final = 2**53
"""An end that is none; negative for the first span."""

FILLED: Final = 0.6
"""Share of a page that the products of one span fill, so that some may appear before it takes two pages."""

LARGEST: Final = 10
"""Most pages of neighbouring spans that are listed at once: what an interrupted listing wastes."""

EARLIEST: Final = 2014
"""Year in which Sentinel-1A was launched; what is older is one span at first."""

_SECOND: Final = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the time axis, and when it was listed.

    Attributes
    ----------
    first, last
        Begin and end in milliseconds; `OPEN` and its negative: no limit.
    total
        The number of products that the last settled listing counted; None: unknown.
    surplus
        How many more the catalogue counts than there are names, such as entries that it lists twice.
    listed, settled
        When it was last asked for, and when it was last read to its end; None: never.
    """

    first: int
    last: int
    total: int | None = None
    surplus: int = 0
    listed: int | None = None
    settled: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole time axis."""
        return self.first == -OPEN and self.last == OPEN

    def within(self, bounds: Span) -> Span:
        """Return the part that lies within another span."""
        return replace(self, first=max(self.first, bounds.first), last=min(self.last, bounds.last))


WHOLE: Final = Span(-OPEN, OPEN)
"""The whole time axis."""


def has_any(span: Span, moments: Sequence[int]) -> bool:
    """Whether any of these times, in ascending order, counts for a span."""
    return bisect_left(moments, span.first) < bisect_left(moments, span.last)


def clipped(spans: Sequence[Span], bounds: Span) -> list[Span]:
    """Leave out the spans that lie before or after the times asked for; the others stay whole."""
    return [span for span in spans if span.last > bounds.first and span.first < bounds.last] or [WHOLE]


def pages_of(total: int | None, page: int) -> int:
    """Return how many requests read so many products, each page with the last product of the page before."""
    if total is None or total <= page:
        return 1
    step = max(1, page - 1)
    return 1 + -(-(total - page) // step)


def cut(span: Span, starts: Sequence[int], page: int) -> list[Span]:
    """Cut a span so that each part fills a page by 60 %, where sensing times allow it.

    Cuts are at whole seconds, in case the catalogue compares no finer.

    Parameters
    ----------
    span
        The span; its dates are those of the parts, its surplus is that of the first one.
    starts
        The sensing times of its products in milliseconds, in ascending order; those outside are ignored.
    page
        Products a page.
    """
    size = max(1, int(page * FILLED))
    low, high = bisect_left(starts, span.first), bisect_left(starts, span.last)
    parts: list[Span] = []
    begin = span.first
    while high - low > size:
        border = _border(starts, low, high, low + size)
        if border is None:
            break
        until = bisect_left(starts, border)
        parts.append(replace(span, first=begin, last=border, total=until - low, surplus=0))
        begin, low = border, until
    parts.append(replace(span, first=begin, total=high - low, surplus=0))
    return [replace(parts[0], surplus=span.surplus), *parts[1:]]


def _border(starts: Sequence[int], low: int, high: int, at: int) -> int | None:
    """Return a whole second that has products on both sides, near an index; None when all share a second."""
    border = starts[at] // _SECOND * _SECOND
    if border > starts[low]:
        return border
    later = bisect_left(starts, starts[low] // _SECOND * _SECOND + _SECOND, low, high)
    return starts[later] // _SECOND * _SECOND if later < high else None


def halves(span: Span, starts: Sequence[int], bounds: Span, *, counted: bool) -> list[Span]:
    """Cut a span that is too large to be listed at once; it is the only item where that is impossible.

    Parameters
    ----------
    span
        The span.
    starts
        Known sensing times in it, in ascending order.
    bounds
        The times that are asked for at all.
    counted
        Whether the catalogue told how much there is, so that the middle of the time is the best guess. Otherwise what
        was read before the listing was given up is halved.
    """
    inside = span.within(bounds)
    guesses = [_middle(inside), *([starts[len(starts) // 2]] if starts else [])]
    for guess in guesses if counted else reversed(guesses):
        border = guess // _SECOND * _SECOND
        if inside.first < border < inside.last:
            uncounted = replace(span, total=None, surplus=0)
            return [replace(uncounted, last=border), replace(uncounted, first=border)]
    return [span]


def _middle(span: Span) -> int:
    """Return the middle of a span; an open end is eight years from the other one."""
    reach = 8 * 365 * DAY
    first = span.first if span.first > -OPEN else min(span.last, _year(EARLIEST)) - reach
    last = span.last if span.last < OPEN else max(first, _year(EARLIEST)) + reach
    return (first + last) // 2


def first_division(now: int, bounds: Span = WHOLE) -> list[Span]:
    """Divide the time axis into calendar years, for a catalogue that is too large to be listed at once."""
    borders = [-OPEN, *(_year(year) for year in range(EARLIEST, _date(now).year + 1)), OPEN]
    inside = [border for border in borders[1:-1] if bounds.first < border < bounds.last]
    ends = [-OPEN, *inside, OPEN]
    return [Span(first, last) for first, last in pairwise(ends)]


def years(spans: Sequence[Span], now: int) -> Iterator[list[Span]]:
    """Yield the spans that are counted together: those that begin in each calendar year, the newest first."""
    run: list[Span] = []
    for span in reversed(spans):
        if run and _calendar_year(span.first, now) != _calendar_year(run[-1].first, now):
            yield run[::-1]
            run = []
        run.append(span)
    if run:
        yield run[::-1]


def _calendar_year(moment: int, now: int) -> int:
    return EARLIEST - 1 if moment == -OPEN else min(_date(moment).year, _date(now).year)


def joined(run: Sequence[Span]) -> Span:
    """Return neighbouring spans as one."""
    totals = [span.total for span in run]
    settled = [span.settled for span in run]
    listed = [span.listed for span in run if span.listed is not None]
    return Span(
        run[0].first,
        run[-1].last,
        total=None if None in totals else sum(total for total in totals if total is not None),
        surplus=sum(span.surplus for span in run),
        listed=max(listed, default=None),
        settled=None if None in settled else min(moment for moment in settled if moment is not None),
    )


def urgent(spans: Sequence[Span], now: int, overlap: int, doubtful: Collection[Span]) -> list[list[Span]]:
    """Return the spans that every run lists, in order of importance; each is in one of the lists.

    Parameters
    ----------
    spans
        All spans, in order of time.
    now
        The time.
    overlap
        How far back new products are expected, in milliseconds.
    doubtful
        Those of which a product was absent when they were last listed.

    Returns
    -------
    list
        Those that were never read to their end, the newest first; those in doubt; those of the last weeks.
    """
    unread = [span for span in spans if span.settled is None]
    read = [span for span in spans if span.settled is not None]
    doubt = [span for span in read if span in doubtful]
    recent = [span for span in read if span not in doubtful and span.last >= now - overlap]
    return [unread[::-1], doubt, recent]


def by_age(spans: Sequence[Span], now: int, pages: int, page: int) -> list[Span]:
    """Return the spans whose listing is oldest, as many as the pages suffice for.

    Parameters
    ----------
    spans
        All spans.
    now
        When the spans of this run are listed; they are left out.
    pages
        Requests that are left.
    page
        Products a page.
    """
    waiting = sorted((span for span in spans if span.listed != now), key=lambda span: span.settled or 0)
    chosen: list[Span] = []
    products = 0
    for span in waiting:
        products += span.total or 0
        if pages_of(products, page) + len(chosen) // LARGEST > pages:
            break
        chosen.append(span)
    return chosen


def merged(spans: Sequence[Span], page: int, most_pages: int = LARGEST) -> list[Span]:
    """Join neighbours among spans, up to some pages each, in the order of the first of each."""
    rank = {span.first: number for number, span in enumerate(spans)}
    groups: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: span.first):
        group = groups[-1] if groups else []
        both = joined([*group, span])
        fits = group and group[-1].last == span.first and both.total is not None
        if fits and pages_of(both.total, page) <= most_pages:
            group.append(span)
        else:
            groups.append([span])
    groups.sort(key=lambda group: min(rank[span.first] for span in group))
    return [joined(group) for group in groups]


def _year(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000


def _date(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)
