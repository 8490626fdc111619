"""Create the map's ``world.json``: Natural Earth's countries and capitals, reduced for embedding in a page.

``NOTICE.md`` beside that file names the two sources and the command that creates the file.
"""

from __future__ import annotations

import json
import struct
import sys
from collections import Counter
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collgs_async.reporting.map.arcs import GRID, encode, simplify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collgs_async.reporting.map.arcs import Point

__all__ = ["main"]

_HOME: Final = (1.0, 46.5, 11.0, 53.0)
"""West, south, east, north of the most detailed region: Luxembourg, where the archive is, and its surroundings."""
_POLAR: Final = 62.0
"""Latitude beyond which coasts are drawn coarsely, since they are long and rarely viewed."""
_TOLERANCES: Final = {"home": (0.005, 0.005), "world": (0.01, 0.05), "polar": (0.015, 0.15)}
"""Minimum and maximum deviation of a simplified line, in degrees."""
_SHARE: Final = 0.011
"""Deviation between these as a fraction of the line's size, so that small islands keep their shape."""
_SMALLEST_ISLANDS: Final = {"home": 0.03, "world": 0.1, "polar": 0.25}
"""Minimum extent in degrees."""

_SHAPEFILE_HEADER = 100


def main(topology: str, cities: str) -> None:
    """Write the world to standard output.

    Parameters
    ----------
    topology
        world-atlas' ``countries-10m.json``.
    cities
        Natural Earth's populated places as a shapefile, its ``.dbf`` and ``.cpg`` beside it.
    """
    source = json.loads(Path(topology).read_text("utf-8"))
    arcs = list(_arcs(source))
    shapes = source["objects"]["countries"]["geometries"]
    rings = {shape["properties"]["name"]: _rings(shape) for shape in shapes if "arcs" in shape}
    shores = {max(ring[0], ~ring[0]) for found in rings.values() for ring in found if len(ring) == 1}
    kept = [index for index, arc in enumerate(arcs) if index not in shores or not _is_tiny(arc)]
    numbers = {old: new for new, old in enumerate(kept)}
    countries = [[name, _renumbered(found, numbers)] for name, found in rings.items()]
    uses = Counter(max(arc, ~arc) for _, found in countries for ring in found for arc in ring)
    world = {
        "grid": GRID,
        "arcs": [encode(_simplified(arcs[index])) for index in kept],
        "borders": sorted(arc for arc, countries_at_it in uses.items() if countries_at_it > 1),
        "countries": [country for country in countries if country[1]],
        "cities": _cities(Path(cities)),
    }
    # One line per arc, so that a new edition can be compared with the old one.
    sys.stdout.write(json.dumps(world, ensure_ascii=False, separators=(",", ":")).replace('","', '",\n"') + "\n")


def _arcs(source: dict[str, Any]) -> Iterable[list[Point]]:
    """Decode TopoJSON's quantisation; lines across the antimeridian continue beyond 180°."""
    (wide, high), (west, south) = source["transform"]["scale"], source["transform"]["translate"]
    for arc in source["arcs"]:
        x = y = 0
        points: list[Point] = []
        for east, north in arc:
            x, y = x + east, y + north
            longitude = x * wide + west
            if points:
                longitude += 360 * round((points[-1][0] - longitude) / 360)
            points.append((longitude, y * high + south))
        yield points


def _rings(shape: dict[str, Any]) -> list[list[int]]:
    """Return all rings of a country, each as its arcs; ``~n`` is arc n in reverse."""
    polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
    return [ring for polygon in polygons for ring in polygon]


def _renumbered(rings: Iterable[Sequence[int]], numbers: Mapping[int, int]) -> list[list[int]]:
    """Renumber the arcs of rings; a ring without its arc was an island that is dropped."""
    kept = [ring for ring in rings if all(max(arc, ~arc) in numbers for arc in ring)]
    return [[numbers[arc] if arc >= 0 else ~numbers[~arc] for arc in ring] for ring in kept]


def _is_tiny(arc: Sequence[Point]) -> bool:
    """Whether an island with this shore is too small to include."""
    return _size(arc) < _SMALLEST_ISLANDS[_region(arc)]


def _size(arc: Sequence[Point]) -> float:
    longitudes, latitudes = zip(*arc, strict=True)
    return float(max(max(longitudes) - min(longitudes), max(latitudes) - min(latitudes)))


def _region(arc: Sequence[Point]) -> str:
    west, south, east, north = _HOME
    if any(west < longitude < east and south < latitude < north for longitude, latitude in arc):
        return "home"
    return "polar" if max(abs(latitude) for _, latitude in arc) > _POLAR else "world"


def _simplified(points: Sequence[Point]) -> list[Point]:
    """Simplify by Douglas-Peucker; ends are kept, so that neighbours still meet, and so is the antimeridian."""
    least, most = _TOLERANCES[_region(points)]
    tolerance = min(max(_size(points) * _SHARE, least), most)
    seam = [at for at, (longitude, _) in enumerate(points) if isclose(longitude % 360, 180, abs_tol=1e-6)]
    return [points[at] for at in simplify(points, tolerance, seam)]


def _cities(shapes: Path) -> list[list[Any]]:
    """Return name, longitude and latitude of each point of a shapefile."""
    body = shapes.read_bytes()[_SHAPEFILE_HEADER:]
    table = shapes.with_suffix(".dbf").read_bytes()
    first, width = struct.unpack_from("<HH", table, 8)
    letters = shapes.with_suffix(".cpg").read_text("ascii").strip()
    names = [table[at + 1 : at + width].decode(letters).strip() for at in range(first, len(table) - 1, width)]
    points = [struct.unpack_from("<dd", body, at + 12) for at in range(0, len(body), 28)]
    return [[name, round(east, 3), round(north, 3)] for name, (east, north) in zip(names, points, strict=True)]


if __name__ == "__main__":
    main(*sys.argv[1:])
