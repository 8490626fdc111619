"""Progress events of a run: the protocol, and a listener that ignores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collgs_async.models.product import Outcome, Product

__all__ = ["GivenProgress", "Progress", "SilentProgress"]


class Progress(Protocol):
    """Receives the progress of runs; every method returns at once and never raises.

    A run calls `open`, then reports its events, and calls `close` however it ends; the next one may follow.
    """

    def open(self) -> None:
        """Begin the display of a run, with all counts at zero."""

    def expect(self, products: int) -> None:
        """Set the expected number of products; called again whenever it changes."""

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Report that bytes of a product are about to arrive: `have` of `size` bytes are here.

        Called again at each attempt; `have` may then be lower than before, when bytes had to be discarded. `size` is
        None while the length is unknown.
        """

    def advanced(self, product: Product, nbytes: int) -> None:
        """Add transferred bytes of this product."""

    def checking(self, product: Product) -> None:
        """Report that all bytes are here, and verification begins."""

    def delayed(self, product: Product, why: str | None, *, seconds: float | None = None) -> None:
        """Report that a product has to wait, until it is `started`, `checking` or `finished`.

        `why` is a phrase such as ``HTTP 503: busy`` or ``on tape``, with the server's own words, which may hold any
        characters; None: it no longer waits. `seconds` is the time until the next attempt; None when unknown.
        """

    def waiting(self, what: str | None) -> None:
        """Report what the run waits for, such as an outage or archives on tape; None: no longer."""

    def finished(self, outcome: Outcome) -> None:
        """Report an outcome, also that of a skipped product that never started."""

    def close(self) -> None:
        """End the display: the run is over, however it ended."""


GivenProgress: TypeAlias = Progress | Literal["auto"] | None
"""What callers of the library give: an object, ``"auto"`` for one that fits the output device, None for silence."""


class SilentProgress:
    """Ignores all progress, of products or of archives by name."""

    def open(self) -> None:
        """Do nothing."""

    def expect(self, products: int) -> None:
        """Do nothing."""

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Do nothing."""

    def advanced(self, product: Product, nbytes: int) -> None:
        """Do nothing."""

    def checking(self, product: Product) -> None:
        """Do nothing."""

    def delayed(self, product: Product, why: str | None, *, seconds: float | None = None) -> None:
        """Do nothing."""

    def waiting(self, what: str | None) -> None:
        """Do nothing."""

    def finished(self, outcome: Outcome) -> None:
        """Do nothing."""

    def begin(self, name: str, *, have: int = 0, size: int | None) -> None:
        """Do nothing."""

    def add(self, name: str, nbytes: int) -> None:
        """Do nothing."""

    def end(self, name: str, *, failed: bool) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
