"""Faults of the embedded store, and the version that it has in the end."""

from __future__ import annotations

from collgs_async.demo.faults import FAULTS

ARCHIVE_FAULTS = sorted(name for name in FAULTS if not name.startswith("catalogue-"))


RECOVERABLE = [name for name in ARCHIVE_FAULTS if FAULTS[name].recoverable]


def served_version(name: str) -> tuple[int, int]:
    """Version and edition of the archive that the store has in the end."""
    return int(name.startswith("replaced")), int(name == "rezipped")
