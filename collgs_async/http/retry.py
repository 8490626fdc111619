"""When to try again, how often, and how long to wait before."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
import traceback
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["MAX_RETRY_AFTER", "Endurance", "RetryPolicy", "clear_error_frames", "parse_retry_after", "retry_call"]

T = TypeVar("T")

MAX_RETRY_AFTER = 900.0
"""Seconds; a server that asks to wait longer has in effect said no."""


_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]{0,9})[0-9]*)?", re.ASCII)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (RFC 9110 §10.2.3) as seconds from now; None when missing or senseless.

    Some servers send a fraction of a second, which the RFC does not know; it is heeded.
    """
    text = headers.get("Retry-After", "").strip()
    if seconds := _SECONDS.fullmatch(text):
        return float(f"{seconds[1][:12]}.{seconds[2] or 0}")
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


class RetryPolicy:
    """How often to try again, and how long to wait before: tenacity's ``after``, ``stop`` and ``wait``.

    What counts is tries in a row that brought nothing new. One that moved the product on, if only by a byte,
    starts the count again: a line that drops every minute for a day still finishes a large file.

    Parameters
    ----------
    tries
        Fruitless tries in a row after which to give up; 0 and 1 both mean the first one.

    Attributes
    ----------
    tries
        The same, at least 1.
    """

    def __init__(self, tries: int) -> None:
        self.tries = max(1, tries)
        self._failures = 0
        self._fruitful = False

    def record_progress(self) -> None:
        """Take note that this try has brought something new."""
        self._fruitful = True

    def begin_anew(self) -> None:
        """Forget the tries so far."""
        self._failures, self._fruitful = 0, False

    def once_more(self) -> None:
        """Leave one try."""
        self._failures, self._fruitful = self.tries - 1, False

    def after(self, _: RetryCallState) -> None:
        """Count the try that has just failed."""
        self._failures = 0 if self._fruitful else self._failures + 1
        self._fruitful = False

    def stop(self, _: RetryCallState) -> bool:
        """Tell whether it is time to give up."""
        return self._failures >= self.tries

    def wait(self, state: RetryCallState) -> float:
        """Seconds to wait: what the server asked for, else a growing random time of at most a minute."""
        failure = state.outcome.exception() if state.outcome else None
        asked: float | None = getattr(failure, "retry_after", None)
        if asked is not None:
            return asked + random.uniform(0, min(1.0, asked / 10))
        # Full jitter, so that many workers that failed together do not come back together.
        return random.uniform(0, min(60.0, math.ldexp(1.0, min(self._failures, 6))))


class Endurance(RetryPolicy):
    """A retry policy that goes on for a stated time after its tries while it is the whole server that is away.

    Parameters
    ----------
    tries
        As for `RetryPolicy`.
    outage
        Seconds after the first failure for which to go on; 0: not at all.
    is_away
        Whether an error may be the trouble of the whole server.
    now
        Tells the time in seconds.
    """

    def __init__(
        self,
        tries: int,
        outage: float,
        is_away: Callable[[BaseException | None], bool],
        now: Callable[[], float],
    ) -> None:
        super().__init__(tries)
        self._outage = outage
        self._is_away = is_away
        self._now = now
        self._since: float | None = None

    @property
    def is_spent(self) -> bool:
        """Whether its tries are used up."""
        return self._failures >= self.tries

    @property
    def begins_to_wait(self) -> bool:
        """Whether its last try was the one by which they were."""
        return self._failures == self.tries

    @property
    def waited(self) -> float:
        """Seconds since the first failure; 0 when the tries were enough."""
        return self._now() - self._since if self.is_spent and self._since is not None else 0.0

    @property
    def left(self) -> float:
        """Seconds until it is given up."""
        return 0.0 if self._since is None else max(0.0, self._since + self._outage - self._now())

    def after(self, state: RetryCallState) -> None:
        """Count the try that has just failed."""
        self._since = self._now() if self._since is None else self._since
        super().after(state)

    def stop(self, state: RetryCallState) -> bool:
        """Tell whether it is time to give up."""
        error = state.outcome.exception() if state.outcome else None
        return self.is_spent and not (self._is_away(error) and self.left > 0)

    def wait(self, state: RetryCallState) -> float:
        """Seconds to wait; once the tries are used up growing ones, and no more than are left."""
        if not self.is_spent:
            return super().wait(state)
        failure = state.outcome.exception() if state.outcome else None
        pause = min(60.0, math.ldexp(1.0, min(self._failures - self.tries, 6)))
        return min(self.left, max(pause, getattr(failure, "retry_after", None) or 0.0))


async def retry_call(
    work: Callable[[], Awaitable[T]],
    retry: RetryPolicy,
    *,
    worth_it: Callable[[BaseException], bool],
    before_sleep: Callable[[RetryCallState], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Do something, and again where `worth_it` says that this can help; all else passes through.

    What works at once, as nearly everything does, costs no more than itself.
    """
    failures: list[Exception] = []
    try:
        return await work()
    except Exception as error:
        if not worth_it(error):
            raise
        failures.append(error)
    clear_error_frames(failures[0])

    async def once_more() -> T:
        if failures:
            raise failures.pop()  # that was the first try
        try:
            return await work()
        except Exception as error:
            clear_error_frames(error)
            raise

    again = AsyncRetrying(
        retry=retry_if_exception(worth_it),
        after=retry.after,
        stop=retry.stop,
        wait=retry.wait,
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
    return await again(once_more)


def clear_error_frames(error: BaseException) -> None:
    """Let go of what the frames of an error hold, and of those that it came from: blocks of a megabyte, for one.

    Frames and errors hold each other, so that it would all be there until somebody looks for garbage.
    """
    chain: list[BaseException | None] = [error]
    met: set[BaseException] = set()
    while chain:
        one = chain.pop()
        if one is not None and one not in met:  # they may lead round in circles
            met.add(one)
            traceback.clear_frames(one.__traceback__)
            chain += [one.__cause__, one.__context__]
