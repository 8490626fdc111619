"""The settings of a mirror: a folder that is kept equal to what a catalogue lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.config import kinds
from collgs_async.config.keep_kinds import COMMAND, LAYOUT
from collgs_async.config.options import Section, setting

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.models.layout import Layout

__all__ = ["KeepOptions"]


@dataclass(frozen=True, init=False, repr=False)
class KeepOptions(Section):
    """How a folder is kept equal to what a catalogue lists, and its history recorded."""

    prefix = "keep."
    group = "keep"

    # fmt: off
    ledger: Path | None = setting("--ledger", "FILE", kinds.FILE, default=None,
        help="the ledger of the archives in the output folder (default: .collgs/ledger.sqlite in that folder)")
    layout: Layout | None = setting("--layout", "FOLDERS", LAYOUT, default=None, group="output",
        help="folders for the archives, such as {collection}/{platform}/{year}/{month}/{tile}; also {day}, {doy}, "
        "{orbit}, {baseline}, {type} and {level}; what is here already stays where it is; flat: none")
    on_archive: str | None = setting("--on-archive", "COMMAND", COMMAND, default=None,
        help="run this for each archive that has come, with its path; JSON on standard input; no shell")
    on_end: str | None = setting("--on-end", "COMMAND", COMMAND, default=None,
        help="run this at the end of the run, with COLLGS_EXIT and a summary as JSON on standard input; no shell")
    stac: bool = setting("--stac", "", kinds.SWITCH, default=False,
        help="write a STAC item beside each archive, with its checksum and origin, and a catalog.json in each folder")
    # fmt: on
