"""GeoJSON (RFC 7946, and the habits of the 2008 draft) as a list of plain geometries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from collgs_async.area.places import Found, refusal
from collgs_async.query import shown

__all__ = ["geometries_in", "parse"]

_WGS84 = re.compile(r".*\b(?:OGC|EPSG)\b.*(?:CRS84H?|[:/]4326)", re.I | re.S)
_KINDS = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")


def parse(text: str, place: str) -> Iterator[Found]:
    """Read GeoJSON text, whatever it holds."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{place}, line {error.lineno}, column {error.colno}"
        raise refusal(where, "JSON", f"what is none: {error.msg}") from None
    except ValueError:  # an integer of thousands of digits
        raise refusal(place, "numbers that are coordinates", "an integer of thousands of digits") from None
    return geometries_in(document, place)


def geometries_in(member: object, place: str) -> Iterator[Found]:
    """Walk through collections and features; what they hold beside geometries is passed over."""
    if not isinstance(member, Mapping):
        raise refusal(place, "a GeoJSON object", shown(member))
    _check_crs(member, place)
    match member.get("type"):
        case "FeatureCollection":
            yield from _each(member, "features", place, "feature")
        case "Feature":
            if member.get("geometry") is not None:
                yield from geometries_in(member["geometry"], place)
        case "GeometryCollection":
            yield from _each(member, "geometries", place, "geometry")
        case str(kind) if kind in _KINDS:
            yield Found(place, member)
        case other:
            kinds = ", ".join(("FeatureCollection", "Feature", "GeometryCollection", *_KINDS))
            raise refusal(f"{place}, type", f"one of {kinds}", shown(other))


def _each(collection: Mapping[str, Any], key: str, place: str, name: str) -> Iterator[Found]:
    members = collection.get(key)
    if not isinstance(members, list | tuple):
        raise refusal(f"{place}, {key}", "a list", shown(members))
    for number, member in enumerate(members, 1):
        yield from geometries_in(member, f"{place}, {name} {number}")


def _check_crs(member: Mapping[str, Any], place: str) -> None:
    """Refuse another system than longitude and latitude: RFC 7946 dropped the member, old files still have it."""
    crs = member.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str) or not _WGS84.fullmatch(name):
        found = shown(name if isinstance(name, str) else crs)
        raise refusal(f"{place}, crs", "longitude and latitude in WGS 84 (CRS84 or EPSG:4326)", found)
