"""A store in trouble: whose trouble it is when tries fail, and how long all wait for a store that is away.

A product that has used up its tries is not given up before it is known that the store hands out others, right before
the last try and right after it. When the store has accepted no other request just now, it is asked for the first
bytes of an archive that it has handed out before in this run: when they come, the product has one more try, its last.

When they do not come, the store is in trouble. So it is when it has never handed out any and another product fails
too: the first is put off until the other one has been tried. When there is no other, it is given up after its tries.

A store in trouble is asked for one thing at a time, after growing pauses: for those first bytes again, or, when there
are none that it has handed out before, for one product after another. Everything else that is to come from it waits and
loses no try. What it refuses because there are too many at once (429, 503) counts as its trouble likewise, since
another process may have all that it allows: only the time without any success counts.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, ExhaustedError, ProductError, TransferError
from collgs_async.models.text import format_duration
from collgs_async.transfer.fetch import BusyError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from collgs_async.http.limits import ConcurrencyLimiter
    from collgs_async.models.timing import Timing
    from collgs_async.transfer.job import DownloadJob

__all__ = ["OutageError", "PutOff", "Store"]

log = logging.getLogger("collgs_async")

FIRST_PAUSE: Final = 1.0
"""Seconds before a store in trouble is asked for the first time; each further pause is twice as long."""

LONGEST_PAUSE: Final = 60.0
"""Seconds between two questions at the most, unless the store asks for more."""

LONGEST_BUSY_PAUSE: Final = 5.0
"""The same for a store that is busy: a place that another process leaves is not free for long."""

_SEVERAL: Final = 2
"""Products that fail without any success in between before that is the trouble of a store that never had one."""


class OutageError(TransferError):
    """The store has not answered for as long as a run waits for it."""


class PutOff(Exception):  # noqa: N818 - nothing is wrong with the product, as far as is known
    """The product is to be brought later; others are to be brought meanwhile.

    Parameters
    ----------
    seconds
        How much later; of no meaning with `store`.
    store
        Which store it waits for; None: for nothing but time.
    """

    def __init__(self, seconds: float = 0.0, store: Store | None = None) -> None:
        super().__init__(seconds, store)
        self.seconds = seconds
        self.store = store


@dataclass(eq=False, slots=True)
class _Outage:
    """A time in which a store is away.

    Attributes
    ----------
    until
        When the waiting ends.
    why
        The last thing that it said, or that was said of it.
    pause
        Seconds before it is asked again.
    asking
        Who asks it, or is about to; None: nobody.
    lost
        Whether the waiting has ended without success.
    """

    until: float
    why: TransferError
    pause: float = FIRST_PAUSE
    asking: DownloadJob | None = None
    lost: bool = False

    @property
    def busy(self) -> bool:
        return isinstance(self.why, BusyError)

    def next_pause(self) -> float:
        return max(self.pause, self.why.retry_after or 0.0)

    def failed_again(self, error: TransferError) -> None:
        self.why = error
        self.pause = min(2 * self.pause, LONGEST_BUSY_PAUSE if self.busy else LONGEST_PAUSE)


class Store:
    """One host that hands out archives: how many requests it takes at once, and whether it is in trouble.

    Parameters
    ----------
    name
        The host, and its port where that is not the usual one.
    gate
        Limits the requests to this store.
    all_gates
        Limits the requests to all stores together.
    limit
        Seconds for which it may be away; 0: it is not waited for.
    timing
        Tells the time, and waits.
    check
        Asks for the first bytes of an archive by its URL.
    tell
        Called when this store's trouble begins (True) and ends (False).

    Attributes
    ----------
    trips
        What is being brought from it.
    successes
        How many requests it has accepted.
    """

    def __init__(
        self,
        name: str,
        limiter: ConcurrencyLimiter,
        all_limiters: ConcurrencyLimiter,
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
        self._all_limiters = all_limiters
        self._limit = limit
        self._timing = timing
        self._check = check
        self._tell = tell
        self._proven: str | None = None
        self._limit_at_best = limiter.limit
        self._failing: set[str] = set()
        self._failing_since: float | None = None
        self._until: float | None = None
        self._outage: _Outage | None = None
        self._was_away = False
        self._judging = asyncio.Lock()
        self._changed = asyncio.Event()
        self._shown = False

    @property
    def idle(self) -> bool:
        """Whether nothing is being brought from it, so that it may be forgotten."""
        return not self.jobs

    @asynccontextmanager
    async def enter(self, *, ahead: bool = False) -> AsyncIterator[float]:
        """Wait for a place among the requests to this store and to all, and hold it; gives when it came."""
        async with self.limiter.slot(ahead=ahead) as began, self._all_limiters.slot(ahead=ahead):
            yield began

    def has_room(self) -> bool:
        """Whether a request would pass at once, and take no place that another one waits for."""
        return self._outage is None and self.limiter.available() and self._all_limiters.available()

    def accepted(self, url: str | None = None) -> None:
        """Note that the store has accepted a request, for an archive at `url` or, None, at none worth asking again."""
        self.successes += 1
        self.limiter.record_success()
        self._proven = url or self._proven
        outage, self._outage = self._outage, None
        began, self._failing_since, self._until = self._failing_since, None, None
        self._failing.clear()
        if outage is None:
            self._limit_at_best = max(1, self.limiter.limit)
            return
        now = self._timing.now()
        lasted = now - (now if began is None else began)
        log.warning("the store %s answers again after %s: going on", self.name, format_duration(round(lasted)))
        self.limiter.open_slowly(self._limit_at_best)
        self._wake()
        self._show(False)

    async def admit(self, job: DownloadJob) -> None:
        """Wait while the store is in trouble; not when it is this product's turn to find out whether it still is.

        Raises
        ------
        PutOff
            It is one of many: others may come from elsewhere.
        OutageError
            It was waited for long enough.
        """
        while (outage := self._outage) is not None and outage.asking is not job:
            job.retry.begin_anew()
            job.history.blamed = 0
            if outage.asking is None or outage.lost:
                await self._find_out(outage, job)
            elif job.standalone:
                await self.wait()
            else:
                raise PutOff(store=self)
        job.successes_before = self.successes

    def has_come(self) -> bool:
        """Whether all that waits for this store may go on; see `pipeline.Turn`."""
        return self._outage is None or self._outage.lost

    def takes_one(self) -> bool:
        """Whether it is in trouble, and nobody asks whether it still is."""
        return self._outage is not None and self._outage.asking is None

    def wait(self) -> Awaitable[None]:
        """Wait until its trouble is over, or it is to be asked by another one, from the moment of this call on."""
        return _happened(self._changed)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _find_out(self, outage: _Outage, job: DownloadJob) -> None:
        """Ask the store whether it is there again, or let this product ask.

        Raises
        ------
        OutageError
            It was waited for long enough.
        ExhaustedError
            It could not be asked, for want of a descriptor on this side.
        """
        now = self._timing.now()
        if outage.lost and (outage.asking is not None or now < outage.until):
            raise self._lost(outage)
        outage.asking = job
        try:
            while self._outage is outage:
                if not outage.lost:
                    await self._timing.sleep(min(outage.next_pause(), outage.until - self._timing.now()))
                if self._outage is not outage or outage.busy or await self._hands_out_others() is None:
                    return
                if outage.lost:
                    self.leave(job)
                    return
        except BaseException:
            self.leave(job)
            raise

    def leave(self, job: DownloadJob) -> None:
        """Let another one ask when this one was asking; it is done or has failed."""
        outage = self._outage
        if outage is None or outage.asking is not job:
            return
        outage.asking = None
        self._wake()

    def failed(self, job: DownloadJob, error: TransferError) -> None:
        """Note that a try has failed; in trouble, a product that was asking is put off unless it is the only one.

        What does not look like trouble of the store, such as bytes that are no archive, does not begin an outage, and
        does not end one either.

        Raises
        ------
        PutOff
            Others are to ask first: this product may be what is wrong.
        OutageError
            The store was waited for long enough.
        """
        if isinstance(error, UnavailableError):
            self._suspect_product(job)
        outage = self._outage
        if outage is None or outage.asking is not job:
            return
        self._asked_in_vain(outage, error)
        self.leave(job)
        if outage.lost:
            raise self._lost(outage)
        if not (outage.busy or job.standalone):
            raise PutOff(store=self)

    def _suspect_product(self, job: DownloadJob) -> None:
        now = self._timing.now()
        self._failing_since = now if self._failing_since is None else self._failing_since
        job.successes_at_failures = (job.successes_at_failures[1], self.successes)
        if len(self._failing) < _SEVERAL:
            self._failing.add(job.product.identifier)

    def _asked_in_vain(self, outage: _Outage, error: TransferError) -> None:
        """Ask again after a longer pause, or give the store up when its time is over."""
        outage.failed_again(error)
        now = self._timing.now()
        if outage.lost:
            outage.until = now + LONGEST_PAUSE
        elif now >= outage.until:
            self._give_up(outage)

    async def judge(self, job: DownloadJob, error: UnavailableError) -> None:
        """Decide about a product that has used up its tries; returns when it has new ones, since the store is to blame.

        Raises
        ------
        UnavailableError
            This error: it is the product's own trouble, or stores are not waited for.
        OutageError
            The store was waited for long enough.
        PutOff
            The product is to be tried again after others.
        """
        if self._limit == 0:
            raise error
        async with self._judging:
            if self._outage is None:
                hands_out_others = self.successes > job.successes_before or await self._hands_out_others()
                if hands_out_others:
                    self._blame(job, error)
                else:
                    await self._suspect(job, error, several=hands_out_others is False)

    def _blame(self, job: DownloadJob, error: UnavailableError) -> None:
        """Give a product up, or leave it one try more where it is not yet certain that this is its own trouble."""
        job.history.blamed += 1
        # It must have been there right before the last try, too. A store that is busy, or that was away before, may
        # have handed out others by chance: of the same product that must be seen more often.
        by_chance = isinstance(error, BusyError) or self._was_away
        was_there = job.successes_before > job.successes_at_failures[0] >= 0
        certain = job.history.blamed > job.retry.tries if by_chance else was_there or job.history.blamed > 1
        if certain:
            raise error
        job.retry.once_more()

    async def _suspect(self, job: DownloadJob, error: UnavailableError, *, several: bool) -> None:
        """Declare the store in trouble when several products fail; one alone is no evidence, and is given up."""
        several = several or isinstance(error, BusyError) or len(self._failing) >= _SEVERAL
        if not (several or job.standalone or job.history.put_off):
            job.history.put_off = True
            raise PutOff(FIRST_PAUSE)
        if not (several or self.successes):
            raise error
        job.history.outages += 1
        if job.history.outages > job.retry.tries:
            raise error  # each time that this product is asked for the store goes away
        now = self._timing.now()
        job.retry.begin_anew()
        self._until = now + self._limit if self._until is None else self._until
        self._outage = outage = _Outage(self._until, error)
        self._was_away = True
        if now >= self._until:
            self._give_up(outage)
            raise self._lost(outage)
        log.warning(
            "the store %s is in trouble (%s): nothing is given up, it is asked again for up to %s",
            *(self.name, error, format_duration(round(self._until - now))),
        )
        self._show(True)

    async def _hands_out_others(self) -> bool | None:
        """Ask for what the store has handed out before; None: there is nothing, or that is not to be had any more.

        Raises
        ------
        ExhaustedError
            It could not be asked; this says nothing about it.
        """
        if self._proven is None:
            return None
        url = self._proven
        try:
            async with self.enter(ahead=True) as began:
                try:
                    await self._check(url)
                except BusyError as error:
                    self.limiter.record_rejection(began, error.retry_after)
                    raise
        except UnavailableError as error:
            if self._outage is not None:
                self._asked_in_vain(self._outage, error)
            return False
        except ExhaustedError:
            raise
        except (ProductError, AuthenticationError):
            self._proven = None
            return None
        self.accepted(url)
        return True

    def _give_up(self, outage: _Outage) -> None:
        outage.lost, outage.until = True, self._timing.now() + LONGEST_PAUSE
        if self._proven is None and len(self._failing) < _SEVERAL:
            # It may be the product: the next one is to have its own tries, though no more time than those.
            self._outage = None
        self._show(False)
        self._wake()
        log.error("%s", self._lost(outage))

    def _show(self, waits: bool) -> None:
        """Tell that its trouble begins or ends, once each."""
        if waits != self._shown:
            self._shown = waits
            self._tell(waits)

    def _lost(self, outage: _Outage) -> OutageError:
        return OutageError(f"the store {self.name} was away for {format_duration(self._limit)} ({outage.why})")


async def _happened(event: asyncio.Event) -> None:
    await event.wait()
