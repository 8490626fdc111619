"""Short work on a disk: here while the disk is quick, in a thread while it is slow, and always to its end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from collgs_async.storage import executor as executor_module
from collgs_async.storage.executor import DiskExecutor
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """Time that passes only when a test advances it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(executor_module, "time", clock)
    return clock


@pytest.fixture
def executor() -> Iterator[DiskExecutor]:
    with ThreadPoolExecutor(1, "there") as threads:
        yield DiskExecutor(threads)


async def where(executor: DiskExecutor) -> str:
    """Tell in which thread something is done."""
    name = await executor.run(lambda: threading.current_thread().name)
    return "there" if name.startswith("there") else "here"


async def test_quick_disk_is_worth_no_thread_once_it_is_known_to_be_quick(executor: DiskExecutor, clock: Clock) -> None:
    assert "there" == await where(executor)
    for _ in range(3):
        assert "here" == await where(executor)
        clock.now += executor_module._QUICK


async def test_slow_disk_holds_up_the_loop_once_in_a_hundred_times_as_long(
    executor: DiskExecutor, clock: Clock
) -> None:
    seconds = 0.005

    def slow() -> None:
        clock.now += seconds

    await where(executor)
    await executor.run(slow)
    assert "there" == await where(executor)
    clock.now += 0.49  # the five milliseconds themselves are part of the half second
    assert "there" == await where(executor)
    assert not executor._quick
    clock.now += 0.02
    assert "there" == await where(executor)
    assert "here" == await where(executor)


async def test_disk_that_stays_slow_never_holds_up_the_loop_again(executor: DiskExecutor, clock: Clock) -> None:
    threads: list[bool] = []

    def slow() -> None:
        threads.append(threading.current_thread() is threading.main_thread())
        clock.now += 2.0

    for _ in range(4):
        await executor.run(slow)
        clock.now += 300.0

    assert [False] * 4 == threads


async def test_failure_that_took_long_counts_as_slow_and_goes_up(executor: DiskExecutor, clock: Clock) -> None:
    def fail() -> None:
        clock.now += 1.0
        raise OSError(5, "Input/output error")

    await where(executor)
    with pytest.raises(OSError, match="Input/output error"):
        await executor.run(fail)
    assert "there" == await where(executor)
    with pytest.raises(OSError, match="Input/output error"):
        await executor.run(fail)


async def test_what_was_begun_in_a_thread_is_awaited_however_often_it_is_cancelled(
    executor: DiskExecutor,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work(word: str) -> None:
        begun.set()
        go_on.wait(HANGS)
        done.append(word)

    task = asyncio.create_task(executor.run(work, "whole"))
    await asyncio.to_thread(begun.wait, HANGS)
    for _ in range(3):
        task.cancel()
        await asyncio.wait([task], timeout=0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ["whole"] == done
