"""Parse GeoJSON (RFC 7946, and common practice of the 2008 draft), one document or a sequence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.aoi.places import MAX_POINTS, ParsedGeometry, check_count, refusal
from collgs_async.selection.aoi.systems import read_system

if TYPE_CHECKING:
    from collgs_async.selection.aoi.places import ParseNotes
    from collgs_async.selection.aoi.reprojection import Reprojection

__all__ = ["geometries_in", "parse"]

_KINDS = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")
_BETWEEN = re.compile(r"[\s\x1e,]*")
"""Separators between documents: line ends (.geojsonl), that of RFC 8142, and commas, which are invalid but common."""

_MAX_VALUES: Final = 3 * MAX_POINTS
"""Limit on commas, colons and opening brackets, each of which may cost some tens of bytes of memory."""

_EXPECTED_SYSTEM = "longitude and latitude in WGS 84 (CRS84 or EPSG:4326)"
_KEYS_OF_OTHERS = {"rings": "Esri JSON", "paths": "Esri JSON", "spatialReference": "Esri JSON", "stac_version": "STAC"}


def parse(text: str, place: str, notes: ParseNotes) -> Iterator[ParsedGeometry]:
    """Yield the geometries of one or more documents."""
    if sum(map(text.count, ",:[{")) > _MAX_VALUES:
        check_count(MAX_POINTS + 1, place)
    documents = list(_documents(text, place))
    if len(documents) > 1:
        documents = [document for document in documents if document is not None]
    for number, document in enumerate(documents, 1):
        yield from geometries_in(document, place if len(documents) == 1 else f"{place}, document {number}", notes)


def _documents(text: str, place: str) -> Iterator[object]:
    decoder = json.JSONDecoder()
    at = _BETWEEN.match(text).end()  # type: ignore[union-attr]  # it matches nothing, too
    while at < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = f"{place}, line {error.lineno}, column {error.colno}"
            raise refusal(where, "JSON", f"what is none: {error.msg}") from None
        except ValueError:  # an integer of thousands of digits
            raise refusal(place, "numbers that are coordinates", "an integer of thousands of digits") from None
        yield document
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]


def geometries_in(
    member: object, place: str, notes: ParseNotes, system: Reprojection | None = None
) -> Iterator[ParsedGeometry]:
    """Yield the geometries of collections and features in longitude and latitude, ignoring other members.

    `system` is that of what the member is part of.
    """
    if not isinstance(member, Mapping):
        raise refusal(place, "a GeoJSON object", quote_value(member))
    system = _read_crs(member, place, notes, system)
    match member.get("type"):
        case "FeatureCollection":
            yield from _each(member, "features", place, "feature", notes, system)
        case "Feature":
            if member.get("geometry") is not None:
                yield from geometries_in(member["geometry"], place, notes, system)
            elif member.get("bbox") is not None:
                notes.add(place, "has a bbox but no geometry, and is left out")
        case "GeometryCollection":
            yield from _each(member, "geometries", place, "geometry", notes, system)
        case str(kind) if kind in _KINDS:
            found = ParsedGeometry(place, member)
            yield found if system is None else system(found)
        case other:
            kinds = ", ".join(("FeatureCollection", "Feature", "GeometryCollection", *_KINDS))
            raise refusal(f"{place}, type", f"one of {kinds}", _other_format(member) or quote_value(other))


def _other_format(member: Mapping[str, Any]) -> str | None:
    if member.get("type") == "Topology":
        return "TopoJSON; ogr2ogr can make GeoJSON of it"
    format_name = next((name for key, name in _KEYS_OF_OTHERS.items() if key in member), None)
    return format_name and f"{format_name}; ogr2ogr can make GeoJSON of it"


def _each(
    collection: Mapping[str, Any], key: str, place: str, name: str, notes: ParseNotes, system: Reprojection | None
) -> Iterator[ParsedGeometry]:
    """Iterate over members; null, which some programs write for deleted features, is skipped."""
    members = collection.get(key)
    if not isinstance(members, list | tuple):
        raise refusal(f"{place}, {key}", "a list", quote_value(members))
    for number, member in enumerate(members, 1):
        if member is not None:
            yield from geometries_in(member, f"{place}, {name} {number}", notes, system)


def _read_crs(
    member: Mapping[str, Any], place: str, notes: ParseNotes, system: Reprojection | None
) -> Reprojection | None:
    """Read the ``crs`` member, which RFC 7946 dropped, but which old files and geopandas have."""
    crs = member.get("crs")
    if crs is None:
        return system
    name = crs.get("properties") if isinstance(crs, Mapping) else crs
    if isinstance(name, Mapping):
        name = next((name[key] for key in ("name", "href", "url", "urn", "code") if key in name), None)
    if (isinstance(name, int) and not isinstance(name, bool)) or (isinstance(name, str) and name.strip().isdecimal()):
        name = f"EPSG:{name}"  # {"type": "EPSG", "properties": {"code": 4326}}
    if not isinstance(name, str) or not name.strip():
        raise refusal(f"{place}, crs", _EXPECTED_SYSTEM, quote_value(crs))
    return read_system(name, f"{place}, crs", notes, expected=_EXPECTED_SYSTEM)
