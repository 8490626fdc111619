"""The way to a connection's bytes: one is decrypted at a time, none is forgotten, whole records outlive the line."""

from __future__ import annotations

import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from collgs_async.transfer.body_source import TlsSource, Turns
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def waiting(turns: Turns, count: int) -> None:
    """Wait until so many threads stand in line."""
    given_up = time.monotonic() + HANGS
    while len(turns._waiting) < count:
        assert time.monotonic() < given_up
        time.sleep(0.001)


def test_turns_go_in_the_order_of_asking_also_past_one_that_asks_again_at_once() -> None:
    turns, order = Turns(), []

    def take_one(number: int) -> None:
        turns.take()
        order.append(number)
        turns.give()

    turns.take()
    threads = [threading.Thread(target=take_one, args=(number,), daemon=True) for number in range(5)]
    for count, thread in enumerate(threads, 1):
        thread.start()
        waiting(turns, count)
    turns.give()
    turns.take()  # with a common lock, the thread that runs would have it here
    order.append(5)
    turns.give()
    for thread in threads:
        thread.join(HANGS)

    assert [0, 1, 2, 3, 4, 5] == order


def test_never_two_at_a_time_and_everybody_comes_to_an_end() -> None:
    turns, inside, most = Turns(), [0], []

    def take_many() -> None:
        for _ in range(200):
            turns.take()
            inside[0] += 1
            most.append(inside[0])
            time.sleep(0)  # lets others try
            inside[0] -= 1
            turns.give()

    threads = [threading.Thread(target=take_many, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS)

    assert [1] * 1200 == most


# ------------------------------------------------------------------------------------------------------ over TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    names = [folder / "key.pem", folder / "certificate.pem"]
    subprocess.run([*words.split(), "-keyout", names[0], "-out", names[1]], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text("".join(path.read_text() for path in names))
    return both


class Line:
    """A connection over TLS whose handshake is over: what is sent on it, and who takes it."""

    def __init__(self, certificate: Path, version: ssl.TLSVersion) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        near = socket.create_connection(listener.getsockname())
        self.far, _ = listener.accept()
        listener.close()
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.load_cert_chain(certificate)
        client.check_hostname, client.verify_mode, client.maximum_version = False, ssl.CERT_NONE, version
        self.incoming, outgoing, asked, self._answers = (ssl.MemoryBIO() for _ in range(4))
        taker = client.wrap_bio(self.incoming, outgoing)
        self._giver = server.wrap_bio(asked, self._answers, server_side=True)
        for _ in range(4):
            for side, out, other in ((taker, outgoing, asked), (self._giver, self._answers, self.incoming)):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                other.write(out.read())
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 200_000))
        self._near = near
        self.source = TlsSource(near, taker, self.incoming, wait=0.5)

    def records(self, data: bytes, *, end: bool = False) -> bytes:
        """Encrypt data; `end` says that no more will come."""
        if data:
            self._giver.write(data)
        if end:
            with pytest.raises(ssl.SSLWantReadError):
                self._giver.unwrap()
        return self._answers.read()

    def reset(self) -> None:
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.far.close()

    def close(self) -> None:
        self.far.close()
        self._near.close()

    def taken(self, block: int) -> tuple[bytes, Exception | None]:
        """Take all that comes, and the error that ends it."""
        buffer, data = bytearray(block), b""
        try:
            while (count := self.source.fill(memoryview(buffer))) != 0:
                data += buffer[: count or 0]
        except OSError as error:
            return data, error
        finally:
            self.source.pause(end=True)
        return data, None


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def lay(certificate: Path) -> Iterator[Callable[[ssl.TLSVersion], Line]]:
    lines: list[Line] = []

    def lay(version: ssl.TLSVersion) -> Line:
        lines.append(Line(certificate, version))
        return lines[-1]

    yield lay
    for line in lines:
        line.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("received_before", [True, False])
def test_whole_records_outlive_a_line_that_is_reset(
    lay: Callable[[ssl.TLSVersion], Line], version: ssl.TLSVersion, *, received_before: bool
) -> None:
    line = lay(version)
    record = line.records(b"a" * 8000)
    if received_before:
        line.incoming.write(record)
        line.reset()
        data, _ = line.taken(100_000)
    else:
        taken: list[tuple[bytes, Exception | None]] = []
        thread = threading.Thread(target=lambda: taken.append(line.taken(100_000)))
        thread.start()
        line.far.sendall(record)
        time.sleep(0.05)  # it waits for more of it by now
        line.reset()
        thread.join(HANGS)
        ((data, _),) = taken

    assert b"a" * 8000 == data  # the system tells of the reset only once, and then of an end


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(6))
def test_records_of_any_length_in_pieces_of_any_length_come_out_right(
    lay: Callable[[ssl.TLSVersion], Line], version: ssl.TLSVersion, seed: int
) -> None:
    line, rng = lay(version), random.Random(seed)
    data = rng.randbytes(400_000)
    records, at = b"", 0
    while at < len(data):
        size = rng.choice([1, 5, 100, 9000, 16384, 16384, 16384])
        records += line.records(data[at : at + size])
        at += size
    records += line.records(b"", end=seed % 2 == 0)
    here = rng.choice([0, 1, 5000, 16000, 40000])
    line.incoming.write(records[:here])

    def send() -> None:
        at = here
        while at < len(records):
            size = rng.choice([1, 3, 1000, 17000, 65536, 200_000])
            line.far.sendall(records[at : at + size])
            at += size
        line.far.close()

    thread = threading.Thread(target=send)
    thread.start()
    taken = line.taken(rng.choice([1000, 65536, 262_144, 1_000_003]))
    thread.join(HANGS)

    assert (data, None) == taken
