"""Bytes into the part: one request, its answer judged before a byte is written, its body poured in."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from collgs_async.errors import AuthenticationError, NotAvailableError, ProductError, TransferError
from collgs_async.integrity import not_a_zip
from collgs_async.transfer.judge import Answer, Ask, AskAgain, judge
from collgs_async.transport import LONGEST_WAIT, NETWORK_ERRORS, describe, read_at_most, retry_after
from collgs_async.units import format_duration
from collgs_async.words import asks_to_sign_in, looks_like_html, server_words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from aiohttp import ClientResponse, StreamReader

    from collgs_async.limits import Throttle
    from collgs_async.partfile import PartFile
    from collgs_async.transport import Transport

__all__ = ["Line"]

_ERROR_PAGE: Final = 64 * 1024
"""Bytes of an error page that are read for the server's words."""

_TOO_MANY = ("concurrent flows", "too many requests", "too many connections")
"""Words by which some stores refuse one connection too many, under whatever status."""


class Line:
    """The way from the store to a part.

    Parameters
    ----------
    transport
        The HTTP session.
    throttle
        The run's limit of bytes a second.
    block
        Bytes that are written at once.
    """

    def __init__(self, transport: Transport, throttle: Throttle, *, block: int) -> None:
        self._transport = transport
        self._throttle = throttle
        self._block = throttle.piece(block)

    async def fetch(
        self, url: str, ask: Ask, part: PartFile, *, started: Callable[[Answer], None], arrived: Callable[[int], None]
    ) -> Answer:
        """Make one request and bring what it answers into the part.

        Parameters
        ----------
        url, ask
            What to ask for.
        part
            Where the bytes belong; open.
        started
            Called when the answer was judged right, before its first byte.
        arrived
            Called with each number of body bytes that came over the wire.

        Raises
        ------
        AskAgain
            Nothing was written, or the part was found to be of another version; ask otherwise.
        ProductError, AuthenticationError
            The store refused, or the line broke; bytes that came before are in the part.
        """
        try:
            async with self._transport.get(url, headers=ask.headers, buffer=self._block) as response:
                if response.status not in {200, 206, 416}:
                    raise await _refusal(response)
                answer = judge(response.status, response.headers, ask=ask, held=part.length, known=part.remote, url=url)
                if answer.end == answer.first:
                    return answer
                async with aclosing(self._blocks(response.content, arrived)) as blocks:
                    head = await anext(blocks, bytearray())
                    if answer.first == 0:
                        _refuse_impostor(bytes(head[:_ERROR_PAGE]), response.headers)
                    started(answer)
                    await _pour(head, blocks, answer, part)
        except NETWORK_ERRORS as error:
            raise TransferError(describe(error)) from error
        return answer

    async def _blocks(self, content: StreamReader, arrived: Callable[[int], None]) -> AsyncGenerator[bytearray, None]:
        """Gather what arrives into blocks; the bytes before a cut are handed out before the cut is raised."""
        block = bytearray()
        try:
            while chunk := await content.readany():
                arrived(len(chunk))
                block += chunk
                if len(block) >= self._block:
                    yield block
                    block = bytearray()
                await self._throttle.pay(len(chunk))
        except NETWORK_ERRORS:
            rest = _left_behind(content)
            arrived(len(rest))
            block += rest
            if block:
                yield block
            raise
        if block:
            yield block


def _left_behind(content: StreamReader) -> bytes:
    """Take what aiohttp had received when the line broke; its public methods only raise from then on."""
    chunks = getattr(content, "_buffer", None) or ()
    offset = getattr(content, "_buffer_offset", 0)
    return b"".join(chunks)[offset:]


def _refuse_impostor(head: bytes, headers: Mapping[str, str]) -> None:
    """Refuse a body that does not begin as a ZIP archive does, whatever its type says."""
    if (what := not_a_zip(head)) is None:
        return
    if looks_like_html(head) and asks_to_sign_in(head):
        raise AuthenticationError(
            "the store answers with a sign-in form instead of the archive, and signing in is not supported yet"
        )
    words = server_words(head) if head.lstrip()[:1] in {b"<", b"{", b"["} else ""
    said = f": {words}" if words else ""
    raise TransferError(f"the store sent {what} instead of the archive{said}", retry_after=retry_after(headers))


async def _refusal(response: ClientResponse) -> ProductError | AuthenticationError:
    """Turn an answer without an archive into the error that says what to do about it."""
    page, _ = await read_at_most(response, _ERROR_PAGE)
    words = server_words(page)
    told = f"HTTP {response.status}: {words or response.reason or 'no reason given'}"
    wait = retry_after(response.headers)
    if response.status == 401:
        return AuthenticationError(f"the store asks for a sign-in ({told})")
    busy = any(phrase in words.lower() for phrase in _TOO_MANY)
    if response.status >= 500 or response.status in {202, 408, 425, 429} or busy:
        if (wait or 0) > LONGEST_WAIT:
            return NotAvailableError(f"{told}; it asks to wait {format_duration(wait or 0)}, longer than a run does")
        return TransferError(told, retry_after=wait)
    return NotAvailableError(told)


async def _pour(block: bytearray, blocks: AsyncIterator[bytearray], answer: Answer, part: PartFile) -> None:
    """Write `block` and all `blocks` to their place; what is here already is compared, not written again.

    Raises
    ------
    AskAgain
        The part's last block is not what the server has there: it is of another version.
    TransferError
        The server sent more or less than it announced.
    """
    position = answer.first
    if not answer.proven:
        await part.remember(None)
    while block:
        size = len(block)
        if answer.end is not None and position + size > answer.end:
            raise TransferError(f"more than the {answer.end} bytes that were announced")
        await _place(block, position, answer, part)
        position += size
        if position >= part.length and answer.first == 0:
            # Only now is every byte of the part known to be of this version.
            await part.remember(answer.remote)
        block = await anext(blocks, bytearray())
    if answer.end is not None and position < answer.end:
        raise TransferError(f"the answer ended at byte {position} of {answer.end}")
    if position < part.length:
        if answer.end is None:
            raise TransferError(f"the answer, of unknown length, ended at byte {position}; {part.length} are here")
        await part.truncate(position)


async def _place(block: bytearray, position: int, answer: Answer, part: PartFile) -> None:
    here = min(len(block), part.length - position)
    if here > 0:
        if await part.read(position, here) == block[:here]:
            del block[:here]
            position += here
        elif answer.first > 0:
            raise AskAgain("what is here is of another version", from_start=True)
        else:
            # All before this block was equal to the new version, so the part becomes the new one from here on.
            await part.remember(None)
            await part.truncate(position)
    if block:
        if part.length == 0:
            await part.remember(answer.remote)
        await part.write(position, block)
