"""Distinguish an outage of a store from a failure of one product, and wait for a store that is unavailable.

A product whose retries are used up fails only if the store is known to serve other products, both right before and
right after its last attempt. If the store has accepted no other request in between, it is probed: the first bytes of an
archive that it has served before in this run are requested. If they arrive, the product gets one last attempt.

If they do not, the store has an outage. A store that has never served an archive has an outage if a second product
fails, too: the first one is postponed until the second one was tried. If there is no second one, the product fails
after its retries.

During an outage the store gets one request at a time, after growing pauses: the probe, or, if the store has served
nothing yet, one product after the other. All other jobs for this store wait, and use up no retries. Rejections because
of too many requests (429, 503) count as an outage, too, since another process may be using up the store's limit: only
the time without any success counts.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, ExhaustedError, ProductError
from collgs_async.models.text import format_duration
from collgs_async.transfer.outage import FIRST_PAUSE, LONGEST_PAUSE, Outage, OutageError
from collgs_async.transfer.put_off import PutOff
from collgs_async.transfer.store_errors import BusyError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from collgs_async.errors import TransferError
    from collgs_async.http.limits import ConcurrencyLimiter
    from collgs_async.models.timing import Timing
    from collgs_async.transfer.job import DownloadJob

__all__ = ["Store"]

log = logging.getLogger("collgs_async")

_AWAY: Final = "the store is unavailable"

_MIN_FAILING: Final = 2
"""Number of products that must fail, without a success in between, for an outage of a store that never had one."""


class Store:
    """One host that serves archives: its concurrency limit and its outage state.

    Parameters
    ----------
    name
        Host name, with the port if it is not the default one.
    limiter
        Limits the requests to this store.
    run_limiter
        Limits the requests to all stores together.
    limit
        Seconds to wait during an outage; 0 not to wait.
    timing
        Clock and sleep of the run.
    check
        Requests the first bytes of the archive at a URL, and raises if they do not arrive.
    tell
        Called when an outage begins (True) and ends (False).

    Attributes
    ----------
    jobs
        Running jobs that download from it.
    successes
        Number of requests that it has accepted.
    serves_ranges
        Whether it serves ranges of archives from the beginning of a download on; None while unknown.
    """

    def __init__(
        self,
        name: str,
        limiter: ConcurrencyLimiter,
        run_limiter: ConcurrencyLimiter,
        *,
        limit: float,
        timing: Timing,
        check: Callable[[str], Awaitable[None]],
        tell: Callable[[bool], None],
    ) -> None:
        self.name = name
        self.limiter = limiter
        self.jobs: list[DownloadJob] = []
        self.successes = 0
        self.serves_ranges: bool | None = None
        self._run_limiter = run_limiter
        self._limit = limit
        self._timing = timing
        self._check = check
        self._tell = tell
        self._served_url: str | None = None
        self._limit_at_best = limiter.limit
        self._failing: set[str] = set()
        self._failing_since: float | None = None
        self._until: float | None = None
        self._outage: Outage | None = None
        self._was_away = False
        self._judge_lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._shown = False

    @property
    def idle(self) -> bool:
        """Whether it has no running jobs, so that its state may be dropped."""
        return not self.jobs

    @asynccontextmanager
    async def slot(self, *, ahead: bool = False) -> AsyncIterator[float]:
        """Hold a slot of this store and of the whole run; yields the time at which it was obtained."""
        async with self.limiter.slot(ahead=ahead) as started, self._run_limiter.slot(ahead=ahead):
            yield started

    def is_available(self) -> bool:
        """Whether a request could be sent at once, without taking a slot that another one waits for."""
        return self._outage is None and self.limiter.available() and self._run_limiter.available()

    def record_success(self, url: str | None = None) -> None:
        """Record that the store accepted a request, which ends an outage.

        Parameters
        ----------
        url
            URL of the archive that it serves, for later probes; None if the response is no evidence of one.
        """
        self.successes += 1
        self.limiter.record_success()
        self._served_url = url or self._served_url
        outage, self._outage = self._outage, None
        started, self._failing_since, self._until = self._failing_since, None, None
        self._failing.clear()
        if outage is None:
            self._limit_at_best = max(1, self.limiter.limit)
            return
        now = self._timing.now()
        lasted = now - (now if started is None else started)
        log.warning("the store %s answers again after %s: going on", self.name, format_duration(round(lasted)))
        self.limiter.open_slowly(self._limit_at_best)
        self._wake()
        self._show(False)

    def record_ranges(self, *, served: bool) -> None:
        """Record whether it has served a range."""
        self.serves_ranges = served

    async def admit(self, job: DownloadJob) -> None:
        """Wait during an outage, unless this job is the one to make the next request.

        Raises
        ------
        PutOff
            The job is one of many, so its worker may download from other stores in the meantime.
        OutageError
            The time limit of the outage has passed.
        """
        if not self.has_come():
            job.progress.delayed(job.product, _AWAY)
        while (outage := self._outage) is not None and outage.prober is not job:
            job.retry.begin_anew()
            job.history.clear_blame()
            if outage.prober is None or outage.lost:
                await self._probe(outage, job)
            elif job.standalone:
                await self.wait()
            else:
                raise PutOff(store=self, why=_AWAY)
        job.progress.delayed(job.product, None)
        job.begin_attempt(self.successes)

    def has_come(self) -> bool:
        """Whether all products that wait for this store may be tried; see `pipeline.Turn`."""
        return self._outage is None or self._outage.lost

    def takes_one(self) -> bool:
        """Whether it has an outage, and no job is making the next request."""
        return self._outage is not None and self._outage.prober is None

    def wait(self) -> Awaitable[None]:
        """Return an awaitable that ends when the outage does, or when another job may make the next request.

        Changes count from the moment of this call on, not from the first await.
        """
        return _wait_for_event(self._changed)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _probe(self, outage: Outage, job: DownloadJob) -> None:
        """Probe the store after each pause, until it responds or this job is to be tried itself.

        Raises
        ------
        OutageError
            The time limit of the outage has passed.
        ExhaustedError
            The store could not be probed, because no file descriptor is left.
        """
        now = self._timing.now()
        if outage.lost and (outage.prober is not None or now < outage.until):
            raise self._lost(outage)
        outage.prober = job
        try:
            while self._outage is outage:
                if not outage.lost:
                    await self._timing.sleep(min(outage.next_pause(), outage.until - self._timing.now()))
                if self._outage is not outage or outage.busy or await self._serves_others() is None:
                    return
                if outage.lost:
                    self.leave(job)
                    return
        except BaseException:
            self.leave(job)
            raise

    def leave(self, job: DownloadJob) -> None:
        """Let another job make the next request, if this one was to make it."""
        outage = self._outage
        if outage is None or outage.prober is not job:
            return
        outage.prober = None
        self._wake()

    def failed(self, job: DownloadJob, error: TransferError) -> None:
        """Record a failed attempt.

        An error that does not suggest an outage, such as a body that is not an archive, neither starts nor ends one.

        Raises
        ------
        PutOff
            Other products are to be tried first, as this one may be the cause.
        OutageError
            The time limit of the outage has passed.
        """
        if isinstance(error, UnavailableError):
            self._suspect_product(job)
        outage = self._outage
        if outage is None or outage.prober is not job:
            return
        self._record_failed_probe(outage, error)
        self.leave(job)
        if outage.lost:
            raise self._lost(outage)
        if not (outage.busy or job.standalone):
            raise PutOff(store=self, why=_AWAY)

    def _suspect_product(self, job: DownloadJob) -> None:
        now = self._timing.now()
        self._failing_since = now if self._failing_since is None else self._failing_since
        job.record_failure(self.successes)
        if len(self._failing) < _MIN_FAILING:
            self._failing.add(job.product.identifier)

    def _record_failed_probe(self, outage: Outage, error: TransferError) -> None:
        """Lengthen the pause before the next request, or end the wait if its time limit has passed."""
        outage.failed_again(error)
        now = self._timing.now()
        if outage.lost:
            outage.until = now + LONGEST_PAUSE
        elif now >= outage.until:
            self._give_up(outage)

    async def judge(self, job: DownloadJob, error: UnavailableError) -> None:
        """Decide whether the store or the product is to blame when the product's retries are used up.

        Returns if the product has new retries.

        Raises
        ------
        UnavailableError
            The given error: the failure is the product's own, or outages are not waited for.
        OutageError
            The time limit of the outage has passed.
        PutOff
            The product is to be tried again after others.
        """
        if self._limit == 0:
            raise error
        async with self._judge_lock:
            if self._outage is None:
                serves_others = self.successes > job.successes_before or await self._serves_others()
                if serves_others:
                    self._blame(job, error)
                else:
                    await self._suspect(job, error, several=serves_others is False)

    def _blame(self, job: DownloadJob, error: UnavailableError) -> None:
        """Fail a product, or try it again while it is not certain that the failure is its own."""
        if isinstance(error, BusyError):
            raise PutOff(min(self._left_to_wait(job, error), job.history.refused.next_pause()), why=str(error))
        blamed = job.history.record_blame()
        # The store must also have served others right before the last attempt. One that was away before may have
        # accepted others by chance, so it takes several rounds to blame the product.
        was_there = job.successes_before > job.successes_at_failures[0] >= 0
        certain = blamed > job.retry.tries if self._was_away else was_there or blamed > 1
        if certain:
            raise error
        job.retry.once_more()

    def _left_to_wait(self, job: DownloadJob, error: BusyError) -> float:
        """Return the seconds for which a product may still be refused; raise the error if there are none.

        Other clients may hold all that the store allows. How often its requests are those that are too many is chance;
        only the time without any success is limited.
        """
        left = job.history.refused.left(self._limit, self._timing.now())
        if left <= 0:
            raise error
        return left

    async def _suspect(self, job: DownloadJob, error: UnavailableError, *, several: bool) -> None:
        """Start an outage if there is evidence for one; otherwise postpone the product once, then fail it."""
        several = several or isinstance(error, BusyError) or len(self._failing) >= _MIN_FAILING
        if not (several or job.standalone) and job.history.put_off_once():
            raise PutOff(FIRST_PAUSE, why=str(error))
        if not (several or self.successes):
            raise error
        if isinstance(error, BusyError):
            self._left_to_wait(job, error)
        elif job.history.record_outage() > job.retry.tries:
            raise error  # the store becomes unavailable each time that this product is requested
        now = self._timing.now()
        job.retry.begin_anew()
        self._until = now + self._limit if self._until is None else self._until
        self._outage = outage = Outage(self._until, error)
        self._was_away = True
        if now >= self._until:
            self._give_up(outage)
            raise self._lost(outage)
        log.warning(
            "the store %s is unavailable (%s): its downloads are suspended, and it is probed for up to %s",
            *(self.name, error, format_duration(round(self._until - now))),
        )
        self._show(True)

    async def _serves_others(self) -> bool | None:
        """Probe the store with an archive that it has served before; None if there is none, or it is gone.

        Raises
        ------
        ExhaustedError
            No file descriptor is left for the probe, which says nothing about the store.
        """
        if self._served_url is None:
            return None
        url = self._served_url
        try:
            async with self.slot(ahead=True) as started:
                try:
                    await self._check(url)
                except BusyError as error:
                    self.limiter.record_rejection(started, error.retry_after)
                    raise
        except UnavailableError as error:
            if self._outage is not None:
                self._record_failed_probe(self._outage, error)
            return False
        except ExhaustedError:
            raise
        except (ProductError, AuthenticationError):
            self._served_url = None
            return None
        self.record_success(url)
        return True

    def _give_up(self, outage: Outage) -> None:
        outage.lost, outage.until = True, self._timing.now() + LONGEST_PAUSE
        if self._served_url is None and len(self._failing) < _MIN_FAILING:
            # The product may be the cause: the next one gets retries of its own, but no further waiting time.
            self._outage = None
        self._show(False)
        self._wake()
        log.error("%s", self._lost(outage))

    def _show(self, waits: bool) -> None:
        """Report the beginning and the end of an outage, once each."""
        if waits != self._shown:
            self._shown = waits
            self._tell(waits)

    def _lost(self, outage: Outage) -> OutageError:
        return OutageError(f"the store {self.name} was away for {format_duration(self._limit)} ({outage.why})")


async def _wait_for_event(event: asyncio.Event) -> None:
    await event.wait()
