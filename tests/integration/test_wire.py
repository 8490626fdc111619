"""One product of ten whose store, or its line, does what HTTP does not allow, or does it without end.

Whatever that is, the other nine are right, the run ends, and the next one, with an honest store, has all ten.
"""

from __future__ import annotations

import asyncio
import io
import random
import re
import shutil
import ssl
import sys
import zipfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from collgs_async import Client
from tests.conftest import HANGS, level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, on_linux
from tests.support.servers import MOST_MEMORY, RawServer, measured, served, settings_for, small_archive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from collgs_async.models.report import Report
    from tests.conftest import Command, RecordedSleeps

    Say: TypeAlias = Callable[["Kept", asyncio.StreamWriter], Awaitable[bool]]

NAMES = [scene.identifier for scene in level2_scenes(6)]
BAD, GOOD = NAMES[3], [name for name in NAMES if name != NAMES[3]]


def named_archive(name: str, size: int = 30_000) -> bytes:
    """Write an archive as they are: in a folder of the product's name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.SAFE/image.jp2"), random.Random(name).randbytes(size))
    return file.getvalue()


ARCHIVES = {name: named_archive(name) for name in NAMES}
BODY = ARCHIVES[BAD]
LONG = 64 * 2**20
"""Bytes after which what has no end is given up by the store itself, so that a failing test ends, too."""


class Kept(RawServer):
    """A catalogue and a store on connections that are kept; one product's answers are told, byte by byte.

    Attributes
    ----------
    honest
        Whether all products are handed out as they should be.
    sent
        Bytes of all answers.
    asked, connections
        How many answers were told, and how many connections there were.
    path
        The last path whose answer was told.
    """

    def __init__(self, bad: Mapping[str, Say]) -> None:
        super().__init__([(name, f"/{name}.zip") for name in {**ARCHIVES, **bad}], lambda _: self._nothing())
        self._bad = bad
        self.archives = ARCHIVES
        self.honest = False
        self.sent = 0
        self.asked = 0
        self.path = ""
        self.connections = 0

    async def _nothing(self) -> AsyncIterator[bytes]:
        yield b""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        name = path.partition("?")[0].strip("/").removesuffix(".zip")
        if name in self._bad and not self.honest:
            self.asked += 1
            self.path = path
            return await self._bad[name](self, writer)
        page = self._page.replace(b"Connection: close\r\n", b"")
        await self.send(writer, ok(self.archives[name]) if name in self.archives else page)
        return True

    async def send(self, writer: asyncio.StreamWriter, *pieces: bytes) -> None:
        for piece in pieces:
            writer.write(piece)
            self.sent += len(piece)
            await writer.drain()


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def ok(body: bytes, *lines: str) -> bytes:
    return head(f"Content-Length: {len(body)}", *lines) + body


@asynccontextmanager
async def kept(bad: Mapping[str, Say], certificate: Path | None = None) -> AsyncIterator[Kept]:
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    async with served(Kept(bad), tls) as here:
        yield here


# ----------------------------------------------------------------------------------------------- what the store may do


def bytes_of(*pieces: bytes, keep: bool = True) -> Say:
    """Say these bytes."""

    async def say(server: Kept, writer: asyncio.StreamWriter) -> bool:
        await server.send(writer, *pieces)
        return keep

    return say


def without_end(begin: bytes, again: bytes, *, each: float = 0) -> Say:
    """Say something again and again: as fast as it goes, or in a rhythm of so many seconds."""

    async def say(server: Kept, writer: asyncio.StreamWriter) -> bool:
        await server.send(writer, begin)
        started = server.sent
        while server.sent - started < LONG:
            await server.send(writer, again if each else again * max(1, 65536 // len(again)))
            await asyncio.sleep(each)
        return False

    return say


def silence(*pieces: bytes) -> Say:
    """Say these bytes, and then nothing."""

    async def say(server: Kept, writer: asyncio.StreamWriter) -> bool:
        await server.send(writer, *pieces)
        await asyncio.sleep(600)
        return False

    return say


def late(first: bytes, second: bytes) -> Say:
    """Say something, and a moment later something else."""

    async def say(server: Kept, writer: asyncio.StreamWriter) -> bool:
        await server.send(writer, first)
        await asyncio.sleep(0.02)
        await server.send(writer, second)
        return True

    return say


def to_signed_link(redirect: bytes, answer: bytes) -> Say:
    """Redirect, and answer where the link has a query."""

    async def say(server: Kept, writer: asyncio.StreamWriter) -> bool:
        await server.send(writer, answer if "?" in server.path else redirect)
        return True

    return say


def cut(answer: bytes) -> Say:
    """Say two thirds of an answer and hang up; when asked again, all of it."""

    async def say(server: Kept, writer: asyncio.StreamWriter) -> bool:
        first = server.asked == 1
        await server.send(writer, answer[: len(answer) * 2 // 3] if first else answer)
        return not first

    return say


CHUNKED = head("Transfer-Encoding: chunked")
MORE = "".join(f"X-{number}: y\r\n" for number in range(10)).encode()
NOT_FOUND = ok(b"abc").replace(b"200 OK", b"404 Not Found")


@dataclass(frozen=True)
class Case:
    """What the store does for one product.

    Attributes
    ----------
    say
        The answers.
    right
        Whether the archive can be had nevertheless.
    words
        What is said when not.
    slow
        Whether much may come before its end.
    """

    say: Say
    right: bool = False
    words: str = ""
    slow: bool = False


TAKEN = partial(Case, right=True)
CASES = {
    # What was not asked for
    "an answer too many": TAKEN(bytes_of(ok(BODY) + NOT_FOUND)),
    "an answer too many, later": TAKEN(late(ok(BODY), NOT_FOUND)),
    "an archive too many": TAKEN(bytes_of(ok(BODY) + ok(BODY))),
    "an archive too many, later": TAKEN(late(ok(BODY), ok(BODY))),
    "half a status line too many": TAKEN(bytes_of(ok(BODY) + b"HTTP/1.1 4")),
    "garbage behind": TAKEN(bytes_of(ok(BODY) + b"\0\0<html>")),
    "a byte too many": TAKEN(bytes_of(ok(BODY) + b"H")),
    "an empty line too many": TAKEN(bytes_of(ok(BODY) + b"\r\n")),
    "an answer behind chunks": TAKEN(bytes_of(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) + NOT_FOUND)),
    # Framing
    "a malformed chunk": Case(bytes_of(CHUNKED + b"10\r\n" + BODY[:16] + b"\r\nzz\r\n"), words="framing"),
    "a malformed chunk, later": Case(late(CHUNKED + b"7530\r\n" + BODY[:30_000] + b"\r\n", b"zz\r\n"), words="framing"),
    "a malformed first chunk": Case(bytes_of(CHUNKED + b"-1\r\n"), words="framing"),
    "chunks for chunks": Case(bytes_of(CHUNKED + BODY)),
    "an extension of a chunk without end": Case(without_end(CHUNKED + b"5;", b"x"), slow=True),
    "an extension of a chunk that trickles": Case(without_end(CHUNKED + b"5;", b"x", each=0.1), words="no byte"),
    "trailers without end": Case(without_end(CHUNKED + b"4\r\nPK\3\4\r\n0\r\n", b"X: y\r\n"), slow=True),
    "large trailers without end": Case(
        without_end(CHUNKED + b"4\r\nPK\3\4\r\n0\r\n", b"X: %s\r\n" % (b"y" * 50_000)), words="trailer fields"
    ),
    "trailers that trickle": Case(without_end(CHUNKED + b"4\r\nPK\3\4\r\n0\r\n", b"X: y\r\n", each=0.1)),
    "equal lengths": TAKEN(bytes_of(ok(BODY, f"Content-Length: {len(BODY)}"))),
    "equal lengths in one": TAKEN(bytes_of(head(f"Content-Length: {len(BODY)}, {len(BODY)}") + BODY)),
    "a coding that is none": TAKEN(bytes_of(ok(BODY, "Transfer-Encoding: identity", "Content-Encoding: none, utf-8"))),
    "chunks and a length": TAKEN(
        bytes_of(head("Transfer-Encoding: chunked", "Content-Length: 7") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
    ),
    "unequal lengths": Case(bytes_of(ok(BODY, "Content-Length: 7")), words="not HTTP"),
    "a negative length": Case(bytes_of(head("Content-Length: -1") + BODY), words="not HTTP"),
    "a length beyond all numbers": Case(bytes_of(head(f"Content-Length: {2**70}") + BODY), words="not HTTP"),
    "a length beyond all disks": Case(silence(head(f"Content-Length: {2**56}") + BODY), words="the whole disk has"),
    "an absurd range": Case(
        silence(head("Content-Range: bytes 0-9/999999999999999999", "Content-Length: 10", status="206 X") + BODY[:10]),
        words="the whole disk has",
    ),
    "a compressed archive": Case(bytes_of(ok(BODY, "Content-Encoding: identity, gzip")), words="Content-Encoding gzip"),
    "another protocol": Case(bytes_of(head("Upgrade: x", "Connection: upgrade", status="101 X") + BODY), words="101"),
    "no content": Case(bytes_of(head(status="204 X")), words="204"),
    "no HTTP": Case(bytes_of(b"<html>hello</html>", keep=False), words="not HTTP"),
    # Values that cannot be sent back
    "a control character in the tag": TAKEN(cut(ok(BODY, 'ETag: "\x01"'))),
    "a tag that is no ASCII": TAKEN(cut(ok(BODY, 'ETag: "\xe9"'))),
    "a tag of 8000 letters": TAKEN(cut(ok(BODY, f'ETag: "{"x" * 8000}"'))),
    "a control character in the date": TAKEN(
        cut(ok(BODY, "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\x01", "Date: Tue, 02 Jan 2024 00:00:00 GMT"))
    ),
    "a control character in a cookie": TAKEN(cut(ok(BODY, "Set-Cookie: a=\x01b; Path=/"))),
    "a cookie that is no ASCII": TAKEN(cut(ok(BODY, "Set-Cookie: a=\xe9\xff; Path=/"))),
    "a hundred large cookies": TAKEN(cut(ok(BODY, *(f"Set-Cookie: a{n}={'x' * 4000}; Path=/" for n in range(100))))),
    "a redirect to a long signed link": TAKEN(
        to_signed_link(head(f"Location: /{BAD}.zip?{'s' * 20_000}", "Content-Length: 0", status="302 X"), ok(BODY))
    ),
    "a header of 90 kB": TAKEN(bytes_of(ok(BODY, f"X-Large: {'x' * 90_000}"))),
    "a header beyond 100 kB": Case(bytes_of(ok(BODY, f"X-Large: {'x' * 110_000}"))),
    "headers of 300 kB": TAKEN(bytes_of(ok(BODY, *(f"X-{n}: {'x' * 20_000}" for n in range(15))))),
    "headers beyond 512 kB": Case(bytes_of(ok(BODY, *(f"X-{n}: {'x' * 20_000}" for n in range(30)))), words="512 kB"),
    "a thousand headers": TAKEN(bytes_of(ok(BODY, *(f"X-{n}: {n}" for n in range(1000))))),
    "300 cookies": TAKEN(bytes_of(ok(BODY, *(f"Set-Cookie: a{n}=b; Path=/" for n in range(300))))),
    "a control character in a redirect": Case(
        bytes_of(head("Location: /\x01\x7f", "Content-Length: 0", status="302 X"))
    ),
    "a redirect to no host": Case(bytes_of(head("Location: http://\x01/", "Content-Length: 0", status="302 X"))),
    "redirects without end": Case(
        bytes_of(head(f"Location: /{BAD}.zip", "Content-Length: 0", status="302 X")), words="more than 10 redirects"
    ),
    # Without end
    "interim answers without end": Case(without_end(b"", head(status="100 Continue")), words="interim"),
    "hints that trickle": Case(without_end(b"", head("Link: x", status="103 X"), each=0.1), words="interim"),
    "a status line without end": Case(without_end(b"HTTP/1.1 200 ", b"x")),
    "a status line that trickles": Case(without_end(b"HTTP/1.1 200 ", b"x", each=0.1), words="no byte"),
    "headers without end": Case(without_end(head()[:-2], MORE)),
    "headers that trickle": Case(without_end(head()[:-2], b"X: y\r\n", each=0.1), words="no byte"),
    "a long silence": Case(silence(), words="no byte"),
    "a silence in the body": Case(silence(ok(BODY)[:5000]), words="no byte"),
    "an error page that trickles": Case(without_end(head(status="404 X"), b"x", each=0.1), words="HTTP 404"),
    "a page that trickles instead of an archive": Case(without_end(head(), b"<p>", each=0.1), words="instead of"),
    "an error page without end": Case(without_end(head(status="404 X"), b"x"), words="HTTP 404"),
    "a redirect whose page trickles": Case(without_end(head("Location: /no", status="302 X"), b"x", each=0.1)),
}


async def pull(server: Kept, folder: Path, sleeps: RecordedSleeps, certificate: Path | None) -> Report:
    trusted = {"ca_file": certificate} if certificate else {}
    config = settings_for(server, folder, {"workers": 2}, timeout=1, retries=2, **trusted)
    async with asyncio.timeout(HANGS), Client(config, sleep=sleeps) as client:
        return await client.download_all()


def here(folder: Path, archives: Mapping[str, bytes] = ARCHIVES) -> set[str]:
    """Give the products that have an archive, none of which is that of another."""
    found = {path.stem: path.read_bytes() for path in folder.glob("*.zip")}
    assert [] == [name for name, body in found.items() if body != archives.get(name)]
    return set(found)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_one_bad_product_harms_no_other(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, case: str, *, secure: bool
) -> None:
    expected = CASES[case]
    if secure and expected.slow:
        pytest.skip("the same as over http, with more to compute")
    async with kept({BAD: expected.say}, certificate if secure else None) as server:
        report = await pull(server, tmp_path, sleeps, certificate if secure else None)

        assert {*GOOD, *([BAD] if expected.right else [])} == here(tmp_path)
        failures = {failure.product.identifier: str(failure.error) for failure in report.failures}
        assert ([] if expected.right else [BAD]) == list(failures)
        assert expected.words in "".join(failures.values())
        assert expected.slow or server.sent < LONG

        server.honest = True
        again = await pull(server, tmp_path, sleeps, certificate if secure else None)

    assert 0 == again.failed
    assert set(NAMES) == here(tmp_path)


async def test_a_length_beyond_what_is_free_is_that_products_trouble_alone(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    usage = shutil.disk_usage(tmp_path)
    length = usage.free + (usage.total - usage.free) // 2
    async with kept({BAD: silence(head(f"Content-Length: {length}") + BODY)}) as server:
        report = await pull(server, tmp_path, sleeps, None)

    assert set(GOOD) == here(tmp_path)
    (failure,) = report.failures
    assert re.search(r"the store announces .*, of which .* are to come; .* are free", str(failure.error))


@pytest.mark.parametrize("second", [NOT_FOUND, ok(small_archive(99))], ids=["refusal", "archive"])
@pytest.mark.parametrize("say", [late, lambda first, second: bytes_of(first + second)], ids=["late", "at once"])
async def test_a_surplus_response_is_never_used_for_archives_without_names_inside(
    tmp_path: Path, sleeps: RecordedSleeps, second: bytes, say: Callable[[bytes, bytes], Say]
) -> None:
    """Each archive is followed by a response without a request."""
    nameless = {name: small_archive(number) for number, name in enumerate(NAMES)}
    async with kept({name: say(ok(body), second) for name, body in nameless.items()}) as server:
        report = await pull(server, tmp_path, sleeps, None)

        assert len(NAMES) <= server.asked <= 2 * len(NAMES)
    assert 0 == report.failed
    assert set(NAMES) == here(tmp_path, nameless)


async def test_connections_are_used_again_where_archives_have_names(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with kept({}) as server:
        report = await pull(server, tmp_path, sleeps, None)

        assert server.connections < len(NAMES)
    assert len(NAMES) == report.downloaded


THREADLESS = """
import sys, threading
left, start = int(sys.argv.pop(1)), threading._start_new_thread
def start_few(*words, **named):
    global left
    left -= 1
    if left < 0:
        raise RuntimeError("can't start new thread")
    return start(*words, **named)
threading._start_new_thread = start_few
from collgs_async.cli import main
sys.exit(main())
"""
"""Runs the command in a system that gives so many threads and no more."""


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
async def test_too_few_threads_are_told_in_a_line_and_reported(tmp_path: Path, command: Command, threads: int) -> None:
    async with kept({}) as server:
        named = server.origin.replace("127.0.0.1", "localhost")  # which is looked up in a thread
        words = ("--base-url", f"{named}/search", *COLLECTION, "--output", tmp_path / "archives", "--retries", 1)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", THREADLESS, str(threads), *map(str, words), "--report", "report.json"),
            cwd=command.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(HANGS):
            ended = assert_clean_exit(await command.end(process))

    assert 1 == ended.code
    assert "thread" in ended.err
    assert (command.folder / "report.json").exists() or server.connections == 0
    assert set(NAMES) >= here(tmp_path / "archives")


@on_linux
async def test_all_floods_together_take_little_memory(tmp_path: Path, command: Command) -> None:
    bad = [case.say for name, case in CASES.items() if not case.right and name != "redirects without end"]
    floods = {f"flood-{number}": say for number, say in enumerate(bad)}
    async with kept(floods) as server:
        words = ("--base-url", f"{server.origin}/search", *COLLECTION, "--output", tmp_path / "archives")
        ended, peak = await measured(command, *words, "--timeout", 1, "--retries", 1, "--outage", 1)

    assert 1 == ended.code
    assert set(NAMES) == here(tmp_path / "archives")
    assert peak < MOST_MEMORY
