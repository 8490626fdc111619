"""State of one download of which only some ranges are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collgs_async.errors import TransferError
from collgs_async.storage.filenames import parts_folder
from collgs_async.storage.ranges import ByteRanges
from collgs_async.transfer.job import DownloadJob
from collgs_async.transfer.range_request import strong_validator
from collgs_async.transfer.segment import Segment
from collgs_async.transfer.store_errors import WholeArchivesOnlyError
from collgs_async.transfer.wanted import WantedBytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Unpack

    from collgs_async.models.product import Product
    from collgs_async.models.wish import Wish
    from collgs_async.storage.part import PartFile
    from collgs_async.transfer.job import JobSettings
    from collgs_async.transfer.range_request import AskAgain, ResponseBody

__all__ = ["TAIL", "PartsJob"]

TAIL: Final = 64 * 1024
"""Bytes at an archive's end that are requested first: the directories of Sentinel archives have 3 to 18 kB."""

_UNEVEN: Final = 1.25
"""Factor by which a range may exceed its share to be taken as a whole, since another request costs more."""

_LEAST_SHARE: Final = 8 * 2**20
"""Bytes that are not shared out before they are requested: on a slow line, a helper takes a piece of them later."""

_MOST_SURPLUS: Final = 2**20
"""Maximum bytes before a segment that are received for it; a store that sends more of them has no ranges."""


class PartsJob(DownloadJob):
    """State of the download of some ranges of an archive: at first its end, then what `want` says.

    Its bytes need not be proven to be of one version, since each member is compared with the directory afterwards.

    Parameters
    ----------
    wish
        Which members are wanted.
    idle
        Returns the number of workers that may help.
    settings
        Those of `DownloadJob`.

    Attributes
    ----------
    wanted
        The wanted bytes; after the archive was found to be of another version, its end again.
    room
        Bytes that are needed on the disk besides those to be downloaded, for the extracted members.
    in_doubt
        Whether a response had another strong validator than the part file, so that the directory may be outdated.
    whole_answers
        Number of responses that were the whole archive instead of a range.
    """

    by_member = True

    def __init__(
        self,
        product: Product,
        part: PartFile,
        *,
        wish: Wish,
        idle: Callable[[], int] = lambda: 0,
        **settings: Unpack[JobSettings],
    ) -> None:
        super().__init__(product, part, **settings)
        self.wish = wish
        self._idle = idle
        self.wanted, self.room = WantedBytes(tail=TAIL), 0
        self.in_doubt = False
        self.whole_answers = 0
        self._members: int | None = None
        self._folder: Path | None = parts_folder(self.part.final)
        self._waiting = Segment(0, None)  # never downloaded itself: helpers claim whole ranges of it

    @property
    def result(self) -> Path:
        """The tree of members, or the whole archive, if that is here."""
        return self._folder or self.part.final

    @property
    def members(self) -> int | None:
        """Number of members that are wanted and here; None if that was not counted."""
        return self._members

    def answer_from_archive(self) -> None:
        """Record that the whole archive is here, so that no member is needed."""
        self._folder = None

    def record_members(self, members: int) -> None:
        """Record how many members are wanted and here."""
        self._members = members

    def want(self, ranges: ByteRanges, *, room: int = 0) -> None:
        """Set the wanted ranges, and the bytes that are needed on the disk besides."""
        self.wanted, self.room = WantedBytes(ranges), room

    def take_room(self, nbytes: int) -> None:
        """Record that extracted members have taken some of the room on the disk."""
        self.room = max(0, self.room - nbytes)

    def want_tail(self) -> None:
        """Want the end of the archive, where its directory is."""
        self.wanted, self.room = WantedBytes(tail=TAIL), 0

    def is_complete(self) -> bool:
        """Whether the part file has every wanted byte; never while the archive's length is unknown."""
        return self.size is not None and not self.missing

    @property
    def missing(self) -> int:
        """Bytes still to be downloaded, as far as the archive's length is known."""
        return 0 if self.size is None else sum(end - first for first, end in self._gaps(self.size))

    @property
    def to_store(self) -> int:
        """Bytes that its download will still add to the disk."""
        return self.missing + self.room

    def prepare(self, segment: Segment, answer: ResponseBody) -> tuple[int, int | None]:
        """Prepare a segment for the body of an accepted response; see `DownloadJob.prepare`.

        Raises
        ------
        WholeArchivesOnlyError
            The response holds far more than was requested, as the store does not serve ranges.
        """
        size = answer.remote.size
        if segment.last and size is not None:
            segment.place(max(0, size - segment.last), size)
        if segment.last or segment.first - answer.first > _MOST_SURPLUS:
            if answer.first == 0 and answer.end in {None, size}:
                self.whole_answers += 1
                raise WholeArchivesOnlyError
            raise TransferError(f"the store sent bytes from {answer.first} on, {segment.first} was asked for")
        known = self.part.remote and strong_validator(self.part.remote)
        self.in_doubt |= known not in {None, strong_validator(answer.remote) or known}
        self.expect(size)
        if self.wanted.tail or self.size is None:
            return 0, None  # what is wanted is not known yet
        wanted = self.wanted.within(self.size).total
        return wanted - self.missing, wanted

    def clear_doubt(self) -> bool:
        """Return whether the directory may be outdated, once after each such response."""
        doubt, self.in_doubt = self.in_doubt, False
        return doubt

    def _gaps(self, size: int) -> list[tuple[int, int]]:
        return list(self.wanted.gaps(self.part.held, size))

    async def restore(self) -> None:
        """Take the archive's length from the sidecar; without it, the end of the archive is requested first."""
        await super().restore()
        if self.size is None:
            self.want_tail()

    def next_segment(self) -> Segment | None:
        """Return the first wanted range that is missing and not being downloaded; None if there is none.

        Its share only, if idle workers will help: a request that is cut short later moves bytes that are not used.
        """
        if self.size is None:
            return None if self.active else Segment(0, None, last=self.wanted.tail)
        free = self._free_ranges(self.size)
        if not free:
            return None
        helpers = min(self._idle(), self._free_connections(), self.max_segments - 1)
        first, end = free[0]
        return Segment(first, first + self._share(end - first, free, 1 + helpers))

    def _free_ranges(self, size: int) -> list[tuple[int, int]]:
        """Return the wanted ranges that are neither here nor being downloaded nor claimed."""
        segments = {*self.active, *self.requested, *self.responding, *self._waiting.claimed}
        taken = [(segment.position, segment.end or size) for segment in segments]
        return list(self.wanted.gaps(ByteRanges([*self.part.held, *taken]), size))

    def _share(self, length: int, free: list[tuple[int, int]], connections: int) -> int:
        """Return how much of a range one of several connections takes, so that all of them end together."""
        share = max(_LEAST_SHARE, -(-sum(end - first for first, end in free) // connections))
        return length if length <= _UNEVEN * share else share

    def split_largest(self, now: float, helpers: int = 1) -> tuple[Segment, Segment] | None:
        """Claim a share of the largest range that no connection downloads; if there is none, split a segment."""
        connections = min(helpers, self._free_connections())
        free = self._free_ranges(self.size) if self.size and connections else []
        if not free:
            return super().split_largest(now, helpers)
        first, end = max(free, key=lambda span: span[1] - span[0])
        piece = Segment(first, first + self._share(end - first, free, connections))
        self._waiting.claim_piece(piece)
        return self._waiting, piece

    def _free_connections(self) -> int:
        return max(0, super()._free_connections() - len(self._waiting.claimed))

    def apply(self, answer: AskAgain) -> None:
        """Record what the server was found to mishandle.

        Raises
        ------
        TransferError
            The response was no usable range; without ranges, a retry is all that can be done.
        """
        if not answer.accepts_ranges:
            raise TransferError(answer.why)
        super().apply(answer)
        self.expect(answer.size)

    def expect(self, size: int | None) -> None:
        """Record the length that the server states; one that is known already is kept if it states none."""
        super().expect(self.size if size is None else size)

    async def start_over(self) -> None:
        """Discard all bytes, because they are of another version, and request its end first."""
        await super().start_over()
        self.want_tail()

    def reset(self) -> None:
        """Reset what was learned about the server, and request the archive's end first."""
        super().reset()
        self.want_tail()
