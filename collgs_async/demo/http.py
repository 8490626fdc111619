"""Record a request and send its response; the only module that writes to a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from collgs_async.demo.responses import Ending, Piece

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from concurrent.futures import Executor

    from collgs_async.demo.responses import Response

__all__ = ["ExactResponse", "Exchange", "RequestRecord"]

_BLOCK = 1 << 20
_LARGEST_PACED_PIECE = 1 << 16
_PACED_PIECES_A_SECOND = 20
_TRICKLE_RATE = 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)
_FLIGHT_SECONDS = 0.05
_POLL_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A record of one request.

    Attributes
    ----------
    method, path, query, headers
        As received; header names in lower case, the path decoded, of repeated keys the first value.
    range
        The Range header; None without one.
    status
        The status of the response; 0 while there is none, or when no whole status line was sent.
    sent
        Bytes of the body written so far.
    at
        The time of the request by the event loop's clock, in seconds.
    posted
        The names of the form fields that were posted, never their values.
    port
        The client's port, equal for requests over the same connection.
    """

    method: str
    path: str
    query: Mapping[str, str]
    range: str | None
    headers: Mapping[str, str]
    status: int
    sent: int
    at: float
    posted: tuple[str, ...] = ()
    port: int = 0


class ExactResponse(web.StreamResponse):
    """A response with exactly the given headers: no chunking where a length is missing, no default type."""

    # Without a length, aiohttp would chunk the body unless this check is disabled.
    _length_check = False

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self._typed = hdrs.CONTENT_TYPE in headers
        if hdrs.CONTENT_LENGTH not in headers:
            self.force_close()

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        if not self._typed:
            self.headers.popall(hdrs.CONTENT_TYPE, None)


class Exchange:
    """A request in progress, and its response as far as it was sent.

    Parameters
    ----------
    request
        The request.
    pool
        Executor for reading files.
    rate
        Bytes per second for bodies that are files; None: unlimited.

    Attributes
    ----------
    posted
        The names of the form fields that were posted, once they were read.
    """

    def __init__(self, request: web.Request, pool: Executor, rate: float | None) -> None:
        self.method = request.method
        self.path = request.path
        self.headers = {sys.intern(name.lower()): sys.intern(value) for name, value in request.headers.items()}
        self.posted: tuple[str, ...] = ()
        self._port = request.get_extra_info("peername", ("", 0))[1]
        self._query = {name: request.query[name] for name in request.query}
        self._at = asyncio.get_running_loop().time()
        self._status = 0
        self._sent = 0
        self._pool = pool
        self._rate = rate

    def record(self) -> RequestRecord:
        """Return a record of the current state."""
        return RequestRecord(
            method=self.method,
            path=self.path,
            query=self._query,
            range=self.headers.get("range"),
            headers=self.headers,
            status=self._status,
            sent=self._sent,
            at=self._at,
            posted=self.posted,
            port=self._port,
        )

    async def send(self, request: web.Request, reply: Response) -> web.StreamResponse:
        """Send a response; return early when the client disconnects."""
        if reply.status == 0:
            return self._send_raw(request, reply)
        if reply.unchecked:
            return await self._send_unchecked(request, reply)
        response = ExactResponse(reply.status, reply.headers)
        self._status = reply.status
        try:
            await response.prepare(request)
            if self.method != hdrs.METH_HEAD:
                async for data in self._pieces(reply):
                    await response.write(data)
                    self._sent += len(data)
                if reply.after and request.transport is not None:
                    request.transport.write(reply.after)
                await _end(request, reply.ending)
        except ConnectionError:
            _close(request)
        return response

    def _send_raw(self, request: web.Request, reply: Response) -> web.StreamResponse:
        if request.transport is not None and isinstance(reply.body, bytes):
            request.transport.write(reply.body)
        _close(request)
        return web.Response()

    async def _send_unchecked(self, request: web.Request, reply: Response) -> web.StreamResponse:
        """Write status line and headers directly, since aiohttp refuses invalid ones."""
        transport = request.transport
        if transport is None:
            return web.Response()
        self._status = reply.status
        lines = [f"HTTP/1.1 {reply.status} OK", *(f"{name}: {value}" for name, value in reply.headers.items())]
        transport.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        async for data in self._pieces(reply):
            # A transport has no event for free space in its buffer.
            while transport.get_write_buffer_size() > _BLOCK and not transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_INTERVAL)
            transport.write(data)
            self._sent += len(data)
        await _end(request, reply.ending)
        _close(request)
        return web.Response()

    async def _pieces(self, reply: Response) -> AsyncIterator[bytes]:
        """Yield the body in pieces, each when it is due."""
        rate = self._rate if isinstance(reply.body, Piece) else None
        total = len(reply.body) if reply.keep is None else reply.keep
        slow = min(total, int(reply.trickle * _TRICKLE_RATE))
        async for data in self._paced(reply.body, 0, slow, _TRICKLE_RATE):
            yield data
        async for data in self._paced(reply.body, slow, total, rate):
            yield data

    async def _paced(self, body: bytes | Piece, first: int, stop: int, rate: float | None) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        size = _piece_size(rate)
        for block_start in range(first, stop, _BLOCK):
            block = await self._read(body, block_start, min(_BLOCK, stop - block_start))
            for position in range(0, len(block), size):
                data = block[position : position + size]
                if rate is not None:
                    # Before, not after: when the client has the last byte, the server must be done with it.
                    done = block_start + position + len(data) - first
                    await asyncio.sleep(start + done / rate - loop.time())
                yield data

    async def _read(self, body: bytes | Piece, offset: int, length: int) -> bytes:
        if isinstance(body, bytes):
            return body[offset : offset + length]
        return await asyncio.get_running_loop().run_in_executor(self._pool, body.read, offset, length)


def _piece_size(rate: float | None) -> int:
    if rate is None:
        return _BLOCK
    return max(1, min(_LARGEST_PACED_PIECE, int(rate / _PACED_PIECES_A_SECOND)))


async def _end(request: web.Request, ending: Ending) -> None:
    if ending is Ending.CLOSED:
        _close(request)
    elif ending is Ending.RESET:
        # A reset discards what is in transit, but the first third is meant to arrive.
        await asyncio.sleep(_FLIGHT_SECONDS)
        _reset(request)
    elif ending is Ending.SILENT:
        await asyncio.Event().wait()


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.Request) -> None:
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        request.transport.abort()
