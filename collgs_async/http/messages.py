"""Extract a one-line error message from a response body, and recognize pages that are not what was requested.

GeoServer sends errors as JSON or RSS, proxies send HTML, stores send XML or plain text. No regular expression here can
take quadratic time: the input is short, and tags are searched for rather than matched across.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.redaction import redacted
from collgs_async.models.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "error_text",
    "html_tags",
    "html_words",
    "is_html",
    "is_rate_limit_text",
    "json_text",
    "printable",
]

LONGEST: Final = 300
"""Maximum characters quoted from one response."""

READ_MOST: Final = 64 * 1024
"""Maximum bytes of a body that are examined."""

_MESSAGE_TAGS = ("exceptiontext", "serviceexception", "message", "title", "h1", "h2")
"""Elements that contain the error message, the most specific ones first."""

_CUT_JSON = re.compile(r'"(?:exceptionText|message)"\s{0,9}:\s{0,9}"((?:[^"\\]|\\.){1,2000})')
_ANY_TAG = re.compile("<")
_FOLLOWING = {name: re.compile(f"</{name}", re.I) for name in ("script", "style")}
"""End tags of the elements whose content is not markup."""

_TOO_MANY = ("concurrent flows", "too many requests", "too many connections")
"""Phrases by which some stores reject one connection too many, whatever the status."""

_SENTENCE = re.compile(r"(?<=[.!?]) ")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u202a-\u202e]+")


def error_text(body: bytes) -> str:
    """Return the error message of a body in one line, without known secrets; empty if it has none.

    Parameters
    ----------
    body
        Beginning of the body, of any type; it may be truncated anywhere.
    """
    text = redacted(body[:READ_MOST].decode("utf-8", "replace"))
    words = _json_words(text) if text.lstrip()[:1] in ("{", "[") else _markup_words(text)
    # Redact once more: in the body, markup may have split a secret.
    line = printable(redacted(_UNPRINTABLE.sub(" ", words).strip()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def html_words(body: bytes) -> str:
    """Return the title of an HTML page and the first sentence of its text, in one line."""
    text = redacted(body[:READ_MOST].decode("utf-8", "replace"))
    title, said = "", ""
    inside = ""
    for name, _, words in html_tags(text):
        inside = name if name in {"title", "script", "style"} else "" if name else inside
        if inside == "title":
            title += words
        elif not inside and len(said) < LONGEST:
            said += f" {words}"
    import html  # its table of entities takes longer to load than all of --help

    title, said = (" ".join(_UNPRINTABLE.sub(" ", html.unescape(one)).split()) for one in (title, said))
    said = _SENTENCE.split(said.removeprefix(title).strip(), maxsplit=1)[0]
    line = printable(redacted(f"{title}: {said}" if title and said else title or said))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def is_rate_limit_text(words: str) -> bool:
    """Whether an error message rejects one request too many."""
    return any(phrase in words.lower() for phrase in _TOO_MANY)


def json_text(value: object, *, ascii_only: bool = True, **layout: Any) -> str:
    """Return JSON that is safe to print on a terminal: control characters are escaped, the value is unchanged.

    Parameters
    ----------
    value
        The value; numbers that JSON does not have raise ValueError.
    ascii_only
        Whether all non-ASCII characters are escaped, too.
    **layout
        ``indent`` and ``separators``, as for `json.dumps`.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, **layout)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    """Return a character as JSON escapes of its UTF-16 code units (RFC 8259 §7)."""
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def is_html(body: bytes) -> bool:
    """Whether these are the first bytes of an HTML page."""
    start = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html")) or b"<html" in start


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
    """Return the text of the most specific message element; of an RSS feed, the title of an item before its own."""
    if "<" not in text:
        return text
    import html  # its table of entities takes longer to load than all of --help

    found: dict[str, str] = {}
    all_words: list[str] = []
    inside: str | None = None
    in_item = False
    for name, _, words in html_tags(text):
        bare = name.lstrip("/").rpartition(":")[2]
        in_item |= name == "item"
        if not name.startswith("/") and bare in _MESSAGE_TAGS:
            inside = "exceptiontext" if bare == "title" and in_item else bare
        elif name.startswith("/") and bare in _MESSAGE_TAGS:
            inside = None
        if name not in {"script", "style"} and words.strip():
            all_words.append(words)
            if inside and len(found.get(inside, "")) < LONGEST:
                found[inside] = f"{found.get(inside, '')} {words}"
    best = next((found[tag] for tag in _MESSAGE_TAGS if tag in found), " ".join(all_words))
    return html.unescape(best)


def html_tags(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the lower-case name of each tag in a page, the tag itself, and the text up to the next tag."""
    yield "", "", text[: text.find("<")] if "<" in text else text
    at = text.find("<")
    while at >= 0:
        if text.startswith("<!--", at):
            close = text.find("-->", at)
            end = close + 3 if close >= 0 else len(text)
        elif text.startswith("<![CDATA[", at):
            close = text.find("]]>", at)
            inner = text[at + 9 : close if close >= 0 else len(text)]
            yield "", "", inner
            end = close + 3 if close >= 0 else len(text)
        else:
            close = text.find(">", at)
            end = close + 1 if close >= 0 else len(text)
        tag = text[at:end]
        words = tag[1:60].lower().strip("<> ").split(maxsplit=1)
        name = words[0].rstrip("/") if words else ""
        following = _FOLLOWING.get(name, _ANY_TAG).search(text, end)
        yield name, tag, text[end : following.start() if following else len(text)]
        at = following.start() if following else -1
