"""Keep one product per tile, day or month: the one with the least cloud, or with the largest coverage."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from collgs_async.errors import CatalogueError, ConfigError
from collgs_async.models.criteria import MERITS
from collgs_async.models.facts import sensing_time
from collgs_async.models.sentinel import recognise
from collgs_async.models.text import plural
from collgs_async.selection.filters import Excluded, closing_iter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from collgs_async.models.criteria import BestOf
    from collgs_async.models.product import Product
    from collgs_async.selection.filters import OnExcluded, Products

    Coverage: TypeAlias = Callable[[Product], float | None]
    _Merit: TypeAlias = tuple[float, float, tuple[int, ...], datetime, str]

__all__ = ["best"]

log = logging.getLogger("collgs_async")

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


async def best(
    products: Products, best_of: BestOf, on_excluded: OnExcluded, *, coverage: Coverage | None = None
) -> AsyncGenerator[Product, None]:
    """Yield the best product of each group, once all have been seen.

    Ties are broken by the later baseline, then the later sensing time. Products that belong to no group, such as those
    of Sentinel-1 without a tile, are all kept.

    Parameters
    ----------
    products
        The search, or another stage; closed on every exit.
    best_of
        The grouping and the criterion.
    on_excluded
        Called with each dropped product.
    coverage
        Returns how much of the area of interest a product covers, in any unit; None when it is unknown.

    Raises
    ------
    ConfigError
        Coverage is requested without an area of interest.
    CatalogueError
        The error that ended the search early; the best products found before it have been yielded.
    """
    if best_of.by == "coverage" and coverage is None:
        raise ConfigError("choose.by: expected an area of interest to choose by coverage, found none")
    leading: dict[tuple[object, ...], _Candidate] = {}
    ungrouped = 0
    broken: CatalogueError | None = None
    try:
        async with closing_iter(products) as found:
            async for product in found:
                if (group := best_of.group(product)) is None:
                    ungrouped += 1
                    yield product
                    continue
                challenger = _Candidate.of(product, best_of, coverage)
                leader = leading.setdefault(group, challenger)
                if leader is challenger:
                    continue
                winner, loser = (challenger, leader) if challenger.merit > leader.merit else (leader, challenger)
                leading[group] = winner
                on_excluded(Excluded(loser.product, _reason(loser, winner, best_of), "not the best"))
    except CatalogueError as error:
        broken = error
    if ungrouped:
        words = "%s belongs to no %s and is kept" if ungrouped == 1 else "%s belong to no %s and are all kept"
        log.warning(words, plural(ungrouped, "product"), " and ".join(best_of.per))
    for leader in leading.values():
        yield leader.product
    if broken is not None:
        raise broken


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A product and its rank: cloud and coverage in the requested order, then the tie-breakers."""

    product: Product
    merit: _Merit

    @classmethod
    def of(cls, product: Product, best_of: BestOf, coverage: Coverage | None) -> _Candidate:
        name = recognise(product.identifier)
        clear = _or_lowest(None if product.cloud_cover is None else -product.cloud_cover)
        covered = _or_lowest(coverage(product) if coverage else None)
        first, second = (clear, covered) if best_of.by == "cloud" else (covered, clear)
        edition = (name.edition if name else None) or ()
        return cls(product, (first, second, edition, sensing_time(product, name) or _LONG_AGO, product.identifier))


def _or_lowest(merit: float | None) -> float:
    """Rank an unknown value below all known ones."""
    return -math.inf if merit is None or math.isnan(merit) else merit


def _reason(loser: _Candidate, winner: _Candidate, best_of: BestOf) -> str:
    better = {"cloud": "has less cloud", "coverage": "covers more"}
    merit = best_of.by
    if loser.merit[0] == winner.merit[0]:
        merit = next(other for other in MERITS if other != best_of.by)
    if loser.merit[:2] == winner.merit[:2]:
        return f"{winner.product.identifier} is as good and newer"
    return f"{winner.product.identifier} {better[merit]}"
