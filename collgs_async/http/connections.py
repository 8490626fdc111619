"""Connections that are used again only while nothing has come that was not asked for, and answers that end.

On a kept connection an answer belongs to a request only by its place in the row: one that nobody asked for shifts all
that follow. So each byte is counted here before aiohttp's parser sees it. The head of an answer is gathered whole and
read first: what its framing means (RFC 9112 §6.3) is decided in one place, for the parser and for us.
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

__all__ = ["CheckedConnector", "FramingError", "SendableCookies", "is_sendable", "was_used_before"]

_LARGEST_HEAD: Final = 128 * 1024
"""Bytes of a head that are gathered; of a longer one the parser says that it is too long."""

_MOST_INTERIM: Final = 20
"""Interim answers (1xx) before the one that was asked for; those that are in use come once or twice."""

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
    """What came is no answer by the rules of HTTP, or is none to what was asked."""


class _Head(NamedTuple):
    """The head of an answer.

    Attributes
    ----------
    text
        Its bytes, with what is said twice said once.
    interim
        Whether the answer itself is still to come.
    length
        Bytes of its body; None where only chunks or the end of the connection say where it ends.
    """

    text: bytes
    interim: bool
    length: int | None


def _read_head(text: bytes, *, bodiless: bool) -> _Head:
    """Read the framing of an answer, and write it so that the parser takes what is right but unusual.

    Equal lengths count once, ``identity`` is no coding, where chunks and a length are announced, chunks are meant, and
    ``x-gzip`` is the older name of ``gzip`` (RFC 9110 §8.4.1.3).
    """
    status = int(found[1]) if (found := _STATUS.match(text)) else 0
    interim = 100 <= status < 200 and status != 101
    if interim or re.search(rb"\n[ \t]", text):
        return _Head(text, interim, None)  # of lines that are folded nobody knows how others read them
    text = _GZIP.sub(rb"\1\2", text)
    codings, lengths = _values(_CODING, text), _values(_LENGTH, text)
    if codings:
        codings = [coding for coding in codings if coding.lower() != b"identity"]
        text = _said_once(text, _CODING, b"Transfer-Encoding", codings)
    if lengths and codings:
        text = _LENGTH.sub(b"", text)
    elif len(lengths) > 1 and len(set(lengths)) == 1:
        text = _said_once(text, _LENGTH, b"Content-Length", lengths[:1])
    if bodiless or status in {204, 304}:
        return _Head(text, interim, 0)
    certain = not codings and len(set(lengths)) == 1 and lengths[0].isdigit() and len(lengths[0]) <= 18
    return _Head(text, interim, int(lengths[0]) if certain else None)


def _values(field: re.Pattern[bytes], text: bytes) -> list[bytes]:
    return [value.strip() for line in field.findall(text) for value in line.split(b",")]


def _said_once(text: bytes, field: re.Pattern[bytes], name: bytes, values: list[bytes]) -> bytes:
    others = field.sub(b"", text)
    line, end, fields = others.partition(b"\n")
    return line + end + (name + b": " + b", ".join(values) + b"\r\n" if values else b"") + fields


class _CheckedHandler(ResponseHandler):
    """aiohttp's side of one connection, with a check of what comes.

    Attributes
    ----------
    requests
        How many were sent over it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.requests = 0
        self._head: bytearray | None = None
        self._interim = 0
        self._bodiless = False
        self._to_come: int | None = None
        self._spoilt = False

    @property
    def should_close(self) -> bool:
        """Whether it serves no other request; not where no length says that all has come, and nothing else."""
        return self._to_come is None or super().should_close

    def is_connected(self) -> bool:
        """Whether it is open and, while it is at rest, nothing has come over it."""
        return super().is_connected() and not self._spoilt and not (self._is_at_rest() and self._is_readable())

    def set_response_params(self, **params: Any) -> None:
        """Expect an answer."""
        self.requests += 1
        self._head, self._interim, self._to_come = bytearray(), 0, None
        self._bodiless = bool(params.get("skip_payload"))
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take what has come; without any data, let the parser go on with what it kept back."""
        if self._head is None and data and self._is_at_rest():
            self._spoil()
            return
        if self._head is not None and data:
            data = self._after_head(self._head, data)
            if not data:
                return
        excess = 0 if self._to_come is None else len(data) - self._to_come
        if self._to_come is not None:
            self._to_come -= min(len(data), self._to_come)
        if excess <= 0:
            super().data_received(data)
            return
        if excess < len(data):
            super().data_received(data[:-excess])
        self._spoil()

    def _after_head(self, head: bytearray, data: bytes) -> bytes:
        """Gather the head, hand it to the parser, and give what follows it."""
        head += data
        del head[: len(head) - len(head.lstrip(b"\r\n"))]
        while self._head is not None and (end := _HEAD_END.search(head)):
            read = _read_head(bytes(head[: end.end()]), bodiless=self._bodiless)
            del head[: end.end()]
            if read.interim:
                self._interim += 1
                if self._interim > _MOST_INTERIM:
                    self._break_off(FramingError(f"more than {_MOST_INTERIM} interim answers in place of one"))
                    return b""
            else:
                self._head, self._to_come = None, read.length
            super().data_received(read.text)
            if self._exception is not None:
                return b""
        if self._head is None:
            return bytes(head)
        if len(head) > _LARGEST_HEAD or not (head.startswith(b"HTTP/") or b"HTTP/".startswith(head)):
            self._head = None
            return bytes(head)  # the parser says what is wrong with it
        return b""

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Let the reader of the body know, too, which aiohttp forgets where the framing breaks in the middle."""
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            known = isinstance(exc, ClientError | OSError)
            payload.set_exception(exc if known else FramingError("the framing of its body is broken"))

    def _is_at_rest(self) -> bool:
        """Whether nothing is asked: not yet, or the answer has come."""
        return self.requests == 0 or (self._head is None and self._payload is not None and self._payload.is_eof())

    def _is_readable(self) -> bool:
        connection = self.transport.get_extra_info("socket") if self.transport else None
        if connection is None or connection.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def _break_off(self, error: Exception) -> None:
        self.set_exception(error)
        self._spoil()

    def _spoil(self) -> None:
        self._spoilt = True
        self.force_close()
        if self.transport is not None:
            self.transport.abort()


class CheckedConnector(TCPConnector):
    """Makes connections that check what comes, and has no limit of their number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, **options)
        self._factory = cast("partial[ResponseHandler]", partial(_CheckedHandler, loop=self._loop))


def was_used_before(response: ClientResponse) -> bool:
    """Whether an answer came over a connection that had served another request, so that it may belong to that one."""
    return getattr(getattr(response, "_protocol", None), "requests", 2) > 1


def is_sendable(text: str) -> bool:
    """Whether a value that a server gave can be sent back in a header field: printable ASCII, and not too long."""
    return len(text) <= 1024 and _SENDABLE.fullmatch(text) is not None


class SendableCookies(CookieJar):
    """Keeps cookies, and sends none that would make a request impossible: the others are not to suffer from one."""

    def filter_cookies(self, request_url: URL = _NOWHERE) -> BaseCookie[str]:
        """Choose the cookies that go along with a request."""
        cookies = super().filter_cookies(request_url)
        room = _MOST_OF_COOKIES
        for name, cookie in list(cookies.items()):
            size = len(name) + len(cookie.coded_value) + len("=; ")
            if size > room or not _SENDABLE.fullmatch(name + cookie.coded_value):
                del cookies[name]
            else:
                room -= size
        return cookies
