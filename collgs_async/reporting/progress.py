"""Count the progress of a run: products, bytes, rate and remaining time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collgs_async.models.product import Status
from collgs_async.models.text import format_bytes, format_share, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.models.product import Outcome, Product

__all__ = ["ProgressCounter", "Speed", "Transfer"]

_WINDOW = 15.0
_STEP = 0.5
_TICK = 0.25
_LONGEST_GAP = 3.0
"""Seconds without a tick after which the process must have been stopped, as by Ctrl-Z."""


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
    why
        What it waits for; None while it does not wait.
    until
        When the wait ends, by the counter's clock; None when unknown.
    speed
        The rate of its bytes.
    """

    identifier: str
    have: int = 0
    size: int | None = None
    checking: bool = False
    why: str | None = None
    until: float | None = None
    speed: Speed = field(default_factory=Speed)

    @property
    def here(self) -> int:
        """Bytes that are here, at most the size: a byte transferred twice counts once."""
        return self.have if self.size is None else min(self.have, self.size)

    def go_on(self, *, checking: bool = False) -> None:
        """Record that it waits no longer."""
        self.checking, self.why, self.until = checking, None, None

    def wait(self, why: str, until: float | None) -> None:
        """Record what it waits for, and until when."""
        self.checking, self.why, self.until = False, why, until


class ProgressCounter(ABC):
    """Counts progress events, of products or of archives by name; subclasses display the counts whenever they change.

    Finished products are folded into sums, so that a run of a million products stays small. While an event loop runs,
    the display is also updated when nothing happens, so that a stalled rate falls to 0. Time in which the process is
    stopped, as by Ctrl-Z, counts neither in rates nor in estimates.

    Parameters
    ----------
    clock
        Seconds of any monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._reset()

    def _reset(self) -> None:
        self._began = self._seen_at = self._clock()
        self._stopped = 0.0
        self._is_closed = False
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
    def _show(self) -> None:
        """Display the counts, or skip the update if it is too early."""

    @abstractmethod
    def _end(self) -> None:
        """End the display."""

    def open(self) -> None:
        """Begin the display of a run, with all counts at zero."""
        self.close()
        self._reset()

    def close(self) -> None:
        """End the display; further events are counted, but not displayed."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._is_closed:
            self._is_closed = True
            self._end()

    def _changed(self) -> None:
        if self._is_closed:
            return
        if self._timer is None:
            self._tick_later()
        self._show()

    def _tick_later(self) -> None:
        with contextlib.suppress(RuntimeError):  # without a loop, only events update the display
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
            self._seen_at = self._clock()

    def _tick(self) -> None:
        self._now()
        self._tick_later()
        self._show()

    def _now(self) -> float:
        """Return the time without that in which the process was stopped.

        There is a tick several times a second, so that a long gap between two looks at the clock is such a time.
        """
        now = self._clock()
        if self._timer is not None and now - self._seen_at > _LONGEST_GAP:
            self._stopped += now - self._seen_at
        self._seen_at = now
        return now - self._stopped

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
        transfer.have, transfer.size = have, size
        transfer.go_on()
        self._changed()

    def advanced(self, product: Product, nbytes: int) -> None:
        """Add transferred bytes."""
        self.add(product.identifier, nbytes)

    def add(self, name: str, nbytes: int) -> None:
        """Add bytes of an archive."""
        now = self._now()
        self.moved += nbytes
        self._speed.add(nbytes, now)
        if transfer := self.transfers.get(name):
            transfer.have += nbytes
            transfer.speed.add(nbytes, now)
        self._changed()

    def checking(self, product: Product) -> None:
        """Mark a product as being verified."""
        self._transfer(product.identifier).go_on(checking=True)
        self._changed()

    def delayed(self, product: Product, why: str | None, *, seconds: float | None = None) -> None:
        """Mark a product as waiting; None: it no longer waits."""
        if why is not None:
            until = None if seconds is None else self._now() + seconds
            self._transfer(product.identifier).wait(why, until)
        elif transfer := self.transfers.get(product.identifier):
            transfer.go_on()
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
    def elapsed(self) -> float:
        """Seconds since the run began, by the clock on the wall."""
        return self._clock() - self._began

    @property
    def here(self) -> int:
        """Bytes on disk of all products that were not skipped, those of earlier runs included."""
        return self._settled_bytes + sum(transfer.here for transfer in self.transfers.values())

    @property
    def total(self) -> int | None:
        """Bytes in total, with the average for products of unknown size; None without an estimate."""
        known, sized = self._known_sizes(*self.transfers.values())
        if self.expected is None or not sized:
            return None
        return max(self.here, round(self._settled_bytes + self._running_bytes() + self._unsized * known / sized))

    @property
    def is_estimate(self) -> bool:
        """Whether `total` is an estimate, since products of unknown size are still to come."""
        return self._unsized > 0

    @property
    def rate(self) -> float:
        """Bytes per second of this run, smoothed."""
        return self._speed.rate(self._now())

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the last byte; None when nothing is moving, missing or known."""
        total, rate = self.total, self.rate
        return (total - self.here) / rate if total is not None and total > self.here and rate else None

    @property
    def products(self) -> str:
        """The number of products with an outcome, and the total when it is known: ``12/50 products``."""
        if self.expected is None:
            return plural(self.settled, "product")
        most = max(self.expected, self.settled)
        return f"{self.settled}/{plural(most, 'product')}"

    @property
    def amount(self) -> str:
        """The bytes here, and in total when that is known: ``3.4/~14.1 GB``, with ``~`` before an estimate."""
        total = self.total
        return format_share(self.here, total, estimated=self.is_estimate) if total else format_bytes(self.here)

    @property
    def _unsized(self) -> int:
        sized = sum(transfer.size is not None for transfer in self.transfers.values())
        return max(0, (self.expected or 0) - self.settled - sized)

    def _running_bytes(self) -> int:
        return sum(transfer.size or 0 for transfer in self.transfers.values())

    def _transfer(self, name: str) -> Transfer:
        return self.transfers.setdefault(name, Transfer(name))

    def _known_sizes(self, *transfers: Transfer) -> tuple[int, int]:
        """Return the sum and the number of known sizes, of finished products and of these."""
        sizes = [transfer.size for transfer in transfers if transfer.size is not None]
        return self._sizes[0] + sum(sizes), self._sizes[1] + len(sizes)
