"""Count the progress of a run: products, bytes, rate and remaining time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collgs_async.models.product import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.models.product import Outcome, Product

__all__ = ["ProgressCounter", "Speed", "Transfer"]

_WINDOW = 15.0
_STEP = 0.5


class Speed:
    """Bytes per second over the last 15 seconds, or since the first byte when that is less."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._steps: deque[tuple[float, int]] = deque(maxlen=int(_WINDOW / _STEP) + 1)

    def add(self, nbytes: int, now: float) -> None:
        """Add bytes that arrived at `now`, in seconds of any monotonic clock."""
        if self._began is None:
            self._began = now
        if self._steps and now - self._steps[-1][0] < _STEP:
            since, moved = self._steps[-1]
            self._steps[-1] = (since, moved + nbytes)
        else:
            self._steps.append((now, nbytes))

    def rate(self, now: float) -> float:
        """Return bytes per second at `now`; 0 before the first byte and after 15 seconds without one."""
        if self._began is None:
            return 0.0
        moved = sum(nbytes for since, nbytes in self._steps if now - since < _WINDOW)
        # The first block arrives at time zero; over less than a second a rate means nothing.
        return moved / min(_WINDOW, max(1.0, now - self._began))


@dataclass(slots=True)
class Transfer:
    """A product in progress.

    Attributes
    ----------
    identifier
        The product's name.
    have
        Bytes counted, those of earlier runs included.
    size
        Length of the archive in bytes; None while unknown.
    checking
        Whether all bytes are here and are being verified.
    speed
        The rate of its bytes.
    """

    identifier: str
    have: int = 0
    size: int | None = None
    checking: bool = False
    speed: Speed = field(default_factory=Speed)

    @property
    def here(self) -> int:
        """Bytes that are here, at most the size: a byte transferred twice counts once."""
        return self.have if self.size is None else min(self.have, self.size)


class ProgressCounter(ABC):
    """Counts progress events, of products or of archives by name; subclasses display the counts whenever they change.

    Finished products are folded into sums, so that a run of a million products stays small.

    Parameters
    ----------
    clock
        Seconds of any monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = Speed()
        self._settled_bytes = 0
        self._sizes: tuple[int, int] = (0, 0)
        self.expected: int | None = None
        self.settled = 0
        self.failed = 0
        self.moved = 0
        self.waits_for: str | None = None
        self.transfers: dict[str, Transfer] = {}

    @abstractmethod
    def _changed(self) -> None:
        """Display the new counts, or skip the update if it is too early."""

    @abstractmethod
    def close(self) -> None:
        """End the display."""

    def expect(self, products: int) -> None:
        """Set the expected number of products."""
        self.expected = products
        self._changed()

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Count a product whose bytes are about to arrive, or arrive again after a failed attempt."""
        self.begin(product.identifier, have=have, size=size)

    def begin(self, name: str, *, have: int = 0, size: int | None) -> None:
        """Count an archive of which `have` of `size` bytes are here."""
        transfer = self._transfer(name)
        transfer.have, transfer.size, transfer.checking = have, size, False
        self._changed()

    def advanced(self, product: Product, nbytes: int) -> None:
        """Add transferred bytes."""
        self.add(product.identifier, nbytes)

    def add(self, name: str, nbytes: int) -> None:
        """Add bytes of an archive."""
        now = self._clock()
        self.moved += nbytes
        self._speed.add(nbytes, now)
        if transfer := self.transfers.get(name):
            transfer.have += nbytes
            transfer.speed.add(nbytes, now)
        self._changed()

    def checking(self, product: Product) -> None:
        """Mark a product as being verified."""
        self._transfer(product.identifier).checking = True
        self._changed()

    def waiting(self, what: str | None) -> None:
        """Set what the run waits for."""
        self.waits_for = what
        self._changed()

    def finished(self, outcome: Outcome) -> None:
        """Fold a product into the sums; a skipped one adds no bytes."""
        if outcome.status is Status.SKIPPED:
            self.transfers.pop(outcome.product.identifier, None)
        self.end(outcome.product.identifier, failed=outcome.status is Status.FAILED)

    def end(self, name: str, *, failed: bool) -> None:
        """Fold an archive into the sums; one that was not begun adds no bytes."""
        self.settled += 1
        self.failed += failed
        if transfer := self.transfers.pop(name, None):
            if not failed:
                transfer.size = transfer.have = transfer.have if transfer.size is None else transfer.size
            self._settled_bytes += transfer.here
            self._sizes = self._known_sizes(transfer)
        self._changed()

    @property
    def here(self) -> int:
        """Bytes on disk of all products that were not skipped, those of earlier runs included."""
        return self._settled_bytes + sum(transfer.here for transfer in self.transfers.values())

    @property
    def total(self) -> int | None:
        """Estimated bytes in total, with the average for products of unknown size; None without an estimate."""
        running = [transfer.size for transfer in self.transfers.values() if transfer.size is not None]
        known, sized = self._known_sizes(*self.transfers.values())
        if self.expected is None or not sized:
            return None
        unsized = max(0, self.expected - self.settled - len(running))
        return max(self.here, round(self._settled_bytes + sum(running) + unsized * known / sized))

    @property
    def rate(self) -> float:
        """Bytes per second of this run, smoothed."""
        return self._speed.rate(self._clock())

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the last byte; None when nothing is moving, missing or known."""
        total, rate = self.total, self.rate
        return (total - self.here) / rate if total is not None and total > self.here and rate else None

    @property
    def products(self) -> str:
        """The number of products with an outcome, and the total when it is known: ``12/50 products``."""
        promise = "" if self.expected is None else f"/{max(self.expected, self.settled)}"
        return f"{self.settled}{promise} products"

    def _transfer(self, name: str) -> Transfer:
        return self.transfers.setdefault(name, Transfer(name))

    def _known_sizes(self, *transfers: Transfer) -> tuple[int, int]:
        """Return the sum and the number of known sizes, of finished products and of these."""
        sizes = [transfer.size for transfer in transfers if transfer.size is not None]
        return self._sizes[0] + sum(sizes), self._sizes[1] + len(sizes)
