"""What a census may ask, and what it has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collgs_async.mirror.absence import Loss
from collgs_async.mirror.spans import DAY

if TYPE_CHECKING:
    from collgs_async.errors import CatalogueError

__all__ = ["CensusLimits", "CensusReport"]


@dataclass(frozen=True, slots=True)
class CensusLimits:
    """How much is asked in one run.

    Attributes
    ----------
    requests
        Most pages of results that are requested; a listing that is begun may take a few more.
    overlap
        How far back spans are listed in each run, in milliseconds.
    """

    requests: int
    overlap: int = 30 * DAY


@dataclass(slots=True)
class CensusReport:
    """What a census has found.

    Attributes
    ----------
    loss
        What the complete listings should have had and did not have.
    gone
        Names of the products that are taken for gone from now on.
    aged
        The number of products that a rolling mirror has left behind.
    refused
        The loss that is not believed; then nothing was marked as absent where it was found. None: all was believed.
    outside
        How many products the catalogue counts that it lists in no span of time.
    unread
        The number of spans that were never read to their end.
    rest
        The number of those that were read to their end in an earlier run only.
    oldest
        When the span was listed whose listing is oldest, in milliseconds; None while there are unread ones.
    whole
        Whether everything was listed in this run.
    error
        Why the census ended early; None: it did not.
    """

    loss: Loss = field(default_factory=Loss)
    gone: list[str] = field(default_factory=list)
    aged: int = 0
    refused: Loss | None = None
    outside: int = 0
    unread: int = 0
    rest: int = 0
    oldest: int | None = None
    whole: bool = False
    error: CatalogueError | None = None
