"""Exceptions of failed requests, and their description for messages."""

from __future__ import annotations

import os
from typing import Final

import aiohttp

from collgs_async.http.connections import FramingError
from collgs_async.http.messages import printable
from collgs_async.models.redaction import redacted

__all__ = ["NETWORK_ERRORS", "BadRedirectError", "ProxyError", "describe_error", "is_away", "is_permanent", "root_of"]

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""Exceptions that aiohttp raises if the connection or the server fails; the disk raises none of them."""

_LONGEST_WORDS: Final = 300
"""Maximum characters quoted from a response."""


_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"}
)
"""Reasons that OpenSSL gives when the other end answers with something that is not TLS."""

_UNKNOWN_ISSUER: Final = frozenset({18, 19, 20, 21})
"""Codes of certificates that are signed by themselves or by an unknown authority (``X509_V_ERR_*`` in x509_vfy.h)."""


class BadRedirectError(aiohttp.ClientError):
    """A redirect loop, or a redirect to a URL that is not followed."""


class ProxyError(aiohttp.ClientError):
    """A request failed on the way through a proxy, and it may be the proxy that failed.

    Parameters
    ----------
    error
        The error itself.
    address
        Host and port of the proxy.
    """

    def __init__(self, error: BaseException, address: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.address = address

    def is_at(self, host: str) -> bool:
        """Whether this host is the proxy."""
        return self.address.rpartition(":")[0] == host


def root_of(error: BaseException) -> BaseException:
    """Return the error itself, without the proxy on the way."""
    return error.error if isinstance(error, ProxyError) else error


def is_permanent(error: BaseException) -> bool:
    """Whether the same request would fail in the same way: the TLS of the two ends does not fit, or a proxy forbids."""
    match error := root_of(error):
        case aiohttp.ClientHttpProxyError():
            return error.status in {403, 405, 407, 501}
        case aiohttp.ClientConnectorSSLError():
            return _speaks_no_tls(error)
    return isinstance(error, aiohttp.ClientConnectorCertificateError)


def _speaks_no_tls(error: aiohttp.ClientConnectorError) -> bool:
    return getattr(error.os_error, "reason", None) in _NO_TLS


def is_away(error: BaseException) -> bool:
    """Whether an error means that the server is unreachable, rather than that its response is invalid."""
    error = root_of(error)
    own_proxy = isinstance(error, aiohttp.ClientHttpProxyError)
    answered = isinstance(error, FramingError | aiohttp.ClientResponseError | aiohttp.ClientConnectorCertificateError)
    never_asked = type(error) is aiohttp.ClientError  # the request could not even be made
    return own_proxy or not (answered or never_asked)


def describe_error(error: BaseException) -> str:
    """Describe a network error for a message, without known secrets."""
    return redacted(_described(error))


def _described(error: BaseException) -> str:
    if isinstance(error, ProxyError):
        inner = _described(error.error)
        is_own = isinstance(error.error, aiohttp.ClientConnectorError) and error.is_at(error.error.host)
        return f"{inner}; that is the proxy" if is_own else f"{inner}, through the proxy {error.address}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_connected(error)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "no connection within the time-out"
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "no byte within the time-out"
        case FramingError():
            return f"an answer that is not HTTP ({error})"
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
        case ConnectionError() | aiohttp.ClientOSError():
            return f"the connection broke ({_reason(error)})"
    return str(error) or type(error).__name__


def _not_connected(error: aiohttp.ClientConnectorError) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(error.certificate_error)
        case aiohttp.ClientConnectorDNSError():
            return f"the host {error.host} is not known"
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy {error.host}:{error.port} ({_reason(error.os_error)})"
        case aiohttp.ClientConnectorSSLError() if _speaks_no_tls(error):
            return f"{error.host}:{error.port} does not speak TLS; does its address begin with http: and not https:?"
    return f"no connection to {error.host}:{error.port} ({_reason(error.os_error)})"


def _untrusted(error: Exception) -> str:
    """Describe a certificate error, and name the setting where it can help."""
    reason = getattr(error, "verify_message", "") or str(error)
    words = f"its certificate is not trusted ({reason.rstrip('.')})"
    if getattr(error, "verify_code", None) in _UNKNOWN_ISSUER:
        return f"{words}; if it is right, name the certificate to trust with --ca-file (connection.ca_file)"
    return words


def _in_a_line(words: str) -> str:
    """Join the message of aiohttp's parser into one line; it marks the quoted bytes with an arrow below them."""
    return printable(redacted(" ".join(words.replace("^", " ").split())))[:_LONGEST_WORDS]


def _reason(error: OSError) -> str:
    """Return the system's description of an error, since that of asyncio repeats the address."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
