"""Selection criteria checked locally, since GeoServer can filter only by the columns of its database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import ConfigError
from collgs_async.models.facts import LAST_TRACK, facts_of, sensing_time, tile_of
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.models.product import Product

__all__ = ["CRITERIA_KEYS", "MERITS", "BestOf", "Criteria"]

_PLATFORM = re.compile(r"(?:S|SENTINEL[- ]?)(?:([1-3])([A-D]?)|(5)(P?)|(6)([AB]?))")
_LETTERS: Final = {"1": "ABCD", "2": "ABCD", "3": "ABCD", "5": "P", "6": "AB"}
_PRODUCT_TYPE = re.compile("[A-Z0-9][A-Z0-9_.-]*")
_TRACK = re.compile("R?([0-9]{1,3})")
_MONTHS = re.compile("([0-9]{1,2})(?:-([0-9]{1,2}))?")

_GROUPS: Final = ("tile", "day", "month")
MERITS: Final = ("cloud", "coverage")

_CODES: Final = frozenset({"SH", "SV", "DH", "DV"})
_CHANNELS_TOGETHER: Final = (frozenset({"VV", "VH"}), frozenset({"HH", "HV"}))


@dataclass(frozen=True, slots=True)
class Criteria:
    """Required properties of a product; an empty set accepts everything.

    Attributes
    ----------
    tiles
        Such as ``31UGR``.
    relative_orbits
        Tracks.
    platforms
        Such as ``S2A``.
    orbit_directions
        ``ASCENDING``, ``DESCENDING``.
    channels
        Polarisations, all of them required, such as ``VV`` and ``VH``.
    polarisations
        Polarisation codes, one of them required, such as ``DV``.
    product_types
        Such as ``S2MSI2A``, ``MSIL2A``, ``GRD``, ``GRDH``, ``OL_1_EFR``.
    months
        Of sensing, 1 to 12.
    """

    tiles: frozenset[str] = frozenset()
    relative_orbits: frozenset[int] = frozenset()
    platforms: frozenset[str] = frozenset()
    orbit_directions: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    polarisations: frozenset[str] = frozenset()
    product_types: frozenset[str] = frozenset()
    months: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, given: Mapping[str, object], *, section: str = "choose") -> Criteria:
        """Parse user input: text with commas, or lists.

        Parameters
        ----------
        given
            Values by the names in `CRITERIA_KEYS`; None and empty text mean "not given".
        section
            The configuration section, for messages.

        Raises
        ------
        ConfigError
            With one line per invalid value: ``choose.tile: expected ..., found ...``.
        """
        problems: list[str] = []
        wanted: dict[str, frozenset[str] | frozenset[int]] = {}
        for key, value in given.items():
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            if key not in _READERS:
                problems.append(f"{section}: expected {', '.join(_READERS)}, found {quote_value(key)}")
                continue
            try:
                wanted |= _READERS[key](_items(value))
            except ValueError as error:
                problems.append(f"{section}.{key}: expected {error}, found {quote_value(value)}")
        if problems:
            raise ConfigError(problems)
        return cls(**wanted)  # type: ignore[arg-type]  # each reader names its own field


@dataclass(frozen=True, slots=True)
class BestOf:
    """How products are grouped, and which of a group is the best.

    Attributes
    ----------
    per
        ``tile``, ``day``, ``month`` or several of these: ``("tile", "month")`` keeps one product per tile and month.
    by
        ``cloud``: the least; ``coverage``: the most of the area of interest. The other one breaks ties.
    """

    per: tuple[str, ...]
    by: str = "cloud"

    @classmethod
    def parse(cls, per: str, by: str = "cloud", *, section: str = "choose") -> BestOf:
        """Parse user input such as ``tile,month`` and ``cloud``.

        Raises
        ------
        ConfigError
            With one line per invalid value.
        """
        groups = tuple(dict.fromkeys(group.strip().lower() for group in per.split(",")))
        merit = by.strip().lower()
        problems = []
        if not set(groups) <= set(_GROUPS):
            problems.append(
                f"{section}.best_per: expected tile, day, month or several of these, found {quote_value(per)}"
            )
        elif {"day", "month"} <= set(groups):
            problems.append(f"{section}.best_per: expected day or month, not both, found {quote_value(per)}")
        if merit not in MERITS:
            problems.append(f"{section}.by: expected cloud or coverage, found {quote_value(by)}")
        if problems:
            raise ConfigError(problems)
        return cls(groups, merit)

    def group(self, product: Product) -> tuple[object, ...] | None:
        """Return the group of a product; None when it is unknown."""
        known = facts_of(product)
        moment = sensing_time(product, known.name)
        facts = {
            "tile": known.tile,
            "day": moment.date() if moment else None,
            "month": (moment.year, moment.month) if moment else None,
        }
        group = tuple(facts[key] for key in self.per)
        return None if None in group else group


def _items(value: object) -> list[str]:
    """Split text at its commas, and normalise the items to upper case."""
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        values = [values]
    return [_normalise(item) for item in values] or [""]


def _normalise(item: object) -> str:
    """Return the normalised form of an item; an empty string when no criterion accepts it."""
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= LAST_TRACK:
        return str(item)
    return item.strip().upper() if isinstance(item, str) else ""


_Read = dict[str, frozenset[str] | frozenset[int]]


def _tiles(items: list[str]) -> _Read:
    found = [tile_of(item) for item in items]
    tiles = frozenset(tile for tile in found if tile)
    if None in found or not all(1 <= int(tile[:2]) <= 60 for tile in tiles):
        raise ValueError("tiles such as 31UGR,32ULV")
    return {"tiles": tiles}


def _relative_orbits(items: list[str]) -> _Read:
    found = [_TRACK.fullmatch(item) for item in items]
    tracks = frozenset(int(track[1]) for track in found if track)
    if None in found or not all(1 <= track <= LAST_TRACK for track in tracks):
        raise ValueError(f"relative orbits from 1 to {LAST_TRACK}, such as 8,108")
    return {"relative_orbits": tracks}


def _platforms(items: list[str]) -> _Read:
    found = [_PLATFORM.fullmatch(item) for item in items]
    if None in found:
        raise ValueError("platforms such as S2A,S2B or Sentinel-2A, or a mission such as S2")
    known = [platform for platform in found if platform]
    pairs = [tuple(part for part in one.groups() if part is not None) for one in known]
    return {
        "platforms": frozenset(f"S{mission}{one}" for mission, letter in pairs for one in letter or _LETTERS[mission])
    }


def _orbit_directions(items: list[str]) -> _Read:
    words = {"ASC": "ASCENDING", "ASCENDING": "ASCENDING", "DESC": "DESCENDING", "DESCENDING": "DESCENDING"}
    if not set(items) <= words.keys():
        raise ValueError("ASCENDING or DESCENDING")
    return {"orbit_directions": frozenset(words[item] for item in items)}


def _polarisations(items: list[str]) -> _Read:
    asked = frozenset(items)
    if asked <= _CODES:
        return {"polarisations": asked}
    if not any(asked <= together for together in _CHANNELS_TOGETHER):
        raise ValueError("channels that one product has, such as VV or VV,VH or HH,HV, or codes such as DV,SV")
    return {"channels": asked}


def _product_types(items: list[str]) -> _Read:
    if not all(_PRODUCT_TYPE.fullmatch(item) for item in items):
        raise ValueError("product types such as MSIL2A, GRD or OL_1_EFR")
    return {"product_types": frozenset(item.rstrip("_") for item in items)}


def _months(items: list[str]) -> _Read:
    months: set[int] = set()
    for item in items:
        found = _MONTHS.fullmatch(item)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not (1 <= first <= 12 and 1 <= last <= 12):
            raise ValueError("months from 1 to 12, such as 5-9, 11-2 or 1,5-9")
        months |= {(first - 1 + step) % 12 + 1 for step in range((last - first) % 12 + 1)}
    return {"months": frozenset(months)}


_READERS: Final[dict[str, Callable[[list[str]], _Read]]] = {
    "tile": _tiles,
    "relative_orbit": _relative_orbits,
    "platform": _platforms,
    "orbit_direction": _orbit_directions,
    "polarisation": _polarisations,
    "product_type": _product_types,
    "months": _months,
}

CRITERIA_KEYS: Final = tuple(_READERS)
"""The names of all criteria."""
