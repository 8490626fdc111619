"""Read what asyncio and aiohttp keep private, in the versions that are known.

No documented call returns the TLS state of a connection, or what aiohttp had received before a connection failed. With
any other version, and wherever a type is not as expected, the functions here return nothing; then bodies are read
through the event loop, and bytes that a failed connection left in aiohttp are requested again.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp

if TYPE_CHECKING:
    from aiohttp import StreamReader
    from aiohttp.client_proto import ResponseHandler

__all__ = ["Layers", "are_known", "holds_back", "is_known_loop", "layers_of", "unread_bytes"]

_OLDEST_PYTHON: Final = (3, 11)
_NEWEST_PYTHON: Final = (3, 14)
"""The newest supported Python. The tests were run with 3.11 to 3.13; the types are checked with each."""

_AIOHTTP: Final = "3.14."

_KNOWN_TRANSPORT: Final = getattr(asyncio.selector_events, "_SelectorSocketTransport", None)
"""The only asyncio transport that is known not to touch its socket while reading is paused."""


class Layers(NamedTuple):
    """The layers of a connection.

    Attributes
    ----------
    transport
        The transport that owns the socket.
    tls, incoming
        The TLS state of asyncio's protocol above it, and the buffer that it decrypts from; None without TLS.
    """

    transport: asyncio.Transport
    tls: ssl.SSLObject | None
    incoming: ssl.MemoryBIO | None


def are_known(python: tuple[int, int], implementation: str, aiohttp_version: str) -> bool:
    """Whether these versions keep what is read here as it is expected."""
    known_python = implementation == "cpython" and _OLDEST_PYTHON <= python <= _NEWEST_PYTHON
    return known_python and aiohttp_version.startswith(_AIOHTTP)


_KNOWN: Final = are_known(sys.version_info[:2], sys.implementation.name, aiohttp.__version__)


def is_known_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the connections of this event loop are such as `layers_of` knows."""
    return _KNOWN and isinstance(loop, asyncio.SelectorEventLoop)


def layers_of(transport: asyncio.Transport, protocol: ResponseHandler) -> Layers | None:
    """Return the layers of a connection; None if it is not a TCP connection of asyncio's own, with TLS at most once."""
    layer = getattr(transport, "_ssl_protocol", None)
    below = transport if layer is None else getattr(layer, "_transport", None)
    expected = type(below) is _KNOWN_TRANSPORT and hasattr(protocol, "_reading_paused")
    if not _KNOWN or below is None or not expected:
        return None
    if layer is None:
        return Layers(below, None, None)
    tls, incoming = getattr(layer, "_sslobj", None), getattr(layer, "_incoming", None)
    if not (isinstance(tls, ssl.SSLObject) and isinstance(incoming, ssl.MemoryBIO)):
        return None
    return Layers(below, tls, incoming)


def holds_back(protocol: ResponseHandler) -> bool:
    """Whether aiohttp has received more of a body than it has passed on."""
    return bool(getattr(protocol, "_reading_paused", True))


def unread_bytes(content: StreamReader) -> bytes:
    """Return what aiohttp had received when the connection failed; its public methods only raise from then on."""
    chunks = getattr(content, "_buffer", None) if _KNOWN else None
    return b"".join(chunks or ())[getattr(content, "_buffer_offset", 0) :]
