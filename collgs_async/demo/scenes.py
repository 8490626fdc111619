"""The content of the embedded catalogue: scenes with realistic names, times and footprints."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLLECTIONS", "SMALLEST_ARCHIVE", "Collection", "Scene", "make_newcomers", "make_scenes"]

SMALLEST_ARCHIVE = 640
"""Bytes; a SAFE-shaped archive with a Sentinel name cannot be shorter."""

_LUXEMBOURG_TILES = ("T31UFR", "T31UGQ", "T31UGR", "T32UKV", "T32ULA", "T32ULV")
_POLARISATION = re.compile(r"_[012][SA]([SD][HV])_")
_CHANNELS = {"SH": ("HH",), "SV": ("VV",), "DH": ("HH", "HV"), "DV": ("VV", "VH")}
_TIMESTAMP = re.compile(r"\d{8}T\d{6}")


@dataclass(frozen=True, slots=True)
class Collection:
    """Properties common to all scenes of one collection.

    Attributes
    ----------
    identifier
        The catalogue's name, such as ``S2_MSIL2A``.
    platform, instrument, level, mode
        As written in the catalogue.
    optical
        Whether its scenes have a cloud cover; radar has none.
    shelf
        The store's folders between the platform and the date.
    product_type
        As written in the catalogue.
    start
        The sensing time of its first scenes.
    """

    identifier: str
    platform: str
    instrument: str
    level: str
    mode: str
    optical: bool
    shelf: str
    product_type: str
    start: datetime

    @property
    def end(self) -> datetime | None:
        """The sensing time of its last scenes: None, since it continues."""
        return None

    @property
    def footprint(self) -> Mapping[str, Any]:
        """The whole Earth."""
        return _WORLD

    @property
    def sensor_type(self) -> str:
        """``OPTICAL`` or ``RADAR``."""
        return "OPTICAL" if self.optical else "RADAR"

    @property
    def description(self) -> str:
        """The text searched by the parameter ``searchTerms``."""
        return f"{self.platform} {self.instrument}, {self.level}: {self.product_type} products of CollGS"


_WORLD = {"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]}

COLLECTIONS: Mapping[str, Collection] = {
    "S1_SAR_GRD": Collection(
        "S1_SAR_GRD",
        "Sentinel-1",
        "SAR-C",
        "L1",
        "IW",
        False,
        "SAR-C/L1/GRD",
        "GRD",
        datetime(2014, 10, 3, tzinfo=UTC),
    ),
    "S2_MSIL1C": Collection(
        "S2_MSIL1C",
        "Sentinel-2",
        "MSI",
        "Level-1C",
        "INS-NOBS",
        True,
        "MSI/Level-1C/S2MSI1C",
        "S2MSI1C",
        datetime(2015, 7, 4, tzinfo=UTC),
    ),
    "S2_MSIL2A": Collection(
        "S2_MSIL2A",
        "Sentinel-2",
        "MSI",
        "Level-2A",
        "INS-NOBS",
        True,
        "MSI/Level-2A/S2MSI2A",
        "S2MSI2A",
        datetime(2017, 3, 28, tzinfo=UTC),
    ),
}
"""The collections of the embedded catalogue, by name."""


@dataclass(frozen=True, slots=True)
class EntryDates:
    """The columns of an entry about itself; None: empty.

    Attributes
    ----------
    created
        ``eop:creationDate``, the processing time.
    updated
        ``eop:modificationDate``, the time of the last change.
    available
        ``eop:availabilityTime``, the time of publication.
    """

    created: datetime | None = None
    updated: datetime | None = None
    available: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One product and its archive.

    Attributes
    ----------
    identifier
        The product's name.
    collection
        A key of `COLLECTIONS`.
    start, end
        Sensing times, aware and in UTC.
    footprint
        A GeoJSON Polygon or MultiPolygon, longitude before latitude.
    cloud_cover
        Percent; None for radar.
    orbit_direction
        ``ASCENDING`` or ``DESCENDING``.
    orbit_number
        The relative orbit.
    platform, serial
        Such as ``Sentinel-2`` and ``A``.
    size
        Length of the archive in bytes, exact from `SMALLEST_ARCHIVE` to 2 GiB.
    deflated
        Whether the archive's members are deflated; otherwise they are stored.
    unreadable
        Whether the images claim to be compressed by Deflate64, which hardly any program supports, regardless of
        `deflated`.
    href
        The archive's link in the catalogue; None: the store's usual place.
    made
        The processing time; None: five hours after sensing.
    version
        That of the archive: another one has other bytes under the same name.
    updated
        When the entry was changed last, aware; None: never, or not stated.
    available
        When the product was published, aware; None: not stated.
    is_dated
        Whether the entry states `created`, `updated` and `available`; else their columns are empty.
    """

    identifier: str
    collection: str
    start: datetime
    end: datetime
    footprint: Mapping[str, Any]
    cloud_cover: int | None
    orbit_direction: str
    orbit_number: int
    platform: str
    serial: str
    size: int
    deflated: bool = False
    unreadable: bool = False
    href: str | None = None
    made: datetime | None = None
    version: int = 0
    updated: datetime | None = None
    available: datetime | None = None
    is_dated: bool = True

    @property
    def made_at(self) -> datetime:
        """The processing time."""
        return self.end + timedelta(hours=5) if self.made is None else self.made

    @property
    def dates(self) -> EntryDates:
        """What the entry states of its own history."""
        return EntryDates(self.made_at, self.updated, self.available) if self.is_dated else EntryDates()

    @property
    def polarisations(self) -> tuple[str, ...]:
        """The channels of radar, from its name; empty for other names."""
        named = _POLARISATION.search(self.identifier)
        return _CHANNELS[named[1]] if named else ()

    @property
    def description(self) -> str:
        """The text searched by the parameter ``searchTerms``."""
        return f"{self.identifier} {self.platform}{self.serial} {self.orbit_direction} {self.start:%Y-%m-%d}"

    @property
    def location(self) -> str:
        """The archive's link: `href`, or else a path relative to the root of the origin."""
        if self.href is not None:
            return self.href
        shelf = f"{self.platform}/{self.serial}/{COLLECTIONS[self.collection].shelf}/{self.start:%Y/%m/%d}"
        return f"repository/data_191/{shelf}/{quote(self.identifier, safe='')}.zip"


def make_scenes(count: int, *, size: int = 1_000_000, seed: int = 0) -> list[Scene]:
    """Create scenes around Luxembourg in 2021, of all collections, deterministic for a seed.

    Parameters
    ----------
    count
        The number of scenes; at most 10 million, so that their sensing times differ.
    size
        Mean length of the archives in bytes; each has 50 to 150 % of it, and `SMALLEST_ARCHIVE` at least.
    seed
        Another seed creates other scenes.

    Returns
    -------
    list of Scene
        In order of sensing time; every identifier is unique and follows the Sentinel naming conventions.
    """
    rng = random.Random(seed)
    newyear = datetime(2021, 1, 1, tzinfo=UTC)
    step = 365 * 86_400 / max(count, 1)
    make = {"S1_SAR_GRD": _radar_scene, "S2_MSIL1C": _optical_scene, "S2_MSIL2A": _optical_scene}
    scenes = []
    for index in range(count):
        seconds = int(index * step + rng.random() * (step - 1))
        collection = rng.choice(tuple(COLLECTIONS))
        length = max(SMALLEST_ARCHIVE, int(size * rng.uniform(0.5, 1.5)))
        scenes.append(make[collection](collection, newyear + timedelta(seconds=seconds), length, rng))
    return scenes


def make_newcomers(scene: Scene, count: int) -> list[Scene]:
    """Create scenes like this one, at intervals of one second after it."""
    return [_later(scene, timedelta(seconds=index)) for index in range(1, count + 1)]


def _later(scene: Scene, delay: timedelta) -> Scene:
    def shift(stamp: re.Match[str]) -> str:
        moment = datetime.strptime(stamp[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return f"{moment + delay:%Y%m%dT%H%M%S}"

    name = _TIMESTAMP.sub(shift, scene.identifier)
    return replace(scene, identifier=name, start=scene.start + delay, end=scene.end + delay, href=None)


def _optical_scene(collection: str, start: datetime, size: int, rng: random.Random) -> Scene:
    serial, orbit, tile = rng.choice("AB"), rng.choice((8, 51, 108)), rng.choice(_LUXEMBOURG_TILES)
    made = start + timedelta(seconds=rng.randrange(7_200, 36_000))
    level = collection.removeprefix("S2_")
    return Scene(
        identifier=f"S2{serial}_{level}_{start:%Y%m%dT%H%M%S}_N0301_R{orbit:03d}_{tile}_{made:%Y%m%dT%H%M%S}",
        collection=collection,
        start=start + timedelta(milliseconds=24),
        end=start + timedelta(milliseconds=24),
        footprint=_quadrilateral(rng, width=1.0, height=0.9, slant=0.05),
        cloud_cover=rng.randrange(101),
        orbit_direction="DESCENDING",
        orbit_number=orbit,
        platform="Sentinel-2",
        serial=serial,
        size=size,
        deflated=rng.random() < 0.5,
    )


def _radar_scene(collection: str, start: datetime, size: int, rng: random.Random) -> Scene:
    serial = rng.choice("AB")
    absolute = rng.randrange(25_000, 36_000)
    direction = rng.choice(("ASCENDING", "DESCENDING"))
    end = start + timedelta(seconds=25)
    times = f"{start:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}"
    ending = f"{absolute:06d}_{rng.randrange(1 << 24):06X}_{rng.randrange(1 << 16):04X}"
    return Scene(
        identifier=f"S1{serial}_IW_GRDH_1SDV_{times}_{ending}",
        collection=collection,
        start=start,
        end=end,
        footprint=_quadrilateral(rng, width=2.5, height=1.5, slant=0.4 if direction == "DESCENDING" else -0.4),
        cloud_cover=None,
        orbit_direction=direction,
        orbit_number=(absolute - (73 if serial == "A" else 27)) % 175 + 1,
        platform="Sentinel-1",
        serial=serial,
        size=size,
        deflated=rng.random() < 0.5,
    )


def _quadrilateral(rng: random.Random, *, width: float, height: float, slant: float) -> Mapping[str, Any]:
    """Return a footprint, in degrees, centred over Luxembourg; `slant` is how far its top leans east."""
    west = rng.uniform(5.7, 6.6) - width / 2
    south = rng.uniform(49.4, 50.2) - height / 2
    corners = ((0.0, 0.0), (width, 0.0), (width + slant, height), (slant, height), (0.0, 0.0))
    ring = [[round(west + east, 4), round(south + north, 4)] for east, north in corners]
    return {"type": "Polygon", "coordinates": [ring]}
