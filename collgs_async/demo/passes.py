"""Passes of the satellites over Luxembourg and Fiji, and what they see.

``passes.json`` has a few tracks, created by ``tools/make_passes.py`` from orbits, swaths and tiles; each satellite
comes back to its track after a cycle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.demo.geometry import Ring

__all__ = ["CYCLES", "Pass", "Track", "View", "passes_over"]

CYCLES: Final = {"Sentinel-1": (timedelta(days=12), 175), "Sentinel-2": (timedelta(days=10), 143)}
"""After which time and how many orbits each satellite of a mission passes over the same place again."""


@dataclass(frozen=True, slots=True)
class View:
    """What becomes one product.

    Attributes
    ----------
    tiles
        The tile, or those that a product of radar touches.
    delay
        Seconds since the beginning of the acquisition over all tiles of the place.
    share
        Size of the archive, relative to that of a whole tile.
    ring
        The footprint.
    """

    tiles: tuple[str, ...]
    delay: int
    share: float
    ring: Ring


@dataclass(frozen=True, slots=True)
class Track:
    """A relative orbit of a mission, and what is seen from it of one place."""

    platform: str
    orbit: int
    direction: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a satellite: the number of the orbit since its launch, and the beginning of the acquisition."""

    track: Track
    serial: str
    absolute: int
    start: datetime


def passes_over(tiles: frozenset[str], end: datetime) -> list[Iterator[Pass]]:
    """Return, for each satellite on each track, its passes over the tiles until a time, the latest first."""
    return [_passes(track, end=end, **times) for track, satellites in _tracks(tiles) for times in satellites]


@cache
def _tracks(tiles: frozenset[str]) -> list[tuple[Track, list[dict[str, Any]]]]:
    """Read the tracks that see some of the tiles, and for each satellite its arguments of `_passes`."""
    found = []
    for track in json.loads(files("collgs_async.demo").joinpath("passes.json").read_text("utf-8")):
        views = [
            View(tuple(names), delay, share, tuple(map(tuple, ring))) for names, delay, share, ring in track["views"]
        ]
        seen = tuple(view for view in views if not tiles.isdisjoint(view.tiles))
        if seen:
            found.append((Track(track["platform"], track["orbit"], track["direction"], seen), track["satellites"]))
    return found


def _passes(track: Track, serial: str, absolute: int, first: str, last: str | None, end: datetime) -> Iterator[Pass]:
    """Yield the passes of one satellite between its first and last one; `absolute` is the orbit of the first one."""
    cycle, orbits = CYCLES[track.platform]
    begin, delay = datetime.fromisoformat(first), timedelta(seconds=min(view.delay for view in track.views))
    end = end if last is None else min(end, datetime.fromisoformat(last))
    for turn in range((end - begin) // cycle, -1, -1):
        start = begin + turn * cycle + delay
        if track.platform == "Sentinel-2":
            # In summer acquisitions begin further north, and so earlier.
            start += timedelta(minutes=-10 if 4 <= start.month <= 8 else -6, milliseconds=24)
        yield Pass(track, serial, absolute + turn * orbits, start)
