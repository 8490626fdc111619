"""Drop the products that are not wanted, and what the stages of choosing have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from collgs_async.choosing.facts import facts_of, sensed
from collgs_async.choosing.kinds import kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

    from collgs_async.choosing.facts import Facts
    from collgs_async.choosing.wishes import Wishes
    from collgs_async.models import Product
    from collgs_async.names import Name

    Products: TypeAlias = AsyncIterable[Product]
    Tell: TypeAlias = Callable[["Dropped"], None]

__all__ = ["Dropped", "Products", "Tell", "opened", "sift", "why_not"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A product that was found and is not wanted.

    Attributes
    ----------
    product
        The product.
    reason
        Why not, in words.
    kind
        Why not, in the few words under which it is counted, such as ``older baseline``.
    """

    product: Product
    reason: str
    kind: str = ""


@asynccontextmanager
async def opened(products: Products) -> AsyncIterator[AsyncIterator[Product]]:
    """Go through products, and close what they come from on every way out: a search stops asking for pages then."""
    iterator = aiter(products)
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def why_not(product: Product, wishes: Wishes) -> Dropped | None:
    """Say why a product is not wanted; None when it is.

    What is asked for and not known of a product counts as not there.
    """
    known = facts_of(product)
    reasons = {
        "tile": _reason("tile", wishes.tiles, known.tile),
        "relative orbit": _reason("relative orbit", wishes.relative_orbits, known.relative_orbit),
        "platform": _reason("platform", wishes.platforms, known.platform),
        "orbit direction": _reason("orbit direction", wishes.orbit_directions, known.orbit_direction),
        "polarisation": _reason("polarisation", wishes.polarisations, known.polarisation)
        or _lacks_channels(known, wishes),
        "product type": _is_of_another_type(known, wishes),
        "month": _is_out_of_season(product, known.name, wishes),
    }
    return next((Dropped(product, why, _kind(what, why)) for what, why in reasons.items() if why), None)


def _lacks_channels(known: Facts, wishes: Wishes) -> str | None:
    if wishes.channels and known.channels is None:
        return _unknown("polarisation")
    missing = wishes.channels.difference(known.channels or ())
    return f"it has no polarisation {_listed(missing)}" if missing else None


def _is_of_another_type(known: Facts, wishes: Wishes) -> str | None:
    if known.kinds.intersection(map(kind, wishes.product_types)):
        return None
    return _reason("product type", wishes.product_types, known.product_type)


def _is_out_of_season(product: Product, name: Name | None, wishes: Wishes) -> str | None:
    moment = sensed(product, name) if wishes.months else None
    return _reason("month", wishes.months, moment.month if moment else None)


async def sift(products: Products, wishes: Wishes, tell: Tell) -> AsyncGenerator[Product, None]:
    """Hand on the products that are wanted.

    Parameters
    ----------
    products
        The search, or another stage; closed on every way out.
    wishes
        What a product must be.
    tell
        Called with each product that is dropped.
    """
    async with opened(products) as found:
        async for product in found:
            if dropped := why_not(product, wishes):
                tell(dropped)
            else:
                yield product


def _reason(what: str, wanted: frozenset[str] | frozenset[int], found: str | int | None) -> str | None:
    if not wanted or found in wanted:
        return None
    return _unknown(what) if found is None else f"its {what} is {found}, not {_listed(wanted)}"


def _unknown(what: str) -> str:
    return f"its {what} is not known"


def _kind(what: str, why: str) -> str:
    """Count what is not known apart from what is known to be another: only the one may be the catalogue's fault."""
    return f"{what} not known" if why == _unknown(what) else f"another {what}"


def _listed(values: Iterable[str | int]) -> str:
    return " or ".join(str(value) for value in sorted(values, key=lambda value: (str(type(value)), value)))
