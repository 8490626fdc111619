"""The command with other figures of the engine, so that it treats small archives as it treats large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["tuned_command"]


def tuned_command(tuning: TransferTuning, *, prepare: str = "") -> str:
    """Return a program for ``python -c`` that runs the command line with these figures.

    Parameters
    ----------
    prepare
        What the program does first.
    """
    return f"""{prepare}
from functools import partial
from collgs_async.cli import entry_point
from collgs_async.cli.commands import download
from collgs_async.transfer.tuning import TransferTuning
download.Client = partial(download.Client, tuning={tuning!r})
entry_point()
"""
