"""Decide what it means that a catalogue does not list a product any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MIN_ABSENCE", "Loss", "lost_too_much"]

MIN_ABSENCE: Final = 23 * 3_600_000
"""Milliseconds between the first complete listing without a product and the one that takes it for gone: a day, less an
hour, since daily runs do not begin at the same minute."""

_FEW: Final = 20
_SHARE: Final = 10
"""More than one in so many, and at least so few, are too many to have gone by themselves."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Products that a listing should have had and did not.

    Attributes
    ----------
    had
        How many products it should have had.
    absent
        How many of them it did not have.
    replaced
        How many of these have another edition that is listed.
    """

    had: int = 0
    absent: int = 0
    replaced: int = 0

    def __add__(self, other: Loss) -> Loss:
        return Loss(self.had + other.had, self.absent + other.absent, self.replaced + other.replaced)

    @property
    def lost(self) -> int:
        """How many are absent without a successor."""
        return self.absent - self.replaced


def lost_too_much(loss: Loss, *, everything: bool) -> bool:
    """Whether a catalogue more likely has a fault than has withdrawn so many products.

    Parameters
    ----------
    everything
        Whether the listing should have had all products of the watch; then one that has none is not believed, however
        few there were. A short span may well lose all of its few products.
    """
    is_empty = everything and loss.absent == loss.had > 0
    return is_empty or (loss.lost >= _FEW and loss.lost * _SHARE > loss.had)
