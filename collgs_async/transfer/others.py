"""What a run waits for on this side of the line: another run that has a product, or a descriptor for its files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from collgs_async.models.text import format_duration
from collgs_async.transfer.outage import PutOff

if TYPE_CHECKING:
    from collgs_async.errors import ExhaustedError
    from collgs_async.models.product import Product
    from collgs_async.transfer.job import History

__all__ = ["put_off_until_descriptors_are_free", "put_off_while_elsewhere"]

log = logging.getLogger("collgs_async")


def put_off_while_elsewhere(
    product: Product, history: History, trace: tuple[object, ...], *, limit: float, now: float
) -> None:
    """Put a product off that another run is fetching, as long as that run makes progress.

    What another run is fetching is not here: it may have been killed, and the lease of a process that cannot be seen
    from here (another machine, boot or container) outlives it by two minutes. So it is looked at again now and then.
    When its archive is here by then, it is skipped; when its lease is free or stale, it is fetched. At most as many
    products are in this state as the other runs are fetching at once; the pipeline bounds them in any case.

    Parameters
    ----------
    product, history
        The product, and what is remembered of it.
    trace
        What can be seen of the other run's work: the heartbeat of its lease and the length of its part.
    limit
        Seconds that may go by without a change of the trace.
    now
        By the run's clock, in seconds.

    Raises
    ------
    PutOff
        It is to be looked at again; not raised when the other run has shown no progress for too long.
    """
    if history.elsewhere.since is None:
        log.info("%s: another run is fetching it; waiting as long as that makes progress", product.identifier)
    if (left := history.elsewhere.left(limit, now, trace)) > 0:
        raise PutOff(min(left, history.elsewhere.next_pause()))
    log.warning("%s: the other run has made no progress for %s", product.identifier, format_duration(limit))


def put_off_until_descriptors_are_free(
    product: Product, history: History, error: ExhaustedError, moved: int, *, limit: float, now: float
) -> None:
    """Put a product off for which no file or connection can be opened, until others have closed theirs.

    As long as others are being brought, they will.

    Parameters
    ----------
    product, history
        The product, and what is remembered of it.
    error
        What the system said.
    moved
        How many bytes the run has brought so far, of all products.
    limit
        Seconds for which this may go on without any more bytes.
    now
        By the run's clock, in seconds.

    Raises
    ------
    PutOff
        It is to be tried again; not raised when it has been tried for long enough.
    """
    log.debug("%s: %s", product.identifier, error)
    if (left := history.exhausted.left(limit, now, moved)) > 0:
        raise PutOff(min(left, history.exhausted.next_pause()))
