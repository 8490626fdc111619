"""The body of one answer comes to its place: what is here is compared, what is missing is written, nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.errors import TransferError
from collgs_async.transfer.job import SegmentSuperseded
from collgs_async.transfer.range_request import AskAgain

if TYPE_CHECKING:
    from collgs_async.storage.part import PartFile
    from collgs_async.transfer.job import Segment
    from collgs_async.transfer.range_request import ResponseBody

__all__ = ["BodyWriter"]


class BodyWriter:
    """Takes the body of one answer, block by block.

    Parameters
    ----------
    answer
        What the body is, as it was judged.
    part
        Where it belongs.
    segment
        What is wanted of it; its end may move down meanwhile.

    Attributes
    ----------
    position
        Where in the archive its next byte belongs.
    """

    def __init__(self, answer: ResponseBody, part: PartFile, segment: Segment) -> None:
        self._answer = answer
        self.part = part
        self.segment = segment
        self.position = answer.first

    @property
    def end(self) -> int:
        """One past the last byte that will come; -1 when the answer does not say."""
        return -1 if self._answer.end is None else self._answer.end

    @property
    def to_come(self) -> int:
        """How many bytes are still to come and to be written, if nothing of it is here; else 0."""
        here = any(here for _, _, here in self.part.held.split(self.position, self.end))
        return 0 if here or self.segment.end is None else min(self.end, self.segment.end) - self.position

    async def take(self, block: bytearray) -> bool:
        """Write what is missing of a block; an empty one is the end of the body. Tell whether more is wanted.

        Raises
        ------
        AskAgain
            Bytes that are here are not what the server has there: they are of another version.
        Abandoned
            The segment was given up meanwhile.
        TransferError
            The server sent more or less than it announced.
        """
        if not self._answer.proven and self.position == self._answer.first:
            await self.part.set_version(None)
        if not block:
            self._refuse_short()
            return False
        if self.segment.superseded:
            raise SegmentSuperseded
        after = self.position + len(block)
        if self._answer.end is not None and after > self._answer.end:
            raise TransferError(f"more than the {self._answer.end} bytes that were announced")
        await self._place(block)
        self._move_to(after)
        if self._answer.first == 0 and after >= self.part.held.end:
            # Only now is every byte of the part known to be of this version.
            await self.part.set_version(self._answer.remote)
        return self.segment.end is None or after < self.segment.end

    async def landed(self, offset: int, count: int) -> None:
        """Take note of bytes that somebody else has written."""
        await self.part.record_written(offset, count)
        self._move_to(offset + count)

    async def finish(self) -> None:
        """Cut off what is here beyond the archive's end."""
        if self.position == self._answer.remote.size and self.position < self.part.held.end:
            await self.part.cut(self.position)

    def _move_to(self, position: int) -> None:
        self.position = position
        self.segment.position = max(self.segment.position, position)

    def _refuse_short(self) -> None:
        end, here = self._answer.end, self.part.held.end
        if end is not None and self.position < end:
            raise TransferError(f"the answer ended at byte {self.position} of {end}")
        if end is None and self.position < here:
            raise TransferError(f"the answer, of unknown length, ended at byte {self.position}; {here} are here")

    async def _place(self, block: bytearray) -> None:
        """Compare what of a block is here already, and write what is missing of the segment."""
        view, position, part, segment = memoryview(block), self.position, self.part, self.segment
        for first, last, here in list(part.held.split(position, position + len(block))):
            if not here:
                low, high = max(first, segment.first), last if segment.end is None else min(last, segment.end)
                if low < high:
                    await self._write(low, view[low - position : high - position])
            elif await part.read(first, last - first) != view[first - position : last - position]:
                if self._answer.first > 0:
                    raise AskAgain("what is here is of another version", from_start=True)
                # All before this piece was equal to the new version, so the part becomes the new one from here on.
                await part.set_version(None)
                await part.cut(first)
                await part.write(first, view[first - position :])
                return

    async def _write(self, offset: int, piece: memoryview) -> None:
        if not self.part.held.total:
            await self.part.set_version(self._answer.remote)
        await self.part.write(offset, piece)
