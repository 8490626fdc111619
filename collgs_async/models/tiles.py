"""Where the tiles of Sentinel-2 are: squares of 109.8 km on the Military Grid Reference System, in UTM on WGS 84."""

from __future__ import annotations

import math
from functools import cache
from typing import Final, TypeAlias

__all__ = ["tile_corners"]

_Point: TypeAlias = tuple[float, float]

_BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"
_ROWS: Final = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS: Final = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
_SQUARE: Final = 100_000
_CYCLE: Final = 20 * _SQUARE
_SIDE: Final = 109_800
_GRID: Final = 60
"""Metres: pixels of 10, 20 and 60 m are all aligned with the corner of a tile."""

_RADIUS: Final = 6_378_137.0
_FLATTENING: Final = 1 / 298.257223563
_SCALE: Final = 0.9996
_FALSE_EASTING: Final = 500_000.0
_FALSE_NORTHING: Final = 10_000_000.0


@cache
def tile_corners(tile: str) -> tuple[_Point, _Point, _Point, _Point]:
    """Return the corners of a tile such as ``31UFR``, counterclockwise from the upper left one.

    They are longitudes and latitudes; around the antimeridian, longitudes continue beyond 180.

    Raises
    ------
    ValueError
        Its zone has no such column.
    """
    zone, band, column, row = int(tile[:2]), tile[2], tile[3], tile[4]
    west = (1 + _COLUMNS[zone % 3].index(column)) * _SQUARE
    south = _row(zone, band, row)
    left = west // _GRID * _GRID
    top = -(-(south + _SQUARE) // _GRID) * _GRID
    right, bottom = left + _SIDE, top - _SIDE
    upper_left, lower_left, lower_right, upper_right = (
        _geographic(zone, band < "N", easting, northing)
        for easting, northing in ((left, top), (left, bottom), (right, bottom), (right, top))
    )
    return upper_left, lower_left, lower_right, upper_right


def _row(zone: int, band: str, row: str) -> int:
    """Return the southern end of a row of squares, whose letter repeats every 2000 km within the bands."""
    first = (_ROWS.index(row) - (0 if zone % 2 else 5)) % 20 * _SQUARE
    middle = _BANDS.index(band) * 8 - 76
    return min(
        range(first, int(_FALSE_NORTHING), _CYCLE),
        key=lambda south: abs(_geographic(zone, band < "N", _FALSE_EASTING, south + _SQUARE / 2)[1] - middle),
    )


def _geographic(zone: int, southern: bool, easting: float, northing: float) -> _Point:
    """Convert UTM metres on WGS 84 to degrees, by Krüger's series, accurate to less than a millimetre."""
    n = _FLATTENING / (2 - _FLATTENING)
    radius = _SCALE * _RADIUS / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    xi = (northing - (_FALSE_NORTHING if southern else 0.0)) / radius
    eta = (easting - _FALSE_EASTING) / radius
    beta = (n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96, n**2 / 48 + n**3 / 15, 17 * n**3 / 480)
    delta = (2 * n - 2 * n**2 / 3 - 2 * n**3, 7 * n**2 / 3 - 8 * n**3 / 5, 56 * n**3 / 15)
    doubles = (2, 4, 6)
    xi_prime = xi - sum(b * math.sin(k * xi) * math.cosh(k * eta) for b, k in zip(beta, doubles, strict=True))
    eta_prime = eta - sum(b * math.cos(k * xi) * math.sinh(k * eta) for b, k in zip(beta, doubles, strict=True))
    chi = math.asin(math.sin(xi_prime) / math.cosh(eta_prime))
    latitude = chi + sum(d * math.sin(k * chi) for d, k in zip(delta, doubles, strict=True))
    longitude = math.atan2(math.sinh(eta_prime), math.cos(xi_prime))
    return zone * 6 - 183 + math.degrees(longitude), math.degrees(latitude)
