"""One outage of a store: how long it is waited for, and with which pauses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import TransferError
from collgs_async.transfer.store_errors import BusyError

if TYPE_CHECKING:
    from collgs_async.transfer.job import DownloadJob

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Outage", "OutageError"]

FIRST_PAUSE: Final = 1.0
"""Seconds before the first request during an outage; each further pause is twice as long."""

LONGEST_PAUSE: Final = 60.0
"""Maximum seconds between two requests during an outage, unless Retry-After asks for more."""

LONGEST_BUSY_PAUSE: Final = 5.0
"""The same for a store that rejects too many requests; short, as a slot that becomes free is soon taken again."""


class OutageError(TransferError):
    """The store was unavailable for longer than the run waits for it."""


@dataclass(eq=False, slots=True)
class Outage:
    """One outage of a store.

    Attributes
    ----------
    until
        When the run stops waiting for the store.
    why
        The last error.
    pause
        Seconds before the next request.
    prober
        The job that makes the next request; None if there is none yet.
    lost
        Whether the wait has ended without success.
    """

    until: float
    why: TransferError
    pause: float = FIRST_PAUSE
    prober: DownloadJob | None = None
    lost: bool = False

    @property
    def busy(self) -> bool:
        """Whether the store rejects requests as too many, and so is there."""
        return isinstance(self.why, BusyError)

    def next_pause(self) -> float:
        """Return the seconds to wait before the next request."""
        return max(self.pause, self.why.retry_after or 0.0)

    def failed_again(self, error: TransferError) -> None:
        """Record that the next request failed, too, and lengthen the pause."""
        self.why = error
        self.pause = min(2 * self.pause, LONGEST_BUSY_PAUSE if self.busy else LONGEST_PAUSE)
