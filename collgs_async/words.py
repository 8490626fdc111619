"""The server's own words: what an error page says, without its markup.

A GeoServer answers errors as JSON or as RSS, proxies answer in HTML, stores in XML or plain text. Whoever reads
the message wants one line of it.
"""

from __future__ import annotations

import html
import json
import re

__all__ = ["asks_to_sign_in", "looks_like_html", "server_words"]

LONGEST = 300
"""Characters that are quoted of one answer."""

_EXCEPTION_TEXT = re.compile(
    r"<(?:\w+:)?(ExceptionText|ServiceException|message)\b[^>]*>(.*?)</(?:\w+:)?\1>", re.S | re.I
)
_CUT_JSON = re.compile(r'"(?:exceptionText|message)"\s*:\s*"((?:[^"\\]|\\.)+)')
_ITEM_TITLE = re.compile(r"<item\b.*?<title\b[^>]*>(.*?)</title>", re.S | re.I)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.S | re.I)
_HEADING = re.compile(r"<h[12]\b[^>]*>(.*?)</h[12]>", re.S | re.I)
_INVISIBLE = re.compile(r"<(script|style)\b.*?(?:</\1>|$)|<!--.*?(?:-->|$)", re.S | re.I)
_TAG = re.compile(r"<[^>]*>?")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u202a-\u202e]+")
_PASSWORD_FIELD = re.compile(r"""<input\b[^>]*type\s*=\s*["']?password""", re.I)


def server_words(body: bytes) -> str:
    """Say in one line what an error body says; an empty string when it says nothing.

    Parameters
    ----------
    body
        The beginning of the body, of whatever type; it may be cut anywhere.
    """
    text = body.decode("utf-8", "replace")
    words = _json_words(text) if text.lstrip()[:1] in ("{", "[") else _markup_words(text)
    line = _UNPRINTABLE.sub(" ", words).strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def looks_like_html(body: bytes) -> bool:
    """Tell whether these are the first bytes of an HTML page."""
    start = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html")) or b"<html" in start


def asks_to_sign_in(body: bytes) -> bool:
    """Tell whether an HTML page is a sign-in form: plain, or put together by a Keycloak script."""
    text = body.decode("utf-8", "replace")
    return bool(_PASSWORD_FIELD.search(text)) or '"loginAction"' in text


def _json_words(text: str) -> str:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        cut = _CUT_JSON.search(text)
        return cut[1] if cut else text
    match answer:
        case {"exceptions": [{"exceptionText": str(words)}, *_]}:
            return words
        case {"message": str(words)} | {"error_description": str(words)} | {"detail": str(words)}:
            return words
        case {"error": str(words)} | {"error": {"message": str(words)}}:
            return words
    return text


def _markup_words(text: str) -> str:
    if "<" not in text:
        return text
    visible = _INVISIBLE.sub(" ", text)
    for pattern, group in ((_EXCEPTION_TEXT, 2), (_ITEM_TITLE, 1), (_TITLE, 1), (_HEADING, 1)):
        found = pattern.search(visible)
        if found and (words := _TAG.sub(" ", found[group]).strip()):
            return html.unescape(words)
    return html.unescape(_TAG.sub(" ", visible))
