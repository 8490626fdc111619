"""Receive a large response body in a thread: from the socket to the part file, without the event loop.

Through the event loop, each byte would be copied three more times, and the loop would wake up for each few packets.
aiohttp reads the headers and the first bytes; then its connection is taken over, and never returned. The thread reads
blocks from it and writes them; the event loop is only notified of progress, at intervals. With TLS, the thread
continues with the TLS state of asyncio's own protocol.

Taking a connection over needs private names, which are all in `internals`, with a check of versions and types. If
anything is not as expected (another event loop, TLS within TLS, a body of unknown length), or with
`TransferTuning.thread_receiver` off, the body is read through the event loop.

The socket is duplicated, so that asyncio may close its own while the thread is reading. Both descriptors share the flag
O_NONBLOCK and all socket options (dup(2), socket(7)): when the thread's becomes blocking, asyncio's does, too. Its
transport must not read or write any more. It is paused before that, and closed only after the connection was shut down,
so that sending a last TLS record fails at once.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
import struct
import time
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import ClientPayloadError, SocketTimeoutError

from collgs_async.http.limits import RateLimiter
from collgs_async.models.timing import wait_completed
from collgs_async.transfer.body_source import NoSource, PlainSource, TlsSource
from collgs_async.transfer.internals import holds_back, layers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientResponse, StreamReader

    from collgs_async.storage.part import PartFile
    from collgs_async.transfer.body_source import Source
    from collgs_async.transfer.segment import Segment
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["BodyConnection", "BodyReceiver"]

_NOTIFY_INTERVAL: Final = 0.05
"""Minimum interval between progress callbacks, in seconds; each one contends for the GIL."""


class BodyConnection:
    """A response's connection, taken over from aiohttp.

    Attributes
    ----------
    head
        Body bytes that aiohttp had received already.
    source
        Source of the remaining bytes.
    interrupted
        Whether `interrupt` was called, so that no more bytes are to be read.
    """

    def __init__(self, head: bytearray, source: Source, connection: socket.socket | None) -> None:
        self.head = head
        self.source = source
        self.interrupted = False
        self._socket = connection
        self._wait: Future[None] | None = None

    @classmethod
    def on(cls, response: ClientResponse, wait: float) -> BodyConnection | None:
        """Take over a response's connection; return None if that is not possible.

        Parameters
        ----------
        wait
            Seconds after which a read returns what has been received.
        """
        connection = response.connection
        transport = connection.transport if connection else None
        protocol = connection.protocol if connection else None
        if transport is None or protocol is None or response.content.exception() is not None:
            return None
        if "Transfer-Encoding" in response.headers:
            return None  # a chunked body has chunk headers between the bytes of the archive
        layers = layers_of(transport, protocol)
        if layers is None:
            return None
        try:
            own: socket.socket = layers.transport.get_extra_info("socket").dup()
        except OSError:
            return None  # no file descriptor is left
        head = _read_buffered(response.content)
        if response.content.is_eof():
            own.close()
            return cls(head, NoSource(), None)  # the connection is back in aiohttp's pool
        if holds_back(protocol):
            own.close()
            raise ClientPayloadError("aiohttp keeps back what it has received")
        protocol.pause_reading()
        layers.transport.pause_reading()
        own.setblocking(True)  # asyncio's own socket as well, see above
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", *divmod(int(wait * 1e6), 10**6)))
        if layers.tls is None or layers.incoming is None:
            return cls(head, PlainSource(own), own)
        return cls(head, TlsSource(own, layers.tls, layers.incoming, wait), own)

    def wait_for(self, done: Future[None]) -> None:
        """Wait in a thread for something that `interrupt` cancels."""
        self._wait = done
        if self.interrupted:
            done.cancel()
        with suppress(CancelledError):
            done.result()

    def interrupt(self) -> None:
        """Shut the connection down, which wakes a thread that waits for its bytes or its turn."""
        self.interrupted = True
        if self._wait is not None:
            self._wait.cancel()
        if self._socket is not None:
            with suppress(OSError):  # the peer has closed it already
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; no thread may read from it any more."""
        if self._socket is not None:
            self._socket.close()


class BodyReceiver:
    """Receives the rest of a segment in a thread of its own.

    Parameters
    ----------
    connection
        The connection, taken over from aiohttp.
    part
        The part file, open.
    segment
        The range to write; its end may decrease during the download.
    position, end
        Offsets in the archive of the connection's next byte, and one past the last byte of the response.
    share
        Returns the number of bytes that may be buffered at the moment; called in the thread.
    timeout
        Seconds without a byte after which the connection counts as broken.
    tuning
        When a read returns, and when the kernel is asked to start writing.
    rate_limiter
        The bandwidth limit of the run, which may begin while bytes are received; None for none.
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
        tuning: TransferTuning,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        self._connection = connection
        self._part = part
        self._segment = segment
        self._position = position
        self._end = end
        self._share = share
        self._buffer = memoryview(
            mmap.mmap(-1, connection.source.block, access=mmap.ACCESS_COPY)
        )  # pages of an anonymous mapping take memory only once they are used
        self._timeout = timeout
        self._wait = tuning.read_seconds
        self._rate_limiter = rate_limiter or RateLimiter(None)
        self._writeback_bytes = tuning.writeback_bytes
        self._received_at = time.monotonic()
        self._written: deque[tuple[int, int, int]] = deque()
        self._notified = asyncio.Event()
        self._notified_at = 0.0
        self._loop = asyncio.get_running_loop()

    async def run(self, on_written: Callable[[int, int, int], Awaitable[None]]) -> None:
        """Receive and write everything.

        Parameters
        ----------
        on_written
            Called in the event loop with the offset of what was written, the number of bytes kept, and the number
            received; contiguous blocks are merged into one call.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The connection failed; the bytes received before are in the part file.
        StorageError
            The disk is full or failed.
        """
        threads = ThreadPoolExecutor(1, "receiver")  # the loop's default executor must stay free for short calls
        try:
            work = self._loop.run_in_executor(threads, self._work)
        except RuntimeError as error:
            raise ConnectionError(f"the system gives no thread to receive in ({error})") from error
        work.add_done_callback(self._finished)
        try:
            while not work.done():
                await self._notified.wait()
                await self._report(on_written)
        finally:
            # Wait for the thread even after a cancellation: it may be writing, and what it writes must be recorded.
            self._connection.interrupt()
            try:
                await wait_completed(asyncio.wait([work]))
            finally:
                threads.shutdown(wait=False)
                self._connection.close()
                await self._report(on_written)
        work.result()

    def _finished(self, work: asyncio.Future[None]) -> None:
        if not work.cancelled():
            work.exception()  # after a cancellation it is not retrieved elsewhere, and asyncio would warn
        self._notified.set()

    async def _report(self, on_written: Callable[[int, int, int], Awaitable[None]]) -> None:
        """Report all blocks written since the last call; an exception is raised only after all were reported."""
        self._notified.clear()
        failure: Exception | None = None
        while self._written:
            offset, kept, received = self._written.popleft()
            while self._written and self._written[0][0] == offset + kept:
                _, more, also = self._written.popleft()
                kept, received = kept + more, received + also
            try:
                await on_written(offset, kept, received)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _work(self) -> None:
        """Receive and write, block by block; in the thread."""
        try:
            self._receive()
        finally:
            self._connection.source.pause(end=True)

    def _receive(self) -> None:
        writeback_from = self._position
        while (room := min(self._end, self._segment.end or self._end) - self._position) > 0:
            size = self._fill_block(self._buffer[: min(room, self._share(), len(self._buffer))])
            if self._segment.superseded:
                return
            kept = max(0, min(size, (self._segment.end or self._end) - self._position))
            self._part.write_sync(self._position, self._buffer[:kept])
            self._connection.source.pause()
            self._written.append((self._position, kept, size))
            if self._part.has_gaps or time.monotonic() - self._notified_at >= _NOTIFY_INTERVAL:
                self._notify()
            self._position += size
            if self._rate_limiter.rate is not None:
                self._wait_for_rate(size)
            if self._position - writeback_from >= self._writeback_bytes:
                self._connection.source.pause(end=True)  # the call below may block; let other threads decrypt
                self._part.start_writeback(writeback_from, self._position - writeback_from)
                writeback_from = self._position

    def _wait_for_rate(self, nbytes: int) -> None:
        """Wait until received bytes are within the limit of the run; not reading meanwhile slows the sender down."""
        self._notify()
        consume = self._rate_limiter.consume(nbytes)
        self._connection.wait_for(asyncio.run_coroutine_threadsafe(consume, self._loop))
        self._received_at = time.monotonic()

    def _fill_block(self, view: memoryview) -> int:
        """Fill a block, or what arrives of it within `read_seconds`; return its size, at least 1."""
        filled, started = 0, time.monotonic()
        while filled < len(view):
            received = 0 if self._connection.interrupted else self._connection.source.fill(view[filled:])
            now = time.monotonic()
            if received:
                filled, self._received_at = filled + received, now
            elif filled:
                break  # the next call raises the cause
            elif received == 0:
                raise ClientPayloadError("the connection was closed")
            elif now - self._received_at >= self._timeout:
                raise SocketTimeoutError
            elif self._written:
                self._notify()
            if filled and now - started >= self._wait:
                break
        return filled

    def _notify(self) -> None:
        """Wake the event loop to report the blocks written so far."""
        self._notified_at = time.monotonic()
        self._loop.call_soon_threadsafe(self._notified.set)


def _read_buffered(content: StreamReader) -> bytearray:
    """Return all that aiohttp has received; a loop, as each read may let the parser continue with held-back data."""
    head = bytearray()
    while chunk := content.read_nowait():
        head += chunk
    return head
