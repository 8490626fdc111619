"""Progress events of a run: the protocol, and a listener that ignores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collgs_async.models.product import Outcome, Product

__all__ = ["Progress", "SilentProgress"]


class Progress(Protocol):
    """Receives the progress of a run; every method returns at once and never raises."""

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

    def waiting(self, what: str | None) -> None:
        """Report what the run waits for, such as an outage or archives on tape; None: no longer."""

    def finished(self, outcome: Outcome) -> None:
        """Report an outcome, also that of a skipped product that never started."""

    def close(self) -> None:
        """End the display: the run is over, however it ended."""


class SilentProgress:
    """Ignores all progress, of products or of archives by name."""

    def expect(self, products: int) -> None:
        """Do nothing."""

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Do nothing."""

    def advanced(self, product: Product, nbytes: int) -> None:
        """Do nothing."""

    def checking(self, product: Product) -> None:
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
