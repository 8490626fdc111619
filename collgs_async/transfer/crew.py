"""The connections of a run: which archives they bring, how many there may be, and when they try again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from collgs_async.errors import IntegrityError, NotAvailableError, StorageError, TransferError, UnreadableError
from collgs_async.integrity import Level
from collgs_async.limits import Gate, Throttle
from collgs_async.patience import LONGEST_WAIT, persisting
from collgs_async.transfer.awake import Sleep
from collgs_async.transfer.helping import LOOK_FOR_WORK_EACH, Helpers
from collgs_async.transfer.judge import AskAgain
from collgs_async.transfer.outage import OutageError, Store
from collgs_async.transfer.staging import put_off_until_staged
from collgs_async.transfer.stores import Stores
from collgs_async.transfer.stream import BusyError, Line, StagingError, UnavailableError
from collgs_async.transfer.trip import Abandoned
from collgs_async.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import ClientResponse
    from tenacity import RetryCallState

    from collgs_async.auth import Authenticator
    from collgs_async.config import Config
    from collgs_async.timing import Timing
    from collgs_async.transfer.disk import Disk
    from collgs_async.transfer.judge import Answer
    from collgs_async.transfer.trip import Stretch, Trip
    from collgs_async.transport import Transport

__all__ = ["Crew"]

log = logging.getLogger("collgs_async")

BLOCK: Final = 2**20
"""Bytes of the smallest block that is worth a trip to a thread; a larger `chunk_size` enlarges it."""

_MOST_QUESTIONS: Final = 6
"""Requests of one try: each further one follows from what the answer before it has taught."""

_UNUSUAL: Final = 2
"""How many times as long as all others an archive must be for its product to fail alone where it does not fit."""

_MOST_TOO_LARGE: Final = 2
"""Products in a row that fail alone like that; with the next one, the disk counts as full."""


class Crew:
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
        transport: Transport,
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
        self._line = Line(
            transport,
            authenticator,
            Throttle(options.limit_rate),
            block=max(BLOCK, options.chunk_size),
            min_rate=options.min_rate,
            timeout=connection.timeout,
            longest_wait=max(LONGEST_WAIT, connection.outage),
        )
        self._all_gates = Gate(options.workers, sleep=timing.sleep)
        self._stores = Stores(
            lambda name: Store(
                name,
                Gate(options.workers, sleep=timing.sleep),
                self._all_gates,
                limit=connection.outage,
                timing=timing,
                check=self._line.check,
                tell=tell,
            )
        )
        self._helpers = Helpers(self._stores, self._line)
        self._trips: list[Trip] = []
        self._largest = 0
        self._too_large: set[str] = set()
        self._helping = 0
        self._asleep = Sleep()

    def look_at_the_clocks(self) -> None:
        """Break all connections if the computer has slept since the last look: new ones go on where they were."""
        if slept := self._asleep.since_last_look():
            log.warning("the computer slept for %s: connecting anew", format_duration(slept))
            for trip in self._trips:
                trip.reconnect()

    @property
    def moving(self) -> int:
        """Bytes that have come of what is being brought."""
        return sum(trip.received for trip in self._trips)

    def open_fewer(self, began: float) -> None:
        """Go on with fewer archives at once, since no descriptor was left.

        Parameters
        ----------
        began
            When that product was begun, by the monotonic clock, in seconds.
        """
        self._all_gates.refused(began, 0.0, why="the system lets so many files and connections be open, and no more")

    async def help(self, idle: int) -> bool:
        """Bring a piece of what is being brought; False when none is worth it.

        What is fetched alone has its own helpers.

        Parameters
        ----------
        idle
            How many have nothing of their own to bring, those who are helping included.
        """
        trips = [trip for trip in self._trips if not trip.alone]
        others, self._helping = self._helping, self._helping + 1
        try:
            return await self._helpers.help_with(trips, idle - others)
        finally:
            self._helping -= 1

    async def bring(self, trip: Trip) -> int | None:
        """Bring all bytes into the part, trying again as long as that brings new ones; give its length.

        None stands for a length that the server never told; the archive has an end record then.
        """
        store = self._stores.of(trip.url)
        bringing = self._bring(trip, store)
        self._trips.append(trip)
        store.trips.append(trip)
        try:
            return await (self._helpers.accompany(trip, bringing) if trip.alone else bringing)
        except TransferError as error:
            # What an outage costs fails for one reason, which the summary says once.
            requests = "" if isinstance(error, OutageError) else f"; given up after {trip.requests} requests"
            kept = f"; {format_bytes(trip.best)} are kept" if trip.best > 0 else ""
            raise TransferError(f"{error}{requests}{kept}") from error
        finally:
            self._trips.remove(trip)
            store.trips.remove(trip)
            await trip.disband(keep=True)

    async def _bring(self, trip: Trip, store: Store) -> int | None:
        """Try until all is here, or it is known that this product's own trouble is in the way."""
        while True:
            try:
                return await persisting(
                    lambda: self._try_in_turn(trip, store),
                    trip.patience,
                    worth_it=lambda error: (
                        isinstance(error, TransferError) and not isinstance(error, OutageError | StagingError)
                    ),
                    before_sleep=lambda state: _announce(trip, state),
                    sleep=self._timing.sleep,
                )
            except UnavailableError as error:
                await store.judge(trip, error)
            except StagingError as error:
                put_off_until_staged(trip, error, limit=self._staging, now=self._timing.now())

    async def _try_in_turn(self, trip: Trip, store: Store) -> int | None:
        """Wait while the store is in trouble, then try, and tell what that has shown of the store."""
        await store.admit(trip)
        try:
            return await self._try(trip, store)
        except TransferError as error:
            trip.history.exhausted.end()
            if isinstance(error, StagingError):
                store.accepted()
            else:
                store.failed(trip, error)
            raise
        finally:
            store.leave(trip)

    async def _try(self, trip: Trip, store: Store) -> int | None:
        """Bring whatever nobody brings, until nothing is missing."""
        questions = 0
        while True:
            if trip.is_complete():
                return trip.size
            accepted = store.successes
            async with store.enter(ahead=trip.requests > 0) as began, trip.part:
                await trip.recall()
                stretch = None if trip.is_complete() else trip.next_stretch()
                try:
                    if stretch is not None:
                        await self._ask(trip, store, stretch)
                except AskAgain as answer:
                    questions += 1
                    await self._learn(trip, answer, questions)
                except BusyError as error:
                    store.gate.refused(began, error.retry_after)
                    if store.successes == accepted and not _others_are_served(trip, store):
                        raise
                finally:
                    trip.note_progress()
                if trip.is_complete():
                    return trip.size
                if stretch is not None and trip.size is None and trip.ended:
                    return None
            if stretch is None and not await self._helpers.help_with([trip]):
                await trip.wait_for_change(LOOK_FOR_WORK_EACH)

    async def _ask(self, trip: Trip, store: Store, stretch: Stretch) -> None:
        async def judged(answer: Answer, response: ClientResponse) -> None:
            store.accepted(trip.url)
            if answer.first == 0 or not answer.proven:
                # It may be of another version than what helpers are bringing.
                await trip.disband()
            if answer.first == 0 and trip.part.held.total and not trip.is_of(answer.remote):
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
        await self._refuse_without_room(trip)
        here = 0 if answer.first == 0 and whole else trip.part.held.total
        trip.progress.started(product, have=here, size=size)

    async def _refuse_without_room(self, trip: Trip) -> None:
        """Stop before the disk is full, rather than then; what is being fetched counts with what is still to come."""
        own = _to_come(trip)
        all_to_come = [_to_come(other) for other in self._trips]
        free, whole_disk = await self._disk.room(sum(all_to_come))
        if own > free and not self._is_usual(trip.size or 0):
            # No other archive has to suffer for it, and most likely the length is a lie.
            self._too_large.add(trip.product.identifier)
            length, room = format_bytes(trip.size or 0), format_bytes(free)
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
        self._largest = max(self._largest, trip.size or 0)
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

    async def _learn(self, trip: Trip, answer: AskAgain, questions: int) -> None:
        log.debug("%s: %s; asking otherwise", trip.product.identifier, answer)
        if questions > _MOST_QUESTIONS:
            raise TransferError("the store's answers contradict each other")
        trip.learn(answer)
        if answer.from_start:
            await trip.start_over()


def _to_come(trip: Trip) -> int:
    return max(0, trip.size - trip.part.held.total) if trip.size else 0


def _others_are_served(trip: Trip, store: Store) -> bool:
    """Whether the store is busy with us, or may be, so that its refusal says nothing about this product."""
    return any(other.asking or other.asked for other in store.trips if other is not trip)


def _announce(trip: Trip, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    here = f", {format_bytes(trip.best)} are here" if trip.best else ""
    log.warning("%s: %s%s; trying again in %.1f s", trip.product.identifier, error, here, state.upcoming_sleep)
