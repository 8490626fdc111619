"""Choose how to tell: by what the reader has before them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from collgs_async.models.progress import SilentProgress
from collgs_async.reporting.bars import TqdmProgress, in_notebook
from collgs_async.reporting.plain import PlainProgress

if TYPE_CHECKING:
    from collgs_async.models.progress import Progress

__all__ = ["choose_progress"]


def choose_progress(workers: int, *, quiet: bool = False, file: TextIO | None = None) -> Progress:
    """Choose bars for a terminal or a notebook, plain lines elsewhere.

    Parameters
    ----------
    workers
        How many products are transferred at the same time: each has a line of its own among the bars.
    quiet
        Whether to say nothing at all.
    file
        Where to write; None means standard error.
    """
    file = sys.stderr if file is None else file
    if quiet:
        return SilentProgress()
    if in_notebook() or file.isatty():
        return TqdmProgress(workers, file=file)
    return PlainProgress(file=file)
