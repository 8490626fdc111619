"""Write STAC items while a run goes on, in a thread beside it."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CollgsError
from collgs_async.models.product import EXISTS, Status
from collgs_async.models.text import plural
from collgs_async.models.timing import wait_completed
from collgs_async.reporting.stac_catalogs import refresh_catalogs
from collgs_async.reporting.stac_items import Obtained, is_up_to_date, write_item
from collgs_async.storage.archive_reading import Stopped
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.config.settings import Config
    from collgs_async.models.product import Outcome, Product

__all__ = ["MOST_TOLD", "StacRecorder", "problem_words", "stac_items"]

log = logging.getLogger("collgs_async")

_MOST_WAITING: Final = 10_000
"""Maximum outcomes of archives that were here before in the queue, about 20 MB; the next run sees to the others."""

MOST_TOLD: Final = 5
"""Items that cannot be written of which each has a line of its own."""

_MANY: Final = 10
"""Items that may take a while at the end of a run, so that they are announced."""


class StacRecorder:
    """Writes the item of each archive that a run has brought, or found without one; an asynchronous context manager.

    Leaving it waits until all items and the catalogs are written; if the run was stopped, what waits is left to the
    next run.

    Parameters
    ----------
    config
        The settings: output folder, catalogue and level of verification.
    clock
        Returns the present time, aware.
    """

    def __init__(self, config: Config, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._top = config.folder.absolute()
        self._catalogue = config.base_url
        self._how = str(config.download_options.verify)
        self._clock = clock
        self._queue: SimpleQueue[tuple[Product, Path, Obtained | None] | None] = SimpleQueue()
        self._stop = threading.Event()
        self._folders: set[Path] = set()
        self._left = 0
        self._failed = 0
        self._thread: ThreadPoolExecutor | None = None
        self._work: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    def add(self, outcome: Outcome) -> None:
        """Take an outcome; must be called on the event loop, and returns at once."""
        if outcome.path is None or (outcome.status is Status.SKIPPED and outcome.reason != EXISTS):
            return
        if outcome.status is Status.SKIPPED and self._queue.qsize() >= _MOST_WAITING:
            self._left += 1
            return
        if self._work is None and not self._start():
            return
        self._queue.put((outcome.product, outcome.path.absolute(), self._obtained(outcome)))

    def _start(self) -> bool:
        """Start the thread; False if there is none to be had."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stac")
        try:
            self._work = in_thread(self._thread, self._write_all)
        except OSError as error:
            log.warning("no STAC item is written now: %s", error.strerror)
        return self._work is not None

    def _obtained(self, outcome: Outcome) -> Obtained | None:
        """Return how an archive came here; None: it was here before."""
        if outcome.status is not Status.DOWNLOADED:
            return None
        now = self._clock()
        return Obtained(now, now, self._how, outcome.etag, outcome.last_modified)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._work is None or self._thread is None:
            return
        if kind is not None:
            self._stop.set()
        elif (waiting := self._queue.qsize()) >= _MANY:
            log.info("writing %s", plural(waiting, "STAC item"))
        self._queue.put(None)
        try:
            await asyncio.shield(self._work)
        except asyncio.CancelledError:
            self._stop.set()
            await wait_completed(self._work)
            raise
        finally:
            self._thread.shutdown(wait=False)
        if self._failed > MOST_TOLD:
            log.warning("no STAC item was written of %s", plural(self._failed - MOST_TOLD, "other archive"))
        if self._left:
            log.warning("%s without a STAC item: the next run writes more", plural(self._left, "archive"))

    def _write_all(self) -> None:
        while (job := self._queue.get()) is not None:
            if not self._stop.is_set():
                self._write(*job)
        refresh_catalogs(self._top, self._folders)

    def _write(self, product: Product, files: Path, obtained: Obtained | None) -> None:
        try:
            if obtained is not None or not is_up_to_date(files):
                catalogue, stop = self._catalogue, self._stop.is_set
                write_item(product, files, obtained or Obtained(), catalogue=catalogue, stop=stop)
        except Stopped:
            return
        except (CollgsError, OSError, ValueError) as error:
            self._failed += 1
            level = logging.WARNING if self._failed <= MOST_TOLD else logging.DEBUG
            log.log(level, "%s: no STAC item was written: %s", files, problem_words(error))
        else:
            self._folders.add(files.parent)


@asynccontextmanager
async def stac_items(config: Config) -> AsyncIterator[Callable[[Outcome], None]]:
    """Yield what takes the outcomes of a run, and writes STAC items if the settings ask for them."""
    if not config.keep.stac:
        yield lambda _: None
        return
    async with StacRecorder(config) as recorder:
        yield recorder.add


def problem_words(error: Exception) -> str:
    """Return why an item was not written."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return str(error)
