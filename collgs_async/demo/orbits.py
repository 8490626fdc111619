"""Positions of satellites on a repeating orbit, and what they see: accurate enough for realistic footprints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["DEGREE", "MISSIONS", "Mission", "Satellite", "wrapped"]

Point = tuple[float, float]

DEGREE: Final = 111.195
"""Kilometres per degree of latitude."""


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
    inclination
        Degrees.
    days, orbits
        Of a cycle.
    reference
        A relative orbit with known position.
    longitude
        Its southward equator crossing, in degrees.
    near, far
        Start and end of the swath in kilometres to the right of the track; left is negative.
    satellites
        In the order of their launch.
    """

    inclination: float
    days: int
    orbits: int
    reference: int
    longitude: float
    near: float
    far: float
    satellites: tuple[Satellite, ...]

    @property
    def period(self) -> timedelta:
        """Duration of one orbit."""
        return timedelta(days=self.days) / self.orbits

    def passes(self, satellite: Satellite, orbit: int, last: datetime) -> Iterator[datetime]:
        """Yield the times of its southward equator crossings on this relative orbit, the latest first."""
        cycle = timedelta(days=self.days)
        node = satellite.node + (orbit - self.reference) % self.orbits * self.period
        end = last if satellite.last is None else min(last, satellite.last)
        moment = node + (end - node) // cycle * cycle
        while moment >= satellite.first:
            yield moment
            moment -= cycle

    def absolute_orbit(self, satellite: Satellite, node: datetime) -> int:
        """Return the number of orbits since its launch."""
        return satellite.absolute + round((node - satellite.node) / self.period)

    def angle(self, latitude: float, *, ascending: bool) -> float:
        """Return the remaining angle to that node in degrees, negative before it."""
        rise = math.asin(math.sin(math.radians(latitude)) / math.sin(math.radians(self.inclination)))
        return math.degrees(rise) - 180 if ascending else -math.degrees(rise)

    def delay(self, angle: float) -> timedelta:
        """Return the time at an angle, relative to the node."""
        return self.period * (angle / 360)

    def track(self, orbit: int, angle: float) -> Point:
        """Return longitude and latitude below the satellite; the longitude is not limited to ±180."""
        inclination, ahead = math.radians(self.inclination), math.radians(angle)
        latitude = -math.asin(math.sin(inclination) * math.sin(ahead))
        along = math.degrees(math.atan2(math.cos(inclination) * math.sin(ahead), math.cos(ahead)))
        turned = 360 * self.days / self.orbits
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


def _destination(point: Point, azimuth: float, distance: float) -> Point:
    """Return the point at a distance in kilometres along a great circle; the azimuth is in radians."""
    latitude, arc = math.radians(point[1]), math.radians(distance / DEGREE)
    sine = math.sin(latitude) * math.cos(arc) + math.cos(latitude) * math.sin(arc) * math.cos(azimuth)
    turn = math.atan2(math.sin(azimuth) * math.sin(arc) * math.cos(latitude), math.cos(arc) - math.sin(latitude) * sine)
    return point[0] + math.degrees(turn), math.degrees(math.asin(sine))


def wrapped(longitude: float, centre: float = 0.0) -> float:
    """Normalise a longitude to within 180 degrees of a centre."""
    return (longitude - centre + 180) % 360 - 180 + centre


_S2_SLOT: Final = datetime(2023, 7, 31, 11, 1, 25, tzinfo=UTC)
_S1A_NODE: Final = datetime(2021, 7, 15, 6, 5, 11, tzinfo=UTC)

MISSIONS: Mapping[str, Mission] = {
    "Sentinel-2": Mission(
        inclination=98.62,
        days=10,
        orbits=143,
        reference=8,
        longitude=-8.01,
        near=-142.0,
        far=142.0,
        satellites=(
            Satellite("A", _S2_SLOT, datetime(2015, 7, 4, tzinfo=UTC), datetime(2025, 1, 21, tzinfo=UTC)),
            Satellite("B", _S2_SLOT - timedelta(days=5), datetime(2017, 6, 1, tzinfo=UTC), None),
            Satellite("C", _S2_SLOT, datetime(2025, 1, 21, tzinfo=UTC), None),
        ),
    ),
    "Sentinel-1": Mission(
        inclination=98.18,
        days=12,
        orbits=175,
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
    ),
}
"""By the platform's name; tracks are accurate to some kilometres, times to a minute."""
