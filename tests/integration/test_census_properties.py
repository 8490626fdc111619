"""Whatever comes and goes between runs: what is listed is known, at once or within a cycle."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.history import History, Rates
from collgs_async.demo.server import DemoServer
from tests.support.mirror import watching

if TYPE_CHECKING:
    from collgs_async.demo.scenes import Scene

NOW = datetime(2023, 7, 1, tzinfo=UTC)
BUSY = Rates(late=0.2, swapped=0.5, replaced=0.2, withdrawn=0.1, returning=0.2)
CYCLE = timedelta(days=30)


@cache
def scenes() -> list[Scene]:
    """All S2_MSIL2A of some months over one tile, the oldest first: many acquisitions have two or three editions."""
    found = make_constellation(tiles=("31UFR",), first=date(2021, 6, 1), last=date(2022, 6, 30), size=1000)
    chosen = [scene for scene in found if scene.collection == "S2_MSIL2A"]
    assert len(chosen) > 150
    return sorted(chosen, key=lambda scene: (scene.start, scene.identifier))


def names(listed: list[Scene]) -> set[str]:
    return {scene.identifier for scene in listed}


@dataclass(frozen=True)
class Step:
    """What changes before a run: products that come, products that go, and the time since the run before."""

    come: frozenset[int]
    go: frozenset[int]
    hours: float


POSITIONS = st.frozensets(st.integers(0, 59), max_size=12)
STEPS = st.builds(Step, POSITIONS, st.frozensets(st.integers(0, 59), max_size=6), st.floats(0.1, 900))


async def follow(steps: list[Step], requests: int, folder: Path) -> None:
    """Take a census after each step, then some of a quiet catalogue, and compare."""
    listed: set[int] = set()
    now = NOW
    whole = scenes()[:60]
    async with (
        DemoServer([], folder / "store", page_maximum=5) as server,
        watching(server, folder / "out", requests=requests, page=5) as watch,
    ):
        ever: set[str] = set()
        for step in steps:
            now += timedelta(hours=step.hours)
            listed = (listed | step.come) - step.go
            server.scenes[:] = [whole[at] for at in sorted(listed)]
            ever |= names(server.scenes)
            report = await watch.census(now)
            assert watch.requests <= 2 * requests + 1
            assert await watch.known() <= ever
            if requests > 20 and report.refused is None:
                assert await watch.believed() == names(server.scenes)
                assert await watch.known() == ever
        for _ in range(12 if requests < 20 else 1):
            now += timedelta(hours=25)
            await watch.census(now, believe=True)
        assert await watch.believed() == names(server.scenes)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=1, max_size=5), requests=st.sampled_from([500, 8]))
def test_a_census_knows_what_is_listed(steps: list[Step], requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(steps, requests, Path(folder)))


@pytest.mark.parametrize("seed", [3])
async def test_nothing_stays_unknown_or_believed_for_more_than_a_cycle(tmp_path: Path, seed: int) -> None:
    history = History(scenes(), seed=seed, rates=BUSY)
    step = timedelta(days=5)
    unknown: dict[str, datetime] = {}
    ghosts: dict[str, datetime] = {}
    async with (
        DemoServer([], tmp_path / "store", page_maximum=20) as server,
        watching(server, tmp_path / "out", requests=6, page=20) as watch,
    ):
        for number in range(36):
            now = history.day(200) + number * step
            server.scenes[:] = history.at(now)
            listed = names(server.scenes)
            report = await watch.census(now, believe=True)
            believed = await watch.believed()
            assert report.error is None
            unknown = {name: unknown.get(name, now) for name in listed - believed}
            ghosts = {name: ghosts.get(name, now) for name in believed - listed}
            assert [name for name, since in unknown.items() if now - since > CYCLE + step] == []
            assert [name for name, since in ghosts.items() if now - since > CYCLE + step] == []
    assert len(listed) > 6 * 20 * 0.6  # more than one run can list
