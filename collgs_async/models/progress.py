"""What a run tells while it goes on: a Protocol, and the listener that says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collgs_async.models.product import Outcome, Product

__all__ = ["Progress", "SilentProgress"]


class Progress(Protocol):
    """What a run tells while it goes on; every method returns at once and never raises."""

    def expect(self, products: int) -> None:
        """Expect so many products in all; said again whenever the search changes its promise."""

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Show a product whose bytes are about to arrive: `have` are here already, of `size` in all.

        Said again at each new try; `have` may then be lower than before, when bytes had to be given up.
        `size` is None while the length is unknown.
        """

    def advanced(self, product: Product, nbytes: int) -> None:
        """Count so many more bytes of this product."""

    def checking(self, product: Product) -> None:
        """Show that all bytes are here and their verification begins."""

    def waiting(self, what: str | None) -> None:
        """Show what the run waits for, such as a store that is away or archives on tape; None: nothing any more."""

    def finished(self, outcome: Outcome) -> None:
        """Take note of an outcome, also of a product that was skipped and never started."""

    def close(self) -> None:
        """Leave the screen tidy: the run is over, however it ended."""


class SilentProgress:
    """A listener that says nothing."""

    def expect(self, products: int) -> None:
        """Say nothing."""

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Say nothing."""

    def advanced(self, product: Product, nbytes: int) -> None:
        """Say nothing."""

    def checking(self, product: Product) -> None:
        """Say nothing."""

    def waiting(self, what: str | None) -> None:
        """Say nothing."""

    def finished(self, outcome: Outcome) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""
