"""Read the bytes of a response body from a blocking socket, in a thread, and decrypt them if it has TLS."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, cast

from aiohttp import ClientOSError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NoSource", "PlainSource", "Source", "TlsSource", "Turns"]

_RAW: Final = 64 * 1024
"""Maximum bytes of TLS records read from the socket at once."""

_RECORD: Final = 17 * 1024
"""Maximum size of one TLS record with its header, in bytes (RFC 8446 §5.2)."""

_TURN: Final = 8 * 2**20
"""Bytes after which a thread passes the decryption turn to the next one."""


class Source(Protocol):
    """Source of the body's bytes; `block` is the best size of a read buffer, in bytes."""

    block: int

    def fill(self, view: memoryview) -> int | None:
        """Read into a buffer and return the number of bytes; 0 at the end, None if none arrived in time."""

    def pause(self, *, end: bool = False) -> None:
        """Release the decryption turn after a write, or at the end of the body."""


class NoSource:
    """Source for a body that has been received completely."""

    block = 1

    def fill(self, view: memoryview) -> int | None:  # noqa: ARG002 - there is nothing to read
        """Return 0, which is the end."""
        return 0

    def pause(self, *, end: bool = False) -> None:
        """Do nothing."""


class PlainSource:
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
        """Read into a buffer; see `Source`."""
        return _receive_into(self._socket, view)

    def pause(self, *, end: bool = False) -> None:
        """Do nothing, since without decryption there is no turn to release."""


class Turns:
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


_turns = Turns()
if hasattr(os, "register_at_fork"):
    # The thread that held the turn does not exist in the child.
    os.register_at_fork(after_in_child=_turns.__init__)  # type: ignore[misc]


class TlsSource:
    """Source for a TLS connection; decrypts the records itself.

    Parameters
    ----------
    connection
        As for `PlainSource`.
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
        """Read and decrypt into a buffer; see `Source`. The turn is kept until `pause`."""
        enough, filled = time.monotonic() + self._wait, 0
        while True:
            filled, ended = self._decrypt_in_turn(view, filled)
            if ended or filled == len(view):
                return filled  # with the turn, until the bytes are written
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
        """Release the turn at the end, or after as many bytes as are worth it."""
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
