"""Limits that several processes share: what one grants is what another uses."""

from __future__ import annotations

import asyncio

from collgs_async.http.limits import RateLimiter
from collgs_async.http.shared_limits import GrantedLimiter
from tests.conftest import HANGS
from tests.support.clocks import Clock, until


async def test_nothing_begins_before_it_is_granted_and_then_as_much_as_is() -> None:
    limiter = GrantedLimiter(8)
    inside: list[int] = []

    async def request(number: int) -> None:
        async with limiter.slot():
            inside.append(number)
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert (0, 4, []) == (limiter.active, limiter.waiting, inside)
        limiter.grant(3, 1.0)
        await asyncio.sleep(0)
        assert (3, 1, [0, 1, 2]) == (limiter.active, limiter.waiting, inside)
        limiter.grant(1, 2.0)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        assert (1, 1) == (limiter.active, limiter.waiting)
        assert not limiter.available()
        for task in tasks:
            task.cancel()


async def test_a_request_carries_the_moment_of_its_permit() -> None:
    limiter = GrantedLimiter(8)
    limiter.grant(1, 17.0)

    async with limiter.slot() as started:
        limiter.grant(1, 18.0)
        limiter.record_rejection(started, 1.0)

    assert [(17.0, 1.0)] == limiter.take_rejections()
    assert [] == limiter.take_rejections()


async def test_a_rejection_is_not_followed_by_as_many_requests_before_it_is_known_to_all() -> None:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        await asyncio.sleep(0)

    limiter = GrantedLimiter(8, clock=clock, sleep=sleep)
    limiter.grant(4, 1.0)
    for _ in range(3):
        limiter.record_rejection(1.0, 5.0)

    assert 2 == limiter.granted
    assert not limiter.available()
    begun = clock.now
    async with limiter.slot():
        assert clock.now >= begun + 5


async def test_slots_that_wait_for_the_server_are_returned_if_less_is_granted_meanwhile() -> None:
    opens = asyncio.Event()
    clock = Clock()

    async def sleep(seconds: float) -> None:
        await opens.wait()
        clock.now += seconds

    limiter = GrantedLimiter(8, clock=clock, sleep=sleep)
    limiter.grant(4, 1.0)
    limiter.record_rejection(1.0, 5.0)
    limiter.grant(4, 1.0)
    inside = 0

    async def request() -> None:
        nonlocal inside
        async with limiter.slot():
            inside += 1
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(request()) for _ in range(4)]
    await asyncio.sleep(0)
    assert 4 == limiter.active
    limiter.grant(1, 2.0)
    opens.set()
    await until(lambda: limiter.active == 1 and inside == 1)

    assert (1, 1, 3) == (inside, limiter.active, limiter.waiting)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (0, 0) == (limiter.active, limiter.waiting)


def test_a_process_uses_its_share_of_a_rate() -> None:
    limiter = RateLimiter(1000.0)
    limiter.share = 0.25

    assert 250.0 == limiter.rate
    limiter.share = 1.0
    assert 1000.0 == limiter.rate
    assert RateLimiter(None).rate is None


async def test_a_process_without_a_share_of_the_rate_does_not_wait_for_ever() -> None:
    limiter = RateLimiter(1000.0)
    limiter.share = 0.0

    async with asyncio.timeout(HANGS):
        await limiter.resume()
        await limiter.consume(1)
