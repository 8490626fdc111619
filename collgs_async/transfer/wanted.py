"""Which bytes of an archive are wanted: some ranges, or its last ones while its length is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collgs_async.storage.ranges import ByteRanges

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WantedBytes"]


@dataclass(frozen=True, slots=True)
class WantedBytes:
    """Bytes of an archive that are wanted.

    Attributes
    ----------
    ranges
        The wanted ranges.
    tail
        Number of bytes at the archive's end that are wanted as well, all if it is shorter.
    """

    ranges: ByteRanges = field(default_factory=ByteRanges)
    tail: int = 0

    def within(self, size: int) -> ByteRanges:
        """Return the wanted ranges of an archive of `size` bytes."""
        spans = [(first, min(end, size)) for first, end in self.ranges]
        return ByteRanges([*spans, *([(max(0, size - self.tail), size)] if self.tail else [])])

    def gaps(self, held: ByteRanges, size: int) -> Iterator[tuple[int, int]]:
        """Yield the wanted ranges of an archive of `size` bytes that are not in `held`."""
        for wanted in self.within(size):
            yield from ((first, end) for first, end, here in held.split(*wanted) if not here)
