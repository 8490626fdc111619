"""One product's walk: decide, bring its bytes, verify them, give them their name."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from collgs_async.errors import IntegrityError, NotAvailableError, ProductError, StorageError, TransferError
from collgs_async.integrity import Level, check
from collgs_async.limits import Throttle
from collgs_async.models import Outcome, Status
from collgs_async.partfile import PartFile, file_name
from collgs_async.transfer.judge import AskAgain, plan_request
from collgs_async.transfer.stream import Line
from collgs_async.transport import Patience, retrying
from collgs_async.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tenacity import RetryCallState

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

_MOST_VERSIONS: Final = 5
"""How often an archive may be replaced while it is fetched before we stop running after it."""


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
        config: Config,
        progress: Progress,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config = config
        self._options = config.download_options
        self._progress = progress
        self._sleep = sleep
        self._line = Line(transport, Throttle(self._options.limit_rate), block=max(BLOCK, self._options.chunk_size))
        self._connections = asyncio.Semaphore(self._options.workers)
        self._checkers = min(4, os.cpu_count() or 1)
        self._executor = ThreadPoolExecutor(self._checkers, thread_name_prefix="verify")
        self._stop = threading.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._executor.shutdown(wait=True, cancel_futures=True)

    @property
    def in_flight(self) -> int:
        """How many calls may go on at once: one for each connection and one for each thread that verifies."""
        return self._options.workers + self._checkers

    def final(self, product: Product) -> Path:
        """Say where the product's archive is, or will be."""
        return self._config.output_directory / file_name(product.identifier)

    async def action(self, product: Product) -> Action:
        """Look what is here of a product and say what is to be done about it; changes nothing."""
        return await self._in_thread(lambda: self._look(product))

    async def __call__(self, product: Product) -> Outcome:
        """Fetch one product, or find that it is here.

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
        trip = _Trip(product, PartFile(self.final(product)), Patience(self._config.connection.retries))
        begun = time.monotonic()
        status, error, reason = Status.DOWNLOADED, None, None
        try:
            if not await self._walk(trip):
                status, reason = Status.SKIPPED, "exists"
        except ProductError as caught:
            status, error = Status.FAILED, caught
            log.error("%s: %s; it is left out", product.identifier, caught)
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

    async def _walk(self, trip: _Trip) -> bool:
        """Bring the archive to its final name; False when it is there already."""
        product, part = trip.product, trip.part
        if await self.action(product) is Action.SKIP:
            return False
        if product.url is None:
            raise NotAvailableError(product.problem or "the catalogue gives no download link for it")
        for last in (False, True):
            async with self._connections:
                size = await self._bring(trip, product.url)
            self._progress.checking(product)
            try:
                await self._verify(trip, size)
                break
            except IntegrityError as error:
                await part.discard()
                if last:
                    raise IntegrityError(f"{error}; it came like this twice, so it is bad on the server") from error
                log.warning("%s: %s; fetching it once more", product.identifier, error)
                trip.forget()
        await part.publish()
        return True

    def _look(self, product: Product) -> Action:
        final = self.final(product)
        if final.is_dir():
            raise ProductError(f"a folder has the name that its archive should get: {final}")
        part = PartFile(final).path
        held = part.stat().st_size if part.is_file() else 0
        return decide(
            whole=final.is_file() and self._is_whole(final, product),
            part=held,
            skip_existing=self._options.skip_existing,
        )

    def _is_whole(self, final: Path, product: Product) -> bool:
        try:
            check(final, size=product.size, level=Level.STRUCTURE, stop=self._stop.is_set)
        except IntegrityError as error:
            log.warning("%s: the file that is here is no whole archive (%s)", product.identifier, error)
            return False
        return True

    async def _verify(self, trip: _Trip, size: int | None) -> None:
        level = Level(self._options.verify)
        if size is None and level is Level.SIZE:
            level = Level.STRUCTURE  # a length that nobody announced proves nothing
        if trip.part.remote is None:
            level = Level.CRC  # nobody vouches for all bytes being of one version
        for warning in await self._check(trip.part.path, size, level):
            log.warning("%s: %s", trip.product.identifier, warning)

    async def _check(self, path: Path, size: int | None, level: Level) -> tuple[str, ...]:
        return await self._in_thread(lambda: check(path, size=size, level=level, stop=self._stop.is_set))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except OSError as error:
            raise StorageError(f"{error.filename or self._config.output_directory}: {error.strerror}") from error

    async def _bring(self, trip: _Trip, url: str) -> int | None:
        """Bring all bytes into the part, trying again as long as that brings new ones; give its length.

        None stands for a length that the server never told; the archive has an end record then.
        """
        attempt = retrying(
            trip.patience,
            worth_it=lambda error: isinstance(error, TransferError),
            before_sleep=lambda state: _announce(trip, state),
            sleep=self._sleep,
        )
        try:
            return await attempt(self._try, trip, url)
        except TransferError as error:
            kept = f"; {format_bytes(trip.best)} are kept" if trip.best else ""
            raise TransferError(f"{error}; given up after {trip.requests} requests{kept}") from error

    async def _try(self, trip: _Trip, url: str) -> int | None:
        part = trip.part
        async with part:
            try:
                for _ in range(_MOST_QUESTIONS):
                    if part.remote and part.remote.url == url and part.remote.size == part.length:
                        return part.length
                    try:
                        return await self._ask(trip, url)
                    except AskAgain as answer:
                        await self._learn(trip, answer)
            finally:
                trip.note_length()
        raise TransferError("the store's answers contradict each other")

    async def _ask(self, trip: _Trip, url: str) -> int | None:
        part = trip.part
        ask = plan_request(part.length, part.remote, url, ranges=trip.ranges, conditions=trip.conditions)
        trip.requests += 1
        answer = await self._line.fetch(
            url, ask, part, started=lambda answer: self._show(trip, answer), arrived=trip.count(self._progress)
        )
        size = answer.remote.size
        if size is not None and part.length < size:
            raise TransferError(f"the answer ended at byte {part.length} of {size}")
        if size is None:
            await self._expect_end(part.path)
        return size

    async def _expect_end(self, path: Path) -> None:
        """Tell a body of unknown length that is whole from one that was cut: an archive ends in an end record."""
        try:
            await self._check(path, None, Level.STRUCTURE)
        except IntegrityError as error:
            raise TransferError("the connection closed before the archive's end") from error

    async def _learn(self, trip: _Trip, answer: AskAgain) -> None:
        log.debug("%s: %s; asking otherwise", trip.product.identifier, answer)
        trip.ranges &= answer.ranges
        trip.conditions &= answer.conditions
        if answer.from_start:
            trip.start_over()
            await trip.part.remember(None)
            await trip.part.truncate(0)

    def _show(self, trip: _Trip, answer: Answer) -> None:
        announced, size = trip.product.size, answer.remote.size
        if announced is not None and size is not None and announced != size:
            log.warning(
                "%s: the catalogue says %d bytes, the store %d; the store is believed",
                trip.product.identifier,
                announced,
                size,
            )
        self._progress.started(trip.product, have=answer.first, size=size)


class _Trip:
    """What was learnt on the way to one product."""

    def __init__(self, product: Product, part: PartFile, patience: Patience) -> None:
        self.product = product
        self.part = part
        self.patience = patience
        self.received = 0
        self.requests = 0
        self.best = 0
        self.versions = 1
        self.forget()

    def forget(self) -> None:
        """Begin with an open mind: the next bytes may come from another server."""
        self.ranges = True
        self.conditions = True
        self.best = 0

    def count(self, progress: Progress) -> Callable[[int], None]:
        """Make the function that counts body bytes."""

        def arrived(nbytes: int) -> None:
            self.received += nbytes
            progress.advanced(self.product, nbytes)

        return arrived

    def note_length(self) -> None:
        """Progress is a part that is longer than ever: bytes that come again and again are none."""
        if self.part.length > self.best:
            self.best = self.part.length
            self.patience.progressed()

    def start_over(self) -> None:
        """Take note that the archive is another version now."""
        self.versions += 1
        self.best = 0
        if self.versions > _MOST_VERSIONS:
            raise NotAvailableError(f"its archive was replaced {_MOST_VERSIONS} times while it was fetched")


def _announce(trip: _Trip, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    here = f", {format_bytes(trip.best)} are here" if trip.best else ""
    log.warning("%s: %s%s; trying again in %.1f s", trip.product.identifier, error, here, state.upcoming_sleep)
