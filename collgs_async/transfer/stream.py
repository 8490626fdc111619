"""Bytes into the part: one request, its answer judged before a byte is written, its body poured in."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, ExhaustedError, NotAvailableError, ProductError, TransferError
from collgs_async.integrity import not_a_zip
from collgs_async.patience import LONGEST_WAIT, retry_after
from collgs_async.reading import NETWORK_ERRORS, next_bytes, read_what_comes
from collgs_async.redaction import redacted
from collgs_async.storage import NO_DESCRIPTOR
from collgs_async.transfer.judge import judge
from collgs_async.transfer.pour import Pour
from collgs_async.transfer.pump import WORTH_A_PUMP, Pump
from collgs_async.transfer.tap import Tap
from collgs_async.transfer.trip import Abandoned
from collgs_async.transport import BadRedirectError, describe, is_away
from collgs_async.units import format_duration, format_rate
from collgs_async.words import asks_to_sign_in, looks_like_html, says_too_many, server_words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from aiohttp import ClientResponse, StreamReader

    from collgs_async.auth import Authenticator, Visit
    from collgs_async.limits import Throttle
    from collgs_async.transfer.judge import Answer
    from collgs_async.transfer.trip import Stretch, Trip
    from collgs_async.transport import Transport

__all__ = ["BusyError", "Line", "StagingError", "UnavailableError"]

_ERROR_PAGE: Final = 64 * 1024
"""Bytes of an error page that are read for the server's words."""

_ENOUGH_TO_JUDGE: Final = 1024
"""Bytes at the beginning of an answer by which an archive is told from a page."""

_SAMPLE: Final = 256
_TEXT: Final = bytes({*b"\t\n\f\r", *range(32, 127), *range(128, 256)})
"""Bytes that text is made of, in UTF-8 or an older encoding."""

_SMALLEST_BLOCK: Final = 64 * 1024
_SHARED: Final = 2 * 2**20
"""Bytes that the pumps of an archive have in memory at most, all together: a kill costs them."""

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


class Line:
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
        transport: Transport,
        authenticator: Authenticator,
        throttle: Throttle,
        *,
        block: int,
        min_rate: float | None = None,
        timeout: float = 60.0,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        self._transport = transport
        self._authenticator = authenticator
        self._throttle = throttle
        self._block = throttle.piece(block)
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
            async with self._transport.get(url, headers=headers, fresh=True) as response:
                if response.status not in {200, 206}:
                    raise await _refusal(response, self._timeout, self._longest_wait)
                head = bytearray()
                while len(head) < _ENOUGH_TO_JUDGE and (chunk := await next_bytes(response)):
                    head += chunk
                with suppress(_SignInAsked):
                    _refuse_impostor(bytes(head), response.headers, self._longest_wait)
        except BadRedirectError as error:
            raise NotAvailableError(describe(error)) from error
        except NETWORK_ERRORS as error:
            raise _broken(error) from error

    async def fetch(
        self,
        trip: Trip,
        stretch: Stretch,
        *,
        judged: Callable[[Answer, ClientResponse], Awaitable[None]],
    ) -> Answer:
        """Make one request, after a sign-in if need be, and bring what it answers into the part.

        Parameters
        ----------
        trip, stretch
            What to bring; the stretch's end may move down meanwhile.
        judged
            Called when the answer was judged right, before its first byte; may still refuse it by raising.

        Raises
        ------
        AskAgain
            Nothing was written, or the part was found to be of another version; ask otherwise.
        Abandoned
            The stretch was given up meanwhile.
        ProductError, AuthenticationError
            The store refused, or the line broke; bytes that came before are in the part.
        """
        visit = self._authenticator.visit()
        while True:
            doubts: list[str] = []
            try:
                with _cancellation_kept():
                    return await self._fetch(trip, stretch, judged, visit, doubts)
            except _SignInAsked:
                await visit.sign_in(trip.url)
            except _NamelessError:
                self._names_inside = False
            except (NotAvailableError, AuthenticationError):
                if not doubts:
                    raise
                # On a connection that served another request before, that may have been the answer to it.

    async def _fetch(
        self,
        trip: Trip,
        stretch: Stretch,
        judged: Callable[[Answer, ClientResponse], Awaitable[None]],
        visit: Visit,
        doubts: list[str],
    ) -> Answer:
        fresh = not self._can_be_told_apart(trip)
        ask, part = trip.ask_for(stretch), trip.part
        try:
            async with self._transport.get(
                trip.url,
                headers=ask.headers,
                buffer=_SMALLEST_BLOCK,
                fresh=fresh,
                beginning=visit.begins,
                doubting=lambda: doubts.append(trip.url),
            ) as response:
                if response.status not in {200, 206, 416}:
                    raise await _refusal(response, self._timeout, self._longest_wait)
                trip.answered(stretch, response)
                answer = judge(
                    response.status,
                    response.headers,
                    ask=ask,
                    wanted=stretch.position,
                    held=part.held.total,
                    known=part.remote,
                    url=trip.url,
                )
                if answer.remote.size == 0:
                    raise TransferError("the store sent an empty archive")
                if answer.end == answer.first:
                    await part.remember(None)
                    return answer
                async with aclosing(self._blocks(response, trip, stretch)) as blocks:
                    head = await anext(blocks, bytearray())
                    if answer.first == 0:
                        _refuse_impostor(bytes(head[:_ERROR_PAGE]), response.headers, self._longest_wait)
                        if doubts and not _names(head, trip.product.identifier):
                            raise _NamelessError
                    await judged(answer, response)
                    await self._bring(head, blocks, response, trip, Pour(answer, part, stretch))
        except BadRedirectError as error:
            raise NotAvailableError(describe(error)) from error
        except NETWORK_ERRORS as error:
            if stretch.abandoned:
                raise Abandoned from error
            raise _broken(error) from error
        return answer

    def _can_be_told_apart(self, trip: Trip) -> bool:
        """Whether an answer that is not meant for this request would be found out, so that a used connection will do.

        An archive of a Sentinel begins with a folder of its product's name. Whatever else comes, or goes wrong, is
        asked again over a connection of its own; once an archive had no name inside, all are asked like that.
        """
        return self._names_inside and trip.requests == 0 and not trip.part.held.total

    async def _bring(
        self,
        head: bytearray,
        others: AsyncIterator[bytearray],
        response: ClientResponse,
        trip: Trip,
        pour: Pour,
    ) -> None:
        """Bring the body to its place: its head, and then the others, or all that a pump brings in their stead."""
        more = await pour.take(head)
        worth_it = self._throttle.rate is None and not pour.stretch.ending and pour.to_come >= WORTH_A_PUMP
        if more and worth_it and (tap := Tap.on(response)):
            await self._pump(tap, trip, pour)
        else:
            while more:
                more = await pour.take(await anext(others, bytearray()))
        await pour.finish()

    async def _pump(self, tap: Tap, trip: Trip, pour: Pour) -> None:
        stretch, pace = pour.stretch, _Pace(self._min_rate)

        async def landed(offset: int, kept: int, received: int) -> None:
            trip.arrived(stretch, received)
            await pour.landed(offset, kept)
            pace.check(received)

        with closing(tap):
            stretch.tap = tap
            try:
                trip.arrived(stretch, len(tap.head))
                if tap.head and not await pour.take(tap.head):
                    return
                pump = Pump(
                    *(tap, pour.part, stretch, pour.position, pour.end),
                    share=lambda: max(_SMALLEST_BLOCK, _SHARED // max(1, len(trip.running))),
                    timeout=self._timeout,
                )
                await pump.run(landed)
            finally:
                stretch.tap = None
            if stretch.abandoned:
                raise Abandoned

    async def _blocks(self, response: ClientResponse, trip: Trip, stretch: Stretch) -> AsyncGenerator[bytearray, None]:
        """Gather what arrives into blocks; what came before a cut or a Ctrl-C is handed out first."""
        content, block = response.content, bytearray()
        pace = _Pace(self._min_rate)
        # What a pump will bring need not be gathered before: the first bytes are enough to judge by.
        size = _SMALLEST_BLOCK if (response.content_length or 0) >= WORTH_A_PUMP else self._block
        content.set_read_chunk_size(size // 4)
        begun = time.monotonic()
        try:
            while chunk := await next_bytes(response):
                trip.arrived(stretch, len(chunk))
                block += chunk
                pace.check(len(chunk))
                await self._throttle.pay(len(chunk))
                wanted = max(_SMALLEST_BLOCK, size // max(1, len(trip.running)))
                late = time.monotonic() - begun >= self._timeout  # what trickles is judged, and kept, nevertheless
                if len(block) >= wanted or 0 < stretch.left <= len(block) or late:
                    yield block
                    block, size, begun = bytearray(), self._block, time.monotonic()
                    content.set_read_chunk_size(size // 4)
        except (*NETWORK_ERRORS, asyncio.CancelledError):
            stretch.ending = True
            rest = _left_behind(content)
            trip.arrived(stretch, len(rest))
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


def _refuse_impostor(head: bytes, headers: Mapping[str, str], longest_wait: float) -> None:
    """Refuse a body that does not begin as a ZIP archive does, whatever its type says."""
    if (what := not_a_zip(head)) is None:
        return
    if looks_like_html(head) and asks_to_sign_in(head):
        raise _SignInAsked
    if head[:_SAMPLE].translate(None, _TEXT):  # neither a page nor words: this is what the store has by that name
        raise TransferError(f"the store sent {what} instead of the archive", retry_after=retry_after(headers))
    words = server_words(head)
    told = f"the store sent {what} instead of the archive{f': {words}' if words else ''}"
    raise _for_now(told, retry_after(headers), longest_wait, busy=says_too_many(words))


def _broken(error: BaseException) -> TransferError | ExhaustedError:
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        return ExhaustedError(describe(error))
    return (UnavailableError if is_away(error) else TransferError)(describe(error))


async def _refusal(response: ClientResponse, seconds: float, longest_wait: float) -> ProductError | AuthenticationError:
    """Turn an answer without an archive into the error that says what to do about it."""
    page = await read_what_comes(response, _ERROR_PAGE, seconds=seconds)
    words = server_words(page)
    told = f"HTTP {response.status}: {words or redacted(response.reason or '') or 'no reason given'}"
    wait = retry_after(response.headers)
    if response.status == 401:
        return AuthenticationError(f"the store asks for a sign-in ({told})")
    if response.status == 202:
        return StagingError(told, retry_after=wait)
    busy = response.status in {429, 503} or says_too_many(words)
    if busy or response.status >= 500 or response.status in {408, 425}:
        return _for_now(told, wait, longest_wait, busy=busy)
    return NotAvailableError(told)


def _for_now(told: str, wait: float | None, longest_wait: float, *, busy: bool) -> ProductError:
    """Refuse for now, or for good when the store asks for more patience than a run has."""
    if wait is not None and wait > longest_wait:
        return NotAvailableError(f"{told}; it asks to wait {format_duration(wait)}, longer than a run does")
    return (BusyError if busy else UnavailableError)(told, retry_after=wait)
