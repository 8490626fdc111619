"""The words of ``sync`` and ``retry``: what the catalogue has changed, what was done, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.http.messages import printable
from collgs_async.models.text import plural
from collgs_async.reporting.summary import summary_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from collgs_async.models.report import Report

__all__ = ["SyncFacts", "done_lines", "found_lines", "left_lines", "revalidated_lines", "trouble_lines"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SyncFacts:
    """What a run has found, besides its downloads.

    Attributes
    ----------
    new, unwanted, others
        The number of products that were listed first, of those among them that are not wanted, and of those among these
        that are of other shards.
    aged, absent
        The number of products that a rolling mirror has left behind, and that are absent for
        the first time.
    returned, gone, twins
        Names of products that are listed again, that are taken for gone, and that are listed for two archives.
    missing, removed
        The number of archives that the ledger has and that are not here: wanted again, and left out from now on.
    lost, had
        How many products the catalogue lists no more, of how many, where that is not believed; 0: it is.
    files_lost, files_had
        The same of archives in the folder.
    requests
        Pages of results.
    is_broken
        Whether the search ended early.
    unread
        Spans of time that were never listed to their end.
    rest, rest_since
        Spans of time that were listed to their end in an earlier run only, and when the oldest such listing was.
    outside
        Products that the catalogue counts and lists in no span of time.
    oldest
        When the span was listed whose listing is oldest, if that is longer ago than it should be; None: it is not.
    damaged
        Archives that are damaged, or were missing at a scheduled check.
    asked, unknown
        Archives of which the store was asked whether it has replaced them, and of those of which it did not tell.
    changed, replaced, same, unreplaced
        Archives that the store has replaced, of those that are here in the newer version now, of those with the same
        bytes, and of those that could not be fetched.
    left, waiting, final
        Products that are wanted and not here: not tried yet, waiting for another try, and tried again by ``retry``.
    due
        When the next one is tried again.
    """

    new: int = 0
    unwanted: int = 0
    others: int = 0
    aged: int = 0
    absent: int = 0
    returned: Sequence[str] = ()
    gone: Sequence[str] = ()
    twins: Sequence[str] = ()
    missing: int = 0
    removed: int = 0
    lost: int = 0
    had: int = 0
    files_lost: int = 0
    files_had: int = 0
    requests: int = 0
    is_broken: bool = False
    unread: int = 0
    rest: int = 0
    rest_since: datetime | None = None
    outside: int = 0
    oldest: datetime | None = None
    damaged: int = 0
    asked: int = 0
    unknown: int = 0
    changed: int = 0
    replaced: int = 0
    same: int = 0
    unreplaced: int = 0
    left: int = 0
    waiting: int = 0
    final: int = 0
    due: datetime | None = None


def found_lines(facts: SyncFacts) -> list[str]:
    """Return what the census has found."""
    tallies = ", ".join(
        f"{count} {words}"
        for count, words in (
            (facts.new, f"new{_unwanted(facts)}"),
            (len(facts.returned), "listed again"),
            (facts.absent, "absent"),
            (len(facts.gone), "gone"),
            (facts.aged, "too old by now"),
        )
        if count
    )
    quiet = "not listed to its end" if facts.is_broken else "nothing new"
    found = f"{tallies}, and {quiet}" if tallies and facts.is_broken else tallies or quiet
    lines = [f"The catalogue: {found} ({plural(facts.requests, 'request')})."]
    lines += _names("Listed again", facts.returned)
    lines += _names("Gone, as two listings without it have shown" if len(facts.gone) == 1 else "Gone", facts.gone)
    if facts.missing:
        has, are = ("has", "it is") if facts.missing == 1 else ("have", "they are")
        not_here = f"{plural(facts.missing, 'archive')} not here any more, or {has} another length"
        lines.append(f"{not_here}: {are} wanted again.")
    if facts.removed:
        lines.append(f"{plural(facts.removed, 'archive')} not here any more: left out from now on, unless downloaded.")
    return lines


def revalidated_lines(facts: SyncFacts) -> list[str]:
    """Return what the store has told of archives that are here; no line where it was not asked."""
    if not facts.asked and not facts.changed:
        return []
    asked = f"{plural(facts.asked, 'archive')} asked about"
    if facts.unknown:
        asked += f", {facts.unknown} of them in vain (a login page, an error)"
    if not facts.changed:
        none = "none was replaced there" if facts.unknown < facts.asked else "so it has told nothing"
        return [f"The store: {asked}, {none}."]
    same = f", {facts.same} of the same bytes" if facts.same else ""
    there = f"{asked}, {facts.changed} replaced there{same}"
    return [f"The store: {there}; {facts.replaced} fetched and replaced here."]


def _unwanted(facts: SyncFacts) -> str:
    others = f" ({facts.others} of other shards)" if facts.others else ""
    return f", {facts.unwanted} of them not wanted{others}" if facts.unwanted else ""


def done_lines(report: Report | None, folder: Path, *, interrupted: bool = False) -> list[str]:
    """Return what was downloaded; no line where nothing was to be."""
    if report is None:
        return []
    if not (report.found or report.bytes or report.stopped_by or report.search_error or interrupted):
        return ["Nothing to download."]
    return summary_lines(report, folder, interrupted=interrupted)


def trouble_lines(facts: SyncFacts) -> list[str]:
    """Return why not everything is right: each is a reason for exit code 1."""
    return list(_troubles(facts))


def _troubles(facts: SyncFacts) -> Iterator[str]:
    if facts.lost:
        yield (
            f"The catalogue lists {facts.lost} of {plural(facts.had, 'product')} no more. That is more than goes by "
            "itself, so nothing is marked as gone; if it is right, run sync --believe once."
        )
    if facts.files_lost:
        yield (
            f"{facts.files_lost} of {plural(facts.files_had, 'archive')} of the ledger are not in the folder. If no "
            "disk is missing, run it once more with --believe."
        )
    if facts.twins:
        yield from _names("Listed for two archives, of which only the first can be here", facts.twins)
    if facts.outside:
        yield (
            f"The catalogue counts {plural(facts.outside, 'product')} that it lists at no time; a larger "
            "--max-requests lists everything at once."
        )
    if facts.damaged:
        yield f"{plural(facts.damaged, 'archive')} damaged or missing: the next sync fetches again what is wrong."
    if facts.unreplaced:
        were, stay = ("was", "it stays") if facts.unreplaced == 1 else ("were", "they stay")
        yield (
            f"{plural(facts.unreplaced, 'archive')} {were} replaced at the store and could not be replaced here: "
            f"{stay} as before, and the next sync tries again."
        )
    if facts.waiting:
        when = f", the next one from {facts.due:%Y-%m-%d %H:%M} UTC on" if facts.due else ""
        yield f"{plural(facts.waiting, 'product')} failed, to be tried again{when}; collgs-async retry does so now."
    if facts.final:
        yield f"{plural(facts.final, 'product')} failed for good; collgs-async retry tries again all the same."


def left_lines(facts: SyncFacts, requests: int, *, is_limited: bool = False) -> list[str]:
    """Return what the next runs have to do.

    Parameters
    ----------
    requests
        The most requests of a run.
    is_limited
        Whether the downloads have stopped at a limit, and so told what is left.
    """
    lines = []
    if facts.unread and not facts.is_broken:
        spans = "span of time was" if facts.unread == 1 else "spans of time were"
        lines.append(
            f"Stopped at a limit: {plural(requests, 'request')} a run (--max-requests); {facts.unread} {spans} not "
            "listed yet, and the next run goes on."
        )
    elif facts.oldest is not None and not facts.unread:
        lines.append(
            f"Part of the catalogue was listed last on {facts.oldest:%Y-%m-%d}, longer ago than --listing-cycle; run "
            "sync more often, or with a larger --max-requests."
        )
    elif facts.rest_since is not None and facts.rest and not facts.is_broken:
        spans = "span of time was" if facts.rest == 1 else "spans of time were"
        lines.append(
            f"{facts.rest} {spans} not listed in this run (--max-requests), but since {facts.rest_since:%Y-%m-%d}; all "
            "are listed in turn."
        )
    if left := facts.changed - facts.replaced - facts.same - facts.unreplaced:
        lines.append(f"{plural(left, 'archive')} replaced at the store, still to be fetched by the next sync.")
    if facts.left and not is_limited:
        lines.append(f"{plural(facts.left, 'wanted product')} not here yet.")
    return lines


def _names(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    hidden = len(names) - _SHOWN
    more = [f"  and {hidden} more"] if hidden > 0 else []
    return [f"{title}:", *(f"  {printable(name)}" for name in names[:_SHOWN]), *more]
