"""Track how long a product has been waiting for an external event, and when to check again."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Waiting"]


@dataclass(slots=True)
class Waiting:
    """The waiting time of a product for one event, and the growing pauses between checks.

    Attributes
    ----------
    first_pause, longest_pause
        First and longest pause between two checks, in seconds; each pause is twice as long as the one before.
    since
        Start of the wait, or time of the last observed change, by the run's clock, in seconds; None while not waiting.
    """

    first_pause: float
    longest_pause: float
    since: float | None = None
    _trace: object = None
    _pause: float = 0.0

    def left(self, limit: float, now: float, trace: object = None) -> float:
        """Start or continue the wait, and return the seconds left; 0 or negative when `limit` has passed.

        Parameters
        ----------
        limit
            Seconds to wait without a change of `trace`.
        now
            Time of the run's clock, in seconds.
        trace
            Observable signs of progress; whenever they change, the wait starts again.
        """
        if self.since is None or trace != self._trace:
            self.since, self._trace = now, trace
        return self.since + limit - now

    def next_pause(self) -> float:
        """Return the seconds until the next check."""
        self._pause = min(self.longest_pause, max(self.first_pause, 2 * self._pause))
        return self._pause

    def end(self) -> None:
        """Reset the wait, because the event has occurred."""
        self.since, self._trace, self._pause = None, None, 0.0
