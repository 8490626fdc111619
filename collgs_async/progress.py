"""Tell someone what a run does: a Protocol, and the listener that says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collgs_async.models import Outcome, Product

__all__ = ["Progress", "SilentProgress"]


class Progress(Protocol):
    """What a run tells while it goes on; every method returns at once and never raises."""

    def expect(self, products: int) -> None:
        """The search now promises so many products in all; said again whenever the number changes."""

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        """Bytes of this product are about to arrive: `have` of them are here already, of `size` in all.

        Said again at each new try; `have` may then be lower than before, when bytes had to be given up.
        `size` is None while the length is unknown.
        """

    def advanced(self, product: Product, nbytes: int) -> None:
        """So many more bytes of this product are here."""

    def checking(self, product: Product) -> None:
        """All bytes are here; their verification begins."""

    def finished(self, outcome: Outcome) -> None:
        """This product has its outcome, also when it was skipped and never started."""

    def close(self) -> None:
        """The run is over, however it ended; leave the screen tidy."""


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

    def finished(self, outcome: Outcome) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""
