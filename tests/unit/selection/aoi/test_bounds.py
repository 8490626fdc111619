"""What an area of interest may cost: bounded memory, and a time in which signals are heard."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely

from collgs_async.errors import ConfigError
from collgs_async.selection.aoi import read_area
from collgs_async.selection.aoi.area import Area
from collgs_async.selection.aoi.crossings import are_tangled, merged
from collgs_async.selection.aoi.places import MAX_POINTS
from tests.support.areas import box, gp, polygon, problem
from tests.support.commands import on_linux

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import Command

MOST_MEMORY = 300 * 2**20


def scattered(count: int) -> list[tuple[float, float]]:
    rng = random.Random(1)
    return [(rng.uniform(-80, 80), rng.uniform(-80, 80)) for _ in range(count)]


def batched(points: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [points[at : at + size] for at in range(0, len(points), size)]


def crossings(lines: Sequence[Any]) -> int:
    """Count properly, with GEOS."""
    edges = [shapely.LineString(pair) for line in lines for pair in zip(line.coords[:-1], line.coords[1:], strict=True)]
    return sum(one.crosses(other) for at, one in enumerate(edges) for other in edges[:at])


@on_linux
@pytest.mark.parametrize(
    "geometry",
    [
        lambda: {"type": "MultiPoint", "coordinates": scattered(20_000)},
        lambda: {"type": "LineString", "coordinates": scattered(20_000)},
        lambda: {"type": "LineString", "coordinates": scattered(2000)},
        lambda: polygon([*scattered(20_000), *scattered(1)]),
        lambda: {"type": "MultiPolygon", "coordinates": [[corners] for corners in batched(scattered(3000), 3)]},
    ],
    ids=["points", "long line", "line", "ring", "triangles"],
)
def test_random_points_cost_little_whatever_is_made_of_them(saved: Any, geometry: Callable[[], object]) -> None:
    code = f"""if True:
        from pathlib import Path
        from collgs_async.selection.aoi import read_area
        from collgs_async.errors import ConfigError
        try:
            area = read_area({str(saved("aoi.json", geometry()))!r})
            assert len(area.to_wkt(1500, repeated=True)) <= 1500
            assert area.touches(area.geojson())
        except ConfigError as error:
            assert "at most" in str(error), error
            assert len(error.problems) == 1
        # The peak of this process alone: what getrusage reports includes the parent's at the fork.
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(int(peak.split()[1]) * 1024)
    """

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "" == answer.stderr
    assert int(answer.stdout) < MOST_MEMORY


@pytest.mark.parametrize("count", [2, 7, 30])
@pytest.mark.parametrize("kind", ["line", "ring", "lines"])
def test_crossings_are_counted_as_they_are(count: int, kind: str) -> None:
    points = scattered(3 * count)
    lines = [shapely.LineString(points)]
    if kind == "ring":
        lines = [shapely.LineString([*points, points[0]])]
    elif kind == "lines":
        lines = [shapely.LineString(points[at : at + 3]) for at in range(0, len(points), 3)]
    right = crossings(lines)

    assert are_tangled(lines, right - 1)
    assert not are_tangled(lines, right)


def test_what_lies_over_each_other_is_merged_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [shapely.box(x, y, x + 3, y + 3) for x in range(12) for y in range(12)]
    monkeypatch.setattr("collgs_async.selection.aoi.crossings._MOST", 40)
    monkeypatch.setattr("collgs_async.selection.aoi.crossings.are_tangled.__defaults__", (40,))

    whole = merged(np.array(shapes, dtype=object), "here")

    assert shapely.box(0, 0, 14, 14).equals(whole)


def test_more_crossings_on_outlines_than_can_be_merged_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that other polygons cover do not count, and neither do the corners of the polygons."""
    monkeypatch.setattr("collgs_async.selection.aoi.crossings.are_tangled.__defaults__", (300,))
    dense = triangles(300, 0.02)
    covered = np.array([shapely.box(x, y, x + 3, y + 3) for x in range(15) for y in range(15)], dtype=object)

    with pytest.raises(ConfigError) as caught:
        merged(dense, "dense.geojson", 100)

    expected = "an area whose polygons cross at most 100 times on the outline of what they cover"
    advice = "merge or simplify its polygons first, or divide it into several files"
    assert f"dense.geojson: expected {expected}, found more; {advice}" == str(caught.value)
    for shapes, most in ((dense, 1000), (covered, 100)):
        whole = merged(shapes, "here", most)
        assert whole.is_valid
        assert pytest.approx(shapely.union_all(shapes).area, rel=1e-9) == whole.area


def triangles(count: int, width: float) -> Any:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 0.17, (count, 1, 2)) + rng.uniform(0, width, (count, 3, 2))
    return shapely.polygons(corners)


def test_many_polygons_are_built_and_measured_together() -> None:
    """By processor time, not by the clock, and beside as many areas of one polygon each."""
    triangles = [[[(x, y), (x + 0.05, y), (x, y + 0.05), (x, y)]] for x, y in scattered(500)]
    times = [time.process_time()]
    area = Area.of({"type": "MultiPolygon", "coordinates": triangles})
    times.append(time.process_time())
    area.prepare()
    times.append(time.process_time())
    alone = [Area.of({"type": "Polygon", "coordinates": triangle}) for triangle in triangles]
    times.append(time.process_time())
    for one in alone:
        one.prepare()
    times.append(time.process_time())

    made, prepared, made_alone, prepared_alone = np.diff(times)
    assert made < made_alone / 3
    assert prepared < prepared_alone / 3
    assert pytest.approx(100) == area.overlap(area.geojson())
    west, east = (area.overlap(box(*side)) or 0.0 for side in ((-90, -90, 10, 90), (10, -90, 90, 90)))
    assert pytest.approx(100) == west + east


@pytest.mark.parametrize("longest", [300, 1500])
def test_more_parts_than_can_be_written_are_gathered_and_none_is_lost(longest: int) -> None:
    clusters = [(x / 80 + east, y / 80) for east in (0, 60) for x, y in scattered(2000)]
    area = Area.of({"type": "MultiPoint", "coordinates": clusters})

    text = area.to_wkt(longest)

    assert len(text) <= longest
    assert shapely.from_wkt(text).covers(shapely.geometry.shape(area.geojson()))
    assert not read_area(text).touches(box(5, -2, 55, 2))


@pytest.mark.parametrize("kind", ["json", "wkt", "kml", "wkb", "hex"])
def test_more_points_than_can_be_compared_are_refused(saved: Any, kind: str) -> None:
    count = MAX_POINTS + 1
    line: Any = shapely.linestrings(np.ones((count, 2)))
    content = {
        "json": '{"type":"MultiPoint","coordinates":[' + "[1,2]," * count + "[1,2]]}",
        "wkt": f"LINESTRING({'1 2,' * count}1 2)",
        "kml": f"<kml><Placemark><LineString><coordinates>{'1,2 ' * count}</coordinates>",
        "wkb": gp(line)[8:],
        "hex": gp(line)[8:].hex(),
    }[kind]

    assert f"expected an area of at most {MAX_POINTS:,} points, found more" in problem(
        lambda: read_area(saved("aoi", content))
    )


def test_a_line_that_goes_round_the_globe_for_ever_is_refused(saved: Any) -> None:
    line = [[(step * 179) % 360 - 180, math.sin(step)] for step in range(5000)]

    assert "expected an area" in problem(lambda: Area.of({"type": "LineString", "coordinates": line}))


@on_linux
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", [("search",), ()], ids=["search", "download"])
async def test_a_signal_is_heard_while_the_area_is_read(
    command: Command, words: Sequence[str], number: signal.Signals, status: int
) -> None:
    """A pipe without a writer is the longest read there is."""
    pipe: Path = command.folder / "area.json"
    os.mkfifo(pipe)
    settings = {"base_url": "http://127.0.0.1:1/", "parameters": {"parentIdentifier": "S2_MSIL2A"}}
    (command.folder / "config.json").write_text(json.dumps(settings))
    process = await command.start(*words, "--aoi", "area.json")
    writer = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)  # which returns when it is read

    process.send_signal(number)
    ended = await command.end(process)

    os.close(writer)
    assert status == ended.code
    assert "Traceback" not in ended.err
