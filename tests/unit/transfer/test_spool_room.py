"""The room of a spool: jobs wait for those that are about to leave it, and never for each other."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.errors import NotAvailableError, StorageError
from collgs_async.http.retry import RetryPolicy
from collgs_async.models.product import Product
from collgs_async.storage.disk import Disk
from collgs_async.storage.part import PartFile
from collgs_async.transfer.job import DownloadJob
from collgs_async.transfer.room import RoomTaken
from collgs_async.transfer.spool_room import SpoolRoom
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOTAL = 1000
"""Bytes of the disk."""


class Spool:
    """A spool on a small disk, and the jobs of a run in it."""

    def __init__(self, disk: Disk, folder: Path, keep_free: float | str | None) -> None:
        self.folder = folder
        self.room = SpoolRoom(disk, folder, keep_free)
        self.used = self.most_used = 0

    def job(self, size: int, name: str = "job") -> DownloadJob:
        job = DownloadJob(Product(name, "http://store"), PartFile(self.folder / name), RetryPolicy(1), segments=1)
        job.expect(size)
        self.room.begin(job)
        return job

    async def enter(self, job: DownloadJob) -> None:
        """Do what the scheduler does: require the room, and wait for it where others are about to leave."""
        try:
            await self.room.require(job, ())
        except RoomTaken as taken:
            await taken.wait()

    def write(self, job: DownloadJob, count: int) -> None:
        held = job.part.held.total
        job.part.held.add(held, held + count)
        self.used += count
        self.most_used = max(self.used, self.most_used)

    def leave(self, job: DownloadJob) -> None:
        self.used -= job.part.held.total
        self.room.end(job)


@asynccontextmanager
async def on_a_small_disk(folder: Path, keep_free: float | str | None = None) -> AsyncIterator[Spool]:
    async with Disk(folder) as disk:
        spool = Spool(disk, folder, keep_free)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "collgs_async.storage.disk.shutil.disk_usage",
                lambda _: SimpleNamespace(total=TOTAL, free=TOTAL - spool.used),
            )
            yield spool


async def test_a_job_waits_until_there_is_room_for_all_of_its_archive(tmp_path: Path) -> None:
    async with on_a_small_disk(tmp_path) as spool:
        first, second, third = spool.job(500), spool.job(400), spool.job(300)
        await spool.enter(first)
        await spool.enter(second)
        waiting = asyncio.ensure_future(spool.enter(third))
        spool.write(first, 500)
        spool.write(second, 400)
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()

        spool.leave(second)

        async with asyncio.timeout(HANGS):
            await waiting


async def test_what_an_earlier_run_has_left_of_an_archive_needs_no_room_again(tmp_path: Path) -> None:
    async with on_a_small_disk(tmp_path) as spool:
        job = spool.job(TOTAL)
        spool.write(job, TOTAL - 1)

        await spool.enter(job)


async def test_jobs_that_would_all_wait_end_the_run(tmp_path: Path) -> None:
    """Neither has bytes that it could free: each has what is left of an earlier run, and needs more."""
    async with on_a_small_disk(tmp_path) as spool:
        first, second = spool.job(800, "first"), spool.job(800, "second")
        spool.write(first, 500)
        spool.write(second, 300)
        entering = [asyncio.ensure_future(spool.enter(job)) for job in (first, second)]

        ended, others = await asyncio.wait(entering, timeout=HANGS, return_when=asyncio.FIRST_EXCEPTION)

        for one in others:
            one.cancel()
        [error] = [str(one.exception()) for one in ended]
        assert re.search(r": 200 B are free, and \d+ B of an archive are still to come", error)


async def test_an_archive_larger_than_the_disk_fails_alone(tmp_path: Path) -> None:
    async with on_a_small_disk(tmp_path) as spool:
        await spool.enter(spool.job(900))

        with pytest.raises(NotAvailableError, match=r"announces 1\.1 kB, and the whole disk of the spool has 1\.0 kB"):
            await spool.enter(spool.job(1100))


async def test_what_is_to_be_kept_free_is_no_room(tmp_path: Path) -> None:
    async with on_a_small_disk(tmp_path, "30%") as spool:
        await spool.enter(spool.job(700))
        with pytest.raises(RoomTaken):
            await spool.room.require(spool.job(1), ())

    async with on_a_small_disk(tmp_path, "30%") as spool:
        with pytest.raises(StorageError, match="700 B are free beyond the keep_free of 30%, and 701 B"):
            await spool.enter(spool.job(701))


async def test_what_does_not_go_into_the_spool_needs_no_room_there(tmp_path: Path) -> None:
    async with on_a_small_disk(tmp_path) as spool:
        spool.used = TOTAL
        elsewhere = spool.job(500)
        spool.room.end(elsewhere)

        await spool.room.require(elsewhere, ())


@given(
    sizes=st.lists(st.integers(1, TOTAL), min_size=1, max_size=12),
    blocks=st.lists(st.integers(1, 300), min_size=1, max_size=12),
)
def test_every_job_comes_through_and_the_disk_is_never_full(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], blocks: list[int]
) -> None:
    async def run() -> Spool:
        async with on_a_small_disk(tmp_path_factory.getbasetemp()) as spool:

            async def download(number: int, size: int) -> None:
                job, block = spool.job(size, f"job{number}"), blocks[number % len(blocks)]
                try:
                    await spool.enter(job)
                    while (left := job.to_store) > 0:
                        spool.write(job, min(block, left))
                        await asyncio.sleep(0)
                finally:
                    spool.leave(job)

            async with asyncio.timeout(HANGS), asyncio.TaskGroup() as group:
                for number, size in enumerate(sizes):
                    group.create_task(download(number, size))
            return spool

    spool = asyncio.run(run())

    assert spool.most_used <= TOTAL
    assert 0 == spool.used
