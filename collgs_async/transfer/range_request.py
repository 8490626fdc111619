"""What to ask for, and what an answer is worth: pure functions of what is here and what the headers say.

A resume must never join two versions of an archive. The table (RFC 9110 §13.1.5 and §14 rule):

==============================  ==================================================================================
what we remember of the part    what a resume asks for
==============================  ==================================================================================
a strong ETag                   the rest, ``If-Range`` with the ETag
a Last-Modified well before     the rest, ``If-Range`` with the date (§8.8.2.2: only then is it a strong validator)
its Date
anything less                   the last block that is here and the rest; the block is compared before a byte is added
==============================  ==================================================================================

Where only equal bytes speak for a join, the part loses its sidecar, and is verified by checksum whatever level of
verification was asked for. What checksums and headers do not prove is fetched once more, and then never joined so.

An answer is judged by its ``Content-Range``, not by its status alone. Whatever part of it is here already is compared
rather than trusted, so an answer may begin before what was asked, even with the first byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from multidict import MultiMapping

from collgs_async.errors import TransferError
from collgs_async.http.connections import is_sendable
from collgs_async.storage.sidecar import RemoteVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collgs_async.storage.ranges import ByteRanges

__all__ = ["AskAgain", "RangeRequest", "ResponseBody", "build_request", "interpret_response"]

OVERLAP: Final = 64 * 1024
"""Bytes at the end of a part that are fetched again and compared when no validator vouches for them."""

_STRONG_AFTER: Final = 60.0
"""Seconds that a Last-Modified must lie before Date to count as a strong validator."""

_CODINGS: Final = frozenset(
    {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz", "exi", "pack200-gzip"}
)
"""The codings that are registered, and two older names (IANA, HTTP Content Coding Registry)."""

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*", re.I)


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """A request for an archive, or for a range of it.

    Attributes
    ----------
    first
        The first byte asked for.
    end
        One past the last byte asked for; None asks for all that follows.
    if_range
        The validator that makes the range conditional; None for none.
    """

    first: int = 0
    end: int | None = None
    if_range: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of this request; none to ask for everything."""
        if self.first == 0 and self.end is None:
            return {}
        condition = {"If-Range": self.if_range} if self.if_range else {}
        return {"Range": f"bytes={self.first}-{'' if self.end is None else self.end - 1}", **condition}


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """What the body of an answer is.

    Attributes
    ----------
    first
        Where in the archive its first byte belongs.
    end
        One past the last byte that it brings; None when it does not say.
    remote
        Which archive it is of; its ``size`` is the length of the whole.
    proven
        Whether it is certainly of the same version as what is here; if not, only equal bytes speak for it, and the
        checksums of the members have the last word.
    """

    first: int
    end: int | None
    remote: RemoteVersion
    proven: bool = True


class AskAgain(Exception):  # noqa: N818 - not an error: the next question, with what was learnt
    """The answer is of no use, but says what to ask instead; costs no try.

    Parameters
    ----------
    why
        What was wrong with the answer, in words.
    from_start
        Whether the part is of another version, so that its bytes are worthless.
    ranges
        Whether ranges are still worth asking for.
    conditions
        Whether ``If-Range`` is still worth sending.
    """

    def __init__(self, why: str, *, from_start: bool = False, ranges: bool = True, conditions: bool = True) -> None:
        super().__init__(why)
        self.from_start = from_start
        self.ranges = ranges
        self.conditions = conditions


def build_request(
    gap: tuple[int, int | None],
    held: ByteRanges,
    remote: RemoteVersion | None,
    url: str,
    *,
    ranges: bool = True,
    conditions: bool = True,
    joins: bool = True,
) -> RangeRequest:
    """Choose what to ask for to fill a gap.

    Parameters
    ----------
    gap
        The first byte that is missing, and one past the last one; None for all that follows.
    held
        What is here.
    remote
        What is remembered of the archive that it is of.
    url
        The URL that will be asked; validators of another URL prove nothing.
    ranges, conditions
        False when this server was found to mishandle them.
    joins
        Whether equal bytes may speak for a join. If not, and nothing else does, the whole is asked for: what is here of
        it is compared then, too.
    """
    first, end = gap
    if not ranges or not held.total:
        return RangeRequest()
    if conditions and remote and remote.url == url and (validator := strong_validator(remote)):
        return RangeRequest(first, end, validator)
    return RangeRequest(held.held_before(first, OVERLAP), end) if joins else RangeRequest()


def strong_validator(remote: RemoteVersion) -> str | None:
    """Choose what ``If-Range`` may carry (RFC 9110 §13.1.5); None when nothing is strong and can be sent."""
    if remote.etag and remote.etag.startswith('"') and is_sendable(remote.etag):
        return remote.etag
    if remote.etag or not (remote.last_modified and remote.date and is_sendable(remote.last_modified)):
        return None
    try:
        age = parsedate_to_datetime(remote.date) - parsedate_to_datetime(remote.last_modified)
    except (ValueError, TypeError, OverflowError):
        return None
    return remote.last_modified if age.total_seconds() >= _STRONG_AFTER else None


def interpret_response(
    status: int,
    headers: Mapping[str, str],
    *,
    ask: RangeRequest,
    wanted: int,
    held: int,
    known: RemoteVersion | None,
    url: str,
) -> ResponseBody:
    """Decide what the body of a 200, 206 or 416 is.

    Parameters
    ----------
    status, headers
        Of the answer.
    ask
        What was asked.
    wanted
        The first byte that is missing.
    held
        How many bytes are here.
    known
        What is remembered of the archive that they are of.
    url
        The URL that was asked.

    Raises
    ------
    AskAgain
        The answer is of no use; the exception says what to ask instead.
    TransferError
        The answer is of no use, and another try may do better.
    """
    if codings := _codings(headers):
        raise TransferError(f"the store sent the archive with Content-Encoding {', '.join(codings)}, unasked")
    span = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if status == 416:
        return _out_of_range(span, ask, held, known, url)
    if span and span[1] is not None and _is_of_that_length(span, headers, required=status == 200):
        return _judge_range(span, _remote(headers, url, _total(span)), ask=ask, wanted=wanted, held=held, known=known)
    if status == 206:
        raise AskAgain("HTTP 206 without a usable Content-Range", ranges=False)
    return _judge_whole(headers, ask=ask, known=known, url=url)


def _codings(headers: Mapping[str, str]) -> list[str]:
    """Name the codings that change the bytes of a body (RFC 9110 §8.4.1).

    Whatever else stands there (``none``, ``binary``, ``utf-8``, ``aws-chunked``) was left behind by who stored the
    archive; its bytes are judged anyway.
    """
    fields = headers.getall("Content-Encoding", []) if isinstance(headers, MultiMapping) else []
    words = ",".join(fields or [headers.get("Content-Encoding", "")]).lower().split(",")
    return [word for word in map(str.strip, words) if word in _CODINGS]


def _is_of_that_length(span: re.Match[str], headers: Mapping[str, str], *, required: bool) -> bool:
    """Hold the length of a body against its Content-Range, which means nothing on a 200 unless both agree (§14.4)."""
    length = _content_length(headers)
    return not required if length is None else length == int(span[2]) - int(span[1]) + 1


def _content_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _total(span: re.Match[str]) -> int | None:
    return None if span[3] == "*" else int(span[3])


def _judge_range(
    span: re.Match[str],
    remote: RemoteVersion,
    *,
    ask: RangeRequest,
    wanted: int,
    held: int,
    known: RemoteVersion | None,
) -> ResponseBody:
    first, last, total = int(span[1]), int(span[2]), remote.size
    if last < first or (total is not None and last >= total):
        raise AskAgain(f"a Content-Range that makes no sense: {span[0].strip()}", ranges=False)
    if first > wanted:
        raise AskAgain(f"a range that begins at byte {first}, although {ask.first} was asked for", ranges=False)
    if known and known.size is not None and total is not None and known.size != total:
        raise AskAgain("the archive has another length now", from_start=True)
    proven = not held or _same_version(remote, known, ask)
    if not proven and first == wanted > 0:
        # Asked for a block that can be compared, a server that does not send it cannot be resumed from.
        raise AskAgain("nothing vouches for the range that was sent", conditions=False, ranges=ask.if_range is not None)
    return ResponseBody(first, last + 1, remote, proven)


def _same_version(remote: RemoteVersion, known: RemoteVersion | None, ask: RangeRequest) -> bool:
    """Tell whether a range is certainly of the version that the part is of."""
    if ask.if_range is None or known is None:
        return False
    if known.etag:
        # A 206 carries the tag that a 200 would have had (RFC 9110 §15.3.7): without one, nobody has compared it.
        return remote.etag == known.etag
    return remote.last_modified in {None, known.last_modified}


def _judge_whole(
    headers: Mapping[str, str], *, ask: RangeRequest, known: RemoteVersion | None, url: str
) -> ResponseBody:
    """Judge an answer that holds the archive from its first byte on, whatever was asked."""
    remote = _remote(headers, url, _content_length(headers))
    if ask.if_range and known and known.size is not None and known.size == remote.size:
        # Either the server mishandles If-Range, or each of its nodes has a tag of its own, or it is another
        # version of the same length: before everything is fetched again, one block is compared.
        raise AskAgain("the whole archive instead of a range of it", conditions=False)
    return ResponseBody(0, remote.size, remote)


def _out_of_range(
    span: re.Match[str] | None, ask: RangeRequest, held: int, known: RemoteVersion | None, url: str
) -> ResponseBody:
    """Judge a 416: the server has nothing beyond what is here, so this is all, or it is of another version."""
    total = _total(span) if span and span[1] is None else None
    if not ask.headers or total == 0:
        raise TransferError("HTTP 416: the store says that the archive is empty")
    same_length = total is not None and (known is None or known.size in {None, total})
    if total == held and same_length:
        # Nobody says of which version those are that are here; the checksums will.
        return ResponseBody(held, held, RemoteVersion(url, total), proven=False)
    if total is not None and ask.first < total and same_length:
        raise AskAgain(f"HTTP 416 for a range of the archive's {total} bytes", ranges=False)
    raise AskAgain("the archive is shorter than what is here", from_start=True, ranges=total is not None)


def _remote(headers: Mapping[str, str], url: str, total: int | None) -> RemoteVersion:
    return RemoteVersion(url, total, headers.get("ETag"), headers.get("Last-Modified"), headers.get("Date"))
