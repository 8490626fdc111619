"""Postpone products for local reasons: another run holds the lock, or no file descriptor is left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from collgs_async.models.text import format_duration
from collgs_async.transfer.outage import PutOff

if TYPE_CHECKING:
    from collgs_async.errors import ExhaustedError
    from collgs_async.models.product import Product
    from collgs_async.transfer.history import History

__all__ = ["put_off_until_descriptors_are_free", "put_off_while_elsewhere"]

log = logging.getLogger("collgs_async")


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
        raise PutOff(min(left, history.elsewhere.next_pause()))
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
        raise PutOff(min(left, history.exhausted.next_pause()))
