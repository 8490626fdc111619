"""Know in which folder below the output folder the files of each product lie, by one walk of the tree.

An archive is one file, wherever it lies: one that lies flat, or in a folder of another layout, is found under its name.
"""

from __future__ import annotations

import logging
import os
from array import array
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError
from collgs_async.storage.files import create_folder, refuse_odd

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FolderIndex", "has_layout", "mark_layout", "unmark_layout", "walk_products"]

log = logging.getLogger("collgs_async")

_MARK: Final = Path(".collgs", "layout")
"""File below the output folder which says that archives lie in its folders, so that each run looks through them."""

_BUCKETS: Final = 256

_SUFFIXES: Final = (".zip", ".zip.part", ".parts")
"""Endings of what a product has on the disk; an archive goes before its part file, and that before its members."""


class FolderIndex:
    """The folders of all archives, part files and trees of members below a folder, 12 bytes for each of these.

    Only digests of the names are held, of 64 bits. Two equal ones would put a product into a folder of another one,
    still under its own name.

    Parameters
    ----------
    folder
        The output folder, which is looked through now; it need not exist. See `walk_products`.
    """

    def __init__(self, folder: Path) -> None:
        self._folders: list[str] = []
        self._buckets = [_Bucket() for _ in range(_BUCKETS)]
        for number, (where, names) in enumerate(walk_products(folder)):
            self._folders.append(where)
            for rank, name in names:
                key = hash(name)
                self._buckets[key % _BUCKETS].add(key, number * len(_SUFFIXES) + rank)
        for bucket in self._buckets:
            bucket.sort()

    def find(self, name: str, preferred: str) -> str | None:
        """Return the folder with the files of a product, relative to the output folder; None if there are none.

        Parameters
        ----------
        name
            The file name of its archive.
        preferred
            The folder to return where several have the same of it.
        """
        key = hash(name.removesuffix(".zip"))
        found: list[tuple[int, bool, str]] = []
        for place in self._buckets[key % _BUCKETS].find(key):
            number, rank = divmod(place, len(_SUFFIXES))
            folder = self._folders[number]
            found.append((rank, folder != preferred, folder))
        return min(found)[2] if found else None


class _Bucket:
    """Digests in order, each with a number; sorting one bucket after the other takes little memory."""

    __slots__ = ("_keys", "_places")

    def __init__(self) -> None:
        self._keys, self._places = array("q"), array("I")

    def add(self, key: int, place: int) -> None:
        self._keys.append(key)
        self._places.append(place)

    def sort(self) -> None:
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        self._keys = array("q", (self._keys[one] for one in order))
        self._places = array("I", (self._places[one] for one in order))

    def find(self, key: int) -> Iterator[int]:
        """Yield what was added with a key."""
        for position in range(bisect_left(self._keys, key), len(self._keys)):
            if self._keys[position] != key:
                return
            yield self._places[position]


def walk_products(top: Path) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield each folder below a folder, with what products have in it: ranks, and names of archives without ``.zip``.

    The folder is relative, with slashes, and empty for the top. Folders that begin with a dot are left out, as are
    symbolic links to folders. One that cannot be read is told by a warning.
    """
    for where, folders, files in os.walk(top, onerror=_warn):
        trees = [name for name in folders if name.endswith(".parts")]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".parts"))
        if names := [found for name in (*files, *trees) if (found := _product(name))]:
            relative = os.path.relpath(where, top)
            yield "" if relative == os.curdir else Path(relative).as_posix(), names


def _product(name: str) -> tuple[int, str] | None:
    """Return what of a product has this name, as the number of its ending, and the name without it."""
    for rank, suffix in enumerate(_SUFFIXES):
        if name.endswith(suffix):
            return rank, name.removesuffix(suffix)
    return None


def _warn(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # the output folder need not exist yet
        log.warning("%s: %s; archives in there are not known", error.filename, error.strerror)


def has_layout(folder: Path) -> bool:
    """Whether archives may lie in folders below this one, because a run had a layout."""
    try:
        return (folder / _MARK).exists()
    except OSError:  # the first archive tells what is wrong with the folder
        return False


def mark_layout(folder: Path, template: str) -> None:
    """Record that archives lie in folders below this one; a folder that cannot be written is left alone."""
    path = folder / _MARK
    with suppress(FileError, OSError):  # the archives cannot be written there either, which says more
        if path.exists():
            refuse_odd(path, path.lstat().st_mode)
            return
        create_folder(path.parent)
        path.write_text(f"{template}\n", "utf-8")


def unmark_layout(folder: Path) -> None:
    """Record that all archives lie in this folder itself."""
    with suppress(OSError):  # then each run looks through the folder in vain
        (folder / _MARK).unlink()
