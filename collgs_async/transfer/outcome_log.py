"""Log what became of each product: a line for people, and an event with the entry of the report for programs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collgs_async.models.product import ELSEWHERE, EXISTS, Status
from collgs_async.models.text import format_bytes, format_duration, format_rate, plural
from collgs_async.reporting.run_report import product_entry

if TYPE_CHECKING:
    from typing import Final

    from collgs_async.models.product import Outcome, Product

__all__ = ["log_outcome", "log_whole_archive"]

log = logging.getLogger("collgs_async")

_REASONS: Final = {EXISTS: "already here", ELSEWHERE: "not here yet, since another run is fetching it"}


def log_outcome(outcome: Outcome) -> None:
    """Log one outcome: a failure as an error, all others for those who want to know more."""
    level = logging.ERROR if outcome.status is Status.FAILED else logging.DEBUG
    if log.isEnabledFor(level):
        colour = "green" if outcome.status is Status.DOWNLOADED else None
        extra = {"colour": colour, "event": {"event": "product", **product_entry(outcome)}}
        log.log(level, "%s: %s", outcome.product.identifier, _words(outcome), extra=extra)


def log_whole_archive(product: Product, url: str, known: set[str]) -> None:
    """Log that an archive is fetched whole: the first one of each store for all, others in detail only.

    Parameters
    ----------
    known
        The hosts of stores that were found to have no ranges; the one of `url` is added.
    """
    host = urlsplit(url).netloc
    level = logging.DEBUG if host in known else logging.INFO
    known.add(host)
    log.log(level, "%s: the store cannot send parts of it; fetching it whole", product.identifier)


def _words(outcome: Outcome) -> str:
    if outcome.status is Status.FAILED:
        return f"{outcome.error}; it is left out"
    if outcome.status is Status.SKIPPED:
        return _REASONS.get(outcome.reason or "", f"skipped, {outcome.reason}")
    rate = f", {format_rate(outcome.bytes / outcome.seconds)}" if outcome.seconds > 0 else ""
    members = "" if outcome.members is None else f"{plural(outcome.members, 'member')}, "
    return f"downloaded, {members}{format_bytes(outcome.bytes)} in {format_duration(outcome.seconds)}{rate}"
