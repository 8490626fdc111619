"""The body of an answer, read so that every wait for more of it ends, whatever aiohttp's own timers do."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

import aiohttp

from collgs_async.http.connections import FramingError
from collgs_async.models.text import format_rate

if TYPE_CHECKING:
    from aiohttp import ClientResponse

__all__ = ["NETWORK_ERRORS", "next_bytes", "read_at_most", "read_what_comes"]

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""What aiohttp raises when the line or the other end fails, and nothing that the disk raises."""

_LONGEST: Final = 3600.0
"""Seconds that any body takes that is read as a whole."""


async def next_bytes(response: ClientResponse) -> bytes:
    """Give the bytes that have come, or wait for some; none are the end of the body.

    Raises
    ------
    aiohttp.ClientError, TimeoutError, ConnectionError
        The line or the other end failed, or nothing came within the connection's time-out.
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
    """Give the time-out of the answer's connection; None once it has none, because all has come."""
    protocol = response.connection.protocol if response.connection else None
    return None if protocol is None else protocol.read_timeout  # an empty queue of answers, as it is, counts as false


async def read_at_most(
    response: ClientResponse, limit: int, *, seconds: float | None = None, rate: float = math.inf
) -> tuple[bytes, bool]:
    """Read the body, but no more than `limit` bytes of it; tell whether that was all.

    Parameters
    ----------
    response, limit
        The answer, and how many bytes are taken.
    seconds
        How long all of it may take; None: as long as it goes on coming.
    rate
        Bytes a second, for which it may take longer: one second more for each so many bytes that have come, an hour
        at the most. Infinite: no longer.

    Raises
    ------
    aiohttp.ClientError, TimeoutError, ConnectionError
        As for `next_bytes`; also where it comes too slowly.
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
    """Read what comes of a body in so many seconds, at most `limit` bytes, however it ends: the words of an error."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(body) < limit and (chunk := await next_bytes(response)):
                body += chunk
    except NETWORK_ERRORS:
        pass  # the answer's status says enough
    return bytes(body[:limit])
