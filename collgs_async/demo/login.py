"""The sign-in before the store: Keycloak's redirects, forms and cookies, and the session of the store (protocol §8)."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field, replace
from html import escape
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlencode

from multidict import CIMultiDict

from collgs_async.demo.responses import html_reply, text_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.responses import Response

__all__ = ["CALLBACK_PATH", "LoginHandler", "SignIn", "read_cookies", "sign_in_page"]

CALLBACK_PATH: Final = "/redirect_uri"
_AUTHORISE_PATH: Final = "/sso/realms/lucollgs/protocol/openid-connect/auth"
_AUTHENTICATE_PATH: Final = "/sso/realms/lucollgs/login-actions/authenticate"
_REFUSED: Final = "Invalid username or password."
_LOCKED: Final = "Account is temporarily disabled; contact your administrator or retry later."
_FORM: Final = """<!DOCTYPE html>
<html><head><title>Sign in</title></head><body>
{error}<form id="kc-form-login" action="{action}" method="post">
<input id="username" name="username" type="text"/><input id="password" name="password" type="password"/>
<input type="hidden" id="id-hidden-input" name="credentialId"/><input name="login" type="submit" value="Sign In"/>
</form></body></html>
"""
_SCRIPT: Final = """<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><div id="root"></div>
<script>const kcContext = {{"message": {error}, "url": {{"loginAction": {action}}}}};</script>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class SignIn:
    """What the store demands before it hands an archive out.

    Attributes
    ----------
    username, password
        The only credentials that are right.
    form
        Whether the form stands in the page or is put together by its script.
    host
        Another name of this machine, for the store and the sign-in, such as ``localhost``; None: the catalogue's.
    session_seconds
        How long a session lasts; None: as long as the server.
    session_requests
        After how many requests for archives a session ends; None: never.
    chunked
        Whether the session cookie comes in two pieces, ``session`` and ``session_2``.
    locked_after
        Wrong passwords after which the account is locked, also for the right one.
    """

    username: str
    password: str = field(repr=False)
    form: Literal["html", "script"] = "html"
    host: str | None = None
    session_seconds: float | None = None
    session_requests: int | None = None
    chunked: bool = False
    locked_after: int = 3


@dataclass(slots=True)
class _Session:
    begun: float
    requests: int = 0


class LoginHandler:
    """Lets in who has a session, and sends all others to the form.

    Parameters
    ----------
    rules
        What is demanded.
    origin
        Scheme, host and port of the store and of the sign-in.
    clock
        Seconds, as a monotonic clock counts them; another one in tests.
    """

    def __init__(self, rules: SignIn, origin: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._origin = origin
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._wanted: dict[str, str] = {}
        self._flows: dict[str, tuple[str, str]] = {}
        self._codes: set[str] = set()
        self._failures = 0

    def admits(self, cookies: Mapping[str, str]) -> bool:
        """Tell whether these cookies are those of a session; it counts the request."""
        found = self._sessions.get(cookies.get("session", "") + cookies.get("session_2", ""))
        if found is None:
            return False
        found.requests += 1
        seconds, requests = self._rules.session_seconds, self._rules.session_requests
        in_time = seconds is None or self._clock() - found.begun <= seconds
        return in_time and (requests is None or found.requests <= requests)

    def send_to_form(self, wanted: str) -> Response:
        """Send the browser to the sign-in; the store keeps the state in its own cookie, as lua-resty-session does."""
        state = _token()
        self._wanted[state] = wanted
        query = {"client_id": "store", "response_type": "code", "scope": "openid", "state": state}
        query["redirect_uri"] = self._origin + CALLBACK_PATH
        return _redirect(f"{self._origin}{_AUTHORISE_PATH}?{urlencode(query)}", session=state)

    def reply(
        self, path: str, query: Mapping[str, str], cookies: Mapping[str, str], posted: Mapping[str, str]
    ) -> Response:
        """Answer a request to the sign-in, or to the store's callback."""
        if path == _AUTHORISE_PATH:
            return self._show_form(query.get("state", ""), cookies)
        if path == _AUTHENTICATE_PATH and posted:
            return self._authenticate(query.get("session_code", ""), cookies, posted)
        if path == CALLBACK_PATH:
            return self._call_back(query, cookies)
        return html_reply(404, "Not Found", "There is nothing here.")

    def _show_form(self, state: str, cookies: Mapping[str, str]) -> Response:
        browser = cookies.get("AUTH_SESSION_ID") or _token()
        return _with_cookies(self._form(state, browser), AUTH_SESSION_ID=browser)

    def _form(self, state: str, browser: str, error: str = "") -> Response:
        code = _token()
        self._flows[code] = (browser, state)
        query = urlencode({"session_code": code, "execution": "demo", "client_id": "store", "tab_id": "t"})
        return sign_in_page(f"{self._origin}{_AUTHENTICATE_PATH}?{query}", form=self._rules.form, error=error)

    def _authenticate(self, code: str, cookies: Mapping[str, str], posted: Mapping[str, str]) -> Response:
        """Check a posted form; like Keycloak, answer a wrong password with 200 and the form again."""
        browser, state = self._flows.pop(code, ("", ""))
        if not browser or cookies.get("AUTH_SESSION_ID") != browser:
            return html_reply(400, "We are sorry...", "Restart login cookie not found.")
        if self._failures >= self._rules.locked_after:
            return self._form(state, browser, _LOCKED)
        if (posted.get("username"), posted.get("password")) != (self._rules.username, self._rules.password):
            self._failures += 1
            return self._form(state, browser, _REFUSED)
        self._failures = 0
        grant = _token()
        self._codes.add(grant)
        place = f"{self._origin}{CALLBACK_PATH}?{urlencode({'state': state, 'code': grant})}"
        return _redirect(place, KEYCLOAK_IDENTITY=_token(), KEYCLOAK_SESSION=_token())

    def _call_back(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> Response:
        """Begin a session; as at the real store, the state must be that of the browser's own cookie."""
        state, code = query.get("state", ""), query.get("code", "")
        if code not in self._codes or cookies.get("session") != state or state not in self._wanted:
            return html_reply(500, "Error", "state from argument does not match state restored from session")
        self._codes.discard(code)
        token = _token()
        self._sessions[token] = _Session(self._clock())
        middle = len(token) // 2
        chunks = {"session": token[:middle], "session_2": token[middle:]} if self._rules.chunked else {"session": token}
        return _redirect(self._wanted.pop(state), **chunks)


def sign_in_page(action: str, *, form: Literal["html", "script"] = "html", error: str = "") -> Response:
    """Show a form that is to be posted to `action`, with what was wrong the last time."""
    if form == "script":
        message = json.dumps({"type": "error", "summary": error} if error else None)
        page = _SCRIPT.format(error=message, action=json.dumps(action).replace("/", r"\/"))
    else:
        shown = f'<span id="input-error" aria-live="polite">{escape(error)}</span>\n' if error else ""
        page = _FORM.format(error=shown, action=escape(action))
    return text_reply(200, page, "text/html; charset=utf-8", Cache_Control="no-store")


def read_cookies(header: str) -> dict[str, str]:
    """Read a Cookie header."""
    return {name: morsel.value for name, morsel in SimpleCookie(header).items()}


def _token() -> str:
    """Make a secret with the characters that careless cookie jars spoil."""
    return f"{secrets.token_urlsafe(24)}+/{secrets.token_urlsafe(8)}=="


def _redirect(place: str, **cookies: str) -> Response:
    return _with_cookies(text_reply(302, "", "text/html; charset=utf-8", Location=place), **cookies)


def _with_cookies(reply: Response, **cookies: str) -> Response:
    headers = CIMultiDict(reply.headers)
    for name, value in cookies.items():
        headers.add("Set-Cookie", f"{name}={value}; Path=/; HttpOnly")
    return replace(reply, headers=headers)
