"""Exceptions of failed requests, and their description for messages."""

from __future__ import annotations

import os
from typing import Final

import aiohttp

from collgs_async.http.connections import FramingError
from collgs_async.http.messages import printable
from collgs_async.models.redaction import redacted

__all__ = ["NETWORK_ERRORS", "BadRedirectError", "describe_error", "is_away"]

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""Exceptions that aiohttp raises if the connection or the server fails; the disk raises none of them."""

_LONGEST_WORDS: Final = 300
"""Maximum characters quoted from a response."""


class BadRedirectError(aiohttp.ClientError):
    """A redirect loop, or a redirect to a URL that is not followed."""


def is_away(error: BaseException) -> bool:
    """Whether an error means that the server is unreachable, rather than that its response is invalid."""
    own_proxy = isinstance(error, aiohttp.ClientHttpProxyError)
    answered = isinstance(error, FramingError | aiohttp.ClientResponseError | aiohttp.ClientConnectorCertificateError)
    never_asked = type(error) is aiohttp.ClientError  # the request could not even be made
    return own_proxy or not (answered or never_asked)


def describe_error(error: BaseException) -> str:
    """Describe a network error for a message, without known secrets."""
    return redacted(_described(error))


def _described(error: BaseException) -> str:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "no connection within the time-out"
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "no byte within the time-out"
        case FramingError():
            return f"an answer that is not HTTP ({error})"
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted ({error.certificate_error})"
        case aiohttp.ClientConnectorDNSError():
            return f"the host {error.host} is not known"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port} ({_reason(error.os_error)})"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            _, undecodable, coding = str(error).partition("decode content-encoding:")
            broken = "the connection broke in the middle"
            return f"a body that is not as its Content-Encoding says ({_in_a_line(coding)})" if undecodable else broken
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused: HTTP {error.status} {error.message}"
        case aiohttp.ClientResponseError():
            return f"an answer that is not HTTP ({_in_a_line(error.message) or error.status})"
        case ConnectionError():
            return f"the connection broke ({_reason(error)})"
    return str(error) or type(error).__name__


def _in_a_line(words: str) -> str:
    """Join the message of aiohttp's parser into one line; it marks the quoted bytes with an arrow below them."""
    return printable(redacted(" ".join(words.replace("^", " ").split())))[:_LONGEST_WORDS]


def _reason(error: OSError) -> str:
    """Return the system's description of an error, since that of asyncio repeats the address."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
