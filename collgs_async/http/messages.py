"""The server's own words: what an error page says, without its markup.

A GeoServer answers errors as JSON or as RSS, proxies answer in HTML, stores in XML or plain text. Whoever reads the
message wants one line of it. No pattern here can run away: what is read is short, and tags are looked for, not matched
across.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "error_text",
    "html_words",
    "is_html",
    "is_login_page",
    "is_rate_limit_text",
    "json_text",
    "printable",
]

LONGEST: Final = 300
"""Characters that are quoted of one answer."""

READ_MOST: Final = 64 * 1024
"""Bytes of an answer that are looked at."""

_SPEAKING_TAGS = ("exceptiontext", "serviceexception", "message", "title", "h1", "h2")
"""Elements that say what is wrong, those that say it best first."""

_CUT_JSON = re.compile(r'"(?:exceptionText|message)"\s{0,9}:\s{0,9}"((?:[^"\\]|\\.){1,2000})')
_ANY_TAG = re.compile("<")
_FOLLOWING = {name: re.compile(f"</{name}", re.I) for name in ("script", "style")}
"""What ends the text of an element in which no other tags count."""

_TOO_MANY = ("concurrent flows", "too many requests", "too many connections")
"""Words by which some stores refuse one connection too many, under whatever status."""

_SENTENCE = re.compile(r"(?<=[.!?]) ")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u202a-\u202e]+")


def error_text(body: bytes) -> str:
    """Say in one line what an error body says, without known secrets; an empty string when it says nothing.

    Parameters
    ----------
    body
        The beginning of the body, of whatever type; it may be cut anywhere.
    """
    text = redacted(body[:READ_MOST].decode("utf-8", "replace"))
    words = _json_words(text) if text.lstrip()[:1] in ("{", "[") else _markup_words(text)
    line = printable(redacted(_UNPRINTABLE.sub(" ", words).strip()))  # markup may have parted it
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def html_words(body: bytes) -> str:
    """Say in one line what an HTML page says: its title, and the first sentence of its text, where that says more."""
    text = redacted(body[:READ_MOST].decode("utf-8", "replace"))
    title, said = "", ""
    inside = ""
    for name, _, words in _tags(text):
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
    """Tell whether an error's words refuse one request too many."""
    return any(phrase in words.lower() for phrase in _TOO_MANY)


def printable(text: str) -> str:
    """Put a question mark for each character that could move the cursor, or worse: names come from anywhere."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def json_text(value: object, *, ascii_only: bool = True, **layout: Any) -> str:
    """Write JSON that can be shown on a terminal: whatever could move its cursor is escaped, and is the same JSON.

    Parameters
    ----------
    value
        What is written; numbers that JSON does not have are refused with ValueError.
    ascii_only
        Whether all that is not ASCII is escaped, too.
    **layout
        ``indent`` and ``separators``, as `json.dumps` takes them.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, **layout)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    """Write a character as JSON does (RFC 8259 §7): by its UTF-16 code units."""
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def is_html(body: bytes) -> bool:
    """Tell whether these are the first bytes of an HTML page."""
    start = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html")) or b"<html" in start


def is_login_page(body: bytes) -> bool:
    """Tell whether an HTML page is a sign-in form: plain, or put together by a Keycloak script."""
    text = body[:READ_MOST].decode("utf-8", "replace").lower().replace("<script", "<")  # a script may write the form
    if '"loginaction"' in text:
        return True
    inputs = (tag for name, tag, _ in _tags(text) if name == "input")
    return any("password" in tag.partition("type")[2][:20] for tag in inputs)


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
    """Take the text of the element that says it best; of an RSS feed, the title of an item before its own."""
    if "<" not in text:
        return text
    import html  # its table of entities takes longer to load than all of --help

    found: dict[str, str] = {}
    all_words: list[str] = []
    inside: str | None = None
    in_item = False
    for name, _, words in _tags(text):
        bare = name.lstrip("/").rpartition(":")[2]
        in_item |= name == "item"
        if not name.startswith("/") and bare in _SPEAKING_TAGS:
            inside = "exceptiontext" if bare == "title" and in_item else bare
        elif name.startswith("/") and bare in _SPEAKING_TAGS:
            inside = None
        if name not in {"script", "style"} and words.strip():
            all_words.append(words)
            if inside and len(found.get(inside, "")) < LONGEST:
                found[inside] = f"{found.get(inside, '')} {words}"
    best = next((found[tag] for tag in _SPEAKING_TAGS if tag in found), " ".join(all_words))
    return html.unescape(best)


def _tags(text: str) -> Iterator[tuple[str, str, str]]:
    """Go through a page: the name of each tag in small letters, the tag, and the text up to the next one."""
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
