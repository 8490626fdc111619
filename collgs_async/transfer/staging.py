"""Postpone archives that the store restores from tape.

The store responds with 202 for minutes or hours. The archive is requested again at intervals, while other products are
downloaded.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final, NoReturn

from collgs_async.errors import TransferError
from collgs_async.models.text import format_duration
from collgs_async.transfer.outage import PutOff

if TYPE_CHECKING:
    from collgs_async.transfer.job import DownloadJob
    from collgs_async.transfer.store_errors import StagingError

__all__ = ["put_off_until_staged"]

log = logging.getLogger("collgs_async")

SHORTEST_PAUSE: Final = 1.0
"""Minimum seconds between two requests, whatever Retry-After says."""


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
    raise PutOff(min(left, pause + random.uniform(0, pause / 10)))
