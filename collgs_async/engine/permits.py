"""Share the concurrent requests that a store accepts among the processes of a run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.http.limits import ConcurrencyLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Permits", "Use", "fair_shares"]

_TURN: Final = 10.0
"""Seconds after which permits that not every process can have go to others."""

_IDLE: Final = 0.25
"""What a process with permits and no request counts for a rate, beside a request in progress."""


@dataclass(slots=True)
class Use:
    """What one process does with its permits.

    Attributes
    ----------
    active
        Its requests in progress, at its last report.
    waiting
        Its requests that wait for a permit.
    granted
        Permits that it was sent last.
    heard
        Permits that it was sent before its last report.
    """

    active: int = 0
    waiting: int = 0
    granted: int = 0
    heard: int = 0

    @property
    def committed(self) -> int:
        """Requests that it may have in progress before it hears anything new."""
        return max(self.active, self.granted, self.heard)

    @property
    def weight(self) -> float:
        """Requests as they count for a rate: those in progress; else a little, if it may begin one."""
        return self.active or min(self.committed, _IDLE)


class Permits:
    """Permits for concurrent requests: at most as many as a store accepts, shared by need.

    The limit is halved by a rejection in any process, and raised again as in `ConcurrencyLimiter`.

    Parameters
    ----------
    most
        Initial limit, which is never exceeded.
    clock
        Seconds of a monotonic clock.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limiter = ConcurrencyLimiter(most, clock=clock)
        self._clock = clock
        self._uses: dict[str, Use] = {}
        self._over_at = -math.inf

    @property
    def limit(self) -> int:
        """Current maximum of concurrent requests of all processes."""
        return self._limiter.limit

    @property
    def is_short(self) -> bool:
        """Whether a process has nothing but requests that wait."""
        return any(use.waiting and not use.active for use in self._uses.values())

    def keep(self, processes: Iterable[str]) -> None:
        """Take back the permits of processes that are gone, and include new ones."""
        self._uses = {name: self._uses.get(name) or Use() for name in processes}

    def report(
        self, process: str, *, active: int, waiting: int, rejections: Sequence[tuple[float, float | None]]
    ) -> bool:
        """Record what a process reports; return whether that has reduced the limit.

        Parameters
        ----------
        rejections
            For each, the moment of the permit with which the request began, and the Retry-After.
        """
        before = self._limiter.limit
        if self._committed > before:
            self._over_at = self._clock()
        for moment, retry_after in rejections:
            if moment > self._over_at:  # else it is one of those that were too many, as is known
                self._limiter.record_rejection(moment, retry_after)
        if use := self._uses.get(process):
            use.active, use.waiting, use.heard = active, waiting, use.granted
        return self._limiter.limit < before

    @property
    def _committed(self) -> int:
        return sum(use.committed for use in self._uses.values())

    def share(self, listening: Iterable[str]) -> tuple[float, dict[str, int]]:
        """Return a moment, and the permits of each process; with those in use they are never more than the limit.

        Parameters
        ----------
        listening
            The processes to which permits are sent now. Others keep what they have.
        """
        self._limiter.probe()
        now = self._clock()
        needs = {name: use.active + use.waiting for name, use in self._uses.items()}
        shares = fair_shares(self.limit, needs, turn=int(now / _TURN))
        free = self.limit - self._committed
        sent = {}
        for name in listening:
            use = self._uses[name]
            more = max(0, min(shares[name] - use.committed, free))
            free -= more
            use.granted = min(shares[name], use.committed + more)
            sent[name] = use.granted
        return now, sent

    def rate_share(self, process: str) -> float:
        """Return what a process may use of a rate: more than 0 where it may have a request; 1 in all."""
        weights = sum(use.weight for use in self._uses.values())
        return self._uses[process].weight / weights if weights else 0.0


def fair_shares(limit: int, needs: Mapping[str, int], *, turn: int = 0) -> dict[str, int]:
    """Share permits by need: nobody gets more than it needs while another gets less, and what is left is spread evenly.

    Parameters
    ----------
    turn
        Number of the turn: with each, the permits that do not go round begin with another process.
    """
    names = sorted(needs)
    if not names:
        return {}
    first = turn % len(names)
    order = names[first:] + names[:first]
    shares = dict.fromkeys(order, 0)
    left = limit
    while left:
        hungry = [name for name in order if shares[name] < needs[name]] or order
        for name in hungry[:left]:
            shares[name] += 1
        left -= min(left, len(hungry))
    return shares
