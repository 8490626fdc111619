"""The part, its sidecar and its name: what is on the disk at each moment."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collgs_async.errors import FileError, StorageError
from collgs_async.storage.executor import DiskExecutor
from collgs_async.storage.filenames import file_name
from collgs_async.storage.part import SMALL, PartFile
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.reopen import reopen_as_part
from collgs_async.storage.sidecar import RemoteVersion, parse_sidecar
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
NAME = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
BIG = RemoteVersion(
    "http://store/a.zip", SMALL + 1, '"tag"', "Fri, 24 Sep 2021 16:30:21 GMT", "Sat, 25 Sep 2021 16:30:21 GMT"
)
ANY_TEXT = st.text(st.characters(), max_size=400)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["url", "size", "etag", "last_modified", "date", "ranges"])


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "archives" / f"{NAME}.zip"


def content(path: Path) -> bytes:
    return path.read_bytes()


def lay(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def files(final: Path) -> Sequence[str]:
    return sorted(path.name.removeprefix(NAME) for path in final.parent.iterdir()) if final.parent.exists() else []


def test_product_name_stays_as_it_is() -> None:
    assert f"{NAME}.zip" == file_name(NAME)


@pytest.mark.parametrize(
    "identifier", ["", ".", "..", "\0", "../../etc/passwd", "a/b", "CON", "nul.txt", "-rf", "é", "a\nb"]
)
def test_dangerous_name_becomes_a_safe_one_with_a_digest(identifier: str) -> None:
    name = file_name(identifier)

    assert set(name) <= SAFE
    assert name[0] not in ".-"
    assert "-" == name[-37]
    assert file_name(identifier) == name


@pytest.mark.parametrize("device", ["con", "PRN", "Aux", "NUL", "com1", "LPT9", "con.safe", "aux.x.y"])
def test_name_that_windows_keeps_for_itself_is_changed(device: str) -> None:
    assert not file_name(device).lower().startswith(device.lower())


@settings(deadline=None, derandomize=True)
@given(ANY_TEXT)
@example("x" * 241)
@example("x" * 242)
@example("." * 400)
@example("\ud800")
def test_any_name_is_safe_and_leaves_room_for_the_sidecar(identifier: str) -> None:
    name = file_name(identifier)

    assert set(name) <= SAFE
    assert name.endswith(".zip")
    assert len(name + ".part.json") <= 255
    assert name[0] not in ".-"


@settings(deadline=None, derandomize=True)
@given(ANY_TEXT, ANY_TEXT)
@example("a/b", "a_b")
@example("x" * 300, "x" * 301)
@example("\ud800", "\ud801")
@example("\ud800", "?")
@example("a", "A")
def test_two_names_never_share_a_file(one: str, other: str) -> None:
    assert (one == other) == (file_name(one) == file_name(other))


@pytest.mark.parametrize("identifier", ["a/b", "..", "", "x" * 300])
def test_name_that_looks_like_a_changed_one_does_not_get_its_file(identifier: str) -> None:
    changed = file_name(identifier)

    assert changed != file_name(changed.removesuffix(".zip"))


def test_sidecar_is_read_as_it_was_written() -> None:
    assert (BIG, None) == parse_sidecar(json.dumps(asdict(BIG)))


def test_sidecar_with_ranges_is_read_as_it_was_written() -> None:
    ranges = ByteRanges([(0, 7), (20, 30)])

    assert (BIG, ranges) == parse_sidecar(json.dumps(asdict(BIG) | {"ranges": list(ranges)}))
    assert (None, ranges) == parse_sidecar(json.dumps({"ranges": list(ranges)}))
    assert (BIG, ByteRanges()) == parse_sidecar(json.dumps(asdict(BIG) | {"ranges": []}))
    assert (BIG, ranges) == parse_sidecar(json.dumps(asdict(BIG) | {"ranges": list(ranges)}) + " " * 100)


@pytest.mark.parametrize(
    "ranges",
    [7, {}, "0-7", [7], [[0]], [[0, 1, 2]], [[7, 7]], [[7, 3]], [[-1, 3]], [["0", 7]], [[0, 7.5]], [[0, 7], None]],
    ids=str,
)
def test_damaged_ranges_are_none_and_do_no_harm_to_the_rest(ranges: object) -> None:
    assert (BIG, None) == parse_sidecar(json.dumps(asdict(BIG) | {"ranges": ranges}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        '{"url": 7}',
        '{"url": "u", "size": -1}',
        '{"url": "u", "size": true}',
        '{"url": "u", "size": 1.5}',
        '{"url": "u", "etag": 7}',
        '{"url": "u", "etag": []}',
        '{"url": "u", "date": false}',
        '{"url": "u", "colour": "red"}',
        '{"url": "u", "url": null}',
        "[" * 100_000,
        f'{{"url": "u", "size": {"9" * 5000}}}',
    ],
    ids=lambda text: text[:40] or "empty",
)
def test_damaged_sidecar_is_none(text: str) -> None:
    assert (None, None) == parse_sidecar(text)


@settings(deadline=None, derandomize=True)
@given(st.text() | JSON.map(json.dumps) | st.dictionaries(FIELDS, JSON).map(json.dumps))
def test_any_sidecar_is_none_or_right(text: str) -> None:
    remote, ranges = parse_sidecar(text)

    if remote is not None:
        assert isinstance(remote.url, str)
        assert remote.size is None or (type(remote.size) is int and remote.size >= 0)
        assert all(isinstance(field, str | None) for field in (remote.etag, remote.last_modified, remote.date))
    assert all(0 <= first < end for first, end in ranges or ())


async def test_nothing_is_made_before_there_is_a_byte(final: Path) -> None:
    async with PartFile(final) as part:
        assert (ByteRanges(), None, b"") == (part.held, part.remote, await part.read(0, 10))

    assert not final.parent.exists()


async def test_bytes_are_where_they_belong(final: Path) -> None:
    async with PartFile(final) as part:
        await part.write(0, b"abc")
        await part.write(3, bytearray(b"defg"))
        await part.write(1, b"XY")
        assert [(0, 7)] == list(part.held)
        assert b"Yde" == await part.read(2, 3)
        await part.cut(5)
        assert [(0, 5)] == list(part.held)

    assert b"aXYde" == content(part.path)


async def test_part_is_found_again_with_its_sidecar(final: Path) -> None:
    async with PartFile(final) as part:
        await part.set_version(BIG)
        await part.write(0, b"abc")

    async with PartFile(final) as again:
        assert ([(0, 3)], BIG) == (list(again.held), again.remote)


@pytest.mark.parametrize(("size", "kept"), [(SMALL, False), (SMALL + 1, True), (None, True)])
async def test_only_archives_that_are_worth_it_get_a_sidecar(final: Path, size: int | None, *, kept: bool) -> None:
    async with PartFile(final) as part:
        await part.set_version(RemoteVersion("u", size))

    assert kept == part.sidecar.exists()


async def test_part_that_another_process_changed_is_of_an_unknown_version(final: Path) -> None:
    part = PartFile(final)
    async with part:
        await part.set_version(RemoteVersion("u", 100))
        await part.write(0, b"abc")
    lay(part.path, b"abcd")

    async with part:
        assert ([(0, 4)], None) == (list(part.held), part.remote)


async def test_small_part_is_remembered_between_two_tries(final: Path) -> None:
    part, remote = PartFile(final), RemoteVersion("u", 100)
    async with part:
        await part.set_version(remote)
        await part.write(0, b"abc")

    async with part:
        assert ([(0, 3)], remote) == (list(part.held), part.remote)


@pytest.mark.parametrize("empty_part", [True, False])
async def test_sidecar_without_bytes_vouches_for_nothing(final: Path, *, empty_part: bool) -> None:
    part = PartFile(final)
    lay(part.sidecar, json.dumps(asdict(BIG)).encode())
    if empty_part:
        lay(part.path)

    async with part:
        assert part.remote is None

    assert not part.sidecar.exists()


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"{", b"[]"])
async def test_damaged_sidecar_leaves_the_bytes(final: Path, garbage: bytes) -> None:
    part = PartFile(final)
    lay(part.path, b"abc")
    lay(part.sidecar, garbage)

    async with part:
        assert ([(0, 3)], None) == (list(part.held), part.remote)


async def test_forgetting_removes_the_sidecar_and_keeps_the_bytes(final: Path) -> None:
    async with PartFile(final) as part:
        await part.set_version(BIG)
        await part.write(0, b"abc")
        await part.set_version(None)

    assert [".zip.part"] == files(final)


async def test_discarding_leaves_nothing(final: Path) -> None:
    async with PartFile(final) as part:
        await part.set_version(BIG)
        await part.write(0, b"abc")
    await part.discard()
    await part.discard()

    assert [] == files(final)
    assert (ByteRanges(), None) == (part.held, part.remote)


async def test_publishing_makes_bytes_safe_then_drops_the_sidecar_then_renames(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PartFile(final) as part:
        await part.set_version(BIG)
        await part.write(0, b"abc")
    steps: list[str] = []

    def noted(name: str) -> Any:
        real = getattr(os, name)

        def step(*arguments: Any, **named: Any) -> Any:
            steps.append(name)
            return real(*arguments, **named)

        return step

    for name in ("fsync", "replace", "unlink"):
        monkeypatch.setattr(os, name, noted(name))
    part.publish()

    assert steps.index("fsync") < steps.index("unlink") < steps.index("replace")
    assert [".zip"] == files(final)
    assert b"abc" == content(final)


async def test_publishing_replaces_what_has_the_name(final: Path) -> None:
    lay(final, b"old")
    async with PartFile(final) as part:
        await part.write(0, b"new")
        assert b"old" == content(final)
    part.publish()

    assert b"new" == content(final)


async def test_folder_that_cannot_be_made_is_storage_trouble_with_its_path(tmp_path: Path) -> None:
    lay(tmp_path / "file")
    final = tmp_path / "file" / "a.zip"

    with pytest.raises(StorageError, match=r"a\.zip\.part: Not a directory"):
        async with PartFile(final) as part:
            await part.write(0, b"abc")


async def test_folder_in_the_place_of_the_part_is_trouble_of_that_file(final: Path) -> None:
    final.with_name(final.name + ".part").mkdir(parents=True)

    with pytest.raises(FileError, match=r"\.zip\.part: expected a file, found a folder"):
        async with PartFile(final):
            pass


class Distrust(DiskExecutor):
    """Takes every disk for a slow one."""

    def __init__(self) -> None:
        super().__init__()
        self._slow_until = math.inf


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_write_in_flight_ends_before_its_descriptor_is_closed(
    final: Path, monkeypatch: pytest.MonkeyPatch, cancellations: int
) -> None:
    """Else it would land in whatever file gets the same descriptor next."""
    begun, go_on = threading.Event(), threading.Event()
    steps: list[str] = []
    pwrite, close = os.pwrite, os.close

    def slow_write(descriptor: int, block: bytes, offset: int) -> int:
        begun.set()
        go_on.wait(HANGS)
        steps.append("written")
        return pwrite(descriptor, block, offset)

    def noted_close(descriptor: int) -> None:
        steps.append("closed")
        close(descriptor)

    async def write() -> None:
        async with PartFile(final, Distrust()) as part:
            await part.write(0, b"abc")

    task = asyncio.create_task(write())
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", slow_write)
        patch.setattr(os, "close", noted_close)
        await asyncio.to_thread(begun.wait, HANGS)
        for _ in range(cancellations):
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
        early = task.done() or "closed" in steps
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert not early
    assert ["written", "closed"] == steps
    assert b"abc" == content(final.with_name(final.name + ".part"))


def recorded(part: PartFile) -> object:
    """The ranges as the sidecar has them now."""
    return json.loads(part.sidecar.read_bytes()).get("ranges")


async def test_one_connection_that_appends_needs_no_record_of_ranges(final: Path) -> None:
    async with PartFile(final) as part:
        await part.set_version(BIG)
        await part.write(0, b"abc")
        await part.write(3, b"def")

        assert recorded(part) is None


async def test_record_comes_before_the_first_byte_that_leaves_a_gap(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two would else make the gap look like bytes that are here."""
    steps: list[object] = []
    pwrite = os.pwrite

    def noted(descriptor: int, block: bytes, offset: int) -> int:
        steps.append(recorded(part) if offset else "sidecar")
        return pwrite(descriptor, block, offset)

    async with PartFile(final) as part:
        await part.write(0, b"abc")
        monkeypatch.setattr(os, "pwrite", noted)
        await part.write(10, b"k")
        monkeypatch.undo()

    assert ["sidecar", [[0, 3]]] == steps
    assert [[0, 3], [10, 11]] == recorded(part)


async def test_small_part_with_gaps_is_found_again(final: Path) -> None:
    async with PartFile(final) as part:
        await part.write(10, b"k")
        await part.write(0, b"abc")

    async with PartFile(final) as again:
        assert ([(0, 3), (10, 11)], None) == (list(again.held), again.remote)


async def test_what_the_file_lacks_of_the_record_is_not_here(final: Path) -> None:
    """After a power cut the file may be shorter than its sidecar says."""
    part = PartFile(final)
    lay(part.path, b"x" * 25)
    lay(part.sidecar, json.dumps(asdict(BIG) | {"ranges": [[0, 7], [20, 30], [40, 50]]}).encode())

    async with part:
        assert ([(0, 7), (20, 25)], BIG) == (list(part.held), part.remote)


async def test_what_is_lost_is_recorded_at_once_and_stays_on_the_disk(final: Path) -> None:
    async with PartFile(final) as part:
        await part.write(0, b"abcdefghij")
        await part.invalidate([(2, 4), (6, 7)])

        assert [(0, 2), (4, 6), (7, 10)] == list(part.held)
        assert [[0, 2], [4, 6], [7, 10]] == recorded(part)
    assert b"abcdefghij" == content(part.path)


async def test_cut_in_the_middle_of_a_range_drops_what_follows(final: Path) -> None:
    async with PartFile(final) as part:
        await part.write(0, b"abc")
        await part.write(10, b"klmn")
        await part.cut(12)

        assert [(0, 3), (10, 12)] == list(part.held)
    assert b"abc" + bytes(7) + b"kl" == content(part.path)


async def test_several_users_share_one_part_that_is_closed_by_the_last(final: Path) -> None:
    part = PartFile(final)
    async with part:
        await part.write(0, b"abc")
        async with part:
            await part.write(3, b"def")
        await part.write(6, b"ghi")

        assert b"abcdefghi" == await part.read(0, 9)


async def test_shorter_record_leaves_no_trace_of_a_longer_one(final: Path) -> None:
    async with PartFile(final) as part:
        for offset in (100, 200, 300, 400):
            await part.write(offset, b"x")
        await part.invalidate([(200, 500)])

        assert (None, ByteRanges([(100, 101)])) == parse_sidecar(part.sidecar.read_text())


async def test_reopened_archive_is_a_part_without_what_is_damaged(final: Path) -> None:
    lay(final, b"abcdefghij")

    reopen_as_part(PartFile(final), [(2, 4), (9, 10)])

    assert [".zip.part", ".zip.part.json"] == files(final)
    async with PartFile(final) as part:
        assert ([(0, 2), (4, 9)], None) == (list(part.held), part.remote)


def test_archive_that_cannot_be_reopened_is_storage_trouble(final: Path) -> None:
    with pytest.raises(StorageError, match=r"\.zip: No such file"):
        reopen_as_part(PartFile(final), [])
