"""What a run of ``sync`` or ``retry`` has found and done, and the exit code that follows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from collgs_async.ledger.times import from_ms
from collgs_async.mirror.census_report import CensusReport
from collgs_async.mirror.disk_check import DiskCheck
from collgs_async.mirror.revalidate import Revalidation
from collgs_async.models.report import Report
from collgs_async.reporting.run_report import bare_message
from collgs_async.reporting.sync_summary import SyncFacts

if TYPE_CHECKING:
    from datetime import datetime

    from collgs_async.errors import CollgsError
    from collgs_async.mirror.scheduled_check import CheckResult

__all__ = ["Left", "SyncResult"]


@dataclass(frozen=True, slots=True)
class Left:
    """Listed and wanted products that are not here at the end of a run.

    Attributes
    ----------
    wanted
        Those that were not tried, or not to an end.
    waiting
        Those that failed, and are tried again.
    final
        Those that failed, and are tried again by ``retry`` only.
    due
        When the next one is tried again, in milliseconds; None: none is.
    """

    wanted: int = 0
    waiting: int = 0
    final: int = 0
    due: int | None = None


@dataclass(slots=True)
class SyncResult:
    """The result of a run.

    Attributes
    ----------
    watch
        The name of what was asked.
    requests
        Pages of results that the census took.
    new, unwanted, others
        The number of products that were not known, of those among them that are not wanted, and of those among these
        that are of other shards.
    returned
        Names of those that had gone and are listed again.
    twins
        Names that the catalogue lists for two archives.
    disk
        How the folder compares with the ledger.
    report
        The downloads; None: none were begun.
    repaired, unrepaired
        The number of archives that a check had found damaged, and that are right now, or are not.
    revalidation
        What the store has told of archives that are here.
    check
        The scheduled check; None: there was none.
    error
        What ended the run; None: nothing did.
    """

    watch: str = ""
    requests: int = 0
    new: int = 0
    unwanted: int = 0
    others: int = 0
    returned: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    census: CensusReport = field(default_factory=CensusReport)
    disk: DiskCheck = field(default_factory=DiskCheck)
    report: Report | None = None
    left: Left = field(default_factory=Left)
    repaired: int = 0
    unrepaired: int = 0
    revalidation: Revalidation = field(default_factory=Revalidation)
    check: CheckResult | None = None
    error: CollgsError | None = None

    def facts(self, *, now: datetime, cycle: float) -> SyncFacts:
        """Return it as the summary tells it.

        Parameters
        ----------
        cycle
            How old the listing of any part may be, in seconds.
        """
        census, disk, changes = self.census, self.disk, self.revalidation
        oldest = from_ms(census.oldest)
        return SyncFacts(
            new=self.new,
            unwanted=self.unwanted,
            others=self.others,
            aged=census.aged,
            absent=0 if census.refused else census.loss.absent - len(census.gone),
            returned=self.returned,
            gone=census.gone,
            twins=self.twins,
            missing=disk.wanted,
            removed=disk.removed,
            lost=census.refused.absent if census.refused else 0,
            had=census.refused.had if census.refused else 0,
            files_lost=disk.loss.absent if disk.is_refused else 0,
            files_had=disk.loss.had,
            requests=self.requests,
            is_broken=census.error is not None,
            unread=census.unread,
            rest=census.rest,
            rest_since=oldest,
            outside=census.outside,
            oldest=oldest if oldest is not None and (now - oldest).total_seconds() > cycle else None,
            damaged=self.damaged,
            asked=changes.asked,
            unknown=changes.unknown,
            changed=changes.changed,
            replaced=changes.replaced,
            same=changes.same,
            unreplaced=changes.failed,
            left=self.left.wanted,
            waiting=self.left.waiting,
            final=self.left.final,
            due=from_ms(self.left.due),
        )

    @property
    def damaged(self) -> int:
        """The number of archives that are known to be damaged or missing now."""
        found = len(self.check.audit.bad) + self.check.missing if self.check else 0
        return self.unrepaired + found

    @property
    def code(self) -> int:
        """The exit code: 0 all that is wanted is here, 1 something failed, 3 only a limit was reached."""
        report, census = self.report or Report(), self.census
        failed = not replace(report, stopped_by=None if report.limit else report.stopped_by).ok
        doubtful = census.error is not None or census.refused is not None or self.disk.is_refused
        left = self.left.waiting or self.left.final
        changes = self.revalidation
        failed = failed or not changes.ok
        if self.error or failed or doubtful or self.damaged or self.twins or census.outside or left:
            return 1
        if report.limit is not None or census.unread or changes.left:
            return 3
        return 1 if self.left.wanted else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values: for the ledger, ``--on-end`` and the report of a dry run."""
        report, census = self.report or Report(), self.census
        error = self.error or census.error or report.stopped_by
        oldest, due = from_ms(census.oldest), from_ms(self.left.due)
        changes = self.revalidation
        return {
            "watch": self.watch,
            "downloaded": report.downloaded,
            "failed": report.failed,
            "bytes": report.bytes,
            "seconds": round(report.seconds, 3),
            "new": self.new,
            "new_unwanted": self.unwanted,
            "new_of_other_shards": self.others,
            "returned": len(self.returned),
            "absent": census.loss.absent,
            "gone": len(census.gone),
            "aged": census.aged,
            "missing": self.disk.wanted,
            "removed": self.disk.removed,
            "not_believed": census.refused is not None or self.disk.is_refused,
            "left": self.left.wanted,
            "waiting": self.left.waiting,
            "final": self.left.final,
            "due": due and due.isoformat(),
            "repaired": self.repaired,
            "asked": changes.asked,
            "not_told": changes.unknown,
            "changed": changes.changed,
            "replaced": changes.replaced,
            "not_replaced": changes.failed + changes.left,
            "checked": self.check.audit.checked if self.check else 0,
            "damaged": self.damaged,
            "requests": self.requests,
            "unread_spans": census.unread,
            "unlisted_spans": census.rest,
            "oldest_listing": oldest and oldest.isoformat(),
            "error": error and bare_message(error),
        }
