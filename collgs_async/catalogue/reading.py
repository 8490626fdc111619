"""From the bytes of an answer to its JSON, over all that can be read beyond doubt.

One bad byte in a page of a hundred products is no reason to lose them all. So a page is read more leniently than
RFC 8259 has it, as long as nothing can be understood in two ways:

===========================================  =======================================================================
found                                        read as
===========================================  =======================================================================
a byte order mark, UTF-16, UTF-32            what they say (RFC 8259 §8.1 permits neither)
a byte that is not UTF-8                     a lone surrogate: whoever needs this text finds it there (see `is_torn`)
a tab or another control character in text   itself
``NaN``, ``Infinity``, a number of more      null
than a thousand digits
one name twice in an object, same value      once
one name twice, different values             neither, as if it were not there
blanks, NUL or markup behind the end         nothing
more JSON behind the end                     an error: it may hold other products
===========================================  =======================================================================
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from collgs_async.errors import CatalogueError
from collgs_async.http.messages import error_text
from collgs_async.models.query import quote_value
from collgs_async.models.redaction import redacted

__all__ = ["is_torn", "read_json"]

_MOST_VALUES: Final = 1_800_000
"""Signs that begin or part values; each of them stands for up to 120 bytes of memory. Ten thousand usual products have
650,000 of them, a hundred whose footprints have a thousand corners 300,000."""

_LONGEST_NUMBER: Final = 1000
_BLANK: Final = " \t\r\n\0\ufeff"

_CUT: Final = re.compile(
    r"-?[0-9.]*(?:[eE][+-]?)?|t(?:r(?:u)?)?|f(?:a(?:l(?:s)?)?)?|n(?:u(?:l)?)?|\\?u?[0-9a-fA-F]{0,4}"
)
"""What may stand at the end of JSON that was cut."""


def read_json(body: bytes) -> Any:
    """Read an answer.

    Raises
    ------
    CatalogueError
        It breaks off, which may be better next time, or is malformed: the message has the place and what stands there.
    """
    if sum(map(body.count, (b"{", b"[", b",", b":"))) > _MOST_VALUES:
        raise CatalogueError(f"the catalogue's answer has more than {_MOST_VALUES} values")
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
    """Tell whether a byte of this text was not UTF-8, so that it is not the text that was meant."""
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _decoded(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    return body.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "replace")


def _malformed(body: bytes, text: str, start: int, error: json.JSONDecodeError) -> CatalogueError:
    """Tell JSON that was cut, or is malformed, from what is no JSON at all; each may be better next time."""
    rest = text[error.pos :]
    if error.msg.startswith("Unterminated string") or _CUT.fullmatch(rest):
        return CatalogueError(f"the catalogue's answer broke off after {len(body)} bytes", retryable=True)
    if error.pos == start:
        what = "data that is no text" if is_torn(text) or "\0" in text else f"text instead of JSON: {error_text(body)}"
        return CatalogueError(f"the catalogue answered with {what}", retryable=True)
    return CatalogueError(
        f"the catalogue's answer is malformed {_place(text, error.pos)}: {error.msg[:1].lower()}{error.msg[1:]}",
        retryable=True,
    )


def _place(text: str, position: int) -> str:
    """Name a place by its byte in UTF-8, and show what stands there; nothing where a secret may be cut in two."""
    at = len(text[:position].encode("utf-8", "surrogateescape" if is_torn(text) else "surrogatepass"))
    found = f", {quote_value(text[position : position + 20])}" if redacted(text) == text else ""
    return f"at byte {at}{found}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; those of one name and different values are none."""
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    first: dict[str, Any] = {}
    for name, value in pairs:
        if first.setdefault(name, value) != value:
            read.pop(name, None)
    return read


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


_DECODER: Final = json.JSONDecoder(
    strict=False, object_pairs_hook=_once, parse_int=_whole, parse_constant=lambda _: None
)
