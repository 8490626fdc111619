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
from collgs_async.selection.filters import Excluded, closing_iter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from collgs_async.models.criteria import BestOf
    from collgs_async.models.product import Product
    from collgs_async.selection.filters import Products, Tell

    Coverage: TypeAlias = Callable[[Product], float | None]
    _Merit: TypeAlias = tuple[float, float, tuple[int, ...], datetime, str]

__all__ = ["best"]

log = logging.getLogger("collgs_async")

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


async def best(
    products: Products, wish: BestOf, tell: Tell, *, coverage: Coverage | None = None
) -> AsyncGenerator[Product, None]:
    """Yield the best product of each group, once all have been seen.

    Ties are broken by the later baseline, then the later sensing time. Products that belong to no group, such as those
    of Sentinel-1 without a tile, are all kept.

    Parameters
    ----------
    products
        The search, or another stage; closed on every exit.
    wish
        The grouping and the criterion.
    tell
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
    if wish.by == "coverage" and coverage is None:
        raise ConfigError("choose.by: expected an area of interest to choose by coverage, found none")
    leaders: dict[tuple[object, ...], _Leader] = {}
    ungrouped = 0
    broken: CatalogueError | None = None
    try:
        async with closing_iter(products) as found:
            async for product in found:
                if (group := wish.group(product)) is None:
                    ungrouped += 1
                    yield product
                    continue
                challenger = _Leader.of(product, wish, coverage)
                leader = leaders.setdefault(group, challenger)
                if leader is challenger:
                    continue
                winner, loser = (challenger, leader) if challenger.merit > leader.merit else (leader, challenger)
                leaders[group] = winner
                tell(Excluded(loser.product, _why(loser, winner, wish), "not the best"))
    except CatalogueError as error:
        broken = error
    if ungrouped:
        log.warning("%d products belong to no %s and are all kept", ungrouped, " and ".join(wish.per))
    for leader in leaders.values():
        yield leader.product
    if broken is not None:
        raise broken


@dataclass(frozen=True, slots=True)
class _Leader:
    """A product and its rank: cloud and coverage in the requested order, then the tie-breakers."""

    product: Product
    merit: _Merit

    @classmethod
    def of(cls, product: Product, wish: BestOf, coverage: Coverage | None) -> _Leader:
        name = recognise(product.identifier)
        clear = _known(None if product.cloud_cover is None else -product.cloud_cover)
        covered = _known(coverage(product) if coverage else None)
        first, second = (clear, covered) if wish.by == "cloud" else (covered, clear)
        edition = (name.edition if name else None) or ()
        return cls(product, (first, second, edition, sensing_time(product, name) or _LONG_AGO, product.identifier))


def _known(merit: float | None) -> float:
    """Rank an unknown value below all known ones."""
    return -math.inf if merit is None or math.isnan(merit) else merit


def _why(loser: _Leader, winner: _Leader, wish: BestOf) -> str:
    better = {"cloud": "has less cloud", "coverage": "covers more"}
    merit = wish.by
    if loser.merit[0] == winner.merit[0]:
        merit = next(other for other in MERITS if other != wish.by)
    if loser.merit[:2] == winner.merit[:2]:
        return f"{winner.product.identifier} is as good and newer"
    return f"{winner.product.identifier} {better[merit]}"
