"""One product's walk: decide, bring its bytes, verify them, give them their name."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import IntegrityError, NotAvailableError, ProductError, StorageError, TransferError
from collgs_async.integrity import Level, check
from collgs_async.lease import Lease
from collgs_async.limits import Gate, Throttle
from collgs_async.models import Outcome, Status
from collgs_async.partfile import PartFile, file_name, folds_case, reopen, settled, sync_folder
from collgs_async.patience import Patience, retrying
from collgs_async.transfer.awake import LOOK_EACH, Sleep
from collgs_async.transfer.judge import AskAgain
from collgs_async.transfer.mending import Mending
from collgs_async.transfer.stream import BusyError, Line
from collgs_async.transfer.trip import Abandoned, Stretch, Trip
from collgs_async.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from aiohttp import ClientResponse
    from tenacity import RetryCallState

    from collgs_async.auth import Authenticator
    from collgs_async.config import Config
    from collgs_async.models import Product
    from collgs_async.progress import Progress
    from collgs_async.transfer.judge import Answer
    from collgs_async.transport import Transport

__all__ = ["Action", "Downloader", "decide"]

log = logging.getLogger("collgs_async")

T = TypeVar("T")

BLOCK: Final = 2**20
"""Bytes of the smallest block that is worth a trip to a thread; a larger `chunk_size` enlarges it."""

_MOST_QUESTIONS: Final = 6
"""Requests of one try: each further one follows from what the answer before it has taught."""

_LOOK_FOR_WORK_EACH: Final = 0.05
"""Seconds between two looks of an idle worker for something to help with."""


class Action(StrEnum):
    """What is to be done about a product."""

    SKIP = "skip"
    """Nothing: its archive is here."""

    RESUME = "resume"
    """Fetch the rest of what is here."""

    FETCH = "fetch"
    """Fetch it from its first byte on."""


def decide(*, whole: bool, part: int, skip_existing: bool) -> Action:
    """Choose what to do about a product.

    =================  ==========  =================  ==========
    a whole archive    bytes of    archives that are  action
    has its name       a part      here are trusted
    =================  ==========  =================  ==========
    yes                any         yes                skip
    yes                none        no                 fetch
    yes                some        no                 resume
    no                 none        any                fetch
    no                 some        any                resume
    =================  ==========  =================  ==========

    Parameters
    ----------
    whole
        Whether a file with the final name is here, of the right length (where that is known) and structure.
    part
        Length of the part in bytes; 0 when there is none.
    skip_existing
        Whether to leave alone what is here.
    """
    if whole and skip_existing:
        return Action.SKIP
    return Action.RESUME if part else Action.FETCH


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
    sleep
        The way to wait between tries, in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        authenticator: Authenticator,
        config: Config,
        progress: Progress,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config = config
        self._options = config.download_options
        self._progress = progress
        self._sleep = sleep
        self._line = Line(
            transport,
            authenticator,
            Throttle(self._options.limit_rate),
            block=max(BLOCK, self._options.chunk_size),
            min_rate=self._options.min_rate,
        )
        self._gate = Gate(self._options.workers, sleep=sleep)
        self._checkers = min(4, os.cpu_count() or 1)
        self._executor: ThreadPoolExecutor | None = None
        self._stop = threading.Event()
        self._trips: list[Trip] = []
        self._leases: list[Lease] = []
        self._walking = 0
        self._asleep = Sleep()
        self._watch: asyncio.Task[None] | None = None
        self._folds_case = folds_case(config.output_directory)

    async def __aenter__(self) -> Self:
        self._stop.clear()
        self._executor = ThreadPoolExecutor(self._checkers, thread_name_prefix="verify")
        self._watch = asyncio.create_task(self._keep_watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._stop.set()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        sync_folder(self._config.output_directory)

    async def _keep_watch(self) -> None:
        """Keep the leases, and break all connections after the computer slept: new ones go on where they were."""
        while True:
            await asyncio.sleep(LOOK_EACH)
            for lease in list(self._leases):
                with suppress(StorageError):  # who cannot reach the folder finds out when writing
                    await self._in_thread(lease.renew)
            if slept := self._asleep.since_last_look():
                log.warning("the computer slept for %s: connecting anew", format_duration(slept))
                for trip in self._trips:
                    trip.reconnect()

    @property
    def in_flight(self) -> int:
        """How many calls may go on at once: one for each connection and one for each thread that verifies."""
        return self._options.workers + self._checkers

    def final(self, product: Product) -> Path:
        """Say where the product's archive is, or will be."""
        return self._config.output_directory / file_name(product.identifier, folds_case=self._folds_case)

    async def action(self, product: Product) -> Action:
        """Look what is here of a product and say what is to be done about it; changes nothing."""
        return await self._in_thread(lambda: self._look(product))

    async def __call__(self, product: Product, *, damaged: Iterable[tuple[int, int]] | None = None) -> Outcome:
        """Fetch one product, or find that it is here.

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
            Also of a product that failed: what concerns it alone is never raised.

        Raises
        ------
        AuthenticationError
            The store asks for a sign-in.
        StorageError
            The output folder cannot take another byte.
        """
        begun = time.monotonic()
        trip = Trip(
            product,
            PartFile(self.final(product)),
            Patience(self._config.connection.retries),
            segments=self._options.segments,
            tell=self._progress.advanced,
        )
        status, error, reason = Status.DOWNLOADED, None, None
        self._walking += 1
        try:
            if reason := await self._walk(trip, damaged):
                status = Status.SKIPPED
        except ProductError as caught:
            status, error = Status.FAILED, _without_frames(caught)
            log.error("%s: %s; it is left out", product.identifier, caught)
        finally:
            self._walking -= 1
        outcome = Outcome(
            product,
            status,
            path=trip.part.final if error is None else None,
            bytes=trip.received,
            seconds=time.monotonic() - begun,
            attempts=trip.requests,
            reason=reason,
            error=error,
        )
        self._progress.finished(outcome)
        return outcome

    async def help(self) -> None:
        """Bring second halves of what others are bringing, until nobody is bringing anything.

        For a worker that has no product of its own any more: so the last, largest archives do not trickle alone.
        """
        while self._walking:
            if not await self._help_with(self._trips):
                await asyncio.sleep(_LOOK_FOR_WORK_EACH)

    async def _help_with(self, trips: Sequence[Trip]) -> bool:
        """Bring the second half of the longest stretch that is worth splitting; False when none is."""
        now = time.monotonic()
        for trip in sorted(trips, key=lambda trip: max((one.left for one in trip.running), default=0), reverse=True):
            if half := trip.half(now):
                await self._as_helper(trip, *half)
                return True
        return False

    async def _as_helper(self, trip: Trip, longest: Stretch, second: Stretch) -> None:
        """Bring a second half in a task of its own, which can be stopped when nobody wants it any more."""
        helper = asyncio.create_task(self._bring_half(trip, longest, second))
        trip.helpers.add(helper)
        try:
            await asyncio.wait([helper])
        except asyncio.CancelledError:
            if not helper.cancelling():
                helper.cancel()
            await settled(asyncio.wait([helper]))
            raise
        finally:
            trip.helpers.discard(helper)
            longest.splitting = False
        if not helper.cancelled():
            helper.result()

    async def _bring_half(self, trip: Trip, longest: Stretch, second: Stretch) -> None:
        async def judged(answer: Answer, response: ClientResponse) -> None:
            self._gate.accepted()
            trip.take_over(longest, second, answer)
            trip.begin(second, response)
            longest.splitting = False

        try:
            async with self._gate.enter() as began, trip.part:
                if not trip.in_time(longest, second):
                    return
                try:
                    await self._line.fetch(trip, second, judged=judged)
                except BusyError as error:
                    self._gate.refused(began, error.retry_after)
                    raise
                finally:
                    trip.finish(second)
        except (AskAgain, ProductError, Abandoned) as error:
            log.debug("%s: a second connection failed: %s", trip.product.identifier, error)
            trip.note_help(failed=True)
        else:
            trip.note_help(failed=False)

    async def _walk(self, trip: Trip, damaged: Iterable[tuple[int, int]] | None) -> str | None:
        """Bring the archive to its final name; say why not when there is no need to."""
        product = trip.product
        lease = Lease(trip.part.path)
        if damaged is None and await self.action(product) is Action.SKIP:
            await self._in_thread(lambda: _clear(lease))
            return "exists"
        if product.url is None:
            raise NotAvailableError(product.problem or "the catalogue gives no download link for it")
        self._leases.append(lease)
        try:
            if not await self._in_thread(lease.take):
                log.info("%s: another run is fetching it", product.identifier)
                return "elsewhere"
            # Whoever had the lease before may have finished it since we looked.
            if damaged is not None:
                await self._in_thread(lambda: reopen(trip.part.final, damaged))
            elif await self.action(product) is Action.SKIP:
                return "exists"
            await self._bring_whole(trip, lease)
        finally:
            self._leases.remove(lease)
            await self._in_thread(lease.release)
        return None

    async def _bring_whole(self, trip: Trip, lease: Lease) -> None:
        """Bring all bytes, until they are right, and give them their final name."""
        product, part = trip.product, trip.part
        mending = Mending(trip)
        while True:
            size = await self._bring(trip)
            self._progress.checking(product)
            try:
                await self._verify(trip, size)
                break
            except IntegrityError as error:
                again = await mending.mend(error)
                log.warning("%s: %s; %s", product.identifier, error, again)
        if not await self._in_thread(lease.still_mine):
            if not await self._in_thread(lease.path.exists):
                raise StorageError(f"{lease.path}: {os.strerror(errno.ENOENT)}")
            raise TransferError("another run took it over while this one could not reach the folder")
        await part.publish()

    def _look(self, product: Product) -> Action:
        final = self.final(product)
        part = PartFile(final).path
        for path in (final, part):
            if path.is_dir():
                raise ProductError(f"a folder has the name that its archive needs: {path}")
        try:
            return decide(
                whole=final.is_file() and self._is_whole(final, product),
                part=part.stat().st_size if part.is_file() else 0,
                skip_existing=self._options.skip_existing,
            )
        except PermissionError as error:
            raise ProductError(f"{error.filename} cannot be read: {error.strerror}") from error

    def _is_whole(self, final: Path, product: Product) -> bool:
        try:
            # Not by the length that the catalogue gives: where it errs, the product would be fetched at each run.
            check(final, level=Level.STRUCTURE, stop=self._stop.is_set)
        except IntegrityError as error:
            log.warning("%s: the file that is here is no whole archive (%s)", product.identifier, error)
            return False
        return True

    async def _verify(self, trip: Trip, size: int | None) -> None:
        level = Level(self._options.verify)
        if size is None and level is Level.SIZE:
            level = Level.STRUCTURE  # a length that nobody announced proves nothing
        if trip.part.remote is None:
            level = Level.CRC  # nobody vouches for all bytes being of one version
        for warning in await self._check(trip.part.path, size, level):
            log.warning("%s: %s", trip.product.identifier, warning)

    async def _check(self, path: Path, size: int | None, level: Level) -> tuple[str, ...]:
        if self._executor is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        given_up = threading.Event()

        def work() -> tuple[str, ...]:
            return check(path, size=size, level=level, stop=lambda: given_up.is_set() or self._stop.is_set())

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except OSError as error:
            raise StorageError(f"{error.filename or path}: {error.strerror}") from error
        finally:
            given_up.set()  # after a cancellation the thread is still reading

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Do something short on the disk; verification, which is long, has threads of its own."""
        if self._executor is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        try:
            return await settled(asyncio.to_thread(work))
        except OSError as error:
            raise StorageError(f"{error.filename or self._config.output_directory}: {error.strerror}") from error

    async def _bring(self, trip: Trip) -> int | None:
        """Bring all bytes into the part, trying again as long as that brings new ones; give its length.

        None stands for a length that the server never told; the archive has an end record then.
        """
        attempt = retrying(
            trip.patience,
            worth_it=lambda error: isinstance(error, TransferError),
            before_sleep=lambda state: _announce(trip, state),
            sleep=self._sleep,
        )
        self._trips.append(trip)
        try:
            return await attempt(self._try, trip)
        except TransferError as error:
            kept = f"; {format_bytes(trip.best)} are kept" if trip.best else ""
            raise TransferError(f"{error}; given up after {trip.requests} requests{kept}") from error
        finally:
            self._trips.remove(trip)
            await trip.disband(keep=True)

    async def _try(self, trip: Trip) -> int | None:
        """Bring whatever nobody brings, until nothing is missing."""
        questions = 0
        while True:
            if trip.is_complete():
                return trip.size
            accepted = self._gate.successes
            async with self._gate.enter(ahead=trip.requests > 0) as began, trip.part:
                await trip.recall()
                stretch = None if trip.is_complete() else trip.next_stretch()
                try:
                    if stretch is not None:
                        await self._ask(trip, stretch)
                except AskAgain as answer:
                    questions += 1
                    await self._learn(trip, answer, questions)
                except BusyError as error:
                    self._gate.refused(began, error.retry_after)
                    if self._gate.successes == accepted and not self._others_are_served(trip):
                        raise
                finally:
                    trip.note_progress()
                if trip.is_complete():
                    return trip.size
                if stretch is not None and trip.size is None and trip.ended:
                    return None
            if stretch is None and not await self._help_with([trip]):
                await trip.wait_for_change(_LOOK_FOR_WORK_EACH)

    def _others_are_served(self, trip: Trip) -> bool:
        """Whether the store is busy with us, so that its refusal says nothing about this product."""
        return any(other.asked for other in self._trips if other is not trip)

    async def _ask(self, trip: Trip, stretch: Stretch) -> None:
        async def judged(answer: Answer, response: ClientResponse) -> None:
            self._gate.accepted()
            if answer.first == 0 or not answer.proven:
                # It may be of another version than what helpers are bringing.
                await trip.disband()
            if answer.first == 0 and trip.part.held.total and trip.part.remote != answer.remote:
                await trip.part.remember(None)
            await self._expect(trip, stretch, answer)
            trip.begin(stretch, response)

        trip.ended, before = False, trip.part.held.total
        try:
            answer = await self._line.fetch(trip, stretch, judged=judged)
        except Abandoned:
            raise TransferError("its bytes were given up") from None
        finally:
            trip.finish(stretch)
        trip.size = answer.remote.size
        if trip.size is None:
            await self._expect_end(trip.part.path)
            trip.ended = True
        elif trip.part.held.total <= before and not trip.is_complete():
            raise TransferError("the store sent nothing that is not here already")

    async def _expect(self, trip: Trip, stretch: Stretch, answer: Answer) -> None:
        """Prepare for the bytes of an answer: is there room for them, and who wants to know."""
        product, size = trip.product, answer.remote.size
        trip.size = size
        whole = answer.end is None or answer.end == size
        if stretch.end is None or (whole and answer.first == 0):
            stretch.end = size
        if product.size is not None and size is not None and product.size != size and trip.requests == 1:
            log.warning(
                "%s: the catalogue says %d bytes, the store %d; the store is believed",
                product.identifier,
                product.size,
                size,
            )
        await self._refuse_without_room()
        here = 0 if answer.first == 0 and whole else trip.part.held.total
        self._progress.started(product, have=here, size=size)

    async def _refuse_without_room(self) -> None:
        """Stop before the disk is full, rather than then; what is being fetched counts with what is still to come."""
        to_come = sum((trip.size or 0) - trip.part.held.total for trip in self._trips if trip.size)
        free = await self._in_thread(lambda: _free_bytes(self._config.output_directory))
        if to_come > free:
            raise StorageError(
                f"{self._config.output_directory}: {format_bytes(free)} are free, "
                f"and {format_bytes(to_come)} of the archives on their way are still to come"
            )

    async def _expect_end(self, path: Path) -> None:
        """Tell a body of unknown length that is whole from one that was cut: an archive ends in an end record."""
        try:
            await self._check(path, None, Level.STRUCTURE)
        except IntegrityError as error:
            raise TransferError("the connection closed before the archive's end") from error

    async def _learn(self, trip: Trip, answer: AskAgain, questions: int) -> None:
        log.debug("%s: %s; asking otherwise", trip.product.identifier, answer)
        if questions > _MOST_QUESTIONS:
            raise TransferError("the store's answers contradict each other")
        trip.learn(answer)
        if answer.from_start:
            await trip.start_over()


def _clear(lease: Lease) -> None:
    """Remove what a run has left that was killed right after it had published."""
    if lease.path.exists() and lease.take():
        lease.release()


def _without_frames(error: ProductError) -> ProductError:
    """Let go of the frames of an error that is kept: each holds the blocks that it was reading."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _free_bytes(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _announce(trip: Trip, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    here = f", {format_bytes(trip.best)} are here" if trip.best else ""
    log.warning("%s: %s%s; trying again in %.1f s", trip.product.identifier, error, here, state.upcoming_sleep)
