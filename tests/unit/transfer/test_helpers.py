"""Helpers of a download end with it, whatever else happens at that moment."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.transfer.active_segments import ActiveSegments
from collgs_async.transfer.helpers import IDLE_POLL, SegmentHelpers
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Coroutine


pytestmark = pytest.mark.timeout(HANGS)  # a time-out of asyncio would be a cancellation, which is what gets lost


class Job(ActiveSegments):
    """A download with one segment, whose store is busy."""

    def __init__(self) -> None:
        super().__init__()
        self.url = "https://store.test/product.zip"
        self.max_segments = 3
        self.active: list[Any] = [object()]


class BusyStores:
    def of(self, _: str) -> BusyStores:
        return self

    def is_available(self) -> bool:
        return False


async def hold_up_the_loop() -> str:
    """End right when the time-outs of all that waits have passed, as after a long write or on a busy machine."""
    await asyncio.sleep(0)
    time.sleep(2 * IDLE_POLL)  # noqa: ASYNC251 - that is what is tested
    return "whole"


async def accompanied(own_work: Coroutine[Any, Any, str]) -> str:
    stores: Any = BusyStores()
    fetcher: Any = None
    job: Any = Job()
    return await SegmentHelpers(stores, fetcher).accompany(job, own_work)


async def test_helpers_whose_pause_ends_with_the_download_end_too() -> None:
    assert "whole" == await accompanied(hold_up_the_loop())


async def test_helper_is_stopped_once() -> None:
    """The first cancellation lets it write what it has received; a second one would interrupt that."""
    job: Any = Job()
    job.active.clear()
    written: list[str] = []

    async def helper() -> bool:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            written.append("last bytes")
        return True

    job.add_helper(task := asyncio.create_task(helper()))
    task.add_done_callback(job.remove_helper)
    await asyncio.sleep(0)
    job.stop_helper(task)
    await job.cancel_segments()

    assert ["last bytes"] == written
