"""Parse the identifiers of Sentinel products.

The schemes are the naming conventions of the Sentinel user guides (sentinels.copernicus.eu). Each pattern has a
fixed length, so that matching takes linear time for any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHANNELS", "TILE", "Name", "parse", "recognise"]

TILE: Final = "[0-9]{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]"
"""A square of the Military Grid Reference System: zone, latitude band, column and row."""

_TIME = "[0-9]{8}T[0-9]{6}"
_SUFFIX = r"(?:\.SAFE|\.SEN3)?(?:\.zip)?"
_ANY_SUFFIX = re.compile(_SUFFIX + "$", re.IGNORECASE)

_S1 = re.compile(
    "(?P<scene>(?P<platform>S1[A-D])_(?P<mode>S[1-6]|IW|EW|WV|EN|RF|N[1-6])_(?P<type>RAW|SLC|GRD|OCN)(?P<resolution>[FHM_])"
    "_(?P<level>[012])[SACN](?P<polarisation>SH|SV|DH|DV|HH|HV|VV|VH)"
    f"_(?P<start>{_TIME})_(?P<stop>{_TIME})_(?P<orbit>[0-9]{{6}})_(?P<datatake>[0-9A-F]{{6}}))_[0-9A-F]{{4}}(?:_COG)?"
    + _SUFFIX
)
_S2 = re.compile(
    f"(?P<platform>S2[A-D])_MSIL(?P<level>1B|1C|2A)_(?P<start>{_TIME})_N(?P<baseline>[0-9]{{4}})_R(?P<orbit>[0-9]{{3}})"
    f"_T(?P<tile>{TILE})_(?P<produced>{_TIME})" + _SUFFIX
)
_S2_OLD_PRODUCT = re.compile(
    f"(?P<platform>S2[AB])_(?:OPER|USER)_PRD_MSIL(?P<level>1C|2A)_[A-Z0-9_]{{4}}_(?P<produced>{_TIME})"
    f"_R(?P<orbit>[0-9]{{3}})_V(?P<start>{_TIME})_(?P<stop>{_TIME})" + _SUFFIX
)
_S2_OLD_GRANULE = re.compile(
    f"(?P<platform>S2[AB])_(?:OPER|USER)_MSI_L(?P<level>1C|2A)_TL_[A-Z0-9_]{{4}}_(?P<produced>{_TIME})"
    rf"_A(?P<orbit>[0-9]{{6}})_T(?P<tile>{TILE})(?:_N(?P<major>[0-9]{{2}})\.(?P<minor>[0-9]{{2}}))?" + _SUFFIX
)
_S3 = re.compile(
    "(?P<platform>S3[A-D])_(?P<type>(?:OL|SL|SR|DO|MW|GN|SY|TM)_(?P<level>[012_])_[A-Z0-9_]{6})"
    f"_(?P<start>{_TIME})_(?P<stop>{_TIME})_(?P<produced>{_TIME})"
    "_(?P<instance>(?:[0-9]{4}_[0-9]{3}_(?P<orbit>[0-9]{3})_[0-9_]{4}|[A-Z0-9_]{17}))"
    "_[A-Z0-9_]{3}_[A-Z_]_[A-Z0-9_]{2}_(?P<baseline>[A-Z0-9_]{3})" + _SUFFIX
)

CHANNELS: Final = {"SH": ("HH",), "SV": ("VV",), "DH": ("HH", "HV"), "DV": ("VV", "VH")}
"""Channels by polarisation code."""

_S1_ORBITS_TO_A_CYCLE: Final = 175
_S1_OFFSETS: Final = {"S1A": 73, "S1B": 27, "S1C": 172, "S1D": 42}
_S1C_LAST_ON_FIRST_TRACK: Final = 8018
_S1C_OFFSET_SINCE: Final = 99
"""Sentinel-1C was moved along its orbit in June 2026. The constants are ESA's, as in ISCE2."""

_UNOFFICIAL: Final = 99
"""The major baseline that Sen2Cor writes when run by others than ESA, such as 99.33."""


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of an identifier; absent ones are None.

    Attributes
    ----------
    platform
        Such as ``S2A``.
    product_type
        As in the catalogues: ``S2MSI2A``, ``GRD``, ``OL_1_EFR``.
    level
        Of processing: ``1C``, ``2A``, ``1``.
    acquisition
        Equal for all products made of one acquisition of one scene, at any time and by any processor.

        For Sentinel-2: platform, start of the data-take, relative orbit, tile and type. The last time in the name is
        not part of it: until 2017 it was a sensing time, today it is the production time. So two parts of a tile, cut
        where one ground station's reception ends and the next one's begins, have one acquisition and often one baseline
        too; only their footprints distinguish them from reprocessings.
    mode
        The beam of a radar: ``IW``, ``EW``, ``S3``.
    resolution
        Of a radar product: ``F``, ``H`` or ``M``.
    polarisation
        Of a radar product, as in the name: ``DV``.
    start, stop
        Sensing times, in UTC. For Sentinel-2, `start` is that of the whole data-take.
    relative_orbit
        The track: 1 to 175 for Sentinel-1, to 143 for Sentinel-2, to 385 for Sentinel-3.
    absolute_orbit
        Counted since launch.
    tile
        Such as ``31UGR``, without the ``T``.
    baseline
        Of processing: (5, 11) for ``N0511``, (4,) for Sentinel-3's collection ``004``.
    produced
        The production time; for early Sentinel-2 products, a sensing time.
    """

    platform: str
    product_type: str
    level: str | None
    acquisition: str
    mode: str | None = None
    resolution: str | None = None
    polarisation: str | None = None
    start: datetime | None = None
    stop: datetime | None = None
    relative_orbit: int | None = None
    absolute_orbit: int | None = None
    tile: str | None = None
    baseline: tuple[int, ...] | None = None
    produced: datetime | None = None

    @property
    def mission(self) -> str:
        """The satellite family, such as ``S2``."""
        return self.platform[:2]

    @property
    def channels(self) -> tuple[str, ...]:
        """The polarisations, such as VV and VH; empty for an optical product."""
        if self.polarisation is None:
            return ()
        return CHANNELS.get(self.polarisation, (self.polarisation,))

    @property
    def product_types(self) -> frozenset[str]:
        """All spellings of its type: ``GRD`` and ``GRDH``, ``S2MSI2A`` and ``MSIL2A``."""
        other = f"MSIL{self.level}" if self.mission == "S2" else f"{self.product_type}{self.resolution or ''}"
        return frozenset({self.product_type, other})

    @property
    def edition(self) -> tuple[int, ...] | None:
        """The baseline for comparison, greater is newer; baselines that are not ESA's rank lowest."""
        if self.baseline is None or self.baseline[0] != _UNOFFICIAL:
            return self.baseline
        return (-1, *self.baseline)


def parse(identifier: str) -> Name | None:
    """Parse an identifier, with or without ``.SAFE``, ``.SEN3`` and ``.zip``; None for other products."""
    for pattern, read in _FORMS.get(identifier[:2], ()):
        if found := pattern.fullmatch(identifier):
            try:
                return read(found)
            except ValueError:  # digits that are not a valid time
                return None
    return None


def recognise(identifier: str) -> Name | None:
    """Parse an identifier in any case."""
    return parse(identifier) or parse(_ANY_SUFFIX.sub("", identifier).upper())


def _radar(found: re.Match[str]) -> Name:
    orbit = int(found["orbit"])
    return Name(
        platform=found["platform"],
        product_type=found["type"],
        level=found["level"],
        acquisition=found["scene"],
        mode=found["mode"],
        resolution=found["resolution"].strip("_") or None,
        polarisation=found["polarisation"],
        start=_time(found["start"]),
        stop=_time(found["stop"]),
        relative_orbit=_track(found["platform"], orbit),
        absolute_orbit=orbit,
    )


def _track(platform: str, orbit: int) -> int:
    moved = platform == "S1C" and orbit > _S1C_LAST_ON_FIRST_TRACK
    offset = _S1C_OFFSET_SINCE if moved else _S1_OFFSETS[platform]
    return (orbit - offset) % _S1_ORBITS_TO_A_CYCLE + 1


def _tile_product(found: re.Match[str]) -> Name:
    platform, level, start, orbit, tile = found.group("platform", "level", "start", "orbit", "tile")
    return Name(
        platform=platform,
        product_type=f"S2MSI{level}",
        level=level,
        acquisition=f"{platform}_MSIL{level}_{start}_R{orbit}_T{tile}",
        start=_time(start),
        relative_orbit=int(orbit),
        tile=tile,
        baseline=(int(found["baseline"][:2]), int(found["baseline"][2:])),
        produced=_time(found["produced"]),
    )


def _old_product(found: re.Match[str]) -> Name:
    platform, level, start, stop, orbit = found.group("platform", "level", "start", "stop", "orbit")
    return Name(
        platform=platform,
        product_type=f"S2MSI{level}",
        level=level,
        acquisition=f"{platform}_MSIL{level}_V{start}_{stop}_R{orbit}",
        start=_time(start),
        stop=_time(stop),
        relative_orbit=int(orbit),
        produced=_time(found["produced"]),
    )


def _old_granule(found: re.Match[str]) -> Name:
    platform, level, orbit, tile = found.group("platform", "level", "orbit", "tile")
    return Name(
        platform=platform,
        product_type=f"S2MSI{level}",
        level=level,
        acquisition=f"{platform}_MSIL{level}_A{orbit}_T{tile}",
        absolute_orbit=int(orbit),
        tile=tile,
        baseline=(int(found["major"]), int(found["minor"])) if found["major"] else None,
        produced=_time(found["produced"]),
    )


def _sentinel_3(found: re.Match[str]) -> Name:
    platform, kind, start, stop, instance = found.group("platform", "type", "start", "stop", "instance")
    collection = found["baseline"]
    return Name(
        platform=platform,
        product_type=kind.rstrip("_"),
        level=found["level"].strip("_") or None,
        acquisition=f"{platform}_{kind}_{start}_{stop}_{instance}",
        start=_time(start),
        stop=_time(stop),
        relative_orbit=int(found["orbit"]) if found["orbit"] else None,
        baseline=(int(collection),) if collection.isdecimal() else None,
        produced=_time(found["produced"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_FORMS: Final[dict[str, tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Name]], ...]]] = {
    "S1": ((_S1, _radar),),
    "S2": ((_S2, _tile_product), (_S2_OLD_PRODUCT, _old_product), (_S2_OLD_GRANULE, _old_granule)),
    "S3": ((_S3, _sentinel_3),),
}
