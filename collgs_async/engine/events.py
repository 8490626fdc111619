"""Collect progress and messages in a process, and repeat them in the one that shows them."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.progress import SilentProgress

if TYPE_CHECKING:
    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress

__all__ = ["CollectedMessages", "CollectedProgress", "repeat_events"]

_MOST_MESSAGES: Final = 500
"""Messages that are kept until they are taken; of more, the first are lost."""


@dataclass(slots=True)
class _Events:
    """What has happened to a product since it was taken last."""

    started: tuple[int, int | None] | None = None
    nbytes: int = 0
    phase: tuple[str, str | None, float | None] | None = None

    def to_wire(self) -> list[Any]:
        return [self.started, self.nbytes, self.phase]


class CollectedProgress(SilentProgress):
    """Collects the events of each product, so that they can be sent together.

    Attributes
    ----------
    waits_for
        What the process waits for; None: nothing.
    """

    def __init__(self) -> None:
        self.waits_for: str | None = None
        self._events: dict[str, _Events] = {}

    def _of(self, product: Product) -> _Events:
        return self._events.setdefault(product.identifier, _Events())

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Collect the beginning of an attempt."""
        events = self._of(product)
        # Bytes that came before are repeated after this, and have been counted already.
        events.started, events.phase = (have - events.nbytes, size), None

    def advanced(self, product: Product, nbytes: int) -> None:
        """Collect transferred bytes."""
        self._of(product).nbytes += nbytes

    def checking(self, product: Product) -> None:
        """Collect the beginning of verification."""
        self._of(product).phase = ("checking", None, None)

    def delayed(self, product: Product, why: str | None, *, seconds: float | None = None) -> None:
        """Collect what a product waits for."""
        self._of(product).phase = ("delayed", why, seconds)

    def waiting(self, what: str | None) -> None:
        """Set what the process waits for."""
        self.waits_for = what

    def take(self) -> dict[str, list[Any]]:
        """Return the events of all products since the last call."""
        taken, self._events = self._events, {}
        return {name: events.to_wire() for name, events in taken.items()}

    def take_of(self, identifier: str) -> list[Any] | None:
        """Return the events of one product since the last call; None: there are none."""
        events = self._events.pop(identifier, None)
        return None if events is None else events.to_wire()


def repeat_events(progress: Progress, product: Product, events: list[Any]) -> None:
    """Repeat the collected events of a product."""
    started, nbytes, phase = events
    if started is not None:
        progress.started(product, have=started[0], size=started[1])
    if nbytes:
        progress.advanced(product, nbytes)
    if phase is not None:
        kind, why, seconds = phase
        if kind == "checking":
            progress.checking(product)
        else:
            progress.delayed(product, why, seconds=seconds)


class CollectedMessages(logging.Handler):
    """Collects warnings and errors of a process, except for what becomes of each product, which its outcome tells."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: deque[tuple[int, str]] = deque(maxlen=_MOST_MESSAGES)

    def emit(self, record: logging.LogRecord) -> None:
        """Collect one message."""
        if record.module != "outcome_log":
            self._messages.append((record.levelno, record.getMessage()))

    def take(self) -> list[tuple[int, str]]:
        """Return the messages since the last call."""
        return [self._messages.popleft() for _ in range(len(self._messages))]
