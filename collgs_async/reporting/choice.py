"""Choose the progress display for the output device, and show it while something is downloaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from collgs_async.models.progress import SilentProgress
from collgs_async.reporting.colour import is_screen

if TYPE_CHECKING:
    from types import TracebackType

    from collgs_async.models.progress import GivenProgress, Progress
    from collgs_async.reporting.progress import ProgressCounter

__all__ = ["SharedProgress", "choose_progress"]


def choose_progress(
    workers: int, *, quiet: bool = False, file: TextIO | None = None
) -> ProgressCounter | SilentProgress:
    """Choose bars for a terminal or a notebook, plain lines elsewhere.

    Parameters
    ----------
    workers
        The number of concurrent transfers, each of which has a bar of its own.
    quiet
        Whether to show nothing at all.
    file
        The output; None means standard error. A terminal whose ``TERM`` is ``dumb`` gets plain lines, too.
    """
    # Each display is imported where it is chosen: most commands show none, and start faster.
    file = sys.stderr if file is None else file
    if quiet:
        return SilentProgress()
    if is_notebook():
        from collgs_async.reporting.notebook import NotebookProgress

        return NotebookProgress(workers)
    if is_screen(file):
        from collgs_async.reporting.bars import TqdmProgress

        return TqdmProgress(workers, file=file)
    from collgs_async.reporting.plain import PlainProgress

    return PlainProgress(file=file)


def is_notebook() -> bool:
    """Whether this is an IPython kernel, without importing IPython."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


class SharedProgress:
    """The progress that a caller gives; a context manager around each download.

    The first one begins the display, and the last one ends it; those at the same time share it.

    Attributes
    ----------
    listener
        Receives the events.

    Raises
    ------
    TypeError
        A word other than ``"auto"`` is given.
    """

    def __init__(self, given: GivenProgress, workers: int) -> None:
        if isinstance(given, str) and given != "auto":
            raise TypeError(f"progress: expected a Progress object, None or 'auto', found {given!r}")
        self.listener: Progress = SilentProgress()
        if given == "auto":
            self.listener = choose_progress(workers)
        elif given is not None:
            self.listener = given
        self._running = 0

    def __enter__(self) -> None:
        if not self._running:
            self.listener.open()
        self._running += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running -= 1
        if not self._running:
            self.listener.close()
