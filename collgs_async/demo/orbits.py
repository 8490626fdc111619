"""Where satellites of a repeating orbit are, and what they see: well enough for the footprints of a rehearsal."""

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
"""Kilometres of a degree of latitude."""


@dataclass(frozen=True, slots=True)
class Satellite:
    """One satellite of a mission.

    Attributes
    ----------
    serial
        Such as ``A``.
    node
        A moment at which it came southward over the equator on the mission's reference orbit.
    first, last
        Between which moments it worked; `last` None: it still does.
    absolute
        The number of its orbit at `node`, where the names of its products tell it.
    """

    serial: str
    node: datetime
    first: datetime
    last: datetime | None
    absolute: int = 0


@dataclass(frozen=True, slots=True)
class Mission:
    """Satellites that share one sun-synchronous orbit, which repeats itself.

    Attributes
    ----------
    inclination
        Degrees.
    days, orbits
        Of a cycle.
    reference
        The relative orbit whose place is known.
    longitude
        Where that orbit comes southward over the equator, in degrees.
    near, far
        How far to the right of the track the swath begins and ends, in kilometres; to the left is negative.
    satellites
        In the order in which they were launched.
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
        """Time of one orbit."""
        return timedelta(days=self.days) / self.orbits

    def passes(self, satellite: Satellite, orbit: int, last: datetime) -> Iterator[datetime]:
        """Give the moments at which it came southward over the equator on this relative orbit, the latest first."""
        cycle = timedelta(days=self.days)
        node = satellite.node + (orbit - self.reference) % self.orbits * self.period
        end = last if satellite.last is None else min(last, satellite.last)
        moment = node + (end - node) // cycle * cycle
        while moment >= satellite.first:
            yield moment
            moment -= cycle

    def absolute_orbit(self, satellite: Satellite, node: datetime) -> int:
        """Count the orbits since its launch."""
        return satellite.absolute + round((node - satellite.node) / self.period)

    def angle(self, latitude: float, *, ascending: bool) -> float:
        """Tell how far it has still to go to that node, as a negative angle (or positive, past it), in degrees."""
        rise = math.asin(math.sin(math.radians(latitude)) / math.sin(math.radians(self.inclination)))
        return math.degrees(rise) - 180 if ascending else -math.degrees(rise)

    def delay(self, angle: float) -> timedelta:
        """Tell when it is there, counted from the node."""
        return self.period * (angle / 360)

    def track(self, orbit: int, angle: float) -> Point:
        """Tell the longitude and latitude below it; the longitude is not brought within ±180."""
        inclination, ahead = math.radians(self.inclination), math.radians(angle)
        latitude = -math.asin(math.sin(inclination) * math.sin(ahead))
        along = math.degrees(math.atan2(math.cos(inclination) * math.sin(ahead), math.cos(ahead)))
        turned = 360 * self.days / self.orbits
        node = self.longitude - (orbit - self.reference) * turned
        return node + along - turned * angle / 360, math.degrees(latitude)

    def swath(self, orbit: int, angle: float) -> tuple[Point, Point]:
        """Give the near and the far end of what it sees at this moment."""
        longitude, latitude = self.track(orbit, angle)
        later, further = self.track(orbit, angle + 0.01)
        east, north = (later - longitude) * math.cos(math.radians(latitude)), further - latitude
        right = math.atan2(east, north) + math.pi / 2
        near, far = (_beside((longitude, latitude), right, reach) for reach in (self.near, self.far))
        return near, far


def _beside(point: Point, azimuth: float, distance: float) -> Point:
    """Go so many kilometres along a great circle; the azimuth is in radians."""
    latitude, arc = math.radians(point[1]), math.radians(distance / DEGREE)
    sine = math.sin(latitude) * math.cos(arc) + math.cos(latitude) * math.sin(arc) * math.cos(azimuth)
    turn = math.atan2(math.sin(azimuth) * math.sin(arc) * math.cos(latitude), math.cos(arc) - math.sin(latitude) * sine)
    return point[0] + math.degrees(turn), math.degrees(math.asin(sine))


def wrapped(longitude: float, centre: float = 0.0) -> float:
    """Bring a longitude within 180 degrees of a centre."""
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
"""By the platform's name; the tracks lie within some kilometres of the real ones, the times within a minute."""
