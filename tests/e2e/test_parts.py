"""Chosen bands by the real command: killed, interrupted, twice at once, on a full disk."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import HANGS
from tests.support.commands import MIB, assert_clean_exit, at_url, may_mount, on_linux, ran, stored_scenes, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command

SIZE = 30_000_000
WISH = ("--bands", "B02,B03,B04,B08", "--resolution", "10")
KILL = signal.SIGKILL
WORKERS = 2
LOST = WORKERS * 4 * MIB


def members_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist()}


def wrong_files(tree: Path, right: dict[str, bytes]) -> list[str]:
    """Files under the name of a member, or of none, that are not that member."""
    files = [path for path in tree.rglob("*") if path.is_file() and path.suffix not in {".part", ".json"}]
    return [path.name for path in files if right.get(path.relative_to(tree).as_posix()) != path.read_bytes()]


def bands_in(tree: Path) -> set[str]:
    return {path.stem.split("_")[2] for path in tree.rglob("*_10m.jp2")}


def recorded(part: Path) -> list[tuple[int, int]]:
    """The ranges that a part's sidecar lists."""
    try:
        return [(first, end) for first, end in json.loads(part.with_name(f"{part.name}.json").read_bytes())["ranges"]]
    except FileNotFoundError:
        return []


def asked_of(hit: Any) -> tuple[int, int]:
    first, _, last = hit.range.removeprefix("bytes=").partition("-")
    return (int(first), int(last) + 1 if last else SIZE) if first else (SIZE, SIZE)


@on_linux
async def test_a_run_that_is_killed_at_any_moment_goes_on_where_it_was(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(1, SIZE), rate=6e6)
    (scene,) = site.server.scenes
    original = site.original(scene)
    right, tree, part = members_of(original), site.folder / f"{scene.identifier}.parts", site.archive(scene)
    part = part.with_name(f"{part.name}.part")
    words = (*at_url(site), *WISH, "--workers", WORKERS)
    held: list[tuple[int, int]] = []

    def moved(goal: int, since: int) -> bool:
        # What an interpreter does that is interrupted before it has begun is its own affair.
        return len(site.server.requests) > since and site.moved() >= goal

    for goal, number in (
        (0, signal.SIGKILL),
        (3 * MIB, signal.SIGKILL),
        (6 * MIB, signal.SIGINT),
        (9 * MIB, signal.SIGKILL),
    ):
        since = len(site.server.requests)
        process = await command.start(*words)
        await until(partial(moved, goal, since), process)
        process.send_signal(number)
        async with asyncio.timeout(HANGS):
            ended = assert_clean_exit(await command.end(process))
        assert {KILL: -9, signal.SIGINT: 130}[number] == ended.code
        assert [] == wrong_files(tree, right)
        assert not site.archive(scene).exists()
        hits = [hit for hit in site.server.requests[since:] if hit.path.startswith("/repository/")]
        again = [asked_of(hit) for hit in hits]
        assert not [one for one in again if any(first <= one[0] < end for first, end in held)]
        held = recorded(part)
        written = part.stat().st_blocks * 512 if part.exists() else 0
        assert written <= sum(end - first for first, end in held) + LOST

    assert 0 == assert_clean_exit(await command(*words)).code
    assert [] == wrong_files(tree, right)
    assert {"B02", "B03", "B04", "B08"} <= bands_in(tree)
    assert [tree.name] == [path.name for path in site.folder.iterdir()]
    before = site.moved()

    # Over one connection: one that is cut short, as another takes its rest, moves a little more.
    assert 0 == assert_clean_exit(await command(*at_url(site), "--segments", "1")).code
    assert original == site.archive(scene).read_bytes()
    assert {tree.name, site.archive(scene).name} == {path.name for path in site.folder.iterdir()}
    taken = sum(path.stat().st_size for path in tree.rglob("*_10m.jp2"))
    assert site.moved() - before <= SIZE - taken


async def test_two_runs_with_other_wishes_get_both(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(stored_scenes(1, SIZE), rate=4e6)
    (scene,) = site.server.scenes
    right, tree = members_of(site.original(scene)), site.folder / f"{scene.identifier}.parts"
    first = await command.start(*at_url(site), "--bands", "B02,B03", "--resolution", "10")
    await until(lambda: site.moved() > MIB, first)

    second = assert_clean_exit(await command(*at_url(site), "--bands", "B02,B04", "--resolution", "10"))
    ended = assert_clean_exit(await command.end(first))

    assert (0, 0) == (ended.code, second.code), second.err
    assert {"B02", "B03", "B04"} == bands_in(tree)
    assert [] == wrong_files(tree, right)
    assert [tree.name] == [path.name for path in site.folder.iterdir()]


FULL_DISK = """
mount -t tmpfs -o size=10m tmpfs "$OUT" || exit 77
"$@" 2> first.err; echo $? > first.code
cp -R "$OUT" first
mount -o remount,size=64m "$OUT"
head -c 48m /dev/zero > "$OUT/other"
"$@" 2> second.err; echo $? > second.code
cp -R "$OUT" second
rm "$OUT/other"
mount -o remount,ro "$OUT"
"$@" 2> third.err; echo $? > third.code
mount -o remount,rw "$OUT"
"$@" 2> fourth.err; echo $? > fourth.code
cp -R "$OUT" fourth
"""
"""Runs a command in a folder that is a disk of its own: too small, full, read-only, large enough."""


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
async def test_a_full_or_read_only_disk_stops_the_run_and_the_next_one_goes_on(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(1, SIZE))
    (scene,) = site.server.scenes
    right = members_of(site.original(scene))
    site.folder.mkdir()
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", FULL_DISK, "sh"),
        *(sys.executable, "-m", "collgs_async", *map(str, (*at_url(site), *WISH))),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    await shell.wait()

    for number, words in (("first", "are free"), ("second", "are free"), ("third", "Read-only file system")):
        ended = ran(command.folder, number)
        assert (1, True) == (ended.code, words in ended.err)
    assert 0 == ran(command.folder, "fourth").code
    tree = command.folder / "fourth" / f"{scene.identifier}.parts"
    for number in ("first", "second", "fourth"):
        assert [] == wrong_files(command.folder / number / tree.name, right)
    assert {"B02", "B03", "B04", "B08"} <= bands_in(tree)
    assert [tree.name] == [path.name for path in tree.parent.iterdir()]
