"""Geometry on the globe: rings across the antimeridian or around a pole, and surface areas.

Edges are straight in longitude and latitude, as in RFC 7946 §3.1.1 and in the catalogue's server. Results lie within
[-180, 180] × [-90, 90], cut at the antimeridian. Input may cross it in three notations: as two halves (RFC 7946
§3.1.9), with longitudes beyond 180, or with a jump from 179 to -179; and rings may enclose a pole.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = [
    "CROSSING",
    "DIGITS",
    "LEAST",
    "WINDOW",
    "clip_to_world",
    "copies",
    "kilometres",
    "of_dimension",
    "square_kilometres",
    "unwrap",
    "wrap_copies",
]

WINDOW: Final = shapely.box(-180, -90, 180, 90)
CROSSING: Final = "is wider than 180° as drawn, so it is taken to cross the antimeridian"

_AUTHALIC_RADIUS = 6371.0072
"""Radius in km of the sphere with the surface area of the WGS 84 ellipsoid."""

_FLATNESS = 0.0011197
"""Coefficient of the ellipsoid: the surface of a band is proportional to sin φ - _FLATNESS (sin φ + sin 3φ), to a few
parts in a hundred thousand."""

DIGITS: Final = 9
"""Decimals of a degree that are kept: a tenth of a millimetre; rounding also makes 183 - 360 exactly -177."""

_AT_ONCE: Final = 10_000
"""Shapes whose surfaces are computed together, since their rings are copies."""

LEAST: Final = 1e-12
"""Smallest polygon in square degrees, about a hundredth of a square metre; anything smaller is a line."""


def unwrap(points: NDArray[np.float64], *, closed: bool) -> tuple[NDArray[np.float64], str]:
    """Undo jumps across the antimeridian, close rings around a pole, and return a note on the change.

    A shape at most 180° wide, or without an edge longer than that, stays unchanged.

    Raises
    ------
    ValueError
        A ring is ambiguous: ``expected ..., found ...``.
    """
    longitude, latitude = points[:, 0], points[:, 1]
    is_open = closed and longitude[0] != longitude[-1]  # closed on the globe, but its ends are 360° apart
    if longitude.max() - longitude.min() <= 180 or not (is_open or _has_long_edge(points)):
        return points, ""
    steps = np.diff(longitude)
    steps -= 360 * np.round(steps / 360)  # a step of exactly 180 stays unchanged
    rolled = points.copy()
    rolled[1:, 0] = np.round(longitude[0] + np.cumsum(steps), DIGITS)
    if not closed or abs(rolled[-1, 0] - rolled[0, 0]) < 1:
        collapsed = (
            _is_flat(rolled) if closed else not np.ptp(rolled, axis=0).any()
        )  # the whole world: all edges are jumps
        return (points, "") if collapsed else (rolled, CROSSING)
    pole = _pole(points, latitude)
    corners = [[rolled[-1, 0], pole], [rolled[0, 0], pole], rolled[0]]
    return np.vstack([rolled, corners]), f"goes round the {'north' if pole > 0 else 'south'} pole and is closed over it"


def _has_long_edge(points: NDArray[np.float64]) -> bool:
    """Whether an edge is longer than 180°; along a pole, where all longitudes are one point, none is."""
    edges = np.abs(np.diff(points[:, 0])) > 180
    polar = np.abs(points[:, 1]) == 90
    return bool(np.any(edges & ~(polar[1:] & polar[:-1])))


def _is_flat(ring: NDArray[np.float64]) -> bool:
    """Whether all points of a ring lie in one line; the signed area would not tell, as a bow tie's could be 0, too."""
    return bool(shapely.MultiPoint(ring).convex_hull.area <= LEAST)


def _pole(points: NDArray[np.float64], latitude: NDArray[np.float64]) -> float:
    """Return the pole enclosed by a ring that ends 360° from its start."""
    expected = "expected a ring that encloses one side of itself"
    if np.ptp(points[:, 0]) >= 360 and np.array_equal(points[0], points[-1]) and not _is_flat(points):
        raise ValueError(f"{expected}, found one that is a belt or goes round a pole; points at the pole would tell")
    if latitude.min() > 0:
        return 90.0
    if latitude.max() < 0:
        return -90.0
    raise ValueError(f"{expected}, found one that goes round both poles; points at one of them would tell")


def clip_to_world(shape: BaseGeometry) -> BaseGeometry:
    """Clip a shape to the world, cut at the antimeridian; only parts of its own dimension remain."""
    west, _, east, _ = shape.bounds
    if not (west < -180 or east > 180):  # NaN for an empty shape
        return shape
    return of_dimension(shapely.intersection(wrap_copies(shape), WINDOW), int(shapely.get_dimensions(shape)))


def wrap_copies(shape: BaseGeometry) -> BaseGeometry:
    """Repeat a shape at each multiple of 360° that touches the world, since its east edge is its west edge."""
    found = copies(shape)
    return found[0] if len(found) == 1 else shapely.union_all(found)


def copies(shape: BaseGeometry) -> list[BaseGeometry]:
    """Return the copies of a shape, shifted by multiples of 360°, that touch the world."""
    west, _, east, _ = shape.bounds
    turns = range(math.ceil((-180 - east) / 360), math.floor((180 - west) / 360) + 1)
    return [shape] if turns == range(1) else [_turned(shape, 360 * turn) for turn in turns]


def _turned(shape: BaseGeometry, degrees: float) -> BaseGeometry:
    return shapely.transform(shape, lambda points: np.round(points + np.array([degrees, 0.0]), DIGITS))


def of_dimension(shape: BaseGeometry, dimension: int) -> BaseGeometry:
    """Keep the parts of one dimension, without the slivers that cutting polygons leaves at the edges."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    wanted = shapely.get_dimensions(parts) == dimension
    if dimension == 2:
        wanted &= shapely.area(parts) > LEAST
    return shape if wanted.all() else shapely.union_all(parts[wanted])


def square_kilometres(shapes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the surface of the polygons in each shape, which must not overlap.

    Nothing is projected: the area between a straight edge and the equator has a closed integral. So an additional
    point on an edge changes nothing, and the result is as accurate for a field as for half the Earth.
    """
    if len(shapes) > _AT_ONCE:
        return np.concatenate([square_kilometres(shapes[at : at + _AT_ONCE]) for at in range(0, len(shapes), _AT_ONCE)])
    parts, shape = _parts(shapes)
    flat = shapely.get_dimensions(parts) == 2
    rings, polygon = shapely.get_rings(shapely.orient_polygons(parts[flat]), return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    longitude, latitude = np.radians(points).T
    half = np.diff(latitude) / 2
    middle = latitude[:-1] + half
    sine, sine3 = (np.sin(n * middle) * np.sinc(n * half / np.pi) for n in (1, 3))  # their means along each edge
    below = np.diff(longitude) * (sine - _FLATNESS * (sine + sine3))
    edges = ring[1:] == ring[:-1]
    of_shape = shape[flat][polygon[ring[1:][edges]]]
    return np.abs(np.bincount(of_shape, below[edges], len(shapes))) * _AUTHALIC_RADIUS**2


def kilometres(shapes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the length of the lines in each shape, on the sphere."""
    parts, shape = _parts(shapes)
    thin = shapely.get_dimensions(parts) == 1
    lines = shapely.segmentize(parts[thin], 1)
    points, line = shapely.get_coordinates(lines, return_index=True)
    longitude, latitude = np.radians(points).T
    east = np.diff(longitude) * np.cos(latitude[:-1] + np.diff(latitude) / 2)
    edges = line[1:] == line[:-1]
    lengths = np.hypot(east, np.diff(latitude))[edges] * _AUTHALIC_RADIUS
    return np.bincount(shape[thin][line[1:][edges]], lengths, len(shapes)).astype(np.float64)


def _parts(shapes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the parts of shapes, also of nested collections, and the index of the shape that each belongs to."""
    outer, shape = shapely.get_parts(shapes, return_index=True)
    parts, number = shapely.get_parts(outer, return_index=True)
    return parts, shape[number]
