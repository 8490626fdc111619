"""Split a list that is too long for the catalogue's paging limits by sensing time, where its products are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median_low
from typing import TYPE_CHECKING, Final

from collgs_async.models.product import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from collgs_async.models.product import Product

__all__ = ["Span", "Times"]

_TICK: Final = timedelta(milliseconds=1)
"""Resolution of times in a search."""


@dataclass(frozen=True, slots=True)
class Span:
    """A closed interval of sensing time.

    Adjacent spans share their boundary, so that no product falls between them. Products without a sensing time are in
    every span, as far as catalogues follow the standard.

    Attributes
    ----------
    start, end
        Times in UTC, in whole milliseconds; None: no limit.
    """

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Span:
        """Create the span of a search."""
        return cls(read_time(parameters.get("timeStart")), read_time(parameters.get("timeEnd")))

    def parameters(self) -> dict[str, str]:
        """Return the search parameters."""
        ends = {"timeStart": self.start, "timeEnd": self.end}
        return {name: _written(moment) for name, moment in ends.items() if moment is not None}

    def cut(self, times: Times) -> tuple[Span, Span] | None:
        """Split the span where products are known to be, the older part first; None when that is impossible."""
        candidates = [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in times.candidates()]
        ends = [self.start or times.first, self.end or times.last]
        if ends[0] is not None and ends[1] is not None:
            candidates.append(ends[0] + (ends[1] - ends[0]) // _TICK // 2 * _TICK)
        for moment in candidates:
            after = self.start is None or self.start < moment
            if after and (self.end is None or moment < self.end):
                return Span(self.start, moment), Span(moment, self.end)
        return None


@dataclass(slots=True)
class Times:
    """The sensing times of the entries read so far.

    Attributes
    ----------
    first, last
        The earliest and the latest, of this list or a longer one; None while none is known.
    falling, rising
        Whether the entries came in descending or ascending order of time.
    page
        The times on the last page.
    """

    first: datetime | None = None
    last: datetime | None = None
    falling: bool = True
    rising: bool = True
    page: list[datetime] = field(default_factory=list)
    _before: datetime | None = None

    def add(self, product: Product) -> None:
        """Add a product, in the order of the list."""
        moment = product.sensing_start
        if moment is None:
            return
        if self._before is not None:
            self.falling &= moment <= self._before
            self.rising &= moment >= self._before
        self._before = moment
        self.first = min(self.first or moment, moment)
        self.last = max(self.last or moment, moment)

    def set_page(self, products: Iterable[Product]) -> None:
        """Record the times of the last page."""
        self.page = sorted(moment for product in products if (moment := product.sensing_start))

    def candidates(self) -> list[datetime]:
        """Return times to split at, best first: the boundary of the last page read."""
        if not self.page:
            return []
        oldest, newest = self.page[0], self.page[-1]
        if self.falling:
            return [newest, oldest]
        return [oldest, newest] if self.rising else [median_low(self.page), oldest, newest]


def _written(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
