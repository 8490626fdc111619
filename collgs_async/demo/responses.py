"""Responses as plain values: a status, headers, a body, and the end of the connection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Ending", "Piece", "Response", "cut_short", "html_reply", "maintenance", "text_reply", "without"]


class Ending(Enum):
    """What the server does with the connection after a response."""

    PROPER = auto()
    """Keep it open for the next request, unless the response says otherwise."""

    CLOSED = auto()
    """Close it, although more was announced."""

    RESET = auto()
    """Reset it (RST)."""

    SILENT = auto()
    """Keep it open and silent until the client disconnects."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A byte range of a file.

    Attributes
    ----------
    path
        The file; bytes after its end read as zeros.
    first, stop
        Positions in bytes; `stop` is excluded.
    flipped
        Position of a byte whose lowest bit is inverted; None: none.
    """

    path: Path
    first: int
    stop: int
    flipped: int | None = None

    def __len__(self) -> int:
        return self.stop - self.first

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes from `offset`, relative to `first`; this blocks."""
        start = self.first + offset
        wanted = min(length, self.stop - start)
        with self.path.open("rb") as file:
            file.seek(start)
            data = bytearray(file.read(wanted).ljust(wanted, b"\0"))
        if self.flipped is not None and start <= self.flipped < start + wanted:
            data[self.flipped - start] ^= 1
        return bytes(data)


@dataclass(frozen=True, slots=True)
class Response:
    """One response.

    Attributes
    ----------
    status
        The HTTP status; 0: `body` holds raw bytes that replace the status line.
    headers
        All headers except Date, Server and Connection.
    body
        Bytes, or a range of a file, which is limited to the server's rate.
    keep
        The number of bytes of the body to send; None: all.
    ending
        What happens after them.
    trickle
        Seconds for which the body is sent at 1 KiB/s before it continues at full rate.
    unchecked
        Whether headers are written that aiohttp would refuse; the connection is closed then.
    after
        Raw bytes sent on the same connection after the body, which belong to no request.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Piece = b""
    keep: int | None = None
    ending: Ending = Ending.PROPER
    trickle: float = 0.0
    unchecked: bool = False
    after: bytes = b""


def text_reply(status: int, text: str, content_type: str | None, **headers: str) -> Response:
    """Return a text response; `content_type` None: without that header. Underscores in header names become hyphens."""
    body = text.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    typed = {} if content_type is None else {"Content-Type": content_type}
    return Response(status, {**typed, **named, "Content-Length": str(len(body))}, body)


def html_reply(status: int, title: str, text: str, **headers: str) -> Response:
    """Return a short HTML page."""
    page = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
    return text_reply(status, page, "text/html; charset=utf-8", **headers)


def maintenance(status: int = 200) -> Response:
    """Return the page of a proxy whose server is down."""
    return html_reply(status, "Maintenance", "The service is being maintained. Please come back later.")


def cut_short(reply: Response, ending: Ending = Ending.CLOSED) -> Response:
    """Send only the first third of the body, and end the connection as stated."""
    return replace(reply, keep=len(reply.body) // 3, ending=ending)


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return a copy of the headers without these."""
    return {name: value for name, value in headers.items() if name not in names}
