"""Render small pictures of synthetic scenes: fields, woods and water under the stated cloud cover."""

from __future__ import annotations

import json
import random
import struct
import zlib
from bisect import bisect
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from collgs_async.demo.geometry import bounds_of, rings_of, wrapped
from collgs_async.demo.scenes import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collgs_async.demo.geometry import Point, Ring
    from collgs_async.demo.scenes import Scene

__all__ = ["render"]

_Colour = tuple[int, int, int]

SIZE: Final = 96
"""Pixels along each side."""

_NOTHING: Final = (0, 0, 0)
_LAND: Final = ((18, 38, 66), (26, 66, 34), (44, 92, 40), (84, 122, 58), (132, 142, 78), (164, 148, 104))
_SHADES: Final = (0.28, 0.42, 0.52, 0.62, 0.72)
"""Upper limits of height for water, wood and so on; the last colour is above all of them."""

_CLOSED_SQUARE: Final = 5
"""Positions of a ring with four corners."""

_CLOUDS: Final = ((214, 218, 224), (236, 238, 240), (250, 250, 250))
_GREYS: Final = tuple((grey, grey, grey) for grey in range(16, 256, 16))


def render(scene: Scene) -> bytes:
    """Render a scene: a PNG image of some kilobytes, deterministic for a scene."""
    seen = list(_seen(scene))
    ground = random.Random(repr(scene.footprint))
    palette: tuple[_Colour, ...]
    if COLLECTIONS[scene.collection].optical:
        # The weather depends on the acquisition, so that its reprocessings look alike.
        weather = random.Random(f"{scene.start}{scene.footprint}")
        palette, pixels = (_NOTHING, *_LAND, *_CLOUDS), _optical(scene.cloud_cover or 0, seen, ground, weather)
    else:
        palette, pixels = (_NOTHING, *_GREYS), _radar(ground, random.Random(scene.identifier))
    shown = bytes(pixel if inside else 0 for pixel, inside in zip(pixels, seen, strict=True))
    return _png(palette, shown)


def _optical(cover: int, seen: Sequence[bool], ground: random.Random, weather: random.Random) -> Iterator[int]:
    """Yield colour indices, with clouds over a percentage of the visible pixels."""
    height, vapour = _rough_relief(ground), _rough_relief(weather)
    heights = sorted(value for value, inside in zip(vapour, seen, strict=True) if inside)
    clear = len(heights) - round(len(heights) * cover / 100)
    edge = heights[clear] if clear < len(heights) else 2.0
    for rise, damp in zip(height, vapour, strict=True):
        if damp >= edge:
            yield 1 + len(_LAND) + min(int((damp - edge) * 12), len(_CLOUDS) - 1)
        else:
            yield 1 + bisect(_SHADES, rise)


def _radar(ground: random.Random, speckle: random.Random) -> Iterator[int]:
    for rise in _relief(ground, 9):
        yield 1 + min(max(int(rise * 7 + speckle.gauss(2.5, 1.5)), 0), len(_GREYS) - 1)


def _rough_relief(rng: random.Random) -> list[float]:
    return [0.6 * broad + 0.4 * fine for broad, fine in zip(_relief(rng, 6), _relief(rng, 19), strict=True)]


def _relief(rng: random.Random, cells: int) -> list[float]:
    """Return a terrain from 0 to 1 by rows: random heights at the corners of cells, interpolated smoothly."""
    heights = [[rng.random() for _ in range(cells + 1)] for _ in range(cells + 1)]
    steps = [(place * cells // SIZE, place * cells % SIZE / SIZE) for place in range(SIZE)]
    eased = [(cell, share * share * (3 - 2 * share)) for cell, share in steps]
    relief: list[float] = []
    for row, down in eased:
        upper, lower = heights[row], heights[row + 1]
        line = [above + (below - above) * down for above, below in zip(upper, lower, strict=True)]
        relief += [line[cell] + (line[cell + 1] - line[cell]) * across for cell, across in eased]
    return relief


def _seen(scene: Scene) -> Iterator[bool]:
    """Yield, by rows from the upper edge, whether pixels show something.

    As in the archives, a picture of Sentinel-2 is one of the whole tile, whatever part of it was seen, and one of radar
    is in its own geometry, which the footprint fills.
    """
    rings = rings_of(scene.footprint)
    placed = _in_tile(scene, rings)
    if placed is None and [len(ring) for ring in rings] == [_CLOSED_SQUARE]:
        yield from (True for _ in range(SIZE**2))
        return
    shown = placed or _in_box(rings)
    for row in range(SIZE):
        height = (row + 0.5) / SIZE
        rims = sorted(
            ax + (height - ay) / (by - ay) * (bx - ax)
            for ring in shown
            for (ax, ay), (bx, by) in pairwise(ring)
            if (ay > height) != (by > height)
        )
        for column in range(SIZE):
            yield bisect(rims, (column + 0.5) / SIZE) % 2 == 1


def _in_tile(scene: Scene, rings: Sequence[Ring]) -> list[Ring] | None:
    """Return the rings in the frame of the tile that the scene's name has; None when they lie elsewhere."""
    frame = _tiles().get(scene.identifier[39:44])
    placed = [tuple(_placed(point, frame) for point in ring) for ring in rings] if frame else []
    return (placed or None) if all(-0.01 < axis < 1.01 for ring in placed for point in ring for axis in point) else None


def _in_box(rings: list[Ring]) -> list[Ring]:
    """Return the rings in the frame of their bounding box."""
    west, south, east, north = bounds_of(rings)
    return [tuple(((x - west) / (east - west), (north - y) / (north - south)) for x, y in ring) for ring in rings]


@cache
def _tiles() -> dict[str, list[Point]]:
    """Read the corners of tiles, counterclockwise from the upper left one; ``tools/make_tiles.py`` creates the file."""
    table = json.loads(files("collgs_async.demo").joinpath("tiles.json").read_text("utf-8"))
    return {tile: [(x, y) for x, y in corners] for tile, corners in table.items()}


def _placed(point: Point, frame: Sequence[Point]) -> Point:
    """Return where a position lies in a frame: from 0, 0 in its upper left corner to 1, 1 in its lower right one."""
    (ax, ay), (dx, dy), (cx, cy), (bx, by) = frame
    x, y = wrapped(point[0], ax), point[1]
    u = v = 0.5
    for _ in range(5):  # Newton's method: the frame is nearly a parallelogram
        wrong_x = (1 - v) * ((1 - u) * ax + u * bx) + v * ((1 - u) * dx + u * cx) - x
        wrong_y = (1 - v) * ((1 - u) * ay + u * by) + v * ((1 - u) * dy + u * cy) - y
        across_x, across_y = (1 - v) * (bx - ax) + v * (cx - dx), (1 - v) * (by - ay) + v * (cy - dy)
        down_x, down_y = (1 - u) * (dx - ax) + u * (cx - bx), (1 - u) * (dy - ay) + u * (cy - by)
        size = across_x * down_y - across_y * down_x
        u -= (wrong_x * down_y - wrong_y * down_x) / size
        v -= (across_x * wrong_y - across_y * wrong_x) / size
    return u, v


def _png(palette: Sequence[_Colour], pixels: bytes) -> bytes:
    """Encode an indexed-colour image (PNG, third edition, section 11)."""
    rows = b"".join(b"\0" + pixels[start : start + SIZE] for start in range(0, len(pixels), SIZE))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(part for colour in palette for part in colour)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
