"""Where in a file something is, and what is to be said about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_POINTS", "ParseNotes", "ParsedGeometry", "check_count", "refusal"]

MOST_POINTS: Final = 700_000
"""Points of an area, in whatever format, which take up to 300 MiB; all countries at 1:10,000,000 have 550,000."""


@dataclass(frozen=True, slots=True)
class ParsedGeometry:
    """A geometry as it was written, not yet trusted.

    Attributes
    ----------
    place
        Where it is, as people count: ``aoi.geojson, feature 3``.
    geometry
        As GeoJSON has it, whatever the file's own format; but no Feature and no collection.
    """

    place: str
    geometry: Mapping[str, Any]


@dataclass(slots=True)
class ParseNotes:
    """What was understood otherwise than it was written; one line for each kind, however often it was met.

    Attributes
    ----------
    winding
        Whether the format says which way round a ring goes, so that the other way is worth a word.
    points
        How many points were read so far.
    """

    winding: bool = False
    points: int = 0
    _met: dict[str, list[str]] = field(default_factory=dict)

    def add(self, place: str, words: str) -> None:
        """Note what was met at a place."""
        self._met.setdefault(words, []).append(place)

    def lines(self) -> tuple[str, ...]:
        """Give the notes in words for the user, each with the first place that it is about."""
        return tuple(
            f"{places[0]}: {words}" + (f" (and {len(places) - 1} more like it)" if len(places) > 1 else "")
            for words, places in self._met.items()
        )


def check_count(count: int, place: str, what: str = "points", most: int = MOST_POINTS) -> None:
    """Refuse an area of more parts than can be compared with footprints in reasonable memory and time."""
    if count > most:
        raise refusal(place, f"an area of at most {most:,} {what}", "more")


def refusal(place: str, expected: str, found: str) -> ConfigError:
    """Say in one line what is wrong with an area of interest, and where."""
    return ConfigError(f"{place}: expected {expected}, found {found}")
