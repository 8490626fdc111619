"""Keep some room on the disk for `prune`, which has to write a few lines before it can delete anything."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError
from collgs_async.ledger.paths import OWN_FOLDER
from collgs_async.storage.files import create_folder, remove_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["free_reserve", "keep_reserve"]

_NAME: Final = f"{OWN_FOLDER}/reserve"
_SIZE: Final = 512 * 1024
"""Bytes: a journal of the ledger, a few of its pages, and some locks."""


def keep_reserve(folder: Path) -> None:
    """Take the room, unless that was done already or the disk is full."""
    path = folder / _NAME
    with suppress(OSError):
        if path.lstat().st_size == _SIZE:
            return
    try:
        create_folder(path.parent)
        with path.open("xb") as file:
            file.write(b"\0" * _SIZE)
    except FileExistsError:
        return
    except OSError:
        with suppress(OSError, FileError):
            remove_file(path)


def free_reserve(folder: Path) -> None:
    """Set the room free."""
    with suppress(OSError, FileError):
        remove_file(folder / _NAME)
