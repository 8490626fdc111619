"""No page lasts for ever, and none is given up that comes at a pace that any line has."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from collgs_async import CatalogueError, Client, Config, Connection, Product, TransferError
from collgs_async.http.body_reading import read_at_most
from collgs_async.http.network_errors import describe_error
from collgs_async.http.session import HttpSession
from tests.conftest import HANGS
from tests.support.servers import accepting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import RecordedSleeps

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
PAGE = json.dumps(
    {"features": [{"properties": {"identifier": "A", "links": {"data": [{"href": "a.zip"}]}}}], "totalResults": 1}
).encode()


@asynccontextmanager
async def answering(answer: Callable[[asyncio.StreamWriter], object]) -> AsyncIterator[str]:
    """Answer each request so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)  # type: ignore[misc]  # it is a coroutine function
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with accepting(serve) as (host, port):
        yield f"http://{host}:{port}"


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % 10**6)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def trickling_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


async def at_a_pace(writer: asyncio.StreamWriter) -> None:
    """Send 40,000 bytes in about two seconds."""
    body = b" " * 40_000 + PAGE
    writer.write(HEAD % len(body))
    for at in range(0, len(body), 1000):
        writer.write(body[at : at + 1000])
        await writer.drain()
        await asyncio.sleep(0.05)


SOON = 0.4
"""Seconds: the time-out where one is expected; elsewhere there is none, however busy the machine."""


def config(origin: str, folder: Path, timeout: float) -> Config:
    return Config(
        base_url=f"{origin}/search",
        parameters={"parentIdentifier": "X"},
        output_directory=folder,
        connection=Connection(timeout=timeout, retries=1),
    )


async def search(origin: str, folder: Path, sleeps: RecordedSleeps, *, timeout: float = HANGS) -> list[Product]:
    async with Client(config(origin, folder, timeout), sleep=sleeps) as client:
        return [product async for product in client.catalogue.search()]


async def test_a_page_that_trickles_is_given_up(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with answering(trickle) as origin:
        with pytest.raises(CatalogueError, match=r"the connection broke \(only .* over \d+ s\)"):
            await search(origin, tmp_path, sleeps, timeout=SOON)


async def test_a_head_that_trickles_is_given_up(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with answering(trickling_head) as origin:
        with pytest.raises(CatalogueError, match="the catalogue at"):
            await search(origin, tmp_path, sleeps, timeout=SOON)


async def test_a_page_at_a_pace_may_take_longer() -> None:
    async with (
        answering(at_a_pace) as origin,
        HttpSession(Connection(timeout=60)) as session,
        session.get(origin) as response,
    ):
        body, whole = await read_at_most(response, 10**6, seconds=0.5, rate=1000)

    assert whole
    assert body.endswith(PAGE)


async def test_a_quicklook_that_trickles_is_given_up(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with answering(trickle) as origin, Client(config(origin, tmp_path, SOON), sleep=sleeps) as client:
        requester = client._store_requester()
        with pytest.raises(TransferError, match=r"only .* over \d+ s"):
            await requester.request(f"{origin}/x.jpg", limit=10**6)


async def test_a_rate_that_was_asked_for_holds_for_pages() -> None:
    async with (
        answering(at_a_pace) as origin,
        HttpSession(Connection(timeout=60), 10.0**7, rate_seconds=0.2) as session,
        session.get(origin) as response,
    ):
        with pytest.raises(ConnectionError, match=r"only .* over \d+ s"):
            await session.page(response, 10**6)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 2xx OK\r\n\r\n", "an answer that is not HTTP (Bad status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "an answer that is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "an answer that is not HTTP (Invalid"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            "a body that is not as its Content-Encoding says (gzip)",
        ),
    ],
)
async def test_one_clear_line_says_what_is_wrong_with_an_answer(
    tmp_path: Path, sleeps: RecordedSleeps, answer: bytes, told: str
) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with answering(say) as origin:
        with pytest.raises(CatalogueError) as caught:
            await search(origin, tmp_path, sleeps)

    assert told in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("coding", [b"x-gzip", b"X-GZip \t", b"gzip"])
async def test_gzip_is_read_by_its_older_name_too(tmp_path: Path, sleeps: RecordedSleeps, coding: bytes) -> None:
    body = gzip.compress(b'{"features": [], "totalResults": 0}')

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)))
        writer.write(body)
        await writer.drain()

    async with answering(say) as origin:
        assert [] == await search(origin, tmp_path, sleeps)


@pytest.mark.parametrize("coding", [b"compress", b"x-compress"])
async def test_a_coding_that_was_not_asked_for_is_refused(
    tmp_path: Path, sleeps: RecordedSleeps, coding: bytes
) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 4\r\n\r\n\x1f\x9d\x90\x7b" % coding)
        await writer.drain()

    async with answering(say) as origin:
        with pytest.raises(CatalogueError, match="data that is no text"):
            await search(origin, tmp_path, sleeps)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: %d\r\nContent-Length: %d\r\n",
        b"Content-Length: %d, %d\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: %d\r\nX: %d\r\n",
        b"Content-Encoding: identity\r\nContent-Length: %d\r\nX: %d\r\n",
        b"Content-Encoding: \r\nContent-Length: %d\r\nX: %d\r\n",
    ],
)
async def test_framing_that_is_right_but_unusual_is_taken(
    tmp_path: Path, sleeps: RecordedSleeps, fields: bytes
) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + fields % (len(PAGE), len(PAGE)) + b"\r\n" + PAGE)
        await writer.drain()

    async with answering(say) as origin:
        assert ["A"] == [product.identifier for product in await search(origin, tmp_path, sleeps)]


def test_an_error_without_words_still_says_something() -> None:
    assert "the connection broke (only 5 B/s over 9 s)" == describe_error(ConnectionError("only 5 B/s over 9 s"))
