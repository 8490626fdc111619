"""Parse well-known text in the parameter ``geometry``: longitude before latitude (protocol §1.7)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from collgs_async.demo.geometry import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_wkt"]

T = TypeVar("T")

Point = tuple[float, float]
Ring = tuple[Point, ...]

_TOKEN: Final = re.compile(r"\s*([A-Za-z]+|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[(),])")
_MAX_NUMBERS: Final = 4
_CLOSED_RING: Final = 4


def read_wkt(text: str) -> Shape:
    """Parse a geometry of any of the seven kinds; heights and measures are dropped.

    Raises
    ------
    ValueError
        The text is malformed; the message has the position.
    """
    try:
        return _Reader(text).whole()
    except RecursionError:
        raise ValueError("collections within collections without end") from None


class _Reader:
    """Parses a text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._kinds: dict[str, Callable[[], Shape]] = {
            "POINT": lambda: Shape(points=self._one(self._point)),
            "LINESTRING": lambda: Shape(lines=self._one(self._line)),
            "POLYGON": lambda: Shape(polygons=self._one(self._polygon)),
            "MULTIPOINT": lambda: Shape(points=self._several(self._bare_or_wrapped_point)),
            "MULTILINESTRING": lambda: Shape(lines=self._several(self._line)),
            "MULTIPOLYGON": lambda: Shape(polygons=tuple(filter(None, self._several(self._polygon)))),
            "GEOMETRYCOLLECTION": lambda: _joined(self._several(self._geometry)),
        }

    def whole(self) -> Shape:
        shape = self._geometry()
        if self._text[self._at :].strip():
            self._refuse("the end")
        return shape

    def _geometry(self) -> Shape:
        start = self._at
        kind = self._next().upper()
        if kind not in self._kinds:
            self._at = start
            self._refuse("the name of a geometry")
        if self._peek().upper() in {"Z", "M", "ZM"}:
            self._next()
        return self._kinds[kind]()

    def _one(self, read: Callable[[], T]) -> tuple[T, ...]:
        return () if self._empty() else (read(),)

    def _several(self, read: Callable[[], T]) -> tuple[T, ...]:
        if self._empty():
            return ()
        self._expect("(")
        found = [read()]
        while self._peek() == ",":
            self._next()
            found.append(read())
        self._expect(")")
        return tuple(found)

    def _point(self) -> Point:
        self._expect("(")
        point = self._position()
        self._expect(")")
        return point

    def _bare_or_wrapped_point(self) -> Point:
        return self._point() if self._peek() == "(" else self._position()

    def _line(self) -> Ring:
        line = self._several(self._position)
        if len(line) < 2:
            raise ValueError(f"Invalid number of points in LineString (found {len(line)} - must be >= 2)")
        return line

    def _polygon(self) -> tuple[Ring, ...]:
        return self._several(self._ring)

    def _ring(self) -> Ring:
        ring = self._several(self._position)
        if ring and ring[0] != ring[-1]:
            raise ValueError("Points of LinearRing do not form a closed linestring")
        if len(ring) < _CLOSED_RING:
            raise ValueError(f"Invalid number of points in LinearRing (found {len(ring)} - must be >= {_CLOSED_RING})")
        return ring

    def _position(self) -> Point:
        numbers = [self._number(), self._number()]
        while self._peek() not in {",", ")", ""} and len(numbers) < _MAX_NUMBERS:
            numbers.append(self._number())
        return numbers[0], numbers[1]

    def _number(self) -> float:
        start = self._at
        try:
            number = float(self._next())
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self._at = start
            self._refuse("a number")
        return number

    def _empty(self) -> bool:
        if self._peek().upper() != "EMPTY":
            return False
        self._next()
        return True

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            self._refuse(sign)
        self._next()

    def _peek(self) -> str:
        match = _TOKEN.match(self._text, self._at)
        return match[1] if match else ""

    def _next(self) -> str:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self._refuse("more")
        self._at = match.end()
        return match[1]

    def _refuse(self, expected: str) -> NoReturn:
        found = self._text[self._at :].strip()[:20]
        raise ValueError(f"Expected {expected} at {self._at}, found {found or 'the end'}")


def _joined(shapes: tuple[Shape, ...]) -> Shape:
    return Shape(
        points=tuple(point for shape in shapes for point in shape.points),
        lines=tuple(line for shape in shapes for line in shape.lines),
        polygons=tuple(polygon for shape in shapes for polygon in shape.polygons),
    )
