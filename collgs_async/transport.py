"""The HTTP session and its manners: connections, redirects, proxies, and when to try again."""

from __future__ import annotations

import asyncio
import math
import os
import random
import ssl
import time
import urllib.request
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from yarl import URL

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.config import Connection

__all__ = [
    "LONGEST_WAIT",
    "NETWORK_ERRORS",
    "Patience",
    "Transport",
    "describe",
    "read_at_most",
    "retry_after",
    "retrying",
]

LONGEST_WAIT = 900.0
"""Seconds; a server that asks to wait longer has in effect said no."""

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""What aiohttp raises when the line or the other end fails, and nothing that the disk raises."""

_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class BadRedirectError(aiohttp.ClientError):
    """The server sends us round in circles, or to where we do not go."""


class Transport:
    """One HTTP session, shared by the catalogue and the store.

    It has no limit of connections of its own (the run has one), no limit of time for a whole answer, and sends
    no credentials that it was not told to send: aiohttp reads neither ``~/.netrc`` nor the environment.

    Parameters
    ----------
    connection
        Time-outs, proxy, user agent and certificates.
    """

    def __init__(self, connection: Connection) -> None:
        self._settings = connection
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        tls: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            tls = _trusting(settings.ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.timeout, sock_read=settings.timeout),
            headers={"User-Agent": settings.user_agent},
            # A sign-in on an IP address, or a cookie with "/" and "=", would be lost with the defaults.
            cookie_jar=aiohttp.CookieJar(unsafe=True, quote_cookie=False),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None  # noqa: S101 - entered before it is left
        await self._session.close()

    @asynccontextmanager
    async def get(
        self,
        url: str | URL,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        decompress: bool = False,
        buffer: int = 2**16,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for `url`, follow redirects, and hand out the final answer, whatever its status.

        Parameters
        ----------
        url, params, headers
            What to ask for; the headers go along each redirect.
        decompress
            Whether the server may compress the body; never for archives, whose bytes are counted.
        buffer
            Bytes that may be received ahead of the reader.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The line or the other end failed; see `NETWORK_ERRORS`.
        """
        assert self._session is not None, "enter the transport first"  # noqa: S101
        encoding = {"Accept-Encoding": "gzip, deflate" if decompress else "identity"}
        target = URL(url).update_query(params) if params else URL(url)
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._session.get(
                target,
                headers={**encoding, **(headers or {})},
                allow_redirects=False,
                auto_decompress=decompress,
                proxy=proxy_for(target, self._settings.proxy),
                read_bufsize=buffer,
            ) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                target = _next_hop(response)
        raise BadRedirectError(f"more than {_MOST_REDIRECTS} redirects, the last one to {target.host}")


def _trusting(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"connection.ca_file: expected certificates in PEM form, found {ca_file} ({error})"
        ) from error
    return context


def _next_hop(response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location")
    if not location:
        raise BadRedirectError(f"HTTP {response.status} without a Location")
    try:
        target = response.url.join(URL(location))
    except ValueError as error:
        raise BadRedirectError(f"redirect to something that is no URL ({error})") from error
    if target.scheme not in {"http", "https"} or not target.host:
        raise BadRedirectError(f"redirect to {target.scheme or 'nowhere'}:, which is not followed")
    if response.url.scheme == "https" and target.scheme == "http":
        raise BadRedirectError(f"redirect from https to http ({target.host}), which is not followed")
    return target


def proxy_for(url: URL, configured: str | None) -> str | None:
    """Choose the proxy: the configured one, else ``HTTP(S)_PROXY`` unless ``NO_PROXY`` names the host.

    Read here rather than by aiohttp, whose ``trust_env`` would also send ``~/.netrc`` along.
    """
    if configured:
        return configured
    if url.host is None or urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get(url.scheme)


def describe(error: BaseException) -> str:
    """Say in plain words what a network error was."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return "no connection within the time-out"
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "no byte within the time-out"
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted ({error.certificate_error})"
        case aiohttp.ClientConnectorDNSError():
            return f"the host {error.host} is not known"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port} ({_reason(error.os_error)})"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the connection broke in the middle"
        case aiohttp.ClientResponseError():
            return f"an answer that is not HTTP ({error.message or error.status})"
        case ConnectionError():
            return f"the connection broke ({_reason(error)})"
    return str(error) or type(error).__name__


def _reason(error: OSError) -> str:
    """Give the system's own words; asyncio's repeat the address."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (RFC 9110 §10.2.3) as seconds from now; None when missing or senseless."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """Read the body, but no more than `limit` bytes of it; tell whether that was all."""
    body = bytearray()
    while len(body) <= limit:
        chunk = await response.content.readany()
        if not chunk:
            return bytes(body), True
        body += chunk
    return bytes(body[:limit]), False


class Patience:
    """How often to try again, and how long to wait before: tenacity's ``after``, ``stop`` and ``wait``.

    What counts is tries in a row that brought nothing new. One that moved the product on, if only by a byte,
    starts the count again: a line that drops every minute for a day still finishes a large file.

    Parameters
    ----------
    tries
        Fruitless tries in a row after which to give up; 0 and 1 both mean the first one.
    """

    def __init__(self, tries: int) -> None:
        self._tries = max(1, tries)
        self._fruitless = 0
        self._fruitful = False

    def progressed(self) -> None:
        """Take note that this try has brought something new."""
        self._fruitful = True

    def after(self, _: RetryCallState) -> None:
        """Count the try that has just failed."""
        self._fruitless = 0 if self._fruitful else self._fruitless + 1
        self._fruitful = False

    def stop(self, _: RetryCallState) -> bool:
        """Tell whether it is time to give up."""
        return self._fruitless >= self._tries

    def wait(self, state: RetryCallState) -> float:
        """Seconds to wait: what the server asked for, else a growing random time of at most a minute."""
        failure = state.outcome.exception() if state.outcome else None
        asked: float | None = getattr(failure, "retry_after", None)
        if asked is not None:
            return asked + random.uniform(0, min(1.0, asked / 10))
        # Full jitter, so that many workers that failed together do not come back together.
        return random.uniform(0, min(60.0, math.ldexp(1.0, min(self._fruitless, 6))))


def retrying(
    patience: Patience,
    *,
    worth_it: Callable[[BaseException], bool],
    before_sleep: Callable[[RetryCallState], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncRetrying:
    """Build the loop that tries again where `worth_it` says that it can help; all else passes through."""
    return AsyncRetrying(
        retry=retry_if_exception(worth_it),
        after=patience.after,
        stop=patience.stop,
        wait=patience.wait,
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
