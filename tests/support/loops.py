"""The event loop of the tests."""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_LONGEST_TURN: Final = 0.02
"""Seconds that a turn of the loop counts for at most, besides what it has waited for."""


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while the process does.

    A busy machine may halt a process for seconds, and with it both sides of a test's connections. What is due between
    them is late by as much then, so that no time-out of either side may come before it.
    """

    def __init__(self) -> None:
        self._clock = _SteadyClock()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the seconds of the monotonic clock, without those for which the process stood still."""
        return self._clock.now()


def run_steadily(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in such a loop, as `asyncio.run` does in another one."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(work)


class _SteadyClock(selectors.DefaultSelector):
    """The selector of such a loop, which knows how long it was meant to wait."""

    def __init__(self) -> None:
        super().__init__()
        self._lost, self._seen = 0.0, time.monotonic()

    def now(self) -> float:
        return self._advanced(0.0)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files as any selector does; that may take as long as it was told."""
        self.now()
        ready = super().select(timeout)
        self._advanced(float("inf") if timeout is None else timeout)
        return ready

    def _advanced(self, most: float) -> float:
        now = time.monotonic()
        self._lost += max(0.0, now - self._seen - max(0.0, most) - _LONGEST_TURN)
        self._seen = now
        return now - self._lost
