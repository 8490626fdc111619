"""Put archives into an object store: downloaded and verified in a local spool, then uploaded.

An object appears when its upload is complete, and an upload begins with a verified part file, so that whatever has an
archive's key is complete. The part file and its lock go after that. If the process is killed before, the next run
verifies the part file again, without a request to the source, and uploads it; if it is killed after, the next run finds
the object, and clears what is left in the spool.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError, IntegrityError, StorageError, TakenOverError
from collgs_async.models.product import ELSEWHERE, EXISTS
from collgs_async.models.text import format_share
from collgs_async.storage.filenames import file_name, folds_case
from collgs_async.storage.files import create_folder, storage_trouble
from collgs_async.storage.identity import refuse_another
from collgs_async.storage.object_store import MAX_UPLOADS
from collgs_async.storage.zip_directory import members_of_tail
from collgs_async.transfer.action import Action, inspect_local
from collgs_async.transfer.holdings import refuse_unavailable
from collgs_async.transfer.spool_room import SpoolRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Product
    from collgs_async.models.wish import Wish
    from collgs_async.storage.disk import Disk
    from collgs_async.storage.object_store import ObjectStore
    from collgs_async.storage.part import PartFile
    from collgs_async.storage.verify import Verdict
    from collgs_async.transfer.job import DownloadJob

__all__ = ["ObjectDestination"]

log = logging.getLogger("collgs_async")

_TAIL: Final = 2**20
"""Bytes at the end of an object of another program that are read for its central directory."""


class ObjectDestination:
    """A prefix in an object store, and the spool before it; see `Destination`.

    Parameters
    ----------
    config
        The settings; their folder is the spool.
    disk
        The spool.
    store
        The object store.

    Attributes
    ----------
    room
        The room in the spool.
    uploads
        Number of uploads at once.
    """

    uploads = MAX_UPLOADS

    def __init__(self, config: Config, disk: Disk, store: ObjectStore) -> None:
        self._disk, self._store, self._spool = disk, store, config.folder
        self._layout = config.keep.layout
        self._skip_existing = config.download_options.skip_existing
        self._folds_case = folds_case(self._spool)
        self._has_spool = False
        self._unusable: set[str] = set()
        self.room = SpoolRoom(disk, self._spool, config.download_options.keep_free)

    async def open(self) -> None:
        """List what is in the store."""
        await self._store.__aenter__()

    async def close(self) -> None:
        """Close the store."""
        await self._store.__aexit__(None, None, None)

    def path_for(self, product: Product) -> Path:
        """Return the path in the spool beside which a product's part file lies; no archive is ever there."""
        return self._spool / file_name(product.identifier, folds_case=self._folds_case)

    def place_of(self, product: Product) -> str:
        """Return the URL of a product's archive, which need not exist."""
        return self._store.url_of(self._key_for(product))

    def _key_for(self, product: Product) -> str:
        """Return the key of a product's archive: where it lies, or else where the layout has it."""
        name = file_name(product.identifier)
        if (found := self._store.find(name)) and found not in self._unusable:
            return found
        folder = self._layout.folder(product) if self._layout else ""
        return f"{folder}/{name}" if folder else name

    async def action(self, product: Product, wish: Wish) -> Action:  # noqa: ARG002
        """Inspect what is here of a product, and return what to do with it; changes nothing."""
        if await self._is_listed(product):
            return Action.SKIP
        final, stop = self.path_for(product), self._disk.stopping
        return await self._disk.run(partial(inspect_local, product, final, skip_existing=False, stop=stop))

    async def exists(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Look for a product in the store, and acquire its lock in the spool; see `Destination.exists`.

        A product that is not in the listing is looked for once more under its lock: it may have come there since, by
        another run of this machine or of another one.
        """
        product, part = job.product, job.part
        if damaged is not None:
            raise FileError(f"{self.place_of(product)}: an archive in an object store cannot be repaired")
        if product.is_twin:
            refuse_unavailable(product)
        is_new = self._store.find(file_name(product.identifier)) is None
        if await self._is_listed(product):
            await self._disk.run(partial(_clear, part))
            return EXISTS
        refuse_unavailable(product)
        if not self._has_spool:
            await self._disk.run(partial(_create_spool, self._spool))
            self._has_spool = True
        if not await self._disk.run(partial(_acquire, part)):
            return ELSEWHERE
        if is_new and self._skip_existing and await self._is_whole(product):
            await part.discard()
            return EXISTS
        self.room.begin(job)
        return None

    async def commit(self, job: DownloadJob, verify: Callable[[], Verdict], *, quick: bool) -> Verdict:
        """Verify a part file and upload it, then remove it."""
        product, part = job.product, job.part

        def verify_and_flush() -> tuple[Verdict, int]:
            verdict = verify()
            part.flush()  # if the disk cannot keep what it has accepted, this tells, and reading it again may not
            return verdict, part.path.stat().st_size

        run = self._disk.run_flush if quick else self._disk.run_long
        verdict, size = await run(verify_and_flush)

        def on_sent(nbytes: int) -> None:
            part.lock.confirm()  # another run that has taken it over writes into a file of this name
            job.progress.delayed(product, f"uploading {format_share(nbytes, size)}")

        job.progress.delayed(product, "uploading")
        etag = part.remote.etag if part.remote else None
        key = self._key_for(product)
        await self._store.upload(part.path, key, size=size, etag=etag, on_sent=on_sent)
        self._unusable.discard(key)
        with suppress(TakenOverError):  # the other run finds the object
            await part.discard(published=True)
        return verdict

    def ended(self, job: DownloadJob) -> None:
        """Record that a job has ended, however it ended: it needs no room any more."""
        self.room.end(job)

    async def _is_listed(self, product: Product) -> bool:
        """Whether a product is to be skipped, since what the listing has under its name is its archive."""
        if not self._skip_existing or self._store.find(file_name(product.identifier)) is None:
            return False
        key = self._key_for(product)
        if await self._is_whole(product):
            return True
        # What lies elsewhere may be another one of the same name, and not its archive.
        return self._key_for(product) != key and await self._is_whole(product)

    async def _is_whole(self, product: Product) -> bool:
        """Whether what has a product's key is its archive, by our own record, or else by its central directory."""
        key = self._key_for(product)
        if key in self._unusable:
            return False
        facts = await self._store.facts(key)
        if facts is None or facts.is_ours:
            return facts is not None
        tail = await self._store.read_tail(key, facts.size, _TAIL)
        try:
            await self._disk.run_long(partial(_check_tail, tail, facts.size, product.identifier))
        except IntegrityError as error:
            self._unusable.add(key)
            place, stays = self.place_of(product), "it is replaced"
            if place != (url := self._store.url_of(key)):
                stays = f"it stays, and the archive is {place}"
            log.warning("%s: %s is not its whole archive (%s); %s", product.identifier, url, error, stays)
            return False
        return True


def _check_tail(tail: bytes, size: int, identifier: str) -> None:
    """Raise IntegrityError unless these bytes are the end of a product's archive of this size."""
    refuse_another([member.name for member in members_of_tail(tail, size).members], identifier)


def _create_spool(folder: Path) -> None:
    """Create the spool for this user alone; what others may write could be changed between verification and upload.

    Raises
    ------
    StorageError
        It is in a folder that all users share, as ``/tmp``, and belongs to another one.
    """
    with storage_trouble(folder):
        create_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        is_shared = folder.parent.stat().st_mode & stat.S_ISVTX
        if is_shared and folder.lstat().st_uid != os.geteuid():
            raise StorageError(f"{folder}: the spool belongs to another user; name another one")


def _acquire(part: PartFile) -> bool:
    if not part.lock.acquire():
        return False
    part.open_existing()
    return True


def _clear(part: PartFile) -> None:
    """Remove what a run has left in the spool that was killed after its upload; what a running one has is kept."""
    with suppress(FileError):
        left = any(os.path.lexists(path) for path in (part.path, part.sidecar, part.lock.path))
        if left and part.lock.acquire():
            part.discard_sync()
            part.lock.release()
