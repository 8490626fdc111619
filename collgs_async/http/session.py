"""The HTTP session and its manners: connections, redirects, cookies, and what its errors mean."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import aiohttp

from collgs_async.errors import ConfigError
from collgs_async.http.body_reading import NETWORK_ERRORS, read_at_most
from collgs_async.http.connections import CheckedConnector, FramingError, SendableCookies, was_used_before
from collgs_async.http.links import join_link, with_parameters
from collgs_async.http.messages import is_html, is_login_page, printable
from collgs_async.http.proxies import Proxies
from collgs_async.http.retry import parse_retry_after
from collgs_async.http.tls import trusting
from collgs_async.models.redaction import forget_secret, keep_secret, redacted

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from http.cookies import SimpleCookie
    from pathlib import Path
    from types import TracebackType
    from typing import NotRequired, Self

    from yarl import URL

    from collgs_async.config.settings import Connection

__all__ = [
    "NETWORK_ERRORS",
    "BadRedirectError",
    "HttpSession",
    "LoginStep",
    "describe_error",
    "is_away",
    "read_at_most",
]

_TIMEOUTS = 3
"""Time-outs within which the head of an answer must be complete: one to connect, one to wait, and one for its bytes."""

_LEAST_RATE = 1000.0
"""Bytes a second of a page, on average, below which a line is of no use."""

_RATE_WINDOW = 30.0
"""Seconds for which a line may be slower than it was asked to be."""

_LONGEST_WORDS = 300
"""Characters that are quoted of an answer."""

_MOST_REDIRECTS = 10
_LARGEST_PAGE = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Way(TypedDict):
    """How to get to a host, in aiohttp's words."""

    proxy: str | None
    ssl: NotRequired[ssl.SSLContext]


class BadRedirectError(aiohttp.ClientError):
    """The server sends us round in circles, or to where we do not go."""


@dataclass(frozen=True, slots=True)
class LoginStep:
    """One answer on the way through a sign-in; nothing of it is shown, for all of it may be secret.

    Attributes
    ----------
    status
        The HTTP status.
    url
        Who answered.
    target
        Where it redirects to; None: nowhere.
    body
        The beginning of its page.
    cookies
        What it sets.
    retry_after
        Seconds that the server asked to wait; None when it did not say.
    """

    status: int
    url: URL = field(repr=False)
    target: URL | None = field(repr=False)
    body: bytes = field(repr=False)
    cookies: SimpleCookie = field(repr=False)
    retry_after: float | None = None

    @property
    def host(self) -> str:
        """Who answered, by name."""
        return self.url.host or ""

    @property
    def asks_to_sign_in(self) -> bool:
        """Whether it is a page with a sign-in form."""
        return is_html(self.body) and is_login_page(self.body)


class HttpSession:
    """One HTTP session, shared by the catalogue and the store.

    It has no limit of connections of its own (the run has one), no limit of time for a whole answer, and sends
    no credentials that it was not told to send: aiohttp reads neither ``~/.netrc`` nor the environment.

    Parameters
    ----------
    connection
        Time-outs, proxy, user agent and certificates.
    min_rate
        Bytes a second that pages must come at, too; None: 1000, which any line has.
    """

    def __init__(self, connection: Connection, min_rate: float | None = None) -> None:
        self._settings = connection
        self._min_rate = min_rate
        self._proxies = Proxies(connection.proxy)
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._sessions = AsyncExitStack()
        self._tls: ssl.SSLContext | None = None
        self._adopted: frozenset[tuple[str, str, str]] | None = None
        self._secrets: list[tuple[str, str]] = []

    async def __aenter__(self) -> Self:
        settings = self._settings
        for username, password in self._proxies.credentials():
            self.keep_secret(password, username)
        if settings.ca_file is not None:
            self._tls = _trusting(settings.ca_file)
        # A sign-in on an IP address, or a cookie with "/" and "=", would be lost with the defaults.
        jar = SendableCookies(unsafe=True, quote_cookie=False)
        self._session = await self._sessions.enter_async_context(self._made_session(jar, force_close=False))
        self._fresh = await self._sessions.enter_async_context(self._made_session(jar, force_close=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for secret in self._secrets:
            forget_secret(*secret)
        self._secrets = []
        await self._sessions.aclose()

    def _made_session(self, jar: SendableCookies, *, force_close: bool) -> aiohttp.ClientSession:
        timeout = self._settings.timeout
        return aiohttp.ClientSession(
            connector=CheckedConnector(ssl=self._tls or True, force_close=force_close),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
            headers={"User-Agent": self._settings.user_agent},
            cookie_jar=jar,
            auto_decompress=False,
            trust_env=False,
        )

    def keep_secret(self, secret: str, username: str) -> None:
        """Show a password in no server's words as long as this session lasts."""
        if (secret, username) not in self._secrets:
            self._secrets.append((secret, username))
            keep_secret(secret, username)

    def _entered(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        session = self._fresh if fresh else self._session
        if session is None:
            raise RuntimeError("use it as an asynchronous context manager: async with ...")
        return session

    def _way_to(self, url: URL) -> _Way:
        """Choose the proxy for a URL, and what TLS needs to know, which takes a while to read."""
        proxy = self._proxies.proxy_for(url)
        if url.scheme != "https" and not (proxy or "").lower().startswith("https:"):
            return {"proxy": proxy}
        try:
            self._tls = self._tls or trusting()
        except OSError as error:
            raise ConnectionError(f"the system's certificates cannot be read ({error})") from error
        return {"proxy": proxy, "ssl": self._tls}

    def fresh(self) -> HttpSession:
        """Make another one with the same settings and no cookies yet; it is to be entered."""
        return HttpSession(self._settings, self._min_rate)

    async def step(self, url: URL, form: aiohttp.FormData | None = None) -> LoginStep:
        """Make one request and follow nothing: a GET, or with a form its POST.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The line or the other end failed; see `NETWORK_ERRORS`.
        """
        # Of an archive one byte is enough.
        headers = {"Accept-Encoding": "identity", **({} if form else {"Range": "bytes=0-0"})}
        method = "POST" if form else "GET"
        async with await self._answer(method, url, fresh=True, headers=headers, data=form) as response:
            target = _next_hop(response) if response.status in _REDIRECTS else None
            within = _TIMEOUTS * self._settings.timeout
            body = b"" if target else (await read_at_most(response, _LARGEST_PAGE, seconds=within))[0]
            wait = parse_retry_after(response.headers)
            return LoginStep(response.status, response.url, target, body, response.cookies, wait)

    async def _answer(
        self, method: str, url: URL, *, fresh: bool, headers: Mapping[str, str], **options: Any
    ) -> aiohttp.ClientResponse:
        """Make one request and wait for the head of its answer, in bounded time; redirects are not followed.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            Also for whatever else aiohttp raises about an answer that it did not expect.
        """
        session, way = self._entered(fresh=fresh), self._way_to(url)
        try:
            async with asyncio.timeout(_TIMEOUTS * self._settings.timeout):
                return await session.request(method, url, headers=headers, allow_redirects=False, **way, **options)
        except NETWORK_ERRORS:
            raise
        except Exception as error:
            raise aiohttp.ClientError(f"a request could not be made ({type(error).__name__}: {error})") from error

    async def page(self, response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
        """Read a page, but no more than `limit` bytes of it, in bounded time; tell whether that was all.

        It may take a time-out (or with `min_rate` half a minute), one second more for each 1000 (or `min_rate`) bytes
        that have come, and an hour at the most.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The line or the other end failed, or is too slow; see `NETWORK_ERRORS`.
        """
        if self._min_rate is None:
            return await read_at_most(response, limit, seconds=self._settings.timeout, rate=_LEAST_RATE)
        return await read_at_most(response, limit, seconds=_RATE_WINDOW, rate=self._min_rate)

    def set_login_cookies(self, steps: Sequence[LoginStep]) -> None:
        """Replace the cookies of all hosts that answered by those that they set, in their order."""
        session = self._entered()
        jar = session.cookie_jar
        for step in steps:
            # The second piece of an old session would spoil a new one that has only one.
            jar.clear_domain(step.host)
        for step in steps:
            jar.update_cookies(step.cookies, step.url)
        self._adopted = self._cookies()

    def has_login_cookies(self) -> bool:
        """Whether a request that begins now takes along what was adopted, and nothing that an answer set since."""
        return self._adopted is None or self._adopted == self._cookies()

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
        """Ask for `url`, follow redirects, and hand out the final answer, whatever its status.

        Parameters
        ----------
        url, params, headers
            What to ask for; the headers go along each redirect.
        method
            HEAD asks for everything but the body.
        decompress
            Whether the server may compress the body; never for archives, whose bytes are counted.
        buffer
            Bytes that may be received ahead of the reader.
        fresh
            Whether to take a connection that has served no other request, and will serve none. Over a used one an
            answer may, at the worst, be that to another request.
        beginning
            Called right before each request on the way, up to the first answer that sets cookies.
        doubting
            Called when an answer on the way came over a used connection.

        Raises
        ------
        aiohttp.ClientError, TimeoutError, ConnectionError
            The line or the other end failed; see `NETWORK_ERRORS`.
        """
        asked = {"Accept-Encoding": "gzip, deflate" if decompress else "identity", **(headers or {})}
        options = {"auto_decompress": decompress, "read_bufsize": buffer}
        try:
            target = with_parameters(url, params or {})
        except ValueError as error:
            raise BadRedirectError(f"its address is no URL ({error})") from error
        changed = False
        for _ in range(_MOST_REDIRECTS + 1):
            _check_hostname(target)
            if not changed:
                beginning()
            async with await self._answer(method, target, fresh=fresh, headers=asked, **options) as response:
                if was_used_before(response):
                    doubting()
                if response.status not in _REDIRECTS:
                    yield response
                    return
                changed = changed or bool(response.cookies)
                target = _next_hop(response)
        raise BadRedirectError(f"more than {_MOST_REDIRECTS} redirects, the last one to {target.host}")


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return trusting(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"connection.ca_file: expected certificates in PEM form, found {ca_file} ({error})"
        ) from error


def _check_hostname(url: URL) -> None:
    """Refuse a name that no resolver can look up; the resolver itself would raise something unheard of."""
    try:
        (url.raw_host or "").encode("idna")
    except UnicodeError as error:
        raise BadRedirectError(f"{url.host!r} is no name of a host") from error


def _next_hop(response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location")
    if not location:
        raise BadRedirectError(f"HTTP {response.status} without a Location")
    try:
        target = join_link(response.url, location)
    except ValueError as error:
        raise BadRedirectError(f"redirect to something that is no URL ({error})") from error
    if target.scheme not in {"http", "https"} or not target.host:
        raise BadRedirectError(f"redirect to {target.scheme or 'nowhere'}:, which is not followed")
    if response.url.scheme == "https" and target.scheme == "http":
        raise BadRedirectError(f"redirect from https to http ({target.host}), which is not followed")
    return target


def is_away(error: BaseException) -> bool:
    """Tell a server that cannot be reached from one that is there, and is not what it should be."""
    own_proxy = isinstance(error, aiohttp.ClientHttpProxyError)
    answered = isinstance(error, FramingError | aiohttp.ClientResponseError | aiohttp.ClientConnectorCertificateError)
    never_asked = type(error) is aiohttp.ClientError  # the request could not even be made
    return own_proxy or not (answered or never_asked)


def describe_error(error: BaseException) -> str:
    """Say in plain words what a network error was, without known secrets."""
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
    """Write the words of aiohttp's parser in a line: it draws an arrow below the bytes that it quotes."""
    return printable(redacted(" ".join(words.replace("^", " ").split())))[:_LONGEST_WORDS]


def _reason(error: OSError) -> str:
    """Give the system's own words; asyncio's repeat the address."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
