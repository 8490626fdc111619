"""Checksums of members, taken while their bytes go by: what is written in order need not be read back to be verified.

A local header says which bytes the data of a member are. It may err: in the end the directory decides, and what was
summed up is only believed of a member that lies just there. What comes in another order, is packed, or does not say how
long it is, is read back.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from collgs_async.storage.zip_format import (
    CENTRAL_SIGNATURE,
    DEFLATED,
    ENCRYPTED,
    FULL32,
    LOCAL,
    LOCAL_SIGNATURE,
    SIZES_FOLLOW,
    STORED,
    codec,
)
from collgs_async.storage.zip_members import KnownCrc

if TYPE_CHECKING:
    from collgs_async.storage.part import Block

__all__ = ["StreamingCrc"]


class StreamingCrc:
    """Takes the CRC-32 of each stored member of one archive, of which several threads may write blocks.

    It follows the writer that goes through the archive from its first byte on, as far as nobody else has written: where
    two have, nobody knows whose bytes are there.

    Attributes
    ----------
    quick
        Whether it came as far as the directory, and met nothing but stored and deflated members: what is left to be
        read unpacks to a thousand times as much at the worst.
    """

    def __init__(self) -> None:
        self._members: dict[int, KnownCrc] = {}
        self._mutex = threading.Lock()
        self._position = 0
        self._bound: int | None = None
        self._head = bytearray()
        self._header = self._data = self._before = self._left = self._crc = 0
        self._summing = False
        self._plain = True
        self.quick = False

    def members(self) -> dict[int, KnownCrc]:
        """Give what is known by now, by the offset of the local header."""
        with self._mutex:
            return dict(self._members)

    def watch(self, offset: int, block: Block) -> None:
        """Take note of a block that is about to be written, perhaps in vain; in the thread that writes it."""
        with self._mutex:
            if offset != self._position:
                self._stay_below(offset)
                return
            view = memoryview(block)
            self._go_through(view if self._bound is None else view[: max(0, self._bound - offset)])

    def _stay_below(self, bound: int) -> None:
        """Believe nothing of what lies there or beyond: it was written in another order, or twice."""
        if self._bound is None or bound < self._bound:
            self._bound = bound
            known = self._members.items()
            self._members = {header: seen for header, seen in known if seen.data + seen.length <= bound}

    def _go_through(self, view: memoryview) -> None:
        while view:
            if self._before:  # the name and extra field, or data that are not summed up
                used = min(self._before, len(view))
                self._before -= used
            elif self._left:
                used = min(self._left, len(view))
                self._crc = codec.crc32(view[:used], self._crc)
                self._left -= used
            else:
                used = min(LOCAL.size - len(self._head), len(view))
                self._head += view[:used]
            self._position += used
            view = view[used:]
            if len(self._head) == LOCAL.size and not self._open():
                self._bound = self._position
                return
            if self._summing and not (self._before or self._left):
                self._close()

    def _open(self) -> bool:
        """Read a local header; False: what follows is no member, or nobody knows how long it is."""
        signature, _, flags, method, _, _, _, compressed, _, name, extra = LOCAL.unpack(self._head)
        self._head.clear()
        self.quick = self._plain and signature == CENTRAL_SIGNATURE
        self._plain &= method in (STORED, DEFLATED)
        if signature != LOCAL_SIGNATURE or flags & SIZES_FOLLOW or compressed == FULL32:
            return False
        self._header, self._before = self._position - LOCAL.size, name + extra
        self._data, self._crc = self._position + name + extra, 0
        self._summing = method == STORED and not flags & ENCRYPTED
        if self._summing:
            self._left = compressed
        else:
            self._before += compressed
        return True

    def _close(self) -> None:
        self._members[self._header] = KnownCrc(self._data, self._position - self._data, self._crc)
        self._summing = False
