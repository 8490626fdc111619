"""The settings of a mirror: a folder that is kept equal to what a catalogue lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from collgs_async.config import kinds
from collgs_async.config.keep_kinds import COMMAND, LAYOUT, METRICS, POLICY
from collgs_async.config.options import Section, setting

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.models.layout import Layout

__all__ = ["KeepOptions", "Policy"]

Policy: TypeAlias = Literal["keep", "move", "delete"]
"""What is done with archives that are not wanted any more."""


@dataclass(frozen=True, init=False, repr=False)
class KeepOptions(Section):
    """How a folder is kept equal to what a catalogue lists, and its history recorded."""

    prefix = "keep."
    group = "keep"

    # fmt: off
    ledger: Path | None = setting("--ledger", "FILE", kinds.FILE, default=None,
        help="the ledger of the archives in the output folder (default: .collgs/ledger.sqlite in that folder)")
    requests: int = setting("--max-requests", "N", kinds.whole(10), default=500,
        help="pages of results that sync asks the catalogue for in one run, at most; what fits is listed each time")
    overlap: float = setting("--listing-overlap", "TIME", kinds.duration("30d"), default=2_592_000,
        help="how far back sync lists in each run, where not everything fits: seconds, or with m, h or d")
    cycle: float = setting("--listing-cycle", "TIME", kinds.duration("30d", zero=False), default=2_592_000,
        help="say so where the listing of anything is older than this, likewise")
    layout: Layout | None = setting("--layout", "FOLDERS", LAYOUT, default=None, group="output",
        help="folders for the archives, such as {collection}/{platform}/{year}/{month}/{tile}; also {day}, {doy}, "
        "{orbit}, {baseline}, {type} and {level}; what is here already stays where it is; flat: none")
    on_archive: str | None = setting("--on-archive", "COMMAND", COMMAND, default=None,
        help="run this for each archive that has come, with its path; JSON on standard input; no shell")
    on_end: str | None = setting("--on-end", "COMMAND", COMMAND, default=None,
        help="run this at the end of the run, with COLLGS_EXIT and a summary as JSON on standard input; no shell")
    stac: bool = setting("--stac", "", kinds.SWITCH, default=False,
        help="write a STAC item beside each archive, with its checksum and origin, and a catalog.json in each folder")
    metrics: Path | None = setting("--metrics", "FILE", METRICS, default=None,
        help="write the state of the mirror there at the end of sync and retry, for node_exporter: a file FILE.prom")
    superseded: Policy = setting("--superseded", "", POLICY, default="keep",
        help="what prune does with an archive once a newer edition of it is here, and was read and found right")
    withdrawn: Policy = setting("--withdrawn", "", POLICY, default="keep",
        help="what prune does with an archive that the catalogue has not listed for two weeks")
    aged: Policy = setting("--aged", "", POLICY, default="keep",
        help="what prune does with an archive that a rolling time range has left behind")
    keep_last: int = setting("--keep-last", "N", kinds.whole(1, 100), default=1,
        help="how many editions of an acquisition prune keeps")
    max_delete: float = setting("--max-delete", "PERCENT", kinds.PERCENT, default=5,
        help="the most that one run of prune deletes of what is here, in percent; 10 archives at least")
    verify_oldest: float | str | None = setting("--verify-oldest", "SIZE|PERCENT", kinds.SHARE, default=None,
        help="at the end of each sync, verify the archives that were verified longest ago: so many bytes, or 1% of all")
    revalidate: int = setting("--revalidate", "N", kinds.whole(0, 10_000_000), default=0,
        help="in each sync, ask the store whether it has replaced the N archives that it was asked about longest ago, "
        "and fetch what it has replaced; 0: never")
    # fmt: on

    @property
    def policies(self) -> tuple[Policy, Policy, Policy]:
        """What is done with archives that are superseded, withdrawn and aged."""
        return self.superseded, self.withdrawn, self.aged
