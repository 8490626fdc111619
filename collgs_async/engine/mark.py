"""Mark the output folder for the time of a run, so that other processes can tell whether theirs is the same."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from collgs_async.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folder_mark"]

_PREFIX: Final = ".collgs-run-"

_OLD: Final = 30 * 86400.0
"""Age in seconds of a mark whose run was killed."""


@contextmanager
def folder_mark(folder: Path, run: str) -> Iterator[Path]:
    """Yield a file in a folder, which is made, and remove it afterwards.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    mark = folder.absolute() / f"{_PREFIX}{run}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{_PREFIX}*"):
            if time.time() - old.stat().st_mtime > _OLD:
                old.unlink()
        mark.touch()
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    try:
        yield mark
    finally:
        with suppress(OSError):
            mark.unlink()
