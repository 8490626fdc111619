"""The summary at the end of a run: amounts, failures and their reasons, and what to do about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, NotAvailableError, ProductError, StorageError
from collgs_async.http.messages import printable
from collgs_async.models.shard import OTHER_SHARD
from collgs_async.models.store_url import StoreUrl
from collgs_async.models.text import format_bytes, format_duration, format_rate, plural
from collgs_async.reporting.run_report import bare_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collgs_async.errors import CollgsError
    from collgs_async.models.product import Outcome
    from collgs_async.models.report import Report

__all__ = ["excluded_line", "missing_lines", "summary_lines"]

_MAX_FAILURE_LINES = 10

_ZEROS: Final = (
    "GDAL reads a band that was not fetched as zeros: open the files of the bands, or, by MTD_MSI*.xml or "
    "manifest.safe, only bands that are here."
)


def summary_lines(report: Report, place: Path | StoreUrl, *, interrupted: bool = False) -> list[str]:
    """Summarise a run: amounts, rate, failures and their reasons, and what to do about them.

    Parameters
    ----------
    place
        The folder of the archives, or the object store.
    interrupted
        Whether the user or the system stopped the run before its end.
    """
    what = "files are in folders IDENTIFIER.parts" if report.members else "archives are"
    return [
        _headline(report, interrupted=interrupted),
        *_limit_lines(report),
        *([f"The {what} in {_format_place(place)}."] if report.downloaded else []),
        *([_search_line(report, report.search_error)] if report.search_error and report.found else []),
        *_failure_lines(report.failures),
        *missing_lines(report.missing),
        *_advice(report, place, interrupted=interrupted),
        *([excluded_line(report.left_out)] if report.left_out else []),
        *([_ZEROS] if report.members else []),
    ]


def _limit_lines(report: Report) -> list[str]:
    """Return the limit at which the run stopped, and what is left."""
    if report.limit is None:
        return []
    left = "an unknown number of products is left" if report.left is None else f"{plural(report.left, 'product')} left"
    return [f"Stopped at a limit: {_one_line(report.limit)}; {left}."]


def excluded_line(left_out: Mapping[str, int]) -> str:
    """Return the number of excluded products, by reason, the most frequent first."""
    ranked = sorted(left_out.items(), key=lambda reason: (-reason[1], reason[0]))
    reasons = ", ".join(f"{count} {reason}" for reason, count in ranked)
    return f"Left out: {sum(left_out.values())} ({reasons})."


def missing_lines(missing: Sequence[str], collection: str | None = None) -> list[str]:
    """List the identifiers that the catalogue does not list, in a collection that the user may not have named."""
    if not missing:
        return []
    hidden = len(missing) - _MAX_FAILURE_LINES
    place = f"collection {collection} of the catalogue" if collection else "the catalogue"
    return [
        f"Not found in {place}, of what was asked for by identifier: {len(missing)}",
        *(f"  {printable(name)}" for name in missing[:_MAX_FAILURE_LINES]),
        *([f"  and {hidden} more"] if hidden > 0 else []),
    ]


def _format_place(place: Path | StoreUrl) -> str:
    return "this folder" if place == Path() else str(place)


def _headline(report: Report, *, interrupted: bool) -> str:
    if report.found:
        return ("Interrupted: " if interrupted else "") + ", ".join(
            _tallies(report, interrupted=interrupted or report.stopped_by is not None)
        )
    moved = f" ({_amount(report)} for unfinished archives)" if report.bytes else ""
    if interrupted:
        return f"Interrupted before any product was done{moved}."
    if report.search_error or report.stopped_by:
        return f"Nothing was downloaded to its end{moved}." if moved else "Nothing was downloaded."
    if {*report.left_out} == {OTHER_SHARD}:
        return "All that was found is of other shards."
    if report.left_out:
        return "Nothing of what was found is wanted."
    if report.missing:
        return "Nothing was found."
    if not report.search_pages:
        return "The plan names no products."
    return "Nothing matches. Try a larger box, a longer time span or more clouds, and check the collection's name."


def _tallies(report: Report, *, interrupted: bool) -> Iterator[str]:
    if report.downloaded:
        unfinished = report.unfinished_bytes
        rest = f", {format_bytes(unfinished)} of it for unfinished archives" if unfinished else ""
        members = f"{plural(report.members, 'member')}, " if report.members else ""
        yield f"{report.downloaded} downloaded ({members}{_amount(report)}{rest})"
    if here := report.skipped - report.elsewhere:
        yield f"{here} already here"
    if report.elsewhere:
        yield f"{report.elsewhere} not here yet, since another run is fetching {_them(report.elsewhere)}"
    if report.failed:
        yield f"{report.failed} failed"
    if report.bytes and not report.downloaded and (interrupted or report.stopped_by):
        yield f"{_amount(report)} for unfinished archives"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _amount(report: Report) -> str:
    amount = f"{format_bytes(report.bytes)} in {format_duration(report.seconds)}"
    return amount if report.seconds <= 0 else f"{amount}, {format_rate(report.bytes / report.seconds)}"


def _search_line(report: Report, error: CollgsError) -> str:
    if report.search_total is None:
        return f"The search ended early: {_one_line(error)}"
    return f"The search ended early, at {report.found} of {plural(report.search_total, 'product')}: {_one_line(error)}"


def _failure_lines(failures: Iterable[Outcome]) -> list[str]:
    """List each reason once, the most frequent first, with the number of products or the name of the only one."""
    reasons: dict[str, list[str]] = {}
    for failure in failures:
        reasons.setdefault(_one_line(failure.error), []).append(printable(failure.product.identifier))
    ranked = sorted(reasons.items(), key=lambda reason: -len(reason[1]))
    lines = ["Failed:"] if ranked else []
    lines += [_failure_line(reason, names) for reason, names in ranked[:_MAX_FAILURE_LINES]]
    hidden = sum(len(names) for _, names in ranked[_MAX_FAILURE_LINES:])
    if hidden:
        lines.append(f"  and {hidden} more")
    if hidden or any(len(names) > 1 for names in reasons.values()):
        lines.append("  --report FILE names every one of them.")
    return lines


def _failure_line(reason: str, names: list[str]) -> str:
    first, *others = names
    return f"  {first}: {reason}" if not others else f"  {first} and {len(others)} more: {reason}"


def _advice(report: Report, place: Path | StoreUrl, *, interrupted: bool) -> Iterator[str]:
    errors = [failure.error for failure in report.failures]
    advice = [error.advice for error in errors if isinstance(error, ProductError) and error.advice]
    final = sum(isinstance(error, NotAvailableError) and not error.advice for error in errors)
    if isinstance(report.stopped_by, AuthenticationError):
        return
    if isinstance(report.stopped_by, StorageError) and isinstance(place, StoreUrl):
        yield "Mend the store or the spool, then run the same command again: what is in either of them is kept."
    elif isinstance(report.stopped_by, StorageError):
        yield "Make room or mend the folder, then run the same command again: what is in the folder is kept."
    elif interrupted or report.limit or _may_go_on(report) or report.elsewhere or final + len(advice) < report.failed:
        yield "Run the same command again: what is here is kept, unfinished files go on where they stopped."
    elif final:
        yield "The store does not hand these out; running the same command again soon will not help."
    yield from dict.fromkeys(advice)


def _may_go_on(report: Report) -> bool:
    """Whether a search that ended early may get further the next time; one that was refused at its start will not."""
    error = report.search_error
    return error is not None and bool(report.found or getattr(error, "retryable", True))


def _one_line(error: CollgsError | None) -> str:
    if error is None:
        return "no reason given"
    return " ".join(printable(bare_message(error)).split()) or type(error).__name__
