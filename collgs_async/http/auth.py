"""The sign-in: find the form, post it once for all workers, keep the cookies (protocol §8).

One worker signs in while the others wait. It walks through the sign-in like a browser that was just opened, with
cookies of its own: those of the workers, which run into the form all at once, overwrite each other half-way. Only
when it has arrived do its cookies become those of the run.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from yarl import URL

from collgs_async.errors import AuthenticationError, TransferError
from collgs_async.http.body_reading import NETWORK_ERRORS
from collgs_async.http.links import exact_url
from collgs_async.http.login_form import error_words, find_form
from collgs_async.http.messages import is_html
from collgs_async.http.session import HttpSession, LoginStep, describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import FormData

    from collgs_async.http.credentials import Credentials
    from collgs_async.http.login_form import Form

__all__ = ["AuthAttempt", "Authenticator", "Identity"]

_MOST_ROUNDS: Final = 2
"""Sign-ins that one request may cost; a third would not help it either."""

_MOST_FAILURES: Final = 5
"""Sign-ins in a row that came to no answer; the server may have counted each of them as a wrong password."""

_MOST_STEPS: Final = 10
_LARGEST_PAGE: Final = 256 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REPEATING: Final = frozenset({307, 308})
"""Redirects that ask for the same request again, with the password in it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who one is.

    Attributes
    ----------
    username
        Whose credentials were accepted.
    host
        Who accepted them.
    """

    username: str
    host: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"signed in as {self.username} at {self.host}"


class Authenticator:
    """Signs in when the store asks for it: once for all workers, and never again with a refused password.

    Parameters
    ----------
    transport
        The HTTP session of the run, whose cookies are kept.
    host
        The catalogue's host: credentials go to it and to its subdomains.
    credentials
        Looks credentials up, in a thread, when they are needed; it gives None when there are none.
    auth_hosts
        Other hosts that credentials may go to; their subdomains are not meant.

    Attributes
    ----------
    generation
        How many sign-ins there were; a request notes it before it begins.
    """

    def __init__(
        self,
        session: HttpSession,
        host: str,
        credentials: Callable[[], Credentials | None],
        *,
        auth_hosts: Sequence[str] = (),
    ) -> None:
        self._session = session
        self._host = _plain(host)
        self._credentials = credentials
        self._others = frozenset(map(_plain, auth_hosts))
        self._turn = asyncio.Lock()
        self._cookies: tuple[LoginStep, ...] = ()
        self._refusal = ""
        self._failure = TransferError("")
        self._failures = 0
        self._in_a_row = 0
        self.generation = 0

    def begin_attempt(self) -> AuthAttempt:
        """Begin a request that may be answered by a sign-in form."""
        return AuthAttempt(self)

    async def sign_in(self, url: str | URL, *, seen: int, spoilt: bool = False) -> int:
        """Sign in, unless that has happened since the request began; then repeat the request.

        Parameters
        ----------
        url
            What was asked for, and answered by a form.
        seen
            The generation when that request began.
        spoilt
            Whether it went out with other cookies than those of that sign-in.

        Returns
        -------
        int
            The generation now.

        Raises
        ------
        AuthenticationError
            There are no credentials, they were refused, or they may not go where the form would send them. Whoever
            asks afterwards is told the same, and nothing is posted any more.
        TransferError
            The line or the server failed; another try may help, up to five in a row. Those who waited meanwhile
            fail with it.
        ConfigError
            The credentials cannot be read; see `find_credentials`.
        """
        failures = self._failures
        async with self._turn:
            if self._refusal:
                raise AuthenticationError(self._refusal)
            if self.generation > seen or spoilt:
                # An answer to what was asked before the sign-in has brought an older cookie, or may just have.
                self._session.set_login_cookies(self._cookies)
            elif self._failures > failures:
                raise TransferError(str(self._failure), retry_after=self._failure.retry_after)
            else:
                await self._sign_in(exact_url(url))
            return self.generation

    def keeps_cookies(self) -> bool:
        """Whether a request that begins now has the cookies of the last sign-in."""
        return self._session.has_login_cookies()

    async def authenticate(self, url: str | URL) -> Identity | None:
        """Sign in for `url` and say who one is; None when the store hands it out without a sign-in.

        Raises
        ------
        AuthenticationError, TransferError, ConfigError
            As `sign_in`.
        """
        async with self._turn:
            if self._refusal:
                raise AuthenticationError(self._refusal)
            return await self._sign_in(exact_url(url))

    async def _sign_in(self, url: URL) -> Identity | None:
        try:
            async with self._session.fresh() as browser:
                walk = _LoginFlow(browser)
                accepted = await self._pass(walk, url)
        except AuthenticationError as error:
            self._refusal = str(error)
            raise
        except TransferError as error:
            self._failure = TransferError(str(error), retry_after=error.retry_after)
            self._failures += 1
            self._in_a_row += 1
            if self._in_a_row == _MOST_FAILURES:
                self._refusal = f"{error}; it is not tried again after {_MOST_FAILURES} failures in a row"
            raise
        self._in_a_row = 0
        self._cookies = tuple(walk.steps)
        self._session.set_login_cookies(self._cookies)
        self.generation += 1
        return accepted

    async def _pass(self, walk: _LoginFlow, url: URL) -> Identity | None:
        """Go to the form and through it; None when there is none."""
        page = await walk.follow(await walk.step(url))
        if not page.asks_to_sign_in:
            return None
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
        self._session.keep_secret(credentials.password, credentials.username)
        await _present(credentials, form, walk, url)
        return Identity(credentials.username, form.action.host or "")

    def _require_trust(self, form: Form) -> None:
        """Refuse to post a password to strangers, or where anybody on the way can read it."""
        host, scheme = _plain(form.action.raw_host or ""), form.action.scheme
        below = host.endswith(f".{self._host}") and not _is_address(self._host)
        if host != self._host and not below and host not in self._others:
            raise AuthenticationError(
                f"the sign-in form would send the password to {host or 'no host'}, expected {self._host} or a host "
                f"below it; nothing was sent; if you trust that host, name it in connection.auth_hosts"
            )
        if scheme != "https" and not (scheme == "http" and _is_loopback(host)):
            raise AuthenticationError(
                f"the sign-in form would send the password to {host} over {scheme}, expected https; nothing was sent"
            )


class AuthAttempt:
    """One request's dealings with the sign-in, over all its repetitions.

    Parameters
    ----------
    authenticator
        Who signs in.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._seen = authenticator.generation
        self._spoilt = False
        self._forgiven = -1
        self._rounds = 0

    def on_request(self) -> None:
        """Take note that the request, or its repetition after a redirect, goes out now."""
        self._spoilt |= not self._authenticator.keeps_cookies()

    async def sign_in(self, url: str | URL) -> None:
        """Deal with a form in place of `url`; then the request is to be repeated.

        Raises
        ------
        AuthenticationError
            As `Authenticator.sign_in`; also when this request met a form again after each of two sign-ins.
        TransferError, ConfigError
            As `Authenticator.sign_in`.
        """
        if self._rounds == _MOST_ROUNDS:
            raise AuthenticationError(
                f"the store asks for a sign-in again, right after {_MOST_ROUNDS} that were accepted"
            )
        # Once for each sign-in: workers that go on spoiling each other's cookies must not go round for ever.
        spoilt = self._spoilt and self._forgiven != self._seen
        self._forgiven, self._spoilt = self._seen, False
        generation = await self._authenticator.sign_in(url, seen=self._seen, spoilt=spoilt)
        self._rounds += generation > self._seen
        self._seen = generation


class _LoginFlow:
    """A browser's way through a sign-in, step by step.

    Parameters
    ----------
    browser
        Without cookies yet; entered.
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
            # The frames of a chained error would hold the password and the cookies, this one the session's code.
            del url
            raise TransferError(f"the sign-in at {host} failed: {problem}")
        return self.steps[-1]

    async def follow(self, step: LoginStep, *, until: URL | None = None) -> LoginStep:
        """Follow redirects to their end, or to the one that leads to `until`."""
        for _ in range(_MOST_STEPS):
            if step.target is None or step.target == until:
                return step
            step = await self.step(step.target)
        raise AuthenticationError(f"the sign-in leads round in circles: more than {_MOST_STEPS} redirects")


async def _present(credentials: Credentials, form: Form, walk: _LoginFlow, asked: URL) -> None:
    """Post the form once, and see that it was accepted."""
    answer = await walk.step(form.action, form.filled(credentials.username, credentials.password))
    if answer.status in _REPEATING and answer.target is not None:
        raise AuthenticationError(
            f"{answer.host} asks for the password to be sent on to {answer.target.host} (HTTP {answer.status}), "
            "which is never done"
        )
    end = await walk.follow(answer, until=asked)
    if end.target is None:
        _require_success(end, credentials, posted=end is answer)


def _require_success(end: LoginStep, credentials: Credentials, *, posted: bool) -> None:
    """Read the page at the end of a sign-in; `posted` says that it is the answer to the form itself."""
    words = error_words(end.body)
    if end.status >= 500 or end.status == 429:
        raise TransferError(
            f"the sign-in at {end.host} failed: HTTP {end.status}: {words}", retry_after=end.retry_after
        )
    if posted and end.asks_to_sign_in:
        raise AuthenticationError(
            f"the password for {credentials.username} was refused: {words}; "
            "it is not tried again, because accounts get locked"
        )
    # Any other page, such as one that asks for a second factor or a new password, is for a person.
    if posted or end.status in {400, 401} or (end.status == 200 and is_html(end.body)):
        raise AuthenticationError(
            f"the sign-in of {credentials.username} ended at {end.host} with HTTP {end.status}: {words}; "
            "try it in a browser"
        )


def _plain(host: str) -> str:
    """Write a host name in the one form in which two can be compared: lower case, IDNA, no dot at its end."""
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
