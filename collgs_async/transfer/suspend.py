"""Notice that the computer slept: its connections are dead, and nobody will say so before the time-out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["POLL_INTERVAL", "SuspendDetector"]

POLL_INTERVAL: Final = 5.0
"""Seconds between two looks at the clocks."""

_NOTICEABLE: Final = 10.0
"""Seconds of sleep that are worth new connections; a clock that is set right moves by less."""


class SuspendDetector:
    """Compares the wall clock, which goes on while the computer sleeps, with the steady one, which stands still.

    Parameters
    ----------
    wall, steady
        The two clocks, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._apart = wall() - steady()

    def since_last_look(self) -> float:
        """Give the seconds slept since this was last asked; 0 for less than is worth noticing."""
        apart = self._wall() - self._steady()
        slept, self._apart = apart - self._apart, apart
        return slept if slept >= _NOTICEABLE else 0.0
