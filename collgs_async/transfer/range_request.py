"""Build range requests, and interpret their responses from the headers.

Everything here is a pure function. A resumed download must never join two versions of an archive, so the request
depends on what the sidecar records of the part file (RFC 9110 §13.1.5 and §14):

==============================  ==================================================================================
recorded                        request
==============================  ==================================================================================
a strong ETag                   the rest, ``If-Range`` with the ETag
a Last-Modified well before     the rest, ``If-Range`` with the date (§8.8.2.2: only then is it a strong validator)
its Date
anything less                   the last block of the part file and the rest; the block is compared before any byte
                                is added
==============================  ==================================================================================

If equal bytes are the only evidence for a join, the part file loses its sidecar, and the archive is verified by
checksum whatever level the user chose. What neither checksums nor headers prove is downloaded once more, without a
join.

A response is interpreted by its ``Content-Range``, not by its status alone. Bytes that the part file already has are
compared rather than trusted, so a response may begin before the requested range, even at byte 0.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from multidict import MultiMapping

from collgs_async.errors import TransferError
from collgs_async.http.connections import is_sendable
from collgs_async.models.text import plural
from collgs_async.storage.sidecar import RemoteVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collgs_async.storage.ranges import ByteRanges

__all__ = [
    "CONTENT_RANGE",
    "AskAgain",
    "RangeRequest",
    "ResponseBody",
    "build_request",
    "content_length",
    "interpret_response",
    "is_same_version",
    "strong_validator",
]

OVERLAP: Final = 64 * 1024
"""Bytes at the end of a part file that are requested again and compared when there is no strong validator."""

_STRONG_AFTER: Final = 60.0
"""Seconds by which Last-Modified must precede Date to count as a strong validator."""

_CODINGS: Final = frozenset(
    {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz", "exi", "pack200-gzip"}
)
"""The registered content codings and two older names (IANA, HTTP Content Coding Registry)."""

CONTENT_RANGE = re.compile(r"\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*", re.I)
"""First and last byte of the body, and length of the whole (RFC 9110 §14.4)."""


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """A request for an archive, or for a range of it.

    Attributes
    ----------
    first
        Offset of the first requested byte.
    end
        Offset one past the last requested byte; None requests everything from `first` on.
    if_range
        Validator for ``If-Range``; None sends an unconditional request.
    last
        Number of bytes to request from the archive's end (a suffix range, §14.1.2) in the place of the others; 0: none.
    """

    first: int = 0
    end: int | None = None
    if_range: str | None = None
    last: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of this request; empty for the whole archive."""
        if self.last:
            return {"Range": f"bytes=-{self.last}"}
        if self.first == 0 and self.end is None:
            return {}
        condition = {"If-Range": self.if_range} if self.if_range else {}
        return {"Range": f"bytes={self.first}-{'' if self.end is None else self.end - 1}", **condition}


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """Which bytes of which archive a response body holds.

    Attributes
    ----------
    first
        Offset in the archive of the first body byte.
    end
        Offset one past the last body byte; None if the response does not state it.
    remote
        The archive's version on the server; its ``size`` is the length of the whole archive.
    proven
        Whether the body is certainly of the same version as the part file. If not, overlapping bytes are compared, and
        the checksums of the members decide.
    """

    first: int
    end: int | None
    remote: RemoteVersion
    proven: bool = True


@dataclass(frozen=True, slots=True)
class AskAgain:
    """A response that cannot be used, but shows which request to send instead; this is not a failed attempt.

    Attributes
    ----------
    why
        What was wrong with the response, for the log.
    from_start
        Whether the part file is of another version, so that its bytes must be discarded.
    accepts_ranges
        Whether the server may still be sent range requests.
    accepts_if_range
        Whether the server may still be sent ``If-Range``.
    size
        Length of the archive in bytes, from a server that serves its last bytes only if told where they begin; None:
        nothing about that was learnt.
    if_archive
        Whether this holds only if the body starts like an archive: a login page is no other version of one.
    """

    why: str
    _: KW_ONLY
    from_start: bool = False
    accepts_ranges: bool = True
    accepts_if_range: bool = True
    size: int | None = None
    if_archive: bool = False


def build_request(
    gap: tuple[int, int | None],
    held: ByteRanges,
    remote: RemoteVersion | None,
    url: str,
    *,
    accepts_ranges: bool = True,
    accepts_if_range: bool = True,
    joins: bool = True,
    by_member: bool = False,
) -> RangeRequest:
    """Build the request that fills a gap in the part file.

    Parameters
    ----------
    gap
        Offsets of the first missing byte and one past the last one; None as the second stands for the archive's end.
    held
        Ranges that are in the part file.
    remote
        Recorded version of the part file; None if unknown.
    url
        The URL to be requested; validators of another URL prove nothing.
    accepts_ranges, accepts_if_range
        False if this server was found to mishandle range requests, or ``If-Range``.
    joins
        Whether equal bytes are sufficient evidence for a join. If not, and without a validator, the whole archive is
        requested, and compared with what is in the part file.
    by_member
        Whether members are proven one by one, so that a range may be requested while nothing of the archive is here.
    """
    first, end = gap
    validator = strong_validator(remote) if accepts_if_range and remote and remote.url == url else None
    # While the first block is being written, a helper already knows the version of which it wants a piece.
    if not accepts_ranges or not (held.total or (first and (validator or by_member))):
        return RangeRequest()
    if validator:
        return RangeRequest(first, end, validator)
    return RangeRequest(held.held_before(first, OVERLAP), end) if joins else RangeRequest()


def strong_validator(remote: RemoteVersion) -> str | None:
    """Return the validator to send as ``If-Range`` (RFC 9110 §13.1.5); None if none is strong and can be sent."""
    if remote.etag and remote.etag.startswith('"') and is_sendable(remote.etag):
        return remote.etag
    if remote.etag or not (remote.last_modified and remote.date and is_sendable(remote.last_modified)):
        return None
    try:
        age = parsedate_to_datetime(remote.date) - parsedate_to_datetime(remote.last_modified)
    except (ValueError, TypeError, OverflowError):
        return None
    return remote.last_modified if age.total_seconds() >= _STRONG_AFTER else None


def is_same_version(one: RemoteVersion, other: RemoteVersion) -> bool:
    """Whether two archives at the same URL are certainly of one version, by a strong validator."""
    validator = strong_validator(one)
    return (
        (one.url, one.size) == (other.url, other.size)
        and validator is not None
        and validator == strong_validator(other)
    )


def interpret_response(
    status: int,
    headers: Mapping[str, str],
    *,
    request: RangeRequest,
    wanted: int,
    held: int,
    known: RemoteVersion | None,
    url: str,
    by_member: bool = False,
) -> ResponseBody | AskAgain:
    """Determine which bytes of the archive the body of a 200, 206 or 416 response holds, or what to request instead.

    Parameters
    ----------
    status, headers
        Of the response.
    request
        The request that was sent.
    wanted
        Offset of the first missing byte.
    held
        Number of bytes in the part file.
    known
        Recorded version of the part file; None if unknown.
    url
        The URL that was requested.
    by_member
        Whether members are proven one by one, so that nothing needs to vouch for the version of a range; then another
        version is begun anew, rather than taken whole.

    Raises
    ------
    TransferError
        The response cannot be used, and a retry may succeed.
    """
    if codings := _codings(headers):
        raise TransferError(f"the store sent the archive with Content-Encoding {', '.join(codings)}, unasked")
    span = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if status == 416:
        return _interpret_416(span, request, held, known, url)
    if span and span[1] is not None and _has_matching_length(span, headers, required=status == 200):
        return _interpret_range(
            span,
            _remote(headers, url, _total(span, request)),
            request=request,
            wanted=wanted,
            held=held,
            known=known,
            by_member=by_member,
        )
    if status == 206:
        return AskAgain("HTTP 206 without a usable Content-Range", accepts_ranges=False)
    return _interpret_whole(headers, request=request, known=known, url=url, by_member=by_member)


def _codings(headers: Mapping[str, str]) -> list[str]:
    """Name the codings that change the bytes of a body (RFC 9110 §8.4.1).

    Whatever else stands there (``none``, ``binary``, ``utf-8``, ``aws-chunked``) was left behind by who stored the
    archive; its bytes are judged anyway.
    """
    fields = headers.getall("Content-Encoding", []) if isinstance(headers, MultiMapping) else []
    words = ",".join(fields or [headers.get("Content-Encoding", "")]).lower().split(",")
    return [word for word in map(str.strip, words) if word in _CODINGS]


def _has_matching_length(span: re.Match[str], headers: Mapping[str, str], *, required: bool) -> bool:
    """Whether Content-Length agrees with Content-Range; on a 200 the latter has no meaning unless it does (§14.4)."""
    length = content_length(headers)
    return not required if length is None else length == int(span[2]) - int(span[1]) + 1


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return Content-Length in bytes; None if it is missing or invalid."""
    text = headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _total(span: re.Match[str], request: RangeRequest) -> int | None:
    if span[3] != "*":
        return int(span[3])
    return int(span[2]) + 1 if request.last and span[2] else None  # a suffix range has the archive's last byte


def _interpret_range(
    span: re.Match[str],
    remote: RemoteVersion,
    *,
    request: RangeRequest,
    wanted: int,
    held: int,
    known: RemoteVersion | None,
    by_member: bool,
) -> ResponseBody | AskAgain:
    first, last, total = int(span[1]), int(span[2]), remote.size
    if last < first or (total is not None and last >= total):
        return AskAgain(f"a Content-Range that makes no sense: {span[0].strip()}", accepts_ranges=False)
    if request.last:
        if total is None or last + 1 != total or first > max(0, total - request.last):
            return AskAgain(f"not the last {plural(request.last, 'byte')}: {span[0].strip()}", accepts_ranges=False)
    elif first > wanted:
        return AskAgain(
            f"a range that begins at byte {first}, although {request.first} was asked for", accepts_ranges=False
        )
    if known and known.size is not None and total is not None and known.size != total:
        return AskAgain("the archive has another length now", from_start=True)
    proven = (not held and request.if_range is None) or _same_version(remote, known, request)
    if not proven and first == wanted > 0 and not by_member:
        # The body starts right after the part file, so there is no overlap to compare: ask for one, without If-Range.
        # A server that was already asked for an overlap and did not send it cannot be resumed from.
        return AskAgain(
            "nothing vouches for the range that was sent",
            accepts_if_range=False,
            accepts_ranges=request.if_range is not None,
        )
    return ResponseBody(first, last + 1, remote, proven)


def _same_version(remote: RemoteVersion, known: RemoteVersion | None, request: RangeRequest) -> bool:
    """Whether a range is certainly of the same version as the part file."""
    if request.if_range is None or known is None:
        return False
    if known.etag:
        # A 206 carries the ETag that a 200 would have had (RFC 9110 §15.3.7): without one, the server has not
        # evaluated If-Range.
        return remote.etag == known.etag
    return remote.last_modified in {None, known.last_modified}


def _interpret_whole(
    headers: Mapping[str, str], *, request: RangeRequest, known: RemoteVersion | None, url: str, by_member: bool
) -> ResponseBody | AskAgain:
    """Interpret a response that holds the archive from its first byte on, whatever was requested."""
    remote = _remote(headers, url, content_length(headers))
    if request.if_range and known and known.size is not None and known.size == remote.size:
        # The server mishandles If-Range, or each of its nodes has its own ETag, or this is another version of the
        # same length. Comparing one block decides it, and is cheaper than downloading everything again.
        return AskAgain("the whole archive instead of a range of it", accepts_if_range=False)
    if by_member and request.if_range:
        return AskAgain("the archive was replaced", from_start=True, if_archive=True)
    return ResponseBody(0, remote.size, remote)


def _interpret_416(
    span: re.Match[str] | None, request: RangeRequest, held: int, known: RemoteVersion | None, url: str
) -> ResponseBody | AskAgain:
    """Interpret a 416: either the part file is complete, or it is of another version than the server's."""
    total = _total(span, request) if span and span[1] is None else None
    if not request.headers or total == 0:
        raise TransferError("HTTP 416: the store says that the archive is empty")
    same_length = total is not None and (known is None or known.size in {None, total})
    if total == held and same_length:
        # A 416 does not prove which version the part file is of; the checksums will.
        return ResponseBody(held, held, RemoteVersion(url, total), proven=False)
    if request.last:
        if total is None or not same_length:
            raise TransferError("HTTP 416: the store refuses a range of the archive's last bytes")
        return AskAgain("HTTP 416 for the archive's last bytes", size=total)
    if total is not None and request.first < total and same_length:
        return AskAgain(f"HTTP 416 for a range of an archive of {plural(total, 'byte')}", accepts_ranges=False)
    return AskAgain("the archive is shorter than what is here", from_start=True, accepts_ranges=total is not None)


def _remote(headers: Mapping[str, str], url: str, total: int | None) -> RemoteVersion:
    return RemoteVersion(url, total, headers.get("ETag"), headers.get("Last-Modified"), headers.get("Date"))
