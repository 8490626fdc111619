"""A range of an archive that one connection downloads: how far it is, how fast, and what can be split off."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import ClientResponse

    from collgs_async.transfer.thread_receiver import BodyConnection
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["Segment", "SegmentSuperseded"]

_MIN_RATE_AGE: Final = 0.1
"""Seconds after which the rate of a new segment is meaningful."""

_RATE_INTERVAL: Final = 0.5
"""Minimum window of a segment's rate in seconds; twice that at most while an idle worker polls for work."""


@dataclass(frozen=True, slots=True)
class SegmentSuperseded:
    """The result of a segment that was cancelled before or during its download, since its bytes are not needed."""


@dataclass(eq=False, slots=True)
class Segment:
    """A range of an archive that one connection downloads.

    Attributes
    ----------
    first
        Offset of its first byte.
    position
        Offset of the next byte to be written.
    end
        Offset one past its last byte. It decreases when a helper takes the last piece. None while the length of the
        archive is unknown.
    last
        Number of bytes at the archive's end that it is to hold, while the length and so its place is unknown; else 0.
    begun
        When its response was accepted, by the event loop's clock, in seconds.
    response
        The response whose body holds it; None before there is one.
    connection
        Its connection, while it is taken over from aiohttp; otherwise None.
    superseded
        Whether its bytes are not needed any more.
    claimed
        Pieces at its end that helpers are about to request; some may lie beyond an end that has decreased since.
    draining
        Whether its connection failed, or its task was cancelled, and only bytes already received are still written.
    unreported
        Body bytes received before its response was interpreted.
    """

    first: int
    end: int | None
    position: int = field(init=False)
    last: int = 0
    begun: float = 0.0
    response: ClientResponse | None = None
    connection: BodyConnection | None = None
    superseded: bool = False
    draining: bool = False
    unreported: int = 0
    claimed: set[Segment] = field(default_factory=set)
    _marks: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        self.position = self.first

    @property
    def left(self) -> int:
        """Bytes still to be downloaded; 0 while the end is unknown."""
        return 0 if self.end is None else max(0, self.end - self.position)

    def advance(self, position: int) -> None:
        """Record that the bytes before this offset have been written, or were there already."""
        self.position = max(self.position, position)

    def shorten(self, end: int) -> None:
        """Leave the bytes from this offset on to other segments."""
        self.end = end if self.end is None else min(self.end, end)

    def extend(self, end: int | None) -> None:
        """Take all bytes up to this offset, since the response brings them; None while the length is unknown."""
        self.end = end

    def place(self, first: int, end: int) -> None:
        """Set its range, once the length of the archive is known."""
        self.first = self.position = first
        self.end, self.last = end, 0

    def claim_piece(self, piece: Segment) -> None:
        """Reserve a piece at its end for a helper that is about to request it."""
        self.claimed.add(piece)

    def release_piece(self, piece: Segment) -> None:
        """End a reservation, because the piece was taken or will not be."""
        self.claimed.discard(piece)

    def answered(self, response: ClientResponse) -> None:
        """Record that the response headers have arrived."""
        self.response = response

    def begin(self, response: ClientResponse) -> int:
        """Record that the response was accepted, and return the body bytes that were received before."""
        self.response, self.begun = response, asyncio.get_running_loop().time()
        received, self.unreported = self.unreported, 0
        return received

    def hold_back(self, nbytes: int) -> None:
        """Count body bytes that `begin` will return."""
        self.unreported += nbytes

    def finish(self) -> None:
        """Record that its request has ended."""
        self.response = None

    def drain(self) -> None:
        """Record that only bytes already received are still written."""
        self.draining = True

    @contextmanager
    def received_over(self, connection: BodyConnection) -> Iterator[None]:
        """Receive from a connection that was taken over from aiohttp, so that `interrupt` breaks it."""
        self.connection = connection
        try:
            yield
        finally:
            self.connection = None

    def supersede(self) -> None:
        """Mark it as superseded, and break its connection so that its reader wakes up."""
        self.superseded = True
        self.interrupt()

    def interrupt(self) -> None:
        """Break its connection; its reader gets the same error as after a network failure."""
        if self.connection is not None:
            self.connection.interrupt()
        elif self.response is not None:
            self.response.close()

    @property
    def unclaimed(self) -> int:
        """Bytes still to be downloaded, without the claimed pieces."""
        return max(0, self._unclaimed_end - self.position)

    @property
    def _unclaimed_end(self) -> int:
        return min([self.end or 0, *(piece.first for piece in self.claimed)])

    def rate(self, now: float) -> float:
        """Return its recent bytes per second, over a short window so that a stalled connection is noticed soon."""
        earlier, later = self._marks or ((self.begun, self.first),) * 2
        if now - later[0] >= _RATE_INTERVAL:
            earlier, later = later, (now, self.position)
        self._marks = earlier, later
        return (self.position - earlier[1]) / (now - earlier[0])

    def last_piece(self, now: float, helpers: int, tuning: TransferTuning) -> Segment | None:
        """Return the last of equal pieces for itself and `helpers` others; None if splitting gains nothing."""
        # Until its first block is written, its rate says nothing: the disk may be busy, or the line long.
        settled = _MIN_RATE_AGE if self.position > self.first else tuning.min_split_seconds
        if self.response is None or now - self.begun < settled:
            return None
        left, worth_it = self.unclaimed, int(tuning.min_split_seconds * self.rate(now))
        pieces = min(helpers + 1, left // max(tuning.min_piece_bytes, worth_it // 2))
        if pieces < 2 or left <= worth_it:
            return None
        return Segment(self._unclaimed_end - left // pieces, self._unclaimed_end)
