"""The static STAC catalogs of an output folder: one ``catalog.json`` in each folder that has items, or leads to some.

All links are relative, so that the folder can be moved, copied and served as it is; a browser begins at the one at the
top. A catalog is made from the names of the files beside it, and written only where it would differ.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from collgs_async.errors import FileError
from collgs_async.models.stac import ITEM_CATALOG
from collgs_async.reporting.stac_items import ITEM_SUFFIX, PROGRAM, write_json
from collgs_async.storage.filenames import is_parts_folder
from collgs_async.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["refresh_catalogs"]

log = logging.getLogger("collgs_async")

_BEGINNING: Final = f'{{\n "collgs:client": "{PROGRAM}",\n "type": "Catalog",\n'.encode()
"""How a catalog of this program begins; another one is never replaced."""

_BLOCK: Final = 2**20
_MOST_TRIES: Final = 5


def refresh_catalogs(top: Path, folders: Iterable[Path]) -> None:
    """Write the catalogs of folders, and of those above them, where items have come or gone.

    One that cannot be written is a warning, and is made good by the next run that has an archive in its folder. A
    catalog without any item is removed, but for that at the top.

    Parameters
    ----------
    top
        The output folder, whose catalog is the root.
    folders
        Folders within it in which an item was written or removed; others are ignored.
    """
    for folder in sorted(_with_parents(top, folders), key=lambda one: len(one.parts), reverse=True):
        try:
            _refresh(top, folder)
        except (OSError, FileError) as error:
            words = error.strerror if isinstance(error, OSError) else error
            log.warning("%s: the STAC catalog was not written: %s", folder / ITEM_CATALOG, words)


def _with_parents(top: Path, folders: Iterable[Path]) -> set[Path]:
    found = {top}
    for folder in folders:
        if folder.is_relative_to(top):
            found |= {folder, *(parent for parent in folder.parents if parent.is_relative_to(top))}
    return found


def _refresh(top: Path, folder: Path) -> None:
    """Write the catalog of a folder until it agrees with what is there: another run may write it at the same time."""
    path = folder / ITEM_CATALOG
    for _ in range(_MOST_TRIES):
        former = _digest_of(path)
        children, items = _contents(folder)
        if not children and not items and (former is None or folder != top):
            if former is not None:
                path.unlink(missing_ok=True)
            return
        digest = hashlib.sha256()
        for chunk in _chunks(top, folder, children, items):
            digest.update(chunk)
        if digest.digest() == former:
            return
        write_json(path, _chunks(top, folder, children, items))


def _contents(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of folders that have a catalog, and of items, each in order."""
    children, items = [], []
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            name = entry.name
            if name.startswith(".") or is_parts_folder(name):
                continue
            if name.endswith(ITEM_SUFFIX) and entry.is_file(follow_symlinks=False):
                items.append(name)
            elif entry.is_dir(follow_symlinks=False):
                with suppress(OSError, FileError):
                    if _digest_of(folder / name / ITEM_CATALOG) is not None:
                        children.append(name)
    return sorted(children), sorted(items)


def _chunks(top: Path, folder: Path, children: Iterable[str], items: Iterable[str]) -> Iterator[bytes]:
    below = folder.relative_to(top)
    name = "/".join((top.name or "archives", *below.parts))
    yield _BEGINNING
    yield f' "stac_version": "1.1.0",\n "id": {json.dumps(name)},\n'.encode()
    yield f' "title": {json.dumps(below.name or name)},\n "description": "Archives of Sentinel products",\n'.encode()
    root = {"rel": "root", "href": f"{'../' * len(below.parts) or './'}{ITEM_CATALOG}", "type": "application/json"}
    yield f' "links": [\n  {json.dumps(root)}'.encode()
    if below.parts:
        parent = {"rel": "parent", "href": f"../{ITEM_CATALOG}", "type": "application/json"}
        yield f",\n  {json.dumps(parent)}".encode()
    for child in children:
        href = f"./{_quoted(child)}/{ITEM_CATALOG}"
        link = {"rel": "child", "href": href, "type": "application/json", "title": child}
        yield f",\n  {json.dumps(link)}".encode()
    for item in items:
        link = {"rel": "item", "href": f"./{_quoted(item)}", "type": "application/geo+json"}
        yield f",\n  {json.dumps(link)}".encode()
    yield b"\n ]\n}\n"


def _quoted(name: str) -> str:
    return quote(os.fsencode(PurePath(name)))


def _digest_of(path: Path) -> bytes | None:
    """Return the SHA-256 of a catalog; None if there is none.

    Raises
    ------
    FileError
        Something else has its name.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        beginning = file.read(len(_BEGINNING))
        if beginning != _BEGINNING and beginning:
            raise FileError(f"{path}: expected a catalog of this program, found another file; move it away")
        digest = hashlib.sha256(beginning)
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()
