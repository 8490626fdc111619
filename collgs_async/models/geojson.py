"""Products and footprints as GeoJSON (RFC 7946)."""

from __future__ import annotations

import json
import logging
import math
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.rings import close_over_pole, cut_at_antimeridian, shift_to, signed_area, unroll

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collgs_async.models.product import Product
    from collgs_async.models.rings import Line, Polygon

    _Ring = Sequence[Sequence[float]]

__all__ = ["FLAT_FIELDS", "feature", "properties", "rewind", "valid_geometry"]

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
        return [read(inner, depth - 1) for inner in coordinates]

    kind = geometry["type"]
    return {"type": kind, "coordinates": read(geometry["coordinates"], _SIMPLE[kind])}


def _polygons(geometry: Mapping[str, Any]) -> Sequence[Any]:
    if geometry.get("type") not in {"Polygon", "MultiPolygon"}:
        raise ValueError("neither polygon, line nor point")
    coordinates = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" else coordinates


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


def rewind(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """Orient exterior rings counter-clockwise and holes clockwise (RFC 7946 §3.1.6).

    Geometries other than Polygon and MultiPolygon are unchanged.

    Raises
    ------
    TypeError, ValueError, LookupError
        The coordinates are not those of a polygon, or no JSON can hold them.
    """
    match geometry.get("type"):
        case "Polygon":
            oriented = {**geometry, "coordinates": _rewind_polygon(geometry["coordinates"])}
        case "MultiPolygon":
            oriented = {**geometry, "coordinates": [_rewind_polygon(rings) for rings in geometry["coordinates"]]}
        case _:
            oriented = dict(geometry)
    json.dumps(oriented, allow_nan=False)
    return oriented


def _rewind_polygon(rings: Sequence[_Ring]) -> list[_Ring]:
    exterior, *holes = rings
    return [
        exterior if signed_area(exterior) >= 0 else exterior[::-1],
        *(hole if signed_area(hole) <= 0 else hole[::-1] for hole in holes),
    ]
