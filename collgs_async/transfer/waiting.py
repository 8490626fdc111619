"""How long a product has waited for something that others bring about, and how often it is looked at meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Waiting"]


@dataclass(slots=True)
class Waiting:
    """The time that a product has waited for one thing, and the pauses between two looks at it.

    Attributes
    ----------
    first_pause, longest_pause
        Seconds before it is looked at again: at first, and at the most; each pause is twice as long as the one before.
    since
        When it began to wait, or last saw a change, by the run's clock, in seconds; None: it does not wait for it.
    """

    first_pause: float
    longest_pause: float
    since: float | None = None
    _trace: object = None
    _pause: float = 0.0

    def left(self, limit: float, now: float, trace: object = None) -> float:
        """Note that it has to wait, and give the seconds that are left of it; none, or less, when it is too long.

        Parameters
        ----------
        limit
            Seconds for which it may wait while nothing changes.
        now
            By the run's clock, in seconds.
        trace
            What can be seen of those for whom it waits: as long as this changes, the time begins anew.
        """
        if self.since is None or trace != self._trace:
            self.since, self._trace = now, trace
        return self.since + limit - now

    def next_pause(self) -> float:
        """Give the seconds before the next look."""
        self._pause = min(self.longest_pause, max(self.first_pause, 2 * self._pause))
        return self._pause

    def end(self) -> None:
        """Note that what it waited for is here: from now on, a lack of it is another one."""
        self.since, self._trace, self._pause = None, None, 0.0
