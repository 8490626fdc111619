"""How long an object store that is in trouble is waited for, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from collgs_async.models.timing import Timing
from collgs_async.storage.object_errors import FailedError, StoreTrouble
from collgs_async.storage.object_retries import Retries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import RecordedSleeps

AWAY = StoreTrouble("it cannot be reached", is_temporary=True)


def retries(sleeps: RecordedSleeps, *, tries: int = 3, outage: float = 0.0) -> Retries:
    timing = Timing(sleeps, clock=lambda: 0.0)
    made = Retries("s3://bucket", tries, sleep=timing.sleep, now=timing.now)
    made.outage = outage
    return made


def failing(times: int, trouble: StoreTrouble = AWAY) -> Callable[[], Awaitable[str]]:
    left = [trouble] * times

    async def work() -> str:
        if left:
            raise FailedError(left.pop())
        return "done"

    return work


def always(meanwhile: Callable[[], Awaitable[object]] | None = None) -> Callable[[], Awaitable[str]]:
    async def work() -> str:
        if meanwhile is not None:
            await meanwhile()
        raise FailedError(AWAY)

    return work


async def test_without_an_outage_the_tries_decide(sleeps: RecordedSleeps) -> None:
    with pytest.raises(FailedError):
        await retries(sleeps).run(always())

    assert [1.0, 2.0] == sleeps.seconds


async def test_an_outage_is_waited_for_with_growing_pauses(sleeps: RecordedSleeps) -> None:
    with pytest.raises(FailedError):
        await retries(sleeps, outage=100).run(always())

    assert [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 9.0] == sleeps.seconds


async def test_an_outage_that_is_shorter_than_the_tries_ends_with_them(sleeps: RecordedSleeps) -> None:
    with pytest.raises(FailedError):
        await retries(sleeps, tries=4, outage=2).run(always())

    assert [1.0, 2.0, 4.0] == sleeps.seconds


async def test_a_refusal_is_final(sleeps: RecordedSleeps) -> None:
    with pytest.raises(FailedError):
        await retries(sleeps, outage=100).run(failing(1, StoreTrouble("it refuses this")))

    assert [] == sleeps.seconds


async def test_an_outage_is_told_once_and_so_is_its_end(
    sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    made = retries(sleeps, outage=900)

    assert "done" == await made.run(failing(5))
    assert "done" == await made.run(failing(2))

    assert [
        "s3://bucket: it cannot be reached; trying again for up to 14:57",
        "s3://bucket answers again after 00:31: going on",
    ] == [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


async def test_many_requests_that_fail_tell_of_one_outage(
    sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    made = retries(sleeps, tries=1, outage=900)

    assert ["done"] * 5 == await asyncio.gather(*(made.run(failing(4)) for _ in range(5)))

    away, back = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "trying again for up to" in away
    assert "answers again" in back


async def test_a_success_of_another_one_begins_the_wait_anew(sleeps: RecordedSleeps) -> None:
    made, helps = retries(sleeps, tries=2, outage=10), 3

    async def succeeds_at_times() -> None:
        nonlocal helps
        helps -= 1
        if helps > 0:
            await made.run(failing(0))

    with pytest.raises(FailedError):
        await made.run(always(succeeds_at_times))

    assert [1.0, 1.0, 2.0, 4.0, 3.0] == sleeps.seconds


async def test_small_requests_that_succeed_do_not_keep_uploads_going(
    sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is full answers, and takes nothing."""
    made = retries(sleeps, tries=1, outage=10)

    with pytest.raises(FailedError):
        await made.run(always(lambda: made.run(failing(0))), uploads=True)

    assert [1.0, 2.0, 4.0, 3.0] == sleeps.seconds
    assert ["s3://bucket: it cannot be reached; trying again for up to 00:10"] == [
        one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING
    ]
