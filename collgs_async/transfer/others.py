"""What a run waits for on this side of the line: another run that has a product, or a descriptor for its files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from collgs_async.transfer.outage import PutOff
from collgs_async.units import format_duration

if TYPE_CHECKING:
    from collgs_async.errors import ExhaustedError
    from collgs_async.models import Product
    from collgs_async.transfer.trip import History

__all__ = ["put_off_until_descriptors_are_free", "put_off_while_elsewhere"]

log = logging.getLogger("collgs_async")

FIRST_PAUSE: Final = 1.0
"""Seconds before it is looked again; each further pause is twice as long."""

LONGEST_PAUSE: Final = 5.0


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
    if history.trace is None:
        log.info("%s: another run is fetching it; waiting as long as that makes progress", product.identifier)
    if trace != history.trace:
        history.trace, history.trace_since = trace, now
    left = history.trace_since + limit - now
    if left > 0:
        raise PutOff(min(left, _next_pause(history)))
    log.warning("%s: the other run has made no progress for %s", product.identifier, format_duration(limit))


def put_off_until_descriptors_are_free(
    product: Product, history: History, error: ExhaustedError, *, limit: float, now: float
) -> None:
    """Put a product off for which no file or connection can be opened, until others have closed theirs.

    Parameters
    ----------
    product, history
        The product, and what is remembered of it.
    error
        What the system said.
    limit
        Seconds for which this may go on.
    now
        By the run's clock, in seconds.

    Raises
    ------
    PutOff
        It is to be tried again; not raised when it has been tried for long enough.
    """
    if history.exhausted_since is None:
        history.exhausted_since = now
    left = history.exhausted_since + limit - now
    log.debug("%s: %s", product.identifier, error)
    if left > 0:
        raise PutOff(min(left, _next_pause(history)))


def _next_pause(history: History) -> float:
    history.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * history.pause))
    return history.pause
