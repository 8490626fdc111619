"""Eight random schedules of faults, kills and new versions; ``benchmarks/schedules.py`` plays as many as one likes."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from collgs_async.storage.part import PartFile
from collgs_async.storage.sidecar import RemoteVersion
from tests.support.schedules import draw, play

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE = 4
HALF = 50


@pytest.mark.parametrize("first", range(0, 8, AT_ONCE))
async def test_every_schedule_ends_with_the_right_bytes_and_few_of_them_twice(tmp_path: Path, first: int) -> None:
    """Their seeds are their numbers."""
    seeds = range(first, first + AT_ONCE)
    all_played = await asyncio.gather(*(play(draw(seed), tmp_path / str(seed)) for seed in seeds))

    assert [] == [f"{played.schedule}: {played.problems}" for played in all_played if played.problems]
    assert sum(played.spoilt for played in all_played) > 0, "nothing was tried"


def test_a_schedule_is_the_same_each_time_and_another_for_another_seed() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


# ------------------------------------------------------------------------------ what schedules have found, made small


async def test_a_helper_that_leaves_after_the_publication_leaves_nothing_behind(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.zip")
    async with part:
        async with part:
            await part.set_version(RemoteVersion("http://h/a", 2 * HALF, '"tag"'))
            await part.write(HALF, b"b" * HALF)
            await part.write(0, b"a" * HALF)
        part.publish()

    assert ["a.zip"] == os.listdir(tmp_path)  # noqa: PTH208 - no Path is at work in a coroutine
    assert b"a" * HALF + b"b" * HALF == part.final.read_bytes()


async def test_bytes_that_follow_a_discarded_part_go_into_a_new_one_although_a_helper_is_still_there(
    tmp_path: Path,
) -> None:
    part = PartFile(tmp_path / "a.zip")
    async with part:
        await part.write(0, b"wrong")
        await part.discard()
        async with part:
            await part.write(0, b"right")

    assert b"right" == part.path.read_bytes()
