"""The settings of a mirror: a folder that is kept equal to what a catalogue lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collgs_async.config import kinds
from collgs_async.config.options import Section, setting

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeepOptions"]


@dataclass(frozen=True, init=False, repr=False)
class KeepOptions(Section):
    """How a folder is kept equal to what a catalogue lists, and its history recorded."""

    prefix = "keep."
    group = "keep"

    # fmt: off
    ledger: Path | None = setting("--ledger", "FILE", kinds.FILE, default=None,
        help="the ledger of the archives in the output folder (default: .collgs/ledger.sqlite in that folder)")
    # fmt: on
