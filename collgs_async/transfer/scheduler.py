"""The connections of a run: which archives they bring, how many there may be, and when they try again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError, NotAvailableError, StorageError, TransferError, UnreadableError
from collgs_async.http.limits import ConcurrencyLimiter, RateLimiter
from collgs_async.http.retry import MAX_RETRY_AFTER, retry_call
from collgs_async.models.text import format_bytes, format_duration
from collgs_async.storage.verify import Level
from collgs_async.transfer.fetch import BusyError, SegmentFetcher, StagingError, UnavailableError
from collgs_async.transfer.helpers import IDLE_POLL, SegmentHelpers
from collgs_async.transfer.job import SegmentSuperseded
from collgs_async.transfer.outage import OutageError, Store
from collgs_async.transfer.range_request import AskAgain
from collgs_async.transfer.staging import put_off_until_staged
from collgs_async.transfer.stores import Stores
from collgs_async.transfer.suspend import SuspendDetector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import ClientResponse
    from tenacity import RetryCallState

    from collgs_async.config.settings import Config
    from collgs_async.http.auth import Authenticator
    from collgs_async.http.session import HttpSession
    from collgs_async.models.timing import Timing
    from collgs_async.storage.disk import Disk
    from collgs_async.transfer.job import DownloadJob, Segment
    from collgs_async.transfer.range_request import ResponseBody

__all__ = ["SegmentScheduler"]

log = logging.getLogger("collgs_async")

BLOCK: Final = 2**20
"""Bytes of the smallest block that is worth a trip to a thread; a larger `chunk_size` enlarges it."""

_MOST_QUESTIONS: Final = 6
"""Requests of one try: each further one follows from what the answer before it has taught."""

_UNUSUAL: Final = 2
"""How many times as long as all others an archive must be for its product to fail alone where it does not fit."""

_MOST_TOO_LARGE: Final = 2
"""Products in a row that fail alone like that; with the next one, the disk counts as full."""


class SegmentScheduler:
    """Bring archives into their parts, with as many connections in all as there are workers.

    Parameters
    ----------
    transport
        The HTTP session.
    authenticator
        Signs in when the store asks for it.
    config
        How to treat the line, and where archives are put.
    disk
        The folder where they are put.
    timing
        Tells the time, and waits between tries.
    tell
        Called when a store's trouble begins (True) and ends (False).
    """

    def __init__(
        self,
        session: HttpSession,
        authenticator: Authenticator,
        config: Config,
        disk: Disk,
        *,
        timing: Timing,
        tell: Callable[[bool], None] = lambda _: None,
    ) -> None:
        options, connection = config.download_options, config.connection
        self._folder = config.output_directory
        self._disk = disk
        self._timing = timing
        self._staging = connection.staging
        self._line = SegmentFetcher(
            session,
            authenticator,
            RateLimiter(options.limit_rate),
            block=max(BLOCK, options.chunk_size),
            min_rate=options.min_rate,
            timeout=connection.timeout,
            longest_wait=max(MAX_RETRY_AFTER, connection.outage),
        )
        self._all_limiters = ConcurrencyLimiter(options.workers, sleep=timing.sleep)
        self._stores = Stores(
            lambda name: Store(
                name,
                ConcurrencyLimiter(options.workers, sleep=timing.sleep),
                self._all_limiters,
                limit=connection.outage,
                timing=timing,
                check=self._line.check,
                tell=tell,
            )
        )
        self._helpers = SegmentHelpers(self._stores, self._line)
        self._jobs: list[DownloadJob] = []
        self._largest = 0
        self._too_large: set[str] = set()
        self._helping = 0
        self._asleep = SuspendDetector()

    def look_at_the_clocks(self) -> None:
        """Break all connections if the computer has slept since the last look: new ones go on where they were."""
        if slept := self._asleep.since_last_look():
            log.warning("the computer slept for %s: connecting anew", format_duration(slept))
            for job in self._jobs:
                job.reconnect()

    @property
    def moving(self) -> int:
        """Bytes that have come of what is being brought."""
        return sum(job.bytes_received for job in self._jobs)

    def open_fewer(self, began: float) -> None:
        """Go on with fewer archives at once, since no descriptor was left.

        Parameters
        ----------
        began
            When that product was begun, by the monotonic clock, in seconds.
        """
        self._all_limiters.record_rejection(
            began, 0.0, why="the system lets so many files and connections be open, and no more"
        )

    async def help(self, idle: int) -> bool:
        """Bring a piece of what is being brought; False when none is worth it.

        What is fetched alone has its own helpers.

        Parameters
        ----------
        idle
            How many have nothing of their own to bring, those who are helping included.
        """
        jobs = [job for job in self._jobs if not job.standalone]
        others, self._helping = self._helping, self._helping + 1
        try:
            return await self._helpers.help_with(jobs, idle - others)
        finally:
            self._helping -= 1

    async def bring(self, job: DownloadJob) -> int | None:
        """Bring all bytes into the part, trying again as long as that brings new ones; give its length.

        None stands for a length that the server never told; the archive has an end record then.
        """
        store = self._stores.of(job.url)
        bringing = self._bring(job, store)
        self._jobs.append(job)
        store.jobs.append(job)
        try:
            return await (self._helpers.accompany(job, bringing) if job.standalone else bringing)
        except TransferError as error:
            # What an outage costs fails for one reason, which the summary says once.
            requests = "" if isinstance(error, OutageError) else f"; given up after {job.attempts} requests"
            kept = f"; {format_bytes(job.most_held)} are kept" if job.most_held > 0 else ""
            raise TransferError(f"{error}{requests}{kept}") from error
        finally:
            self._jobs.remove(job)
            store.jobs.remove(job)
            await job.cancel_segments(keep=True)

    async def _bring(self, job: DownloadJob, store: Store) -> int | None:
        """Try until all is here, or it is known that this product's own trouble is in the way."""
        while True:
            try:
                return await retry_call(
                    lambda: self._try_in_turn(job, store),
                    job.retry,
                    worth_it=lambda error: (
                        isinstance(error, TransferError) and not isinstance(error, OutageError | StagingError)
                    ),
                    before_sleep=lambda state: _announce(job, state),
                    sleep=self._timing.sleep,
                )
            except UnavailableError as error:
                await store.judge(job, error)
            except StagingError as error:
                put_off_until_staged(job, error, limit=self._staging, now=self._timing.now())

    async def _try_in_turn(self, job: DownloadJob, store: Store) -> int | None:
        """Wait while the store is in trouble, then try, and tell what that has shown of the store."""
        await store.admit(job)
        try:
            return await self._try(job, store)
        except TransferError as error:
            job.history.exhausted.end()
            if isinstance(error, StagingError):
                store.accepted()
            else:
                store.failed(job, error)
            raise
        finally:
            store.leave(job)

    async def _try(self, job: DownloadJob, store: Store) -> int | None:
        """Bring whatever nobody brings, until nothing is missing."""
        questions = 0
        while True:
            if job.is_complete():
                return job.size
            accepted = store.successes
            async with store.enter(ahead=job.attempts > 0) as began, job.part:
                await job.restore()
                segment = None if job.is_complete() else job.next_stretch()
                try:
                    if segment is not None:
                        await self._ask(job, store, segment)
                except AskAgain as answer:
                    questions += 1
                    await self._learn(job, answer, questions)
                except BusyError as error:
                    store.limiter.record_rejection(began, error.retry_after)
                    if store.successes == accepted and not _others_are_served(job, store):
                        raise
                finally:
                    job.note_progress()
                if job.is_complete():
                    return job.size
                if segment is not None and job.size is None and job.end_reached:
                    return None
            if segment is None and not await self._helpers.help_with([job]):
                await job.wait_for_change(IDLE_POLL)

    async def _ask(self, job: DownloadJob, store: Store, segment: Segment) -> None:
        async def judged(answer: ResponseBody, response: ClientResponse) -> None:
            store.accepted(job.url)
            if answer.first == 0 or not answer.proven:
                # It may be of another version than what helpers are bringing.
                await job.cancel_segments()
            if answer.first == 0 and job.part.held.total and not job.matches(answer.remote):
                await job.part.set_version(None)
            await self._expect(job, segment, answer)
            job.begin(segment, response)

        job.end_reached, before = False, job.part.held.total
        try:
            answer = await self._line.fetch(job, segment, judged=judged)
        except SegmentSuperseded:
            raise TransferError("its bytes were given up") from None
        finally:
            job.finish(segment)
        job.size = answer.remote.size
        if job.size is None:
            await self._expect_end(job.part.path)
            job.end_reached = True
        elif job.part.held.total <= before and not job.is_complete():
            raise TransferError("the store sent nothing that is not here already")

    async def _expect(self, job: DownloadJob, segment: Segment, answer: ResponseBody) -> None:
        """Prepare for the bytes of an answer: is there room for them, and who wants to know."""
        product, size = job.product, answer.remote.size
        job.size = size
        whole = answer.end is None or answer.end == size
        if segment.end is None or (whole and answer.first == 0):
            segment.end = size
        if product.size is not None and size is not None and product.size != size and job.attempts == 1:
            log.warning(
                "%s: the catalogue says %d bytes, the store %d; the store is believed",
                product.identifier,
                product.size,
                size,
            )
        await self._refuse_without_room(job)
        here = 0 if answer.first == 0 and whole else job.part.held.total
        job.progress.started(product, have=here, size=size)

    async def _refuse_without_room(self, job: DownloadJob) -> None:
        """Stop before the disk is full, rather than then; what is being fetched counts with what is still to come."""
        own = _to_come(job)
        all_to_come = [_to_come(other) for other in self._jobs]
        free, whole_disk = await self._disk.free_space(sum(all_to_come))
        if own > free and not self._is_usual(job.size or 0):
            # No other archive has to suffer for it, and most likely the length is a lie.
            self._too_large.add(job.product.identifier)
            length, room = format_bytes(job.size or 0), format_bytes(free)
            raise NotAvailableError(
                f"the store announces {length}, and the whole disk has {format_bytes(whole_disk)}"
                if own > whole_disk
                else f"the store announces {length}, of which {format_bytes(own)} are to come; {room} are free"
            )
        if (to_come := sum(one for one in all_to_come if one <= max(free, own))) > free:
            raise StorageError(
                f"{self._folder}: {format_bytes(free)} are free, "
                f"and {format_bytes(to_come)} of the archives on their way are still to come"
            )
        self._largest = max(self._largest, job.size or 0)
        self._too_large.clear()

    def _is_usual(self, size: int) -> bool:
        """Whether a length is like that of others here, so that what it does not fit in is a full disk."""
        return size <= _UNUSUAL * self._largest or len(self._too_large) >= _MOST_TOO_LARGE

    async def _expect_end(self, path: Path) -> None:
        """Tell a body of unknown length that is whole from one that was cut: an archive ends in an end record."""
        try:
            await self._disk.check(path, None, Level.STRUCTURE)
        except UnreadableError:
            raise
        except IntegrityError as error:
            raise TransferError("the connection closed before the archive's end") from error

    async def _learn(self, job: DownloadJob, answer: AskAgain, questions: int) -> None:
        log.debug("%s: %s; asking otherwise", job.product.identifier, answer)
        if questions > _MOST_QUESTIONS:
            raise TransferError("the store's answers contradict each other")
        job.apply(answer)
        if answer.from_start:
            await job.start_over()


def _to_come(job: DownloadJob) -> int:
    return max(0, job.size - job.part.held.total) if job.size else 0


def _others_are_served(job: DownloadJob, store: Store) -> bool:
    """Whether the store is busy with us, or may be, so that its refusal says nothing about this product."""
    return any(other.requested or other.responding for other in store.jobs if other is not job)


def _announce(job: DownloadJob, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    here = f", {format_bytes(job.most_held)} are here" if job.most_held else ""
    log.warning("%s: %s%s; trying again in %.1f s", job.product.identifier, error, here, state.upcoming_sleep)
