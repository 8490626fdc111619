"""Make one request for a segment, and write its body into the part file.

The response is interpreted before any byte of it is written. Errors are classified here by what the scheduler can do
about them: retry, wait for the store, or fail the product.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from collgs_async.errors import AuthenticationError, NotAvailableError, TransferError
from collgs_async.http.body_reading import next_bytes
from collgs_async.http.network_errors import NETWORK_ERRORS, BadRedirectError, describe_error
from collgs_async.http.retry import MAX_RETRY_AFTER
from collgs_async.models.text import format_rate
from collgs_async.storage.verify import LONGEST_STUB
from collgs_async.storage.zip_format import LOCAL_SIGNATURE
from collgs_async.transfer.body_writer import BodyWriter
from collgs_async.transfer.internals import unread_bytes
from collgs_async.transfer.range_request import AskAgain, ResponseBody, interpret_response
from collgs_async.transfer.segment import SegmentSuperseded
from collgs_async.transfer.store_errors import (
    ERROR_PAGE,
    LoginRequired,
    check_is_zip,
    error_from_network,
    error_from_response,
)
from collgs_async.transfer.thread_receiver import BodyConnection, BodyReceiver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from aiohttp import ClientResponse

    from collgs_async.http.auth import AuthAttempt
    from collgs_async.http.limits import RateLimiter
    from collgs_async.http.session import Session
    from collgs_async.transfer.sink import SegmentSink
    from collgs_async.transfer.tuning import TransferTuning

__all__ = ["SegmentFetcher", "SegmentResult"]

_ENOUGH_TO_IDENTIFY: Final = 1024
"""Bytes at the beginning of a body that are enough to distinguish an archive from a page."""

_MIN_BLOCK: Final = 64 * 1024


class _WrongNameError(Exception):
    """The archive does not start with the product's name, and came over a reused connection: it may be another one."""


SegmentResult: TypeAlias = ResponseBody | AskAgain | SegmentSuperseded


class SegmentFetcher:
    """Downloads one segment with one request.

    Parameters
    ----------
    rate_limiter
        The bandwidth limit of the run.
    tuning
        When a receiver is used, and how.
    block
        Bytes written at once. All connections of an archive share this size, which bounds what is lost if the process
        is killed.
    min_rate
        Bytes per second below which a connection is replaced by a new one; None for no limit.
    timeout
        Seconds without a byte after which a connection counts as broken.
    longest_wait
        Maximum Retry-After in seconds; a longer one counts as a permanent refusal.
    """

    def __init__(
        self,
        session: Session,
        rate_limiter: RateLimiter,
        tuning: TransferTuning,
        *,
        block: int,
        min_rate: float | None = None,
        timeout: float = 60.0,
        longest_wait: float = MAX_RETRY_AFTER,
    ) -> None:
        self._http, self._auth = session.http, session.auth
        self._rate_limiter = rate_limiter
        self._tuning = tuning
        self._largest_block = block
        self._min_rate = min_rate
        self._timeout = timeout
        self._longest_wait = longest_wait
        self._names_inside = True

    @property
    def _block(self) -> int:
        """Bytes written at once, at the current rate."""
        return self._rate_limiter.block_size(self._largest_block)

    async def check(self, url: str) -> None:
        """Request the first bytes of an archive, and check that they or a login form arrive.

        Raises
        ------
        ProductError, AuthenticationError
            Neither arrived; `UnavailableError` if the whole store may be the cause.
        """
        try:
            headers = {"Range": f"bytes=0-{_ENOUGH_TO_IDENTIFY - 1}"}
            async with self._http.get(url, headers=headers, fresh=True) as response:
                if response.status not in {200, 206}:
                    raise await error_from_response(response, self._timeout, self._longest_wait)
                head = bytearray()
                while len(head) < _ENOUGH_TO_IDENTIFY and (chunk := await next_bytes(response)):
                    head += chunk
                with suppress(LoginRequired):
                    check_is_zip(bytes(head), response.headers, self._longest_wait)
        except BadRedirectError as error:
            raise NotAvailableError(describe_error(error)) from error
        except NETWORK_ERRORS as error:
            raise error_from_network(error) from error

    async def fetch(self, sink: SegmentSink) -> SegmentResult:
        """Make one request, after a login if necessary, and write its body into the part file.

        Returns
        -------
        ResponseBody or AskAgain or SegmentSuperseded
            The response, whose body has been written; or what to request instead, as the part file may be of another
            version; or that the segment was cancelled in the meantime.

        Raises
        ------
        ProductError, AuthenticationError
            The store refused, or the connection failed; bytes received before are in the part file.
        """
        await self._rate_limiter.resume()
        attempt = self._auth.begin_attempt()
        while True:
            reused: list[str] = []
            try:
                with _preserve_cancellation():
                    return await self._fetch(sink, attempt, reused)
            except LoginRequired:
                await attempt.sign_in(sink.url)
            except _WrongNameError:
                self._names_inside = False
            except (NotAvailableError, AuthenticationError):
                if not reused:
                    raise
                # Over a reused connection, this may have been the response to an earlier request: repeat it over a new
                # one.

    async def _fetch(self, sink: SegmentSink, attempt: AuthAttempt, reused: list[str]) -> SegmentResult:
        # Sentinel archives begin with a folder named after the product, so that a response to another request over a
        # reused connection would be recognized. Once an archive had no such folder, no connection is reused.
        fresh = not (self._names_inside and sink.is_first_request)
        request, part, segment = sink.next_request(), sink.part, sink.segment
        try:
            async with self._http.get(
                sink.url,
                headers=request.headers,
                buffer=_MIN_BLOCK,
                fresh=fresh,
                beginning=attempt.on_request,
                doubting=lambda: reused.append(sink.url),
            ) as response:
                if response.status not in {200, 206, 416}:
                    raise await error_from_response(response, self._timeout, self._longest_wait)
                sink.answered(response)
                answer = interpret_response(
                    response.status,
                    response.headers,
                    request=request,
                    wanted=segment.position,
                    held=part.held.total,
                    known=part.remote,
                    url=sink.url,
                    by_member=sink.by_member,
                )
                if isinstance(answer, AskAgain):
                    if answer.if_archive:
                        await self._require_archive(response, sink)
                    return answer
                if answer.remote.size == 0:
                    raise TransferError("the store sent an empty archive")
                if answer.end == answer.first:
                    await part.set_version(None)
                    return answer
                async with aclosing(self._blocks(response, sink)) as blocks:
                    head = await anext(blocks, bytearray())
                    if answer.first == 0 and not _is_short_piece(answer):
                        check_is_zip(bytes(head[:ERROR_PAGE]), response.headers, self._longest_wait)
                    if reused and not _names_product(head, sink.identifier, from_start=answer.first == 0):
                        raise _WrongNameError
                    if not await sink.accept(answer, response):
                        return SegmentSuperseded()
                    writer = BodyWriter(answer, part, segment)
                    await self._write_body(head, blocks, response, sink, writer)
                    return writer.result
        except BadRedirectError as error:
            raise NotAvailableError(describe_error(error)) from error
        except NETWORK_ERRORS as error:
            if segment.superseded:
                return SegmentSuperseded()
            raise error_from_network(error) from error

    async def _require_archive(self, response: ClientResponse, sink: SegmentSink) -> None:
        """Raise unless the body of a response that is not used starts like an archive."""
        async with aclosing(self._blocks(response, sink)) as blocks:
            head = await anext(blocks, bytearray())
        check_is_zip(bytes(head[:ERROR_PAGE]), response.headers, self._longest_wait)

    async def _write_body(
        self,
        head: bytearray,
        others: AsyncIterator[bytearray],
        response: ClientResponse,
        sink: SegmentSink,
        writer: BodyWriter,
    ) -> None:
        """Write the body: its first block, then the others, through a receiver if that is worth it."""
        more = await writer.take(head)
        unlimited = self._rate_limiter.rate is None
        wanted = self._tuning.thread_receiver and unlimited and not writer.segment.draining
        worth_it = wanted and writer.to_come >= self._tuning.min_receiver_bytes
        if more and worth_it and (connection := BodyConnection.on(response, self._tuning.read_seconds)):
            await self._receive(connection, sink, writer)
        else:
            while more:
                more = await writer.take(await anext(others, bytearray()))
        await writer.finish()

    async def _receive(self, connection: BodyConnection, sink: SegmentSink, writer: BodyWriter) -> None:
        segment, tuning, rate_limiter = sink.segment, self._tuning, self._rate_limiter
        rate_check = _RateCheck(self._min_rate, tuning.rate_seconds)

        async def on_written(offset: int, kept: int, received: int) -> None:
            sink.arrived(received)
            await writer.record_written(offset, kept)
            rate_check.check(received)

        with closing(connection), segment.received_over(connection):
            sink.arrived(len(connection.head))
            if connection.head and not await writer.take(connection.head):
                return
            receiver = BodyReceiver(
                *(connection, writer.part, segment, writer.position, writer.end),
                share=lambda: max(_MIN_BLOCK, rate_limiter.block_size(tuning.max_buffered_bytes // sink.connections)),
                rate_limiter=rate_limiter,
                timeout=self._timeout,
                tuning=tuning,
            )
            await receiver.run(on_written)
        writer.stopped()

    async def _blocks(self, response: ClientResponse, sink: SegmentSink) -> AsyncGenerator[bytearray, None]:
        """Collect received bytes into blocks; after an error or cancellation, yield the last block, then raise."""
        content, segment, block = response.content, sink.segment, bytearray()
        rate_check = _RateCheck(self._min_rate, self._tuning.rate_seconds)
        # The first block is small if a receiver reads the rest, or if the response to a helper may come too late.
        soon = segment.first > 0 or (response.content_length or 0) >= self._tuning.min_receiver_bytes
        size = _MIN_BLOCK if soon else self._block
        content.set_read_chunk_size(size // 4)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            while chunk := await next_bytes(response):
                sink.arrived(len(chunk))
                block += chunk
                rate_check.check(len(chunk))
                await self._rate_limiter.consume(len(chunk))
                wanted = max(_MIN_BLOCK, size // sink.connections)
                late = loop.time() - begun >= self._timeout  # write slowly arriving bytes now rather than never
                if len(block) >= wanted or 0 < segment.left <= len(block) or late:
                    yield block
                    block, size, begun = bytearray(), self._block, loop.time()
                    content.set_read_chunk_size(size // 4)
        except (*NETWORK_ERRORS, asyncio.CancelledError):
            segment.drain()
            rest = unread_bytes(content)
            sink.arrived(len(rest))
            block += rest
            if block:
                yield block
            raise
        if block:
            yield block


@contextmanager
def _preserve_cancellation() -> Iterator[None]:
    """Re-raise a cancellation that was delayed until the received bytes were written, even if another error follows."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _is_short_piece(answer: ResponseBody) -> bool:
    """Whether a body is that of a range that may end before the first local header."""
    end, size = answer.end, answer.remote.size
    return end is not None and size is not None and end < min(size, LONGEST_STUB + len(LOCAL_SIGNATURE))


def _names_product(head: bytearray, identifier: str, *, from_start: bool) -> bool:
    """Whether the first bytes of an archive, or of its end, have members in a folder such as ``<identifier>.SAFE``."""
    folder = identifier.encode("utf-8", "replace")
    if not from_start:
        return folder + b"." in head or folder + b"/" in head
    length = int.from_bytes(head[26:28], "little")
    return bytes(head[30 : 30 + length]).startswith((folder + b".", folder + b"/"))


class _RateCheck:
    """Raises ConnectionError for a connection below the minimum rate over so many seconds."""

    def __init__(self, min_rate: float | None, window: float) -> None:
        self._min_rate = min_rate
        self._window = window
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._bytes = 0

    def check(self, nbytes: int) -> None:
        if self._min_rate is None:
            return
        self._bytes += nbytes
        seconds = self._clock() - self._since
        if seconds < self._window:
            return
        rate = self._bytes / seconds
        if rate < self._min_rate:
            raise ConnectionError(f"only {format_rate(rate)} over {seconds:.0f} s")
        self._since, self._bytes = self._clock(), 0
