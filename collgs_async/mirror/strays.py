"""Complete newer archives beside those that are here of which the ledger knows nothing, as after its loss.

Where the older one was moved away and the newer one is not in its place, nothing else is left of the product under its
name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from collgs_async.errors import FileError
from collgs_async.ledger.found_files import find_files
from collgs_async.mirror.moving import sync_folders
from collgs_async.storage.files import create_folder
from collgs_async.storage.lock import ProductLock
from collgs_async.storage.verify import verify_archive

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["place_stray"]


def place_stray(top: Path, new: Path, recorded: str | None, moved: str) -> Path | None:
    """Put an archive into its place if there is none, and if it is complete and right; else it is removed.

    Parameters
    ----------
    top
        The output folder.
    recorded
        Where the ledger has the archive of that name; None: it has none.
    moved
        The folder, relative to the output folder, to which older archives are moved, by months.

    Returns
    -------
    Path or None
        Where it is now; None: the archive of that name is in its place.

    Raises
    ------
    IntegrityError, FileError, OSError
        It is damaged, or of another product, or cannot be moved: it is where it was.
    """
    final = top / recorded if recorded else _place(top, new.name, top / moved)
    if not os.path.lexists(final):
        verify_archive(new, identifier=new.stem)
    lock = ProductLock(final.with_name(f"{new.name}.part"))
    create_folder(final.parent)
    if not lock.acquire():
        raise FileError("another run is fetching it")
    try:
        if os.path.lexists(final):
            new.unlink()
            return None
        new.rename(final)
        sync_folders([final.parent, new.parent], top)
    finally:
        lock.release()
    return final


def _place(top: Path, name: str, moved: Path) -> Path:
    """Return where an archive lies, or has lain before it was moved away; the output folder if neither is known."""
    here = next((path for path in find_files(top) if path.name == name), None)
    olds = [path.relative_to(moved).parts for path in moved.glob(f"*/**/{name}")]
    return here or (top.joinpath(*max(olds)[1:]) if olds else top / name)
