"""Take a response's connection over from aiohttp, so that a receiver thread can read the body from the socket.

Through the event loop, each byte would be copied three more times, and the loop would wake up for each few packets.
aiohttp reads the headers and the first bytes; then its connection is taken over, and never returned. With TLS, the
thread continues with the TLS state of asyncio's own protocol. If anything about the connection is not as expected
(another event loop, TLS within TLS, a body of unknown length), it is not taken over, and the body is read through the
event loop.
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

__all__ = ["BodyConnection"]

_KNOWN_TRANSPORT: Final = getattr(asyncio.selector_events, "_SelectorSocketTransport", None)
"""The only asyncio transport that is known not to touch its socket while reading is paused."""

_RAW: Final = 64 * 1024
"""Maximum bytes of TLS records read from the socket at once."""

_RECORD: Final = 17 * 1024
"""Maximum size of one TLS record with its header, in bytes (RFC 8446 §5.2)."""

_TURN: Final = 8 * 2**20
"""Bytes after which a thread passes the decryption turn to the next one."""


class _Source(Protocol):
    """Source of the body's bytes; `block` is the best size of a read buffer, in bytes."""

    block: int

    def fill(self, view: memoryview) -> int | None:
        """Read into a buffer and return the number of bytes; 0 at the end, None if none arrived in time."""

    def pause(self, *, end: bool = False) -> None:
        """Release the decryption turn after a write, or at the end of the body."""


class _NoSource:
    """Source for a body that has been received completely."""

    block = 1

    def fill(self, view: memoryview) -> int | None:  # noqa: ARG002 - there is nothing to read
        return 0

    def pause(self, *, end: bool = False) -> None:
        pass


class _PlainSource:
    """Source for an unencrypted connection.

    Parameters
    ----------
    connection
        The socket, blocking, with a time-out after which a read returns what has been received.
    """

    block = 1024 * 1024

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fill(self, view: memoryview) -> int | None:
        return _receive_into(self._socket, view)

    def pause(self, *, end: bool = False) -> None:
        pass  # without decryption there is no turn to release


class _Turns:
    """A fair lock around decryption: one thread at a time, in the order of the requests.

    OpenSSL releases the GIL for each record. Threads that decrypt in parallel would contend for it after every 16 KiB,
    which costs more than parallel decryption gains, on any number of cores.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self) -> None:
        """Wait for the turn."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        called.acquire()

    def give(self) -> None:
        """Pass the turn to the thread that has waited longest; a plain lock would often go back to the same thread."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


_turns = _Turns()
if hasattr(os, "register_at_fork"):
    # The thread that held the turn does not exist in the child.
    os.register_at_fork(after_in_child=_turns.__init__)  # type: ignore[misc]


class _TlsSource:
    """Source for a TLS connection; decrypts the records itself.

    Parameters
    ----------
    connection
        As for `_PlainSource`.
    tls, incoming
        The TLS state of asyncio's protocol, and the buffer that it decrypts from.
    wait
        The socket's time-out, in seconds.
    """

    block = 256 * 1024  # larger blocks cost memory without being faster, since one turn covers many of them

    def __init__(self, connection: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, wait: float) -> None:
        self._socket = connection
        self._read = cast("Callable[[int, memoryview], int]", tls.read)
        self._incoming = incoming
        self._wait = wait
        self._raw = memoryview(bytearray(_RAW))
        self._has_turn = False
        self._in_turn = 0

    def fill(self, view: memoryview) -> int | None:
        enough, filled = time.monotonic() + self._wait, 0
        while True:
            filled, ended = self._decrypt_in_turn(view, filled)
            if ended or filled == len(view):
                return filled  # the turn is kept until the bytes are written
            self._give_turn()
            # Never wait for more than the peer certainly still sends: part of a record may be buffered already.
            wanted = self._raw[: max(1, len(view) - filled - _RECORD)]
            try:
                received = _receive_into(self._socket, wanted) if time.monotonic() < enough else None
            except OSError:
                if not filled:
                    raise
                return filled  # the next call raises the error again
            if not received:
                return filled or received  # bytes may arrive without completing a record
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
        """Decrypt what has been received until the buffer is full; return its fill level and whether the body ended."""
        read, incoming, size, dry = self._read, self._incoming, len(view), False
        try:
            # Each call returns at most one record of 16 KiB, so any overhead in this loop is noticeable.
            while filled < size:
                if not dry and incoming.pending < _RECORD:
                    dry = not self._top_up()
                try:
                    count = read(size - filled, view[filled:])
                except ssl.SSLWantReadError:  # costs as much as a record, so the loop tops up before it can happen
                    if dry:
                        break
                else:
                    if not count:
                        return filled, True
                    filled += count
        except OSError as error:
            if filled:
                return filled, True  # the next call meets the error again, or the end of the connection
            if isinstance(error, ssl.SSLError):
                raise ConnectionError(error.reason or "TLS failed") from error
            raise _as_network_error(error) from error
        return filled, False

    def _top_up(self) -> bool:
        """Read what the socket has received, without waiting; return False if there is nothing."""
        try:
            received = self._socket.recv_into(self._raw, 0, socket.MSG_DONTWAIT)
        except OSError as error:
            if not (isinstance(error, BlockingIOError) or self._incoming.pending):
                raise
            return False  # decrypt what arrived before a reset first; the next call meets the error again
        self._incoming.write(self._raw[:received])
        return received > 0


def _receive_into(connection: socket.socket, view: memoryview) -> int | None:
    """Read until the buffer is full or the socket's time-out has passed; return None if nothing arrived."""
    try:
        # MSG_WAITALL lets the kernel fill the buffer without waking this thread for each packet.
        return connection.recv_into(view, len(view), socket.MSG_WAITALL)
    except BlockingIOError:
        return None
    except OSError as error:
        raise _as_network_error(error) from error


def _as_network_error(error: OSError) -> OSError:
    """Convert a socket's error to a network error, so that it is not mistaken for one of the disk."""
    return error if isinstance(error, ConnectionError | TimeoutError) else ClientOSError(error.errno, error.strerror)


def _read_buffered(content: StreamReader) -> bytearray:
    """Return all that aiohttp has received; a loop, as each read may let the parser continue with held-back data."""
    head = bytearray()
    while chunk := content.read_nowait():
        head += chunk
    return head


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

    def __init__(self, head: bytearray, source: _Source, connection: socket.socket | None) -> None:
        self.head = head
        self.source = source
        self.interrupted = False
        self._socket = connection

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
            return None  # no file descriptor is left
        head = _read_buffered(response.content)
        if response.content.is_eof():
            own.close()
            return cls(head, _NoSource(), None)  # the connection is back in aiohttp's pool
        if getattr(protocol, "_reading_paused", True):
            own.close()
            raise ClientPayloadError("aiohttp keeps back what it has received")
        protocol.pause_reading()
        below.pause_reading()
        own.setblocking(True)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", *divmod(int(wait * 1e6), 10**6)))
        if tls is None or incoming is None:
            return cls(head, _PlainSource(own), own)
        return cls(head, _TlsSource(own, tls, incoming, wait), own)

    def interrupt(self) -> None:
        """Shut the connection down, which wakes a thread that waits for its bytes."""
        self.interrupted = True
        if self._socket is not None:
            with suppress(OSError):  # the peer has closed it already
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; no thread may read from it any more."""
        if self._socket is not None:
            self._socket.close()
