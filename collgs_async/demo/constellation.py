"""A realistic year: which satellite acquired which tile when, and its products in the archive.

Passes, footprints and the dates of processing baselines are those of the Copernicus Sentinels; the weather and the
choice of reprocessed scenes are random.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from collgs_async.demo.geometry import area, clip, wrapped
from collgs_async.demo.passes import passes_over
from collgs_async.demo.scenes import SMALLEST_ARCHIVE, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.demo.geometry import Ring
    from collgs_async.demo.passes import Pass, View

__all__ = ["FIJI", "LEAST_SHARE", "LUXEMBOURG", "RADAR_SHARE", "SLICE", "Crossing", "make_constellation"]

LUXEMBOURG: Final = ("31UFQ", "31UFR", "31UGQ", "31UGR", "32UKA", "32UKV", "32ULA", "32ULV")
"""Tiles over Luxembourg and its neighbours; those of the two UTM zones overlap widely, as in reality."""

FIJI: Final = ("01KAA", "01KAB", "60KXF", "60KXG", "60KYF", "60KYG")
"""Tiles on both sides of the antimeridian; those of zone 1 lie on both."""

SLICE: Final = timedelta(seconds=25)
"""Duration of a Sentinel-1 product."""

LEAST_SHARE: Final = 0.005
"""Minimum fraction of a tile for a product."""

RADAR_SHARE: Final = 1.3
"""Size of an archive of Sentinel-1, relative to one of a whole tile."""

Crossing: TypeAlias = Literal["split", "beyond", "jumping"]

_NOTATIONS: Final[tuple[Crossing, ...]] = ("split", "beyond", "jumping")
_SPLIT_FRACTION: Final = 0.08
"""The fraction of passes received in two parts, and so with two products for the tiles in between."""

_BASELINES: Final = (
    (date(2024, 7, 23), "N0511", "N0511"),
    (date(2023, 12, 13), "N0510", "N0510"),
    (date(2022, 12, 6), "N0509", "N0509"),
    (date(2022, 1, 25), "N0400", "N0400"),
    (date(2021, 6, 30), "N0301", "N0301"),
    (date(2021, 3, 30), "N0300", "N0300"),
    (date(2020, 2, 4), "N0209", "N0214"),
    (date(2019, 7, 8), "N0208", "N0213"),
    (date(2018, 11, 6), "N0207", "N0211"),
    (date(2017, 10, 23), "N0206", "N0206"),
    (date(2015, 1, 1), "N0205", "N0205"),
)
"""First day of each baseline, for levels 1C and 2A; the latest first."""


@dataclass(frozen=True, slots=True)
class _Campaign:
    """A reprocessing campaign for acquisitions from `first` to `last`, run between two days."""

    baseline: str
    first: date
    last: date
    begun: date
    done: date

    def made(self, rng: random.Random) -> datetime:
        span = (self.done - self.begun).days * 86_400
        return datetime.combine(self.begun, time(), UTC) + timedelta(seconds=rng.randrange(span))


_CAMPAIGNS: Final = (
    _Campaign("N0500", date(2015, 7, 4), date(2021, 12, 31), date(2022, 11, 1), date(2023, 12, 1)),
    _Campaign("N0510", date(2022, 1, 1), date(2023, 12, 13), date(2024, 6, 1), date(2024, 12, 1)),
    _Campaign("N0511", date(2015, 7, 4), date(2024, 7, 22), date(2025, 2, 1), date(2025, 11, 1)),
)
_HISTORIES: Final = ((), (0,), (1,), (0, 1))
_WEIGHTS: Final = (50, 35, 8, 7)
"""Weights of an acquisition being reprocessed never, once, by the later campaign only, or by both."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """Options of the caller: mean archive size in bytes, notation of the antimeridian, and seed."""

    size: int
    crossing: Crossing | None
    seed: int

    def rng(self, passing: Pass) -> random.Random:
        """Return a generator for one pass, so that a scene does not depend on the number of others."""
        return random.Random(f"{self.seed}/{passing.serial}/{passing.track.orbit}/{passing.start}")

    def length(self, share: float, rng: random.Random) -> int:
        return max(SMALLEST_ARCHIVE, int(self.size * share * rng.uniform(0.7, 1.3)))


def make_constellation(
    count: int | None = None,
    *,
    tiles: Sequence[str] = LUXEMBOURG,
    first: date = date(2017, 7, 1),
    last: date = date(2023, 6, 30),
    size: int = 1_000_000,
    crossing: Crossing | None = None,
    seed: int = 0,
) -> list[Scene]:
    """Create the scenes of Sentinel-1 and Sentinel-2 over some tiles, deterministic for a seed.

    Parameters
    ----------
    count
        The most scenes, the newest ones; a year over Luxembourg has about 5000. None: all.
    tiles
        Some of those in `LUXEMBOURG` and `FIJI`; their order does not matter.
    first, last
        Days of sensing, both included.
    size
        Mean length of the archive of a whole tile in bytes; that of a partial tile is proportional.
    crossing
        Notation of a footprint across the antimeridian: as a MultiPolygon that is ``split`` there (RFC 7946, section
        3.1.9), as one Polygon with longitudes ``beyond`` 180, or as one Polygon with longitudes ``jumping`` from 180 to
        -180. None: each pass in one of these ways.
    seed
        Determines the weather, the reprocessings and the numbers in the names.

    Returns
    -------
    list of Scene
        In the catalogue's order: the newest first, then by name.
    """
    settings = _Settings(size, crossing, seed)
    since = datetime.combine(first, time(), UTC)
    until = datetime.combine(last + timedelta(days=1), time(), UTC)
    if unknown := set(tiles).difference(LUXEMBOURG, FIJI):
        raise ValueError(
            f"tiles: expected some of {', '.join((*LUXEMBOURG, *FIJI))}, found {', '.join(sorted(unknown))}"
        )
    passes = passes_over(frozenset(tiles), until + timedelta(days=1))
    return list(islice(_scenes(passes, since, until, settings), count))


def _scenes(passes: Sequence[Iterator[Pass]], since: datetime, until: datetime, settings: _Settings) -> Iterator[Scene]:
    """Merge passes, the latest first; all scenes of one pass have the same sensing time."""
    for passing in heapq.merge(*passes, key=lambda passing: -passing.start.timestamp()):
        if passing.start < since:
            return
        if passing.start < until:
            make = _radar_scenes if passing.track.platform == "Sentinel-1" else _optical_scenes
            yield from sorted(make(passing, settings), key=lambda scene: scene.identifier)


def _optical_scenes(passing: Pass, settings: _Settings) -> list[Scene]:
    """Create the products of a pass: both levels of each tile, in all versions."""
    rng = settings.rng(passing)
    notation = settings.crossing or rng.choice(_NOTATIONS)
    versions = list(_versions(passing.start, rng))
    # Skies are mostly clear or mostly covered, and more often covered in winter.
    weather = 100 * rng.betavariate(0.6, 0.8 if 4 <= passing.start.month <= 9 else 0.4)
    scenes = []
    for view in _split_views(passing.track.views, rng):
        footprint = _footprint(view.ring, notation)
        cover = min(100, max(0, round(weather + rng.gauss(0, 12))))
        length = settings.length(view.share, rng)
        for level, baseline, made in versions:
            scenes.append(
                _optical_scene(
                    passing,
                    view,
                    level,
                    baseline,
                    made + timedelta(seconds=rng.randrange(3_600)),
                    footprint,
                    # The two levels have masks of their own.
                    cover if level == "MSIL1C" else min(100, round(cover * 1.05)),
                    length,
                )
            )
    return scenes


def _split_views(views: Sequence[View], rng: random.Random) -> Iterator[View]:
    """Split the tiles of a pass that was received in two parts."""
    south = min(y for view in views for _, y in view.ring)
    north = max(y for view in views for _, y in view.ring)
    is_split, at = rng.random() < _SPLIT_FRACTION, rng.uniform(south, north)
    for view in views:
        whole = area(view.ring)
        halves = (clip(view.ring, (1, at), (0, at)), clip(view.ring, (0, at), (1, at))) if is_split else (view.ring,)
        for half in halves:
            share = view.share * area(half) / whole
            if share >= LEAST_SHARE:
                yield replace(view, ring=half, share=share)


def _versions(sensed: datetime, rng: random.Random) -> Iterator[tuple[str, str, datetime]]:
    """Yield level, baseline and processing time of each version of an acquisition in the archive."""
    day = sensed.date()
    campaigns = [campaign for campaign in _CAMPAIGNS if campaign.first <= day <= campaign.last]
    (history,) = rng.choices(_HISTORIES, _WEIGHTS)
    redone = [campaigns[index] for index in history if index < len(campaigns)]
    original = next(baselines for since, *baselines in _BASELINES if since <= day)
    kept = not redone or rng.random() < 0.8
    for level, baseline in zip(("MSIL1C", "MSIL2A"), original, strict=True):
        if kept:
            yield level, baseline, sensed + timedelta(hours=rng.uniform(2, 9))
        for campaign in redone:
            yield level, campaign.baseline, campaign.made(rng)


def _optical_scene(
    passing: Pass,
    view: View,
    level: str,
    baseline: str,
    made: datetime,
    footprint: Mapping[str, Any],
    cover: int,
    size: int,
) -> Scene:
    track, serial, start = passing.track, passing.serial, passing.start
    name = f"S2{serial}_{level}_{start:%Y%m%dT%H%M%S}_{baseline}_R{track.orbit:03d}_T{view.tiles[0]}"
    return Scene(
        identifier=f"{name}_{made:%Y%m%dT%H%M%S}",
        collection=f"S2_{level}",
        start=start,
        end=start,
        footprint=footprint,
        cloud_cover=cover,
        orbit_direction=track.direction,
        orbit_number=track.orbit,
        platform=track.platform,
        serial=serial,
        size=size,
        made=made.replace(microsecond=0),
    )


def _radar_scenes(passing: Pass, settings: _Settings) -> list[Scene]:
    """Create the product of a pass."""
    rng = settings.rng(passing)
    track, serial, absolute = passing.track, passing.serial, passing.absolute
    (view,) = track.views
    start, end = passing.start, passing.start + SLICE
    # All slices of one pass belong to one data-take.
    take = random.Random(f"{settings.seed}/{serial}/{absolute}").randrange(1 << 24)
    times = f"{start:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}"
    scene = Scene(
        identifier=f"S1{serial}_IW_GRDH_1SDV_{times}_{absolute:06d}_{take:06X}_{rng.randrange(1 << 16):04X}",
        collection="S1_SAR_GRD",
        start=start,
        end=end,
        footprint=_footprint(view.ring, settings.crossing or rng.choice(_NOTATIONS)),
        cloud_cover=None,
        orbit_direction=track.direction,
        orbit_number=track.orbit,
        platform=track.platform,
        serial=serial,
        size=settings.length(view.share, rng),
        made=end + timedelta(seconds=rng.randrange(7_200, 36_000)),
    )
    return [scene]


@cache
def _footprint(ring: Ring, notation: Crossing) -> Mapping[str, Any]:
    """Return a footprint in the requested notation for longitudes beyond 180."""
    west, east = min(x for x, _ in ring), max(x for x, _ in ring)
    turns = -360 * round((west + east) / 720)
    # Towards the east, as in common practice: from 179 to 181, not from -181 to -179.
    turns += 360 if west + turns < -180 else 0
    ring = tuple((x + turns, y) for x, y in ring)
    if east + turns <= 180 or notation == "beyond":
        return {"type": "Polygon", "coordinates": [_drawn(ring)]}
    if notation == "jumping":
        return {"type": "Polygon", "coordinates": [_drawn(tuple((wrapped(x), y) for x, y in ring))]}
    before = clip(ring, (180, 0), (180, 1))
    after = tuple((x - 360, y) for x, y in clip(ring, (180, 1), (180, 0)))
    return {"type": "MultiPolygon", "coordinates": [[_drawn(before)], [_drawn(after)]]}


def _drawn(ring: Ring) -> list[list[float]]:
    return [[round(x, 6), round(y, 6)] for x, y in ring]
