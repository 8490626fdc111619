"""Write a response body into the part file; compare bytes that are already there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.errors import TransferError
from collgs_async.transfer.range_request import AskAgain
from collgs_async.transfer.segment import SegmentSuperseded

if TYPE_CHECKING:
    from collgs_async.storage.part import PartFile
    from collgs_async.transfer.range_request import ResponseBody
    from collgs_async.transfer.segment import Segment

__all__ = ["BodyWriter"]


class BodyWriter:
    """Writes the body of one response, block by block.

    Parameters
    ----------
    answer
        The interpreted response: which bytes of the archive the body holds.
    part
        The part file, open.
    segment
        The range to write; its end may decrease during the download.

    Attributes
    ----------
    position
        Offset in the archive of the next body byte.
    result
        The response, unless the rest of its body is not needed, or another request is.
    """

    def __init__(self, answer: ResponseBody, part: PartFile, segment: Segment) -> None:
        self._answer = answer
        self.part = part
        self.segment = segment
        self.position = answer.first
        self.result: ResponseBody | AskAgain | SegmentSuperseded = answer

    @property
    def end(self) -> int:
        """Offset one past the last body byte; -1 if the response does not state it."""
        return -1 if self._answer.end is None else self._answer.end

    @property
    def to_come(self) -> int:
        """Bytes still to be received and written, if none of them is in the part file yet; otherwise 0."""
        here = any(here for _, _, here in self.part.held.split(self.position, self.end))
        return 0 if here or self.segment.end is None else min(self.end, self.segment.end) - self.position

    async def take(self, block: bytearray) -> bool:
        """Write the missing bytes of a block, and return whether more of the body is needed.

        It is not if the part file holds other bytes at this place, and so belongs to another version of the archive, or
        if the segment was cancelled in the meantime; `result` has it.

        Parameters
        ----------
        block
            The next bytes; empty at the end of the body.

        Raises
        ------
        TransferError
            The server sent more or less than it announced.
        """
        if not self._answer.proven and self.position == self._answer.first:
            await self.part.set_version(None)
        if not block:
            self._refuse_short()
            return False
        if self.stopped():
            return False
        after = self.position + len(block)
        if self._answer.end is not None and after > self._answer.end:
            raise TransferError(f"more bytes than the {self._answer.end} that were announced")
        if not await self._place(block):
            self.result = AskAgain("what is here is of another version", from_start=True)
            return False
        self._move_to(after)
        if self._answer.first == 0 and after >= self.part.held.end:
            # The body has covered the whole part file, so every byte of it is now known to be of this version.
            await self.part.set_version(self._answer.remote)
        return self.segment.end is None or after < self.segment.end

    def stopped(self) -> bool:
        """Whether the segment was cancelled, which is the result then."""
        if self.segment.superseded:
            self.result = SegmentSuperseded()
        return self.segment.superseded

    async def record_written(self, offset: int, count: int) -> None:
        """Record bytes that the receiver's thread has written."""
        await self.part.record_written(offset, count)
        self._move_to(offset + count)

    async def finish(self) -> None:
        """Truncate the part file if the body was used, and it is longer than the archive."""
        if (
            self.result is self._answer
            and self.position == self._answer.remote.size
            and self.position < self.part.held.end
        ):
            await self.part.cut(self.position)

    def _move_to(self, position: int) -> None:
        self.position = position
        self.segment.advance(position)

    def _refuse_short(self) -> None:
        end, here = self._answer.end, self.part.held.end
        if end is not None and self.position < end:
            raise TransferError(f"the answer ended at byte {self.position} of {end}")
        if end is None and self.position < here:
            raise TransferError(f"the answer, of unknown length, ended at byte {self.position}; {here} are here")

    async def _place(self, block: bytearray) -> bool:
        """Compare the bytes of a block that are already in the part file, and write those missing in the segment.

        Return False if bytes differ, and the body does not hold the whole archive.
        """
        view, position, part, segment = memoryview(block), self.position, self.part, self.segment
        for first, last, here in list(part.held.split(position, position + len(block))):
            if not here:
                low, high = max(first, segment.first), last if segment.end is None else min(last, segment.end)
                if low < high:
                    await self._write(low, view[low - position : high - position])
            elif await part.read(first, last - first) != view[first - position : last - position]:
                if self._answer.first > 0:
                    return False
                # A body that starts at byte 0 was equal up to here: drop the rest, and continue with the new version.
                await part.set_version(None)
                await part.cut(first)
                await part.write(first, view[first - position :])
                break
        return True

    async def _write(self, offset: int, piece: memoryview) -> None:
        if not self.part.held.total:
            await self.part.set_version(self._answer.remote)
        await self.part.write(offset, piece)
