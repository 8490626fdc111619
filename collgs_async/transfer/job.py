"""The way to one archive: what is still missing of it, who brings what, and what was learnt of its store."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collgs_async.errors import NotAvailableError
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.ranges import ByteRanges
from collgs_async.transfer.range_request import RangeRequest, build_request, strong_validator
from collgs_async.transfer.waiting import Waiting

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from collgs_async.http.retry import RetryPolicy
    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress
    from collgs_async.storage.part import PartFile
    from collgs_async.storage.sidecar import RemoteVersion
    from collgs_async.storage.streaming_crc import StreamingCrc
    from collgs_async.transfer.connection import BodyConnection
    from collgs_async.transfer.range_request import AskAgain, ResponseBody

__all__ = ["DownloadJob", "History", "Segment", "SegmentSuperseded"]

SMALLEST_PIECE: Final = 128 * 2**10
"""Bytes; a range is not split into smaller pieces than this. On all but very slow lines the time that it takes is the
limit."""

WORTH_SPLITTING: Final = 1.0
"""Seconds that a range must still take at its measured rate before it is split."""

_MOST_VERSIONS: Final = 5
"""How often an archive may be replaced while it is fetched before we stop running after it."""

_MOST_HELP_FAILURES: Final = 3
"""Helpers that may fail in a row before a product is left to its own worker."""

_RATE_NEEDS: Final = 0.1
"""Seconds before a segment's rate means anything."""

_LATELY: Final = 0.5
"""Seconds that the rate of a segment is at least of, and twice that at most where somebody looks for work."""


class SegmentSuperseded(Exception):  # noqa: N818 - nothing went wrong: these bytes are not wanted any more
    """The segment was given up while its bytes arrived, or before."""


@dataclass(eq=False, slots=True)
class Segment:
    """A range of an archive that one connection is bringing.

    Attributes
    ----------
    first
        Where it began.
    position
        Its next byte.
    end
        One past its last byte; it moves down when another connection takes over its last piece. None while the
        length of the archive is not known.
    begun
        When its first byte was due, by the monotonic clock, in seconds.
    response
        The answer that brings it; None while there is none.
    tap
        Its connection, once it was taken over from aiohttp; None: it was not.
    superseded
        Whether its bytes are not wanted any more.
    claimed
        Its last pieces, which other connections are about to take; some may lie beyond an end that has moved since.
    draining
        Whether its line broke, or its task was cancelled, and only what had arrived by then is still to be written.
    unreported
        Body bytes that arrived before its answer was judged.
    """

    first: int
    end: int | None
    position: int = field(init=False)
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
        """Bytes that it has still to bring; 0 while nobody knows."""
        return 0 if self.end is None else max(0, self.end - self.position)

    def abandon(self) -> None:
        """Want no more of it: whoever reads its answer is woken by an error."""
        self.superseded = True
        self.interrupt()

    def interrupt(self) -> None:
        """Break its connection, as a line does that breaks."""
        if self.connection is not None:
            self.connection.interrupt()
        elif self.response is not None:
            self.response.close()

    @property
    def unclaimed(self) -> int:
        """Bytes that it has still to bring when all that is promised has been taken."""
        return max(0, self._last_unpromised - self.position)

    @property
    def _last_unpromised(self) -> int:
        return min([self.end or 0, *(piece.first for piece in self.claimed)])

    def rate(self, now: float) -> float:
        """Give its bytes a second of late, so that a line that has come to a halt is soon known; it has begun."""
        earlier, later = self._marks or ((self.begun, self.first),) * 2
        if now - later[0] >= _LATELY:
            earlier, later = later, (now, self.position)
        self._marks = earlier, later
        return (self.position - earlier[1]) / (now - earlier[0])

    def last_piece(self, now: float, helpers: int) -> Segment | None:
        """Cut off the last piece of as many as there are to be with so many helpers; None: that would gain nothing."""
        if self.response is None or now - self.begun < _RATE_NEEDS:
            return None
        left, worth_it = self.unclaimed, int(WORTH_SPLITTING * self.rate(now))
        pieces = min(helpers + 1, left // max(SMALLEST_PIECE, worth_it // 2))
        if pieces < 2 or left <= worth_it:
            return None
        return Segment(self._last_unpromised - left // pieces, self._last_unpromised)


@dataclass(slots=True)
class History:
    """What is remembered of a product while it is put off.

    Attributes
    ----------
    begun
        When it was first looked at, by the monotonic clock, in seconds.
    received, requests
        Of a trip that was broken off.
    put_off
        Whether it was put off because it may be what is wrong.
    blamed
        How often in a row its tries were used up although the store handed out others.
    outages
        How often in a row its failure has shown that the store is away.
    staged
        How long the store has had it brought from tape.
    elsewhere
        How long another run that has it has made no progress.
    exhausted
        How long there has been no descriptor for it while nothing came of other products either.
    """

    begun: float = field(default_factory=time.monotonic)
    received: int = 0
    requests: int = 0
    put_off: bool = False
    blamed: int = 0
    outages: int = 0
    staged: Waiting = field(default_factory=lambda: Waiting(first_pause=10.0, longest_pause=300.0))
    elsewhere: Waiting = field(default_factory=lambda: Waiting(first_pause=1.0, longest_pause=5.0))
    exhausted: Waiting = field(default_factory=lambda: Waiting(first_pause=1.0, longest_pause=5.0))


class DownloadJob:
    """What is known and what goes on about one product.

    Parameters
    ----------
    product
        What to fetch; it has a URL.
    part
        Where its bytes belong.
    retry
        How often to try again.
    max_segments
        The most connections that may bring it at once.
    standalone
        Whether it is not one of many, so that it needs helpers of its own.
    progress
        Whom to tell; None: nobody.
    crc
        Where the checksums of what is written are gathered; None: nowhere.
    history
        What is remembered of earlier trips to it; None: there were none.

    Attributes
    ----------
    size
        Length of the archive in bytes; None while unknown.
    bytes_received
        Body bytes that came over the wire, repeated ones included.
    attempts
        How many requests were made.
    most_held
        The most bytes that were here at a time; more is progress. Negative before the first look.
    accepts_ranges, accepts_if_range
        Whether the store was found to handle ranges, and conditions on them, as it should.
    joins
        Whether what is here may be joined with what comes because they are equal where they meet.
    lenient
        Whether local headers may contradict the directory, since they came so twice.
    end_reached
        Whether a body of unknown length has come to the archive's end record.
    requested
        The segments whose answers have not begun to come yet.
    responding
        The segments whose answers have begun to come; first they are judged.
    active
        The segments that are being brought.
    helpers
        The tasks that bring promised pieces.
    changed
        Set whenever a segment begins or ends.
    successes_before
        How many requests its store had accepted when the last try began.
    successes_at_failures
        The same when the last try but one failed, and when the last one did; -1: there was none.
    """

    def __init__(
        self,
        product: Product,
        part: PartFile,
        retry: RetryPolicy,
        *,
        segments: int,
        alone: bool = False,
        progress: Progress | None = None,
        crc: StreamingCrc | None = None,
        history: History | None = None,
    ) -> None:
        self.product = product
        self._links = [product.url or "", *product.alternatives]
        self.part = part
        self.retry = retry
        self.max_segments = segments
        self.standalone = alone
        self.progress = progress or SilentProgress()
        self.crc = crc
        self.size: int | None = None
        self.history = history or History()
        self.bytes_received = self.history.received
        self.attempts = self.history.requests
        self.most_held = -1
        self.accepts_ranges = True
        self.accepts_if_range = True
        self.joins = True
        self.lenient = False
        self.end_reached = False
        self.requested: set[Segment] = set()
        self.responding: set[Segment] = set()
        self.active: list[Segment] = []
        self.helpers: set[asyncio.Task[bool]] = set()
        self.changed = asyncio.Event()
        self.successes_before = 0
        self.successes_at_failures = (-1, -1)
        self._versions = 1
        self._help_failures = 0

    @property
    def url(self) -> str:
        """Where the archive is asked for."""
        return self._links[0]

    def turn_to_next_link(self) -> bool:
        """Ask for it elsewhere from now on, as if nothing had failed yet; False when there is nowhere else."""
        if len(self._links) == 1:
            return False
        del self._links[0]
        self.reset()
        self.retry.record_progress()
        return True

    def is_complete(self) -> bool:
        """Whether every byte is here; never while the length is unknown."""
        return self.size is not None and self.size == self.part.held.total

    def matches(self, remote: RemoteVersion) -> bool:
        """Whether the bytes that are here are certainly of this archive, whenever it was asked for."""
        known = self.part.remote
        if known is None or (known.url, known.size) != (remote.url, remote.size):
            return False
        return strong_validator(known) is not None and strong_validator(known) == strong_validator(remote)

    async def restore(self) -> None:
        """Take from the sidecar how long the archive is, unless more is here than that."""
        part = self.part
        if self.most_held < 0:
            self.most_held = part.held.total
        if self.size is None and part.remote and part.remote.url == self.url:
            self.size = part.remote.size
        if self.size is not None and self.size < part.held.end:
            self.size = None
            await part.set_version(None)

    def next_stretch(self) -> Segment | None:
        """Give the first gap that nobody is bringing; None when there is none."""
        held = self.part.held
        if self.size is None:
            beyond = next((first for first, _ in held if first > held.prefix), None)
            return None if self.active else Segment(held.prefix, beyond)
        taken = [
            (segment.position, segment.end or self.size)
            for segment in {*self.active, *self.requested, *self.responding}
        ]
        gaps = ByteRanges([*held, *taken]).gaps(self.size)
        return Segment(*gaps[0]) if gaps else None

    def split_largest(self, now: float, helpers: int = 1) -> tuple[Segment, Segment] | None:
        """Promise a piece of the segment with most left to another connection: give the segment, and the piece.

        Only where a strong validator makes certain that all pieces are of one version.

        Parameters
        ----------
        now
            By the monotonic clock, in seconds.
        helpers
            How many other connections are about to ask for a piece, this one included; each is to get as much.
        """
        remote = self.part.remote
        possible = (
            self.accepts_ranges
            and self.accepts_if_range
            and remote is not None
            and strong_validator(remote) is not None
        )
        connections = len(self.active) + sum(len(segment.claimed) for segment in self.active)
        if not possible or connections >= self.max_segments or self._help_failures >= _MOST_HELP_FAILURES:
            return None
        wanted = [segment for segment in self.active if not segment.superseded]
        longest = max(wanted, key=lambda segment: segment.unclaimed, default=None)
        piece = longest.last_piece(now, min(helpers, self.max_segments - connections)) if longest else None
        if longest is None or piece is None:
            return None
        longest.claimed.add(piece)
        return longest, piece

    def still_available(self, longest: Segment, piece: Segment) -> bool:
        """Tell whether a piece of a segment, which may have ended by now, is still to be had."""
        first, end = piece.first, piece.end or 0
        if longest.superseded or (longest in self.active and longest.position >= first):
            return False
        others = {*self.active, *self.requested, *self.responding} - {longest, piece}
        taken = any(other.position < end and first < (other.end or 0) for other in others)
        return not taken and not any(here for _, _, here in self.part.held.split(first, end))

    def claim(self, longest: Segment, piece: Segment, answer: ResponseBody) -> None:
        """Move the end of a segment down to where a promised piece begins, whose answer has been judged right.

        What lies beyond the piece is promised, too, or brought by others already.

        Raises
        ------
        Abandoned
            The first connection was there before, or the answer is no proven range of the piece.
        """
        if not self.still_available(longest, piece) or not answer.proven or answer.first == 0:
            raise SegmentSuperseded
        longest.end = min(longest.end or piece.first, piece.first)

    def ask_for(self, segment: Segment) -> RangeRequest:
        """Choose the request that brings a segment, which goes out now."""
        self.attempts += 1
        self.requested.add(segment)
        end = None if segment.end == self.size else segment.end
        gap = (segment.position, end)
        part = self.part
        return build_request(
            *(gap, part.held, part.remote, self.url),
            ranges=self.accepts_ranges,
            conditions=self.accepts_if_range,
            joins=self.joins,
        )

    def apply(self, answer: AskAgain) -> None:
        """Remember what this store cannot do."""
        self.accepts_ranges &= answer.ranges
        self.accepts_if_range &= answer.conditions

    async def start_over(self) -> None:
        """Give up all bytes: they are of another version. Whoever is still bringing some of it is stopped first."""
        self._versions += 1
        if self._versions > _MOST_VERSIONS:
            raise NotAvailableError(f"its archive was replaced {_MOST_VERSIONS} times while it was fetched")
        await self.cancel_segments()
        self.most_held, self.size = 0, None
        await self.part.set_version(None)
        await self.part.cut(0)

    def reconnect(self) -> None:
        """Break the connections that bring it, for no fault of the store: this counts as no try."""
        self.retry.record_progress()
        for segment in {*self.responding, *self.active}:
            segment.interrupt()

    async def cancel_segments(self, *, keep: bool = False) -> None:
        """Stop whoever is still bringing some of it.

        Parameters
        ----------
        keep
            Whether the bytes at hand are still wanted; not when they may be of another version.
        """
        for segment in self.active:
            if not keep:
                segment.abandon()
        while self.helpers:  # whoever is idle may become one meanwhile
            for helper in self.helpers:
                if not helper.cancelling():  # once is enough: a second time would cut off the write of what is at hand
                    helper.cancel()
            await asyncio.wait(self.helpers)
            await asyncio.sleep(0)  # for those who take them off the list
        while self.active:
            await self.wait_for_change()

    def break_off(self) -> None:
        """Note in its history what the next trip to the same archive goes on from."""
        self.history.received, self.history.requests = self.bytes_received, self.attempts

    def reset(self) -> None:
        """Begin with an open mind: the next bytes may come from another server."""
        self.most_held, self.size = -1, None
        self.accepts_ranges = self.accepts_if_range = True

    async def wait_for_change(self, seconds: float | None = None) -> None:
        """Wait until a segment has begun or ended, or so many seconds."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()

    def answered(self, segment: Segment, response: ClientResponse) -> None:
        """Take note that an answer has begun to come."""
        segment.response = response
        self.requested.discard(segment)
        self.responding.add(segment)

    def begin(self, segment: Segment, response: ClientResponse) -> None:
        """Take note that a segment is being brought, since its answer was judged right."""
        segment.response, segment.begun = response, time.monotonic()
        self.active.append(segment)
        self.progress.advanced(self.product, segment.unreported)
        segment.unreported = 0
        self.changed.set()

    def finish(self, segment: Segment) -> None:
        """Take note that a segment has ended, however; what is missing of it is a gap again."""
        self.requested.discard(segment)
        self.responding.discard(segment)
        if segment in self.active:
            self.active.remove(segment)
        segment.response = None
        self.changed.set()

    def record_help(self, *, failed: bool) -> None:
        """Count helpers that failed in a row."""
        self._help_failures = self._help_failures + 1 if failed else 0

    def note_progress(self) -> None:
        """Progress is more bytes than ever: those that come again and again are none."""
        if self.part.held.total > self.most_held >= 0:
            self.most_held = self.part.held.total
            self.retry.record_progress()
            self.history.blamed = self.history.outages = 0

    def arrived(self, segment: Segment, nbytes: int) -> None:
        """Count body bytes; they are told once their answer has been judged right."""
        self.bytes_received += nbytes
        if segment in self.active:
            self.progress.advanced(self.product, nbytes)
        else:
            segment.unreported += nbytes
