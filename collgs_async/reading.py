"""The body of an answer, read so that every wait for more of it ends, whatever aiohttp's own timers do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from collgs_async.connections import FramingError

if TYPE_CHECKING:
    from aiohttp import ClientResponse

__all__ = ["NETWORK_ERRORS", "next_bytes", "read_at_most", "read_what_comes"]

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""What aiohttp raises when the line or the other end fails, and nothing that the disk raises."""


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
    return protocol.read_timeout if protocol else None


async def read_at_most(response: ClientResponse, limit: int, *, seconds: float | None = None) -> tuple[bytes, bool]:
    """Read the body, but no more than `limit` bytes of it; tell whether that was all.

    Parameters
    ----------
    response, limit
        The answer, and how many bytes are taken.
    seconds
        How long all of it may take; None: as long as it goes on coming.

    Raises
    ------
    aiohttp.ClientError, TimeoutError, ConnectionError
        As for `next_bytes`.
    """
    body = bytearray()
    async with asyncio.timeout(seconds):
        whole = await _read_into(body, response, limit)
    return bytes(body[:limit]), whole


async def read_what_comes(response: ClientResponse, limit: int, *, seconds: float) -> bytes:
    """Read what comes of a body in so many seconds, at most `limit` bytes, however it ends: the words of an error."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            await _read_into(body, response, limit)
    except NETWORK_ERRORS:
        pass  # the answer's status says enough
    return bytes(body[:limit])


async def _read_into(body: bytearray, response: ClientResponse, limit: int) -> bool:
    while len(body) <= limit:
        chunk = await next_bytes(response)
        if not chunk:
            return True
        body += chunk
    return False
