"""Times of the ledger: milliseconds since 1970-01-01 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, overload

__all__ = ["from_ms", "next_retry", "to_ms"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FIRST_PAUSE: Final = 10 * 60 * 1000
_LONGEST_PAUSE: Final = 7 * 24 * 3600 * 1000
"""Milliseconds between two runs that try a failed product, at least and at most."""


@overload
def to_ms(moment: datetime) -> int: ...


@overload
def to_ms(moment: None) -> None: ...


@overload
def to_ms(moment: datetime | None) -> int | None: ...


def to_ms(moment: datetime | None) -> int | None:
    """Return an aware time as milliseconds; None for None."""
    return None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int | None) -> datetime | None:
    """Return the time in UTC; None for None, and for a number that is no time from the year 1 to 9999."""
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def next_retry(failures: int, now: int) -> int:
    """Return when a product is due again after so many failures in a row: 10 minutes, four times as long each time.

    Parameters
    ----------
    failures
        At least 1, the last one included.
    now
        Milliseconds UTC.
    """
    pause = _FIRST_PAUSE << 2 * min(failures - 1, 20)
    return now + min(_LONGEST_PAUSE, pause)
