"""What a run waits for, as progress shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collgs_async.models.progress import Progress
    from collgs_async.transfer.job import History

__all__ = ["Waits"]


class Waits:
    """Counts the stores that are away, and the products that come from tape or that another run is fetching.

    Parameters
    ----------
    progress
        Whom to tell.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stores = 0
        self._staged = 0
        self._elsewhere = 0

    def for_store(self, waits: bool) -> None:
        """Note that the trouble of a store has begun, or ended."""
        self._stores += 1 if waits else -1
        self._tell()

    def for_product(self, history: History, *, waits: bool) -> None:
        """Note that a product is put off, or taken up again; shown if it is on tape or another run has it."""
        change = 1 if waits else -1
        if history.staged.since is not None:
            self._staged += change
        elif history.elsewhere.since is not None:
            self._elsewhere += change
        else:
            return
        self._tell()

    def _tell(self) -> None:
        what = ["the store"] if self._stores else []
        what += [f"{self._staged} on tape"] if self._staged else []
        what += [f"another run with {self._elsewhere}"] if self._elsewhere else []
        self._progress.waiting(" and ".join(what) or None)
