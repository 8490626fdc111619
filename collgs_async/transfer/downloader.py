"""One product's walk: decide, bring its bytes, verify them, give them their name."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import (
    CollgsError,
    ExhaustedError,
    IntegrityError,
    NotAvailableError,
    ProductError,
    TransferError,
)
from collgs_async.http.retry import RetryPolicy, clear_error_frames
from collgs_async.models.product import ELSEWHERE, Outcome, Status
from collgs_async.models.timing import Timing
from collgs_async.pipeline import Later
from collgs_async.storage.disk import Disk
from collgs_async.storage.part import SMALL, PartFile
from collgs_async.storage.streaming_crc import StreamingCrc
from collgs_async.storage.verify import Level
from collgs_async.transfer.helpers import IDLE_POLL
from collgs_async.transfer.holdings import Holdings
from collgs_async.transfer.job import DownloadJob, History
from collgs_async.transfer.others import put_off_until_descriptors_are_free, put_off_while_elsewhere
from collgs_async.transfer.outage import PutOff
from collgs_async.transfer.repair import ArchiveRepair
from collgs_async.transfer.scheduler import SegmentScheduler
from collgs_async.transfer.suspend import POLL_INTERVAL
from collgs_async.transfer.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.config.settings import Config
    from collgs_async.http.auth import Authenticator
    from collgs_async.http.session import HttpSession
    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress
    from collgs_async.storage.disk import Told
    from collgs_async.storage.lock import ProductLock
    from collgs_async.storage.verify import Verdict
    from collgs_async.transfer.action import Action

__all__ = ["Downloader"]

log = logging.getLogger("collgs_async")

_QUICKLY_READ: Final = 16 * 1024
"""Bytes that may be left to read where an archive is verified without a thread of its own; if they are packed, they
unpack to a thousand times as many at the worst."""

_MOST_RELEASES: Final = 60
"""How often it is tried to give a lease back."""


class Downloader:
    """Fetch products, one call each, with as many connections as there are workers.

    Use it as an asynchronous context manager: it owns the threads that verify.

    Parameters
    ----------
    transport
        The HTTP session.
    authenticator
        Signs in when the store asks for it.
    config
        Where to put archives and how to treat the line.
    progress
        Whom to tell.
    timing
        Tells the time, and waits between tries; None: the system's own.

    Attributes
    ----------
    moved
        Archive bytes that came over the wire so far, also of fetches that were stopped.
    """

    def __init__(
        self,
        session: HttpSession,
        authenticator: Authenticator,
        config: Config,
        progress: Progress,
        *,
        timing: Timing | None = None,
    ) -> None:
        self._config = config
        self._timing = timing or Timing()
        self._waits = Waits(progress)
        self._options = config.download_options
        self._progress = progress
        self._disk = Disk(config.output_directory)
        self._scheduler = SegmentScheduler(
            *(session, authenticator, config, self._disk), timing=self._timing, tell=self._waits.for_store
        )
        self.moved = 0
        self._unsettled: list[Outcome] = []
        self._leases: list[ProductLock] = []
        self._walking = 0
        self._nobody_walks = asyncio.Event()
        self._idle = 0
        self._watch: asyncio.Task[None] | None = None
        self._holdings = Holdings(
            config.output_directory, skip_existing=self._options.skip_existing, stop=self._disk.stopping
        )

    async def __aenter__(self) -> Self:
        await self._disk.__aenter__()
        self._watch = asyncio.create_task(self._keep_watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await self._disk.__aexit__(kind, error, trace)

    async def _keep_watch(self) -> None:
        """Keep the leases, and notice that the computer slept."""
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            for lock in list(self._leases):
                with suppress(CollgsError):  # who cannot reach the folder finds out when writing
                    await self._disk.run(lock.refresh)
            self._scheduler.look_at_the_clocks()

    @property
    def max_concurrent(self) -> int:
        """How many calls may go on at once: one for each connection and one for each thread that verifies."""
        return self._options.workers + self._disk.checkers

    def path_for(self, product: Product) -> Path:
        """Say where the product's archive is, or will be."""
        return self._holdings.final(product)

    async def action(self, product: Product) -> Action:
        """Look what is here of a product and say what is to be done about it; changes nothing."""
        return await self._disk.run(lambda: self._holdings.action(product))

    async def __call__(self, product: Product) -> Outcome | Later:
        """Fetch one product of many, or find that it is here; with more connections only by those who `help`.

        Returns
        -------
        Outcome or Later
            The outcome also of a product that failed: what concerns it alone is never raised. Later, when the product
            is on tape, another run has it, too many files are open, or others show first whether the store is in
            trouble.

        Raises
        ------
        AuthenticationError
            The store asks for a sign-in.
        StorageError
            The output folder cannot take another byte.
        """
        return await self._one_of_many(product, History())

    async def _one_of_many(self, product: Product, history: History) -> Outcome | Later:
        self._walking += 1
        self._nobody_walks.clear()
        self._waits.for_product(history, waits=False)
        try:
            return await self._fetch(self._job(product, history))
        except PutOff as later:
            self._waits.for_product(history, waits=True)
            return Later(partial(self._one_of_many, product, history), later.seconds, later.store)
        finally:
            self._walking -= 1
            if not self._walking:
                self._nobody_walks.set()

    async def assist(self) -> None:
        """Bring pieces of what others are bringing, until nobody is bringing anything.

        For a worker that has no product of its own any more: so the last, largest archives do not trickle alone.
        """
        self._idle += 1
        try:
            while self._walking:
                if not await self._scheduler.help(self._idle):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_POLL):
                            await self._nobody_walks.wait()
        finally:
            self._idle -= 1

    async def download(self, product: Product, *, damaged: Iterable[tuple[int, int]] | None = None) -> Outcome:
        """Fetch one product that nobody else helps with, over as many connections as it may have.

        Parameters
        ----------
        product
            What to fetch.
        damaged
            Ranges of an archive that is here, ``(first, one past the last)``, which are to be fetched again; it loses
            its final name meanwhile. None: what is here is looked at as `decide` says.

        Returns
        -------
        Outcome
            As for a product of many; so are the errors.
        """
        history = History()
        while True:
            self._waits.for_product(history, waits=False)
            try:
                return await self._fetch(self._job(product, history, alone=True), damaged)
            except PutOff as later:
                if not self.path_for(product).exists():
                    damaged = None  # the archive is a part by now, and they are missing of it
                self._waits.for_product(history, waits=True)
                await self._timing.sleep(later.seconds)

    def _job(self, product: Product, history: History, *, alone: bool = False) -> DownloadJob:
        crc = StreamingCrc() if Level(self._options.verify) is Level.CRC else None
        return DownloadJob(
            product,
            PartFile(self.path_for(product), self._disk.executor, watch=crc.watch if crc else None),
            RetryPolicy(self._config.connection.retries),
            segments=min(self._options.segments, self._options.workers),
            alone=alone,
            progress=self._progress,
            crc=crc,
            history=history,
        )

    async def _fetch(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None = None) -> Outcome:
        """Walk one product, and say what became of it; PutOff is passed on."""
        product, before = job.product, job.bytes_received
        status, error, reason = Status.DOWNLOADED, None, None
        try:
            if reason := await self._walk_or_wait(job, damaged):
                status = Status.SKIPPED
        except ProductError as caught:
            if job.part.published:
                log.warning("%s: %s", product.identifier, caught)  # about its lease; the archive is here
            else:
                status, error = Status.FAILED, _without_frames(caught)
                log.error("%s: %s; it is left out", product.identifier, caught)
        except PutOff:
            job.break_off()
            raise
        except BaseException:
            if job.part.published:  # stopped in this very moment; it is here all the same
                self._unsettled.append(_outcome(job, Status.DOWNLOADED))
            raise
        finally:
            self.moved += job.bytes_received - before
        outcome = _outcome(job, status, reason, error)
        self._progress.finished(outcome)
        return outcome

    def take_unsettled(self) -> list[Outcome]:
        """Give, once, the outcomes of fetches that were stopped when their archives had just got their names."""
        taken, self._unsettled = self._unsettled, []
        return taken

    async def _walk_or_wait(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Walk one product, or put it off while another run or too many open files are in its way."""
        product, history, limit = job.product, job.history, self._config.connection.outage
        began = time.monotonic()
        try:
            reason = await self._download(job, damaged)
        except ExhaustedError as error:
            self._scheduler.open_fewer(began)
            if not job.part.published:
                moved = self.moved + self._scheduler.moving
                put_off_until_descriptors_are_free(product, history, error, moved, limit=limit, now=self._timing.now())
            raise
        history.exhausted.end()
        if reason == ELSEWHERE and not job.standalone:
            trace = await self._disk.run(job.part.lock.trace)
            put_off_while_elsewhere(product, history, trace, limit=limit, now=self._timing.now())
        return reason

    async def _download(self, job: DownloadJob, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Bring the archive to its final name; say why not when there is no need to."""
        lock = job.part.lock
        self._leases.append(lock)
        try:
            reason = await self._disk.run(lambda: self._holdings.begin(job.product, job.part, damaged))
            if reason is None:
                await self._fetch_until_valid(job)
            return reason
        except ProductError:
            if not await self._disk.run(lock.lost):
                raise
            return ELSEWHERE  # whatever went wrong: part and sidecar are of another run by now
        finally:
            self._leases.remove(lock)
            try:
                await job.part.close()
            finally:
                if lock.taken:
                    await self._give_back(lock)

    async def _give_back(self, lock: ProductLock) -> None:
        """Release a lease; where no descriptor is left to look at it, as soon as others have closed their files."""
        for _ in range(_MOST_RELEASES):
            with suppress(ExhaustedError):
                await self._disk.run(lock.release)
                return
            await self._timing.sleep(1.0)

    async def _fetch_until_valid(self, job: DownloadJob) -> None:
        """Bring all bytes, until they are right, and give them their final name."""
        product = job.product
        repair = ArchiveRepair(job)
        while True:
            try:
                size = await self._scheduler.bring(job)
                self._progress.checking(product)
                await self._verify_and_publish(job, size)
                return
            except (NotAvailableError, TransferError) as error:
                repair = _elsewhere(job, error)
            except IntegrityError as error:
                try:
                    again = await repair.mend(error)
                except IntegrityError as final:
                    repair = _elsewhere(job, final)
                else:
                    log.warning("%s: %s; %s", product.identifier, error, again)

    async def _verify_and_publish(self, job: DownloadJob, size: int | None) -> None:
        """Verify an archive and give it its final name; what is quick is done in one go."""
        path, level = job.part.path, self._level(job, size)
        told: Told = {
            "identifier": job.product.identifier,
            "joined": job.part.remote is None,
            "lenient": job.lenient,
        }
        told["seen"] = seen = job.crc.members() if job.crc and level is Level.CRC else {}
        unseen = (size or 0) - sum(member.length for member in seen.values())
        quick = level is not Level.CRC or (job.crc is not None and job.crc.quick and unseen <= _QUICKLY_READ)

        def verify_and_publish() -> Verdict:
            verdict = self._disk.verify_sync(path, size, level, **told)
            _give_name(job.part)
            return verdict

        if size is not None and size <= SMALL and quick:
            verdict = await self._disk.run_flush(verify_and_publish)
        else:
            verdict = await self._disk.check(path, size, level, **told)
            await self._disk.run_long(lambda: _give_name(job.part))
        for warning in verdict.warnings:
            log.warning("%s: %s", job.product.identifier, warning)
        for note in verdict.notes:
            log.info("%s: note: %s", job.product.identifier, note)

    def _level(self, job: DownloadJob, size: int | None) -> Level:
        if job.part.remote is None:
            return Level.CRC  # nobody vouches for all bytes being of one version
        level = Level(self._options.verify)
        # A length that nobody announced proves nothing.
        return Level.STRUCTURE if size is None and level is Level.SIZE else level


def _elsewhere(job: DownloadJob, error: ProductError) -> ArchiveRepair:
    """Go on with the next of a product's links; without one, the error is the last word."""
    if not job.turn_to_next_link():
        raise error
    log.warning("%s: %s; trying its next download link", job.product.identifier, error)
    return ArchiveRepair(job)


def _outcome(job: DownloadJob, status: Status, reason: str | None = None, error: ProductError | None = None) -> Outcome:
    return Outcome(
        job.product,
        status,
        path=job.part.final if error is None else None,
        bytes=job.bytes_received,
        seconds=time.monotonic() - job.history.begun,
        attempts=job.attempts,
        reason=reason,
        error=error,
    )


def _give_name(part: PartFile) -> None:
    """Publish what is still ours to publish, and give the lease back."""
    part.publish_here()
    part.lock.release()


def _without_frames(error: ProductError) -> ProductError:
    """Let go of the frames of an error that is kept: each holds the blocks that it was reading."""
    clear_error_frames(error)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
