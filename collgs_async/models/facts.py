"""Properties of a product, from its name and, where that lacks them, from the catalogue's entry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.models.product_types import kinds
from collgs_async.models.sentinel import CHANNELS, TILE, recognise

if TYPE_CHECKING:
    from datetime import datetime

    from collgs_async.models.product import Product
    from collgs_async.models.sentinel import Name

__all__ = ["LAST_TRACK", "Facts", "facts_of", "platform_of", "sensing_time", "tile_of"]

LAST_TRACK: Final = 385
"""The highest relative orbit, that of Sentinel-3; a greater number in an entry is an absolute orbit."""

_PLATFORM = re.compile(r"(?:S|SENTINEL)[-_ ]?([1-6])[-_ ]?([A-D]|P(?=RECURSOR|$))(?:RECURSOR)?$")
_PREFIX = re.compile("S[1-6][A-DP]_")
_TOKENS = re.compile(f"_T({TILE})(?![A-Z0-9])")
_OPTICAL = re.compile("S(?:ENTINEL-?)?2")
_TILE = re.compile("T?(" + TILE.replace("{2}", "{1,2}", 1) + ")")
_CHANNEL = re.compile("(?:[HV]{2})+")
_CODES: Final = {frozenset(channels): code for code, channels in CHANNELS.items()}


@dataclass(frozen=True, slots=True)
class Facts:
    """Properties of a product; unknown ones are None.

    Attributes
    ----------
    name
        The parsed name; None: it follows no known scheme.
    platform
        Such as ``S2A``.
    product_type
        As written in the name or the entry, such as ``S2MSI2A``.
    kinds
        All spellings of the type, normalised by `kind`; empty: unknown.
    tile
        Such as ``31UGR``.
    relative_orbit
        The track.
    orbit_direction
        ``ASCENDING`` or ``DESCENDING``.
    channels
        Polarisations, such as VV and VH; empty for optical products.
    polarisation
        The code for the channels, such as ``DV``.
    """

    name: Name | None
    platform: str | None
    product_type: str | None
    kinds: frozenset[str]
    tile: str | None
    relative_orbit: int | None
    orbit_direction: str | None
    channels: frozenset[str] | None
    polarisation: str | None


def facts_of(product: Product) -> Facts:
    """Collect the properties of a product."""
    name = recognise(product.identifier)
    types = kinds(name, product.product_type)
    if name and "_COG" in product.identifier.upper():
        types |= {f"{one}_COG" for one in types}
    channels = frozenset(name.channels) if name else _channels(product.polarisation or "")
    return Facts(
        name=name,
        platform=name.platform if name else _prefix(product.identifier) or platform_of(product.platform or ""),
        product_type=name.product_type if name else product.product_type,
        kinds=types,
        tile=(name.tile if name else _tile_in(product.identifier)) or tile_of((product.tile or "").upper()),
        relative_orbit=_relative_orbit(product, name),
        orbit_direction=_direction(product.orbit_direction or ""),
        channels=channels,
        polarisation=name.polarisation if name else _CODES.get(channels or frozenset()),
    )


def platform_of(text: str) -> str | None:
    """Parse a platform such as ``Sentinel-2A`` or ``S5P``; None without the unit's letter."""
    found = _PLATFORM.search(text.strip().upper())
    return f"S{found[1]}{found[2]}" if found else None


def tile_of(text: str) -> str | None:
    """Parse a tile to upper case, with or without the ``T`` and the leading zero of its zone."""
    found = _TILE.fullmatch(text)
    return found[1].zfill(5) if found else None


def _tile_in(identifier: str) -> str | None:
    """Find the tile in a Sentinel-2 name of another form; None where it has none, or more than one."""
    upper = identifier.upper()
    found = set(_TOKENS.findall(upper)) if _OPTICAL.match(upper) else set()
    return found.pop() if len(found) == 1 else None


def _prefix(identifier: str) -> str | None:
    found = _PREFIX.match(identifier.upper())
    return found[0][:3] if found else None


def _channels(text: str) -> frozenset[str] | None:
    """Parse channels in any order and with any separator, or their code; None when there are none."""
    words = re.split("[^A-Z]+", text.upper())
    pairs = {pair for word in words if _CHANNEL.fullmatch(word) for pair in re.findall("..", word)}
    coded = {channel for word in words for channel in CHANNELS.get(word, ())}
    return frozenset(pairs | coded) or None


def _direction(text: str) -> str | None:
    word = text.strip().upper()
    return next((name for name in ("ASCENDING", "DESCENDING") if word and name.startswith(word)), None)


def _relative_orbit(product: Product, name: Name | None) -> int | None:
    """Return the relative orbit, preferably the name's: an entry's number is relative at CollGS only."""
    if name and name.relative_orbit is not None:
        return name.relative_orbit
    numbers = (product.relative_orbit, product.orbit_number)
    return next((number for number in numbers if number is not None and 1 <= number <= LAST_TRACK), None)


def sensing_time(product: Product, name: Name | None) -> datetime | None:
    """Return the sensing time, from the entry or else from the name."""
    return product.sensing_start or (name.start if name else None)
