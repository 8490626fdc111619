"""What goes back over the wire, as plain values: a status, headers, a body, and how the line ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Ending", "Piece", "Response", "cut_short", "html_reply", "maintenance", "text_reply", "without"]


class Ending(Enum):
    """What the server does with the connection after a reply."""

    PROPER = auto()
    """It stays open for the next request, unless the reply says otherwise."""

    CLOSED = auto()
    """It is closed, although more was announced."""

    RESET = auto()
    """It is reset (RST)."""

    SILENT = auto()
    """It stays open and silent until the client leaves."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of bytes of a file.

    Attributes
    ----------
    path
        The file; bytes after its end read as zeros.
    first, stop
        Positions in bytes; `stop` is not included any more.
    flipped
        Position of a byte whose lowest bit is read the wrong way round; None: all bytes are right.
    """

    path: Path
    first: int
    stop: int
    flipped: int | None = None

    def __len__(self) -> int:
        return self.stop - self.first

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes from `offset`, which counts from `first`; this blocks."""
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
    """One reply.

    Attributes
    ----------
    status
        The HTTP status; 0: `body` holds raw bytes that stand in place of a status line.
    headers
        All that are sent, but for Date, Server and Connection.
    body
        Bytes, or a range of a file, which is paced where the server has a rate.
    keep
        How many bytes of the body are sent; None: all.
    ending
        What happens after them.
    trickle
        For how many seconds the body trickles at 1 KiB/s before it flows.
    unchecked
        Whether headers are written that aiohttp would refuse; the connection is closed then.
    after
        Raw bytes sent on the same connection behind the body, which belong to no request.
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
    """Reply with a text; `content_type` None: without that header. Underscores in header names are hyphens."""
    body = text.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    typed = {} if content_type is None else {"Content-Type": content_type}
    return Response(status, {**typed, **named, "Content-Length": str(len(body))}, body)


def html_reply(status: int, title: str, text: str, **headers: str) -> Response:
    """Reply with a short HTML page."""
    page = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
    return text_reply(status, page, "text/html; charset=utf-8", **headers)


def maintenance(status: int = 200) -> Response:
    """Answer with the page that a proxy shows while its server is away."""
    return html_reply(status, "Maintenance", "The service is being maintained. Please come back later.")


def cut_short(reply: Response, ending: Ending = Ending.CLOSED) -> Response:
    """Send only the first third of the body, and end the connection like this."""
    return replace(reply, keep=len(reply.body) // 3, ending=ending)


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    """Copy the headers but for these."""
    return {name: value for name, value in headers.items() if name not in names}
