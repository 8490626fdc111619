"""Compute checksums of members while they are written, so that they need not be read back for verification.

The local headers state where the data of each member are. They may be wrong: in the end the central directory decides,
and a checksum is used only if it lists the member at exactly that place. Members that were written in another order,
are compressed, or have no length in their header are read back.
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
    """Computes the CRC-32 of each stored member of one archive, whose blocks several threads may write.

    It follows the writer that starts at the first byte, up to the lowest offset that another writer has written: beyond
    that, it is not certain whose bytes are in the file.

    Attributes
    ----------
    quick
        Whether it reached the central directory and found only stored and deflated members, so that what is left to
        be read unpacks to at most about a thousand times its size.
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
        """Return the checksums computed so far, by the offset of the local header."""
        with self._mutex:
            return dict(self._members)

    def watch(self, offset: int, block: Block) -> None:
        """Process a block that is about to be written; called in the writing thread, even if the write fails then."""
        with self._mutex:
            if offset != self._position:
                self._limit_to(offset)
                return
            view = memoryview(block)
            self._process(view if self._bound is None else view[: max(0, self._bound - offset)])

    def _limit_to(self, bound: int) -> None:
        """Discard checksums at or beyond an offset, because bytes there were written in another order, or twice."""
        if self._bound is None or bound < self._bound:
            self._bound = bound
            known = self._members.items()
            self._members = {header: seen for header, seen in known if seen.data + seen.length <= bound}

    def _process(self, view: memoryview) -> None:
        while view:
            if self._before:  # name and extra field, or data without a checksum to compute
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
            if len(self._head) == LOCAL.size and not self._start_member():
                self._bound = self._position
                return
            if self._summing and not (self._before or self._left):
                self._finish_member()

    def _start_member(self) -> bool:
        """Read a local header; return False if it is not one, or does not state the member's length."""
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

    def _finish_member(self) -> None:
        self._members[self._header] = KnownCrc(self._data, self._position - self._data, self._crc)
        self._summing = False
