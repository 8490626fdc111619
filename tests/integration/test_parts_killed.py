"""An extraction that is killed at any of its steps leaves right files only, and can be repeated."""

from __future__ import annotations

import os
import signal
import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest

from collgs_async.storage.part import PartFile
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_directory import read_members
from tests.support.archives import written
from tests.support.odd_archives import NOISE, TEXT, entries
from tests.support.servers import files_in
from tests.support.trees import ID, extracted, files_below, record_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = {"P.SAFE/manifest.safe": TEXT, "P.SAFE/GRANULE/B02.jp2": NOISE, "P.SAFE/empty.xml": b""}
STEPS = ("mkdir", "pwrite", "fsync", "replace", "ftruncate")


class Steps:
    """Kills the process before one of its steps on the disk."""

    def __init__(self, left: int) -> None:
        self._left = left
        for name in STEPS:
            setattr(os, name, partial(self._do, getattr(os, name)))

    def _do(self, step: Callable[..., object], *given: object, **named: object) -> object:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*given, **named)


def is_killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a child process that is killed before a step; return whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of this process
        child = os.fork()
    if child == 0:
        try:
            Steps(step)
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_killed_extraction_leaves_right_files_only(tmp_path: Path) -> None:
    archive = tmp_path / "P.zip.part"
    archive.write_bytes(written(entries()))
    directory = read_members(archive)
    tree = PartsTree(tmp_path / "P.parts")
    record = record_of(archive.read_bytes())

    def work() -> None:
        tree.write_record(record)
        held, _ = tree.extract(archive, directory, directory.members)
        tree.write_record(record.with_members(held))

    kills, unfinished = 0, 0
    while is_killed_at(kills, work):
        kills += 1
        found = files_below(tree.folder) if tree.folder.exists() else {}
        named = {name: data for name, data in found.items() if not name.endswith(".part")}
        named.pop("parts.json", None)
        unfinished += len(found) > len(named) + ("parts.json" in found)
        assert named.items() <= CONTENT.items()
        recorded = tree.read_record()
        assert recorded is None or tree.here(recorded) <= named.keys()
        assert named.keys() == {one.name for one in tree.adopt(directory.members)}
        if kills % 2:  # also with what the kills before have left
            for path in sorted(tree.folder.rglob("*"), reverse=True) if tree.folder.exists() else []:
                path.rmdir() if path.is_dir() else path.unlink()

    assert kills > 15
    assert unfinished
    recorded = tree.read_record()
    assert recorded is not None
    assert set(CONTENT) == tree.here(recorded)
    assert ["P.SAFE", "parts.json"] == files_in(tree.folder)


async def test_a_killed_seeding_leaves_no_part_file_whose_gaps_count_as_data(tmp_path: Path) -> None:
    data = written(entries())
    tree, record = extracted(tmp_path, data)
    final = tmp_path / f"{ID}.zip"
    kills = 0
    while is_killed_at(kills, lambda: tree.seed(PartFile(final).path, record, record.remote)):
        kills += 1
        async with PartFile(final) as part:
            content = part.path.read_bytes() if part.path.exists() else b""
            assert all(content[first:end] == data[first:end] for first, end in part.held)
            await part.discard()

    part = PartFile(final)
    async with part:
        content = part.path.read_bytes()
        assert record.remote == part.remote
        assert all(content[first:end] == data[first:end] for first, end in part.held)
        assert ByteRanges([(0, len(data))]) != part.held
    assert kills > 3
    assert [] == [name for name in files_in(tmp_path) if name.endswith("~")]


@pytest.mark.parametrize("names", [None, ["P.SAFE/GRANULE/B02.jp2"]])
async def test_a_seeded_part_file_is_an_ordinary_one(tmp_path: Path, names: list[str] | None) -> None:
    data = written(entries())
    tree, record = extracted(tmp_path, data, names)
    part = PartFile(tmp_path / f"{ID}.zip")

    held = tree.seed(part.path, record, record.remote)

    async with part:
        assert (held, record.remote, True) == (part.held, part.remote, part.has_gaps)
        for first, end in held.gaps(len(data)):
            await part.write(first, data[first:end])
    part.publish()
    assert data == part.final.read_bytes()
