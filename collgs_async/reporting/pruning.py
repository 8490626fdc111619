"""The screen of ``prune``: what is to be removed and why, one line each, and what was removed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from collgs_async.models.text import format_bytes, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["plan_line", "plan_summary", "prune_summary"]


def plan_line(identifier: str, reason: str, policy: str, size: int | None, successor: str | None) -> str:
    """Return the line of one archive.

    Parameters
    ----------
    size
        Bytes; None: unknown, as for members of an archive.
    successor
        Its newest edition; None: it is not superseded.
    """
    newer = f"  newer: {successor}" if successor else ""
    return f"{reason:<10}  {policy:<6}  {'-' if size is None else format_bytes(size):>7}  {identifier}{newer}"


def plan_summary(policies: Iterable[tuple[str, int | None]], later: int, share: float) -> str:
    """Return what will be done, in one line.

    Parameters
    ----------
    policies
        The policy for each archive, and its bytes.
    later
        The number of archives that are left for later runs.
    share
        The most that one run deletes, in percent.
    """
    counts, bytes_of = Counter[str](), Counter[str]()
    for policy, size in policies:
        counts[policy] += 1
        bytes_of[policy] += size or 0
    words = [f"{counts[policy]} to {policy} ({format_bytes(bytes_of[policy])})" for policy in counts]
    rest = f"; {later} more wait for later runs, as one deletes at most {share:g} %" if later else ""
    return f"{', '.join(words) or 'nothing to remove'}{rest}"


def prune_summary(moved: int, deleted: int, freed: int, left: int) -> str:
    """Return what was done, in one line."""
    words = [f"{plural(moved, 'archive')} moved to .collgs/old"] if moved else []
    if deleted:
        words.append(f"{plural(deleted, 'archive')} deleted, {format_bytes(freed)} freed")
    if left:
        words.append(f"{plural(left, 'archive')} left")
    return ", ".join(words) or "nothing removed"
