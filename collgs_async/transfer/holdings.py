"""Find a product's files in the output folder, and acquire its lock."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from collgs_async.errors import CollgsError, FileError, IntegrityError, NotAvailableError
from collgs_async.models.product import ELSEWHERE, EXISTS
from collgs_async.models.wish import Wish
from collgs_async.storage.filenames import file_name, folds_case, former_file_name, parts_folder
from collgs_async.storage.folder_index import FolderIndex, has_layout, mark_layout
from collgs_async.storage.parts_record import read_record
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.storage.reopen import reopen_as_part
from collgs_async.transfer.action import Action, inspect_local
from collgs_async.transfer.parts import has_members
from collgs_async.transfer.range_request import is_same_version, strong_validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from collgs_async.models.layout import Layout
    from collgs_async.models.product import Product
    from collgs_async.storage.lock import ProductLock
    from collgs_async.storage.part import PartFile
    from collgs_async.transfer.job import DownloadJob

__all__ = ["Holdings", "refuse_unavailable"]

log = logging.getLogger("collgs_async")


class Holdings:
    """The archives and part files of the output folder; every call accesses the disk.

    Parameters
    ----------
    folder
        The output folder; it need not exist yet.
    layout
        In which folder below that new products belong; None: in itself. What is here lies where it is: with a layout,
        or once a run had one, the whole tree is looked through.
    skip_existing
        Whether existing archives are kept rather than downloaded again.
    stop
        Called regularly; returns True to cancel.

    Attributes
    ----------
    has_folders
        Whether products may lie in folders below the output folder.
    """

    def __init__(
        self, folder: Path, layout: Layout | None = None, *, skip_existing: bool, stop: Callable[[], bool]
    ) -> None:
        self._folder = folder
        self._layout = layout
        self.has_folders = layout is not None or has_layout(folder)
        self._index: FolderIndex | None = None
        self._skip_existing = skip_existing
        self._stop = stop
        self._folds_case = folds_case(folder)

    def look_through(self) -> None:
        """Find where products lie, unless all belong in one folder; with many folders, this takes seconds."""
        if self.has_folders:
            self._index = FolderIndex(self._folder)

    def path_for(self, product: Product) -> Path:
        """Return the path of the product's archive, which need not exist."""
        name = file_name(product.identifier, folds_case=self._folds_case)
        return self._folder / self._relative(product, name) / name if self.has_folders else self._folder / name

    def _relative(self, product: Product, name: str) -> str:
        """Return the folder with what is here of a product, or else that of the layout."""
        if self._index is None:
            self.look_through()
        place = self._layout.folder(product) if self._layout else ""
        former = former_file_name(product.identifier, folds_case=self._folds_case)
        for one in (name, former):
            if one and self._index and (found := self._index.find(one, place)) is not None:
                return found
        return place

    def action(self, product: Product, wish: Wish) -> Action:
        """Inspect a product's files and return what to do with it; changes nothing.

        Parameters
        ----------
        wish
            Which of its members are wanted; an empty one means the whole archive.
        """
        return Action.SKIP if self._former_archive(product) else self._inspect(product, self.path_for(product), wish)

    def begin(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Inspect a product's files and acquire its lock, in one call.

        Parameters
        ----------
        damaged
            Ranges of the existing archive that are to be downloaded again; None to proceed as `decide` says.

        Returns
        -------
        str or None
            The reason to skip the product: `EXISTS` or `ELSEWHERE`. None if the lock was acquired and the part file
            inspected.

        Raises
        ------
        ProductError
            The product has no usable link, or something that is not a file has one of its names.
        OSError
            The folder cannot be read or written.
        """
        product, part, wish = job.product, job.part, job.wish
        if product.is_twin:
            refuse_unavailable(product)
        if damaged is None and (former := self._former_archive(product)):
            with suppress(FileNotFoundError):  # another run has renamed it already
                former.replace(part.final)
        before = _version(part.final)
        if damaged is None and self._inspect(product, part.final, wish, records=True) is Action.SKIP:
            _remove_stale_lock(part.lock)
            return EXISTS
        refuse_unavailable(product)
        if not part.lock.acquire():
            return ELSEWHERE
        if self._layout and part.final.parent != self._folder:
            mark_layout(self._folder, str(self._layout))
        # The previous owner of the lock may have finished the archive since it was inspected above.
        if damaged is not None:
            reopen_as_part(part, damaged)
        elif _version(part.final) not in {None, before} and self._inspect(product, part.final, wish) is Action.SKIP:
            return EXISTS
        part.open_existing()
        return None

    def has_tree(self, part: PartFile) -> bool:
        """Whether earlier runs may have extracted members of an archive."""
        return os.path.lexists(parts_folder(part.final))

    def take_from_tree(self, part: PartFile, stop: Callable[[], bool]) -> None:
        """Take what earlier runs have extracted of an archive into its part file, unless that is of another version.

        Raises
        ------
        FileError, StorageError
            The part file cannot be written, or the disk failed.
        Stopped
            `stop()` returned True.
        """
        tree = PartsTree(parts_folder(part.final))
        try:
            record = read_record(tree.folder)
        except FileError as error:  # it is no tree, or of a later release: the archive does not need it
            log.warning("%s; nothing of it is used", error)
            return
        if record is None:
            return
        try:
            if not part.held.total:
                # Without a strong validator, only equal bytes and checksums prove that the rest is of the same version.
                tree.seed(part.path, record, record.remote if strong_validator(record.remote) else None, stop)
                part.open_existing()
            elif part.remote and is_same_version(part.remote, record.remote):
                part.add_ranges(())  # the file may become longer, and its length says nothing from then on
                part.add_ranges(tree.fill(part.path, record, part.held, stop))
        except IntegrityError as error:
            log.warning("%s: %s; nothing of it is used", tree.folder, error)

    def _former_archive(self, product: Product) -> Path | None:
        """Return the archive under the name that earlier releases used; None if it is not there, or not needed."""
        final = self.path_for(product)
        name = former_file_name(product.identifier, folds_case=self._folds_case)
        former = final.with_name(name) if name else None
        if former is None or final.exists() or not former.is_file():
            return None
        return former if self._inspect(product, former, Wish()) is Action.SKIP else None

    def _inspect(self, product: Product, final: Path, wish: Wish, *, records: bool = False) -> Action:
        """Return what to do with a product; record the times of files that had to be read, if `records`."""
        action = inspect_local(product, final, skip_existing=self._skip_existing, stop=self._stop)
        if action is Action.SKIP or not (wish and self._skip_existing):
            return action
        tree = PartsTree(parts_folder(final))
        if not has_members(tree, wish, product.identifier, self._stop):
            return action
        if records:
            with suppress(CollgsError):  # in a folder that is read-only, they are read by each run
                tree.record_times()
        return Action.SKIP


def refuse_unavailable(product: Product) -> None:
    """Raise a NotAvailableError if a product has no link, or another one has its name."""
    if product.is_twin:
        raise NotAvailableError(product.problem or "another product has its name")
    if product.url is None:
        raise NotAvailableError(product.problem or "the catalogue gives no download link for it")


def _version(path: Path) -> tuple[int, ...] | None:
    """Return values that change when the file is replaced or modified; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _remove_stale_lock(lock: ProductLock) -> None:
    """Remove the lock file of a run that was killed between publishing the archive and releasing the lock.

    A product with an archive is skipped, so no later step would remove the file. The lock of a running process is kept.
    """
    with suppress(FileError):
        if lock.path.exists() and lock.acquire():
            lock.release()
