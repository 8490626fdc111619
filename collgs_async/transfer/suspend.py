"""Detect that the computer was suspended.

Its connections are dead afterwards, which would otherwise be noticed only at the read time-out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SuspendDetector"]

_MIN_SUSPEND: Final = 10.0
"""Minimum duration of a suspend in seconds; a clock correction is smaller."""


class SuspendDetector:
    """Compares the wall clock, which advances during a suspend, with the monotonic clock, which does not.

    Parameters
    ----------
    wall, steady
        The wall clock and the monotonic clock, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()

    def since_last_look(self) -> float:
        """Return the seconds of suspend since the last call; 0 if below the threshold."""
        offset = self._wall() - self._steady()
        slept, self._offset = offset - self._offset, offset
        return slept if slept >= _MIN_SUSPEND else 0.0
