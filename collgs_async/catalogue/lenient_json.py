"""Decode the bytes of a response to JSON, leniently where the meaning is unambiguous.

One bad byte in a page of a hundred products is no reason to lose them all. So parsing deviates from RFC 8259 where
only one interpretation is possible:

===========================================  =======================================================================
input                                        result
===========================================  =======================================================================
a byte order mark, UTF-16, UTF-32            decoded accordingly (RFC 8259 §8.1 permits neither)
a byte that is not UTF-8                     a lone surrogate, detected by `is_torn` where the text is used
a tab or another control character in text   itself
``NaN``, ``Infinity``, a number of more      null
than a thousand digits
a repeated name with equal values            one member
a repeated name with different values        no member
blanks, NUL or markup after the end          ignored
more JSON after the end                      an error: it may hold other products
===========================================  =======================================================================
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from collgs_async.errors import CatalogueError
from collgs_async.http.messages import error_text
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.redaction import redacted
from collgs_async.models.text import plural

__all__ = ["is_torn", "read_json"]

_MAX_VALUES: Final = 1_800_000
"""Limit on structural characters, each of which stands for up to 120 bytes of memory. Ten thousand usual products have
650,000 of them, a hundred products whose footprints have a thousand vertices 300,000."""

_MAX_DIGITS: Final = 1000
_BLANK: Final = " \t\r\n\0\ufeff"

_BAD_BYTE: Final = re.compile("[\udc80-\udcff]")

_CUT: Final = re.compile(
    r"-?[0-9.]*(?:[eE][+-]?)?|t(?:r(?:u)?)?|f(?:a(?:l(?:s)?)?)?|n(?:u(?:l)?)?|\\?u?[0-9a-fA-F]{0,4}"
)
"""Matches an incomplete token at the end of truncated JSON."""


def read_json(body: bytes) -> Any:
    """Decode a response.

    Raises
    ------
    CatalogueError
        It is truncated or malformed; the message has the position and the text found there. Retryable where a second
        response may differ.
    """
    if sum(map(body.count, (b"{", b"[", b",", b":"))) > _MAX_VALUES:
        raise CatalogueError(f"the catalogue's answer has more than {_MAX_VALUES} values")
    text = _decoded(body)
    start = len(text) - len(text.lstrip(_BLANK))
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise _malformed(body, text, start, error) from None
    except RecursionError:
        raise CatalogueError("the catalogue's answer is malformed: it is nested too deeply", retryable=True) from None
    rest = text[end:].lstrip(_BLANK)
    if rest[:1] in ("{", "["):
        raise CatalogueError(f"the catalogue's answer is malformed: more JSON {_place(text, len(text) - len(rest))}")
    return value


def is_torn(text: str) -> bool:
    """Whether this text contains a byte that was not UTF-8, so that its meaning is lost."""
    return _BAD_BYTE.search(text) is not None


def _decoded(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    return body.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "replace")


def _malformed(body: bytes, text: str, start: int, error: json.JSONDecodeError) -> CatalogueError:
    """Return the error for JSON that is truncated or malformed, or for another format; all are worth a retry."""
    rest = text[error.pos :]
    if error.msg.startswith("Unterminated string") or _CUT.fullmatch(rest):
        return CatalogueError(f"the catalogue's answer broke off after {plural(len(body), 'byte')}", retryable=True)
    if error.pos == start:
        what = "data that is no text" if is_torn(text) or "\0" in text else f"text instead of JSON: {error_text(body)}"
        return CatalogueError(f"the catalogue answered with {what}", retryable=True)
    return CatalogueError(
        f"the catalogue's answer is malformed {_place(text, error.pos)}: {error.msg[:1].lower()}{error.msg[1:]}",
        retryable=True,
    )


def _place(text: str, position: int) -> str:
    """Describe a position by its UTF-8 offset and the text there; without the text where it may cut a secret in two."""
    at = len(text[:position].encode("utf-8", "surrogateescape" if is_torn(text) else "surrogatepass"))
    found = f", {quote_value(text[position : position + 20])}" if redacted(text) == text else ""
    return f"at byte {at}{found}"


def _drop_conflicts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Create an object from its members; names with conflicting values are dropped."""
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    first: dict[str, Any] = {}
    for name, value in pairs:
        if first.setdefault(name, value) != value:
            read.pop(name, None)
    return read


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


_DECODER: Final = json.JSONDecoder(
    strict=False, object_pairs_hook=_drop_conflicts, parse_int=_bounded_int, parse_constant=lambda _: None
)
