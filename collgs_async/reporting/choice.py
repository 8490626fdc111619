"""Choose the progress display for the output device."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from collgs_async.models.progress import SilentProgress
from collgs_async.reporting.bars import TqdmProgress
from collgs_async.reporting.colour import is_screen
from collgs_async.reporting.notebook_bars import NotebookProgress, is_notebook
from collgs_async.reporting.plain import PlainProgress

if TYPE_CHECKING:
    from collgs_async.reporting.progress import ProgressCounter

__all__ = ["choose_progress"]


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
    file = sys.stderr if file is None else file
    if quiet:
        return SilentProgress()
    if is_notebook():
        return NotebookProgress(workers, file=file)
    return TqdmProgress(workers, file=file) if is_screen(file) else PlainProgress(file=file)
