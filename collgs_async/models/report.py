"""The report of a run: counts of outcomes, and why not everything is here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collgs_async.errors import LimitReachedError
from collgs_async.models.text import format_bytes, format_duration, plural

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from collgs_async.errors import CollgsError
    from collgs_async.models.product import Outcome

__all__ = ["Report"]

_SHOWN: Final = 10
"""Rows of a table in a notebook."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The outcome of a run, which a notebook displays as a table.

    The report of a million products stays small: `outcomes` is read as it is iterated.

    Attributes
    ----------
    downloaded, skipped, failed
        The number of products by status.
    elsewhere
        The number of skipped products that are missing, since another run was still fetching them.
    outcomes
        All outcomes, in order of time; each iteration reads them anew. Unpickled, it is a tuple.
    bytes
        Archive bytes transferred in this run.
    seconds
        Wall time of the run.
    failures
        The failed outcomes, in order of time.
    search_total
        The catalogue's count of results; None when unknown.
    search_pages
        The number of result pages read.
    search_error
        The error that ended the search early; None when it was complete.
    stopped_by
        The error that stopped the run, such as a full disk or a `LimitReachedError`; None when it was not stopped.
    left
        Products of the search that have no outcome, at the most; None when unknown.
    left_out
        The number of excluded products by reason, such as ``older baseline``.
    missing
        Requested identifiers that the catalogue does not list.
    unfinished_bytes
        Those of `bytes` that came for products without an outcome, since the run was stopped; a full disk may not
        have kept them.
    parts
        The number of products of which wanted members are here, and not the whole archive.
    members
        The number of wanted members of those among them that were downloaded.
    """

    downloaded: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failures: tuple[Outcome, ...] = ()
    search_total: int | None = None
    search_pages: int = 0
    search_error: CollgsError | None = None
    stopped_by: CollgsError | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    elsewhere: int = 0
    unfinished_bytes: int = 0
    parts: int = 0
    members: int = 0
    left: int | None = None
    outcomes: Collection[Outcome] = field(default=(), compare=False)

    @property
    def found(self) -> int:
        """The number of products with an outcome."""
        return self.downloaded + self.skipped + self.failed

    @property
    def ok(self) -> bool:
        """Whether the search was complete and every product found is here."""
        broken = self.search_error is not None or self.stopped_by is not None
        return not (self.failed or self.missing or self.elsewhere or broken)

    @property
    def limit(self) -> LimitReachedError | None:
        """The limit of the settings that stopped the run; None if none did."""
        return self.stopped_by if isinstance(self.stopped_by, LimitReachedError) else None

    @property
    def _facts(self) -> dict[str, object]:
        return {
            "downloaded": self.downloaded,
            "skipped": self.skipped,
            "failed": self.failed,
            "members": self.members or None,
            "moved": f"{format_bytes(self.bytes)} in {format_duration(self.seconds)}",
            "elsewhere": self.elsewhere or None,
            "not in the catalogue": ", ".join(self.missing[:_SHOWN]) + ("…" if len(self.missing) > _SHOWN else ""),
            "left out": ", ".join(f"{count} {reason}" for reason, count in self.left_out.items()),
            "search error": self.search_error,
            "stopped by": self.stopped_by,
        }

    def __repr__(self) -> str:
        counts = f"downloaded={self.downloaded}, skipped={self.skipped}, failed={self.failed}"
        return f"Report({counts}, bytes={self.bytes}, seconds={self.seconds:.1f}, ok={self.ok})"

    def _repr_html_(self) -> str:
        """Return tables for notebooks: the counts, and what failed."""
        from collgs_async.models.tables import facts_table, rows_table

        title = plural(self.found, "product")
        summary = facts_table(title if self.ok else f"{title}; not everything is here", self._facts)
        if not self.failures:
            return summary
        rows = [(one.product.identifier, one.error) for one in self.failures[:_SHOWN]]
        return summary + rows_table(("failed", "why"), rows, more=len(self.failures) - _SHOWN)
