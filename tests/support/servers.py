"""Raw servers on the loopback: of pages, and of bytes that no server of good manners would send."""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
import ssl
import sys
import zipfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from collgs_async import Client, Config, Connection, DownloadOptions
from tests.conftest import HANGS, Command, RecordedSleeps
from tests.support.commands import assert_clean_exit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from collgs_async.models.report import Report
    from tests.conftest import Ended, RecordedSleeps

    W = TypeVar("W", bound="RawServer")


UNUSED_ORIGIN = "http://127.0.0.1:9"
"""The discard port, on which no server listens."""


@asynccontextmanager
async def listening(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], certificate: Path | None = None
) -> AsyncIterator[str]:
    """Run a server that answers every request like this, with TLS if it has a certificate; gives its origin."""
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        server = runner.server
        transports = [one.transport for one in server.connections if one.transport is not None] if server else []
        await runner.cleanup()
        for transport in transports:
            transport.abort()  # one that still had something to send would outlive the event loop


@asynccontextmanager
async def accepting(
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[str, int]]:
    """Run a server that treats every connection like this; gives its host and port."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await connected(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        async with server:
            yield server.sockets[0].getsockname()
    finally:
        for writer in writers:
            with suppress(AttributeError):  # from one that has closed itself: its connection is gone
                writer.transport.abort()  # one that still had something to send would outlive the event loop
        await asyncio.sleep(0)


@dataclass
class Asked:
    """A request, and what became of the answer."""

    path: str
    headers: dict[str, str]
    sent: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other end closes the connection before the answer has ended."""


class RawServer:
    """A catalogue and a store that send exactly the given bytes, then close the connection."""

    def __init__(self, products: Iterable[tuple[str, str]], store: Callable[[Asked], AsyncIterator[bytes]]) -> None:
        self.origin = ""
        self.seen: list[Asked] = []
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.offer(products)

    def offer(self, products: Iterable[tuple[str, str]], **headers: str) -> None:
        """Let the catalogue list these names and links, in an answer with these headers."""
        entries = [{"properties": {"identifier": name, "links": {"data": [{"href": href}]}}} for name, href in products]
        answer = {"features": entries, "totalResults": len(entries)}
        self._page = plain(json.dumps(answer).encode(), **headers)

    @property
    def archive_requests(self) -> list[Asked]:
        return [asked for asked in self.seen if not asked.path.startswith("/search")]

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.create_task(self._answer(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").rstrip().split("\r\n")
            pairs = (one.partition(":") for one in fields)
            asked = Asked(line.split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs})
            self.seen.append(asked)
            await self._respond(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path.startswith("/search"):
            writer.write(self._page)
            await writer.drain()
            return
        try:
            async for piece in self._store(asked):
                writer.write(piece)
                await writer.drain()
                asked.sent += len(piece)
        except ConnectionError:
            asked.hung_up.set()
            raise

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            with suppress(AttributeError):  # from one that has closed itself: its connection is gone
                writer.transport.abort()  # one that still had something to send would outlive the event loop
        await asyncio.sleep(0)


@asynccontextmanager
async def raw_server(
    products: Iterable[tuple[str, str]],
    store: Callable[[Asked], AsyncIterator[bytes]],
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawServer]:
    async with served(RawServer(products, store), tls) as here:
        yield here


@asynccontextmanager
async def served(here: W, tls: ssl.SSLContext | None = None) -> AsyncIterator[W]:
    """Let a server answer, at an address of its own."""
    server = await asyncio.start_server(here.connected, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    here.origin = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield here
    finally:
        server.close()
        await here.end()
        with suppress(ConnectionError):
            await server.wait_closed()


def plain(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Write an honest answer; underscores in header names are hyphens."""
    named = {"Content-Length": str(len(body)), "Connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def saying(*pieces: bytes) -> Callable[[Asked], AsyncIterator[bytes]]:
    """Answer every request alike."""

    async def say(_: Asked) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return say


def settings_for(
    server: RawServer, folder: Path, options: Mapping[str, Any] | None = None, /, **connection: Any
) -> Config:
    return Config(
        base_url=f"{server.origin}/search",
        parameters={"parentIdentifier": "X"},
        output_directory=folder,
        connection=Connection(**{"timeout": 5, "retries": 3, **connection}),
        download_options=DownloadOptions(**(options or {})),
    )


async def pull(server: RawServer, folder: Path, sleeps: RecordedSleeps, **connection: Any) -> Report:
    async with Client(settings_for(server, folder, **connection), sleep=sleeps) as client:
        return await client.download_all()


def small_archive(seed: int = 0, size: int = 20_000) -> bytes:
    """Write a right archive of about this length."""
    noise = random.Random(seed).randbytes(size)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("manifest.safe"), noise[: size // 4])
        archive.writestr(zipfile.ZipInfo("image.jp2"), noise[size // 4 :])
    return file.getvalue()


RIGHT = small_archive()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


MIB = 2**20


MEASURED = """
import sys
from pathlib import Path
from collgs_async.cli import main
code = main()
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
sys.stderr.write(f"\\n{peak}\\n")
sys.exit(code)
"""
"""Runs the command and tells the most memory that it had at a time."""


MOST_MEMORY = 250 * MIB


async def measured(command: Command, *words: object) -> tuple[Ended, int]:
    """Run the command; gives its end, and its peak of memory in bytes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEASURED, *map(str, words)),
        cwd=command.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(HANGS):
        ended = assert_clean_exit(await command.end(process))
    peak = re.search(r"VmHWM:\s+(\d+) kB", ended.err)
    assert peak is not None, ended.err
    return ended, int(peak[1]) * 1024


async def ask(origin: str, folder: Path, sleeps: RecordedSleeps, **parameters: Any) -> list[str]:
    config = Config(
        base_url=f"{origin}/search",
        parameters={"parentIdentifier": "X", **parameters},
        output_directory=folder,
        connection=Connection(timeout=60, retries=3),
    )
    async with Client(config, sleep=sleeps) as client:
        return [product.identifier async for product in client.catalogue.search()]
