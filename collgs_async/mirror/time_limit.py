"""The limits of time of a run: when it is over, and how long it may last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from collgs_async.models.timetable import next_local_time

if TYPE_CHECKING:
    from collgs_async.config.settings import DownloadOptions

__all__ = ["TimeLimit"]


class TimeLimit:
    """When a run is over by its settings, counted from now."""

    def __init__(self, options: DownloadOptions) -> None:
        self._end = None if options.max_time is None else time.monotonic() + options.max_time
        self._until = None if options.until is None else next_local_time(options.until, time.time())

    def __call__(self) -> bool:
        """Whether it is over."""
        left = self.left
        return left is not None and left <= 0

    @property
    def left(self) -> float | None:
        """Seconds that are left; negative once it is over, None without a limit."""
        ends = (
            None if self._end is None else self._end - time.monotonic(),
            None if self._until is None else self._until - time.time(),
        )
        return min((left for left in ends if left is not None), default=None)
