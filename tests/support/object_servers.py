"""Real object stores on the loopback, from the extra `interop`: SeaweedFS, rclone, and azurite where npm has it.

The fixtures are in `tests/interop/conftest.py`; each server is started once a session, each test has its own prefix.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.models.store_url import StoreUrl
from tests.conftest import HANGS
from tests.support.servers import accepting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

KEY, SECRET = "collgs", "collgs-secret"
BUCKET = "archives"

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The same at each emulator, and in Microsoft's documentation."""


def free_ports(count: int) -> list[int]:
    """Find ports on which nothing listens, below those that connections are given: a server may start there again."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(range(20_000, 32_000), 1_000):
            one = stack.enter_context(socket.socket())
            with suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no port is free")


def find_program(name: str) -> str:
    """Find a program that a wheel has put beside Python; without it the test is skipped, but never in CI."""
    beside = Path(sys.executable).with_name(name)
    path = str(beside) if beside.exists() else shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    if path is None:
        pytest.skip(f"{name} is not installed: pip install 'collgs-async[interop]'")
    return path


@dataclass
class ObjectServer:
    """A server of the S3 protocol in a process of its own, which can be killed and started again on the same data."""

    words: list[str]
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What leads a client there."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, unless it runs, and wait until the bucket is there."""
        if self.process is not None and self.process.poll() is None:
            return
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**environ, **self.environ}
            )
        end = time.monotonic() + HANGS
        while not self._is_ready():
            assert self.process.poll() is None, f"it ended: {self.words}"
            assert time.monotonic() < end, "it does not start"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            list_keys(self.client())
        except Exception:  # whatever obstore says of a server that is about to start
            return False
        return True

    def kill(self) -> None:
        """End it as a loss of power would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(self, prefix: str = "", **options: Any) -> Any:
        """A client of the library, for what a test wants to see with other eyes."""
        from obstore.store import S3Store

        return S3Store(
            BUCKET,
            prefix=prefix or None,
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True, "timeout": timedelta(seconds=HANGS)},
            retry_config={"max_retries": 0},
            **options,
        )


@dataclass
class SeaweedFS(ObjectServer):
    """The most complete one."""

    filer: int = 0

    @classmethod
    def at(cls, folder: Path) -> SeaweedFS:
        # In pairs, since a port for gRPC that is not named is 10,000 above the other, and may be taken.
        names = ("s3", "filer", "master", "volume", "admin")
        ports = dict(zip((*names, *(f"{name}.grpc" for name in names)), free_ports(10), strict=True))
        words = [
            *(find_program("weed"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-{name.replace('.grpc', '')}.port{'.grpc' * name.endswith('.grpc')}={ports[name]}" for name in ports),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false", "-master.telemetry=false"),
            f"-bucket={BUCKET}",
        ]
        return cls(words, folder, ports["s3"], filer=ports["filer"])

    def unfinished(self) -> int:
        """Count the uploads that were begun and neither completed nor aborted."""
        address = f"http://127.0.0.1:{self.filer}/buckets/{BUCKET}/.uploads/?limit=1000"
        request = urllib.request.Request(address, headers={"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=HANGS) as response:
                return len(json.load(response)["Entries"] or [])
        except urllib.error.HTTPError:
            return 0  # there has never been one


class Rclone(ObjectServer):
    """One that ignores conditions, returns names of metadata in capitals, and keeps objects as files."""

    @classmethod
    def at(cls, folder: Path) -> Rclone:
        (folder / BUCKET).mkdir(parents=True)
        (port,) = free_ports(1)
        words = [
            *(find_program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"),
            *("--config", "", "--vfs-cache-mode", "off", "--dir-cache-time", "0s", str(folder)),
        ]
        return cls(words, folder, port)


@contextmanager
def running_azurite(folder: Path) -> Iterator[str]:
    """Run Microsoft's emulator of Azure's blob store, with a container; gives its address. No wheel has it."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not installed: npm install --global azurite")
    pytest.importorskip("obstore")
    (port,) = free_ports(1)
    words = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent"]
    # Without --disableTelemetry it reaches for the internet.
    process = subprocess.Popen([*words, "--skipApiVersionCheck", "--disableTelemetry"], stdin=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
        end = time.monotonic() + HANGS
        while True:
            try:
                _make_container(endpoint)
                break
            except urllib.error.URLError:
                assert process.poll() is None, "it ended"
                assert time.monotonic() < end, "it does not start"
                time.sleep(0.05)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def _make_container(endpoint: str) -> None:
    """Make the container, which no function of obstore does; the request is signed by the account's key."""
    date, version = formatdate(usegmt=True), "2021-08-06"
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}"}
    address = f"{endpoint}/{BUCKET}?restype=container"
    with urllib.request.urlopen(urllib.request.Request(address, method="PUT", headers=headers), timeout=HANGS):
        pass


@contextmanager
def running(make: Callable[[Path], ObjectServer], folder: Path) -> Iterator[Any]:
    """Run a server, and remove all that it has kept: deleted objects, too, stay on its disk."""
    pytest.importorskip("obstore")
    server = make(folder)
    folder.mkdir(exist_ok=True)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
        for port in re.findall(r"port(?:\.grpc)?=([0-9]+)", " ".join(server.words)):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


@dataclass
class Bucket:
    """A test's own prefix in a server's bucket."""

    server: Any
    prefix: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    @property
    def url(self) -> StoreUrl:
        return StoreUrl("s3", BUCKET, self.prefix)

    @property
    def endpoint(self) -> str:
        return str(self.server.endpoint)

    @property
    def environ(self) -> dict[str, str]:
        return dict(self.server.environ)

    def keys(self) -> list[str]:
        return list_keys(self.server.client(self.prefix))

    def read(self, key: str) -> bytes:
        import obstore

        return bytes(obstore.get(self.server.client(self.prefix), key).bytes())

    def metadata(self, key: str) -> dict[str, str]:
        import obstore

        found = obstore.get(self.server.client(self.prefix), key, options={"head": True}).attributes
        return {str(name).lower(): str(value) for name, value in found.items()}

    def write(self, key: str, data: bytes, **metadata: str) -> None:
        """Put an object there as another program does, or with metadata."""
        import obstore

        obstore.put(self.server.client(self.prefix), key, data, attributes=metadata)

    def remove(self, key: str) -> None:
        import obstore

        obstore.delete(self.server.client(self.prefix), key)


class StoreProxy:
    """Stands before a store, sees each request, and does with it what a test says.

    Parameters
    ----------
    rule
        Gets the first line of a request, such as ``PUT /archives/x.zip?partNumber=1&uploadId=… HTTP/1.1``, and returns
        what becomes of it: None, it is passed on; ``lose``, that too, but its response never comes; ``refuse``, the
        connection is closed; any other text is the response. It may wait as long as it likes.
    edit
        Changes each response.

    Attributes
    ----------
    requests
        The first lines of the requests so far.
    """

    def __init__(
        self,
        server: ObjectServer,
        rule: Callable[[str], Awaitable[str | None]] | None = None,
        edit: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._server = server
        self._rule = rule
        self._edit = edit
        self.requests: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Run it; gives its address."""
        async with accepting(self._handle) as (host, port):
            yield f"http://{host}:{port}"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            line = head.partition(b"\r\n")[0].decode()
            self.requests.append(line)
            verdict = await self._rule(line) if self._rule else None
            if verdict in (None, "lose"):
                response = await self._passed_on(head, body)
                writer.write(self._edit(response) if verdict is None else b"")
            elif verdict not in (None, "refuse"):
                writer.write(verdict.encode())
            await writer.drain()
        writer.close()

    async def _passed_on(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            # One request a connection, on both sides, so that a response ends where the connection does.
            writer.write(head.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


def xml_error(status: int, code: str, message: str = "as the store says", more: str = "") -> str:
    """Write a response as stores of the S3 protocol refuse."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


SLOW_DOWN = xml_error(503, "SlowDown", "Please reduce your request rate.")


def list_keys(client: Any) -> list[str]:
    import obstore

    return sorted(one["path"] for page in obstore.list(client) for one in page)


def use_bucket(server: ObjectServer, patch: pytest.MonkeyPatch) -> Bucket:
    """Give a test its prefix, and an environment that leads there and nowhere else."""
    server.start()
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            patch.delenv(name)
    for name, value in server.environ.items():
        patch.setenv(name, value)
    return Bucket(server)
