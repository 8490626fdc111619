"""Where archives go: what is there already, and how a verified one gets its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from collgs_async.transfer.holdings import Holdings
from collgs_async.transfer.parts_job import PartsJob
from collgs_async.transfer.room import FolderRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Product
    from collgs_async.models.timing import Timing
    from collgs_async.models.wish import Wish
    from collgs_async.storage.disk import Disk
    from collgs_async.storage.part import PartFile
    from collgs_async.storage.verify import Verdict
    from collgs_async.transfer.action import Action
    from collgs_async.transfer.job import DownloadJob
    from collgs_async.transfer.room import Room

__all__ = ["Destination", "Folder", "destination_for"]


class Destination(Protocol):
    """Where archives go. Each of them is downloaded and verified as a part file in a local folder first.

    An archive gets its place by `commit` alone, and at once, so that whatever is there is complete.
    """

    @property
    def room(self) -> Room:
        """The room for part files."""

    @property
    def uploads(self) -> int:
        """Number of verified archives that are on their way there at once."""

    async def open(self) -> None:
        """Find what is there; called before anything else but `path_for`."""

    async def close(self) -> None:
        """Release what `open` has acquired."""

    def path_for(self, product: Product) -> Path:
        """Return the path of a product's archive, beside which its part file lies; it need not exist."""

    def place_of(self, product: Product) -> str | None:
        """Return the URL of a product's archive, which need not exist; None: it is the file at `path_for`."""

    async def action(self, product: Product, wish: Wish) -> Action:
        """Inspect what is here of a product, and return what to do with it; changes nothing."""

    async def exists(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Inspect what is here of a product, and acquire its lock.

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
        StorageError
            The destination cannot be read or written.
        """

    async def commit(self, job: DownloadJob, verify: Callable[[], Verdict], *, quick: bool) -> Verdict:
        """Verify a part file that has every byte, and give the archive its place, if the lock is still held.

        Parameters
        ----------
        verify
            Verifies the part file in the calling thread; nothing gets a place if it raises.
        quick
            Whether that takes little time, as for a small archive.

        Raises
        ------
        ProductError
            The archive is not valid, or another run has taken the lock over.
        StorageError
            The destination cannot be written.
        """

    def ended(self, job: DownloadJob) -> None:
        """Record that a job has ended, however it ended: it needs no room any more."""


def destination_for(config: Config, disk: Disk, timing: Timing) -> Destination:
    """Return the destination that the settings name, which is not opened yet.

    Parameters
    ----------
    disk
        The output folder, or the spool.
    timing
        Clock and sleep for tries of requests and uploads.
    """
    if (url := config.store_url) is None:
        return Folder(config, disk)
    from collgs_async.storage.object_store import ObjectStore  # deferred: few runs need it
    from collgs_async.transfer.object_destination import ObjectDestination

    connection = config.connection
    store = ObjectStore(
        url,
        endpoint=config.endpoint_url,
        retries=connection.retries,
        outage=connection.outage,
        sleep=timing.sleep,
        now=timing.now,
    )
    return ObjectDestination(config, disk, store)


class Folder:
    """An output folder, in which archives get their final names by a rename.

    Parameters
    ----------
    config
        The settings.
    disk
        The output folder.

    Attributes
    ----------
    room
        The room in the folder.
    uploads
        None: an archive is in its place at once.
    """

    uploads = 0

    def __init__(self, config: Config, disk: Disk) -> None:
        folder, options = config.folder, config.download_options
        self._disk = disk
        self._holdings = Holdings(folder, config.keep.layout, skip_existing=options.skip_existing, stop=disk.stopping)
        self.room: Room = FolderRoom(disk, folder, options.keep_free)

    async def open(self) -> None:
        """Look through the folders below the output folder, if there are any for archives."""
        if self._holdings.has_folders:
            await self._disk.run_long(self._holdings.look_through)

    async def close(self) -> None:
        """Do nothing."""

    def path_for(self, product: Product) -> Path:
        """Return the path of the product's archive, which need not exist."""
        return self._holdings.path_for(product)

    def place_of(self, product: Product) -> None:
        """Return None: a folder has paths alone."""

    async def action(self, product: Product, wish: Wish) -> Action:
        """Inspect a product's files and return what to do with it; changes nothing."""
        run = self._disk.run_long if wish else self._disk.run
        return await run(lambda: self._holdings.action(product, wish))

    async def exists(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Inspect a product's files and acquire its lock; see `Destination.exists`."""
        disk, holdings = self._disk, self._holdings
        # With a wish, it may read large files of the tree.
        run = disk.run_long if job.wish else disk.run
        reason = await run(lambda: holdings.begin(job, damaged))
        if isinstance(job, PartsJob):
            if reason is not None and await disk.run(job.part.final.exists):
                job.answer_from_archive()
        elif reason is None and await disk.run(partial(holdings.has_tree, job.part)):
            await disk.run_stoppable(partial(holdings.take_from_tree, job.part))
        return reason

    async def commit(self, job: DownloadJob, verify: Callable[[], Verdict], *, quick: bool) -> Verdict:
        """Verify an archive and publish it under its final name, in one call to the executor."""

        def verify_and_publish() -> Verdict:
            verdict = verify()
            _publish(job.part)
            return verdict

        run = self._disk.run_flush if quick else self._disk.run_long
        return await run(verify_and_publish)

    def ended(self, job: DownloadJob) -> None:
        """Do nothing: what a job has brought stays."""


def _publish(part: PartFile) -> None:
    """Publish the archive, if the lock is still held, and release the lock."""
    part.publish()
    part.lock.release()
