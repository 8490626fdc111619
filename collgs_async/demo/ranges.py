"""Serve a file over HTTP: validators, preconditions and ranges (RFC 9110, sections 8.8, 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

from collgs_async.demo.responses import Piece, Response, text_reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

__all__ = ["Representation", "answer", "partial"]

_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True, slots=True)
class Representation:
    """The current representation of a URL.

    Attributes
    ----------
    path
        The file.
    length
        Bytes.
    etag
        With its quotes, and ``W/`` if it is weak; None: none.
    modified
        In whole seconds, UTC; None: unknown.
    flipped
        Position of a corrupted byte; None: all are correct.
    """

    path: Path
    length: int
    etag: str | None
    modified: datetime | None
    flipped: int | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of any response about this representation."""
        headers = {"Accept-Ranges": "bytes"}
        if self.etag is not None:
            headers["ETag"] = self.etag
        if self.modified is not None:
            headers["Last-Modified"] = format_datetime(self.modified, usegmt=True)
        return headers


def answer(representation: Representation, method: str, headers: Mapping[str, str]) -> Response:
    """Answer a GET or HEAD according to RFC 9110.

    Parameters
    ----------
    representation
        The current representation.
    method
        ``GET`` or ``HEAD``; ranges apply to GET only.
    headers
        Of the request, with names in lower case. A request for several ranges gets the whole, as is permitted.
    """
    refusal = _precondition(representation, headers)
    if refusal is not None:
        # A 304 has the length that the body would have had; a 412 has no body at all.
        length = representation.length if refusal == 304 else 0
        return Response(refusal, {**representation.headers(), "Content-Length": str(length)})
    if method == "GET" and "range" in headers and _is_range_permitted(representation, headers.get("if-range")):
        wanted = _parse_range(headers["range"], representation.length)
        if wanted is not None:
            return partial(representation, *wanted)
    return _whole(representation)


def partial(representation: Representation, first: int, stop: int) -> Response:
    """Answer with the bytes from `first` up to, not including, `stop`; 416 when there are none."""
    if first >= min(stop, representation.length):
        unsatisfied = f"bytes */{representation.length}"
        return text_reply(416, "The range is not in the file.\n", "text/plain", Content_Range=unsatisfied)
    return Response(
        206,
        {
            **representation.headers(),
            "Content-Type": "application/zip",
            "Content-Range": f"bytes {first}-{stop - 1}/{representation.length}",
            "Content-Length": str(stop - first),
        },
        Piece(representation.path, first, stop, representation.flipped),
    )


def _whole(representation: Representation) -> Response:
    headers = {"Content-Type": "application/zip", "Content-Length": str(representation.length)}
    return Response(
        200,
        {**representation.headers(), **headers},
        Piece(representation.path, 0, representation.length, representation.flipped),
    )


def _parse_range(text: str, length: int) -> tuple[int, int] | None:
    """Return first and stop; None: not one valid byte range, to be ignored (section 14.2)."""
    match = _RANGE.fullmatch(text)
    if match is None or match[0].endswith("=-") or not (match[1] or match[2]):
        return None
    if not match[1]:
        return (max(0, length - int(match[2])), length) if int(match[2]) else (length, length)
    first = int(match[1])
    last = int(match[2]) if match[2] else max(first, length - 1)
    return None if last < first else (first, min(last + 1, length))


def _is_range_permitted(representation: Representation, if_range: str | None) -> bool:
    """Whether If-Range permits the range: by strong comparison only (section 13.1.5)."""
    if if_range is None:
        return True
    if _ENTITY_TAG.fullmatch(if_range):
        return if_range == representation.etag and not if_range.startswith("W/")
    date = _parse_date(if_range)
    return date is not None and date == representation.modified


def _precondition(representation: Representation, headers: Mapping[str, str]) -> int | None:
    """Evaluate the preconditions in their order (section 13.2.2): 412, 304, or None to proceed."""
    if "if-match" in headers:
        if not _is_listed(representation.etag, headers["if-match"], weak=False):
            return 412
    elif _is_after(representation.modified, headers.get("if-unmodified-since"), default=False):
        return 412
    if "if-none-match" in headers:
        return 304 if _is_listed(representation.etag, headers["if-none-match"], weak=True) else None
    return None if _is_after(representation.modified, headers.get("if-modified-since"), default=True) else 304


def _is_listed(etag: str | None, tags: str, *, weak: bool) -> bool:
    if tags.strip() == "*":
        return True
    if etag is None:
        return False
    listed = _ENTITY_TAG.findall(tags)
    if weak:
        return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in listed}
    return not etag.startswith("W/") and etag in listed


def _is_after(modified: datetime | None, text: str | None, *, default: bool) -> bool:
    date = None if text is None else _parse_date(text)
    return default if modified is None or date is None else modified > date


def _parse_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
