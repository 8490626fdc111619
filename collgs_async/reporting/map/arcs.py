"""Lines on the Earth as compact text, as ``resources/NOTICE.md`` describes it, and their simplification."""

from __future__ import annotations

from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["GRID", "Point", "decode", "encode", "simplify"]

Point: TypeAlias = tuple[float, float]
"""Longitude and latitude in degrees."""

GRID: Final = 200
"""Steps per degree: lines are kept to 0.005°, about half a kilometre."""

_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}


def encode(points: Iterable[Point]) -> str:
    """Encode the steps from point to point as numbers of variable length, five bits per letter, as in source maps."""
    letters: list[str] = []
    x = y = 0
    for longitude, latitude in points:
        east, north = round(longitude * GRID) - x, round(latitude * GRID) - y
        if letters and not east and not north:
            continue
        letters += [_number(east), _number(north)]
        x, y = x + east, y + north
    return "".join(letters)


def _number(value: int) -> str:
    rest = value << 1 if value >= 0 else -value << 1 | 1
    text = ""
    while rest > 31:
        text += _DIGITS[rest & 31 | 32]
        rest >>= 5
    return text + _DIGITS[rest]


def decode(text: str) -> list[Point]:
    """Decode what `encode` has encoded."""
    numbers: list[int] = []
    value = shift = 0
    for letter in text:
        digit = _VALUES[letter]
        value |= (digit & 31) << shift
        shift += 5
        if digit < 32:
            numbers.append(-(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    points: list[Point] = []
    x = y = 0
    for east, north in zip(numbers[::2], numbers[1::2], strict=True):
        x, y = x + east, y + north
        points.append((x / GRID, y / GRID))
    return points


def simplify(points: Sequence[Point], tolerance: float, keep: Iterable[int] = ()) -> list[int]:
    """Simplify a line (Douglas and Peucker).

    Parameters
    ----------
    points
        The line.
    tolerance
        The most by which a point that is left out may lie beside the new line, in degrees.
    keep
        Indices of points that stay, beside both ends and the point that is farthest from the first one.

    Returns
    -------
    list of int
        The indices of the points that stay.
    """
    far = max(range(len(points)), key=lambda at: hypot(points[at][0] - points[0][0], points[at][1] - points[0][1]))
    kept = {0, far, len(points) - 1, *keep}
    pieces = list(pairwise(sorted(kept)))
    while pieces:
        begin, end = pieces.pop()
        between = range(begin + 1, end)
        at = max(between, key=lambda at: _distance(points[at], points[begin], points[end]), default=None)
        if at is not None and _distance(points[at], points[begin], points[end]) > tolerance:
            kept.add(at)
            pieces += [(begin, at), (at, end)]
    return sorted(kept)


def _distance(point: Point, begin: Point, end: Point) -> float:
    (x, y), (left, bottom) = point, begin
    wide, high = end[0] - left, end[1] - bottom
    length = hypot(wide, high)
    if length == 0:
        return hypot(x - left, y - bottom)
    return abs(wide * (y - bottom) - high * (x - left)) / length
