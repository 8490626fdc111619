"""The faults by name, and the schedule of their application."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAULTS", "QUICKLOOK_FAULTS", "Fault", "FaultScript"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a server misbehaves.

    Attributes
    ----------
    name
        Its key in `FAULTS`.
    times
        The number of requests it affects, the first ones; None: all of them.
    summary
        What happens, in one line.
    recoverable
        Whether a client that retries can download the product nevertheless.
    """

    name: str
    times: int | None
    summary: str
    recoverable: bool = True


def _index(*faults: Fault) -> Mapping[str, Fault]:
    return MappingProxyType({fault.name: fault for fault in faults})


FAULTS = _index(
    Fault("cut", 1, "the connection is closed after a third"),
    Fault("reset", 1, "the connection is reset after a third"),
    Fault("stall", 1, "silence after a third, with the connection open"),
    Fault("half-header", 1, "the connection is closed in the middle of the header"),
    Fault("503", 1, "503 Service Unavailable with Retry-After: 1"),
    Fault("429", 1, "429 Too Many Requests with Retry-After: 1"),
    Fault("500", 1, "500 Internal Server Error with an HTML page"),
    Fault("no-range", None, "ranges are ignored; cut at a third at first"),
    Fault("no-length", None, "no Content-Length, the end is the end of the connection; cut at a third at first"),
    Fault("etag-per-node", None, "each request sees another ETag; cut at a third at first"),
    Fault("early-206", None, "a range begins 1000 bytes before the one asked for; cut at a third at first"),
    Fault("200-range", None, "a range is sent as 200, with its Content-Range; cut at a third at first"),
    Fault("if-range-200", None, "If-Range is always answered by the whole; cut at a third at first"),
    Fault("weak-etag", None, "the ETag is a weak one; cut at a third at first"),
    Fault("no-validators", None, "neither ETag nor Last-Modified; cut at a third at first"),
    Fault("replaced", 1, "cut at a third, then it is another version of the same length with a new ETag"),
    Fault("replaced-silently", None, "cut at a third, then it is another version, and no validator tells"),
    Fault("rezipped", None, "cut at a third, then the same data were zipped again, and no validator tells"),
    Fault("control-etag", None, "the ETag holds a control character; cut at a third at first"),
    Fault("bad-chunk", 1, "chunks, and after a third one whose length is no number, then silence"),
    Fault("unasked", 1, "behind the archive comes an answer that belongs to no request"),
    Fault("html", 1, "200 with an HTML maintenance page"),
    Fault("corrupt", 1, "one flipped bit in a member's data, right the next time"),
    Fault("truncated", 1, "a third is missing and Content-Length agrees, right the next time"),
    Fault("gzip", 1, "the whole archive under Content-Encoding: gzip, right the next time"),
    Fault("wrong-range", 2, "cut at a third, then a range that begins after the one asked for"),
    Fault("trailing", None, "200 more bytes after the end of the archive, and Content-Length agrees"),
    Fault("slow", 1, "1 KiB a second for 2 seconds, then as usual"),
    Fault("flows", 1, "200 with an XML refusal: too many concurrent flows"),
    Fault("staged", 2, "202 Accepted with Retry-After: 1, the archive is brought from tape"),
    Fault("signed", None, "a redirect to a signed link, which has to be asked for as it is given"),
    Fault("coding", None, "Content-Encoding: utf-8, which is none"),
    Fault("missing", None, "404 Not Found", recoverable=False),
    Fault("forbidden", None, "403 Forbidden", recoverable=False),
    Fault("rotten", None, "one flipped bit in a member's data, each time", recoverable=False),
    Fault("login", None, "a redirect to a sign-in page", recoverable=False),
    Fault("catalogue-503", 1, "a page of results is refused: 503 with Retry-After: 1"),
    Fault("catalogue-html", 1, "a page of results is 200 with an HTML maintenance page"),
    Fault("catalogue-cut", 1, "a page of results is 200 with JSON that breaks off"),
    Fault("catalogue-500", 1, "a page of results is 500 with an exception as JSON"),
    Fault("catalogue-empty", 1, "a page of results is empty, and has the right total"),
    Fault("catalogue-deletion", 1, "the first product of a page of results is not listed any more from then on"),
)
"""Every fault by name; those with the prefix ``catalogue-`` affect pages of results, the others archives."""

QUICKLOOK_FAULTS = _index(
    Fault("missing", None, "404 Not Found", recoverable=False),
    Fault("slow", None, "1 KiB a second for 2 seconds, then as usual"),
    Fault("stall", 1, "silence after a third, with the connection open"),
    Fault("cut", 1, "the connection is closed after a third"),
    Fault("503", 1, "503 Service Unavailable with Retry-After: 1"),
    Fault("html", 1, "200 with an HTML maintenance page"),
)
"""Every fault of quicklooks by name."""


class FaultScript:
    """Schedules the faults of each product and of the catalogue, in order.

    Parameters
    ----------
    faults
        A fault, or several that are applied one after the other, by identifier or under ``"catalogue"``.
    """

    def __init__(self, faults: Mapping[str, Fault | tuple[Fault, ...]]) -> None:
        self._faults = faults  # not a copy: the caller may add faults later
        self._added: dict[str, Fault] = {}
        self._turns: Counter[str] = Counter()

    def add(self, key: str, fault: Fault) -> None:
        """Apply this fault to the next requests, instead of the remaining ones."""
        self._added[key] = fault
        self._turns[key] = 0

    def take(self, key: str) -> tuple[Fault, int] | None:
        """Return the fault of this request and the number of its earlier requests, if any."""
        turn = self._find(key)
        self._turns[key] += turn is not None
        return turn

    def peek(self, key: str) -> tuple[Fault, int] | None:
        """Return the same as `take` without consuming it, and only for a fault of every request."""
        turn = self._find(key)
        return turn if turn and turn[0].times is None else None

    def _find(self, key: str) -> tuple[Fault, int] | None:
        faults = self._added.get(key) or self._faults.get(key, ())
        turn = self._turns[key]
        for fault in (faults,) if isinstance(faults, Fault) else faults:
            if fault.times is None or turn < fault.times:
                return fault, turn
            turn -= fault.times
        return None
