"""Remember of a product, while it is postponed, what its next download job must know."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from collgs_async.transfer.waiting import Waiting

__all__ = ["History"]


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
