"""The limit of bytes a second, with a clock that moves only during waits."""

from __future__ import annotations

import asyncio

import pytest

from collgs_async.http.limits import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def rate_limiter(clock: Clock, rate: float | None) -> RateLimiter:
    return RateLimiter(rate, clock=clock, sleep=clock.sleep)


async def test_bytes_take_as_long_as_the_rate_says() -> None:
    clock = Clock()
    limit = rate_limiter(clock, 1000)

    for _ in range(10):
        await limit.consume(500)

    assert 105.0 == pytest.approx(clock.now)


async def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    limit = rate_limiter(clock, 1000)
    clock.now += 3600

    await limit.consume(2000)

    assert [2.0] == pytest.approx(clock.waits)


async def test_slow_line_waits_for_nothing_more() -> None:
    """A second on the line between two payments of half a second each."""
    clock = Clock()
    limit = rate_limiter(clock, 1000)

    await limit.consume(500)
    clock.now += 1
    await limit.consume(500)

    assert 102.0 == pytest.approx(clock.now)


async def test_all_connections_share_one_limit() -> None:
    asked: list[float] = []

    async def note(seconds: float) -> None:
        asked.append(seconds)
        await asyncio.sleep(0)

    limit = RateLimiter(1000, clock=lambda: 0.0, sleep=note)
    await asyncio.gather(*(limit.consume(1000) for _ in range(4)))

    assert [1.0, 2.0, 3.0, 4.0] == asked


async def test_no_limit_never_waits() -> None:
    clock = Clock()
    limit = rate_limiter(clock, None)

    await limit.consume(10**12)

    assert [] == clock.waits
    assert 2**20 == limit.block_size(2**20)


@pytest.mark.parametrize(
    ("rate", "piece"),
    [
        pytest.param(1, 16 * 1024, id="never smaller than 16 KiB"),
        pytest.param(1_000_000, 100_000, id="a tenth of a second"),
        pytest.param(10**9, 2**20, id="never larger than the block"),
    ],
)
def test_slow_run_takes_small_pieces(rate: float, piece: int) -> None:
    assert piece == rate_limiter(Clock(), rate).block_size(2**20)
