"""The thread that reads the socket itself: the same bytes as by the event loop, whatever the line and the disk do."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import weakref
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async import Client, Connection, FileError, Product, StorageError
from collgs_async.demo.faults import FAULTS
from collgs_async.http.session import HttpSession
from collgs_async.models.product import Status
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.part import Block, PartFile
from collgs_async.transfer.internals import are_known
from collgs_async.transfer.segment import Segment
from collgs_async.transfer.suspend import SuspendDetector
from collgs_async.transfer.thread_receiver import BodyConnection, BodyReceiver
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import HANGS, RecordedSleeps, fault, level2_scenes
from tests.support.clocks import NIGHT, Clock, until
from tests.support.commands import assert_stopped_by, at_url, may_mount, ran
from tests.support.faults import RECOVERABLE, served_version
from tests.support.loops import run_steadily
from tests.support.servers import Asked, RawServer, plain, raw_server, settings_for, small_archive
from tests.support.tuned import tuned_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

    from aiohttp import ClientResponse

    from collgs_async.models.product import Outcome
    from tests.conftest import Command

KIB, MIB = 2**10, 2**20
NEVER = 2**60

SIZE = 2_000_000
"""A third of it is more than can come before a receiver begins: a block, and what aiohttp takes until it holds back."""

CONTENT = small_archive(size=1_500_000)
MOST = 1_000_000
"""Bytes after which the line of these tests goes wrong: a receiver is at work by then."""

SMALL_SCALE: Final = TransferTuning(
    min_receiver_bytes=1, max_buffered_bytes=64 * KIB, block_bytes=64 * KIB, read_seconds=0.05, small_bytes=64 * KIB
)
"""A receiver for whatever is left, small blocks, sidecars also for small archives, no long looks at it."""

EVENT_LOOP: Final = replace(SMALL_SCALE, min_receiver_bytes=NEVER)
"""The same without receivers."""

NOTED: Final = """\
from pathlib import Path
from collgs_async.transfer import thread_receiver
run = thread_receiver.BodyReceiver.run
def noted(self, written):
    Path("received").touch()
    return run(self, written)
thread_receiver.BodyReceiver.run = noted
"""
"""Leaves a file that says that a receiver has worked."""

HALTED: Final = """\
import time
from pathlib import Path
from collgs_async.storage.part import PartFile
write = PartFile.write_sync
def halted(part, offset, block):
    write(part, offset, block)
    if offset >= 1_000_000:
        Path("received").touch()
        while not Path("go on").exists():
            time.sleep(0.01)
PartFile.write_sync = halted
"""
"""Halts a receiver in the middle, until it is told to go on by a file."""

FILLED_DISK: Final = """
mount -t tmpfs -o size=8m tmpfs "$OUT" || exit 77
"$@" 2> first.err & run=$!
while [ ! -e received ]; do kill -0 $run || break; sleep 0.01; done
head -c 8m /dev/zero > "$OUT/ballast" 2> /dev/null
touch "go on"
wait $run; echo $? > first.code
rm "$OUT/ballast"
cp -R "$OUT" first
"$@" 2> second.err; echo $? > second.code
cp -R "$OUT" second
"""
"""Runs a command twice in a folder that is a disk of its own, which something else fills while a receiver writes."""


@pytest.fixture
def tuning() -> TransferTuning:
    return SMALL_SCALE


@dataclass
class Receivers:
    """What the receivers have done."""

    begun: int = 0
    at_work: int = 0
    most_at_work: int = 0
    blocks: list[tuple[int, int, int]] = field(default_factory=list)
    written: list[tuple[int, int]] = field(default_factory=list)
    seen: list[weakref.ref[BodyReceiver]] = field(default_factory=list)

    @property
    def brought(self) -> int:
        return sum(received for _, _, received in self.blocks)


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Watch the receivers at their work."""
    if not are_known(sys.version_info[:2], sys.implementation.name, aiohttp.__version__):
        pytest.skip("with these versions of Python and aiohttp there are no receivers")
    seen, run = Receivers(), BodyReceiver.run
    write: Callable[[PartFile, int, Block], None] = PartFile.write_sync

    def written(part: PartFile, offset: int, block: Block) -> None:
        write(part, offset, block)
        seen.written.append((offset, len(block)))

    async def watched(self: BodyReceiver, on_written: Callable[[int, int, int], Awaitable[None]]) -> None:
        async def noted(offset: int, kept: int, received: int) -> None:
            seen.blocks.append((offset, kept, received))
            await on_written(offset, kept, received)

        seen.begun += 1
        seen.seen.append(weakref.ref(self))
        seen.at_work += 1
        seen.most_at_work = max(seen.at_work, seen.most_at_work)
        try:
            await run(self, noted)
        finally:
            seen.at_work -= 1

    # Not by `monkeypatch`, which hypothesis refuses.
    BodyReceiver.run = watched  # type: ignore[method-assign]
    setattr(PartFile, "write_sync", written)  # noqa: B010 - mypy would hold its parameters' names against it
    yield seen
    BodyReceiver.run = run  # type: ignore[method-assign]
    setattr(PartFile, "write_sync", write)  # noqa: B010


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the receivers, which goes on only when it is told to."""
    clock = Clock()
    monkeypatch.setattr("collgs_async.transfer.thread_receiver.time", SimpleNamespace(monotonic=clock))
    return clock


def descriptors() -> list[str]:
    """Descriptors of this process, with what they lead to; the one that lists them is gone by then."""
    folder, found = Path("/proc/self/fd"), []
    for path in folder.iterdir() if folder.exists() else ():
        with suppress(OSError):
            target = str(path.readlink())
            ends = ends_of(int(path.name)) if target.startswith("socket:") else ""
            found.append(f"descriptor {path.name}: {target}{ends}")
    return found


def ends_of(descriptor: int) -> str:
    """Name both ends of a connection; what has only one tells that."""
    with socket.socket(fileno=os.dup(descriptor)) as line:
        try:
            return f" {line.getsockname()} to {line.getpeername()}"
        except OSError as error:
            return f" {line.getsockname()}, {error.strerror}"


def receiver_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("receiver")]


def new_descriptors(before: list[str]) -> list[str]:
    """Name what is open beside what was; empty if no more is open, though another one may have the number."""
    now = descriptors()
    return sorted({*now} - {*before}) if len(now) > len(before) else []


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """No thread, no descriptor and no task may be left; some take a moment to go."""
    before, tasks = descriptors(), asyncio.all_tasks()
    yield
    end = time.monotonic() + HANGS
    while left := [
        *receiver_threads(),
        *new_descriptors(before),
        *map(repr, asyncio.all_tasks() - tasks - {asyncio.current_task()}),
    ]:
        assert time.monotonic() < end, left
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, public, pem = (tmp_path_factory.mktemp("tls") / name for name in ("key.pem", "public.pem", "own.pem"))
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(public)]
    subprocess.run([*words.split(), *extra], check=True, capture_output=True)
    pem.write_text(key.read_text() + public.read_text())
    return pem


@pytest.fixture(autouse=True)
async def _tidy() -> AsyncIterator[None]:
    async with nothing_left_behind():
        yield


# -------------------------------------------------------------------------------------------------- stores and lines


def tls_of(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    return tls


def first_of(asked: Asked) -> int:
    return int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


def header(content: bytes, first: int) -> bytes:
    """Announce an archive, or the rest of it."""
    size = len(content)
    named = {"Content_Length": str(size - first), "ETag": '"one"'}
    if first == 0:
        return plain(b"", **named)
    return plain(b"", "206 Partial Content", Content_Range=f"bytes {first}-{size - 1}/{size}", **named)


class Store:
    """Gives one archive and ranges of it; at some byte of its first answer it does something else for a while.

    Parameters
    ----------
    content
        The archive.
    most
        The byte at which that happens.
    then
        What happens: an iterator over what is sent meanwhile, of what is due; the rest follows. None: silence.
    """

    def __init__(
        self, content: bytes, most: int = NEVER, then: Callable[[bytes], AsyncIterator[bytes]] | None = None
    ) -> None:
        self.content = content
        self._most = most
        self._then = then
        self._answers = 0

    async def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        self._answers += 1
        first = first_of(asked)
        most = self._most if self._answers == 1 else NEVER
        yield header(self.content, first)
        yield self.content[first:most]
        if most >= len(self.content):
            return
        if self._then is None:
            await asyncio.Event().wait()
            return
        async for piece in self._then(self.content[most:]):
            yield piece


def sent_in(pieces: int, size: int, pause: float) -> Callable[[bytes], AsyncIterator[bytes]]:
    """Send so many small pieces, each after a pause, and then all that is left."""

    async def send(due: bytes) -> AsyncIterator[bytes]:
        for number in range(pieces):
            await asyncio.sleep(pause)
            yield due[number * size : (number + 1) * size]
        yield due[pieces * size :]

    return send


async def fetch(
    server: RawServer,
    folder: Path,
    sleeps: RecordedSleeps,
    *,
    certificate: Path | None = None,
    progress: SilentProgress | None = None,
    options: dict[str, Any] | None = None,
    tuning: TransferTuning = SMALL_SCALE,
    **connection: Any,
) -> Outcome:
    """Fetch the archive of a store over one connection."""
    config = settings_for(
        server, folder, {"workers": 1, "segments": 1, **(options or {})}, ca_file=certificate, **connection
    )
    async with asyncio.timeout(HANGS), Client(config, progress, sleep=sleeps, tuning=tuning) as client:
        return await client.download(Product("A", f"{server.origin}/a.zip"))


def assert_whole(outcome: Outcome, folder: Path) -> None:
    assert (Status.DOWNLOADED, None) == (outcome.status, outcome.error)
    assert ["A.zip"] == [path.name for path in folder.iterdir()]
    assert (folder / "A.zip").read_bytes() == CONTENT


@asynccontextmanager
async def relay(
    certificate: Path | None, origin: str | None = None, *, connections: list[str] | None = None
) -> AsyncIterator[str]:
    """Hand on what comes, with TLS in front; without an origin as a proxy does that is told by CONNECT whereto."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = urlsplit(origin or "")
        with closing(writer):
            if origin is None:
                head = await reader.readuntil(b"\r\n\r\n")
                where = urlsplit("//" + head.split()[1].decode())
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if connections is not None:
                connections.append(where.netloc)
            there, away = await asyncio.open_connection(where.hostname, where.port)
            with closing(away):
                request = asyncio.create_task(copy(reader, away))
                try:
                    await copy(there, writer)
                except ConnectionResetError:
                    line = writer.get_extra_info("socket")
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                finally:
                    request.cancel()
                    await asyncio.wait([request])

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.create_task(hand_on(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls_of(certificate))
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            with suppress(AttributeError):  # from one that has closed itself: its connection is gone
                writer.transport.abort()  # one that still had something to send would outlive the event loop
        await asyncio.sleep(0)


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Hand on until one of both ends; who asks and leaves closes the other side, too."""
    try:
        while data := await source.read(64 * KIB):
            target.write(data)
            await target.drain()
    finally:
        if not isinstance(sys.exception(), ConnectionResetError):
            target.close()


WAYS = ("event loop", "receiver", "receiver over TLS")
lines = pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])


# ------------------------------------------------------------------------------------------------ the same as before


@pytest.mark.parametrize(
    ("name", "way"),
    # What is slow is so for two seconds by the clock, and its trickle ends before a receiver begins; see below for one.
    [(name, way) for name in RECOVERABLE for way in WAYS if name != "slow"],
)
async def test_each_recoverable_fault_ends_in_the_right_bytes_either_way(
    serve: Callable[..., Any],
    certificate: Path,
    receivers: Receivers,
    name: str,
    way: str,
) -> None:
    tuning = EVENT_LOOP if way == "event loop" else SMALL_SCALE
    scene = replace(level2_scenes(1)[0], size=SIZE, deflated=False)
    site = await serve([scene], faults={scene.identifier: fault(name)})
    config = site.config(retries=3)

    async with relay(certificate, site.server.origin) as secure:
        connection = Connection(timeout=2, retries=3)  # of silence, which a busy machine has, too
        if way == "receiver over TLS":
            connection = replace(connection, download_base_url=secure, ca_file=certificate)
        async with Client(replace(config, connection=connection), sleep=site.sleeps, tuning=tuning) as client:
            report = await client.download_all()

    assert (1, 0) == (report.downloaded, report.failed)
    expected = site.original(scene, *served_version(name))
    assert site.archive(scene).read_bytes()[: len(expected)] == expected
    assert [] == site.litter()
    assert (receivers.begun > 0) is (way != "event loop")


@lines
async def test_each_byte_is_brought_once_and_joins_what_came_before_the_receiver(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, *, tls: bool
) -> None:
    async with raw_server([], Store(CONTENT), tls=tls_of(certificate if tls else None)) as server:
        outcome = await fetch(server, tmp_path / "archives", sleeps, certificate=certificate)

    assert_whole(outcome, tmp_path / "archives")
    assert (1, len(CONTENT), 1) == (outcome.attempts, outcome.bytes, receivers.begun)
    ends = [offset + received for offset, _, received in receivers.blocks]
    assert ends == [*(offset for offset, _, _ in receivers.blocks[1:]), len(CONTENT)]
    written = [offset + size for offset, size in receivers.written]
    assert written == [*(offset for offset, _ in receivers.written[1:]), len(CONTENT)]
    assert receivers.written[0][0] == receivers.blocks[0][0]
    assert len(written) > 3


def breaking(content: bytes, each: int) -> Callable[[Asked], AsyncIterator[bytes]]:
    """A store that breaks the line after so many bytes of each answer."""

    async def answer(asked: Asked) -> AsyncIterator[bytes]:
        first = first_of(asked)
        yield header(content, first) + content[first : first + each]

    return answer


@pytest.mark.parametrize("way", ["receiver", "event loop"])
async def test_lines_that_break_leave_no_blocks_in_memory(
    tmp_path: Path, sleeps: RecordedSleeps, receivers: Receivers, way: str
) -> None:
    """Not even until the next garbage collection, which may take hundreds of them."""
    tuning = EVENT_LOOP if way == "event loop" else SMALL_SCALE
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        async with raw_server([], breaking(CONTENT, 100_000)) as server:
            before, _ = tracemalloc.get_traced_memory()
            outcome = await fetch(server, tmp_path / "archives", sleeps, tuning=tuning)
            after, _ = tracemalloc.get_traced_memory()
        left = [receiver for receiver in receivers.seen if receiver() is not None]
    finally:
        tracemalloc.stop()
        gc.enable()

    assert outcome.attempts >= 15
    assert [] == left
    assert after - before < 500_000


# ------------------------------------------------------------------------------------------------- cancellations


class Stops(SilentProgress):
    """Cancels a task as soon as so many bytes have come, and again at once, so many times in all."""

    def __init__(self, most: int, times: int) -> None:
        self.task: asyncio.Task[Any] | None = None
        self._most = most
        self._times = times

    def advanced(self, product: Product, nbytes: int) -> None:  # noqa: ARG002 - there is only one
        before, self._most = self._most, self._most - nbytes
        if before > 0 >= self._most:
            self._stop()

    def _stop(self) -> None:
        if self._times and self.task:
            self._times -= 1
            self.task.cancel()
            asyncio.get_running_loop().call_soon(self._stop)


@pytest.mark.usefixtures("receivers")
@settings(max_examples=40, deadline=None)
@given(most=st.integers(1, len(CONTENT)), times=st.integers(1, 4), alone=st.booleans())
def test_cancellation_at_any_byte_is_never_lost_and_costs_no_byte_that_was_written(
    most: int, times: int, *, alone: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_steadily(cancel_and_go_on(Path(folder), Stops(most, times), alone=alone))


async def cancel_and_go_on(folder: Path, stops: Stops, *, alone: bool) -> None:
    async with nothing_left_behind(), raw_server([], Store(CONTENT)) as server:
        config = settings_for(server, folder, {"workers": 1, "segments": 1})
        product = Product("A", f"{server.origin}/a.zip")
        async with asyncio.timeout(HANGS), Client(config, stops, tuning=SMALL_SCALE) as client:
            work: Coroutine[Any, Any, object] = client.download(product) if alone else client.download_all([product])
            stops.task = asyncio.create_task(work)
            with pytest.raises(asyncio.CancelledError):
                await stops.task
        part = folder / "A.zip.part"
        held = part.read_bytes() if part.exists() else b""
        async with asyncio.timeout(HANGS), Client(config, tuning=SMALL_SCALE) as client:
            outcome = await client.download(product)

    assert CONTENT.startswith(held)
    assert_whole(outcome, folder)
    assert outcome.bytes == len(CONTENT) - len(held)


def test_enough_of_these_cancellations_met_a_receiver(receivers: Receivers) -> None:
    async def play(folder: Path) -> None:
        await cancel_and_go_on(folder, Stops(MOST, 3), alone=False)

    with tempfile.TemporaryDirectory() as folder:
        run_steadily(play(Path(folder)))

    assert receivers.begun >= 1
    assert receivers.blocks[0][0] < MOST


@lines
@pytest.mark.parametrize("times", [1, 2, 3, 50])
async def test_cancelled_while_the_line_is_silent_it_ends_at_once(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, times: int, *, tls: bool
) -> None:
    folder = tmp_path / "archives"
    async with raw_server([], Store(CONTENT, MOST), tls=tls_of(certificate if tls else None)) as server:
        run = asyncio.create_task(fetch(server, folder, sleeps, certificate=certificate, timeout=1000))
        await until(lambda: len(receivers.blocks) > 0 and sum(receivers.blocks[-1][::2]) >= MOST)
        for _ in range(times):
            run.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(HANGS):
            with pytest.raises(asyncio.CancelledError):
                await run

    assert (folder / "A.zip.part").read_bytes() == CONTENT[:MOST]


# ------------------------------------------------------------------------------------------------------ bad lines


@lines
async def test_silence_is_a_time_out(
    tmp_path: Path,
    sleeps: RecordedSleeps,
    certificate: Path,
    receivers: Receivers,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    *,
    tls: bool,
) -> None:
    folder = tmp_path / "archives"
    async with raw_server([], Store(CONTENT, MOST), tls=tls_of(certificate if tls else None)) as server:
        run = asyncio.create_task(fetch(server, folder, sleeps, certificate=certificate, timeout=1000))
        await until(lambda: len(receivers.blocks) > 0 and sum(receivers.blocks[-1][::2]) >= MOST)
        clock.now += 1000
        outcome = await run

    assert_whole(outcome, folder)
    assert (2, len(CONTENT)) == (outcome.attempts, outcome.bytes)
    assert "no byte within the time-out" in caplog.text
    assert 2 == receivers.begun


class Told(SilentProgress):
    """Remembers how many bytes it was told of at once."""

    def __init__(self) -> None:
        self.pieces: list[int] = []

    def advanced(self, product: Product, nbytes: int) -> None:  # noqa: ARG002 - there is only one
        self.pieces.append(nbytes)


@lines
async def test_trickle_is_no_silence_and_moves_visibly(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, clock: Clock, *, tls: bool
) -> None:
    """A byte each tenth of the time-out, for longer than the time-out."""
    told = Told()

    async def trickle(due: bytes) -> AsyncIterator[bytes]:
        for number in range(15):
            await until(lambda: sum(told.pieces) >= MOST + number)  # noqa: B023 - called at once
            clock.now += 100
            yield due[number : number + 1]
        yield due[15:]

    async with raw_server([], Store(CONTENT, MOST, trickle), tls=tls_of(certificate if tls else None)) as server:
        folder = tmp_path / "archives"
        outcome = await fetch(server, folder, sleeps, certificate=certificate, progress=told, timeout=1000)

    assert_whole(outcome, folder)
    assert 1 == outcome.attempts
    assert 14 <= told.pieces.count(1)
    assert 1 == receivers.begun


@lines
async def test_no_read_waits_for_more_than_the_remaining_bytes(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, *, tls: bool
) -> None:
    """The line stays open and silent behind the last byte."""
    tuning = replace(SMALL_SCALE, read_seconds=15)

    async def slowly(due: bytes) -> AsyncIterator[bytes]:
        for first in range(0, len(due), 5000):
            yield due[first : first + 5000]
            await asyncio.sleep(0.001)
        await asyncio.Event().wait()

    async with raw_server([], Store(CONTENT, MOST, slowly), tls=tls_of(certificate if tls else None)) as server:
        async with asyncio.timeout(HANGS):
            outcome = await fetch(server, tmp_path / "archives", sleeps, certificate=certificate, tuning=tuning)

    assert_whole(outcome, tmp_path / "archives")
    assert (1, 1) == (outcome.attempts, receivers.begun)


@lines
async def test_line_below_the_least_rate_is_given_up_and_nothing_comes_twice(
    tmp_path: Path,
    sleeps: RecordedSleeps,
    certificate: Path,
    receivers: Receivers,
    caplog: pytest.LogCaptureFixture,
    *,
    tls: bool,
) -> None:
    tuning, options = replace(SMALL_SCALE, rate_seconds=0.2), {"min_rate": 50_000}
    store = Store(CONTENT, MOST, sent_in(400, 100, 0.01))
    async with raw_server([], store, tls=tls_of(certificate if tls else None)) as server:
        outcome = await fetch(
            server, tmp_path / "archives", sleeps, certificate=certificate, options=options, tuning=tuning
        )

    assert_whole(outcome, tmp_path / "archives")
    assert outcome.attempts >= 2
    assert len(CONTENT) == outcome.bytes
    assert re.search(r"only [0-9.]+ [kM]?B/s over \d+ s", caplog.text)
    assert receivers.begun >= 2


@lines
async def test_after_sleep_it_connects_anew_where_it_was(
    tmp_path: Path,
    sleeps: RecordedSleeps,
    certificate: Path,
    receivers: Receivers,
    *,
    tls: bool,
) -> None:
    tuning = replace(SMALL_SCALE, watch_seconds=0.02)
    wall, steady = Clock(1_700_000_000.0), Clock()
    async with raw_server([], Store(CONTENT, MOST), tls=tls_of(certificate if tls else None)) as server:
        options = {"segments": 1}  # a slow machine would get a second connection, and some bytes twice
        config = settings_for(server, tmp_path / "archives", options, timeout=1000, retries=0, ca_file=certificate)
        async with asyncio.timeout(HANGS), Client(config, sleep=sleeps, tuning=tuning) as client:
            client._downloader._scheduler._suspend = SuspendDetector(wall, steady)
            run = asyncio.create_task(client.download(Product("A", f"{server.origin}/a.zip")))
            await until(lambda: len(receivers.blocks) > 0 and sum(receivers.blocks[-1][::2]) >= MOST)
            wall.now += NIGHT
            outcome = await run

    assert_whole(outcome, tmp_path / "archives")
    assert (2, len(CONTENT)) == (outcome.attempts, outcome.bytes)


@pytest.mark.parametrize("moment", [0.0, 0.2])
async def test_replaced_while_several_receivers_bring_it_is_never_mixed(
    serve: Callable[..., Any], receivers: Receivers, moment: float
) -> None:
    """Only the structure is verified, so that nothing but the engine itself keeps the versions apart."""
    tuning = replace(SMALL_SCALE, min_piece_bytes=256 * KIB, min_split_seconds=0.1)
    scene = replace(level2_scenes(1)[0], size=4 * MIB, deflated=False)
    site = await serve([scene], rate=4 * MIB, faults={scene.identifier: (FAULTS["cut"],)})
    run = asyncio.create_task(site.pull(workers=3, segments=3, verify="structure", tuning=tuning))
    await until(lambda: receivers.most_at_work >= 2)
    await asyncio.sleep(moment)
    site.server.replace(scene.identifier)

    report = await run

    assert 1 == report.downloaded
    assert site.archive(scene).read_bytes() in {site.original(scene), site.original(scene, 1)}
    assert [] == site.litter()


# ------------------------------------------------------------------------------------------------ where it stands aside


async def test_under_a_limit_of_rate_there_is_no_receiver(
    tmp_path: Path, sleeps: RecordedSleeps, receivers: Receivers
) -> None:
    async with raw_server([], Store(CONTENT)) as server:
        outcome = await fetch(server, tmp_path / "archives", sleeps, options={"limit_rate": 20_000_000})

    assert_whole(outcome, tmp_path / "archives")
    assert 0 == receivers.begun


@lines
async def test_switched_off_it_leaves_all_to_the_event_loop(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, *, tls: bool
) -> None:
    tuning = replace(SMALL_SCALE, thread_receiver=False)
    async with raw_server([], Store(CONTENT), tls=tls_of(certificate if tls else None)) as server:
        outcome = await fetch(server, tmp_path / "archives", sleeps, certificate=certificate, tuning=tuning)

    assert_whole(outcome, tmp_path / "archives")
    assert 0 == receivers.begun


async def test_with_another_aiohttp_there_is_no_receiver(serve: Callable[..., Any], command: Command) -> None:
    """It may keep what it has received in another way."""
    scene = replace(level2_scenes(1)[0], size=SIZE, deflated=False)
    site = await serve([scene])
    program = tuned_command(SMALL_SCALE, prepare=f"import aiohttp\naiohttp.__version__ = '3.99.0'\n{NOTED}")

    ended = await command.end(await start(command, "-c", program, *at_url(site), "--workers", 1))

    assert 0 == ended.code, ended.err
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert not (command.folder / "received").exists()


def in_chunks(body: bytes) -> bytes:
    """Write a response body whose length is not announced."""
    pieces = [body[first : first + 70_001] for first in range(0, len(body), 70_001)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + in_chunks(CONTENT), id="a body in chunks"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CONTENT, id="no length"),
        pytest.param(
            b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n"
            + f"Content-Range: bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}\r\n\r\n".encode()
            + in_chunks(CONTENT),
            id="a range in chunks",
        ),
    ],
)
@lines
async def test_framing_of_the_body_never_gets_into_the_archive(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, answer: bytes, *, tls: bool
) -> None:
    async def say(_: Asked) -> AsyncIterator[bytes]:
        yield answer
        if answer.endswith(b"0\r\n\r\n"):
            await asyncio.Event().wait()  # it has said where the body ends

    async with raw_server([], say, tls=tls_of(certificate if tls else None)) as server:
        outcome = await fetch(
            server, tmp_path / "archives", sleeps, certificate=certificate, options={"verify": "size"}
        )

    assert_whole(outcome, tmp_path / "archives")
    assert (1, 0) == (outcome.attempts, receivers.begun)


@pytest.fixture(scope="session")
def another_loop() -> Any:
    """Another kind of event loop; the first one of its kind opens what stays open."""
    make = pytest.importorskip("uvloop").new_event_loop
    make().close()
    return make


@lines
def test_another_event_loop_brings_the_bytes_itself(
    another_loop: Any,
    tmp_path: Path,
    sleeps: RecordedSleeps,
    certificate: Path,
    receivers: Receivers,
    caplog: pytest.LogCaptureFixture,
    *,
    tls: bool,
) -> None:
    caplog.set_level(logging.DEBUG, "collgs_async")

    async def run() -> Outcome:
        async with raw_server([], Store(CONTENT), tls=tls_of(certificate if tls else None)) as server:
            return await fetch(server, tmp_path / "archives", sleeps, certificate=certificate)

    with asyncio.Runner(loop_factory=another_loop) as runner:
        outcome = runner.run(run())

    assert_whole(outcome, tmp_path / "archives")
    assert 0 == receivers.begun
    assert 1 == caplog.text.count("uvloop.Loop: bodies are read through the event loop, at more processor time")


@pytest.mark.parametrize(("secure_proxy", "begun"), [(False, 1), (True, 0)], ids=["http proxy", "https proxy"])
async def test_tls_within_tls_is_left_to_asyncio(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path, receivers: Receivers, begun: int, *, secure_proxy: bool
) -> None:
    told: list[str] = []
    async with (
        raw_server([], Store(CONTENT), tls=tls_of(certificate)) as server,
        relay(certificate if secure_proxy else None, connections=told) as proxy,
    ):
        outcome = await fetch(server, tmp_path / "archives", sleeps, certificate=certificate, proxy=proxy)

    assert_whole(outcome, tmp_path / "archives")
    assert ([urlsplit(server.origin).netloc], begun) == (told, receivers.begun)


@asynccontextmanager
async def answer_of(content: bytes, certificate: Path | None, *, buffer: int) -> AsyncIterator[ClientResponse]:
    async with (
        raw_server([], Store(content), tls=tls_of(certificate)) as server,
        HttpSession(Connection(timeout=60, ca_file=certificate)) as transport,
        transport.get(f"{server.origin}/a.zip", buffer=buffer) as response,
    ):
        yield response


async def drink(connection: BodyConnection, count: int) -> bytes:
    """Take so many bytes from a connection as a receiver does: in a thread, while the loop goes on."""
    rest = bytearray(count - len(connection.head))
    with closing(connection):
        await asyncio.to_thread(fill, connection, memoryview(rest))
    return bytes(connection.head + rest)


def fill(connection: BodyConnection, view: memoryview) -> None:
    given_up = time.monotonic() + HANGS
    try:
        while view:
            received = connection.source.fill(view)
            assert 0 != received, f"{len(view)} bytes are missing"
            assert time.monotonic() < given_up
            view = view[received or 0 :]
    finally:
        connection.source.pause(end=True)


def keeps_back(response: ClientResponse, *, tls: bool) -> bool:
    """Whether aiohttp has more than it wants, and over TLS asyncio has, too."""
    protocol = response.connection.protocol if response.connection else None
    layer = getattr(response.connection.transport, "_ssl_protocol", None) if response.connection else None
    return (
        protocol is not None
        and protocol._reading_paused
        and (not tls or (layer is not None and layer._ssl_reading_paused))
    )


@lines
@pytest.mark.parametrize("read", [0, 100_000])
@pytest.mark.parametrize("buffer", [1, 16 * KIB, 256 * KIB])
async def test_what_is_kept_back_higher_up_comes_first_and_once(
    certificate: Path, read: int, buffer: int, *, tls: bool
) -> None:
    content = CONTENT * 3
    async with answer_of(content, certificate if tls else None, buffer=buffer) as response:
        begun = await response.content.readexactly(read)
        await until(lambda: keeps_back(response, tls=tls))
        connection = BodyConnection.on(response, SMALL_SCALE.read_seconds)
        assert connection is not None
        assert len(connection.head) > buffer
        await asyncio.sleep(0)  # as long as it takes at least to write the head
        rest = await drink(connection, len(content) - read)

    assert begun + rest == content


@lines
@pytest.mark.parametrize("size", [1, 300, 70_000])
@pytest.mark.parametrize("buffer", [1, 1000, 2**20])
async def test_body_that_is_all_there_is_no_less_for_it(
    certificate: Path, size: int, buffer: int, *, tls: bool
) -> None:
    """Either there is nothing to take over, or the connection gives all that came."""
    async with answer_of(CONTENT[:size], certificate if tls else None, buffer=buffer) as response:
        for _ in range(20):
            await asyncio.sleep(0.001)
        connection = BodyConnection.on(response, SMALL_SCALE.read_seconds)
        body = await drink(connection, size) if connection else await response.content.read()
        if connection and response.content.is_eof():
            assert 0 == connection.source.fill(memoryview(bytearray(1)))

    assert body == CONTENT[:size]


async def test_broken_line_is_not_taken_over() -> None:
    async def cut(_: Asked) -> AsyncIterator[bytes]:
        yield header(CONTENT, 0) + CONTENT[:1000]

    async with (
        raw_server([], cut) as server,
        HttpSession(Connection()) as transport,
        transport.get(f"{server.origin}/a.zip") as response,
    ):
        await until(lambda: response.content.exception() is not None)
        assert BodyConnection.on(response, SMALL_SCALE.read_seconds) is None


# ------------------------------------------------------------------------------------------------------------ the disk


async def test_without_a_way_to_write_out_early_it_works_as_well(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch, receivers: Receivers
) -> None:
    monkeypatch.setattr("collgs_async.storage.files._sync_file_range", None)
    tuning = replace(SMALL_SCALE, writeback_bytes=64 * KIB)
    async with raw_server([], Store(CONTENT)) as server:
        outcome = await fetch(server, tmp_path / "archives", sleeps, tuning=tuning)

    assert_whole(outcome, tmp_path / "archives")
    assert 1 == receivers.begun


async def test_what_is_written_out_early_is_what_was_written(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch, receivers: Receivers
) -> None:
    asked: list[tuple[int, int]] = []

    def note(descriptor: int, offset: int, count: int, flags: int) -> int:
        assert os.fstat(descriptor).st_size >= offset + count
        asked.append((offset, count))
        return 0

    monkeypatch.setattr("collgs_async.storage.files._sync_file_range", note)
    tuning = replace(SMALL_SCALE, writeback_bytes=100_000)
    async with raw_server([], Store(CONTENT)) as server:
        outcome = await fetch(server, tmp_path / "archives", sleeps, tuning=tuning)

    assert_whole(outcome, tmp_path / "archives")
    assert receivers.blocks[0][0] == asked[0][0]
    assert [offset + count for offset, count in asked[:-1]] == [offset for offset, _ in asked[1:]]
    assert all(count >= 100_000 for _, count in asked)


def fail_beyond_most(monkeypatch: pytest.MonkeyPatch, trouble: int) -> None:
    """Let the disk fail where a receiver writes, which is in a thread of its own, and there alone."""
    write = os.pwrite

    def fail_beyond(descriptor: int, data: Any, offset: int) -> int:
        if offset + len(data) > MOST and threading.current_thread().name.startswith("receiver"):
            raise OSError(trouble, os.strerror(trouble))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", fail_beyond)


@lines
async def test_disk_that_takes_no_more_ends_the_run_and_keeps_what_it_took(
    tmp_path: Path,
    sleeps: RecordedSleeps,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
    receivers: Receivers,
    *,
    tls: bool,
) -> None:
    fail_beyond_most(monkeypatch, errno.ENOSPC)
    folder = tmp_path / "archives"
    async with raw_server([], Store(CONTENT), tls=tls_of(certificate if tls else None)) as server:
        with pytest.raises(StorageError, match=os.strerror(errno.ENOSPC)):
            await fetch(server, folder, sleeps, certificate=certificate)
        monkeypatch.undo()
        held = (folder / "A.zip.part").read_bytes()
        outcome = await fetch(server, folder, sleeps, certificate=certificate)

    assert CONTENT.startswith(held)
    assert len(held) > MOST - 2 * 64 * KIB
    assert_whole(outcome, folder)
    assert outcome.bytes == len(CONTENT) - len(held)
    assert receivers.begun >= 1


@lines
@pytest.mark.parametrize("trouble", [errno.EFBIG, errno.EIO], ids=["too large", "lost"])
async def test_disk_that_refuses_one_archive_fails_it_alone(
    tmp_path: Path,
    sleeps: RecordedSleeps,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
    trouble: int,
    *,
    tls: bool,
) -> None:
    """What the disk took before is kept, unless it may have lost some of it."""
    fail_beyond_most(monkeypatch, trouble)
    folder = tmp_path / "archives"
    async with raw_server([], Store(CONTENT), tls=tls_of(certificate if tls else None)) as server:
        failed = await fetch(server, folder, sleeps, certificate=certificate)
        monkeypatch.undo()
        left = sorted(path.name for path in folder.iterdir())
        outcome = await fetch(server, folder, sleeps, certificate=certificate)

    assert isinstance(failed.error, FileError)
    assert os.strerror(trouble) in str(failed.error)
    assert left == ([] if trouble == errno.EIO else ["A.zip.part", "A.zip.part.json"])
    assert_whole(outcome, folder)


async def test_superseded_receiver_writes_nothing_any_more(tmp_path: Path, receivers: Receivers) -> None:
    """What comes after the segment was given up may be of another version."""
    superseded, segment = asyncio.Event(), Segment(0, len(CONTENT))

    async def wait(due: bytes) -> AsyncIterator[bytes]:
        await superseded.wait()
        yield due

    async with (
        raw_server([], Store(CONTENT, MOST, wait)) as server,
        HttpSession(Connection(timeout=60)) as transport,
        transport.get(f"{server.origin}/a.zip") as response,
        PartFile(tmp_path / "A.zip") as part,
    ):
        connection = BodyConnection.on(response, SMALL_SCALE.read_seconds)
        assert connection is not None
        await part.write(0, connection.head)
        receiver = BodyReceiver(
            *(connection, part, segment, len(connection.head), len(CONTENT)),
            share=lambda: 64 * KIB,
            timeout=60,
            tuning=SMALL_SCALE,
        )

        async def written(offset: int, kept: int, _: int) -> None:
            await part.record_written(offset, kept)
            if offset + kept == MOST:
                segment.superseded = True  # but the line is open, as it may be for a moment
                superseded.set()

        async with asyncio.timeout(HANGS):
            await receiver.run(written)

    assert 1 == receivers.begun
    assert part.path.read_bytes() == CONTENT[:MOST]


# ------------------------------------------------------------------------------------------------------- real processes


def receiver_command(site: Any) -> tuple[object, ...]:
    """The command, with receivers also for small archives; they halt until a file tells them to go on."""
    tuning = TransferTuning(min_receiver_bytes=1, max_buffered_bytes=64 * KIB, block_bytes=64 * KIB)
    return ("-c", tuned_command(tuning, prepare=HALTED), *at_url(site), "--workers", 1)


async def test_after_a_kill_the_next_run_goes_on_where_the_receiver_was(
    serve: Callable[..., Any], command: Command
) -> None:
    scene = replace(level2_scenes(1)[0], size=8_000_000, deflated=False)
    site = await serve([scene])
    part = site.archive(scene).with_suffix(".zip.part")
    process = await start(command, *receiver_command(site))
    await until((command.folder / "received").exists)
    process.kill()
    assert -signal.SIGKILL == (await command.end(process)).code
    held = part.read_bytes()
    site.server.forget()
    (command.folder / "go on").touch()

    ended = await command.end(await start(command, *receiver_command(site)))

    assert 0 == ended.code, ended.err
    right = site.original(scene)
    assert right.startswith(held)
    assert right == site.archive(scene).read_bytes()
    assert [f"bytes={len(held)}-"] == [hit.range for hit in site.archive_hits()]
    assert [] == site.litter()


async def start(command: Command, *words: object) -> asyncio.subprocess.Process:
    """Start Python with these words."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *map(str, words)),
        cwd=command.folder,
        env={**clean, "PYTHONWARNINGS": "error"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk is not permitted here")
async def test_a_disk_that_fills_up_while_a_receiver_writes(serve: Callable[..., Any], command: Command) -> None:
    scene = replace(level2_scenes(1)[0], size=6_000_000, deflated=False)
    site = await serve([scene])
    site.folder.mkdir()
    words = map(str, receiver_command(site))
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", FILLED_DISK, "sh", sys.executable, *words),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    await shell.wait()

    first, second = ran(command.folder, "first"), ran(command.folder, "second")
    right = site.original(scene)
    (held,) = (path.read_bytes() for path in (command.folder / "first").glob("*.part"))
    assert (1, 0) == (first.code, second.code)
    assert_stopped_by(first, "No space left on device")
    assert 0 < len(held) < len(right)
    assert right.startswith(held)
    assert right == (command.folder / "second" / site.archive(scene).name).read_bytes()
    assert f"bytes={len(held)}-" == site.archive_hits()[-1].range
