"""Products that are put off: they hold no worker, and each comes back when it is due or when its turn has come."""

from __future__ import annotations

import asyncio
from collections import Counter
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.errors import StorageError
from collgs_async.http.retry import parse_retry_after
from collgs_async.models.product import Outcome, Product, Status
from collgs_async.models.timing import Timing
from collgs_async.pipeline import MOST_PUT_OFF, Later, run_pipeline
from collgs_async.transfer.history import Waiting
from tests.conftest import HANGS, RecordedSleeps
from tests.support.pipeline import QUEUE, WORKERS, Source, turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class Turns:
    """A turn that comes when it is opened, and lets one through for want of others when that is allowed."""

    def __init__(self, *, takes_one: bool = False) -> None:
        self.opened = asyncio.Event()
        self._takes_one = takes_one

    def has_come(self) -> bool:
        return self.opened.is_set()

    def takes_one(self) -> bool:
        return self._takes_one

    async def wait(self) -> None:
        await self.opened.wait()


class Work:
    """Puts each product off so many times as is said for it, before it has an outcome."""

    def __init__(self, times: Callable[[str], int], later: Callable[..., Later]) -> None:
        self.asked: list[str] = []
        self.turns: Counter[str] = Counter()
        self._times = times
        self._later = later

    async def __call__(self, product: Product) -> Outcome | Later:
        name = product.identifier
        self.asked.append(name)
        self.turns[name] += 1
        await asyncio.sleep(0)
        if self.turns[name] <= self._times(name):
            return self._later(partial(self, product))
        return Outcome(product, Status.DOWNLOADED)


async def run(
    source: Source,
    work: Work,
    *,
    workers: int = WORKERS,
    sleeps: RecordedSleeps | None = None,
    max_put_off: int = MOST_PUT_OFF,
) -> list[str]:
    settled: list[str] = []
    async with asyncio.timeout(HANGS):
        await run_pipeline(
            source(),
            work,
            lambda outcome: settled.append(outcome.product.identifier),
            workers=workers,
            queue_size=QUEUE,
            timing=Timing(sleeps or RecordedSleeps()),
            max_put_off=max_put_off,
        )
    return settled


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 5), st.floats(0, 100))
def test_whatever_is_put_off_has_one_outcome_in_the_end(times: list[int], workers: int, seconds: float) -> None:
    work = Work(lambda name: times[int(name[1:])], partial(Later, seconds=seconds))

    settled = asyncio.run(run(Source(len(times)), work, workers=workers))

    assert sorted(f"P{number}" for number in range(len(times))) == sorted(settled)
    assert [count + 1 for count in times] == [work.turns[f"P{number}"] for number in range(len(times))]


async def test_a_product_put_off_holds_no_worker() -> None:
    """With one worker, the first comes back after all the others."""
    limiter = Turns()
    work = Work(lambda name: int(name == "P0"), partial(Later, turn=limiter))

    def settle_and_open(outcome: Outcome) -> None:
        settled.append(outcome.product.identifier)
        if len(settled) == 9:
            limiter.opened.set()

    settled: list[str] = []
    async with asyncio.timeout(HANGS):
        await run_pipeline(Source(10)(), work, settle_and_open, workers=1, queue_size=QUEUE)

    assert [*(f"P{number}" for number in range(1, 10)), "P0"] == settled


async def test_for_want_of_others_one_is_taken_before_its_turn_has_come() -> None:
    work = Work(lambda name: int(name < "P3"), partial(Later, turn=Turns(takes_one=True)))

    settled = await run(Source(10), work, workers=1)

    assert 10 == len(settled)
    assert ["P0", "P1", "P2"] == settled[-3:]


async def test_no_more_are_put_off_than_may_be() -> None:
    limiter, source = Turns(), Source(1000)
    work = Work(lambda _: 1, partial(Later, turn=limiter))
    running = asyncio.create_task(run(source, work, max_put_off=7))
    await turns(3000)

    assert 7 <= len(work.asked) <= 7 + WORKERS
    assert source.given <= 7 + WORKERS + QUEUE + 1
    limiter.opened.set()
    assert 1000 == len(await running)


async def test_a_slow_search_does_not_keep_back_what_is_due() -> None:
    found = asyncio.Event()

    async def slow_search() -> AsyncGenerator[Product, None]:
        yield Product("P0", url=None)
        await found.wait()
        yield Product("P1", url=None)

    def settle(_: Outcome) -> None:
        found.set()

    work = Work(lambda name: int(name == "P0"), partial(Later, seconds=30))
    async with asyncio.timeout(HANGS):
        await run_pipeline(slow_search(), work, settle, workers=1, queue_size=QUEUE, timing=Timing(RecordedSleeps()))

    assert ["P0", "P0", "P1"] == work.asked


async def test_a_helping_worker_is_called_back_when_a_product_is_due() -> None:
    """Help that never ends would else keep the product for ever."""
    helping, called_back = asyncio.Event(), 0

    async def help_for_ever() -> None:
        nonlocal called_back
        helping.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            called_back += 1
            raise

    async def sleep(_: float) -> None:
        await helping.wait()

    work = Work(lambda _: 1, partial(Later, seconds=30))
    running = run_pipeline(
        Source(1)(), work, lambda _: done.set(), workers=1, queue_size=QUEUE, idle=help_for_ever, timing=Timing(sleep)
    )
    done = asyncio.Event()
    task = asyncio.create_task(running)
    async with asyncio.timeout(HANGS):
        await done.wait()
    task.cancel()
    await asyncio.wait([task])

    assert called_back >= 1


async def test_an_error_ends_the_waiting() -> None:
    async def failing(product: Product) -> Outcome | Later:
        if product.identifier == "P1":
            await turns(50)
            raise StorageError("full")
        return Later(partial(failing, product), turn=Turns())

    with pytest.raises(StorageError, match="full"):
        await run_pipeline(Source(5)(), failing, lambda _: None, workers=2, queue_size=QUEUE)


# Time


async def test_the_clock_agrees_with_a_sleep_that_only_pretends() -> None:
    timing = Timing(RecordedSleeps(), clock=lambda: 5.0)

    await asyncio.gather(timing.sleep(30), timing.sleep(10))
    await timing.sleep(0)

    assert 35.0 == timing.now()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("2.", 2.0),
        ("0.25", 0.25),
        ("1" * 30, 111111111111.0),
        ("-1", None),
        ("-1.5", None),
        ("1,5", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_read_with_a_fraction_and_never_as_nonsense(text: str, seconds: float | None) -> None:
    assert seconds == parse_retry_after({"Retry-After": text})


def test_retry_after_may_be_a_date() -> None:
    found = parse_retry_after({"Retry-After": formatdate(4_000_000_000, usegmt=True)})

    assert found is not None
    assert found > 10**6
    assert 0.0 == parse_retry_after({"Retry-After": formatdate(0, usegmt=True)})


@given(st.text(max_size=60) | st.from_regex(r"\A[A-Z][a-z]{2}, [0-9 ]{1,9} [A-Z][a-z]{2} .{0,30}", fullmatch=False))
def test_no_retry_after_is_too_strange(text: str) -> None:
    found = parse_retry_after({"Retry-After": text})

    assert found is None or 0 <= found


# How long


@given(st.lists(st.tuples(st.floats(0, 50), st.booleans()), min_size=1, max_size=40))
def test_as_long_as_something_changes_it_may_be_waited_for(looks: list[tuple[float, bool]]) -> None:
    """Each look says how much later it is, and whether anything has changed since."""
    waiting, now, since, trace = Waiting(first_pause=1.0, longest_pause=5.0), 100.0, 100.0, 0
    assert 60 == waiting.left(60, now, trace)
    for seconds, changed in looks:
        now += seconds
        since, trace = (now, trace + 1) if changed else (since, trace)
        assert since + 60 - now == waiting.left(60, now, trace)


def test_what_has_been_there_in_between_is_waited_for_anew() -> None:
    waiting = Waiting(first_pause=1.0, longest_pause=5.0)
    assert 60 == waiting.left(60, 0.0)
    assert [1, 2, 4, 5, 5] == [waiting.next_pause() for _ in range(5)]
    waiting.end()

    assert 60 == waiting.left(60, 1000.0)
    assert 1 == waiting.next_pause()
