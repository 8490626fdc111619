"""Bytes from a tap to the disk, in a thread: the fast way, for the bulk of an archive."""

from __future__ import annotations

import asyncio
import mmap
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from aiohttp import ClientPayloadError, SocketTimeoutError

from collgs_async.models.timing import wait_completed
from collgs_async.transfer.connection import WAIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collgs_async.storage.part import PartFile
    from collgs_async.transfer.connection import BodyConnection
    from collgs_async.transfer.job import Segment

__all__ = ["WORTH_A_RECEIVER", "BodyReceiver"]

WORTH_A_RECEIVER: Final = 16 * 2**20
"""Bytes that must still come for a connection to be worth taking over: it serves no other request afterwards, and on a
long line a new one is slow at first."""

_RING_EACH: Final = 0.05
"""Seconds for which the event loop is not told of more: each time it takes the interpreter away from the receivers."""

_WRITE_OUT_EACH: Final = 8 * 2**20
"""Bytes after which the system is asked to begin writing to the disk, so that the last flush has little left to do."""


class BodyReceiver:
    """Brings the rest of a segment, in a thread of its own.

    Parameters
    ----------
    tap
        The connection.
    part
        Where the bytes belong; open.
    segment
        Which ones; its end may move down meanwhile.
    position, end
        The first byte that the tap gives, and one past the last one of the answer.
    share
        Says how many bytes it may have in memory, for now; asked in the thread.
    timeout
        Seconds without a byte after which the line counts as broken.
    """

    def __init__(
        self,
        connection: BodyConnection,
        part: PartFile,
        segment: Segment,
        position: int,
        end: int,
        *,
        share: Callable[[], int],
        timeout: float,
    ) -> None:
        self._connection = connection
        self._part = part
        self._segment = segment
        self._position = position
        self._end = end
        self._share = share
        self._buffer = memoryview(
            mmap.mmap(-1, connection.source.block, access=mmap.ACCESS_COPY)
        )  # of which only what is used takes memory
        self._timeout = timeout
        self._heard = time.monotonic()
        self._landed: deque[tuple[int, int, int]] = deque()
        self._told = asyncio.Event()
        self._rang = 0.0
        self._loop = asyncio.get_running_loop()

    async def run(self, landed: Callable[[int, int, int], Awaitable[None]]) -> None:
        """Bring everything.

        Parameters
        ----------
        landed
            Told of what is written, blocks in a row at once: its place, how many bytes were kept, how many came.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The line broke; the bytes that came before are in the part.
        StorageError
            The disk took no more.
        """
        threads = ThreadPoolExecutor(1, "receiver")  # not the loop's own, which must stay free for those who are quick
        try:
            work = self._loop.run_in_executor(threads, self._work)
        except RuntimeError as error:
            raise ConnectionError(f"the system gives no thread to receive in ({error})") from error
        work.add_done_callback(self._finished)
        try:
            while not work.done():
                await self._told.wait()
                await self._tell(landed)
        finally:
            # Also after a cancellation: the thread is writing, and what it writes counts.
            self._connection.interrupt()
            try:
                await wait_completed(asyncio.wait([work]))
            finally:
                threads.shutdown(wait=False)
                self._connection.close()
                await self._tell(landed)
        work.result()

    def _finished(self, work: asyncio.Future[None]) -> None:
        if not work.cancelled():
            work.exception()  # after a cancellation nobody else asks what became of it
        self._told.set()

    async def _tell(self, landed: Callable[[int, int, int], Awaitable[None]]) -> None:
        """Tell of all that has landed, also when one of them is the end of it."""
        self._told.clear()
        trouble: Exception | None = None
        while self._landed:
            place, kept, came = self._landed.popleft()
            while self._landed and self._landed[0][0] == place + kept:
                _, more, also = self._landed.popleft()
                kept, came = kept + more, came + also
            try:
                await landed(place, kept, came)
            except Exception as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble

    def _work(self) -> None:
        """Receive and write, block by block; in the thread."""
        try:
            self._bring()
        finally:
            self._connection.source.pause(end=True)

    def _bring(self) -> None:
        written_out = self._position
        while (room := min(self._end, self._segment.end or self._end) - self._position) > 0:
            size = self._gather(self._buffer[: min(room, self._share(), len(self._buffer))])
            if self._segment.superseded:
                return
            kept = max(0, min(size, (self._segment.end or self._end) - self._position))
            self._part.write_sync(self._position, self._buffer[:kept])
            self._connection.source.pause()
            self._landed.append((self._position, kept, size))
            if self._part.has_gaps or time.monotonic() - self._rang >= _RING_EACH:
                self._ring()
            self._position += size
            if self._position - written_out >= _WRITE_OUT_EACH:
                self._connection.source.pause(end=True)  # the device may keep us waiting
                self._part.start_writeback(written_out, self._position - written_out)
                written_out = self._position

    def _gather(self, view: memoryview) -> int:
        """Fill a block, or what comes of it in a while; at least one byte."""
        filled, begun = 0, time.monotonic()
        while filled < len(view):
            received = 0 if self._connection.interrupted else self._connection.source.fill(view[filled:])
            now = time.monotonic()
            if received:
                filled, self._heard = filled + received, now
            elif filled:
                break  # the next call finds out why
            elif received == 0:
                raise ClientPayloadError("the connection was closed")
            elif now - self._heard >= self._timeout:
                raise SocketTimeoutError
            elif self._landed:
                self._ring()
            if filled and now - begun >= WAIT:
                break
        return filled

    def _ring(self) -> None:
        """Have the loop told of what has landed."""
        self._rang = time.monotonic()
        self._loop.call_soon_threadsafe(self._told.set)
