"""Create the map's ``details.json``: Natural Earth's rivers and towns at 1:10m, reduced.

``NOTICE.md`` beside that file names the sources and the command that creates the file.
"""

from __future__ import annotations

import json
import struct
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collgs_async.reporting.map.arcs import encode, simplify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.reporting.map.arcs import Point

__all__ = ["main"]

_TOLERANCE: Final = 0.012
"""The most by which a point that is left out may lie beside its river, in degrees: 1.3 km."""

_ENCODING: Final = "cp1252"
_HEADER: Final = 100
_NEAR: Final = 0.3
"""Degrees between two places of one name that are the same city."""


def main(rivers: str, towns: str, world: str) -> None:
    """Write the details to standard output.

    Parameters
    ----------
    rivers
        Natural Earth's rivers and lake centrelines, as a shapefile with its ``.dbf`` beside it.
    towns
        Natural Earth's populated places, likewise.
    world
        The map's ``world.json``, whose cities are left out.
    """
    cities = json.loads(Path(world).read_text("utf-8"))["cities"]
    details = {
        "rivers": sorted(_rivers(Path(rivers))),
        "towns": [[rank, *town] for rank, _, *town in sorted(_towns(Path(towns))) if not _is_among(town, cities)],
    }
    # One line per river and town, so that a new edition can be compared with the old one.
    sys.stdout.write(json.dumps(details, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[") + "\n")


def _rivers(path: Path) -> Iterator[list[Any]]:
    """Yield rank, name and line of each river; one of several parts has a line for each."""
    for row, body in zip(_table(path.with_suffix(".dbf")), _shapes(path), strict=True):
        for line in _lines(body):
            name = row["name"].rstrip("?")  # Natural Earth 3.0.0 has "Ob?" for Ob'
            yield [round(float(row["scalerank"])), name, encode(line[at] for at in simplify(line, _TOLERANCE))]


def _towns(path: Path) -> Iterator[list[Any]]:
    """Yield rank, number of inhabitants below zero, name, longitude and latitude of each town."""
    for row, body in zip(_table(path.with_suffix(".dbf")), _shapes(path), strict=True):
        east, north = struct.unpack_from("<dd", body, 4)
        yield [int(row["scalerank"]), -int(row["pop_max"]), row["name"], round(east, 2), round(north, 2)]


def _is_among(town: list[Any], cities: list[Any]) -> bool:
    name, east, north = town
    return any(
        abs(east - x) < _NEAR and abs(north - y) < _NEAR and _letters(name) == _letters(one) for one, x, y in cities
    )


def _letters(name: str) -> str:
    """Return the plain letters of a name: São Paulo is Sao Paulo, too."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", name.lower()) if "a" <= letter <= "z")


def _table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a dBASE file, whose fields are described in 32 bytes each."""
    table = path.read_bytes()
    count, first, width = struct.unpack_from("<IHH", table, 4)
    fields = [(table[at : at + 11].split(b"\0")[0].decode(), table[at + 16]) for at in range(32, first - 1, 32)]
    for start in range(first + 1, first + 1 + count * width, width):
        at, row = start, {}
        for name, size in fields:
            row[name] = table[at : at + size].decode(_ENCODING, "replace").strip()
            at += size
        yield row


def _shapes(path: Path) -> Iterator[bytes]:
    """Yield the content of each record of a shapefile."""
    data = path.read_bytes()
    at = _HEADER
    while at < len(data):
        (words,) = struct.unpack_from(">i", data, at + 4)
        yield data[at + 8 : at + 8 + 2 * words]
        at += 8 + 2 * words


def _lines(body: bytes) -> Iterator[list[Point]]:
    """Yield the parts of a polyline; a null shape has none."""
    (kind,) = struct.unpack_from("<i", body)
    if not kind:
        return
    parts, count = struct.unpack_from("<ii", body, 36)
    starts = [*struct.unpack_from(f"<{parts}i", body, 44), count]
    numbers = struct.unpack_from(f"<{2 * count}d", body, 44 + 4 * parts)
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    for begin, end in pairwise(starts):
        yield points[begin:end]


if __name__ == "__main__":
    main(*sys.argv[1:])
