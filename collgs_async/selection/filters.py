"""Filter products by criteria, and helpers shared by all stages of the selection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from collgs_async.models.facts import facts_of, sensing_time
from collgs_async.models.product_types import kind
from collgs_async.models.shard import OTHER_SHARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

    from collgs_async.models.criteria import Criteria
    from collgs_async.models.facts import Facts
    from collgs_async.models.product import Product
    from collgs_async.models.sentinel import Name
    from collgs_async.models.shard import Shard

    Products: TypeAlias = AsyncIterable[Product]
    OnExcluded: TypeAlias = Callable[["Excluded"], None]

__all__ = ["Excluded", "OnExcluded", "Products", "closing_iter", "filter_products", "rejection", "shard_rejection"]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A product that was found and excluded by the selection.

    Attributes
    ----------
    reason
        A full description of the reason.
    kind
        The short reason under which it is counted, such as ``older baseline``.
    """

    product: Product
    reason: str
    kind: str = ""


@asynccontextmanager
async def closing_iter(products: Products) -> AsyncIterator[AsyncIterator[Product]]:
    """Iterate over products, and close their source on every exit, so that a search stops requesting pages."""
    iterator = aiter(products)
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def rejection(product: Product, criteria: Criteria) -> Excluded | None:
    """Return why a product does not match; None when it does.

    A criterion on a property that is unknown counts as not met.
    """
    known = facts_of(product)
    reasons = {
        "tile": _reason("tile", criteria.tiles, known.tile),
        "relative orbit": _reason("relative orbit", criteria.relative_orbits, known.relative_orbit),
        "platform": _reason("platform", criteria.platforms, known.platform),
        "orbit direction": _reason("orbit direction", criteria.orbit_directions, known.orbit_direction),
        "polarisation": _reason("polarisation", criteria.polarisations, known.polarisation)
        or _lacks_channels(known, criteria),
        "product type": _is_of_another_type(known, criteria),
        "month": _is_out_of_season(product, known.name, criteria),
    }
    return next((Excluded(product, why, _kind(what, why)) for what, why in reasons.items() if why), None)


def shard_rejection(product: Product, shard: Shard | None) -> Excluded | None:
    """Return why a product is left to another shard; None when it is not, or there are no shards."""
    if shard is None or product.identifier in shard:
        return None
    return Excluded(product, f"it is of shard {shard.of(product.identifier)}, not {shard}", OTHER_SHARD)


def _lacks_channels(known: Facts, criteria: Criteria) -> str | None:
    if criteria.channels and known.channels is None:
        return _unknown("polarisation")
    missing = criteria.channels.difference(known.channels or ())
    return f"it has no polarisation {_listed(missing)}" if missing else None


def _is_of_another_type(known: Facts, criteria: Criteria) -> str | None:
    if known.kinds.intersection(map(kind, criteria.product_types)):
        return None
    return _reason("product type", criteria.product_types, known.product_type)


def _is_out_of_season(product: Product, name: Name | None, criteria: Criteria) -> str | None:
    moment = sensing_time(product, name) if criteria.months else None
    return _reason("month", criteria.months, moment.month if moment else None)


async def filter_products(
    products: Products, criteria: Criteria, on_excluded: OnExcluded
) -> AsyncGenerator[Product, None]:
    """Yield the products that match.

    Parameters
    ----------
    products
        The search, or another stage; closed on every exit.
    criteria
        Required properties of a product.
    on_excluded
        Called with each dropped product.
    """
    async with closing_iter(products) as found:
        async for product in found:
            if dropped := rejection(product, criteria):
                on_excluded(dropped)
            else:
                yield product


def _reason(what: str, wanted: frozenset[str] | frozenset[int], found: str | int | None) -> str | None:
    if not wanted or found in wanted:
        return None
    return _unknown(what) if found is None else f"its {what} is {found}, not {_listed(wanted)}"


def _unknown(what: str) -> str:
    return f"its {what} is not known"


def _kind(what: str, why: str) -> str:
    """Return the kind of exclusion; unknown values are counted apart, since they may be the catalogue's fault."""
    return f"{what} not known" if why == _unknown(what) else f"another {what}"


def _listed(values: Iterable[str | int]) -> str:
    return " or ".join(str(value) for value in sorted(values, key=lambda value: (str(type(value)), value)))
