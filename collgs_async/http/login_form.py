"""Find the login form in a page, and the message of a login error page."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from aiohttp import FormData

from collgs_async.http.links import join_link
from collgs_async.http.messages import error_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from collgs_async.http.session import LoginStep

__all__ = ["Form", "error_words", "find_form"]

_LOGIN_ACTION = re.compile(r'"loginAction"\s*:\s*("(?:[^"\\]|\\.)*")')
_SCRIPT_MESSAGE = re.compile(r'"summary"\s*:\s*("(?:[^"\\]|\\.)*")')
_ERROR_MARK = re.compile(r"input-error|kc-feedback-text|alert-error")


@dataclass(frozen=True, slots=True)
class Form:
    """A login form: its action, the names of its two fields, and its hidden fields."""

    action: URL = field(repr=False)
    username: str = "username"
    password: str = "password"  # noqa: S105 - the name of the field
    hidden: Mapping[str, str] = field(default_factory=dict, repr=False)

    def filled(self, username: str, password: str) -> FormData:
        """Return the form data to post."""
        return FormData({**self.hidden, self.username: username, self.password: password})


class _FormReader(HTMLParser):
    """Finds the first form that is posted and has a password field, and the text of error messages."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.username = self.password = ""
        self.hidden: dict[str, str] = {}
        self.words: list[str] = []
        self._closed = False
        self._error_tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Start a form, record one of its fields, or start an error message."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.password:
            self.action = given.get("action", "") if given.get("method", "").lower() == "post" else None
            self.username, self.hidden = "", {}
        elif tag == "input" and self.action is not None and not self._closed:
            self._add_field(given.get("name", ""), given.get("type", "text").lower(), given.get("value", ""))
        elif tag != "input" and _ERROR_MARK.search(f"{given.get('id', '')} {given.get('class', '')}"):
            self._error_tag = self._error_tag or tag

    def _add_field(self, name: str, kind: str, value: str) -> None:
        if kind == "password":
            self.password = self.password or name
        elif kind == "hidden" and name:
            self.hidden[name] = value
        elif kind in {"text", "email"}:
            self.username = self.username or name

    def handle_endtag(self, tag: str) -> None:
        """End a form, for good if it has a password field, or end an error message."""
        if tag == "form":
            self._closed = bool(self.password)
            self.action = self.action if self.password else None
        if tag == self._error_tag:
            self._error_tag = ""

    def handle_data(self, data: str) -> None:
        """Collect the text of an error message."""
        if self._error_tag:
            self.words.append(data)


def _parse(text: str) -> _FormReader:
    reader = _FormReader()
    with suppress(AssertionError):  # html.parser raises it for a malformed section such as <![x[
        reader.feed(text)
    return reader


def find_form(page: LoginStep) -> Form | None:
    """Return the login form of a page: from its HTML, else from the Keycloak script that builds it."""
    text = page.body.decode("utf-8", "replace")
    reader = _parse(text)
    found = _LOGIN_ACTION.search(text)
    try:
        if reader.action is not None and reader.password:
            action = join_link(page.url, reader.action)
            return Form(action, reader.username or "username", reader.password, reader.hidden)
        return Form(join_link(page.url, json.loads(found[1])), hidden={"credentialId": ""}) if found else None
    except ValueError:
        return None


def error_words(body: bytes) -> str:
    """Return the error message of a login page."""
    text = body.decode("utf-8", "replace")
    reader = _parse(text)
    said = " ".join(reader.words).strip()
    if not said and (found := _SCRIPT_MESSAGE.search(text)):
        try:
            said = str(json.loads(found[1]))
        except ValueError:
            said = ""
    return error_text(said.encode() if said else body) or "no reason given"
