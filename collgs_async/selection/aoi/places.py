"""Positions in a file for messages, and notes on how it was interpreted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_POINTS", "ParseNotes", "ParsedGeometry", "check_count", "refusal"]

MAX_POINTS: Final = 700_000
"""Limit on points of an area, which take up to 300 MiB; all countries at 1:10,000,000 have 550,000."""


@dataclass(frozen=True, slots=True)
class ParsedGeometry:
    """A geometry as written, not yet validated.

    Attributes
    ----------
    place
        Its place, counted from 1: ``aoi.geojson, feature 3``.
    geometry
        A GeoJSON geometry, whatever the file format; never a Feature or a collection.
    """

    place: str
    geometry: Mapping[str, Any]


@dataclass(slots=True)
class ParseNotes:
    """Notes on repairs and interpretations; one line for each kind, however often it occurs.

    Attributes
    ----------
    winding
        Whether the format defines the orientation of rings, so that a wrong one is worth a note.
    points
        The number of points read so far.
    systems
        The definitions of coordinate systems that were converted.
    """

    winding: bool = False
    points: int = 0
    systems: set[str] = field(default_factory=set)
    _met: dict[str, list[str]] = field(default_factory=dict)

    def add(self, place: str, words: str) -> None:
        """Add a note about a place."""
        self._met.setdefault(words, []).append(place)

    def lines(self) -> tuple[str, ...]:
        """Return the notes for the user, each with the first place it is about."""
        return tuple(
            f"{places[0]}: {words}" + (f" (and {len(places) - 1} more like it)" if len(places) > 1 else "")
            for words, places in self._met.items()
        )


def check_count(count: int, place: str, what: str = "points", most: int = MAX_POINTS) -> None:
    """Refuse an area of more parts than can be compared with footprints in reasonable memory and time."""
    if count > most:
        raise refusal(place, f"an area of at most {most:,} {what}", "more")


def refusal(place: str, expected: str, found: str) -> ConfigError:
    """Return the one-line error for an invalid area of interest."""
    return ConfigError(f"{place}: expected {expected}, found {found}")
