"""Create the demo's ``passes.json``: which satellite sees which part of which tile, when, and from which orbit.

Positions on a repeating orbit are accurate to some kilometres, times to a minute: enough for realistic footprints.
``python -m tools.make_passes > collgs_async/demo/passes.json`` creates the file, and needs shapely.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import shapely

from collgs_async.demo.constellation import FIJI, LEAST_SHARE, LUXEMBOURG, RADAR_SHARE, SLICE
from collgs_async.demo.geometry import area, clip, wrapped
from collgs_async.demo.passes import CYCLES
from collgs_async.models.tiles import tile_corners

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["main"]

Point = tuple[float, float]
Ring = tuple[Point, ...]


DEGREE: Final = 111.195
"""Kilometres per degree of latitude."""


@dataclass(frozen=True, slots=True)
class View:
    """What becomes one product.

    Attributes
    ----------
    tiles
        The tile, or those that a product of radar touches.
    angle
        Angle of the satellite to the node, in degrees.
    share
        Size of the archive, relative to that of a whole tile.
    ring
        The footprint.
    """

    tiles: Sequence[str]
    angle: float
    share: float
    ring: Ring


@dataclass(frozen=True, slots=True)
class Satellite:
    """One satellite of a mission.

    Attributes
    ----------
    serial
        Such as ``A``.
    node
        A time of its southward equator crossing on the mission's reference orbit.
    first, last
        Its time of operation; `last` None: it still operates.
    absolute
        The number of its orbit at `node`, where product names contain it.
    """

    serial: str
    node: datetime
    first: datetime
    last: datetime | None
    absolute: int = 0


@dataclass(frozen=True, slots=True)
class Mission:
    """Satellites that share one sun-synchronous repeating orbit.

    Attributes
    ----------
    platform
        Its name, a key of `CYCLES`.
    inclination
        Degrees.
    reference
        A relative orbit with known position.
    longitude
        Its southward equator crossing, in degrees.
    near, far
        Start and end of the swath in kilometres to the right of the track; left is negative.
    satellites
        In the order of their launch.
    """

    platform: str
    inclination: float
    reference: int
    longitude: float
    near: float
    far: float
    satellites: tuple[Satellite, ...]

    @property
    def cycle(self) -> timedelta:
        """The time after which all passes are repeated."""
        return CYCLES[self.platform][0]

    @property
    def orbits(self) -> int:
        """The number of orbits in a cycle."""
        return CYCLES[self.platform][1]

    @property
    def period(self) -> timedelta:
        """Duration of one orbit."""
        return self.cycle / self.orbits

    def seen(self, orbit: int, views: Sequence[View]) -> Mapping[str, Any]:
        """Return a track: a relative orbit, what is seen from it, and each satellite's passes at the first view."""
        begun = min(view.angle for view in views)
        return {
            "platform": self.platform,
            "orbit": orbit,
            "direction": "DESCENDING" if abs(begun) < 90 else "ASCENDING",
            "views": [
                [
                    view.tiles,
                    round((self._at(orbit, view.angle) - self._at(orbit, begun)).total_seconds()),
                    view.share,
                    view.ring,
                ]
                for view in views
            ],
            "satellites": [self._passes(satellite, orbit, begun) for satellite in self.satellites],
        }

    def _at(self, orbit: int, angle: float) -> datetime:
        """Return a time at which the first satellite is there, in whole seconds."""
        node = self.satellites[0].node + (orbit - self.reference) % self.orbits * self.period
        return (node + self.period * (angle / 360)).replace(microsecond=0)

    def _passes(self, satellite: Satellite, orbit: int, angle: float) -> Mapping[str, Any]:
        """Return the first and the last time of one satellite at an angle of a relative orbit; last None: no end."""
        node = satellite.node + (orbit - self.reference) % self.orbits * self.period
        first = node - (node - satellite.first) // self.cycle * self.cycle
        last = None if satellite.last is None else first + (satellite.last - first) // self.cycle * self.cycle
        delay = self.period * (angle / 360)
        return {
            "serial": satellite.serial,
            "absolute": satellite.absolute + round((first - satellite.node) / self.period),
            "first": _written(first + delay),
            "last": None if last is None else _written(last + delay),
        }

    def angle(self, latitude: float, *, ascending: bool) -> float:
        """Return the remaining angle to that node in degrees, negative before it."""
        rise = math.asin(math.sin(math.radians(latitude)) / math.sin(math.radians(self.inclination)))
        return math.degrees(rise) - 180 if ascending else -math.degrees(rise)

    def track(self, orbit: int, angle: float) -> Point:
        """Return longitude and latitude below the satellite; the longitude is not limited to ±180."""
        inclination, ahead = math.radians(self.inclination), math.radians(angle)
        latitude = -math.asin(math.sin(inclination) * math.sin(ahead))
        along = math.degrees(math.atan2(math.cos(inclination) * math.sin(ahead), math.cos(ahead)))
        turned = 360 * self.cycle.days / self.orbits
        node = self.longitude - (orbit - self.reference) * turned
        return node + along - turned * angle / 360, math.degrees(latitude)

    def swath(self, orbit: int, angle: float) -> tuple[Point, Point]:
        """Return the near and the far end of the swath at this time."""
        longitude, latitude = self.track(orbit, angle)
        later, further = self.track(orbit, angle + 0.01)
        east, north = (later - longitude) * math.cos(math.radians(latitude)), further - latitude
        right = math.atan2(east, north) + math.pi / 2
        near, far = (_destination((longitude, latitude), right, reach) for reach in (self.near, self.far))
        return near, far


_S2_SLOT: Final = datetime(2023, 7, 31, 11, 1, 25, tzinfo=UTC)
_S1A_NODE: Final = datetime(2021, 7, 15, 6, 5, 11, tzinfo=UTC)

SENTINEL_2: Final = Mission(
    platform="Sentinel-2",
    inclination=98.62,
    reference=8,
    longitude=-8.01,
    near=-142.0,
    far=142.0,
    satellites=(
        Satellite("A", _S2_SLOT, datetime(2015, 7, 4, tzinfo=UTC), datetime(2025, 1, 21, tzinfo=UTC)),
        Satellite("B", _S2_SLOT - timedelta(days=5), datetime(2017, 6, 1, tzinfo=UTC), None),
        Satellite("C", _S2_SLOT, datetime(2025, 1, 21, tzinfo=UTC), None),
    ),
)
SENTINEL_1: Final = Mission(
    platform="Sentinel-1",
    inclination=98.18,
    reference=37,
    longitude=-1.3,
    near=370.0,
    far=620.0,
    satellites=(
        Satellite("A", _S1A_NODE, datetime(2014, 10, 3, tzinfo=UTC), None, 38_784),
        Satellite(
            "B",
            _S1A_NODE + timedelta(days=6),
            datetime(2016, 9, 26, tzinfo=UTC),
            datetime(2021, 12, 23, tzinfo=UTC),
            27_888,
        ),
    ),
)


def main() -> None:
    """Write the table to standard output, one line per view and per satellite."""
    tracks = [track for tiles in (LUXEMBOURG, FIJI) for track in (*_optical_tracks(tiles), *_radar_tracks(tiles))]
    text = json.dumps(tracks, separators=(",", ":"))
    for mark in ('{"', '[["'):
        text = text.replace(mark, "\n" + mark)
    sys.stdout.write(text + "\n")


def _optical_tracks(tiles: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the orbits that see some of the tiles, with the part of each tile in the swath and its fraction."""
    for orbit in range(1, SENTINEL_2.orbits + 1):
        views = [view for tile in tiles if (view := _view(orbit, tile)) is not None]
        if views:
            yield SENTINEL_2.seen(orbit, views)


def _view(orbit: int, tile: str) -> View | None:
    square = tile_corners(tile)
    ring = (*square, square[0])
    middle = sum(x for x, _ in square) / 4
    south, north = min(y for _, y in square), max(y for _, y in square)
    # The ends of a swath lie south and north of the satellite: one more degree on either side covers both edges.
    angles = [SENTINEL_2.angle(latitude, ascending=False) for latitude in (north + 1, south - 1)]
    ends = [SENTINEL_2.swath(orbit, angle) for angle in angles]
    (upper_east, upper_west), (lower_east, lower_west) = ([(wrapped(x, middle), y) for x, y in pair] for pair in ends)
    if upper_west[0] > upper_east[0]:
        return None
    part = clip(clip(ring, upper_west, lower_west), lower_east, upper_east)
    share = area(part) / area(ring)
    angle = SENTINEL_2.angle(max((y for _, y in part), default=north), ascending=False)
    return View([tile], angle, share, part) if share >= LEAST_SHARE else None


def _radar_tracks(tiles: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the products that touch the tiles; around the antimeridian, some of those on the side of the first tile."""
    squares = [tile_corners(tile) for tile in tiles]
    shapes = [shapely.Polygon(square) for square in squares]
    middle = squares[0][0][0]
    latitude = sum(y for square in squares for _, y in square) / 4 / len(squares)
    step = 360 * SLICE / SENTINEL_1.period
    for ascending in (False, True):
        nearest = round(SENTINEL_1.angle(latitude, ascending=ascending) / step)
        for orbit in range(1, SENTINEL_1.orbits + 1):
            for angle in (index * step for index in range(nearest - 3, nearest + 3)):
                ring = _slice(orbit, angle, step, middle)
                seen, beyond = (shapely.Polygon((x + turn, y) for x, y in ring) for turn in (0, 360))
                if any(seen.intersects(shape) for shape in shapes):
                    pairs = zip(tiles, shapes, strict=True)
                    touched = [tile for tile, shape in pairs if seen.intersects(shape) or beyond.intersects(shape)]
                    yield SENTINEL_1.seen(orbit, [View(touched, angle, RADAR_SHARE, ring)])


def _slice(orbit: int, angle: float, step: float, middle: float) -> Ring:
    """Return the footprint of a product, counterclockwise, with longitudes near a given one."""
    near, far = SENTINEL_1.swath(orbit, angle)
    next_near, next_far = SENTINEL_1.swath(orbit, angle + step)
    shift = wrapped(near[0], middle) - near[0]
    drawn = tuple((x + shift, y) for x, y in (near, next_near, next_far, far, near))
    return drawn if area(drawn) > 0 else drawn[::-1]


def _destination(point: Point, azimuth: float, distance: float) -> Point:
    """Return the point at a distance in kilometres along a great circle; the azimuth is in radians."""
    latitude, arc = math.radians(point[1]), math.radians(distance / DEGREE)
    sine = math.sin(latitude) * math.cos(arc) + math.cos(latitude) * math.sin(arc) * math.cos(azimuth)
    turn = math.atan2(math.sin(azimuth) * math.sin(arc) * math.cos(latitude), math.cos(arc) - math.sin(latitude) * sine)
    return point[0] + math.degrees(turn), math.degrees(math.asin(sine))


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


if __name__ == "__main__":
    main()
