"""Redact secrets in any text of a server, in whatever encoding the server repeats them.

All quotations of a server pass through here: an error page may show the form that was posted to it, or the header that
a proxy refused.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["USERINFO", "forget_secret", "keep_secret", "redacted", "without_userinfo"]

USERINFO: Final = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)
"""The beginning of a URL with user information; the first group is what comes before that."""

_MASK: Final = "***"

_MIN_PREFIX: Final = 4
"""Minimum length of a secret's prefix that is redacted at the end of a text, which may be truncated within it."""

_ESCAPES: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", **dict(zip("\\\"'/", "\\\"'/", strict=True))}
"""JSON's escapes by character (RFC 8259 §7)."""

_known: Counter[tuple[str, str]] = Counter()


def without_userinfo(text: str) -> str:
    """Remove ``user:password@`` from every URL in a text."""
    return USERINFO.sub(r"\1", text)


def keep_secret(secret: str, username: str = "") -> None:
    """Redact a password from now on, until `forget_secret` was called as often as this.

    Parameters
    ----------
    secret
        The password; an empty one is ignored.
    username
        Its user: both together are in the header of HTTP Basic authentication (RFC 7617 §2).
    """
    if secret:
        _known[secret, username] += 1


def forget_secret(secret: str, username: str = "") -> None:
    """Undo one `keep_secret`."""
    _known[secret, username] -= 1
    if _known[secret, username] <= 0:
        del _known[secret, username]
    if not _known:
        _patterns.cache_clear()
        _pattern.cache_clear()


def redacted(text: str) -> str:
    """Replace each secret by ``***``.

    A secret is found in plain text, URL-encoded, with HTML entities or with JSON escapes, per character, in any case
    and also encoded twice, and in the base64 of HTTP Basic authentication. At the end of a text, which may be
    truncated, four characters suffice.
    """
    for secret, username in list(_known):
        for form in _forms(secret, username):
            text = _redact_prefix(_pattern(form).sub(_MASK, text), form)
    return text


def _forms(secret: str, username: str) -> Iterator[str]:
    """Yield a secret and its possible base64 forms; in both encodings where these differ."""
    yield secret
    for together in dict.fromkeys((f"{username}:{secret}", secret)):
        for encoding in ("utf-8", "latin-1"):
            coded = base64.b64encode(together.encode(encoding, "replace")).decode().rstrip("=")
            if len(coded) > _MIN_PREFIX:
                yield coded


@lru_cache
def _pattern(secret: str) -> re.Pattern[str]:
    return re.compile("".join(_patterns(secret)) + "(?:=|%3d){0,2}", re.I)  # and the padding of base64


@lru_cache
def _patterns(secret: str) -> tuple[str, ...]:
    """Return a pattern per character that matches all its encodings; repetitions are bounded, for speed."""
    return tuple(map(_letter, secret))


def _letter(letter: str) -> str:
    from html.entities import codepoint2name  # takes longer to load than all of --help

    code = ord(letter)
    utf8, utf16 = letter.encode("utf-8", "surrogatepass"), letter.encode("utf-16-be", "surrogatepass")
    named = {"'": "apos", "+": "plus", "/": "sol"}.get(letter) or codepoint2name.get(code)
    entity = "|".join([f"#0{{0,5}}{code}", f"#x0{{0,5}}(?:{code:x})", *([named] if named else [])])
    units = [utf16[at : at + 2].hex() for at in range(0, len(utf16), 2)]
    ways = [  # the longest first
        "".join(rf"\\{{1,4}}u{unit}" for unit in units),
        f"&(?:amp;){{0,2}}(?:{entity});",
        "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in utf8),
    ]
    if escaped := _ESCAPES.get(letter):
        ways.append(rf"\\{{1,4}}{re.escape(escaped)}")
    ways.append(r"\s{1,9}" if letter.isspace() else re.escape(letter))
    # A blank in a form, and the URL-safe alphabet of base64.
    ways += [re.escape(other) for one, other in (" +", "+-", "/_") if one == letter]
    return f"(?:{'|'.join(ways)})"


def _redact_prefix(text: str, secret: str) -> str:
    """Redact a truncated secret at the end of a text."""
    letters = _patterns(secret)
    if len(letters) <= _MIN_PREFIX:
        return text
    begins = re.compile("".join(letters[:_MIN_PREFIX]), re.I)
    window = max(0, len(text) - 16 * len(letters))
    for found in begins.finditer(text, window):
        at = found.end()
        for letter in letters[_MIN_PREFIX:]:
            if (more := re.compile(letter, re.I).match(text, at)) is None:
                break
            at = more.end()
        if at == len(text):
            return text[: found.start()] + _MASK
    return text
