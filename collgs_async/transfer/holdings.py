"""What is here of each product, under which name, and the right to fetch the rest."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from collgs_async.errors import FileError, NotAvailableError
from collgs_async.models.product import ELSEWHERE, EXISTS
from collgs_async.storage.filenames import file_name, folds_case, former_file_name
from collgs_async.transfer.action import Action, inspect_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from collgs_async.models.product import Product
    from collgs_async.storage.lock import ProductLock
    from collgs_async.storage.part import PartFile

__all__ = ["Holdings"]


class Holdings:
    """The archives and parts of the output folder; every call works on the disk.

    Parameters
    ----------
    folder
        Where archives are put. It need not exist yet.
    skip_existing
        Whether to leave alone what is here.
    stop
        Asked now and then whether to give up.
    """

    def __init__(self, folder: Path, *, skip_existing: bool, stop: Callable[[], bool]) -> None:
        self._folder = folder
        self._skip_existing = skip_existing
        self._stop = stop
        self._folds_case = folds_case(folder)

    def final(self, product: Product) -> Path:
        """Say where the product's archive is, or will be."""
        return self._folder / file_name(product.identifier, folds_case=self._folds_case)

    def action(self, product: Product) -> Action:
        """Look what is here of a product and say what is to be done about it; changes nothing."""
        return Action.SKIP if self._former(product) else self._look(product, self.final(product))

    def begin(self, product: Product, part: PartFile, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Look what is here of a product and take its lease, in one go.

        Parameters
        ----------
        product, part
            The product, and where its bytes belong.
        damaged
            Ranges of the archive that is here, which are to be fetched again; None: it is looked at as `decide` says.

        Returns
        -------
        str or None
            Why there is nothing to do: `EXISTS` or `ELSEWHERE`. None: the lease is ours, and the part was looked at.

        Raises
        ------
        ProductError
            It cannot be had, or something odd has one of its names.
        OSError
            The folder.
        """
        if product.is_twin:
            raise NotAvailableError(product.problem or "another product has its name")
        if damaged is None and (former := self._former(product)):
            with suppress(FileNotFoundError):  # another run was quicker
                former.replace(part.final)
        before = _version(part.final)
        if damaged is None and self._look(product, part.final) is Action.SKIP:
            _clear(part.lock)
            return EXISTS
        if product.url is None:
            raise NotAvailableError(product.problem or "the catalogue gives no download link for it")
        if not part.lock.acquire():
            return ELSEWHERE
        # Whoever had the lease before may have finished it since we looked.
        if damaged is not None:
            part.reopen(damaged)
        elif _version(part.final) not in {None, before} and self._look(product, part.final) is Action.SKIP:
            return EXISTS
        part.open_existing()
        return None

    def _former(self, product: Product) -> Path | None:
        """Find the product's archive where an earlier version put it; None: it is not there, or need not be."""
        final = self.final(product)
        name = former_file_name(product.identifier, folds_case=self._folds_case)
        former = final.with_name(name) if name else None
        if former is None or final.exists() or not former.is_file():
            return None
        return former if self._look(product, former) is Action.SKIP else None

    def _look(self, product: Product, final: Path) -> Action:
        return inspect_local(product, final, skip_existing=self._skip_existing, stop=self._stop)


def _version(path: Path) -> tuple[int, ...] | None:
    """Tell one file of this name from another one; None: there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _clear(lock: ProductLock) -> None:
    """Remove the lease of a run that was killed between giving the archive its name and giving the lease back.

    Whoever finds the archive here fetches nothing, so nobody else would. A lease whose holder lives is left alone.
    """
    with suppress(FileError):
        if lock.path.exists() and lock.acquire():
            lock.release()
