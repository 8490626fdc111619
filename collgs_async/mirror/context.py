"""What each step of a mirror works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.config.settings import Config
    from collgs_async.ledger.ledger import Ledger
    from collgs_async.models.progress import Progress

__all__ = ["Mirror"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """A folder that is kept equal to what a catalogue lists, in one run.

    Attributes
    ----------
    config
        The settings.
    ledger
        The ledger, of which this run is the writer.
    progress
        Receives the events of downloads.
    clock
        Returns milliseconds UTC, never before the begin of the run.
    run
        The number of this run in the ledger.
    """

    config: Config
    ledger: Ledger
    progress: Progress
    clock: Callable[[], int]
    run: int
