"""Retry policies: how often to retry, and how long to wait before."""

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

__all__ = [
    "MAX_RETRY_AFTER",
    "OutageRetryPolicy",
    "RetryPolicy",
    "clear_error_frames",
    "parse_retry_after",
    "retry_call",
]

T = TypeVar("T")

MAX_RETRY_AFTER = 900.0
"""Maximum Retry-After in seconds; a longer one is treated as a permanent refusal."""


_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]{0,9})[0-9]*)?", re.ASCII)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` (RFC 9110 §10.2.3) as seconds from now; None if missing or invalid.

    Fractions of a second, which some servers send, are accepted although the RFC does not allow them.
    """
    text = headers.get("Retry-After", "").strip()
    if seconds := _SECONDS.fullmatch(text):
        return float(f"{seconds[1][:12]}.{seconds[2] or 0}")
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


class RetryPolicy:
    """Limits consecutive failed attempts without progress; provides tenacity's ``after``, ``stop`` and ``wait``.

    An attempt that made progress, if only by one byte, resets the count: over a connection that fails every minute, a
    large file is still finished.

    Parameters
    ----------
    tries
        Consecutive failed attempts after which to give up; 0 and 1 both mean a single attempt.

    Attributes
    ----------
    tries
        The same, at least 1.
    """

    def __init__(self, tries: int) -> None:
        self.tries = max(1, tries)
        self._failures = 0
        self._progressed = False

    def record_progress(self) -> None:
        """Record that the current attempt has made progress."""
        self._progressed = True

    def begin_anew(self) -> None:
        """Reset the count of failed attempts."""
        self._failures, self._progressed = 0, False

    def once_more(self) -> None:
        """Allow exactly one more attempt."""
        self._failures, self._progressed = self.tries - 1, False

    def after(self, _: RetryCallState) -> None:
        """Count the try that has just failed."""
        self._failures = 0 if self._progressed else self._failures + 1
        self._progressed = False

    def stop(self, _: RetryCallState) -> bool:
        """Whether to give up."""
        return self._failures >= self.tries

    def wait(self, state: RetryCallState) -> float:
        """Return the seconds to wait: Retry-After if given, else exponential back-off of at most a minute."""
        failure = state.outcome.exception() if state.outcome else None
        asked: float | None = getattr(failure, "retry_after", None)
        if asked is not None:
            return asked + random.uniform(0, min(1.0, asked / 10))
        # Full jitter, so that workers whose requests failed together do not retry together.
        return random.uniform(0, min(60.0, math.ldexp(1.0, min(self._failures, 6))))


class OutageRetryPolicy(RetryPolicy):
    """A retry policy that continues for a limited time after its attempts, while the whole server is unavailable.

    Parameters
    ----------
    tries
        As for `RetryPolicy`.
    outage
        Seconds after the first failure for which to continue; 0 to stop after the attempts.
    is_away
        Whether an error indicates that the whole server is unavailable.
    now
        Clock, in seconds.
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
        """Whether the attempts are used up."""
        return self._failures >= self.tries

    @property
    def begins_to_wait(self) -> bool:
        """Whether the last attempt was the one that used them up."""
        return self._failures == self.tries

    @property
    def waited(self) -> float:
        """Seconds since the first failure; 0 if the attempts were not used up."""
        return self._now() - self._since if self.is_spent and self._since is not None else 0.0

    @property
    def left(self) -> float:
        """Seconds left before giving up."""
        return 0.0 if self._since is None else max(0.0, self._since + self._outage - self._now())

    def after(self, state: RetryCallState) -> None:
        """Count the try that has just failed."""
        self._since = self._now() if self._since is None else self._since
        super().after(state)

    def stop(self, state: RetryCallState) -> bool:
        """Whether to give up."""
        error = state.outcome.exception() if state.outcome else None
        return self.is_spent and not (self._is_away(error) and self.left > 0)

    def wait(self, state: RetryCallState) -> float:
        """Return the seconds to wait; once the attempts are used up, a growing pause within the time left."""
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
    """Call `work`, and retry it after errors for which `worth_it` is true; other errors are raised.

    A first attempt that succeeds, as nearly all do, does not involve tenacity and so costs nothing extra.
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
            raise failures.pop()  # hand the first attempt, made above, over to tenacity
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
    """Clear the frames of an exception chain so the buffers they reference are freed.

    Frames and exceptions form reference cycles, so that blocks of a megabyte would stay until a garbage collection.
    """
    chain: list[BaseException | None] = [error]
    seen: set[BaseException] = set()
    while chain:
        one = chain.pop()
        if one is not None and one not in seen:  # the chain may be circular
            seen.add(one)
            traceback.clear_frames(one.__traceback__)
            chain += [one.__cause__, one.__context__]
