"""Count the crossings of edges before GEOS overlays shapes.

The cost of an overlay grows with the crossings, not with the points: two thousand random points in one line cross half
a million times, for which GEOS needs gigabytes, and it ignores signals meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from collgs_async.selection.aoi.places import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from collgs_async.errors import ConfigError

__all__ = ["are_tangled", "check_crossings", "merged"]

_MOST: Final = 20_000
"""Limit on crossings per overlay; each costs GEOS some kilobytes."""

_MOST_ADDED: Final = 125_000
"""Limit on crossings that remain on outlines of groups, with which the last merge stays below 300 MiB."""

_MAX_PAIRS: Final = 4 * 10**6
"""Limit on pairs of runs to compare, some seconds of work; many edges close together are as costly as crossings."""

_RUN: Final = 8
"""Edges per run, the unit of comparison."""

_GROUP: Final = 50
"""Parts per group, where all of them at once would have too many crossings."""

_AT_ONCE: Final = 4096
"""Pairs of runs per batch."""


def are_tangled(shapes: Sequence[BaseGeometry] | NDArray[Any], most: int = _MOST) -> bool:
    """Whether the edges of shapes cross more often than a limit."""
    points = int(np.sum(shapely.get_num_coordinates(shapes)))
    if points**2 <= 2 * most:  # even if each edge crossed every other one
        return False
    crossings, pairs = 0.0, 0
    edges = _edges(shapes)
    low, high = edges.min(axis=2), edges.max(axis=2)
    for one, other in _near(low, high):
        crossings += _count(edges, low, high, one, other)
        pairs += len(one)
        if crossings > most or pairs > _MAX_PAIRS:
            return True
    return False


def check_crossings(shapes: Sequence[BaseGeometry] | NDArray[Any], place: str, most: int = _MOST) -> None:
    """Raise ConfigError for shapes with too many crossings for an overlay."""
    if are_tangled(shapes, most):
        raise _refusal(place, most)


def _refusal(place: str, most: int) -> ConfigError:
    return refusal(place, f"an area whose edges cross each other at most {most:,} times", "more crossings")


def merged(parts: NDArray[Any], place: str, most: int = _MOST_ADDED) -> BaseGeometry:
    """Merge parts of one dimension, by groups where all of them at once would have too many crossings.

    Merging a group removes what its polygons have in common, and its crossings but for those on its outline. These
    all meet in the last merge, so their number is limited.
    """
    if not len(parts) or shapely.get_dimensions(parts[0]) < 1 or not are_tangled(parts):
        return shapely.disjoint_subset_union_all(parts)
    if len(parts) < 3 or shapely.get_dimensions(parts[0]) < 2:
        raise _refusal(place, _MOST)
    parts = parts[_side_by_side(shapely.bounds(parts)[:, :2])]
    split = np.array_split(parts, max(2, len(parts) // _GROUP))
    groups = np.array([merged(group, place, most) for group in split], dtype=object)
    if _added(parts, groups) > most:
        expected = f"an area whose polygons cross at most {most:,} times on the outline of what they cover"
        raise refusal(place, expected, "more; merge or simplify its polygons first, or divide it into several files")
    return merged(groups, place, most)


def _added(parts: NDArray[Any], groups: NDArray[Any]) -> int:
    """Return how many points merging has added: the crossings on the outlines of groups."""
    before, after = (np.unique(shapely.get_coordinates(shapes).view(np.complex128)) for shapes in (parts, groups))
    return len(np.setdiff1d(after, before, assume_unique=True))


def _edges(shapes: Sequence[BaseGeometry] | NDArray[Any]) -> NDArray[np.float64]:
    """Return the edges in runs: an array of runs × edges × ends × coordinates, padded with NaN."""
    points, line = shapely.get_coordinates(_lines(shapes), return_index=True)
    edges = np.stack([points[:-1], points[1:]], axis=1)[line[1:] == line[:-1]]
    edges = edges[_side_by_side(edges.mean(axis=1))]
    missing = -len(edges) % _RUN
    return np.concatenate([edges, np.full((missing, 2, 2), np.nan)]).reshape(-1, _RUN, 2, 2)


def _side_by_side(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order points so that neighbours are adjacent: in strips from west to east, each from the south."""
    if len(points) < 2:
        return np.arange(len(points))
    strips = max(1, int(np.sqrt(len(points) / _RUN)))
    strip = np.argsort(np.argsort(points[:, 0])) * strips // len(points)
    return np.lexsort((points[:, 1], strip))


def _lines(shapes: Sequence[BaseGeometry] | NDArray[Any]) -> NDArray[Any]:
    parts = shapely.get_parts(shapely.get_parts(shapes))
    flat = shapely.get_dimensions(parts) == 2
    return np.concatenate([shapely.get_rings(parts[flat]), parts[~flat]])


def _near(low: NDArray[np.float64], high: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pairs of runs with intersecting bounding boxes, each pair once, in batches."""
    if not len(low):
        return
    boxes = shapely.box(*np.nanmin(low, axis=1).T, *np.nanmax(high, axis=1).T)
    tree = shapely.STRtree(boxes)
    step = max(1, min(256, 10**6 // len(boxes)))
    for start in range(0, len(boxes), step):
        one, other = tree.query(boxes[start : start + step])
        one += start
        once = one <= other
        one, other = one[once], other[once]
        for at in range(0, len(one), _AT_ONCE):
            yield one[at : at + _AT_ONCE], other[at : at + _AT_ONCE]


def _count(
    edges: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
) -> float:
    """Count the proper crossings between pairs of runs; within one run, each pair of edges is met twice."""
    meet = (low[one, :, None] <= high[other, None]) & (low[other, None] <= high[one, :, None])  # never true for NaN
    pair, first, second = np.nonzero(meet[..., 0] & meet[..., 1])
    a, b = np.moveaxis(edges[one[pair], first], 1, 0)
    c, d = np.moveaxis(edges[other[pair], second], 1, 0)
    crossing = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    return float(crossing.sum() - crossing[(one == other)[pair]].sum() / 2)


def _side(start: Any, end: Any, point: Any) -> Any:
    """Return the side of an edge on which a point lies, as a sign."""
    along, to = end - start, point - start
    return along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
