"""Archives on tape: the store says 202 for minutes or hours; they are asked for again, and hold nothing up."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final, NoReturn

from collgs_async.errors import TransferError
from collgs_async.models.text import format_duration
from collgs_async.transfer.outage import PutOff

if TYPE_CHECKING:
    from collgs_async.transfer.fetch import StagingError
    from collgs_async.transfer.job import DownloadJob

__all__ = ["put_off_until_staged"]

log = logging.getLogger("collgs_async")

SHORTEST_PAUSE: Final = 1.0
"""Seconds between two questions at the least, whatever the store says."""


def put_off_until_staged(job: DownloadJob, error: StagingError, *, limit: float, now: float) -> NoReturn:
    """Put a product off that is on its way from tape; this costs none of its tries.

    Parameters
    ----------
    trip
        The product; it remembers since when the store says so.
    error
        What the store said, perhaps with the seconds that it asks to wait.
    limit
        Seconds for which this may go on.
    now
        By the run's clock, in seconds.

    Raises
    ------
    PutOff
        It is to be asked for again.
    TransferError
        It was waited for long enough, or the store asks for more.
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
    # A little apart, so that those that were asked for together do not come together again and again.
    raise PutOff(min(left, pause + random.uniform(0, pause / 10)))
