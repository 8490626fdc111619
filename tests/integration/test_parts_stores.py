"""Chosen members from stores that answer ranges oddly, and from folders in which something is already."""

from __future__ import annotations

import io
import json
import os
import random
import re
import zipfile
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from collgs_async import Client, Config, Connection, DownloadOptions, PartsOptions
from collgs_async.models.product import Status
from tests.conftest import RecordedSleeps
from tests.support.servers import plain, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from collgs_async.models.product import Outcome
    from tests.support.servers import Asked, RawServer

Odd: TypeAlias = "Callable[[int, str, bytes, bytes], tuple[bytes, bytes]]"

NAME = "S2A_MSIL2A_20210912T225728_N0301_R108_T32UKV_20210913T014716"
TAIL = 64 * 1024
SIZES = {"m.xml": 300, "B01.jp2": 300_000, "B02.jp2": 600_000, "B03.jp2": 400_000, "B04.jp2": 30_000}
BLUE, GREEN, RED = ["*B02*"], ["*B03*"], ["*B04*"]


def archive_of(sizes: Mapping[str, int], *, stub: bytes = b"", seed: int = 0) -> bytes:
    """An archive of stored members of these lengths, perhaps behind other bytes."""
    target, noise = io.BytesIO(stub), random.Random(seed)
    target.seek(len(stub))
    with zipfile.ZipFile(target, "a") as archive:
        for name, size in sizes.items():
            archive.writestr(zipfile.ZipInfo(f"{NAME}.SAFE/{name}"), noise.randbytes(size))
    return target.getvalue()


class Store:
    """Sends ranges of one archive; `odd` may change what it sends to its request of a number."""

    def __init__(self, archive: bytes, odd: Odd | None = None) -> None:
        self.archive, self.odd, self.tag = archive, odd, '"v1"'
        self.ranges: list[str] = []
        self.sent = 0

    async def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        wanted = asked.headers.get("range", "")
        self.ranges.append(wanted)
        head, body = self._right(wanted, asked.headers.get("if-range"))
        if self.odd:
            head, body = self.odd(len(self.ranges), wanted, head, body)
        yield head
        for at in range(0, len(body), TAIL):
            yield body[at : at + TAIL]
            self.sent += len(body[at : at + TAIL])

    def _right(self, wanted: str, condition: str | None) -> tuple[bytes, bytes]:
        size, found = len(self.archive), re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        if found is None or (condition and condition != self.tag):
            return plain(b"", Content_Length=str(size), ETag=self.tag), self.archive
        first = int(found[1]) if found[1] else max(0, size - int(found[2]))
        end = min(size, int(found[2]) + 1) if found[1] and found[2] else size
        span, length = f"bytes {first}-{end - 1}/{size}", str(end - first)
        head = plain(b"", "206 Partial Content", Content_Range=span, Content_Length=length, ETag=self.tag)
        return head, self.archive[first:end]


async def fetch(server: RawServer, folder: Path, wish: Sequence[str] = (), **options: Any) -> Outcome:
    config = Config(
        base_url=f"{server.origin}/search",
        parameters={"parentIdentifier": "X"},
        output_directory=folder,
        connection=Connection(timeout=60, retries=2, outage=0),
        download_options=DownloadOptions(workers=1, **options),
        parts=PartsOptions(members=list(wish)),
    )
    async with Client(config, sleep=RecordedSleeps()) as client:
        return await client.download(await anext(aiter(client.search())))


def members_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist()}


def tree_of(folder: Path) -> dict[str, bytes]:
    tree = folder / f"{NAME}.parts"
    found = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    found.pop("parts.json", None)
    return found


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def right(archive: bytes, *names: str) -> dict[str, bytes]:
    return {name: data for name, data in members_of(archive).items() if name.rpartition("/")[2] in names}


@pytest.mark.parametrize("page", ["<html><h1>Down for maintenance</h1></html>", '{"error": "session expired"}'])
async def test_a_page_in_the_place_of_a_member_is_no_other_version_of_the_archive(tmp_path: Path, page: str) -> None:
    def odd(number: int, _: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return (plain(page.encode(), Content_Type="text/html"), b"") if number == 2 else (head, body)

    store = Store(archive_of(SIZES), odd)
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, BLUE)

    assert (Status.DOWNLOADED, right(store.archive, "B02.jp2")) == (outcome.status, tree_of(tmp_path))
    assert ["bytes=-65536"] == [one for one in store.ranges if "=-" in one]  # the directory was not fetched again
    assert 3 == len(store.ranges)


@pytest.mark.parametrize("sizes", [SIZES, {"B02.jp2": 5000}])
async def test_a_last_range_without_the_whole_length_tells_it_by_its_end(tmp_path: Path, sizes: dict[str, int]) -> None:
    def odd(_: int, wanted: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return re.sub(rb"/\d+\r\n", b"/*\r\n", head, count=1), body

    store = Store(archive_of(sizes), odd)
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, BLUE)

    assert (Status.DOWNLOADED, right(store.archive, "B02.jp2")) == (outcome.status, tree_of(tmp_path))
    assert len(store.ranges) <= 2


@pytest.mark.parametrize("sizes", [SIZES, {"B02.jp2": 5000}])
async def test_a_store_that_refuses_suffix_ranges_tells_the_length_first(tmp_path: Path, sizes: dict[str, int]) -> None:
    def odd(_: int, wanted: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        if not wanted.startswith("bytes=-"):
            return head, body
        return plain(b"", "416 Range Not Satisfiable", Content_Range=f"bytes */{len(store.archive)}"), b""

    store = Store(archive_of(sizes), odd)
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, BLUE)

    assert (Status.DOWNLOADED, right(store.archive, "B02.jp2")) == (outcome.status, tree_of(tmp_path))
    assert len(store.ranges) <= 3


@pytest.mark.parametrize("more", range(-1, 5))
async def test_an_archive_of_about_the_length_of_the_first_request(tmp_path: Path, more: int) -> None:
    base = len(archive_of({"B02.jp2": 1000}))
    store = Store(archive_of({"B02.jp2": 1000 + TAIL + more - base}))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, BLUE)

    assert TAIL + more == len(store.archive)
    assert (Status.DOWNLOADED, right(store.archive, "B02.jp2")) == (outcome.status, tree_of(tmp_path))
    assert len(store.archive) == store.sent


async def test_what_is_before_the_first_member_is_fetched_alone(tmp_path: Path) -> None:
    store = Store(archive_of({"B02.jp2": 90_000}, stub=b"#" * 5000))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        await fetch(server, tmp_path, BLUE)
        outcome = await fetch(server, tmp_path)

    assert "bytes=0-4999" == store.ranges[-1]
    assert Status.DOWNLOADED == outcome.status
    assert store.archive == (tmp_path / f"{NAME}.zip").read_bytes()


async def test_an_immense_directory_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    archive = bytearray(archive_of({"B02.jp2": 100_000}) + bytes(22))
    length = 200 * 2**20
    end = archive[-44:-22]
    end[12:16], end[16:20] = length.to_bytes(4, "little"), (50).to_bytes(4, "little")

    def odd(_: int, wanted: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        size = length + 50 + 22
        span = f"bytes {size - TAIL}-{size - 1}/{size}"
        tail = bytes(TAIL - 22) + bytes(end)
        return plain(b"", "206 Partial Content", Content_Range=span, Content_Length=str(TAIL)), tail

    store = Store(bytes(archive), odd)
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, BLUE)

    assert Status.FAILED == outcome.status
    assert "its central directory has" in str(outcome.error)
    assert store.sent <= 2 * TAIL + 2 * 2**20


def cut_in_the_middle() -> Odd:
    """Send half of the next answer, then refuse everything."""
    answers = count()

    def odd(_: int, wanted: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return (plain(b"", "404 Not Found"), b"") if next(answers) else (head, body[: len(body) // 2])

    return odd


@pytest.mark.parametrize("interrupted", [BLUE + GREEN, []])
async def test_what_is_in_the_tree_is_not_fetched_again_beside_a_part(tmp_path: Path, interrupted: list[str]) -> None:
    store = Store(archive_of(SIZES))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        await fetch(server, tmp_path, BLUE)
        store.odd = cut_in_the_middle()
        assert Status.FAILED == (await fetch(server, tmp_path, interrupted)).status
        store.odd = None
        outcome = await fetch(server, tmp_path)

    assert Status.DOWNLOADED == outcome.status
    assert store.archive == (tmp_path / f"{NAME}.zip").read_bytes()
    assert store.sent <= len(store.archive) + 2 * TAIL


def make_file(tree: Path) -> None:
    tree.write_text("a file of the user")


def make_pipe(tree: Path) -> None:
    os.mkfifo(tree)


def make_link(tree: Path) -> None:
    tree.symlink_to(tree.with_name("elsewhere"))


def make_future(tree: Path) -> None:
    tree.mkdir()
    (tree / "parts.json").write_text(json.dumps({"format": "collgs-async parts", "version": 2}))


@pytest.mark.parametrize("make", [make_file, make_pipe, make_link, make_future])
async def test_something_odd_in_the_place_of_a_tree_stops_a_wish_but_no_whole_archive(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    tree = tmp_path / f"{NAME}.parts"
    make(tree)
    before = os.lstat(tree)
    store = Store(archive_of({"B02.jp2": 5000}))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        wished = await fetch(server, tmp_path, BLUE)
        asked = len(store.ranges)
        whole = await fetch(server, tmp_path)

    assert (Status.FAILED, 0) == (wished.status, asked)
    assert "move" in str(wished.error)
    assert (Status.DOWNLOADED, store.archive) == (whole.status, (tmp_path / f"{NAME}.zip").read_bytes())
    assert (before.st_ino, before.st_mode) == (os.lstat(tree).st_ino, os.lstat(tree).st_mode)


async def test_a_record_of_an_archive_shorter_than_its_directory_is_damaged(tmp_path: Path) -> None:
    store = Store(archive_of(SIZES))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        await fetch(server, tmp_path, BLUE)
        record = tmp_path / f"{NAME}.parts" / "parts.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "size": 5}))
        before = store.sent
        outcome = await fetch(server, tmp_path, BLUE + RED)

    assert (Status.DOWNLOADED, right(store.archive, "B02.jp2", "B04.jp2")) == (outcome.status, tree_of(tmp_path))
    assert store.sent - before <= 2 * TAIL  # the band that is here was recognised


async def test_of_an_archive_that_lacks_what_is_wanted_nothing_stays(tmp_path: Path) -> None:
    store = Store(archive_of(SIZES))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, ["*B99*"])

    assert (Status.FAILED, ["bytes=-65536"]) == (outcome.status, store.ranges)
    assert [] == names_in(tmp_path)


async def test_a_directory_that_is_another_one_each_time_is_not_fetched_for_ever(tmp_path: Path) -> None:
    store = Store(archive_of(SIZES))
    entry = store.archive.rindex(f"{NAME}.SAFE/B02.jp2".encode()) - 46
    place = entry + 16 - len(store.archive)  # of the CRC-32, from the end

    def odd(number: int, wanted: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        first = wanted.removeprefix("bytes=").partition("-")[0]
        if not first or int(first) > len(store.archive) - TAIL - 1:
            body = body[:place] + number.to_bytes(4, "little") + body[place + 4 :]
        return head, body

    store.odd = odd
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        outcome = await fetch(server, tmp_path, BLUE)

    assert (Status.FAILED, {}) == (outcome.status, tree_of(tmp_path))
    assert "directories that were fetched all differ" in str(outcome.error)
    assert len(store.ranges) <= 15


async def test_a_replaced_archive_of_the_same_length_is_noticed_though_the_wanted_member_is_the_same(
    tmp_path: Path,
) -> None:
    store = Store(archive_of(SIZES))
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        await fetch(server, tmp_path, [*BLUE, *GREEN])
        changed, target = members_of(store.archive), io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, data in changed.items():
                archive.writestr(zipfile.ZipInfo(name), data[::-1] if "B03" in name else data)
        store.archive, store.tag, length = target.getvalue(), '"v2"', len(store.archive)
        outcome = await fetch(server, tmp_path, [*BLUE, *RED])

    assert (None, length) == (outcome.error, len(store.archive))
    assert right(store.archive, "B02.jp2", "B04.jp2") == tree_of(tmp_path)  # the old B03 is set aside
