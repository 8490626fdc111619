"""State of one download: missing ranges, active segments, server capabilities.

A `DownloadJob` belongs to one product. The scheduler asks it for the next `Segment`, a fetcher downloads the segment
over one connection, and helpers take pieces of segments that are still large. Nothing here makes a request.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, Final, Required, TypedDict

from collgs_async.errors import NotAvailableError
from collgs_async.models.progress import SilentProgress
from collgs_async.models.wish import Wish
from collgs_async.storage.ranges import ByteRanges
from collgs_async.transfer.active_segments import ActiveSegments
from collgs_async.transfer.history import History
from collgs_async.transfer.range_request import RangeRequest, build_request, is_same_version, strong_validator
from collgs_async.transfer.segment import Segment
from collgs_async.transfer.tuning import TransferTuning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import ClientResponse

    from collgs_async.errors import ProductError
    from collgs_async.http.retry import RetryPolicy
    from collgs_async.models.product import Product
    from collgs_async.models.progress import Progress
    from collgs_async.storage.part import PartFile
    from collgs_async.storage.sidecar import RemoteVersion
    from collgs_async.storage.streaming_crc import StreamingCrc
    from collgs_async.transfer.range_request import AskAgain, ResponseBody

__all__ = ["DownloadJob", "JobSettings"]

log = logging.getLogger("collgs_async")

_MOST_VERSIONS: Final = 5
"""Number of versions of an archive, replaced while it is downloaded, after which the product fails."""

_MOST_HELP_FAILURES: Final = 3
"""Consecutive failures of helpers after which a job is downloaded by its own worker alone."""


class JobSettings(TypedDict, total=False):
    """Parameters of a job that do not depend on its product; see `DownloadJob`."""

    retry: Required[RetryPolicy]
    segments: Required[int]
    standalone: bool
    progress: Progress | None
    count: Callable[[int], None]
    history: History | None
    tuning: TransferTuning | None


class DownloadJob(ActiveSegments):
    """State of the download of one product.

    Parameters
    ----------
    product
        The product; it has a URL.
    part
        Its part file.
    retry
        How many failures in a row end it, and the pause after each.
    segments
        Maximum number of connections at a time.
    standalone
        Whether the job is not part of a pipeline, so that it runs helpers of its own.
    progress
        Receives progress events; None disables them.
    count
        Called with the number of body bytes whenever some arrive.
    crc
        Computes the checksums of members while they are written; None to compute none.
    history
        State kept from earlier jobs of the same product; None for a new one.
    tuning
        From what size and rate segments are split; None for the defaults.

    Attributes
    ----------
    size
        Length of the archive in bytes; None while unknown.
    bytes_received
        Body bytes received, including repeated ones.
    attempts
        Number of requests made.
    most_held
        Largest number of bytes in the part file so far; exceeding it counts as progress. Negative before `restore`.
    wish
        Which members are wanted; an empty one means the whole archive.
    by_member
        Whether its bytes need not be of one version, since each member is compared with the directory afterwards.
    accepts_ranges, accepts_if_range
        False once the server was found to mishandle ranges, or ``If-Range``.
    joins
        Whether equal overlapping bytes are sufficient evidence to join the part file with a response.
    lenient
        Whether local headers may contradict the central directory, because they arrived the same twice.
    end_reached
        Whether a body of unknown length was received up to the archive's end record.
    successes_before
        Number of requests that its store had accepted when the last attempt started.
    successes_at_failures
        The same number at the last failure but one, and at the last failure; -1 if there was none.
    """

    by_member: ClassVar[bool] = False
    wish = Wish()
    whole_answers = 0

    def __init__(
        self,
        product: Product,
        part: PartFile,
        retry: RetryPolicy,
        *,
        segments: int,
        standalone: bool = False,
        progress: Progress | None = None,
        count: Callable[[int], None] = lambda _: None,
        crc: StreamingCrc | None = None,
        history: History | None = None,
        tuning: TransferTuning | None = None,
    ) -> None:
        super().__init__()
        self.product = product
        self._links = [product.url or "", *product.alternatives]
        self.part = part
        self.retry = retry
        self.max_segments = segments
        self.standalone = standalone
        self.progress = progress or SilentProgress()
        self._count = count
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
        self.successes_before = 0
        self.successes_at_failures = (-1, -1)
        self._tuning = tuning or TransferTuning()
        self._versions = 1
        self._help_failures = 0

    @property
    def url(self) -> str:
        """The current download link."""
        return self._links[0]

    def turn_to_next_link(self, error: ProductError) -> None:
        """Switch to the product's next download link, with all retries available; raise the error if there is none."""
        if len(self._links) == 1:
            raise error
        log.warning("%s: %s; trying its next download link", self.product.identifier, error)
        del self._links[0]
        self.reset()
        self.retry.record_progress()

    def is_complete(self) -> bool:
        """Whether the part file has every byte; never while the length is unknown."""
        return self.size is not None and self.size == self.part.held.total

    @property
    def result(self) -> Path:
        """Where the product is in the end."""
        return self.part.final

    @property
    def members(self) -> int | None:
        """Number of members that are wanted and here; None for the whole archive."""
        return None

    @property
    def to_store(self) -> int:
        """Bytes that the disk still needs room for, as far as the archive's length is known."""
        return max(0, self.size - self.part.held.total) if self.size else 0

    def prepare(self, segment: Segment, answer: ResponseBody) -> tuple[int, int | None]:
        """Prepare a segment for the body of an accepted response.

        Returns
        -------
        tuple
            How many of the wanted bytes are here, and their number; None while unknown.
        """
        size = answer.remote.size
        from_start = answer.first == 0 and answer.end in {None, size}
        if segment.end is None or from_start:
            segment.extend(size)
        return (0 if from_start else self.part.held.total), size

    def matches(self, remote: RemoteVersion) -> bool:
        """Whether the part file is certainly of this version, by a strong validator."""
        return self.part.remote is not None and is_same_version(self.part.remote, remote)

    async def restore(self) -> None:
        """Take the archive's length from the sidecar, unless the part file is longer than that."""
        part = self.part
        if self.most_held < 0:
            self.most_held = part.held.total
        if self.size is None and part.remote and part.remote.url == self.url:
            self.size = part.remote.size
        if self.size is not None and self.size < part.held.end:
            self.size = None  # no archive is shorter than a part of it: the record is of another version
            await part.set_version(None)

    def next_segment(self) -> Segment | None:
        """Return the first missing range that no connection is downloading; None if there is none."""
        held = self.part.held
        if self.size is None:
            # Gaps are known only with the length: until then one connection reads on, up to the next byte that is here.
            beyond = next((first for first, _ in held if first > held.prefix), None)
            return None if self.active else Segment(held.prefix, beyond)
        taken = [
            (segment.position, segment.end or self.size)
            for segment in {*self.active, *self.requested, *self.responding}
        ]
        gaps = ByteRanges([*held, *taken]).gaps(self.size)
        return Segment(*gaps[0]) if gaps else None

    def split_largest(self, now: float, helpers: int = 1) -> tuple[Segment, Segment] | None:
        """Claim a piece of the largest remaining segment; return the segment and the piece, or None.

        Requires a strong validator, since otherwise the pieces might be of different versions.

        Parameters
        ----------
        now
            Time of the event loop's clock, in seconds.
        helpers
            Number of helpers looking for work, this one included; the piece is sized so that each can get an equal one.
        """
        free = self._free_connections()
        if not free:
            return None
        wanted = [segment for segment in self.active if not segment.superseded]
        longest = max(wanted, key=lambda segment: segment.unclaimed, default=None)
        if longest is None:
            return None
        piece = longest.last_piece(now, min(helpers, free), self._tuning)
        if piece is None:
            return None
        longest.claim_piece(piece)
        return longest, piece

    def _free_connections(self) -> int:
        """Return how many helpers it may have besides those at work; 0 if its version has no strong validator."""
        remote = self.part.remote
        possible = (
            self.accepts_ranges
            and self.accepts_if_range
            and remote is not None
            and strong_validator(remote) is not None
        )
        if not possible or self._help_failures >= _MOST_HELP_FAILURES:
            return 0
        # A claimed piece counts as well: its connection is about to be made.
        connections = len(self.active) + sum(len(segment.claimed) for segment in self.active)
        return max(0, self.max_segments - connections)

    def still_available(self, longest: Segment, piece: Segment) -> bool:
        """Whether a claimed piece is still missing and not downloaded by another connection."""
        first, end = piece.first, piece.end or 0
        if longest.superseded or (longest in self.active and longest.position >= first):
            return False  # its own connection got there first
        others = {*self.active, *self.requested, *self.responding} - {longest, piece}
        taken = any(other.position < end and first < (other.end or 0) for other in others)
        return not taken and not any(here for _, _, here in self.part.held.split(first, end))

    def claim(self, longest: Segment, piece: Segment, answer: ResponseBody) -> bool:
        """Take a claimed piece from its segment, once the response for the piece was accepted.

        The segment's end decreases to the piece's first byte: whatever lies beyond the piece is claimed as well, or
        already downloaded by other helpers. Return False if the segment's own connection has reached the piece, or the
        response is not a proven range.
        """
        if not self.still_available(longest, piece) or not answer.proven or answer.first == 0:
            return False
        longest.shorten(piece.first)
        longest.release_piece(piece)
        return True

    def next_request(self, segment: Segment) -> RangeRequest:
        """Return the request for a segment, and count it as sent."""
        self.attempts += 1
        self.requested.add(segment)
        end = None if segment.end == self.size else segment.end  # so the whole is asked for without Range
        if segment.last:
            return RangeRequest(last=segment.last)
        gap = (segment.position, end)
        part = self.part
        return build_request(
            *(gap, part.held, part.remote, self.url),
            accepts_ranges=self.accepts_ranges,
            accepts_if_range=self.accepts_if_range,
            joins=self.joins,
            by_member=self.by_member,
        )

    def apply(self, answer: AskAgain) -> None:
        """Record what the server was found to mishandle."""
        self.accepts_ranges &= answer.accepts_ranges
        self.accepts_if_range &= answer.accepts_if_range

    async def start_over(self) -> None:
        """Discard all bytes, because they are of another version.

        Active segments are cancelled first, so that none of them writes into the new version.
        """
        self._versions += 1
        if self._versions > _MOST_VERSIONS:
            raise NotAvailableError(f"its archive was replaced {_MOST_VERSIONS} times while it was fetched")
        await self.cancel_segments()
        self.most_held, self.size = 0, None
        await self.part.set_version(None)
        await self.part.cut(0)

    def reconnect(self) -> None:
        """Break its connections for a local reason; this does not count as a failed attempt."""
        self.retry.record_progress()
        for segment in {*self.responding, *self.active}:
            segment.interrupt()

    def begin_attempt(self, successes: int) -> None:
        """Record how many requests its store has accepted, at the start of an attempt."""
        self.successes_before = successes

    def record_failure(self, successes: int) -> None:
        """Record how many requests its store has accepted, at a failure that may be the store's."""
        self.successes_at_failures = (self.successes_at_failures[1], successes)

    def save_counters(self) -> None:
        """Save the counters in the history, for the next job of the same product."""
        self.history.save(self.bytes_received, self.attempts)

    def reset(self) -> None:
        """Reset what was learned about the server; the next attempt may reach another one."""
        self.most_held, self.size = -1, None  # `restore` sets both anew
        self.accepts_ranges = self.accepts_if_range = True

    def expect(self, size: int | None) -> None:
        """Record the length that the server states, None for none; a body of unknown length has not ended yet."""
        self.size = size
        self.end_reached = False

    def record_end(self) -> None:
        """Record that a body of unknown length was received up to the archive's end record."""
        self.end_reached = True

    def record_damage(self) -> None:
        """Record that ranges of the part file were dropped, so that having fewer bytes than before is progress."""
        self.most_held = -1

    def refuse_joins(self) -> None:
        """Join bytes only with a strong validator from now on, as equal bytes have proved nothing."""
        self.joins = False

    def accept_contradictions(self) -> None:
        """Let local headers contradict the central directory, as they arrived the same twice."""
        self.lenient = True

    def begin(self, segment: Segment, response: ClientResponse) -> None:
        """Record that a segment is active, because its response was accepted."""
        self.active.append(segment)
        self.progress.advanced(self.product, segment.begin(response))
        self.changed.set()

    def record_help(self, *, failed: bool) -> None:
        """Count consecutive failures of helpers."""
        self._help_failures = self._help_failures + 1 if failed else 0

    def note_progress(self) -> None:
        """Reset the retries if the part file has more bytes than ever; bytes received repeatedly do not count."""
        if self.part.held.total > self.most_held >= 0:
            self.most_held = self.part.held.total
            self.retry.record_progress()
            self.history.record_progress()

    def arrived(self, segment: Segment, nbytes: int) -> None:
        """Count body bytes; they are reported as progress once the segment's response was accepted."""
        self.bytes_received += nbytes
        self._count(nbytes)
        if segment in self.active:
            self.progress.advanced(self.product, nbytes)
        else:
            segment.hold_back(nbytes)
