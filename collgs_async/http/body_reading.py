"""Read response bodies with time-outs of our own, because aiohttp's timers do not cover every wait."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from collgs_async.http.connections import FramingError
from collgs_async.http.network_errors import NETWORK_ERRORS
from collgs_async.models.text import format_rate

if TYPE_CHECKING:
    from aiohttp import ClientResponse

__all__ = ["next_bytes", "read_at_most", "read_what_comes"]

_LONGEST: Final = 3600.0
"""Maximum seconds for a body that is read as a whole."""


async def next_bytes(response: ClientResponse) -> bytes:
    """Return the received bytes, or wait for some; empty at the end of the body.

    Raises
    ------
    aiohttp.ClientError, TimeoutError, ConnectionError
        The connection or the server failed, or nothing arrived within the connection's time-out.
    """
    content = response.content
    try:
        if chunk := content.read_nowait():
            return chunk
        async with asyncio.timeout(_seconds(response)):
            return await content.readany()
    except NETWORK_ERRORS:
        raise
    except Exception as error:
        raise FramingError(f"its body cannot be read ({type(error).__name__}: {error})") from error


def _seconds(response: ClientResponse) -> float | None:
    """Return the time-out of the response's connection; None once the body is complete and it has no connection."""
    protocol = response.connection.protocol if response.connection else None
    return None if protocol is None else protocol.read_timeout  # `is None`: a protocol with an empty queue is falsy


async def read_at_most(
    response: ClientResponse, limit: int, *, seconds: float | None = None, rate: float = math.inf
) -> tuple[bytes, bool]:
    """Read at most `limit` bytes of the body; return them and whether that was all.

    Parameters
    ----------
    seconds
        Time limit for the whole body; None for none.
    rate
        Bytes per second: the time limit is extended by one second for each so many bytes received, up to an hour.
        Infinite for no extension.

    Raises
    ------
    aiohttp.ClientError, TimeoutError, ConnectionError
        As for `next_bytes`; also if the body arrives too slowly.
    """
    body = bytearray()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(seconds) as limited:
            whole = False
            while len(body) <= limit and not whole:
                chunk = await next_bytes(response)
                whole = not chunk
                body += chunk
                if seconds is not None:
                    limited.reschedule(begun + min(_LONGEST, seconds + len(body) / rate))
    except TimeoutError as error:
        if not limited.expired() or not body:
            raise
        taken = loop.time() - begun
        raise ConnectionError(f"only {format_rate(len(body) / taken)} over {taken:.0f} s") from error
    return bytes(body[:limit]), whole


async def read_what_comes(response: ClientResponse, limit: int, *, seconds: float) -> bytes:
    """Read at most `limit` bytes of an error page within `seconds`; network errors only end it early."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(body) < limit and (chunk := await next_bytes(response)):
                body += chunk
    except NETWORK_ERRORS:
        pass  # the status alone is sufficient for a message
    return bytes(body[:limit])
