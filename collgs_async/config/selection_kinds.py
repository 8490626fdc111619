"""Kinds of values of a selection of products and of their parts: criteria, areas, identifiers, intervals, bands.

Boxes, times, cloud cover and other search parameters, and what is said of wrong ones, are in `models.parameter_values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from collgs_async.config.kinds import NUMBER, Kind, as_it_is, existing_file
from collgs_async.errors import ConfigError
from collgs_async.models.band_words import BAND_WORDS
from collgs_async.models.wish import EXPECTED, RESOLUTIONS, read_bands, read_members, read_resolution

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.models.shard import Shard

__all__ = [
    "AREA",
    "BANDS",
    "BEST_PER",
    "IDENTIFIERS",
    "INTERVAL",
    "MEMBERS",
    "RESOLUTION",
    "SEARCH_VALUE",
    "SHARD",
    "criterion",
]


def _words(value: object) -> str | tuple[str, ...]:
    """Accept text, a number, and a list of these."""
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
        raise ValueError
    texts = tuple(str(item) for item in items)
    return texts if isinstance(value, list | tuple) else texts[0]


def criterion(name: str, expected: str, *choices: str) -> Kind:
    """Accept what `Criteria` accepts by this name: text with commas, or a list; an empty one means no criterion."""

    def read(value: object) -> str | tuple[str, ...]:
        from collgs_async.models.criteria import Criteria

        words = _words(value)
        try:
            Criteria.parse({name: words} if words else {})
        except ConfigError:
            raise ValueError from None
        return words

    return Kind(expected, read, choices=choices)


def _best_per(value: object) -> str | tuple[str, ...]:
    from collgs_async.models.criteria import BestOf

    words = _words(value)
    try:
        if words:
            BestOf.parse(words if isinstance(words, str) else ",".join(words))
    except ConfigError as error:
        raise ValueError(error.problems[0].partition(": ")[2]) from None
    return words


_AREA = "a file, WKT or a GeoJSON object"
_IDENTIFIERS = "a file with identifiers, - for standard input, or a list of identifiers"


def _area(value: object) -> str | Path | dict[str, Any]:
    """Accept a file name, WKT, GeoJSON, and objects that give it; it is parsed when needed."""
    if isinstance(value, Mapping):
        return dict(value)
    if (geometry := _from_geo_interface(value)) is not None:
        return geometry
    if isinstance(value, str) and (value.lstrip().startswith("{") or _is_wkt(value)):
        return value
    return existing_file(value, expected=_AREA)


def _from_geo_interface(value: Any) -> dict[str, Any] | None:
    """Return the geometries of an object of shapely, geopandas or the like, or of a row that has such a geometry.

    Of features only the geometry is kept; a coordinate system (``crs``) is named as old GeoJSON does.
    """
    holder = value if hasattr(value, "__geo_interface__") else getattr(value, "geometry", None)
    found = getattr(holder, "__geo_interface__", None)
    if not isinstance(found, Mapping):
        return None
    try:
        if found.get("type") == "FeatureCollection":
            features = [{"type": "Feature", "geometry": one["geometry"]} for one in found["features"]]
            geometry: dict[str, Any] = {"type": "FeatureCollection", "features": features}
        else:
            geometry = dict(found["geometry"] if found.get("type") == "Feature" else found)
        if (system := getattr(holder, "crs", None)) is not None:
            code = system.to_epsg(min_confidence=100)
            name = f"EPSG:{code}" if code else system.to_wkt()
            geometry["crs"] = {"type": "name", "properties": {"name": name}}
    except (AttributeError, LookupError, TypeError):
        raise ValueError from None
    return geometry


def _is_wkt(text: str) -> bool:
    """Whether this may be WKT, which always has a parenthesis; a file name may, too, which shows when it is read."""
    return "(" in text and "$" not in text and not text.startswith("~")


def _identifiers(value: object) -> str | Path | tuple[str, ...]:
    """Accept identifiers, or the name of a file with identifiers, which is read when needed."""
    if value == "-":
        return "-"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return existing_file(value, expected=_IDENTIFIERS)


def _shard(value: object) -> Shard:
    from collgs_async.models.shard import Shard

    if isinstance(value, Shard):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError
    return Shard.parse(value)


def _interval(words: str) -> object:
    """Parse MAX or MIN,MAX to a closed interval; without brackets the catalogue would read "exactly" or "either"."""
    bare = words.replace("%", "").strip()
    if NUMBER.fullmatch(bare):
        return f"[0,{bare}]"
    return f"[{bare}]" if "," in bare and not set("[]") & set(words) else words


SEARCH_VALUE = Kind("", as_it_is)
"""Any search parameter: `Query` validates all of them together, with messages of its own."""

INTERVAL = Kind("", as_it_is, _interval)
BEST_PER = Kind("tile, day, month or several of these", _best_per)
AREA = Kind(_AREA, _area)
IDENTIFIERS = Kind(_IDENTIFIERS, _identifiers)
SHARD = Kind("a part such as 2/8", _shard)

_ALL_BANDS = tuple(dict.fromkeys(word for table in BAND_WORDS.values() for word in table.words))
BANDS = Kind(EXPECTED["bands"], read_bands, items=_ALL_BANDS)
RESOLUTION = Kind(EXPECTED["resolution"], read_resolution, items=(*map(str, RESOLUTIONS), "all"))
MEMBERS = Kind(EXPECTED["members"], read_members)
