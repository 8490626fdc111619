"""How many requests the store gets at once: halved by a refusal, tried again by one after a while."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from collgs_async.http.limits import PROBE_EACH, ConcurrencyLimiter
from tests.conftest import HANGS

if TYPE_CHECKING:
    from tests.conftest import RecordedSleeps


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock, sleeps: RecordedSleeps) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(16, clock=clock, sleep=sleeps)


async def test_no_more_pass_than_the_limit(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(3, clock=clock, sleep=sleeps)
    inside = most = 0

    async def request() -> None:
        nonlocal inside, most
        async with limiter.slot():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(request() for _ in range(20)))

    assert (0, 3) == (inside, most)


async def test_refusals_of_one_wave_halve_once(
    limiter: ConcurrencyLimiter, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    began = clock.now
    clock.now += 1
    with caplog.at_level(logging.WARNING, "collgs_async"):
        for _ in range(12):
            limiter.record_rejection(began, None)

    assert 8 == limiter.limit
    assert 1 == len(caplog.records)
    assert "continuing with 8 connections" in caplog.text


async def test_next_wave_halves_again_down_to_one(limiter: ConcurrencyLimiter, clock: Clock) -> None:
    limits = []
    for _ in range(6):
        clock.now += 1
        limiter.record_rejection(clock.now, None)
        limits.append(limiter.limit)

    assert [8, 4, 2, 1, 1, 1] == limits


async def test_no_request_passes_before_retry_after_is_over(
    limiter: ConcurrencyLimiter, clock: Clock, sleeps: RecordedSleeps
) -> None:
    limiter.record_rejection(clock.now, 30.0)

    async with limiter.slot():
        pass

    assert [30.0] == sleeps.seconds


async def test_one_more_is_tried_after_a_while_and_the_refused_level_is_remembered(
    limiter: ConcurrencyLimiter, clock: Clock
) -> None:
    limiter.record_rejection(clock.now, 0.0)
    clock.now += PROBE_EACH
    async with limiter.slot() as began:
        assert 9 == limiter.limit
        limiter.record_rejection(began, 0.0)
    assert 8 == limiter.limit

    clock.now += PROBE_EACH
    async with limiter.slot():
        assert 8 == limiter.limit, "after a refused probe the next one comes later"
    clock.now += PROBE_EACH
    async with limiter.slot():
        assert 9 == limiter.limit


async def test_without_refusals_it_opens_step_by_step_and_never_beyond_its_beginning(
    limiter: ConcurrencyLimiter, clock: Clock
) -> None:
    limiter.record_rejection(clock.now, 0.0)
    for _ in range(30):
        clock.now += PROBE_EACH
        async with limiter.slot():
            pass

    assert 16 == limiter.limit


async def test_what_is_half_here_goes_first(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(1, clock=clock, sleep=sleeps)
    order: list[str] = []

    async def request(name: str, *, ahead: bool) -> None:
        async with limiter.slot(ahead=ahead):
            order.append(name)
            await asyncio.sleep(0)

    async with limiter.slot():
        tasks = [asyncio.create_task(request("new", ahead=False)), asyncio.create_task(request("old", ahead=True))]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    assert ["old", "new"] == order


async def test_has_room_while_a_request_would_pass_at_once(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(2, clock=clock, sleep=sleeps)
    async with limiter.slot() as began:
        assert limiter.available()
        async with limiter.slot():
            assert not limiter.available(), "it is full"
        assert limiter.available()
        limiter.record_rejection(began, 10.0)
        assert not limiter.available(), "one is the most now"
    assert not limiter.available(), "the store asked to wait"
    clock.now += 10
    assert limiter.available()


async def test_waiting_requests_go_before_new_ones(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(2, clock=clock, sleep=sleeps)
    async with limiter.slot() as began:
        limiter.record_rejection(began, 0.0)
        passed = asyncio.Event()

        async def request() -> None:
            async with limiter.slot():
                passed.set()
                await asyncio.Event().wait()

        waiting = asyncio.create_task(request())
        await asyncio.sleep(0)
        assert not limiter.available()
        clock.now += PROBE_EACH

        assert not limiter.available(), "the one place more is for the request that waits"
        async with asyncio.timeout(HANGS):
            await passed.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert limiter.available()


async def test_a_cancelled_wait_gives_its_place_on(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(1, clock=clock, sleep=sleeps)

    async def request() -> str:
        async with limiter.slot():
            return "passed"

    async with limiter.slot():
        given_up = [asyncio.create_task(request()) for _ in range(3)]
        last = asyncio.create_task(request())
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    assert "passed" == await asyncio.wait_for(last, HANGS)


async def test_cancelled_at_the_moment_of_admission_gives_its_place_back(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(1, clock=clock, sleep=sleeps)

    async def request() -> str:
        async with limiter.slot():
            return "passed"

    async with limiter.slot():
        first, second = asyncio.create_task(request()), asyncio.create_task(request())
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert "passed" == await asyncio.wait_for(second, HANGS)


async def test_cancelled_just_before_its_turn_is_passed_over(clock: Clock, sleeps: RecordedSleeps) -> None:
    limiter = ConcurrencyLimiter(1, clock=clock, sleep=sleeps)

    async def request() -> str:
        async with limiter.slot():
            return "passed"

    async with limiter.slot():
        first, second = asyncio.create_task(request()), asyncio.create_task(request())
        await asyncio.sleep(0)
        first.cancel()

    [ended] = await asyncio.gather(first, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert "passed" == await asyncio.wait_for(second, HANGS)


async def test_after_an_outage_one_passes_and_one_more_for_each_that_is_accepted(limiter: ConcurrencyLimiter) -> None:
    limiter.open_slowly(5)
    limits = []
    for _ in range(6):
        limits.append(limiter.limit)
        limiter.record_success()

    assert [1, 2, 3, 4, 5, 5] == limits


async def test_a_refusal_ends_the_opening_after_an_outage(limiter: ConcurrencyLimiter, clock: Clock) -> None:
    limiter.open_slowly(16)
    for _ in range(3):
        limiter.record_success()
    clock.now += 1
    limiter.record_rejection(clock.now, None)
    limiter.record_success()

    assert 2 == limiter.limit


async def test_one_connection_is_told_of_once(
    limiter: ConcurrencyLimiter, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "collgs_async"):
        for _ in range(12):
            clock.now += 1
            limiter.record_rejection(clock.now, None)

    assert 1 == caplog.text.count("continuing with 1 connection\n")
