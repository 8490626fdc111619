"""The view that a fetcher has of a download: its segment, the part file to write to, and callbacks for progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from aiohttp import ClientResponse

    from collgs_async.transfer.job import DownloadJob
    from collgs_async.transfer.range_request import RangeRequest, ResponseBody
    from collgs_async.transfer.segment import Segment
    from collgs_async.transfer.store import Store

__all__ = ["SegmentSink"]


class SegmentSink:
    """One segment of a job, from its request to the end of its body; a context manager.

    Parameters
    ----------
    prepare
        Called with a response that was accepted, before its first byte is written; returns whether it is still needed.

    Attributes
    ----------
    segment
        The range to download; its end may decrease in the meantime.
    part
        The part file, open.
    url, identifier
        Where the archive is, and the product's name.
    by_member
        Whether its bytes are proven member by member.
    """

    def __init__(
        self, job: DownloadJob, segment: Segment, store: Store, prepare: Callable[[ResponseBody], Awaitable[bool]]
    ) -> None:
        self._job = job
        self._store = store
        self._prepare = prepare
        self.segment = segment
        self.part = job.part
        self.url = job.url
        self.by_member = job.by_member
        self.identifier = job.product.identifier

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._job.finish(self.segment)

    @property
    def is_first_request(self) -> bool:
        """Whether nothing of the archive was requested or is here yet."""
        return self._job.attempts == 0 and not self.part.held.total

    @property
    def connections(self) -> int:
        """Number of connections that share the memory for blocks of this archive, at least 1."""
        return max(1, len(self._job.active))

    def next_request(self) -> RangeRequest:
        """Return what to request now, and count it as sent."""
        return self._job.next_request(self.segment)

    def answered(self, response: ClientResponse) -> None:
        """Record that the response headers have arrived."""
        self._job.answered(self.segment, response)

    async def accept(self, answer: ResponseBody, response: ClientResponse) -> bool:
        """Prepare for the body of an accepted response; return whether it is still needed."""
        self._store.record_success(self.url)
        if not await self._prepare(answer):
            return False
        self._job.begin(self.segment, response)
        return True

    def arrived(self, nbytes: int) -> None:
        """Count body bytes."""
        self._job.arrived(self.segment, nbytes)
