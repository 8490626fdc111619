"""What an audit of archives says: progress, and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from collgs_async.models.text import format_bytes, format_duration, plural

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.errors import ProductError

__all__ = ["AuditProgress", "DamagedArchive", "FolderAudit"]


@dataclass(frozen=True, slots=True)
class DamagedArchive:
    """An archive, or a tree of members, that failed verification.

    Attributes
    ----------
    path
        Path of the archive or of the top folder of the tree.
    problem
        The error.
    damaged
        Byte ranges ``(first, one past the last)`` of the archive to be downloaded again: those of damaged members, and
        of the directory if the manifest was compared; empty if the damage is not limited to members.
    members
        Names of the damaged members; empty if the damage is not limited to members.
    is_tree
        Whether it is a tree.
    """

    path: Path
    problem: ProductError
    damaged: tuple[tuple[int, int], ...]
    members: tuple[str, ...] = ()
    is_tree: bool = False


@dataclass(frozen=True, slots=True)
class FolderAudit:
    """Result of verifying a folder.

    Attributes
    ----------
    checked
        Number of archives read.
    bytes
        Their total length.
    seconds
        Duration.
    bad
        The archives that failed, sorted by path.
    unchecked
        Number of members of the other archives that could not be checked.
    unnamed
        Number of other archives whose members do not identify a product, so that the file name was trusted.
    trees
        Number of trees of members, which are counted with the archives.
    compared, unlisted
        Number of members of the other archives that are as their manifests state, and that no manifest lists; None:
        nothing was compared with manifests.
    without_manifest
        Number of other archives that have no manifest.
    left
        Number of archives that were not read, since the time for it was over.
    """

    checked: int
    bytes: int
    seconds: float
    bad: tuple[DamagedArchive, ...]
    unchecked: int = 0
    unnamed: int = 0
    trees: int = 0
    compared: int | None = None
    unlisted: int | None = None
    without_manifest: int = 0
    left: int = 0

    @property
    def ok(self) -> bool:
        """Whether no archive failed."""
        return not self.bad

    def __str__(self) -> str:
        """Describe the result in one line."""
        if not self.checked and not self.left:
            return "no archives there"
        verdict = f"{len(self.bad)} of them bad" if self.bad else "all of them right"
        if self.unchecked or self.without_manifest:
            verdict = f"{len(self.bad) or 'none'} of them bad"
        if self.unchecked:
            verdict += f"; {plural(self.unchecked, 'member')} could not be checked"
        if self.unnamed:
            verdict += f"; {self.unnamed} {'does' if self.unnamed == 1 else 'do'} not say of which product"
        if self.trees:
            verdict += f"; {self.trees} {'is a part of an archive' if self.trees == 1 else 'are parts of archives'}"
        if self.compared is not None:
            verdict += f"; {plural(self.compared, 'member')} as the manifests state"
            verdict += f", {self.unlisted} not listed there" if self.unlisted else ""
        if self.without_manifest:
            verdict += f"; {self.without_manifest} without a manifest"
        if self.left:
            verdict += f"; {self.left} left for another time"
        return f"{self.checked} checked ({format_bytes(self.bytes)} in {format_duration(self.seconds)}), {verdict}"


class AuditProgress(Protocol):
    """Receives the progress of an audit; every method returns at once and never raises."""

    def open(self) -> None:
        """Begin the display."""

    def expect(self, products: int) -> None:
        """Set the number of archives."""

    def begin(self, name: str, *, size: int | None) -> None:
        """Report that an archive is about to be read; `size` is None if it is not accessible."""

    def add(self, name: str, nbytes: int) -> None:
        """Add bytes of an archive that were read and are right."""

    def end(self, name: str, *, failed: bool) -> None:
        """Report that an archive was verified."""

    def close(self) -> None:
        """End the display."""
