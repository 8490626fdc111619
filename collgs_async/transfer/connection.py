"""An answer's connection, taken over from aiohttp: the way to its bytes for a thread that waits for them itself.

The event loop would copy each byte three times more, and wake up for each handful of packets. aiohttp reads the headers
and the first bytes; then its connection is taken over, and never given back. Over TLS the thread goes on with the
state that asyncio's own protocol has built up. Where any of that is not as we know it (another event loop, TLS within
TLS, a body of unknown length), there is no tap, and the bytes go through the event loop as before.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, cast

from aiohttp import ClientOSError, ClientPayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientResponse, StreamReader

__all__ = ["WAIT", "BodyConnection"]

WAIT: Final = 0.5
"""Seconds after which whoever waits for bytes is given what has come: slow lines move visibly, too."""

_KNOWN_TRANSPORT: Final = getattr(asyncio.selector_events, "_SelectorSocketTransport", None)
"""The only way of asyncio to a socket that is known to leave it alone while reading is paused."""

_RAW: Final = 64 * 1024
"""Bytes of TLS records that are taken from the socket at once."""

_RECORD: Final = 17 * 1024
"""Bytes that one of them may have, with all that is around them (RFC 8446 §5.2)."""

_TURN: Final = 8 * 2**20
"""Bytes after which whoever decrypts lets others have their turn."""


class _Source(Protocol):
    """Where the body's bytes come from; `block` is how many are best taken at once, at most."""

    block: int

    def fill(self, view: memoryview) -> int | None:
        """Put bytes into a buffer; 0: there are no more. None: none came for a while."""

    def pause(self, *, end: bool = False) -> None:
        """Let others go on, since the bytes have been written, or are not wanted at the end."""


class _NoSource:
    """A body of which all has come."""

    block = 1

    def fill(self, view: memoryview) -> int | None:  # noqa: ARG002 - there is nothing to put there
        return 0

    def pause(self, *, end: bool = False) -> None:
        pass


class _PlainSource:
    """A connection without encryption.

    Parameters
    ----------
    connection
        The socket, blocking, with a time-out of `WAIT`.
    """

    block = 1024 * 1024

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fill(self, view: memoryview) -> int | None:
        return _received(self._socket, view)

    def pause(self, *, end: bool = False) -> None:
        pass  # the interpreter is in nobody's way for long


class _Turns:
    """Who decrypts: one thread at a time, in the order of asking.

    Each record lets go of the interpreter, and threads that take it from each other after each of them cost more than
    they gain, on however many cores.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self) -> None:
        """Wait for one's turn."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        called.acquire()

    def give(self) -> None:
        """Give it to whoever waits longest; left to itself, a lock goes to who asks for it again at once."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


_turns = _Turns()
if hasattr(os, "register_at_fork"):
    # Whoever had the turn has not come along.
    os.register_at_fork(after_in_child=_turns.__init__)  # type: ignore[misc]


class _TlsSource:
    """A connection whose records are decrypted here.

    Parameters
    ----------
    connection
        As for `_PlainSource`.
    tls, incoming
        The state of asyncio's own protocol, and the buffer that it decrypts from.
    """

    block = 256 * 1024  # larger ones cost memory and gain nothing, since there are many in a turn

    def __init__(self, connection: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> None:
        self._socket = connection
        self._read = cast("Callable[[int, memoryview], int]", tls.read)
        self._incoming = incoming
        self._raw = memoryview(bytearray(_RAW))
        self._has_turn = False
        self._in_turn = 0

    def fill(self, view: memoryview) -> int | None:
        enough, filled = time.monotonic() + WAIT, 0
        while True:
            filled, ended = self._decrypt_in_turn(view, filled)
            if ended or filled == len(view):
                return filled  # and keeps the turn until the bytes are written
            self._give_turn()
            # More than must still come may never come; a piece of a record may be here already.
            wanted = self._raw[: max(1, len(view) - filled - _RECORD)]
            try:
                received = _received(self._socket, wanted) if time.monotonic() < enough else None
            except OSError:
                if not filled:
                    raise
                return filled  # the next call meets the end of the line
            if not received:
                return filled or received  # bytes may trickle, and still make no whole record
            self._incoming.write(self._raw[:received])

    def pause(self, *, end: bool = False) -> None:
        if end or self._in_turn >= _TURN:
            self._give_turn()

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _turns.give()

    def _decrypt_in_turn(self, view: memoryview, filled: int) -> tuple[int, bool]:
        if not self._has_turn:
            _turns.take()
            self._has_turn, self._in_turn = True, 0
        before = filled
        filled, ended = self._decrypt(view, filled)
        self._in_turn += filled - before
        return filled, ended

    def _decrypt(self, view: memoryview, filled: int) -> tuple[int, bool]:
        """Decrypt what has come, until the buffer is full; tell how full it is, and whether nothing more will come."""
        read, incoming, size, dry = self._read, self._incoming, len(view), False
        try:
            # One record a call at most, 16 KiB: what else is done for each of them is felt.
            while filled < size:
                if not dry and incoming.pending < _RECORD:
                    dry = not self._top_up()
                try:
                    count = read(size - filled, view[filled:])
                except ssl.SSLWantReadError:  # which costs as much as a record, so that it is not asked in vain
                    if dry:
                        break
                else:
                    if not count:
                        return filled, True
                    filled += count
        except OSError as error:
            if filled:
                return filled, True  # the next call meets it again, or the end of the line
            if isinstance(error, ssl.SSLError):
                raise ConnectionError(error.reason or "TLS failed") from error
            raise _line_trouble(error) from error
        return filled, False

    def _top_up(self) -> bool:
        """Take from the socket what has come; False: nothing has, or nothing will any more."""
        try:
            received = self._socket.recv_into(self._raw, 0, socket.MSG_DONTWAIT)
        except OSError as error:
            if not (isinstance(error, BlockingIOError) or self._incoming.pending):
                raise
            return False  # of a line that broke, what came before is taken first; the next call meets it again
        self._incoming.write(self._raw[:received])
        return received > 0


def _received(connection: socket.socket, view: memoryview) -> int | None:
    """Wait until the buffer is full, or take what came in a while; None: nothing did."""
    try:
        # The system gathers it without waking us for each packet.
        return connection.recv_into(view, len(view), socket.MSG_WAITALL)
    except BlockingIOError:
        return None
    except OSError as error:
        raise _line_trouble(error) from error


def _line_trouble(error: OSError) -> OSError:
    """Tell what the line does wrong from what the disk does."""
    return error if isinstance(error, ConnectionError | TimeoutError) else ClientOSError(error.errno, error.strerror)


def _drained(content: StreamReader) -> bytearray:
    """Take all that aiohttp has received; each read may let its parser go on with what it kept back."""
    head = bytearray()
    while chunk := content.read_nowait():
        head += chunk
    return head


class BodyConnection:
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
    def on(cls, response: ClientResponse) -> BodyConnection | None:
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
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", *divmod(int(WAIT * 1e6), 10**6)))
        if tls is None or incoming is None:
            return cls(head, _PlainSource(own), own)
        return cls(head, _TlsSource(own, tls, incoming), own)

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
