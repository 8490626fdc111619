"""Connections on which more came than was asked for, and cookies that cannot be sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from collgs_async.config.settings import Connection
from collgs_async.http.body_reading import read_at_most
from collgs_async.http.connections import SendableCookies, is_sendable
from collgs_async.http.session import HttpSession
from tests.conftest import HANGS
from tests.support.servers import UNUSED_ORIGIN, accepting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def ask_twice(say: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> tuple[list[bytes], int]:
    """Ask a server twice, with a pause in between; give what it said, and how many connections it took."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await say(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    bodies = []
    async with accepting(serve) as (host, port), HttpSession(Connection(timeout=60)) as transport:
        for _ in range(2):
            async with asyncio.timeout(HANGS), transport.get(f"http://{host}:{port}/") as response:
                bodies.append((await read_at_most(response, 100))[0])
            await asyncio.sleep(0.05)
    return bodies, connections


def saying(*pieces: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def say(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return say


async def test_a_connection_that_brought_what_was_asked_is_used_again() -> None:
    assert ([b"hello"] * 2, 1) == await ask_twice(saying(HELLO))


@pytest.mark.parametrize("extra", [HELLO, b"HTTP/1.1 4", b"\0", b"\r\n", b"<html>", b"HTTP/1.1 408 X\r\n\r\n"])
@pytest.mark.parametrize("cut", [0, 1, 30, len(HELLO) - 1, len(HELLO)])
async def test_a_connection_that_brought_more_is_not_used_again(extra: bytes, cut: int) -> None:
    answer = HELLO + extra
    assert ([b"hello"] * 2, 2) == await ask_twice(saying(answer[:cut], answer[cut:]))


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_a_head_in_pieces_is_read(size: int) -> None:
    pieces = [HELLO[at : at + size] for at in range(0, len(HELLO), size)]
    assert ([b"hello"] * 2, 1) == await ask_twice(saying(*pieces))


async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    assert ([b"hello"] * 2, 1) == await ask_twice(saying(interim, HELLO))


@given(st.text(max_size=30))
def test_what_can_be_sent_is_printable_ascii(text: str) -> None:
    assert is_sendable(text) is (text.isascii() and (text.isprintable() or not text))


def test_cookies_that_cannot_be_sent_stay_here() -> None:
    async def cookies(*fields: str) -> list[str]:
        jar = SendableCookies(unsafe=True, quote_cookie=False)
        jar.update_cookies_from_headers(fields, URL(UNUSED_ORIGIN))
        return sorted(jar.filter_cookies(URL(UNUSED_ORIGIN)))

    large = [f"large{number}={'x' * 3000}" for number in range(9)]
    assert ["good"] == asyncio.run(cookies("good=a/b=c", "bad=\x01", "ugly=\u00e9", "odd=\udce9"))
    assert 3 == len(asyncio.run(cookies("good=1", *large)))
