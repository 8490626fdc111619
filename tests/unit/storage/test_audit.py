"""The audit of a folder: what it reports while it goes on, and how it ends."""

from __future__ import annotations

import asyncio
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import pytest

from collgs_async.storage.audit import verify_folder
from collgs_async.storage.verify import Level

if TYPE_CHECKING:
    from pathlib import Path


class Event(NamedTuple):
    what: str
    name: str
    value: int | bool | None


class Recorded:
    """Collects the progress of an audit."""

    def __init__(self) -> None:
        self.expected = 0
        self.shown: list[bool] = []
        self.events: list[Event] = []

    def open(self) -> None:
        self.shown.append(True)

    def close(self) -> None:
        self.shown.append(False)

    def expect(self, products: int) -> None:
        self.expected = products

    def begin(self, name: str, *, size: int | None) -> None:
        self.events.append(Event("begin", name, size))

    def add(self, name: str, nbytes: int) -> None:
        self.events.append(Event("add", name, nbytes))

    def end(self, name: str, *, failed: bool) -> None:
        self.events.append(Event("end", name, failed))

    def of(self, name: str) -> list[tuple[str, int | bool | None]]:
        return [(event.what, event.value) for event in self.events if event.name == name]


def write_archive(path: Path) -> int:
    """Write a small archive of the product that its name states, and return its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}.SAFE/manifest.safe", "<manifest/>")
    return path.stat().st_size


async def test_a_good_archive_adds_its_bytes_and_a_bad_one_none(tmp_path: Path) -> None:
    good = write_archive(tmp_path / "year" / "GOOD.zip")
    (tmp_path / "BAD.zip").write_text("no archive")
    progress = Recorded()

    audit = await verify_folder(tmp_path, Level.CRC, progress)

    assert 2 == progress.expected
    assert [("begin", good), ("add", good), ("end", False)] == progress.of("year/GOOD.zip")
    assert [("begin", 10), ("end", True)] == progress.of("BAD.zip")
    assert (2, good + 10, [tmp_path / "BAD.zip"]) == (audit.checked, audit.bytes, [bad.path for bad in audit.bad])


async def test_an_archive_that_is_not_accessible_has_no_size_and_is_bad(tmp_path: Path) -> None:
    (tmp_path / "LOST.zip").symlink_to(tmp_path / "nowhere")
    progress = Recorded()

    audit = await verify_folder(tmp_path, Level.CRC, progress)

    assert [("begin", None), ("end", True)] == progress.of("LOST.zip")
    assert (1, 0, False) == (audit.checked, audit.bytes, audit.ok)


@pytest.mark.parametrize("level", list(Level))
async def test_each_of_many_archives_is_verified_once(tmp_path: Path, level: Level) -> None:
    names = [f"P{number:03}.zip" for number in range(40)]
    total = sum(write_archive(tmp_path / name) for name in names)
    progress = Recorded()

    audit = await verify_folder(tmp_path, level, progress)

    assert (40, total, True) == (audit.checked, audit.bytes, audit.ok)
    assert sorted(names) == sorted(event.name for event in progress.events if event.what == "end")


async def test_the_failed_ones_are_sorted_by_path(tmp_path: Path) -> None:
    paths = [tmp_path / f"P{number:02}.zip" for number in range(12)]
    for path in reversed(paths):
        path.write_text("no archive")

    audit = await verify_folder(tmp_path, Level.SIZE, Recorded())

    assert paths == [bad.path for bad in audit.bad]


async def test_a_failure_of_the_display_is_raised_as_it_is_and_ends_the_audit(tmp_path: Path) -> None:
    for number in range(40):
        write_archive(tmp_path / f"P{number:03}.zip")

    class Broken(Recorded):
        def add(self, name: str, nbytes: int) -> None:
            super().add(name, nbytes)
            raise RuntimeError("no display")

    progress = Broken()
    tasks = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="no display"):
        await verify_folder(tmp_path, Level.CRC, progress)

    assert tasks == asyncio.all_tasks()
    assert [True, False] == progress.shown
    assert len([event for event in progress.events if event.what == "begin"]) < 40
