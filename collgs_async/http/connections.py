"""Connections that check the framing of responses, and are reused only if no unrequested byte has arrived.

On a reused connection a response belongs to a request only by its order, so that one unrequested response would shift
all that follow. Each byte is therefore counted here before aiohttp's parser gets it. The head of a response is
collected completely and read first, so that its framing (RFC 9112 §6.3) is decided in one place, for the parser and for
this check.
"""

from __future__ import annotations

import re
import select
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from aiohttp import ClientError, CookieJar, TCPConnector
from aiohttp.client_proto import ResponseHandler
from yarl import URL

if TYPE_CHECKING:
    import asyncio
    from http.cookies import BaseCookie

    from aiohttp import ClientResponse

__all__ = [
    "LONGEST_FIELD",
    "MOST_FIELDS",
    "CheckedConnector",
    "FramingError",
    "SendableCookies",
    "is_sendable",
    "was_used_before",
]

LONGEST_FIELD: Final = 100 * 1024
"""Maximum bytes of a status line or header field, as in curl (``CURL_MAX_HTTP_HEADER``)."""

MOST_FIELDS: Final = 5000
"""Maximum header fields of a response, as in curl (``MAX_HTTP_RESP_HEADER_COUNT``)."""

_LARGEST_HEAD: Final = 512 * 1024
"""Maximum bytes of a head; curl takes 300 kB (``MAX_HTTP_RESP_HEADER_SIZE``), and a hundred full cookies are more."""

_MOST_BETWEEN: Final = 1024 * 1024
"""Maximum bytes between two pieces of a chunked body, and of the trailer fields, which the parser keeps in memory. It
exceeds what can arrive before a paused parser goes on."""

_MOST_INTERIM: Final = 20
"""Maximum interim responses (1xx) before the final one; real servers send one or two."""

_MOST_OF_COOKIES: Final = 8000
"""Bytes of cookies that go along: many servers refuse header fields above 8 KiB, and so would refuse every request."""

_NOWHERE: Final = URL()
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH: Final = re.compile(rb"^content-length:([^\r\n]*)\r?\n", re.I | re.M)
_CODING: Final = re.compile(rb"^transfer-encoding:([^\r\n]*)\r?\n", re.I | re.M)
_GZIP: Final = re.compile(rb"^(content-encoding:[ \t]*)x-(gzip[ \t]*\r?\n)", re.I | re.M)
_SENDABLE: Final = re.compile(r"[\x20-\x7e]*")


class FramingError(ClientError):
    """The received bytes are not a valid HTTP response, or not the response to this request."""


class _Head(NamedTuple):
    """The head of a response.

    Attributes
    ----------
    text
        Its bytes, with repeated framing fields merged.
    interim
        Whether it is an interim response, before the final one.
    length
        Length of the body in bytes; None if the body is chunked, or ends with the connection.
    """

    text: bytes
    interim: bool
    length: int | None


def _read_head(text: bytes, *, bodiless: bool) -> _Head:
    """Read the framing of a response, and normalize it so that the parser accepts valid but unusual forms.

    Equal lengths are merged, the coding ``identity`` is removed, Transfer-Encoding overrides Content-Length, and
    ``x-gzip`` is read as ``gzip``, whose older name it is (RFC 9110 §8.4.1.3).
    """
    status = int(found[1]) if (found := _STATUS.match(text)) else 0
    interim = 100 <= status < 200 and status != 101
    if interim or re.search(rb"\n[ \t]", text):
        return _Head(text, interim, None)  # parsers disagree on folded lines, so the length is not trusted
    text = _GZIP.sub(rb"\1\2", text)
    codings, lengths = _field_values(_CODING, text), _field_values(_LENGTH, text)
    if codings:
        codings = [coding for coding in codings if coding.lower() != b"identity"]
        text = _merge_field(text, _CODING, b"Transfer-Encoding", codings)
    if lengths and codings:
        text = _LENGTH.sub(b"", text)
    elif len(lengths) > 1 and len(set(lengths)) == 1:
        text = _merge_field(text, _LENGTH, b"Content-Length", lengths[:1])
    if bodiless or status in {204, 304}:
        return _Head(text, interim, 0)
    certain = not codings and len(set(lengths)) == 1 and lengths[0].isdigit() and len(lengths[0]) <= 18
    return _Head(text, interim, int(lengths[0]) if certain else None)


def _field_values(field: re.Pattern[bytes], text: bytes) -> list[bytes]:
    return [value.strip() for line in field.findall(text) for value in line.split(b",")]


def _merge_field(text: bytes, field: re.Pattern[bytes], name: bytes, values: list[bytes]) -> bytes:
    others = field.sub(b"", text)
    line, end, fields = others.partition(b"\n")
    return line + end + (name + b": " + b", ".join(values) + b"\r\n" if values else b"") + fields


class _CheckedHandler(ResponseHandler):
    """aiohttp's protocol of one connection, with a check of the received bytes.

    Attributes
    ----------
    requests
        Number of requests sent over the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.requests = 0
        self._head: bytearray | None = None
        self._interim = 0
        self._bodiless = False
        self._remaining: int | None = None
        self._parsed = self._between = 0
        self._unusable = False

    @property
    def should_close(self) -> bool:
        """Whether to close it after the response; always if no length proves that exactly the body has arrived."""
        return self._remaining is None or super().should_close

    def is_connected(self) -> bool:
        """Whether it is open and has received nothing while idle."""
        return super().is_connected() and not self._unusable and not (self._is_idle() and self._is_readable())

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the response to a request."""
        self.requests += 1
        self._head, self._interim, self._remaining = bytearray(), 0, None
        self._parsed = self._between = 0
        self._bodiless = bool(params.get("skip_payload"))
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Check received bytes and pass them to the parser; empty data lets the parser continue with what it holds."""
        if self._head is None and data and self._is_idle():
            self._discard()
            return
        if self._head is not None and data:
            data = self._after_head(self._head, data)
            if not data:
                return
        excess = 0 if self._remaining is None else len(data) - self._remaining
        if self._remaining is not None:
            self._remaining -= min(len(data), self._remaining)
        if excess <= 0:
            super().data_received(data)
            if self._remaining is None:
                self._limit_trailers(len(data))
            return
        if excess < len(data):
            super().data_received(data[:-excess])
        self._discard()

    def _limit_trailers(self, received: int) -> None:
        """Fail when bytes keep arriving that are no part of the body: trailer fields, or extensions of a chunk."""
        parsed = 0 if self._payload is None else self._payload.total_bytes
        self._between = self._between + received if parsed == self._parsed else 0
        self._parsed = parsed
        if self._between > _MOST_BETWEEN:
            self._fail(FramingError("trailer fields or a chunk's extension without end"))

    def _after_head(self, head: bytearray, data: bytes) -> bytes:
        """Collect the head, pass it to the parser, and return the bytes that follow it."""
        searched = max(0, len(head) - len(b"\r\n\r\n"))
        head += data
        if not searched:
            del head[: len(head) - len(head.lstrip(b"\r\n"))]
        while self._head is not None and (end := _HEAD_END.search(head, searched)) and end.end() <= _LARGEST_HEAD:
            searched, read = 0, _read_head(bytes(head[: end.end()]), bodiless=self._bodiless)
            del head[: end.end()]
            if read.interim:
                self._interim += 1
                if self._interim > _MOST_INTERIM:
                    self._fail(FramingError(f"more than {_MOST_INTERIM} interim answers in place of one"))
                    return b""
            else:
                self._head, self._remaining = None, read.length
            super().data_received(read.text)
            if self._exception is not None:
                return b""
        if self._head is None:
            return bytes(head)
        if len(head) > _LARGEST_HEAD:
            self._fail(FramingError(f"header fields of more than {_LARGEST_HEAD // 1024} kB"))
            return b""
        if not (head.startswith(b"HTTP/") or b"HTTP/".startswith(head)):
            self._head = None
            return bytes(head)  # the parser raises the appropriate error
        return b""

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Set the exception on the body's stream as well; aiohttp omits this if the framing breaks within the body."""
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            known = isinstance(exc, ClientError | OSError)
            payload.set_exception(exc if known else FramingError("the framing of its body is broken"))

    def _is_idle(self) -> bool:
        """Whether no response is pending: no request was sent yet, or its response is complete."""
        return self.requests == 0 or (self._head is None and self._payload is not None and self._payload.is_eof())

    def _is_readable(self) -> bool:
        connection = self.transport.get_extra_info("socket") if self.transport else None
        if connection is None or connection.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def _fail(self, error: Exception) -> None:
        self.set_exception(error)
        self._discard()

    def _discard(self) -> None:
        self._unusable = True
        self.force_close()
        if self.transport is not None:
            self.transport.abort()


class CheckedConnector(TCPConnector):
    """Creates connections that check the received bytes; without a limit of their number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, **options)
        self._factory = cast("partial[ResponseHandler]", partial(_CheckedHandler, loop=self._loop))


def was_used_before(response: ClientResponse) -> bool:
    """Whether a response came over a reused connection, so that it may belong to an earlier request."""
    return getattr(getattr(response, "_protocol", None), "requests", 2) > 1


def is_sendable(text: str) -> bool:
    """Whether a value received from a server can be sent in a header field: short, printable ASCII."""
    return len(text) <= 1024 and _SENDABLE.fullmatch(text) is not None


class SendableCookies(CookieJar):
    """A cookie jar that omits cookies which would make a request invalid, such as one with control characters."""

    def filter_cookies(self, request_url: URL = _NOWHERE) -> BaseCookie[str]:
        """Return the cookies to send with a request, up to a total size."""
        cookies = super().filter_cookies(request_url)
        room = _MOST_OF_COOKIES
        for name, cookie in list(cookies.items()):
            size = len(name) + len(cookie.coded_value) + len("=; ")
            if size > room or not _SENDABLE.fullmatch(name + cookie.coded_value):
                del cookies[name]
            else:
                room -= size
        return cookies
