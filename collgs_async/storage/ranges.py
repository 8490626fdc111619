"""A set of byte ranges, each from the offset of its first byte to one past its last."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ByteRanges"]


class ByteRanges:
    """A set of bytes of a file, stored as sorted ranges that neither touch nor overlap.

    Parameters
    ----------
    spans
        Ranges ``(first, end)`` in any order; ``end`` is one past the last byte.
    """

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans: list[tuple[int, int]] = []
        self._total = 0
        for first, end in spans:
            self.add(first, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByteRanges) and self._spans == other._spans

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def __repr__(self) -> str:
        return f"ByteRanges({self._spans})"

    @property
    def total(self) -> int:
        """Number of bytes in the set."""
        return self._total

    @property
    def prefix(self) -> int:
        """Number of bytes from the file's first byte to the first gap."""
        return self._spans[0][1] if self._spans and self._spans[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """Offset one past the last byte; 0 if the set is empty."""
        return self._spans[-1][1] if self._spans else 0

    def add(self, first: int, end: int) -> None:
        """Add a range; an empty one adds nothing."""
        if first >= end:
            return
        left = bisect_left(self._spans, first, key=lambda span: span[1])
        right = bisect_right(self._spans, end, key=lambda span: span[0])
        touched = self._spans[left:right]
        if touched:
            first, end = min(first, touched[0][0]), max(end, touched[-1][1])
        self._spans[left:right] = [(first, end)]
        self._total += end - first - _length(touched)

    def remove(self, first: int, end: int) -> None:
        """Remove a range, which need not be in the set."""
        if first >= end:
            return
        pieces = [piece for a, b in self._spans for piece in ((a, min(b, first)), (max(a, end), b))]
        self._spans = [(a, b) for a, b in pieces if a < b]
        self._total = _length(self._spans)

    def gaps(self, size: int) -> list[tuple[int, int]]:
        """Return the missing ranges of a file of `size` bytes."""
        return [(first, end) for first, end, here in self.split(0, size) if not here]

    def split(self, first: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Split a range into pieces that are completely in the set (True) or completely missing (False)."""
        position = first
        for a, b in self._spans[bisect_right(self._spans, first, key=lambda span: span[1]) :]:
            if position >= end or a >= end:
                break
            if position < a:
                yield position, a, False
            yield max(a, position), min(b, end), True
            position = min(b, end)
        if position < end:
            yield position, end, False

    def covers(self, first: int, end: int) -> bool:
        """Whether every byte of a range is in the set."""
        return all(here for *_, here in self.split(first, end))

    def held_before(self, position: int, most: int) -> int:
        """Return the start of the contiguous bytes right before `position`, at most `most` bytes back."""
        before = bisect_left(self._spans, position, key=lambda span: span[1])
        if before == len(self._spans) or not self._spans[before][0] < position <= self._spans[before][1]:
            return position
        return max(self._spans[before][0], position - most)


def _length(spans: Iterable[tuple[int, int]]) -> int:
    return sum(end - first for first, end in spans)
