"""The limit of bytes a second, with a clock that moves only during waits."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from collgs_async.http.limits import RateLimiter
from collgs_async.models.timetable import RateTimetable
from collgs_async.models.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator


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


class WallClock(Clock):
    """A clock that shows a date and time, too."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self._since = datetime.fromisoformat(moment).timestamp() - self.now

    def wall(self) -> float:
        return self._since + self.now

    def timetable(self, text: str) -> RateLimiter:
        timing = Timing(self.sleep, clock=self, wall=self.wall)
        return RateLimiter(RateTimetable.parse(text), clock=self, sleep=self.sleep, timing=timing)


@pytest.fixture
def in_luxembourg(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Luxembourg")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_luxembourg")
@pytest.mark.parametrize(
    ("begin", "table", "seconds"),
    [
        pytest.param("2026-06-03T07:59:50+02:00", "08:00,100 23:00,1000", 10 + 100, id="10000 bytes, then 10000 more"),
        pytest.param("2026-06-03T07:59:50+02:00", "08:00,off 23:00,1000", 10, id="no limit from then on"),
        pytest.param("2026-06-03T07:59:55+02:00", "08:00,0 09:00,3000 23:00,1000", 5 + 3600 + 5, id="a pause"),
        pytest.param("2026-03-29T01:50:00+01:00", "01:00,0 02:30,1000", 600 + 20, id="the clock skips a border"),
        pytest.param("2026-10-25T02:50:00+02:00", "01:00,0 03:00,1000", 4200 + 20, id="the clock is put back"),
    ],
)
async def test_the_rate_changes_at_each_border(begin: str, table: str, seconds: float) -> None:
    clock = WallClock(begin)
    limit, began = clock.timetable(table), clock.now

    for _ in range(4):
        await limit.consume(5000)

    assert seconds == pytest.approx(clock.now - began)


@pytest.mark.usefixtures("in_luxembourg")
async def test_all_connections_go_on_at_the_new_rate() -> None:
    """Four are waiting for 80 s when the tenfold rate begins after 20 s."""
    turns: list[asyncio.Future[None]] = []
    clock = WallClock("2026-06-03T07:59:40+02:00")

    async def sleep(seconds: float) -> None:
        until = clock.now + seconds
        while clock.now < until:
            turns.append(asyncio.get_running_loop().create_future())
            await turns[-1]

    limit = RateLimiter(
        RateTimetable.parse("08:00,1000 23:00,100"),
        clock=clock,
        sleep=sleep,
        timing=Timing(sleep, clock=clock, wall=clock.wall),
    )
    began = clock.now
    waiting = [asyncio.create_task(limit.consume(2000)) for _ in range(4)]
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0)
        clock.now += 0.5
        for turn in turns:
            if not turn.done():
                turn.set_result(None)

    assert 20 + 6 == pytest.approx(clock.now - began, abs=3)


@pytest.mark.usefixtures("in_luxembourg")
async def test_nothing_is_asked_for_during_a_pause() -> None:
    clock = WallClock("2026-06-03T07:30:00+02:00")
    limit, began = clock.timetable("00:00,0 08:00,off"), clock.now

    rates = [limit.rate]
    await limit.resume()

    assert [0, None] == [*rates, limit.rate]
    assert 1800 == pytest.approx(clock.now - began)
    assert max(clock.waits) <= 60


@pytest.mark.usefixtures("in_luxembourg")
def test_blocks_follow_the_rate() -> None:
    clock = WallClock("2026-06-03T07:30:00+02:00")
    limit = clock.timetable("00:00,off 08:00,1M 09:00,0")

    sizes = []
    for _ in range(3):
        sizes.append(limit.block_size(2**20))
        clock.now += 3600

    assert [2**20, 100_000, 2**20] == sizes
