"""Bytes from the socket to the disk in a thread: the fast way, for the bulk of an archive, where it is open.

The event loop would copy each byte three times more, and wake up for each handful of packets. aiohttp reads the headers
and the first bytes; then its connection is taken over, and never given back. Over TLS the thread goes on with the
state that asyncio's own protocol has built up. Where any of that is not as we know it (another event loop, TLS within
TLS, a body of unknown length), there is no pump, and the bytes go through the event loop as before.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol, cast

from aiohttp import ClientOSError, ClientPayloadError, SocketTimeoutError

from collgs_async.partfile import settled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientResponse, StreamReader

    from collgs_async.partfile import PartFile
    from collgs_async.transfer.trip import Stretch

__all__ = ["WORTH_A_PUMP", "Pump", "Tap"]

WORTH_A_PUMP: Final = 16 * 2**20
"""Bytes that must still come for a connection to be worth taking over: it serves no other request afterwards, and on a
long line a new one is slow at first."""

_TELL_EACH: Final = 0.5
"""Seconds after which bytes are written and told even if they do not fill a block: slow lines move visibly, too."""

_WRITE_OUT_EACH: Final = 8 * 2**20
"""Bytes after which the system is asked to begin writing to the disk, so that the last flush has little left to do."""

_KNOWN_TRANSPORT: Final = getattr(asyncio.selector_events, "_SelectorSocketTransport", None)
"""The only way of asyncio to a socket that is known to leave it alone while reading is paused."""

_RAW: Final = 256 * 1024
"""Bytes of TLS records that are taken from the socket at once."""

_TURN: Final = threading.Lock()
"""Whose turn it is to decrypt: each record lets go of the interpreter, and threads that take it from each other after
each of them cost more than they gain."""


class _Source(Protocol):
    """Where the body's bytes come from."""

    def fill(self, view: memoryview) -> int | None:
        """Put bytes into a buffer; 0: there are no more. None: none came for a while."""


class _NoSource:
    """A body of which all has come."""

    def fill(self, view: memoryview) -> int | None:  # noqa: ARG002 - there is nothing to put there
        return 0


class _PlainSource:
    """A connection without encryption.

    Parameters
    ----------
    connection
        The socket, blocking, with a time-out of `_TELL_EACH`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fill(self, view: memoryview) -> int | None:
        try:
            # The system gathers a whole buffer, or what came until the time-out, without waking us for each packet.
            return self._socket.recv_into(view, len(view), socket.MSG_WAITALL)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _line_trouble(error) from error


class _TlsSource:
    """A connection whose records are decrypted here.

    Parameters
    ----------
    connection
        As for `_PlainSource`.
    tls, incoming
        The state of asyncio's own protocol, and the buffer that it decrypts from.
    """

    def __init__(self, connection: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> None:
        self._socket = connection
        self._tls = tls
        self._incoming = incoming

    def fill(self, view: memoryview) -> int | None:
        enough = time.monotonic() + _TELL_EACH
        filled, ended = 0, False
        while time.monotonic() < enough:
            with _TURN:
                filled, ended = self._decrypt(view, filled)
            if ended or filled == len(view):
                return filled
            try:
                self._socket.recv(1, socket.MSG_PEEK)  # waits until more has come
            except OSError as error:
                if filled or isinstance(error, BlockingIOError):
                    break  # if it was an error, the next call meets the end of the line
                raise _line_trouble(error) from error
        return filled or None  # bytes may trickle, and still make no whole record

    def _decrypt(self, view: memoryview, filled: int) -> tuple[int, bool]:
        """Decrypt what has come, until the buffer is full; tell how full it is, and whether nothing more will come."""
        read, raw, size = cast("Callable[[int, memoryview], int]", self._tls.read), _raw(), len(view)
        try:
            while True:
                try:
                    # One record a call at most, 16 KiB: what else is done for each of them is felt.
                    while filled < size and (count := read(size - filled, view[filled:])):
                        filled += count
                    return filled, filled < size
                except ssl.SSLWantReadError:
                    received = self._socket.recv_into(raw, 0, socket.MSG_DONTWAIT)
                    if not received:
                        return filled, True
                    self._incoming.write(raw[:received])
        except BlockingIOError:
            return filled, False
        except OSError as error:
            if filled:
                return filled, True  # the next call meets it again, or the end of the line
            if isinstance(error, ssl.SSLError):
                raise ConnectionError(error.reason or "TLS failed") from error
            raise _line_trouble(error) from error


@cache
def _raw() -> memoryview:
    """Give the buffer that records are received into, for whoever has the turn."""
    return memoryview(bytearray(_RAW))


def _line_trouble(error: OSError) -> OSError:
    """Tell what the line does wrong from what the disk does."""
    return error if isinstance(error, ConnectionError | TimeoutError) else ClientOSError(error.errno, error.strerror)


def _drained(content: StreamReader) -> bytearray:
    """Take all that aiohttp has received; each read may let its parser go on with what it kept back."""
    head = bytearray()
    while chunk := content.read_nowait():
        head += chunk
    return head


class Tap:
    """An answer's connection, taken over from aiohttp.

    Attributes
    ----------
    head
        Bytes of the body that had arrived already.
    source
        Where the others come from.
    interrupted
        Whether no more of them are wanted.
    """

    def __init__(self, head: bytearray, source: _Source, connection: socket.socket | None) -> None:
        self.head = head
        self.source = source
        self.interrupted = False
        self._socket = connection

    @classmethod
    def on(cls, response: ClientResponse) -> Tap | None:
        """Take over; None where that cannot be done."""
        connection = response.connection
        transport = connection.transport if connection else None
        protocol = connection.protocol if connection else None
        if transport is None or protocol is None or response.content.exception() is not None:
            return None
        if "Transfer-Encoding" in response.headers:
            return None  # the lengths of chunks are no bytes of the archive
        layer = getattr(transport, "_ssl_protocol", None)
        below = transport if layer is None else getattr(layer, "_transport", None)
        tls, incoming = getattr(layer, "_sslobj", None), getattr(layer, "_incoming", None)
        if below is None or type(below) is not _KNOWN_TRANSPORT or not hasattr(protocol, "_reading_paused"):
            return None
        if layer is not None and not (isinstance(tls, ssl.SSLObject) and isinstance(incoming, ssl.MemoryBIO)):
            return None
        try:
            own: socket.socket = below.get_extra_info("socket").dup()
        except OSError:
            return None  # no descriptor is left for it
        head = _drained(response.content)
        if response.content.is_eof():
            own.close()
            return cls(head, _NoSource(), None)  # its connection serves others now
        if getattr(protocol, "_reading_paused", True):
            own.close()
            raise ClientPayloadError("aiohttp keeps back what it has received")
        protocol.pause_reading()
        below.pause_reading()
        own.setblocking(True)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, int(_TELL_EACH * 1e6)))
        return cls(head, _PlainSource(own) if tls is None or incoming is None else _TlsSource(own, tls, incoming), own)

    def interrupt(self) -> None:
        """Break the connection: whoever waits for its bytes is woken, though more may still arrive."""
        self.interrupted = True
        if self._socket is not None:
            with suppress(OSError):  # the other end was quicker
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket, once nobody reads from it any more."""
        if self._socket is not None:
            self._socket.close()


class Pump:
    """Brings the rest of a stretch, in a thread of its own.

    Parameters
    ----------
    tap
        The connection.
    part
        Where the bytes belong; open.
    stretch
        Which ones; its end may move down meanwhile.
    position, end
        The first byte that the tap gives, and one past the last one of the answer.
    block
        Bytes that are written at once.
    timeout
        Seconds without a byte after which the line counts as broken.
    """

    def __init__(
        self, tap: Tap, part: PartFile, stretch: Stretch, position: int, end: int, *, block: int, timeout: float
    ) -> None:
        self._tap = tap
        self._part = part
        self._stretch = stretch
        self._position = position
        self._end = end
        self._buffer = memoryview(bytearray(block))
        self._timeout = timeout
        self._heard = time.monotonic()
        self._landed: deque[tuple[int, int, int]] = deque()
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self, landed: Callable[[int, int, int], Awaitable[None]]) -> None:
        """Bring everything.

        Parameters
        ----------
        landed
            Told of each block, once it is written: its place, how many of its bytes were kept, how many came.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The line broke; the bytes that came before are in the part.
        StorageError
            The disk took no more.
        """
        threads = ThreadPoolExecutor(1, "pump")  # not the loop's own, which must stay free for those who are quick
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
            self._tap.interrupt()
            try:
                await settled(asyncio.wait([work]))
            finally:
                threads.shutdown(wait=False)
                self._tap.close()
                await self._tell(landed)
        work.result()

    def _finished(self, work: asyncio.Future[None]) -> None:
        if not work.cancelled():
            work.exception()  # after a cancellation nobody else asks what became of it
        self._told.set()

    async def _tell(self, landed: Callable[[int, int, int], Awaitable[None]]) -> None:
        self._told.clear()
        while self._landed:
            await landed(*self._landed.popleft())

    def _work(self) -> None:
        """Receive and write, block by block; in the thread."""
        written_out = self._position
        while (room := min(self._end, self._stretch.end or self._end) - self._position) > 0:
            size = self._gather(self._buffer[: min(room, len(self._buffer))])
            if self._stretch.abandoned:
                return
            kept = max(0, min(size, (self._stretch.end or self._end) - self._position))
            self._part.write_here(self._position, self._buffer[:kept])
            self._landed.append((self._position, kept, size))
            self._loop.call_soon_threadsafe(self._told.set)
            self._position += size
            if self._position - written_out >= _WRITE_OUT_EACH:
                self._part.write_out(written_out, self._position - written_out)
                written_out = self._position

    def _gather(self, view: memoryview) -> int:
        """Fill a block, or what comes of it in a while; at least one byte."""
        filled, begun = 0, time.monotonic()
        while filled < len(view):
            received = 0 if self._tap.interrupted else self._tap.source.fill(view[filled:])
            now = time.monotonic()
            if received:
                filled, self._heard = filled + received, now
            elif filled:
                break  # the next call finds out why
            elif received == 0:
                raise ClientPayloadError("the connection was closed")
            elif now - self._heard >= self._timeout:
                raise SocketTimeoutError
            if filled and now - begun >= _TELL_EACH:
                break
        return filled
