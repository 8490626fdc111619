"""Postpone a product while others are downloaded: until it is back from tape, free of another run, or can be opened.

A store responds with 202 for minutes or hours while it restores an archive from tape; the archive is requested again at
intervals.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final, NoReturn

from collgs_async.errors import TransferError
from collgs_async.models.text import format_duration

if TYPE_CHECKING:
    from collgs_async.errors import ExhaustedError
    from collgs_async.models.product import Product
    from collgs_async.transfer.history import History
    from collgs_async.transfer.job import DownloadJob
    from collgs_async.transfer.store import Store
    from collgs_async.transfer.store_errors import StagingError

__all__ = ["PutOff", "put_off_until_descriptors_are_free", "put_off_until_staged", "put_off_while_elsewhere"]

log = logging.getLogger("collgs_async")

SHORTEST_PAUSE: Final = 1.0
"""Minimum seconds between two requests, whatever Retry-After says."""


class PutOff(Exception):  # noqa: N818 - not an error: nothing is known to be wrong with the product
    """The product is to be downloaded later, and others in the meantime.

    Parameters
    ----------
    seconds
        Seconds to wait; ignored with `store`.
    store
        The store to wait for; None to wait only for the time.
    why
        What the product waits for, for the progress display.
    """

    def __init__(self, seconds: float = 0.0, store: Store | None = None, *, why: str) -> None:
        super().__init__(seconds, store, why)
        self.seconds = seconds
        self.store = store
        self.why = why


def put_off_until_staged(job: DownloadJob, error: StagingError, *, limit: float, now: float) -> NoReturn:
    """Postpone a product that is being restored from tape; this does not count as a failed attempt.

    Parameters
    ----------
    job
        The job; its history records since when the store has been responding with 202.
    error
        The store's response, with its Retry-After if it sent one.
    limit
        Seconds for which to wait in all.
    now
        Time of the run's clock, in seconds.

    Raises
    ------
    PutOff
        The archive is to be requested again later.
    TransferError
        `limit` has passed, or Retry-After exceeds what is left of it.
    """
    waiting, asked = job.history.staged, error.retry_after
    first = waiting.since is None
    left = waiting.left(limit, now)
    if left <= 0:
        waited = f"; it was waited for {format_duration(round(limit - left))}" if limit else ""
        raise TransferError(f"{error}{waited}")
    if asked is not None and asked > left:
        raise TransferError(
            f"{error}; it asks to wait {format_duration(asked)}, and {format_duration(round(left))} are left"
        )
    pause = waiting.next_pause() if asked is None else max(SHORTEST_PAUSE, asked)
    log.log(
        logging.INFO if first else logging.DEBUG,
        "%s: %s; it is asked for again for up to %s, while others are fetched",
        *(job.product.identifier, error, format_duration(round(left))),
    )
    # Random jitter, so that products that were requested together are not requested together again each time.
    raise PutOff(min(left, pause + random.uniform(0, pause / 10)), why="on tape")


def put_off_while_elsewhere(
    product: Product, history: History, trace: tuple[object, ...], *, limit: float, now: float
) -> None:
    """Postpone a product that another run is downloading, for as long as that run makes progress.

    The product cannot simply be skipped: the other run may have been killed, and the lock of a process that is not
    visible from here (another machine, boot or container) outlives it by two minutes. So it is checked again at
    intervals: skipped once the archive is here, downloaded once the lock is free or stale.

    Parameters
    ----------
    trace
        Observable signs of progress of the other run: the heartbeat of its lock and the length of its part file.
    limit
        Seconds without a change of the trace after which the other run no longer counts as making progress.
    now
        Time of the run's clock, in seconds.

    Raises
    ------
    PutOff
        The product is to be checked again later. Not raised once `limit` has passed.
    """
    if history.elsewhere.since is None:
        log.info("%s: another run is fetching it; waiting as long as that makes progress", product.identifier)
    if (left := history.elsewhere.left(limit, now, trace)) > 0:
        raise PutOff(min(left, history.elsewhere.next_pause()), why="another run is fetching it")
    log.warning("%s: the other run has made no progress for %s", product.identifier, format_duration(limit))


def put_off_until_descriptors_are_free(
    product: Product, history: History, error: ExhaustedError, moved: int, *, limit: float, now: float
) -> None:
    """Postpone a product for which no file or connection could be opened.

    Other downloads free their descriptors when they finish, so this is worth a retry as long as any of them advances.

    Parameters
    ----------
    moved
        Bytes received so far in the whole run.
    limit
        Seconds without any further bytes after which the product fails.
    now
        Time of the run's clock, in seconds.

    Raises
    ------
    PutOff
        The product is to be tried again. Not raised once `limit` has passed.
    """
    log.debug("%s: %s", product.identifier, error)
    if (left := history.exhausted.left(limit, now, moved)) > 0:
        raise PutOff(min(left, history.exhausted.next_pause()), why="no file can be opened")
