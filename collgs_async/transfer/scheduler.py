"""Run jobs over a limited number of connections, and retry them.

The scheduler assigns missing segments of a job to connections, limits the connections per store and for the whole run,
and decides what a failed attempt means: another request, a retry after a pause, an outage of the store, or a failure of
the product. Idle workers get pieces of running jobs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError, TransferError, UnreadableError
from collgs_async.http.limits import ConcurrencyLimiter, RateLimiter
from collgs_async.http.retry import MAX_RETRY_AFTER, retry_call
from collgs_async.models.text import format_bytes, format_duration, plural
from collgs_async.storage.verify import Level
from collgs_async.transfer.fetch import SegmentFetcher
from collgs_async.transfer.helpers import IDLE_POLL, SegmentHelpers
from collgs_async.transfer.outage import OutageError
from collgs_async.transfer.put_off import put_off_until_staged
from collgs_async.transfer.range_request import AskAgain
from collgs_async.transfer.room import RoomTaken
from collgs_async.transfer.segment import SegmentSuperseded
from collgs_async.transfer.sink import SegmentSink
from collgs_async.transfer.store import Store
from collgs_async.transfer.store_errors import BusyError, StagingError, UnavailableError, WholeArchivesOnlyError
from collgs_async.transfer.stores import Stores
from collgs_async.transfer.suspend import SuspendDetector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tenacity import RetryCallState

    from collgs_async.config.settings import Config
    from collgs_async.http.session import Session
    from collgs_async.http.shared_limits import SharedLimits
    from collgs_async.storage.disk import Disk
    from collgs_async.transfer.job import DownloadJob
    from collgs_async.transfer.range_request import ResponseBody
    from collgs_async.transfer.room import Room
    from collgs_async.transfer.segment import Segment
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["SegmentScheduler"]

log = logging.getLogger("collgs_async")

_MAX_REQUESTS: Final = 6
"""Maximum requests of one attempt; each further one depends on what the previous response showed of the server."""

_MOST_WHOLE_ANSWERS: Final = 3
"""Whole archives instead of ranges of one product, from a store that serves ranges of others, until it fails."""


class SegmentScheduler:
    """Downloads archives into their part files, with at most as many connections as there are workers.

    Parameters
    ----------
    disk
        Checks the end of an archive of unknown length.
    room
        The room for part files.
    tell
        Called when an outage of a store begins (True) and ends (False).
    shared
        Limits that other processes of the same run share; None: there are no others.
    """

    def __init__(
        self,
        session: Session,
        config: Config,
        disk: Disk,
        room: Room,
        tuning: TransferTuning,
        *,
        tell: Callable[[bool], None] = lambda _: None,
        shared: SharedLimits | None = None,
    ) -> None:
        options, connection = config.download_options, config.connection
        self._disk = disk
        self._room = room
        self._timing = timing = session.timing
        self._staging = connection.staging
        self._fetcher = SegmentFetcher(
            session,
            shared.rate if shared else RateLimiter(options.limit_rate, timing=timing),
            tuning,
            block=max(tuning.block_bytes, options.chunk_size),
            min_rate=options.min_rate,
            timeout=connection.timeout,
            longest_wait=max(MAX_RETRY_AFTER, connection.outage),
        )
        self._run_limiter = ConcurrencyLimiter(options.workers, sleep=timing.sleep)
        self._stores = Stores(
            lambda name: Store(
                name,
                shared.requests if shared else ConcurrencyLimiter(options.workers, sleep=timing.sleep),
                self._run_limiter,
                limit=connection.outage,
                timing=timing,
                check=self._fetcher.check,
                tell=tell,
            )
        )
        self._helpers = SegmentHelpers(self._stores, self._fetcher)
        self._jobs: list[DownloadJob] = []
        self._helping = 0
        self._suspend = SuspendDetector()

    def reconnect_after_suspend(self) -> None:
        """Break all connections if the computer was suspended since the last call; the jobs resume over new ones."""
        if slept := self._suspend.since_last_look():
            log.warning("the computer slept for %s: connecting anew", format_duration(slept))
            for job in self._jobs:
                job.reconnect()

    def reduce_concurrency(self, started: float) -> None:
        """Reduce the number of connections, because no file descriptor was left.

        Parameters
        ----------
        started
            When the product that met this was started, by the monotonic clock, in seconds.
        """
        self._run_limiter.record_rejection(
            started, 0.0, why="the system lets so many files and connections be open, and no more"
        )

    async def assist(self, idle: int) -> bool:
        """Download a piece of a running job; return False if no segment is worth splitting.

        Standalone jobs are left out, as they run helpers of their own.

        Parameters
        ----------
        idle
            Number of workers without a product of their own, including those that are helping.
        """
        jobs = [job for job in self._jobs if not job.standalone]
        # Workers that are already helping will not look for work at this moment, so they do not share the next piece.
        others, self._helping = self._helping, self._helping + 1
        try:
            return await self._helpers.help_with(jobs, idle - others)
        finally:
            self._helping -= 1

    async def run(self, job: DownloadJob) -> int | None:
        """Download all missing bytes, with retries as long as they make progress; return the archive's length.

        The length is None if the server never stated it; the archive has a valid end record then.
        """
        store = self._stores.of(job.url)
        own_work = self._run(job, store)
        self._jobs.append(job)
        store.jobs.append(job)
        try:
            return await (self._helpers.accompany(job, own_work) if job.standalone else own_work)
        except TransferError as error:
            # An outage fails many products for the same reason, so per-product counters would only be noise.
            requests = "" if isinstance(error, OutageError) else f"; given up after {plural(job.attempts, 'request')}"
            kept = f"; {format_bytes(job.most_held)} are kept" if job.most_held > 0 else ""
            raise TransferError(f"{error}{requests}{kept}") from error
        finally:
            self._jobs.remove(job)
            self._room.leave(job)
            store.jobs.remove(job)
            # The caller closes the part file next, so no helper may still be writing into it.
            await job.cancel_segments(keep=True)

    async def _run(self, job: DownloadJob, store: Store) -> int | None:
        """Repeat attempts until all bytes are here, or the failure is known to be the product's own.

        When the retries are used up, the store decides whether it is to blame: if so, the job gets new retries.
        """
        while True:
            try:
                return await retry_call(
                    lambda: self._attempt_when_available(job, store),
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
            except RoomTaken as taken:
                await taken.wait()

    async def _attempt_when_available(self, job: DownloadJob, store: Store) -> int | None:
        """Wait while the store has an outage, make one attempt, and report to the store how it went."""
        await store.admit(job)
        try:
            return await self._attempt(job, store)
        except TransferError as error:
            job.history.exhausted.end()
            if isinstance(error, StagingError):
                store.record_success()
            else:
                store.failed(job, error)
            raise
        finally:
            store.leave(job)

    async def _attempt(self, job: DownloadJob, store: Store) -> int | None:
        """Download missing ranges that no other connection is downloading, until nothing is missing.

        If only ranges of other connections are left, this worker takes a piece of one of them.
        """
        requests = 0
        while True:
            if job.is_complete():
                return job.size
            accepted = store.successes
            async with store.slot(ahead=job.attempts > 0) as started, job.part:
                await job.restore()
                if job.by_member and store.serves_ranges is False:
                    raise WholeArchivesOnlyError
                segment = None if job.is_complete() else job.next_segment()
                try:
                    result = await self._request(job, store, segment) if segment else None
                    if isinstance(result, AskAgain):
                        # The response showed what to request instead: repeat at once, without using up a retry.
                        requests += 1
                        await self._apply(job, result, requests)
                except BusyError as error:
                    store.limiter.record_rejection(started, error.retry_after)
                    # A store that serves other requests only has too many of them; this job waits for a slot again.
                    if store.successes == accepted and not _others_are_served(job, store):
                        raise
                finally:
                    job.note_progress()
                if job.is_complete():
                    return job.size
                if segment is not None and job.size is None and job.end_reached:
                    return None
            # The slot was returned above: a piece taken as a helper needs one of its own.
            if segment is None and not await self._helpers.help_with([job]):
                await job.wait_for_change(IDLE_POLL)

    async def _request(self, job: DownloadJob, store: Store, segment: Segment) -> ResponseBody | AskAgain:
        """Make the request of a job's own worker for a segment, and check what it has brought."""

        async def prepare(answer: ResponseBody) -> bool:
            if answer.first == 0 or not answer.proven:
                # This response may be of another version than the one that helpers are downloading.
                await job.cancel_segments()
            if answer.first == 0 and job.part.held.total and not job.matches(answer.remote):
                await job.part.set_version(None)
            await self._expect(job, store, segment, answer)
            return True

        job.expect(job.size)
        before = job.part.held.total
        with SegmentSink(job, segment, store, prepare) as sink:
            result = await self._fetcher.fetch(sink)
        if isinstance(result, SegmentSuperseded):
            raise TransferError("its bytes were given up")
        if isinstance(result, AskAgain):
            return result
        job.expect(result.remote.size)
        if job.size is None:
            await self._require_end_record(job.part.path)
            job.record_end()
        elif job.part.held.total <= before and not job.is_complete():
            raise TransferError("the store sent nothing that is not here already")
        return result

    async def _expect(self, job: DownloadJob, store: Store, segment: Segment, answer: ResponseBody) -> None:
        """Prepare for the body of an accepted response: set the sizes, check the free space, report the start."""
        product, size = job.product, answer.remote.size
        try:
            here, wanted = job.prepare(segment, answer)
        except WholeArchivesOnlyError as error:
            if store.serves_ranges and job.whole_answers < _MOST_WHOLE_ANSWERS:
                raise TransferError("the store sent the whole archive instead of a range of it") from error
            store.record_ranges(served=store.serves_ranges or False)
            raise
        if job.by_member:
            store.record_ranges(served=True)
        job.expect(size)
        if product.size is not None and size is not None and product.size != size and job.attempts == 1:
            log.warning(
                "%s: the catalogue says %s, the store %d; using the size from the store",
                product.identifier,
                plural(product.size, "byte"),
                size,
            )
        await self._room.require(job, self._jobs)
        job.progress.started(product, have=here, size=wanted)

    async def _require_end_record(self, path: Path) -> None:
        """Raise TransferError unless the archive has its end record, without which a body of unknown length was cut."""
        try:
            await self._disk.check(path, None, Level.STRUCTURE)
        except UnreadableError:
            raise
        except IntegrityError as error:
            raise TransferError("the connection closed before the archive's end") from error

    async def _apply(self, job: DownloadJob, answer: AskAgain, requests: int) -> None:
        log.debug("%s: %s; trying another request", job.product.identifier, answer.why)
        if requests > _MAX_REQUESTS:
            raise TransferError("the store's answers contradict each other")
        job.apply(answer)
        if answer.from_start:
            await job.start_over()


def _others_are_served(job: DownloadJob, store: Store) -> bool:
    """Whether other jobs have requests at the store, so that its rejection says nothing about this product."""
    return any(other.requested or other.responding for other in store.jobs if other is not job)


def _announce(job: DownloadJob, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    here = f", {format_bytes(job.most_held)} are here" if job.most_held else ""
    job.progress.delayed(job.product, str(error), seconds=state.upcoming_sleep)
    log.warning("%s: %s%s; trying again in %.1f s", job.product.identifier, error, here, state.upcoming_sleep)
