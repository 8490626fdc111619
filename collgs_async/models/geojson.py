"""Products and footprints as GeoJSON (RFC 7946), and footprints as well-known text."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.rings import (
    close_over_pole,
    cut_at_antimeridian,
    shift_to,
    signed_area,
    smallest_span,
    unroll,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.models.product import Product
    from collgs_async.models.rings import Line, Polygon

    _Ring = Sequence[Sequence[float]]

__all__ = ["FLAT_FIELDS", "bounding_box", "feature", "properties", "to_wkt", "valid_geometry"]

log = logging.getLogger("collgs_async")

FLAT_FIELDS: Final = (
    "identifier",
    "collection",
    "url",
    "start",
    "end",
    "cloud_cover",
    "orbit_direction",
    "orbit_number",
    "platform",
    "size",
    "overlap",
    "quicklook",
    "problem",
    "wanted",
)
"""What listings have of a product: all that fits into one cell, in the order of the columns."""

_FARTHEST: Final = 540.0
"""Limit on a longitude: one and a half times round the Earth."""


def properties(product: Product) -> dict[str, Any]:
    """Return what listings have of a product, by the names of `FLAT_FIELDS`; any JSON can hold it."""
    record = product.to_record()
    for name in ("cloud_cover", "overlap"):
        if record[name] is not None and not math.isfinite(record[name]):
            record[name] = None  # JSON cannot represent it
    return {name: record[name] for name in FLAT_FIELDS}


def feature(product: Product) -> dict[str, Any]:
    """Return a product as a GeoJSON feature, its footprint cut at the antimeridian (RFC 7946 §3.1.9)."""
    return {
        "type": "Feature",
        "id": product.identifier,
        "geometry": valid_geometry(product.footprint),
        "properties": properties(product),
    }


def valid_geometry(geometry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a polygon as RFC 7946 §3.1 requires: rings closed and oriented, cut at the antimeridian.

    A footprint of another kind stays as it is, when its coordinates are numbers. None: there is none, or what the
    catalogue gives is no geometry.
    """
    if geometry is None:
        return None
    try:
        if geometry.get("type") in _SIMPLE:
            return _simple(geometry)
        parts = [part for rings in _polygons(geometry) for part in cut_at_antimeridian(_read_polygon(rings))]
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        log.debug("a footprint is no geometry: %s", error)
        return None
    polygons = [[[list(position) for position in ring] for ring in _rewind_polygon(part)] for part in parts]
    if not polygons:
        return None
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


_SIMPLE: Final = {"Point": 1, "MultiPoint": 2, "LineString": 2, "MultiLineString": 3}
"""The depth of coordinates in each kind of geometry that is never cut."""


def _simple(geometry: Mapping[str, Any]) -> dict[str, Any]:
    def read(coordinates: Any, depth: int) -> list[Any]:
        if depth == 1:
            return list(_read_position(coordinates))
        if not coordinates:
            raise ValueError("no position")
        return [read(inner, depth - 1) for inner in coordinates]

    kind = geometry["type"]
    return {"type": kind, "coordinates": read(geometry["coordinates"], _SIMPLE[kind])}


def _polygons(geometry: Mapping[str, Any]) -> list[Any]:
    """Return the coordinates of each polygon; of a collection, those of its members."""
    match geometry.get("type"):
        case "Polygon":
            return [geometry["coordinates"]]
        case "MultiPolygon":
            return list(geometry["coordinates"])
        case "GeometryCollection":
            return [polygon for member in geometry["geometries"] for polygon in _polygons(member)]
    raise ValueError("neither polygon, line nor point")


def _read_polygon(rings: Sequence[_Ring]) -> Polygon:
    """Read the rings of a polygon, continuous across the antimeridian."""
    shell, *holes = [close_over_pole(unroll(_read_ring(ring))) for ring in rings]
    return [shell, *(shift_to(hole, shell) for hole in holes)]


def _read_ring(positions: _Ring) -> Line:
    ring = [_read_position(position) for position in positions]
    if ring[0] != ring[-1]:
        ring.append(ring[0])
    if len(ring) < 4:
        raise ValueError("a ring needs four positions")
    return ring


def _read_position(position: Sequence[float]) -> tuple[float, float]:
    east, north = position[:2]
    if not {type(east), type(north)} <= {int, float}:
        raise TypeError("a position needs two numbers")
    if not (abs(east) <= _FARTHEST and abs(north) <= 90):  # so neither NaN nor infinity
        raise ValueError("a position is not on the Earth")
    return east, north


def _rewind_polygon(rings: Sequence[_Ring]) -> list[_Ring]:
    exterior, *holes = rings
    return [
        exterior if signed_area(exterior) >= 0 else exterior[::-1],
        *(hole if signed_area(hole) <= 0 else hole[::-1] for hole in holes),
    ]


def bounding_box(geometry: Mapping[str, Any]) -> list[float]:
    """Return west, south, east and north of a valid geometry; across the antimeridian, west is greater than east.

    That is RFC 7946 §5.2: a geometry that is cut there has parts that touch it from both sides.
    """
    parts = [list(_flattened(part)) for part in _parts(geometry)]
    spans = sorted((min(east for east, _ in part), max(east for east, _ in part)) for part in parts)
    west, east = smallest_span(spans)
    norths = [north for part in parts for _, north in part]
    return [west, min(norths), east, max(norths)]


def _parts(geometry: Mapping[str, Any]) -> Sequence[Any]:
    coordinates = geometry["coordinates"]
    return coordinates if geometry["type"].startswith("Multi") else [coordinates]


def _flattened(coordinates: Sequence[Any]) -> Iterator[Sequence[float]]:
    if isinstance(coordinates[0], int | float):
        yield coordinates
    else:
        for inner in coordinates:
            yield from _flattened(inner)


def to_wkt(geometry: Mapping[str, Any]) -> str:
    """Write a valid geometry as well-known text (OGC 06-103r4 §7), longitude before latitude."""

    def written(coordinates: Sequence[Any]) -> str:
        if isinstance(coordinates[0], int | float):
            return f"{coordinates[0]!r} {coordinates[1]!r}"
        inner = (written(one) for one in coordinates)
        return ", ".join(inner if isinstance(coordinates[0][0], int | float) else (f"({one})" for one in inner))

    kind, coordinates = geometry["type"], geometry["coordinates"]
    return f"{kind.upper()} ({written([[point] for point in coordinates] if kind == 'MultiPoint' else coordinates)})"
