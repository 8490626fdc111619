"""Where the ledger of an output folder is, its locks, and the outcomes that other runs hand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.config.settings import Config

__all__ = ["OLD", "OWN_FOLDER", "LedgerPaths"]

OWN_FOLDER: Final = ".collgs"
"""The folder, within the output folder, for what is no archive."""

OLD: Final = f"{OWN_FOLDER}/old"
"""The folder, within the output folder, for archives that were moved out of the way."""


@dataclass(frozen=True, slots=True)
class LedgerPaths:
    """The files of one ledger; none of them need exist.

    Attributes
    ----------
    folder
        The output folder, to which the paths in the ledger are relative.
    database
        The SQLite file.
    """

    folder: Path
    database: Path

    @classmethod
    def of(cls, config: Config) -> LedgerPaths:
        """Return those of the output folder of a configuration."""
        folder = config.folder.absolute()
        elsewhere = config.keep.ledger
        return cls(folder, elsewhere.absolute() if elsewhere else folder / OWN_FOLDER / "ledger.sqlite")

    @property
    def writer(self) -> Path:
        """What the only writer of the ledger locks; the lock file is the same with ``.lease``."""
        return self.database.with_suffix("")

    @property
    def sync(self) -> Path:
        """What a run that changes the whole folder locks, such as `sync` and `prune`."""
        return self.folder / OWN_FOLDER / "sync"

    @property
    def spool(self) -> Path:
        """The folder for outcomes of runs that do not write the ledger; where it exists, there is a ledger."""
        return self.folder / OWN_FOLDER / "spool"
