"""A ledger that another process writes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.storage.lock import LockOwner

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.ledger.paths import LedgerPaths

__all__ = ["lock_file", "writes_elsewhere"]


def lock_file(paths: LedgerPaths) -> Path:
    """Return the lock file of the writer."""
    return paths.writer.with_name(f"{paths.writer.name}.lease")


def writes_elsewhere(paths: LedgerPaths) -> None:
    """Make a lock file as a writer on another computer does, whose last heartbeat was just now."""
    lock_file(paths).write_bytes(replace(LockOwner.here(), host="elsewhere").text())
