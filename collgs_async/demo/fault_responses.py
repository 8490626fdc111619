"""How each fault modifies the correct response for an archive."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from collgs_async.demo.archives import member_byte
from collgs_async.demo.concurrency import too_many_flows
from collgs_async.demo.ranges import answer, partial
from collgs_async.demo.responses import Ending, Piece, Response, cut_short, html_reply, maintenance, text_reply, without

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collgs_async.demo.ranges import Representation

__all__ = ["REPLACING", "REZIPPING", "FaultContext", "apply_fault"]

REPLACING = frozenset({"replaced", "replaced-silently"})
"""The faults that replace the archive by another version at their first request."""

REZIPPING = frozenset({"rezipped"})
"""The faults that replace the archive by another edition at their first request."""

_SHIFT = 1000
_TRAILER = 200
_MAX_FLOWS = 4
_SIGNATURE = "X-Expires=600&X-Signature=a%27b%28c%29%2Fd%40e%7Ef|g%2Bh%3D%3D"
"""Query of a signed link; decoding and encoding it again changes at least one of these characters."""


@dataclass(frozen=True, slots=True)
class FaultContext:
    """A request for an archive.

    Attributes
    ----------
    representation
        The current representation of the archive.
    method, headers, query
        Of the request; header names in lower case, the query undecoded.
    turn
        The number of earlier requests with the same fault.
    serial
        A number unique to this request.
    """

    representation: Representation
    method: str
    headers: Mapping[str, str]
    turn: int = 0
    serial: int = 0
    query: str = ""

    def right(self, *ignored: str, **changes: Any) -> Response:
        """Return the correct response, ignoring some request headers and with a changed representation."""
        return answer(replace(self.representation, **changes), self.method, without(self.headers, *ignored))

    def first_cut(self, reply: Response) -> Response:
        """Truncate the first of the responses."""
        return cut_short(reply) if self.turn == 0 else reply


def apply_fault(name: str, context: FaultContext) -> Response:
    """Respond with the fault of that name; this may read and write files."""
    return _RESPONSES[name](context)


def _wrong_bit(context: FaultContext) -> Response:
    return context.right(flipped=member_byte(context.representation.path))


def _early(context: FaultContext) -> Response:
    reply = context.right()
    if reply.status == 206 and isinstance(reply.body, Piece):
        reply = partial(context.representation, max(0, reply.body.first - _SHIFT), reply.body.stop)
    return context.first_cut(reply)


def _late(context: FaultContext) -> Response:
    reply = context.right()
    if reply.status == 206 and isinstance(reply.body, Piece) and context.turn > 0:
        first = min(reply.body.first + _SHIFT, reply.body.stop - 1)
        reply = partial(context.representation, first, reply.body.stop)
    return context.first_cut(reply)


def _range_as_200(context: FaultContext) -> Response:
    reply = context.right()
    return context.first_cut(replace(reply, status=200) if reply.status == 206 else reply)


def _unannounced(context: FaultContext) -> Response:
    reply = context.right()
    return context.first_cut(replace(reply, headers=without(reply.headers, "Content-Length")))


def _ignores_conditional_range(context: FaultContext) -> Response:
    return context.first_cut(context.right("range") if "if-range" in context.headers else context.right())


def _gzipped(context: FaultContext) -> Response:
    squeezed = context.representation.path.with_suffix(f".{context.serial}.gz")
    with context.representation.path.open("rb") as source, gzip.open(squeezed, "wb") as target:
        shutil.copyfileobj(source, target)
    reply = context.right("range", path=squeezed, length=squeezed.stat().st_size, etag=None)
    return replace(reply, headers={**reply.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"})


def _half_header(context: FaultContext) -> Response:
    return Response(0, body=b"HTTP/1.1 %d OK\r\nContent-Ty" % context.right().status)


def _sign_in(context: FaultContext) -> Response:
    place = f"/sso/login?client_id=store&state={context.serial}"
    return text_reply(302, "", "text/html; charset=utf-8", Location=place)


def _signed(context: FaultContext) -> Response:
    if context.query == _SIGNATURE:
        return context.right()
    if context.query:
        return text_reply(403, "The signature does not match.\n", "text/plain")
    return text_reply(302, "", "text/plain", Location=f"?{_SIGNATURE}")


def _under_no_coding(context: FaultContext) -> Response:
    reply = context.right()
    return replace(reply, headers={**reply.headers, "Content-Encoding": "utf-8"})


def _node(context: FaultContext) -> Response:
    tag = (context.representation.etag or '""').strip('"')
    return context.first_cut(context.right(etag=f'"{tag}-node{context.serial}"'))


def _unvalidated(context: FaultContext) -> Response:
    return context.first_cut(context.right(etag=None, modified=None))


def _control_character(context: FaultContext) -> Response:
    tag = (context.representation.etag or '""').strip('"')
    return replace(context.first_cut(context.right(etag=f'"\x01{tag}"')), unchecked=True)


def _bad_chunk(context: FaultContext) -> Response:
    whole = context.right("range")
    if not isinstance(whole.body, Piece):
        return whole
    third = whole.body.read(0, len(whole.body) // 3)
    body = b"%x\r\n%s\r\nno length\r\n" % (len(third), third)
    headers = {**without(whole.headers, "Content-Length"), "Transfer-Encoding": "chunked"}
    return replace(whole, headers=headers, body=body, ending=Ending.SILENT, unchecked=True)


_SPARE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n"

_RESPONSES: Mapping[str, Callable[[FaultContext], Response]] = {
    "cut": lambda context: cut_short(context.right()),
    "reset": lambda context: cut_short(context.right(), Ending.RESET),
    "stall": lambda context: cut_short(context.right(), Ending.SILENT),
    "half-header": _half_header,
    "503": lambda _: text_reply(503, "The store is busy.\n", "text/plain", Retry_After="1"),
    "429": lambda _: text_reply(429, "Too many requests.\n", "text/plain", Retry_After="1"),
    "500": lambda _: html_reply(500, "Internal Server Error", "Something went wrong."),
    "no-range": lambda context: context.first_cut(context.right("range")),
    "no-length": _unannounced,
    "etag-per-node": _node,
    "early-206": _early,
    "200-range": _range_as_200,
    "if-range-200": _ignores_conditional_range,
    "weak-etag": lambda context: context.first_cut(context.right(etag=f"W/{context.representation.etag}")),
    "no-validators": _unvalidated,
    "replaced": lambda context: cut_short(context.right()),
    "replaced-silently": _unvalidated,
    "rezipped": _unvalidated,
    "control-etag": _control_character,
    "bad-chunk": _bad_chunk,
    "unasked": lambda context: replace(context.right(), after=_SPARE),
    "html": lambda _: maintenance(),
    "corrupt": _wrong_bit,
    "truncated": lambda context: context.right(length=context.representation.length * 2 // 3),
    "gzip": _gzipped,
    "wrong-range": _late,
    "trailing": lambda context: context.right(length=context.representation.length + _TRAILER),
    "slow": lambda context: replace(context.right(), trickle=2.0),
    "flows": lambda _: too_many_flows(200, _MAX_FLOWS),
    "staged": lambda _: text_reply(202, "The archive is brought from tape.\n", "text/plain", Retry_After="1"),
    "signed": _signed,
    "coding": _under_no_coding,
    "missing": lambda _: html_reply(404, "Not Found", "There is no such product."),
    "forbidden": lambda _: text_reply(403, "You may not have this product.\n", "text/plain"),
    "rotten": _wrong_bit,
    "login": _sign_in,
}
