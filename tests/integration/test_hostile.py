"""Input that means harm, or is merely absurd: names, links, headers, lengths, pages and archives."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import ssl
import struct
import tempfile
import unicodedata
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collgs_async import Client, NotAvailableError, ProductError
from collgs_async.models.product import Status
from tests.conftest import HANGS, Command, RecordedSleeps, is_archive
from tests.support.commands import COLLECTION, assert_clean_exit, on_linux
from tests.support.loops import run_steadily
from tests.support.servers import (
    MIB,
    MOST_MEMORY,
    RIGHT,
    Asked,
    RawServer,
    files_in,
    measured,
    plain,
    pull,
    raw_server,
    saying,
    settings_for,
    small_archive,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from collgs_async.models.product import Outcome
    from tests.conftest import CommandHere

    W = TypeVar("W", bound="RawServer")

# ---------------------------------------------------------------------------------------- a server without manners


# ------------------------------------------------------------------------------------------------------------ names

NAMES = [
    "../../escaped",
    "..",
    "/etc/passwd",
    "a/b/c",
    "C:\\Windows\\x",
    "nul\0byte",
    "two\nlines",
    "red \x1b[31m and a title \x1b]0;mine\x07",
    "x" * 400,
    "é" * 400,
    "CON",
    "aux.txt",
    "-rf",
    "--output",
    ".hidden",
    "Case",
    "case",
    "CASE",
    "🛰️ satellite",
    "right\u202eto left",
    "mark\u200f",
    "line\u2028separator",
    "lone \ud800 half",
    "a.zip",
    "a.zip.part",
    "%2e%2e%2fescaped",
    "$(touch escaped)",
    "*",
    "tab\tstop",
    "c1 \x9b31m",
]


def words_for(server: RawServer, folder: Path) -> tuple[object, ...]:
    return ("--base-url", f"{server.origin}/search", *COLLECTION, "--output", folder)


def dangerous(text: str) -> list[str]:
    """Characters that a terminal obeys, or that turn the text around; line ends are ours."""
    return sorted(
        {repr(letter) for letter in text if unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"}} - {"'\\n'"}
    )


async def test_every_name_gets_a_file_of_its_own_inside_the_folder_and_none_reaches_the_terminal(
    tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "deep" / "archives"
    products = [(name, f"/{number}.zip") for number, name in enumerate(NAMES)]
    bodies = {href: small_archive(number, 2_000) for number, (_, href) in enumerate(products)}

    async def store(asked: Asked) -> AsyncIterator[bytes]:
        yield plain(bodies[asked.path])

    async with raw_server(products, store) as server:
        ended = assert_clean_exit(await command(*words_for(server, folder), "-v", "--report", "report.json"))

    assert 0 == ended.code
    found = json.loads((command.folder / "report.json").read_bytes())["products"]
    assert set(NAMES) == {one["id"] for one in found}
    assert ["downloaded"] * len(NAMES) == [one["status"] for one in found]
    paths = {one["id"]: Path(one["path"]) for one in found}
    assert {folder} == {path.parent for path in paths.values()}
    assert sorted(path.name for path in paths.values()) == files_in(folder)
    assert {name: bodies[href] for name, href in products} == {name: path.read_bytes() for name, path in paths.items()}
    assert ["archives"] == files_in(folder.parent)
    assert ["cwd", "deep"] == files_in(tmp_path)
    assert [] == dangerous(ended.err + ended.out)


@pytest.mark.parametrize("name", ["", "   ", "\n"])
async def test_an_empty_name_is_a_clear_failure(tmp_path: Path, sleeps: RecordedSleeps, name: str) -> None:
    async with raw_server([(name, "/a.zip"), ("B", "/b.zip")], saying(plain(RIGHT))) as server:
        report = await pull(server, tmp_path / "archives", sleeps)

        assert ["/b.zip"] == [asked.path for asked in server.archive_requests]
    assert 1 == report.downloaded
    (failure,) = report.failures
    assert "the catalogue gives it no identifier" == str(failure.error)


@pytest.mark.parametrize("layout", ["table", "json", "jsonl", "geojson", "stac", "csv", "urls"])
async def test_no_listing_carries_a_name_that_moves_the_cursor(
    tmp_path: Path, run_cli: CommandHere, layout: str
) -> None:
    async with raw_server([(name, f"/{name}.zip") for name in NAMES], saying(plain(RIGHT))) as server:
        ended = assert_clean_exit(
            await run_cli("search", "--base-url", f"{server.origin}/search", *COLLECTION, "--format", layout)
        )

    assert 0 == ended.code
    assert [] == dangerous(ended.err + ended.out)


async def test_names_that_differ_only_in_case_are_fetched_and_found_again_apart(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    async with raw_server([("Case", "/1.zip"), ("case", "/2.zip")], saying(plain(RIGHT))) as server:
        first = await pull(server, tmp_path / "archives", sleeps)
        second = await pull(server, tmp_path / "archives", sleeps)

        assert 2 == len(server.archive_requests)
    assert (2, 2) == (first.downloaded, second.skipped)


# ------------------------------------------------------------------------------------------------------------ links


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1", "gopher://127.0.0.1", "data:application/zip,PK"])
async def test_a_link_of_another_kind_is_a_clear_failure_and_reads_nothing(
    tmp_path: Path, sleeps: RecordedSleeps, scheme: str
) -> None:
    secret = tmp_path / "secret.zip"
    secret.write_bytes(RIGHT)
    link = f"{scheme}{secret}"
    async with raw_server([("A", link)], saying(plain(RIGHT))) as server:
        report = await pull(server, tmp_path / "archives", sleeps)

        assert [] == server.archive_requests
    (failure,) = report.failures
    assert f"its download link is not http or https: {link!r}" == str(failure.error)
    assert not (tmp_path / "archives").exists()


async def test_a_link_with_a_password_is_followed_without_it(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with raw_server([], saying(plain(RIGHT))) as server:
        server.offer([("A", server.origin.replace("//", "//user:pass@") + "/a.zip")])
        report = await pull(server, tmp_path / "archives", sleeps)

        assert 1 == report.downloaded
        assert "authorization" not in server.archive_requests[0].headers
        assert "pass" not in json.dumps(server.archive_requests[0].headers)


async def test_a_link_to_another_host_brings_nothing_of_the_catalogue_along(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    async with raw_server([("A", "http://localhost:1/a.zip")], saying(plain(RIGHT))) as server:
        port = server.origin.rpartition(":")[2]
        server.offer([("A", f"http://localhost:{port}/a.zip")], Set_Cookie="session=secret", WWW_Authenticate="Basic")
        report = await pull(server, tmp_path / "archives", sleeps)

        assert 1 == report.downloaded
        (asked,) = server.archive_requests
        assert "localhost" in asked.headers["host"]
        assert {"cookie", "authorization", "referer"}.isdisjoint(asked.headers)


@pytest.mark.parametrize("link", ["http://127.0.0.1:1/a.zip", "http://[::1/a.zip", "http://a..b/x", "http://\x00/"])
async def test_a_link_that_leads_nowhere_costs_that_product_alone(
    tmp_path: Path, sleeps: RecordedSleeps, link: str
) -> None:
    async with raw_server([("A", link), ("B", "/b.zip")], saying(plain(RIGHT))) as server:
        report = await pull(server, tmp_path / "archives", sleeps)

    assert (1, 1) == (report.downloaded, report.failed)
    assert ["A"] == [failure.product.identifier for failure in report.failures]


# -------------------------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize("places", [("/a.zip",), ("/b.zip", "/a.zip"), tuple(f"/{number}" for number in range(100))])
async def test_redirects_without_end_are_final_after_ten(
    tmp_path: Path, sleeps: RecordedSleeps, places: tuple[str, ...]
) -> None:
    turn = 0

    async def redirect(_: Asked) -> AsyncIterator[bytes]:
        nonlocal turn
        turn += 1
        yield plain(b"", "302 Found", Location=places[turn % len(places)])

    async with raw_server([("A", "/a.zip")], redirect) as server:
        report = await pull(server, tmp_path / "archives", sleeps)

        assert 11 == len(server.archive_requests)
    (failure,) = report.failures
    assert "more than 10 redirects, the last one to 127.0.0.1" == str(failure.error)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "redirect to file:, which is not followed"),
        ("data:application/zip,PK", "redirect to data:, which is not followed"),
        ("ftp://127.0.0.1/a.zip", "redirect to ftp:, which is not followed"),
        ("http://[::1/", "redirect to something that is no URL"),
        ("http://xn--a/x.zip", "redirect to something that is no URL ('xn--a' is no name of a host)"),
        ("", "HTTP 302 without a Location"),
    ],
)
async def test_a_redirect_to_where_we_do_not_go_is_final(
    tmp_path: Path, sleeps: RecordedSleeps, location: str, said: str
) -> None:
    async with raw_server([("A", "/a.zip")], saying(plain(b"", "302 Found", Location=location))) as server:
        report = await pull(server, tmp_path / "archives", sleeps)

        assert 1 == len(server.archive_requests)
    (failure,) = report.failures
    assert isinstance(failure.error, NotAvailableError)
    assert said in str(failure.error)


async def test_a_redirect_from_https_to_http_is_final_and_not_followed(
    tmp_path: Path, sleeps: RecordedSleeps, certificate: Path
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with raw_server([], saying(plain(RIGHT))) as open_store:
        away = saying(plain(b"", "302 Found", Location=f"{open_store.origin}/a.zip"))
        async with raw_server([("A", "/a.zip")], away, tls=tls) as server:
            report = await pull(server, tmp_path / "archives", sleeps, ca_file=certificate)

        assert [] == open_store.seen
    (failure,) = report.failures
    assert "redirect from https to http (127.0.0.1), which is not followed" == str(failure.error)


# ------------------------------------------------------------------------------------------ headers that mean harm


async def outcome_of(
    store: Callable[[Asked], AsyncIterator[bytes]], folder: Path, sleeps: RecordedSleeps, **options: Any
) -> Outcome:
    """Download one product from this store, in bounded time."""
    async with (
        raw_server([("A", "/a.zip")], store) as server,
        asyncio.timeout(HANGS),
        Client(settings_for(server, folder, options, timeout=1), sleep=sleeps) as client,
    ):
        (product,) = [product async for product in client.catalogue.search()]
        return await client.download(product)


def assert_right_or_clear(outcome: Outcome, folder: Path) -> None:
    """Hold what must always hold: the right bytes under the final name, or a product's error and no such file."""
    finals = list(folder.glob("*.zip"))
    if outcome.status is Status.DOWNLOADED:
        # Bytes after the archive's end are no harm, and nothing tells that they do not belong there.
        (final,) = finals
        assert final.read_bytes()[: len(RIGHT)] in VERSIONS
        assert is_archive(final)
    else:
        assert isinstance(outcome.error, ProductError)
        assert [] == finals


@pytest.mark.parametrize(
    "header",
    [b"X: " + b"x" * 2**20 + b"\r\n", b'ETag: "' + b"x" * 2**20 + b'"\r\n', b"x" * 2**20 + b": 1\r\n"],
    ids=["value", "ETag", "name"],
)
async def test_a_header_of_a_megabyte_is_a_clear_failure(tmp_path: Path, sleeps: RecordedSleeps, header: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + header + plain(RIGHT).partition(b"\r\n")[2]

    outcome = await outcome_of(saying(answer), tmp_path, sleeps)

    assert Status.FAILED is outcome.status
    assert "an answer that is not HTTP" in str(outcome.error)
    assert len(str(outcome.error)) < 1_000


@pytest.mark.parametrize("line", [b"X: x\r\n", b"Set-Cookie: a=b\r\n", b" folded\r\n"])
async def test_headers_without_end_are_a_clear_failure_in_bounded_memory(
    tmp_path: Path, sleeps: RecordedSleeps, line: bytes
) -> None:
    sent = 0

    async def without_end(_: Asked) -> AsyncIterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\n"
        while sent < 32 * 2**20:
            sent += len(line) * 1_000
            yield line * 1_000

    outcome = await outcome_of(without_end, tmp_path, sleeps)

    assert Status.FAILED is outcome.status
    assert sent < 32 * 2**20, "it went on reading"


LYING_LENGTHS = {
    "two lengths, the right one first": f"Content-Length: {len(RIGHT)}\r\nContent-Length: 7",
    "two lengths, the right one last": f"Content-Length: 7\r\nContent-Length: {len(RIGHT)}",
    "two lengths in one": f"Content-Length: {len(RIGHT)}, 7",
    "chunked as well": f"Content-Length: {len(RIGHT)}\r\nTransfer-Encoding: chunked",
    "negative": "Content-Length: -1",
    "signed": f"Content-Length: +{len(RIGHT)}",
    "no number": "Content-Length: all of it",
    "enormous": f"Content-Length: {2**70}",
    "too long by 1000": f"Content-Length: {len(RIGHT) + 1_000}",
    "too short by 1000": f"Content-Length: {len(RIGHT) - 1_000}",
    "nothing": "Content-Length: 0",
}


@pytest.mark.parametrize("lie", LYING_LENGTHS)
@pytest.mark.parametrize("always", [True, False], ids=["always", "at first"])
async def test_lengths_that_lie_never_make_a_wrong_file(
    tmp_path: Path, sleeps: RecordedSleeps, lie: str, *, always: bool
) -> None:
    turn = 0

    async def store(_: Asked) -> AsyncIterator[bytes]:
        nonlocal turn
        turn += 1
        lying = f"HTTP/1.1 200 OK\r\n{LYING_LENGTHS[lie]}\r\nConnection: close\r\n\r\n".encode() + RIGHT
        yield lying if always or turn == 1 else plain(RIGHT)

    outcome = await outcome_of(store, tmp_path, sleeps)

    assert_right_or_clear(outcome, tmp_path)
    assert always or Status.DOWNLOADED is outcome.status
    assert outcome.attempts < 20


async def test_a_compressed_range_is_not_taken_for_the_rest(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    """The line breaks after a third; the rest comes as gzip, unasked, and then as it should."""
    third = len(RIGHT) // 3
    tag = '"one"'

    async def store(asked: Asked) -> AsyncIterator[bytes]:
        if "range" not in asked.headers:
            yield plain(RIGHT, ETag=tag)[: third + 200]
            return
        first = int(asked.headers["range"].removeprefix("bytes=").rstrip("-"))
        span = f"bytes {first}-{len(RIGHT) - 1}/{len(RIGHT)}"
        packed = gzip.compress(RIGHT[first:])
        partly = partial(plain, status="206 Partial Content", ETag=tag, Content_Range=span)
        yield partly(RIGHT[first:]) if sleeps.seconds[2:] else partly(packed, Content_Encoding="gzip")

    outcome = await outcome_of(store, tmp_path, sleeps)

    assert Status.DOWNLOADED is outcome.status
    assert outcome.attempts >= 4
    assert_right_or_clear(outcome, tmp_path)


# ------------------------------------------------------------------------------------- answers that are made at random


@st.composite
def spans(draw: st.DrawFn) -> str:
    """Draw a Content-Range: sometimes right, sometimes a little off, sometimes nonsense."""
    size = len(RIGHT)
    near = st.sampled_from([0, 1, size // 3, size // 2, size - 1, size, size + 1, 2**63])
    number = st.one_of(near, st.integers(0, size))
    first, last = draw(number), draw(number)
    total = draw(st.one_of(st.just(str(size)), st.just("*"), number.map(str)))
    return draw(
        st.sampled_from(
            [f"bytes {first}-{last}/{total}", f"bytes */{total}", f"bytes={first}-{last}", "bytes x-y/z", ""]
        )
    )


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw an answer, byte by byte."""
    size = len(RIGHT)
    first, length = draw(st.integers(0, size)), draw(st.integers(0, size))
    junk = draw(st.sampled_from([b"", b"\0" * 100, b"<html>", b"PK\3\4", b"\xff" * 5_000]))
    body = draw(
        st.sampled_from([RIGHT, RIGHT[first:], RIGHT[first : first + length], junk, junk + RIGHT, RIGHT + junk])
    )
    length_told = draw(st.sampled_from([len(body), len(body), len(body) + 100, max(0, len(body) - 100), None, 2**56]))
    status = draw(st.sampled_from([200, 206, 206, 416, 204, 304, 100, 500, 302, 999]))
    headers = {"Connection": "close"}
    if length_told is not None:
        headers["Content-Length"] = str(length_told)
    for name, values in {
        "Content-Range": spans(),
        "ETag": st.sampled_from(['"one"', 'W/"one"', '"two"', "one", '"']),
        "Last-Modified": st.sampled_from(["Mon, 01 Jan 2024 00:00:00 GMT", "never"]),
        "Date": st.sampled_from(["Tue, 02 Jan 2024 00:00:00 GMT", "today"]),
        "Content-Encoding": st.sampled_from(["gzip", "identity", "br", ""]),
        "Transfer-Encoding": st.sampled_from(["chunked", "gzip"]),
        "Retry-After": st.sampled_from(["0", "-1", "soon"]),
    }.items():
        if draw(st.integers(0, 2)) == 0:
            headers[name] = draw(values)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body


@dataclass(frozen=True)
class Play:
    """One answer of a store of two versions: which one it has now, and what it does, or says, wrong."""

    version: int = 0
    tag: str | None = "own"
    ranges: bool = True
    conditions: bool = True
    length: bool = True
    sent: float = 1.0
    shift: int = 0
    flipped: bool = False

    def __call__(self, asked: Asked) -> bytes:
        body, headers = bytearray(VERSIONS[self.version]), {}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        same = asked.headers.get("if-range", self._tag) == self._tag
        if self.flipped:
            body[len(body) // 2] ^= 1  # in the data of the image, where a checksum watches
        status = "200 OK"
        if wanted and self.ranges and (same or not self.conditions):
            first, end = int(wanted[1]), int(wanted[2] or len(body) - 1) + 1
            if first >= len(body):
                return plain(b"", "416 Range Not Satisfiable", Content_Range=f"bytes */{len(body)}")
            status = "206 Partial Content"
            headers["Content_Range"] = f"bytes {first + self.shift}-{end - 1 + self.shift}/{len(body)}"
            body = body[first:end]
        if self._tag:
            headers["ETag"] = self._tag
        head, _, whole = plain(bytes(body), status, **headers).partition(b"\r\n\r\n")
        if not self.length:
            head = re.sub(rb"\r\nContent-Length: \d+", b"", head)
        return head + b"\r\n\r\n" + whole[: int(len(whole) * self.sent)]

    @property
    def _tag(self) -> str | None:
        return {"own": f'"{self.version}"', "other": f'"{1 - self.version}"', "weak": 'W/"0"', None: None}[self.tag]


VERSIONS = (RIGHT, small_archive(1))
UNLUCKY = {
    "version": st.sampled_from([0, 0, 0, 1]),
    "tag": st.sampled_from(["own", "own", "own", "weak", None]),
    "ranges": st.sampled_from([True, True, True, False]),
    "length": st.sampled_from([True, True, True, False]),
    "sent": st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
}
LYING = {
    **UNLUCKY,
    "version": st.sampled_from([0, 0, 1]),
    "tag": st.sampled_from(["own", "own", "other", "weak", None]),
    "conditions": st.booleans(),
    "shift": st.sampled_from([0, 0, 0, 1, -1, 1_000, -1_000, 10**9]),
    "flipped": st.sampled_from([False, False, False, True]),
}


async def outcome_of_script(script: Sequence[bytes | Play], folder: Path, **options: Any) -> Outcome:
    """Play these answers one after the other, then honest ones."""
    waiting = iter(script)

    async def store(asked: Asked) -> AsyncIterator[bytes]:
        answer = next(waiting, HONEST)
        yield answer(asked) if isinstance(answer, Play) else answer

    return await outcome_of(store, folder, RecordedSleeps(), **options)


async def test_a_length_beyond_the_whole_disk_is_that_products_trouble_alone(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 72057594037927936\r\n\r\nPK\x03\x04" + bytes(100)

    outcome = await outcome_of_script([answer], tmp_path)

    assert isinstance(outcome.error, NotAvailableError)
    assert str(outcome.error).startswith("the store announces 72.1 PB, and the whole disk has ")


HONEST = Play()
often = partial(settings, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def assert_never_wrong(script: Sequence[bytes | Play], **options: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_steadily(outcome_of_script(script, Path(folder), **options))

        assert_right_or_clear(outcome, Path(folder))
        assert outcome.attempts < 60


@often(max_examples=100)
@given(st.lists(answers() | st.just(Play(sent=0.5)), min_size=1, max_size=8))
def test_any_answers_end_in_the_right_archive_or_in_a_products_error(script: list[bytes | Play]) -> None:
    assert_never_wrong(script)


@often(max_examples=100)
@given(st.lists(st.builds(Play, **LYING), min_size=2, max_size=8))
def test_lies_about_versions_and_ranges_are_caught_by_the_checksums(script: list[bytes | Play]) -> None:
    assert_never_wrong(script)


@often(max_examples=100)
@given(st.lists(st.builds(Play, **UNLUCKY), min_size=2, max_size=8))
def test_without_a_lie_no_two_versions_are_joined_even_where_no_checksum_is_read(script: list[bytes | Play]) -> None:
    assert_never_wrong(script, verify="structure")


@often(max_examples=50)
@given(st.lists(st.binary(max_size=200) | st.binary(max_size=200).map(b"HTTP/1.1 200 OK\r\n".__add__), max_size=4))
def test_any_bytes_in_place_of_an_answer_do_no_harm(script: list[bytes | Play]) -> None:
    assert_never_wrong(script)


# -------------------------------------------------------------------------------------------------- floods and bombs

TEN_GB = 10 * 10**9


def deflated(data: bytes) -> bytes:
    """Deflate to a piece that may be repeated: it neither ends the stream nor looks back beyond its beginning."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    return press.compress(data) + press.flush(zlib.Z_FULL_FLUSH)


ZEROS = bytes(16 * MIB)
ZEROS_DEFLATED = deflated(ZEROS)
GZIP_HEAD = gzip.compress(b"")[:10]


@on_linux
async def test_ten_gigabytes_of_json_as_a_page_are_not_read(tmp_path: Path, command: Command) -> None:
    async def flood(asked: Asked) -> AsyncIterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {TEN_GB}\r\n\r\n".encode() + b'{"features": ['
        while asked.sent < TEN_GB:
            yield b'{"properties": {"identifier": "x"}},' * 10_000

    async with raw_server([], flood) as server:
        ended, peak = await measured(command, "--base-url", f"{server.origin}/flood", *COLLECTION, "--output", tmp_path)

        (asked,) = server.seen
    assert 1 == ended.code
    assert "error: the search ended early: the catalogue's answer is larger than 32 MiB" in ended.err
    assert asked.sent < 64 * MIB
    assert peak < MOST_MEMORY


@on_linux
async def test_a_gzip_bomb_as_a_page_is_not_unpacked(tmp_path: Path, command: Command) -> None:
    async def flood(asked: Asked) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + GZIP_HEAD
        while asked.sent < len(ZEROS_DEFLATED) * TEN_GB // len(ZEROS):
            yield ZEROS_DEFLATED

    async with raw_server([], flood) as server:
        ended, peak = await measured(command, "--base-url", f"{server.origin}/flood", *COLLECTION, "--output", tmp_path)

    assert 1 == ended.code
    assert "error: the search ended early: the catalogue's answer is larger than 32 MiB" in ended.err
    assert peak < MOST_MEMORY


@on_linux
async def test_a_gzip_bomb_as_an_archive_is_refused_unread(tmp_path: Path, command: Command) -> None:
    async def flood(asked: Asked) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + GZIP_HEAD
        while asked.sent < 64 * MIB:
            yield ZEROS_DEFLATED

    async with raw_server([("A", "/a.zip")], flood) as server:
        ended, peak = await measured(command, *words_for(server, tmp_path / "archives"), "--retries", 1)

        (asked,) = server.archive_requests
    assert 1 == ended.code
    assert "the store sent the archive with Content-Encoding gzip, unasked" in ended.err
    assert asked.sent < 32 * MIB
    assert not (tmp_path / "archives").exists() or [] == files_in(tmp_path / "archives")
    assert peak < MOST_MEMORY


def one_member(data: bytes, *, method: int = 0, crc: int = 0, length: int = 3, **told: int) -> bytes:
    """Write an archive of one member; its end record may tell other things of its directory."""
    fields = struct.pack("<5H3I2H", 20, 0, method, 0, 33, crc, len(data), length, 5, 0)
    local = b"PK\3\4" + fields + b"image" + data
    entry = b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<3H2I", 0, 0, 0, 0, 0) + b"image"
    return local + entry + end_record(**{"entries": 1, "size": len(entry), "start": len(local), **told})


def end_record(entries: int, size: int, start: int) -> bytes:
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, entries, entries, size, start, 0)


STORED = partial(one_member, b"abc", crc=zlib.crc32(b"abc"))


def bomb(*, told: int | None = None, blocks: int = 32) -> bytes:
    """Write an archive with a member of so many times 16 MiB of zeros, which tells its length, or this one."""
    crc = 0
    for _ in range(blocks):
        crc = zlib.crc32(ZEROS, crc)
    data = ZEROS_DEFLATED * blocks + b"\3\0"
    return one_member(data, method=8, crc=crc, length=blocks * len(ZEROS) if told is None else told)


def members_on_top_of_each_other() -> bytes:
    count, right = 60_000, STORED()
    start, end = right.index(b"PK\1\2"), right.index(b"PK\5\6")
    entries = right[start:end] * count
    return right[:start] + entries + end_record(count, len(entries), start)


def zip64_of(entries: int, size: int, start: int) -> bytes:
    right = STORED()
    at = right.index(b"PK\5\6")
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    return right[:at] + wide + locator + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def bad_archives() -> dict[str, tuple[bytes, str]]:
    """Name archives that are none, with what is to be said of each."""
    return {
        "lying-bomb": (bomb(told=1_000), "it unpacks to more than the 1000 bytes expected"),
        "count": (STORED(entries=65_000), "65000 members cannot fit in a directory of 51 bytes"),
        "length": (STORED(size=2**32 - 2), "the central directory claims 4294967294 bytes"),
        "start": (STORED(start=2**31), "the central directory should end at byte"),
        "count-64": (zip64_of(2**60, 51, 38), "1152921504606846976 members cannot fit"),
        "length-64": (zip64_of(1, 2**62, 38), "the central directory claims 4611686018427387904 bytes"),
        "start-64": (zip64_of(1, 51, 2**63), "the central directory should end at byte"),
        "overlap": (members_on_top_of_each_other(), "what follows it begins at 0"),
    }


@on_linux
async def test_bombs_and_absurd_directories_cost_neither_memory_nor_a_wrong_file(
    tmp_path: Path, command: Command
) -> None:
    bad = bad_archives()
    bodies = {"honest-bomb": bomb(), **{name: data for name, (data, _) in bad.items()}}

    async def store(asked: Asked) -> AsyncIterator[bytes]:
        yield plain(bodies[asked.path.strip("/").removesuffix(".zip")])

    async with raw_server([(name, f"/{name}.zip") for name in bodies], store) as server:
        words = (*words_for(server, tmp_path / "archives"), "--report", "report.json")
        ended, peak = await measured(command, *words)

        assert len(server.archive_requests) <= 2 * len(bodies) + 1
    found = json.loads((command.folder / "report.json").read_bytes())["products"]
    assert 1 == ended.code
    assert ["honest-bomb"] == [one["id"] for one in found if one["status"] == "downloaded"]
    errors = {one["id"]: one["error"]["message"] for one in found if one["error"]}
    assert {name: said for name, (_, said) in bad.items() if said not in errors[name]} == {}
    assert ["honest-bomb.zip"] == files_in(tmp_path / "archives")
    assert peak < MOST_MEMORY
