"""Convert a product to the data of the map page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.facts import facts_of
from collgs_async.reporting.map.frames import frame
from collgs_async.reporting.map.outlines import outlines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collgs_async.models.product import Product

__all__ = ["feature", "orbit"]

_MAX_NUMBER: Final = 1e18
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


def feature(product: Product, overlap: Mapping[str, float], *, pictured: bool = False) -> dict[str, Any]:
    """Return what the page shows of a product; unknown values are left out.

    `pictured` is whether the page has a picture of it, whose frame is among the values then.
    """
    known = facts_of(product)
    shape = outlines(product.footprint)
    facts = {
        "id": product.identifier,
        "start": _seconds(product.sensing_start),
        "cloud": _finite(product.cloud_cover),
        "orbit": orbit(product),
        "overlap": _finite(overlap.get(product.identifier)),
        "size": _finite(product.size),
        "platform": product.platform,
        "unit": known.platform or product.platform,
        "tile": known.tile or product.tile,
        "problem": product.problem,
        "shape": shape or None,
        "frame": frame(product, shape) if pictured else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _seconds(moment: datetime | None) -> float | None:
    """Return seconds since 1970; None when the time is unknown or out of range."""
    seconds = moment.timestamp() if moment else -1
    return seconds if 0 <= seconds < _LATEST else None


def _finite(number: float | None) -> float | None:
    """Return a number that JavaScript can represent, else None, as for NaN or an integer of a thousand digits."""
    return number if number is not None and abs(number) < _MAX_NUMBER else None


def orbit(product: Product) -> str | None:
    """Format direction and relative orbit, such as ``DESC 108``; None when neither is known.

    Where only an absolute orbit is known, its number stands for the relative one.
    """
    known = facts_of(product)
    direction = (known.orbit_direction or product.orbit_direction or "").upper().removesuffix("ENDING")
    track = product.orbit_number if known.relative_orbit is None else known.relative_orbit
    number = "" if track is None else str(track)
    return f"{direction} {number}".strip() or None
