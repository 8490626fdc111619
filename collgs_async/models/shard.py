"""Parts of a selection for several machines: which of them has a product follows from its identifier alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

__all__ = ["OTHER_SHARD", "Shard"]

OTHER_SHARD: Final = "another shard"
"""The kind of reason for which a product of another part is left out."""

MOST: Final = 10_000

_WRITTEN: Final = re.compile(r"\s*([0-9]{1,5})\s*/\s*([0-9]{1,5})\s*")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts, which have no product in common and together have all.

    Attributes
    ----------
    number
        Its number, from 1 to `count`.
    count
        The number of parts.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a part such as ``2/8``.

        Raises
        ------
        ValueError
            The text is none, or there is no part of this number.
        """
        written = _WRITTEN.fullmatch(text)
        number, count = (int(written[1]), int(written[2])) if written else (0, 0)
        if not 1 <= number <= count <= MOST:
            raise ValueError
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def __contains__(self, identifier: str) -> bool:
        """Whether a product is of this part."""
        return self.of(identifier) == self

    def of(self, identifier: str) -> Self:
        """Return the part that a product is of, among as many.

        It never changes, since machines with different releases may share the work: the 64-bit BLAKE2b digest of the
        UTF-8 identifier as a big-endian number, modulo the number of parts, and 1.
        """
        digest = blake2b(identifier.encode("utf-8", "backslashreplace"), digest_size=8).digest()
        return type(self)(int.from_bytes(digest, "big") % self.count + 1, self.count)
