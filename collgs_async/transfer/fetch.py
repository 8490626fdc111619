"""Bytes into the part: one request, its answer judged before a byte is written, its body poured in."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, ExhaustedError, NotAvailableError, ProductError, TransferError
from collgs_async.http.body_reading import NETWORK_ERRORS, next_bytes, read_what_comes
from collgs_async.http.messages import error_text, is_html, is_login_page, is_rate_limit_text
from collgs_async.http.retry import MAX_RETRY_AFTER, parse_retry_after
from collgs_async.http.session import BadRedirectError, describe_error, is_away
from collgs_async.models.redaction import redacted
from collgs_async.models.text import format_duration, format_rate
from collgs_async.storage.files import NO_DESCRIPTOR
from collgs_async.storage.verify import describe_non_zip
from collgs_async.transfer.body import BodyWriter
from collgs_async.transfer.connection import BodyConnection
from collgs_async.transfer.job import SegmentSuperseded
from collgs_async.transfer.range_request import interpret_response
from collgs_async.transfer.receiver import WORTH_A_RECEIVER, BodyReceiver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from aiohttp import ClientResponse, StreamReader

    from collgs_async.http.auth import AuthAttempt, Authenticator
    from collgs_async.http.limits import RateLimiter
    from collgs_async.http.session import HttpSession
    from collgs_async.transfer.job import DownloadJob, Segment
    from collgs_async.transfer.range_request import ResponseBody

__all__ = ["BusyError", "SegmentFetcher", "StagingError", "UnavailableError"]

_ERROR_PAGE: Final = 64 * 1024
"""Bytes of an error page that are read for the server's words."""

_ENOUGH_TO_JUDGE: Final = 1024
"""Bytes at the beginning of an answer by which an archive is told from a page."""

_SAMPLE: Final = 256
_TEXT: Final = bytes({*b"\t\n\f\r", *range(32, 127), *range(128, 256)})
"""Bytes that text is made of, in UTF-8 or an older encoding."""

_SMALLEST_BLOCK: Final = 64 * 1024
_SHARED: Final = 2 * 2**20
"""Bytes that the receivers of an archive have in memory at most, all together: a kill costs them."""

_RATE_WINDOW: Final = 30.0
"""Seconds over which a line must keep the least rate."""


class _SignInAsked(Exception):  # noqa: N818 - not an error: there is a form to be filled in
    """The store answers with a sign-in form instead of the archive."""


class _NamelessError(Exception):
    """The archive does not begin with the product's name, and came over a connection where it may be another one."""


class UnavailableError(TransferError):
    """The store does not answer, or not for now; this may be the trouble of all its archives, or of one."""


class BusyError(UnavailableError):
    """The store refuses this request because there are too many at once."""


class StagingError(TransferError):
    """The store has the archive brought from tape (HTTP 202), and asks to come again."""


class SegmentFetcher:
    """The way from the store to a part.

    Parameters
    ----------
    transport
        The HTTP session.
    authenticator
        Signs in when the store asks for it.
    throttle
        The run's limit of bytes a second.
    block
        Bytes that are written at once; shared by the connections of a file, so that a kill never costs more.
    min_rate
        Bytes a second below which a connection is given up for a new one; None for no such limit.
    timeout
        Seconds without a byte after which a connection is given up.
    longest_wait
        The most seconds that the store may ask to wait; more is a refusal for good.
    """

    def __init__(
        self,
        session: HttpSession,
        authenticator: Authenticator,
        rate_limiter: RateLimiter,
        *,
        block: int,
        min_rate: float | None = None,
        timeout: float = 60.0,
        longest_wait: float = MAX_RETRY_AFTER,
    ) -> None:
        self._session = session
        self._authenticator = authenticator
        self._rate_limiter = rate_limiter
        self._block = rate_limiter.block_size(block)
        self._min_rate = min_rate
        self._timeout = timeout
        self._longest_wait = longest_wait
        self._names_inside = True

    async def check(self, url: str) -> None:
        """Ask for the first bytes of an archive, and see whether they come, or a sign-in form.

        Raises
        ------
        ProductError, AuthenticationError
            They do not; `UnavailableError` when that may be the trouble of the whole store.
        """
        try:
            headers = {"Range": f"bytes=0-{_ENOUGH_TO_JUDGE - 1}"}
            async with self._session.get(url, headers=headers, fresh=True) as response:
                if response.status not in {200, 206}:
                    raise await _error_from_response(response, self._timeout, self._longest_wait)
                head = bytearray()
                while len(head) < _ENOUGH_TO_JUDGE and (chunk := await next_bytes(response)):
                    head += chunk
                with suppress(_SignInAsked):
                    _check_is_zip(bytes(head), response.headers, self._longest_wait)
        except BadRedirectError as error:
            raise NotAvailableError(describe_error(error)) from error
        except NETWORK_ERRORS as error:
            raise _broken(error) from error

    async def fetch(
        self,
        job: DownloadJob,
        segment: Segment,
        *,
        judged: Callable[[ResponseBody, ClientResponse], Awaitable[None]],
    ) -> ResponseBody:
        """Make one request, after a sign-in if need be, and bring what it answers into the part.

        Parameters
        ----------
        trip, segment
            What to bring; the segment's end may move down meanwhile.
        judged
            Called when the answer was judged right, before its first byte; may still refuse it by raising.

        Raises
        ------
        AskAgain
            Nothing was written, or the part was found to be of another version; ask otherwise.
        Abandoned
            The segment was given up meanwhile.
        ProductError, AuthenticationError
            The store refused, or the line broke; bytes that came before are in the part.
        """
        visit = self._authenticator.visit()
        while True:
            doubts: list[str] = []
            try:
                with _cancellation_kept():
                    return await self._fetch(job, segment, judged, visit, doubts)
            except _SignInAsked:
                await visit.sign_in(job.url)
            except _NamelessError:
                self._names_inside = False
            except (NotAvailableError, AuthenticationError):
                if not doubts:
                    raise
                # On a connection that served another request before, that may have been the answer to it.

    async def _fetch(
        self,
        job: DownloadJob,
        segment: Segment,
        judged: Callable[[ResponseBody, ClientResponse], Awaitable[None]],
        visit: AuthAttempt,
        doubts: list[str],
    ) -> ResponseBody:
        fresh = not self._can_be_told_apart(job)
        ask, part = job.ask_for(segment), job.part
        try:
            async with self._session.get(
                job.url,
                headers=ask.headers,
                buffer=_SMALLEST_BLOCK,
                fresh=fresh,
                beginning=visit.on_request,
                doubting=lambda: doubts.append(job.url),
            ) as response:
                if response.status not in {200, 206, 416}:
                    raise await _error_from_response(response, self._timeout, self._longest_wait)
                job.answered(segment, response)
                answer = interpret_response(
                    response.status,
                    response.headers,
                    ask=ask,
                    wanted=segment.position,
                    held=part.held.total,
                    known=part.remote,
                    url=job.url,
                )
                if answer.remote.size == 0:
                    raise TransferError("the store sent an empty archive")
                if answer.end == answer.first:
                    await part.set_version(None)
                    return answer
                async with aclosing(self._blocks(response, job, segment)) as blocks:
                    head = await anext(blocks, bytearray())
                    if answer.first == 0:
                        _check_is_zip(bytes(head[:_ERROR_PAGE]), response.headers, self._longest_wait)
                        if doubts and not _names(head, job.product.identifier):
                            raise _NamelessError
                    await judged(answer, response)
                    await self._bring(head, blocks, response, job, BodyWriter(answer, part, segment))
        except BadRedirectError as error:
            raise NotAvailableError(describe_error(error)) from error
        except NETWORK_ERRORS as error:
            if segment.superseded:
                raise SegmentSuperseded from error
            raise _broken(error) from error
        return answer

    def _can_be_told_apart(self, job: DownloadJob) -> bool:
        """Whether an answer that is not meant for this request would be found out, so that a used connection will do.

        An archive of a Sentinel begins with a folder of its product's name. Whatever else comes, or goes wrong, is
        asked again over a connection of its own; once an archive had no name inside, all are asked like that.
        """
        return self._names_inside and job.attempts == 0 and not job.part.held.total

    async def _bring(
        self,
        head: bytearray,
        others: AsyncIterator[bytearray],
        response: ClientResponse,
        job: DownloadJob,
        writer: BodyWriter,
    ) -> None:
        """Bring the body to its place: its head, and then the others, or all that a receiver brings in their stead."""
        more = await writer.take(head)
        worth_it = (
            self._rate_limiter.rate is None and not writer.segment.draining and writer.to_come >= WORTH_A_RECEIVER
        )
        if more and worth_it and (connection := BodyConnection.on(response)):
            await self._receiver(connection, job, writer)
        else:
            while more:
                more = await writer.take(await anext(others, bytearray()))
        await writer.finish()

    async def _receiver(self, connection: BodyConnection, job: DownloadJob, writer: BodyWriter) -> None:
        segment, pace = writer.segment, _Pace(self._min_rate)

        async def landed(offset: int, kept: int, received: int) -> None:
            job.arrived(segment, received)
            await writer.landed(offset, kept)
            pace.check(received)

        with closing(connection):
            segment.connection = connection
            try:
                job.arrived(segment, len(connection.head))
                if connection.head and not await writer.take(connection.head):
                    return
                receiver = BodyReceiver(
                    *(connection, writer.part, segment, writer.position, writer.end),
                    share=lambda: max(_SMALLEST_BLOCK, _SHARED // max(1, len(job.active))),
                    timeout=self._timeout,
                )
                await receiver.run(landed)
            finally:
                segment.connection = None
            if segment.superseded:
                raise SegmentSuperseded

    async def _blocks(
        self, response: ClientResponse, job: DownloadJob, segment: Segment
    ) -> AsyncGenerator[bytearray, None]:
        """Gather what arrives into blocks; what came before a cut or a Ctrl-C is handed out first."""
        content, block = response.content, bytearray()
        pace = _Pace(self._min_rate)
        # What a receiver will bring need not be gathered before: the first bytes are enough to judge by.
        size = _SMALLEST_BLOCK if (response.content_length or 0) >= WORTH_A_RECEIVER else self._block
        content.set_read_chunk_size(size // 4)
        begun = time.monotonic()
        try:
            while chunk := await next_bytes(response):
                job.arrived(segment, len(chunk))
                block += chunk
                pace.check(len(chunk))
                await self._rate_limiter.consume(len(chunk))
                wanted = max(_SMALLEST_BLOCK, size // max(1, len(job.active)))
                late = time.monotonic() - begun >= self._timeout  # what trickles is judged, and kept, nevertheless
                if len(block) >= wanted or 0 < segment.left <= len(block) or late:
                    yield block
                    block, size, begun = bytearray(), self._block, time.monotonic()
                    content.set_read_chunk_size(size // 4)
        except (*NETWORK_ERRORS, asyncio.CancelledError):
            segment.draining = True
            rest = _left_behind(content)
            job.arrived(segment, len(rest))
            block += rest
            if block:
                yield block
            raise
        if block:
            yield block


@contextmanager
def _cancellation_kept() -> Iterator[None]:
    """Raise a cancellation again that was put off until the bytes at hand were written, whatever came of them."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _names(head: bytearray, identifier: str) -> bool:
    """Whether the first member of an archive lies in a folder of this name, such as ``<identifier>.SAFE``."""
    length = int.from_bytes(head[26:28], "little")
    name, folder = bytes(head[30 : 30 + length]), identifier.encode("utf-8", "replace")
    return name.startswith((folder + b".", folder + b"/"))


class _Pace:
    """Notices a line that is slower than it may be."""

    def __init__(self, least: float | None) -> None:
        self._least = least
        self._since = time.monotonic()
        self._bytes = 0

    def check(self, nbytes: int) -> None:
        if self._least is None:
            return
        self._bytes += nbytes
        seconds = time.monotonic() - self._since
        if seconds < _RATE_WINDOW:
            return
        rate = self._bytes / seconds
        if rate < self._least:
            raise ConnectionError(f"only {format_rate(rate)} over {seconds:.0f} s")
        self._since, self._bytes = time.monotonic(), 0


def _left_behind(content: StreamReader) -> bytes:
    """Take what aiohttp had received when the line broke; its public methods only raise from then on."""
    chunks = getattr(content, "_buffer", None) or ()
    offset = getattr(content, "_buffer_offset", 0)
    return b"".join(chunks)[offset:]


def _check_is_zip(head: bytes, headers: Mapping[str, str], longest_wait: float) -> None:
    """Refuse a body that does not begin as a ZIP archive does, whatever its type says."""
    if (what := describe_non_zip(head)) is None:
        return
    if is_html(head) and is_login_page(head):
        raise _SignInAsked
    if head[:_SAMPLE].translate(None, _TEXT):  # neither a page nor words: this is what the store has by that name
        raise TransferError(f"the store sent {what} instead of the archive", retry_after=parse_retry_after(headers))
    words = error_text(head)
    told = f"the store sent {what} instead of the archive{f': {words}' if words else ''}"
    raise _temporary_error(told, parse_retry_after(headers), longest_wait, busy=is_rate_limit_text(words))


def _broken(error: BaseException) -> TransferError | ExhaustedError:
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        return ExhaustedError(describe_error(error))
    return (UnavailableError if is_away(error) else TransferError)(describe_error(error))


async def _error_from_response(
    response: ClientResponse, seconds: float, longest_wait: float
) -> ProductError | AuthenticationError:
    """Turn an answer without an archive into the error that says what to do about it."""
    page = await read_what_comes(response, _ERROR_PAGE, seconds=seconds)
    words = error_text(page)
    told = f"HTTP {response.status}: {words or redacted(response.reason or '') or 'no reason given'}"
    wait = parse_retry_after(response.headers)
    if response.status == 401:
        return AuthenticationError(f"the store asks for a sign-in ({told})")
    if response.status == 202:
        return StagingError(told, retry_after=wait)
    busy = response.status in {429, 503} or is_rate_limit_text(words)
    if busy or response.status >= 500 or response.status in {408, 425}:
        return _temporary_error(told, wait, longest_wait, busy=busy)
    return NotAvailableError(told)


def _temporary_error(told: str, wait: float | None, longest_wait: float, *, busy: bool) -> ProductError:
    """Refuse for now, or for good when the store asks for more patience than a run has."""
    if wait is not None and wait > longest_wait:
        return NotAvailableError(f"{told}; it asks to wait {format_duration(wait)}, longer than a run does")
    return (BusyError if busy else UnavailableError)(told, retry_after=wait)
