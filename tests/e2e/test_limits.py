"""The command at a limit that was asked for: what it says, its exit code, and that the next run goes on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import fault, first_byte
from tests.support.commands import at_url, files_below, may_mount, originals, ran, stored_scenes, wrong_finals

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command, CommandHere


async def test_a_limit_is_named_with_what_is_left_and_ends_with_3(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site = await serve(stored_scenes(4, 500_000))
    words = (*at_url(site), "--workers", 1)

    first = await run_cli(*words, "--max-bytes", "1200k")
    second = await run_cli(*words, COLLGS_MAX_BYTES="1500k")
    third = await run_cli(*words, "--max-bytes", "1")

    assert (3, 0, 0) == (first.code, second.code, third.code)
    assert "stopping: max_bytes of 1.2 MB is reached" in first.err
    assert re.search(r"Stopped at a limit: max_bytes of 1\.2 MB is reached; [234] products left\.", first.err)
    assert "Run the same command again" in first.err
    assert not any(line.startswith("error") for line in first.err.splitlines())
    assert "Stopped" not in second.err + third.err


async def test_a_failure_beside_a_limit_counts_more(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    scenes = stored_scenes(4, 500_000)
    async with (await serve(scenes)).client() as client:
        first = (await client.search().collect())[0].identifier
    site = await serve(scenes, faults={first: (fault("missing"),)})

    ended = await run_cli(*at_url(site), "--workers", 1, "--max-bytes", "1200k")

    assert 1 == ended.code
    assert f"{first}: HTTP 404" in ended.err
    assert re.search(r"Stopped at a limit: max_bytes of 1\.2 MB is reached; [123] products? left\.", ended.err)


async def test_a_limit_before_the_first_product_says_so(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(stored_scenes(2, 500_000))

    ended = await run_cli(*at_url(site), "--max-bytes", "1k", "--report", "report.json")

    assert 3 == ended.code
    assert "Nothing was downloaded to its end" in ended.err
    assert "2 products left" in ended.err
    summary = json.loads((run_cli.folder / "report.json").read_bytes())["summary"]
    assert {"setting": "max_bytes", "message": "max_bytes of 1.0 kB is reached", "left": 2} == summary["limit"]


TIMETABLE = "HH:MM,RATE or Mon-HH:MM,RATE with a rate such as 2M, 0 (pause) or off"


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--max-bytes", "many", "bytes such as 500M, 200G or 1.5T"),
        ("--max-time", "0", "seconds, or a number with m, h or d such as 6h; more than 0"),
        ("--until", "25:00", "a time of the day such as 06:00"),
        ("--keep-free", "100%", "bytes such as 200G, or a share of the disk such as 5%"),
        ("--limit-rate", "8,2M", TIMETABLE),
    ],
)
async def test_a_wrong_limit_is_refused_in_one_line(run_cli: CommandHere, flag: str, value: str, expected: str) -> None:
    ended = await run_cli("--collection", "S2_MSIL2A", flag, value)

    assert 2 == ended.code
    assert f'error: {flag}: expected {expected}, found "{value}"\n' == ended.err


SMALL_DISK = """
mount -t tmpfs -o size=18m tmpfs "$OUT" || exit 77
"$@" --keep-free 4M 2> first.err; echo $? > first.code
cp -R "$OUT" first
"$@" --keep-free 25% 2> same.err; echo $? > same.code
mount -o remount,size=64m "$OUT"
"$@" --keep-free 4M 2> second.err; echo $? > second.code
cp -R "$OUT" second
"""
"""Runs a command in a folder that is a disk of its own, in which four of six archives have room, then enlarges it."""


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
@pytest.mark.parametrize("workers", [1, 4])
async def test_room_is_kept_on_the_disk_and_after_making_room_the_next_run_goes_on(
    serve: Callable[..., Any], command: Command, workers: int
) -> None:
    site = await serve(stored_scenes(6, 3_000_000), rate=20e6)
    right = originals(site)
    site.folder.mkdir()
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", SMALL_DISK, "sh"),
        *(sys.executable, "-m", "collgs_async", *map(str, at_url(site)), "--workers", str(workers)),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    await shell.wait()

    first, same, second = (ran(command.folder, name) for name in ("first", "same", "second"))
    assert (3, 3, 0) == (first.code, same.code, second.code)
    here = files_below(command.folder / "first")
    assert 4 == len(here), here
    assert all(name.endswith(".zip") for name in here)
    assert [] == wrong_finals(command.folder / "first", right)
    assert "4 downloaded" in first.err
    assert "2 products left" in first.err
    assert "keep_free of 4.0 MB is reached" in first.err
    assert "keep_free of 25% is reached" in same.err
    assert sorted(right) == files_below(command.folder / "second")
    assert [] == wrong_finals(command.folder / "second", right)
    assert len({hit.path for hit in site.archive_hits()}) == 6
    assert all(first_byte(hit) == 0 for hit in site.archive_hits())
