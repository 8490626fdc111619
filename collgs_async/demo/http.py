"""One request and what was sent for it: the only place that writes to a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
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
_LOOK_EACH = 0.01


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What is known of one request.

    Attributes
    ----------
    method, path, query, headers
        As they came; header names in lower case, the path decoded, of repeated keys the first value.
    range
        The Range header; None without one.
    status
        What was answered; 0 while nothing was, or when no whole status line was sent.
    sent
        Bytes of the body that were written so far.
    at
        When the request came, by the monotonic clock, in seconds.
    posted
        The names of the form fields that were posted, never what was in them.
    port
        The client's end of the connection: equal for requests that came over the same one.
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
    """A response with the headers that it was given: no chunking where a length is missing, no type guessed."""

    # aiohttp chunks a body without Content-Length unless it is told not to look at lengths.
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
    """A request on its way, and the reply as far as it was sent.

    Parameters
    ----------
    request
        The request.
    pool
        Where files are read.
    rate
        Bytes a second for bodies that are files; None: as fast as the client takes them.

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
        self._at = time.monotonic()
        self._status = 0
        self._sent = 0
        self._pool = pool
        self._rate = rate

    def hit(self) -> RequestRecord:
        """Tell what is known at this moment."""
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
        """Send a reply; returns early, and in silence, when the client leaves."""
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
        """Write status line and headers here, since aiohttp refuses what is wrong with them."""
        transport = request.transport
        if transport is None:
            return web.Response()
        self._status = reply.status
        lines = [f"HTTP/1.1 {reply.status} OK", *(f"{name}: {value}" for name, value in reply.headers.items())]
        transport.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        async for data in self._pieces(reply):
            # A transport has no event for having room again.
            while transport.get_write_buffer_size() > _BLOCK and not transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EACH)
            transport.write(data)
            self._sent += len(data)
        await _end(request, reply.ending)
        _close(request)
        return web.Response()

    async def _pieces(self, reply: Response) -> AsyncIterator[bytes]:
        """Cut the body into pieces and hand on each one when it is due."""
        rate = self._rate if isinstance(reply.body, Piece) else None
        total = len(reply.body) if reply.keep is None else reply.keep
        slow = min(total, int(reply.trickle * _TRICKLE_RATE))
        async for data in self._paced(reply.body, 0, slow, _TRICKLE_RATE):
            yield data
        async for data in self._paced(reply.body, slow, total, rate):
            yield data

    async def _paced(self, body: bytes | Piece, first: int, stop: int, rate: float | None) -> AsyncIterator[bytes]:
        start = time.monotonic()
        size = _piece_size(rate)
        for block_start in range(first, stop, _BLOCK):
            block = await self._read(body, block_start, min(_BLOCK, stop - block_start))
            for position in range(0, len(block), size):
                data = block[position : position + size]
                if rate is not None:
                    # Before, not after: when the client has the last byte, the server must be done with it.
                    done = block_start + position + len(data) - first
                    await asyncio.sleep(start + done / rate - time.monotonic())
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
        # A reset throws away what is still on its way, and the third is meant to arrive.
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
