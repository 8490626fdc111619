"""Limits that several processes share: one of them counts for all, and grants each a part."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.http.limits import ConcurrencyLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collgs_async.http.limits import RateLimiter

__all__ = ["GrantedLimiter", "SharedLimits"]


class GrantedLimiter(ConcurrencyLimiter):
    """Limits concurrent requests to what another process grants; that one is told of rejections, and reduces the limit.

    It begins with no slot at all. A request in progress keeps its slot when less is granted.

    Parameters
    ----------
    most, clock, sleep
        As for any limiter.

    Attributes
    ----------
    granted
        Current maximum of concurrent requests.
    """

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(most, clock=clock, sleep=sleep)
        self.granted = 0
        self._granted_at = -math.inf
        self._rejections: list[tuple[float, float | None]] = []

    def grant(self, count: int, moment: float) -> None:
        """Set the maximum.

        Parameters
        ----------
        moment
            When it was set, by the clock of the process that grants: `slot` yields it for requests that begin from now
            on, so that a rejection tells whether the limit was already reduced for the request.
        """
        self.granted, self._granted_at = count, moment
        self._admit()

    def take_rejections(self) -> list[tuple[float, float | None]]:
        """Return the rejections since the last call: what `slot` yielded for the request, and the Retry-After."""
        taken, self._rejections = self._rejections, []
        return taken

    def record_rejection(
        self, started: float, retry_after: float | None, *, why: str = "server rejects concurrent requests"
    ) -> None:
        """Record that the server rejected a request because there are too many; fewer begin, and after a while.

        Parameters
        ----------
        started, retry_after, why
            As for any limiter; the process that grants says why.
        """
        del why
        self._close(retry_after)
        if not self._rejections:  # until the other process has heard of it, and says what holds for all
            self.granted = min(self.granted, max(1, self.granted // 2))
        self._rejections.append((started, retry_after))

    def _has_room(self) -> bool:
        return self._active < min(self.limit, self.granted)

    def _has_too_many(self) -> bool:
        return self._active > min(self.limit, self.granted)

    def _stamp(self) -> float:
        return self._granted_at


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """What a process may use of the limits of a run.

    Attributes
    ----------
    requests
        Limits its concurrent requests, to all stores together.
    rate
        Limits its bytes per second.
    """

    requests: GrantedLimiter
    rate: RateLimiter
