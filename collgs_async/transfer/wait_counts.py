"""Count what a run waits for, for the progress display."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collgs_async.models.progress import Progress
    from collgs_async.transfer.history import History

__all__ = ["WaitCounts"]


class WaitCounts:
    """Counts unavailable stores, products being restored from tape, and products that another run is downloading."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stores = 0
        self._staged = 0
        self._elsewhere = 0

    def for_store(self, waits: bool) -> None:
        """Record that an outage of a store has begun or ended."""
        self._stores += 1 if waits else -1
        self._report()

    def for_product(self, history: History, *, waits: bool) -> None:
        """Record that a product is postponed or resumed; counts only those on tape or locked by another run."""
        change = 1 if waits else -1
        if history.staged.since is not None:
            self._staged += change
        elif history.elsewhere.since is not None:
            self._elsewhere += change
        else:
            return
        self._report()

    def _report(self) -> None:
        what = ["the store"] if self._stores else []
        what += [f"{self._staged} on tape"] if self._staged else []
        what += [f"another run with {self._elsewhere}"] if self._elsewhere else []
        self._progress.waiting(" and ".join(what) or None)
