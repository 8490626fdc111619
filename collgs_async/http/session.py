"""The HTTP session of a run: connections, redirects and cookies."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import urlsplit

import aiohttp

from collgs_async.errors import ConfigError
from collgs_async.http.body_reading import read_at_most
from collgs_async.http.connections import LONGEST_FIELD, MOST_FIELDS, CheckedConnector, SendableCookies, was_used_before
from collgs_async.http.links import join_link, with_parameters
from collgs_async.http.login_page import is_login_page
from collgs_async.http.network_errors import NETWORK_ERRORS, BadRedirectError, ProxyError
from collgs_async.http.proxies import Proxies
from collgs_async.http.retry import parse_retry_after
from collgs_async.http.tls import trusting
from collgs_async.models.redaction import forget_secret, keep_secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from http.cookies import SimpleCookie
    from pathlib import Path
    from types import TracebackType
    from typing import NotRequired, Self

    from yarl import URL

    from collgs_async.config.settings import Connection
    from collgs_async.http.auth import Authenticator
    from collgs_async.models.timing import Timing

__all__ = ["HttpSession", "LoginStep", "Session"]

_TIMEOUTS = 3
"""Number of time-outs within which response headers must be complete: to connect, to wait, and to receive them."""

_LEAST_RATE = 1000.0
"""Default minimum rate of a page, in bytes per second on average."""

_MOST_REDIRECTS = 10
_LARGEST_PAGE = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Route(TypedDict):
    """Proxy and TLS context of a request, as aiohttp's arguments."""

    proxy: str | None
    ssl: NotRequired[ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class LoginStep:
    """One response during a login; the repr shows only its status, since all else may be secret.

    Attributes
    ----------
    url
        The requested URL.
    target
        Redirect target; None if it is no redirect.
    body
        Beginning of the page.
    cookies
        Cookies that it sets.
    retry_after
        Retry-After in seconds; None if there is none.
    """

    status: int
    url: URL = field(repr=False)
    target: URL | None = field(repr=False)
    body: bytes = field(repr=False)
    cookies: SimpleCookie = field(repr=False)
    retry_after: float | None = None

    @property
    def host(self) -> str:
        """Name of the host that responded."""
        return self.url.host or ""

    @property
    def is_login_page(self) -> bool:
        """Whether it is a page with a login form."""
        return is_login_page(self.body)


class HttpSession:
    """One HTTP session, shared by the catalogue and the store.

    It has no connection limit, since the scheduler has one, and no total time-out for a response. It sends only
    credentials that it was given: aiohttp reads neither ``~/.netrc`` nor the environment.

    Parameters
    ----------
    connection
        Settings: time-outs, proxy, user agent and certificates.
    min_rate
        Minimum bytes per second, also for pages; None for 1000.
    rate_seconds
        Seconds for which a connection may stay below `min_rate`.
    """

    def __init__(self, connection: Connection, min_rate: float | None = None, *, rate_seconds: float = 30.0) -> None:
        self._settings = connection
        self._min_rate = min_rate
        self._rate_seconds = rate_seconds
        self._proxies = Proxies(connection.proxy)
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._sessions = AsyncExitStack()
        self._tls: ssl.SSLContext | None = None
        self._login_cookies: frozenset[tuple[str, str, str]] | None = None
        self._secrets: list[tuple[str, str]] = []

    async def __aenter__(self) -> Self:
        settings = self._settings
        for username, password in self._proxies.credentials():
            self.keep_secret(password, username)
        if settings.ca_file is not None:
            self._tls = _trusting(settings.ca_file)
        # With aiohttp's defaults, cookies of an IP address, and cookies that contain "/" and "=", would be lost.
        jar = SendableCookies(unsafe=True, quote_cookie=False)
        self._session = await self._sessions.enter_async_context(self._create_session(jar, force_close=False))
        self._fresh = await self._sessions.enter_async_context(self._create_session(jar, force_close=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for secret in self._secrets:
            forget_secret(*secret)
        self._secrets = []
        await self._sessions.aclose()

    def _create_session(self, jar: SendableCookies, *, force_close: bool) -> aiohttp.ClientSession:
        timeout = self._settings.timeout
        return aiohttp.ClientSession(
            connector=CheckedConnector(ssl=self._tls or True, force_close=force_close),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
            headers={"User-Agent": self._settings.user_agent_field},
            cookie_jar=jar,
            auto_decompress=False,
            trust_env=False,
            max_line_size=LONGEST_FIELD,
            max_field_size=LONGEST_FIELD,
            max_headers=MOST_FIELDS,
        )

    def keep_secret(self, secret: str, username: str) -> None:
        """Redact a password in all quoted server text, until this session is closed."""
        if (secret, username) not in self._secrets:
            self._secrets.append((secret, username))
            keep_secret(secret, username)

    def _entered(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        session = self._fresh if fresh else self._session
        if session is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        return session

    def _route_to(self, url: URL) -> _Route:
        """Return proxy and TLS context for a URL; the context is created on first use, as that takes a while."""
        proxy = self._proxies.proxy_for(url)
        if url.scheme != "https" and not (proxy or "").lower().startswith("https:"):
            return {"proxy": proxy}
        try:
            self._tls = self._tls or trusting()
        except OSError as error:
            raise ConnectionError(f"the system's certificates cannot be read ({error})") from error
        return {"proxy": proxy, "ssl": self._tls}

    def fresh(self) -> HttpSession:
        """Return a new session with the same settings and without cookies; the caller enters it."""
        return HttpSession(self._settings, self._min_rate, rate_seconds=self._rate_seconds)

    async def step(self, url: URL, form: aiohttp.FormData | None = None) -> LoginStep:
        """Make one request of a login, without following redirects: a GET, or a POST if there is a form.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The connection or the server failed; see `NETWORK_ERRORS`.
        """
        # If the URL serves the archive itself, one byte is enough.
        headers = {"Accept-Encoding": "identity", **({} if form else {"Range": "bytes=0-0"})}
        method = "POST" if form else "GET"
        async with await self._send(method, url, fresh=True, headers=headers, data=form) as response:
            target = _next_hop(response) if response.status in _REDIRECTS else None
            within = _TIMEOUTS * self._settings.timeout
            body = b"" if target else (await read_at_most(response, _LARGEST_PAGE, seconds=within))[0]
            wait = parse_retry_after(response.headers)
            return LoginStep(response.status, response.url, target, body, response.cookies, wait)

    async def _send(
        self, method: str, url: URL, *, fresh: bool, headers: Mapping[str, str], **options: Any
    ) -> aiohttp.ClientResponse:
        """Make one request and return once its response headers are complete; redirects are not followed.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The request failed; any other exception of aiohttp is converted to ClientError.
        """
        session, route = self._entered(fresh=fresh), self._route_to(url)
        try:
            async with asyncio.timeout(_TIMEOUTS * self._settings.timeout):
                return await session.request(method, url, headers=headers, allow_redirects=False, **route, **options)
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError):
            raise
        except NETWORK_ERRORS as error:
            if route["proxy"] is None:
                raise
            raise ProxyError(error, _host_and_port(route["proxy"])) from error
        except Exception as error:
            raise aiohttp.ClientError(f"a request could not be made ({type(error).__name__}: {error})") from error

    async def page(self, response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
        """Read at most `limit` bytes of a page, in bounded time; return them and whether that was all.

        The time limit is one time-out (half a minute with `min_rate`), plus one second for each 1000 (or `min_rate`)
        bytes received, and at most an hour.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The connection or the server failed, or is too slow; see `NETWORK_ERRORS`.
        """
        if self._min_rate is None:
            return await read_at_most(response, limit, seconds=self._settings.timeout, rate=_LEAST_RATE)
        return await read_at_most(response, limit, seconds=self._rate_seconds, rate=self._min_rate)

    def set_login_cookies(self, steps: Sequence[LoginStep]) -> None:
        """Replace the cookies of all hosts that took part in a login by those that they set, in order."""
        session = self._entered()
        jar = session.cookie_jar
        for step in steps:
            # Clear first: an old session may have had more cookies than the new one, and a mixture is invalid.
            jar.clear_domain(step.host)
        for step in steps:
            jar.update_cookies(step.cookies, step.url)
        self._login_cookies = self._cookies()

    def has_login_cookies(self) -> bool:
        """Whether the cookie jar still holds exactly the cookies of the last login."""
        return self._login_cookies is None or self._login_cookies == self._cookies()

    def _cookies(self) -> frozenset[tuple[str, str, str]]:
        return frozenset((cookie["domain"], cookie.key, cookie.value) for cookie in self._entered().cookie_jar)

    @asynccontextmanager
    async def get(
        self,
        url: str | URL,
        *,
        method: Literal["GET", "HEAD"] = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        decompress: bool = False,
        buffer: int = 2**16,
        fresh: bool = False,
        beginning: Callable[[], None] = lambda: None,
        doubting: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Request `url`, follow redirects, and yield the final response, whatever its status.

        Parameters
        ----------
        url, params, headers
            The request; all of the headers are sent with each redirect, too.
        decompress
            Whether the server may compress the body; never for archives, whose bytes are counted.
        buffer
            Bytes that may be received ahead of the reader.
        fresh
            Whether to use a new connection that serves no other request. Over a reused one, a response may at worst
            belong to an earlier request.
        beginning
            Called right before each request, up to the first response that sets cookies.
        doubting
            Called for each response that arrived over a reused connection.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The connection or the server failed; see `NETWORK_ERRORS`.
        """
        all_headers = {"Accept-Encoding": "gzip, deflate" if decompress else "identity", **(headers or {})}
        options = {"auto_decompress": decompress, "read_bufsize": buffer}
        try:
            target = with_parameters(url, params or {})
        except ValueError as error:
            raise BadRedirectError(f"its address is no URL ({error})") from error
        changed = False
        for _ in range(_MOST_REDIRECTS + 1):
            if not changed:
                beginning()
            async with await self._send(method, target, fresh=fresh, headers=all_headers, **options) as response:
                if was_used_before(response):
                    doubting()
                if response.status not in _REDIRECTS:
                    yield response
                    return
                changed = changed or bool(response.cookies)
                target = _next_hop(response)
        raise BadRedirectError(f"more than {_MOST_REDIRECTS} redirects, the last one to {target.host}")


@dataclass(frozen=True, slots=True)
class Session:
    """What all requests of a client share; each module that makes requests takes one.

    Attributes
    ----------
    http
        Sends the requests; shared by the catalogue and the store.
    auth
        Logs in where a server requires it.
    retries
        Consecutive attempts before a request fails.
    timing
        Clock and sleep of all pauses.
    """

    http: HttpSession
    auth: Authenticator
    retries: int
    timing: Timing


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return trusting(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"connection.ca_file: expected certificates in PEM form, found {ca_file} ({error})"
        ) from error


def _host_and_port(proxy: str) -> str:
    parts = urlsplit(proxy)
    return f"{parts.hostname}:{parts.port or {'http': 80}.get(parts.scheme, 443)}"


def _next_hop(response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location")
    if not location:
        raise BadRedirectError(f"HTTP {response.status} without a Location")
    try:
        target = join_link(response.url, location)
    except ValueError as error:
        raise BadRedirectError(f"redirect to something that is no URL ({error})") from error
    if not target.host:
        raise BadRedirectError(f"redirect to {target.scheme}:, which is not followed")
    if response.url.scheme == "https" and target.scheme == "http":
        raise BadRedirectError(f"redirect from https to http ({target.host}), which is not followed")
    return target
