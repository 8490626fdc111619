"""Approximate the curves of SQL/MM (ISO 13249-3) by chords."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from collgs_async.selection.aoi.places import check_count, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["chords", "joined"]

_STEP: Final = math.radians(1)
"""Angle per chord, which deviates by less than 0.004 % of the radius."""


def chords(points: Sequence[Sequence[float]], place: str) -> NDArray[np.float64]:
    """Replace arcs by chords; an arc has a start, a point on it, and an end, which is the start of the next."""
    array = np.array([point[:2] for point in points], float).reshape(-1, 2)
    if not len(array) or not np.isfinite(array).all():
        return array
    if len(array) % 2 == 0:
        raise refusal(place, "an odd number of points in a CIRCULARSTRING", str(len(array)))
    chain = [complex(*array[0])]
    for through, end in zip(array[1::2], array[2::2], strict=True):
        chain += _arc(chain[-1], complex(*through), complex(*end))
        check_count(len(chain), place)
    return np.array([(point.real, point.imag) for point in chain])


def _arc(start: complex, through: complex, end: complex) -> list[complex]:
    """Return the points of an arc without its start; with equal ends it is a circle."""
    if start == end:
        centre, sweep = (start + through) / 2, math.tau
    else:
        ratio = (end - start) / ((through - start) or math.inf)
        if abs(ratio.imag) < 1e-9:
            return [through, end]
        centre = start + (through - start) * (ratio - abs(ratio) ** 2) / (2j * ratio.imag)
        sweep, half = (cmath.phase((point - centre) / (start - centre)) % math.tau for point in (end, through))
        if half > sweep:  # clockwise
            sweep -= math.tau
    steps = math.ceil(abs(sweep) / _STEP)
    radius = start - centre
    return [centre + radius * cmath.exp(1j * sweep * step / steps) for step in range(1, steps)] + [end]


def joined(curves: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
    """Join curves, each of which begins at the end of the one before, into one line."""
    runs = [np.array([point[:2] for point in curve], float).reshape(-1, 2) for curve in curves]
    points = np.vstack([np.empty((0, 2)), *runs])
    return points[np.append(True, np.any(np.diff(points, axis=0) != 0, axis=1))] if len(points) else points
