"""Download one product: lock it, decide what is missing, fetch, verify, publish."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CollgsError, ExhaustedError, ProductError
from collgs_async.http.retry import RetryPolicy
from collgs_async.models.product import ELSEWHERE, Outcome, Status
from collgs_async.models.wish import Wish
from collgs_async.pipeline import Later
from collgs_async.storage.disk import Disk
from collgs_async.storage.filenames import parts_folder
from collgs_async.storage.part import PartFile
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.storage.streaming_crc import StreamingCrc
from collgs_async.storage.verify import Level
from collgs_async.transfer.archive_download import ArchiveDownload
from collgs_async.transfer.budget import Meter
from collgs_async.transfer.destination import destination_for
from collgs_async.transfer.helpers import IDLE_POLL
from collgs_async.transfer.history import History
from collgs_async.transfer.holdings import refuse_unavailable
from collgs_async.transfer.internals import is_known_loop
from collgs_async.transfer.job import DownloadJob, JobSettings
from collgs_async.transfer.outcome import outcome_of, without_frames
from collgs_async.transfer.outcome_log import log_outcome, log_whole_archive
from collgs_async.transfer.parts import PartsDownload
from collgs_async.transfer.parts_job import PartsJob
from collgs_async.transfer.put_off import PutOff, put_off_until_descriptors_are_free, put_off_while_elsewhere
from collgs_async.transfer.remote_directory import find_directory
from collgs_async.transfer.scheduler import SegmentScheduler
from collgs_async.transfer.store_errors import WholeArchivesOnlyError
from collgs_async.transfer.tuning import TransferTuning
from collgs_async.transfer.wait_counts import WaitCounts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from collgs_async.config.settings import Config
    from collgs_async.http.session import Session
    from collgs_async.http.shared_limits import SharedLimits
    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress
    from collgs_async.storage.lock import ProductLock
    from collgs_async.storage.zip_directory import Directory
    from collgs_async.transfer.action import Action

__all__ = ["Downloader"]

log = logging.getLogger("collgs_async")

_MAX_RELEASES: Final = 60
"""Attempts to release a lock while no file descriptor is left."""


class Downloader:
    """Downloads products, one call each, with at most as many connections as there are workers.

    Use it as an asynchronous context manager: it owns the threads that verify.

    Parameters
    ----------
    tuning
        Figures of the engine; None for the defaults.
    shared
        Limits that other processes of the same run share; None: there are no others.

    Attributes
    ----------
    tuning
        The figures in use.
    meter
        Counts the archive bytes received so far, including those of cancelled downloads.
    """

    def __init__(
        self,
        session: Session,
        config: Config,
        progress: Progress,
        tuning: TransferTuning | None = None,
        *,
        shared: SharedLimits | None = None,
    ) -> None:
        self._config = config
        self._timing = session.timing
        self.tuning = tuning or TransferTuning()
        self._waits = WaitCounts(progress)
        self._options = config.download_options
        self._parts = config.parts
        self._progress = progress
        self.disk = self._disk = Disk(config.folder)
        self._destination = destination_for(config, self._disk, session.timing)
        self._scheduler = SegmentScheduler(
            session,
            config,
            self._disk,
            self._destination.room,
            self.tuning,
            tell=self._waits.for_store,
            shared=shared,
        )
        self.meter = Meter()
        self._unreported: list[Outcome] = []
        self._locks: list[ProductLock] = []
        self._running = 0
        self._without_ranges: set[str] = set()
        self._none_running = asyncio.Event()
        self._idle = 0
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._destination.open()
        await self._disk.__aenter__()
        if self.tuning.thread_receiver and not is_known_loop(loop := asyncio.get_running_loop()):
            kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
            log.debug("%s: bodies are read through the event loop, at more processor time than in threads", kind)
        self._watcher = asyncio.create_task(self._watch_locks_and_clocks())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        try:
            await self._disk.__aexit__(kind, error, trace)
        finally:
            await self._destination.close()

    async def _watch_locks_and_clocks(self) -> None:
        """Refresh the locks, and reconnect after a suspend, at regular intervals."""
        while True:
            await asyncio.sleep(self.tuning.watch_seconds)
            for lock in list(self._locks):
                with suppress(CollgsError):  # if the folder cannot be reached, the next write reports it
                    await self._disk.run(lock.refresh)
            self._scheduler.reconnect_after_suspend()

    @property
    def max_concurrent(self) -> int:
        """Number of calls that may run at once: one for each connection, verifying thread and upload."""
        return self._options.workers + self._disk.checkers + self._destination.uploads

    def path_for(self, product: Product) -> Path:
        """Return the path of the product's archive, which need not exist."""
        return self._destination.path_for(product)

    def place_of(self, product: Product) -> str | None:
        """Return the URL of the product's archive in an object store; None: it is a file."""
        return self._destination.place_of(product)

    async def action(self, product: Product) -> Action:
        """Inspect what is here of a product, and return what to do with it; changes nothing."""
        return await self._destination.action(product, self._parts.wish)

    async def __call__(self, product: Product, *, wish: Wish | None = None) -> Outcome | Later:
        """Download one product of many, or skip it; it gets further connections only from workers that `assist`.

        Parameters
        ----------
        wish
            Which of its members are wanted; an empty one means the whole archive, None what the settings say.

        Returns
        -------
        Outcome or Later
            The outcome, also of a failed product: errors of one product are not raised. Later if the product is on
            tape, locked by another run, lacks a file descriptor, or waits for a store with an outage.

        Raises
        ------
        AuthenticationError
            The store requires a login, and credentials are missing or were refused.
        StorageError
            The output folder cannot be written.
        """
        return await self._one_of_many(product, History(), self._parts.wish if wish is None else wish)

    async def _one_of_many(self, product: Product, history: History, wish: Wish) -> Outcome | Later:
        self._running += 1
        self._none_running.clear()
        self._waits.for_product(history, waits=False)
        try:
            return await self._run_job(self._job(product, history, wish))
        except PutOff as later:
            self._wait(product, history, later)
            return Later(partial(self._one_of_many, product, history, wish), later.seconds, later.store)
        finally:
            self._running -= 1
            if not self._running:
                self._none_running.set()

    def _wait(self, product: Product, history: History, later: PutOff) -> None:
        """Show that a product waits."""
        self._waits.for_product(history, waits=True)
        self._progress.delayed(product, later.why, seconds=later.seconds or None)

    async def directory(self, product: Product) -> tuple[Directory, int]:
        """Read the central directory of a product's archive in the store, mostly by one request for 64 KiB.

        The length of the archive in bytes is returned with it.

        Raises
        ------
        NotAvailableError
            The store does not serve it, or sends whole archives only.
        IntegrityError
            The archive has no valid directory, or is another product's.
        TransferError
            The connection or the server failed.
        """
        refuse_unavailable(product)
        history = History()
        while True:
            self._waits.for_product(history, waits=False)
            with TemporaryDirectory(prefix="collgs-") as folder:
                part = PartFile(Path(folder) / "archive.zip", self._disk.executor)
                job = PartsJob(product, part, wish=Wish(), **self._settings(history, standalone=True))
                try:
                    return await find_directory(job, self._scheduler.run, self._disk), job.size or 0
                except PutOff as later:
                    job.save_counters()
                    self._wait(product, history, later)
                    seconds = later.seconds
            await self._timing.sleep(seconds)

    async def assist(self) -> None:
        """Download pieces of running jobs, until no job is running.

        For workers without further products: the last, largest archives get their connections.
        """
        self._idle += 1
        try:
            while self._running:
                if not await self._scheduler.assist(self._idle):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_POLL):
                            await self._none_running.wait()
        finally:
            self._idle -= 1

    async def download(
        self, product: Product, *, damaged: Iterable[tuple[int, int]] | None = None, wish: Wish | None = None
    ) -> Outcome:
        """Download one product on its own, over as many connections as it may have.

        The outcome and the errors are those of a product of many; what would be `Later` is waited for here.

        Parameters
        ----------
        damaged
            Ranges ``(first, one past the last)`` of the existing archive that are to be downloaded again; meanwhile it
            becomes a part file. None to proceed as `decide` says.
        wish
            As for a product of many; with `damaged`, the whole archive is wanted.
        """
        history = History()
        wish = self._parts.wish if wish is None else wish
        while True:
            self._waits.for_product(history, waits=False)
            try:
                wanted = wish if damaged is None else Wish()
                return await self._run_job(self._job(product, history, wanted, standalone=True), damaged)
            except PutOff as later:
                if not self.path_for(product).exists():
                    damaged = None  # the archive has become a part file without these ranges
                self._wait(product, history, later)
                await self._timing.sleep(later.seconds)

    def _job(self, product: Product, history: History, wish: Wish, *, standalone: bool = False) -> DownloadJob:
        verified = Level(self._options.verify) is Level.CRC and not wish  # members are verified when extracted
        crc = StreamingCrc() if verified else None
        small, watch = self.tuning.small_bytes, crc.watch if crc else None
        part = PartFile(self.path_for(product), self._disk.executor, watch=watch, small=small)
        if wish:
            idle = (lambda: self._options.segments) if standalone else (lambda: self._idle)
            return PartsJob(product, part, wish=wish, idle=idle, **self._settings(history, standalone=standalone))
        return DownloadJob(product, part, crc=crc, **self._settings(history, standalone=standalone))

    def _settings(self, history: History, *, standalone: bool) -> JobSettings:
        return {
            "retry": RetryPolicy(self._config.connection.retries),
            "segments": min(self._options.segments, self._options.workers),
            "standalone": standalone,
            "progress": self._progress,
            "count": self.meter.count,
            "history": history,
            "tuning": self.tuning,
        }

    async def _run_job(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None = None) -> Outcome:
        """Process one product and return its outcome; PutOff is passed on."""
        product = job.product
        status, error, reason = Status.DOWNLOADED, None, None
        try:
            if reason := await self._download_or_put_off(job, damaged):
                status = Status.SKIPPED
        except WholeArchivesOnlyError as caught:
            if self._parts.else_whole:
                return await self._take_whole(job)
            status, error = Status.FAILED, without_frames(caught)
        except ProductError as caught:
            if job.part.published:
                log.warning("%s: %s", product.identifier, caught)  # from releasing the lock; the archive is published
            else:
                status, error = Status.FAILED, without_frames(caught)
        except PutOff:
            job.save_counters()
            raise
        except BaseException:
            if job.part.published:  # cancelled after the rename: the archive is here, so its outcome must be reported
                self._unreported.append(outcome := outcome_of(job, Status.DOWNLOADED, url=self.place_of(product)))
                log_outcome(outcome)
            raise
        outcome = outcome_of(job, status, reason, error, url=self.place_of(product))
        log_outcome(outcome)
        self._progress.finished(outcome)
        return outcome

    async def _take_whole(self, job: DownloadJob) -> Outcome:
        log_whole_archive(job.product, job.url, self._without_ranges)
        job.save_counters()
        return await self._run_job(self._job(job.product, job.history, Wish(), standalone=job.standalone))

    def take_unsettled(self) -> list[Outcome]:
        """Return and clear the outcomes of downloads that were cancelled right after publishing their archive."""
        taken, self._unreported = self._unreported, []
        return taken

    async def _download_or_put_off(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Process one product; postpone it while another run has its lock or no file descriptor is left."""
        product, history, limit = job.product, job.history, self._config.connection.outage
        started = time.monotonic()
        try:
            reason = await self._download_under_lock(job, damaged)
        except ExhaustedError as error:
            self._scheduler.reduce_concurrency(started)
            if not job.part.published:
                moved = self.meter.total
                put_off_until_descriptors_are_free(product, history, error, moved, limit=limit, now=self._timing.now())
            raise
        history.exhausted.end()
        if reason == ELSEWHERE and not job.standalone:
            trace = await self._disk.run(job.part.lock.trace)
            put_off_while_elsewhere(product, history, trace, limit=limit, now=self._timing.now())
        return reason

    async def _download_under_lock(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Download and publish the archive under its lock; return the reason if the product is skipped."""
        lock = job.part.lock
        self._locks.append(lock)
        try:
            if (reason := await self._destination.exists(job, damaged)) is None:
                await self._download(job)
            return reason
        except ProductError:
            if not await self._disk.run(lock.lost):
                raise
            return ELSEWHERE  # the error does not matter: part file and sidecar belong to another run by now
        finally:
            self._locks.remove(lock)
            self._destination.ended(job)
            try:
                await job.part.close()
            finally:
                if lock.taken:
                    await self._release(lock)

    async def _release(self, lock: ProductLock) -> None:
        """Release a lock; if no file descriptor is left to read it, retry until other downloads have closed theirs."""
        for _ in range(_MAX_RELEASES):
            with suppress(ExhaustedError):
                await self._disk.run(lock.release)
                return
            await self._timing.sleep(1.0)

    async def _download(self, job: DownloadJob) -> None:
        run, options, parts = self._scheduler.run, self._options, self._parts
        if not isinstance(job, PartsJob):
            small, verify = self.tuning.small_bytes, Level(options.verify)
            await ArchiveDownload(job, run, self._disk, self._destination, verify=verify, small=small)()
            return
        tree, anew = PartsTree(parts_folder(job.part.final)), not options.skip_existing
        await PartsDownload(job, run, self._disk, tree, self.tuning, keep_part=parts.keep_part, anew=anew)()
