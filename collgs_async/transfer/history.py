"""Remember of a product, while it is postponed, what its next download job must know."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["History", "Waiting"]


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


@dataclass(slots=True)
class History:
    """State of a product that outlives its jobs while it is postponed.

    Attributes
    ----------
    begun
        When the product was first examined, by the monotonic clock, in seconds.
    received, requests
        Bytes received and requests made by earlier jobs.
    put_off
        Whether it was postponed because the product itself may be the cause of a failure.
    blamed
        Consecutive times that its retries were used up although the store served other products.
    outages
        Consecutive times that its failure revealed an outage of the store.
    staged
        Wait for the store to restore it from tape.
    elsewhere
        Wait for another run that holds its lock, since that run's last progress.
    refused
        Wait for a store that rejects its requests as too many, since its last progress.
    exhausted
        Wait for a file descriptor, since the last progress of any product.
    """

    begun: float = field(default_factory=time.monotonic)
    received: int = 0
    requests: int = 0
    put_off: bool = False
    blamed: int = 0
    outages: int = 0
    staged: Waiting = field(default_factory=lambda: Waiting(first_pause=10.0, longest_pause=300.0))
    elsewhere: Waiting = field(default_factory=lambda: Waiting(first_pause=1.0, longest_pause=5.0))
    refused: Waiting = field(default_factory=lambda: Waiting(first_pause=1.0, longest_pause=30.0))
    exhausted: Waiting = field(default_factory=lambda: Waiting(first_pause=1.0, longest_pause=5.0))

    def save(self, received: int, requests: int) -> None:
        """Save the counters of a job for the next one."""
        self.received, self.requests = received, requests

    def record_progress(self) -> None:
        """Forget earlier failures, because the product's own bytes have arrived."""
        self.blamed = self.outages = 0
        self.refused.end()

    def record_blame(self) -> int:
        """Count a failure although the store served others; return how many there were in a row."""
        self.blamed += 1
        return self.blamed

    def clear_blame(self) -> None:
        """Forget failures that an outage of the store explains."""
        self.blamed = 0

    def record_outage(self) -> int:
        """Count a failure that revealed an outage; return how many there were in a row."""
        self.outages += 1
        return self.outages

    def put_off_once(self) -> bool:
        """Whether the product was not postponed as suspect before; from now on it was."""
        first, self.put_off = not self.put_off, True
        return first
