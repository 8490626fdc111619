"""Sign in: find the login form, post it once for all workers, and keep the cookies.

One worker signs in while the others wait. It uses a session of its own without cookies, since all workers may meet the
form at the same time, and their responses would overwrite each other's cookies. Once the login has succeeded, its
cookies replace those of the run's session.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from yarl import URL

from collgs_async.errors import AuthenticationError, TransferError
from collgs_async.http.links import exact_url
from collgs_async.http.messages import is_html
from collgs_async.http.network_errors import NETWORK_ERRORS, describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import FormData

    from collgs_async.http.credentials import Credentials
    from collgs_async.http.login_form import Form
    from collgs_async.http.session import HttpSession, LoginStep

__all__ = ["AuthAttempt", "Authenticator", "Identity"]

_MOST_ROUNDS: Final = 2
"""Maximum logins for one request; a third would not help either."""

_MOST_FAILURES: Final = 5
"""Consecutive logins without a response; the server may have counted each of them as a wrong password."""

_MOST_STEPS: Final = 10
_REPEATING: Final = frozenset({307, 308})
"""Redirects that repeat the request, and so would send the password again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The account that is signed in.

    Attributes
    ----------
    username
        User name of the accepted credentials.
    host
        Host that accepted them.
    """

    username: str
    host: str

    def __str__(self) -> str:
        """Describe it in one line."""
        return f"signed in as {self.username} at {self.host}"


class Authenticator:
    """Signs in when the store requires it: once for all workers, and never again with a refused password.

    Parameters
    ----------
    session
        The HTTP session of the run, which gets the cookies.
    host
        The catalogue's host; credentials may be sent to it and to its subdomains.
    credentials
        Looks up the credentials when they are needed; called in a thread. Returns None if there are none.
    auth_hosts
        Further hosts that credentials may be sent to, without their subdomains.

    Attributes
    ----------
    generation
        Number of logins so far; each request records it when it starts.
    """

    def __init__(
        self,
        session: HttpSession,
        host: str,
        credentials: Callable[[], Credentials | None],
        *,
        auth_hosts: Sequence[str] = (),
    ) -> None:
        self._http = session
        self._host = _normalized(host)
        self._credentials = credentials
        self._auth_hosts = frozenset(map(_normalized, auth_hosts))
        self._lock = asyncio.Lock()
        self._cookies: tuple[LoginStep, ...] = ()
        self._refusal = ""
        self._failure = TransferError("")
        self._failures = 0
        self._consecutive_failures = 0
        self.generation = 0

    def begin_attempt(self) -> AuthAttempt:
        """Return the login state of a new request."""
        return AuthAttempt(self)

    async def sign_in(self, url: str | URL, *, seen: int, stale: bool = False) -> int:
        """Sign in, unless that has happened since the request started; the caller then repeats the request.

        Parameters
        ----------
        url
            URL of the request that got a login form.
        seen
            The generation when that request started.
        stale
            Whether the request was sent with other cookies than those of that login.

        Returns
        -------
        int
            The current generation.

        Raises
        ------
        AuthenticationError
            There are no credentials, they were refused, or may not be sent to the form's host. Later calls raise the
            same error without posting anything.
        TransferError
            The connection or the server failed; up to five consecutive attempts are made. Workers that waited for this
            attempt get the same error.
        ConfigError
            The credentials cannot be read; see `find_credentials`.
        """
        failures = self._failures
        async with self._lock:
            if self._refusal:
                raise AuthenticationError(self._refusal)
            if self.generation > seen or stale:
                # The response to a request from before the login may have overwritten a cookie with an older one.
                self._http.set_login_cookies(self._cookies)
            elif self._failures > failures:
                raise TransferError(str(self._failure), retry_after=self._failure.retry_after)
            else:
                await self._sign_in(exact_url(url))
            return self.generation

    def has_login_cookies(self) -> bool:
        """Whether a request that starts now is sent with the cookies of the last login."""
        return self._http.has_login_cookies()

    async def authenticate(self, url: str | URL) -> Identity | None:
        """Sign in for `url` and return the account; None if the store serves the URL without a login.

        Raises
        ------
        AuthenticationError, TransferError, ConfigError
            As `sign_in`.
        """
        async with self._lock:
            if self._refusal:
                raise AuthenticationError(self._refusal)
            return await self._sign_in(exact_url(url))

    async def _sign_in(self, url: URL) -> Identity | None:
        try:
            async with self._http.fresh() as browser:
                flow = _LoginFlow(browser)
                accepted = await self._run_flow(flow, url)
        except AuthenticationError as error:
            self._refusal = str(error)
            raise
        except TransferError as error:
            self._failure = TransferError(str(error), retry_after=error.retry_after)
            self._failures += 1
            self._consecutive_failures += 1
            if self._consecutive_failures == _MOST_FAILURES:
                self._refusal = f"{error}; it is not tried again after {_MOST_FAILURES} failures in a row"
            raise
        self._consecutive_failures = 0
        self._cookies = tuple(flow.steps)
        self._http.set_login_cookies(self._cookies)
        self.generation += 1
        return accepted

    async def _run_flow(self, flow: _LoginFlow, url: URL) -> Identity | None:
        """Fetch the login form and post it; return None if there is no form."""
        page = await flow.follow(await flow.step(url))
        if not page.is_login_page:
            return None
        from collgs_async.http.login_form import find_form  # few runs meet a form, and its parser is slow to import

        form = find_form(page)
        if form is None:
            raise AuthenticationError(
                f"the store asks for a sign-in at {page.host}, with a form that is not understood"
            )
        self._require_trust(form)
        credentials = await asyncio.to_thread(self._credentials)
        if credentials is None:
            raise AuthenticationError(
                f"the store asks for a sign-in at {page.host}, and there are no credentials: set COLLGS_USERNAME and "
                f"COLLGS_PASSWORD, or add `machine {self._host} login NAME password WORD` to ~/.netrc"
            )
        self._http.keep_secret(credentials.password, credentials.username)
        await _post_form(credentials, form, flow, url)
        return Identity(credentials.username, form.action.host or "")

    def _require_trust(self, form: Form) -> None:
        """Raise unless the form's target is a trusted host, and the connection to it is encrypted."""
        host, scheme = _normalized(form.action.raw_host or ""), form.action.scheme
        below = host.endswith(f".{self._host}") and not _is_address(self._host)
        if host != self._host and not below and host not in self._auth_hosts:
            raise AuthenticationError(
                f"the sign-in form would send the password to {host or 'no host'}, expected {self._host} or a host "
                f"below it; nothing was sent; if you trust that host, name it in connection.auth_hosts"
            )
        if scheme != "https" and not (scheme == "http" and _is_loopback(host)):
            raise AuthenticationError(
                f"the sign-in form would send the password to {host} over {scheme}, expected https; nothing was sent"
            )


class AuthAttempt:
    """Login state of one request, over all its repetitions."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._seen = authenticator.generation
        self._stale = False
        self._retried_for = -1
        self._rounds = 0

    def on_request(self) -> None:
        """Record that the request, or its repetition after a redirect, is being sent."""
        self._stale |= not self._authenticator.has_login_cookies()

    async def sign_in(self, url: str | URL) -> None:
        """Sign in, because the response was a login form; the caller then repeats the request.

        Raises
        ------
        AuthenticationError
            As `Authenticator.sign_in`; also if this request got a form again after each of two logins.
        TransferError, ConfigError
            As `Authenticator.sign_in`.
        """
        if self._rounds == _MOST_ROUNDS:
            raise AuthenticationError(
                f"the store asks for a sign-in again, right after {_MOST_ROUNDS} that were accepted"
            )
        # Accept stale cookies as the reason once per login: workers that keep overwriting each other's cookies must
        # not repeat forever.
        stale = self._stale and self._retried_for != self._seen
        self._retried_for, self._stale = self._seen, False
        generation = await self._authenticator.sign_in(url, seen=self._seen, stale=stale)
        self._rounds += generation > self._seen
        self._seen = generation


class _LoginFlow:
    """The requests of one login, in order.

    Parameters
    ----------
    browser
        A new session without cookies, entered.
    """

    def __init__(self, browser: HttpSession) -> None:
        self._browser = browser
        self.steps: list[LoginStep] = []

    async def step(self, url: URL, form: FormData | None = None) -> LoginStep:
        """Make one request."""
        host, problem = url.host, ""
        try:
            self.steps.append(await self._browser.step(url, form))
        except NETWORK_ERRORS as error:
            problem = describe_error(error)
        if problem:
            # Raised outside of the except block and without the URL: the frames of a chained error would hold the
            # password and the cookies, this frame the session code.
            del url
            raise TransferError(f"the sign-in at {host} failed: {problem}")
        return self.steps[-1]

    async def follow(self, step: LoginStep, *, until: URL | None = None) -> LoginStep:
        """Follow redirects to the end, or up to the one whose target is `until`."""
        for _ in range(_MOST_STEPS):
            if step.target is None or step.target == until:
                return step
            step = await self.step(step.target)
        raise AuthenticationError(f"the sign-in has too many redirects: more than {_MOST_STEPS}")


async def _post_form(credentials: Credentials, form: Form, flow: _LoginFlow, asked: URL) -> None:
    """Post the form once, and check that it was accepted."""
    answer = await flow.step(form.action, form.filled(credentials.username, credentials.password))
    if answer.status in _REPEATING and answer.target is not None:
        raise AuthenticationError(
            f"{answer.host} asks for the password to be sent on to {answer.target.host} (HTTP {answer.status}), "
            "which is never done"
        )
    end = await flow.follow(answer, until=asked)
    if end.target is None:
        _require_success(end, credentials, posted=end is answer)


def _require_success(end: LoginStep, credentials: Credentials, *, posted: bool) -> None:
    """Raise unless the last page of a login shows success; `posted` if it is the response to the form itself."""
    from collgs_async.http.login_form import error_words

    words = error_words(end.body)
    if end.status >= 500 or end.status == 429:
        raise TransferError(
            f"the sign-in at {end.host} failed: HTTP {end.status}: {words}", retry_after=end.retry_after
        )
    if posted and end.is_login_page:
        raise AuthenticationError(
            f"the password for {credentials.username} was refused: {words}; "
            "it is not tried again, because accounts get locked"
        )
    # Any other page, such as one that asks for a second factor or a new password, needs a person.
    if posted or end.status in {400, 401} or (end.status == 200 and is_html(end.body)):
        raise AuthenticationError(
            f"the sign-in of {credentials.username} ended at {end.host} with HTTP {end.status}: {words}; "
            "try it in a browser"
        )


def _normalized(host: str) -> str:
    """Normalize a host name for comparison: lower case, IDNA, without a final dot."""
    name = host.strip().strip("[]").lower().removesuffix(".")
    try:
        return (URL.build(scheme="https", host=name).raw_host or "") if name else ""
    except ValueError:
        return name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
