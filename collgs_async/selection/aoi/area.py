"""The area of interest: compare it with footprints, and write it as a search parameter."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from collgs_async.errors import ConfigError
from collgs_async.models.rings import smallest_span
from collgs_async.selection.aoi.antimeridian import WINDOW, kilometres, of_dimension, square_kilometres, wrap_copies
from collgs_async.selection.aoi.crossings import merged
from collgs_async.selection.aoi.geojson import geometries_in
from collgs_async.selection.aoi.geometry import build
from collgs_async.selection.aoi.outline import merge_nearby, repeated_outline, simplified_wkt, whole_degrees
from collgs_async.selection.aoi.places import ParseNotes, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from collgs_async.selection.aoi.places import ParsedGeometry

__all__ = ["Area"]

_MAX_POINTS = 200
"""Points per piece; larger shapes are split, so that a footprint is compared only with pieces near it."""

_SPECK = 1e-5
"""Half width in degrees, about a metre, of the polygon that stands for a point or a line in a request."""


@dataclass(frozen=True, eq=False)
class Area:
    """An area of interest: polygons, lines and points within ±180° and ±90°, cut at the antimeridian.

    Attributes
    ----------
    shapes
        Shapely geometries, those of one dimension merged into one.
    notes
        Messages for the user about repairs and interpretations.
    """

    shapes: tuple[BaseGeometry, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, geometry: Mapping[str, Any]) -> Area:
        """Create an area from GeoJSON: a geometry, a Feature or a FeatureCollection.

        Raises
        ------
        ConfigError
            In one line: the place, what was expected, what was found.
        """
        name, notes = "area of interest", ParseNotes(winding=True)
        return cls.from_geometries(geometries_in(geometry, name, notes), name, notes)

    @classmethod
    def from_geometries(cls, found: Iterable[ParsedGeometry], place: str, notes: ParseNotes) -> Area:
        """Create an area from parsed geometries."""
        try:
            parts = np.array(list(build(found, notes)), dtype=object)
            dimensions = shapely.get_dimensions(parts)
            shapes = [merged(parts[dimensions == number], place) for number in (2, 1, 0)]
        except shapely.GEOSException as error:
            raise refusal(place, "shapes that can be reckoned with", str(error)) from None
        remaining = tuple(shape for shape in shapes if not shape.is_empty)
        if not remaining:
            raise refusal(place, "a geometry", "; ".join(("none", *notes.lines())))
        return cls(remaining, notes.lines())

    @cached_property
    def square_kilometres(self) -> float:
        """The surface on the WGS 84 ellipsoid; 0 for points and lines."""
        return float(square_kilometres(np.array(self.shapes, dtype=object)).sum())

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The smallest bounding box, W, S, E, N in degrees; west greater than east crosses the antimeridian."""
        bounds = shapely.bounds(shapely.get_parts(self.shapes))
        west, east = smallest_span(sorted((float(first), float(last)) for first, _, last, _ in bounds))
        south, north = float(bounds[:, 1].min()), float(bounds[:, 3].max())
        return _floor(west), _floor(south), _ceil(east), _ceil(north)

    def geojson(self) -> dict[str, Any]:
        """Return one GeoJSON geometry (RFC 7946)."""
        turned = [shapely.orient_polygons(shape) for shape in self.shapes]
        whole = turned[0] if len(turned) == 1 else shapely.GeometryCollection(turned)
        geometry: dict[str, Any] = json.loads(shapely.to_geojson(whole))
        return geometry

    def to_wkt(self, longest: int, *, repeated: bool = False) -> str:
        """Return a POLYGON or MULTIPOLYGON that contains the area, longitude before latitude.

        Parameters
        ----------
        longest
            Limit in characters. A longer outline is simplified outward, so that no scene is missed; in the last resort
            it is the bounding box in whole degrees, which needs up to 130.
        repeated
            Whether parts near the antimeridian are repeated so that servers that compare on the plane of degrees also
            match footprints in other notations: a copy beyond ±180°, and a thin spike in the Atlantic, which rings
            cross that jump from 179 to -179. Left out where it does not fit.
        """
        parts = merge_nearby(shapely.get_parts(self.shapes), longest)
        polygons = [_as_polygons(part) for part in parts]
        whole = of_dimension(shapely.union_all(polygons), 2) if len(polygons) > 1 else polygons[0]
        if repeated and (text := repeated_outline(whole, longest)):
            return text
        return simplified_wkt(whole, longest) or whole_degrees(self._boxes())

    def touches(self, footprint: Mapping[str, Any] | None) -> bool:
        """Whether a footprint intersects the area, or touches its edge.

        True for a missing or malformed footprint, since the catalogue matched the product.
        """
        shape = _footprint(footprint)
        return shape is None or bool(len(self._pieces.tree.query(shape, predicate="intersects")))

    def overlap(self, footprint: Mapping[str, Any] | None) -> float | None:
        """Return the percentage of the area (its surface, else length, else points) that a footprint covers.

        None when the footprint is missing or malformed.
        """
        shape = _footprint(footprint)
        if shape is None:
            return None
        pieces = self._pieces
        near = pieces.tree.query(shape)
        if not len(near):
            return 0.0
        shapely.prepare(shape)
        whole = shapely.covers(shape, pieces.boxes[near])
        covered = float(pieces.sizes[near[whole]].sum())
        if not whole.all():
            covered += float(self._sizes(shapely.intersection(shape, pieces.shapes[near[~whole]])).sum())
        return min(100.0, 100 * covered / self._total)

    def prepare(self) -> None:
        """Build the index now rather than in the first comparison, since it takes long for a large area."""
        _ = self._total

    @cached_property
    def _pieces(self) -> _Pieces:
        parts = shapely.get_parts(self.shapes)
        small = shapely.get_num_coordinates(parts) <= _MAX_POINTS
        cut = [piece for shape in parts[~small] for piece in _split(shape)]
        shapes = np.concatenate([parts[small], np.array(cut, dtype=object)])
        shapely.prepare(shapes)
        boxes: Any = shapely.box(*shapely.bounds(shapes).T)
        sizes = self._sizes(shapes)
        return _Pieces(shapes, boxes, sizes, shapely.STRtree(shapes))

    @cached_property
    def _total(self) -> float:
        return float(self._pieces.sizes.sum())

    def _sizes(self, shapes: NDArray[Any]) -> NDArray[np.float64]:
        """Return surface, length or number of points of each shape, according to the dimension of the area."""
        match int(shapely.get_dimensions(self.shapes[0])):
            case 2:
                return square_kilometres(shapes)
            case 1:
                return kilometres(shapes)
            case _:
                parts, shape = shapely.get_parts(shapes, return_index=True)
                points = (shapely.get_dimensions(parts) == 0) & ~shapely.is_empty(parts)
                return np.bincount(shape[points], minlength=len(shapes)).astype(float)

    def _boxes(self) -> list[tuple[float, float, float, float]]:
        west, south, east, north = self.box
        if west <= east:
            return [(west, south, east, north)]
        return [(west, south, 180.0, north), (-180.0, south, east, north)]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """An area split into pieces of few points, with their bounding boxes, sizes and a spatial index."""

    shapes: NDArray[Any]
    boxes: NDArray[Any]
    sizes: NDArray[np.float64]
    tree: shapely.STRtree


def _as_polygons(shape: BaseGeometry) -> BaseGeometry:
    if shape.area:
        return shape
    return of_dimension(shapely.intersection(shape.buffer(_SPECK, cap_style="square", join_style="mitre"), WINDOW), 2)


def _split(shape: BaseGeometry) -> Iterator[BaseGeometry]:
    """Split a shape recursively until each piece has few points."""
    if shapely.get_num_coordinates(shape) <= _MAX_POINTS:
        yield from shapely.get_parts(shape)
        return
    west, south, east, north = shape.bounds
    middle = (west + east) / 2, (south + north) / 2
    halves = (
        [(west, south, middle[0], north), (middle[0], south, east, north)]
        if east - west > north - south
        else [(west, south, east, middle[1]), (west, middle[1], east, north)]
    )
    dimension = int(shapely.get_dimensions(shape))
    for half in halves:
        piece = of_dimension(shapely.intersection(shape, shapely.box(*half)), dimension)
        if not piece.is_empty:
            yield from _split(piece)


def _footprint(geometry: Mapping[str, Any] | None) -> BaseGeometry | None:
    """Return the shape of a footprint, with copies beyond the antimeridian; None when it is invalid."""
    if geometry is None:
        return None
    try:
        notes = ParseNotes()
        parts = list(build(geometries_in(geometry, "", notes), notes, strict=False))
        whole = parts[0] if len(parts) == 1 else shapely.union_all(parts)
        return None if whole.is_empty else wrap_copies(whole)
    except (ConfigError, RecursionError, shapely.GEOSException):
        return None


def _floor(degrees: float) -> float:
    return math.floor(degrees * 1e6) / 1e6


def _ceil(degrees: float) -> float:
    return math.ceil(degrees * 1e6) / 1e6
