"""Checksums computed during the download: the verdict is the same as after reading everything again."""

from __future__ import annotations

import errno
import io
import os
import random
import threading
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import StorageError
from collgs_async.storage.part import Block, PartFile
from collgs_async.storage.streaming_crc import StreamingCrc
from collgs_async.storage.verify import Level, verify_archive
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_members import damaged_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.storage.zip_members import KnownCrc

NOISE = random.Random(5).randbytes(20_000)


class Pipe(io.BytesIO):
    """What cannot be gone back in: the lengths of members follow their data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def archive(methods: Sequence[int], sizes: Sequence[int], *, target: io.BytesIO | None = None) -> bytes:
    packed = target or io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("S2A.SAFE/", b"")
        for number, (method, size) in enumerate(zip(methods, sizes, strict=True)):
            file.writestr(f"S2A.SAFE/{number}", NOISE[number : number + size], method)
    return packed.getvalue()


def damaged(path: Path, seen: Mapping[int, KnownCrc]) -> list[tuple[str, str]]:
    return [(one.name, one.problem) for one in damaged_members(path, read_members(path), seen=seen)]


def in_blocks(data: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    return ((at, data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 29, 30, 31, 1000, 10**6])
def test_what_comes_in_order_need_not_be_read_again(size: int) -> None:
    data, crc = archive([0, 8, 0, 0], [3000, 5000, 0, 9000]), StreamingCrc()

    for at, block in in_blocks(data, size):
        crc.watch(at, block)

    with zipfile.ZipFile(io.BytesIO(data)) as file:
        stored = {info.header_offset: info for info in file.infolist() if info.compress_type == 0}
    assert stored.keys() == crc.members().keys()
    assert [info.CRC for info in stored.values()] == [seen.crc for seen in crc.members().values()]


def test_a_bit_that_was_flipped_on_the_way_is_found_without_reading(tmp_path: Path) -> None:
    data = bytearray(archive([0, 0, 0], [3000, 5000, 2000]))
    data[4000] ^= 1
    path, crc = tmp_path / "part", StreamingCrc()
    path.write_bytes(data)

    for at, block in in_blocks(bytes(data), 512):
        crc.watch(at, block)

    assert [name for name, _ in damaged(path, {})] == ["S2A.SAFE/1"]
    assert damaged(path, {}) == damaged(path, crc.members())


def test_what_is_not_read_is_what_was_seen(tmp_path: Path) -> None:
    """The other way round: data that were spoilt on the disk afterwards are not noticed, since they are not read."""
    data, path, crc = archive([0], [3000]), tmp_path / "part", StreamingCrc()
    crc.watch(0, data)
    path.write_bytes(data[:500] + b"!" + data[501:])

    assert () == verify_archive(path, level=Level.CRC, seen=crc.members()).warnings
    assert damaged(path, {})


def test_lengths_that_follow_the_data_are_read_back() -> None:
    data, crc = archive([0, 0], [3000, 3000], target=Pipe()), StreamingCrc()

    crc.watch(0, data)

    assert {} == crc.members()


def test_a_header_that_lies_is_no_member_of_the_directory(tmp_path: Path) -> None:
    """It may say that its data are shorter, of another place, or not packed: they are read then."""
    data = bytearray(archive([8], [5000]))
    at = data.index(b"PK\x03\x04", 4)
    data[at + 8 : at + 10] = b"\0\0"
    path, crc = tmp_path / "part", StreamingCrc()
    path.write_bytes(data)

    crc.watch(0, bytes(data))

    assert at in crc.members()
    assert damaged(path, {}) == damaged(path, crc.members()) != []


METHODS = st.lists(st.sampled_from([0, 0, 0, 8]), min_size=1, max_size=5)
WRITES = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 4000)), max_size=5)


@settings(max_examples=120, deadline=None)
@given(METHODS, st.data())
def test_the_verdict_does_not_depend_on_the_order_of_writes(methods: list[int], data: st.DataObject) -> None:
    """One writer goes from the beginning, another writes anywhere, of two versions; they are told of in any order."""
    sizes = data.draw(st.lists(st.integers(0, 6000), min_size=len(methods), max_size=len(methods)))
    whole = archive(methods, sizes)
    directory = directory_of(whole)
    spoilt = bytearray(whole)
    for place in data.draw(st.lists(st.integers(100, max(100, directory - 1)), max_size=4)):
        spoilt[min(place, directory - 1)] ^= 0xFF
    versions = (whole, bytes(spoilt))

    def drawn(first: int, size: int) -> tuple[int, bytes]:
        version = versions[data.draw(st.integers(0, 1))]
        return first, version[first : first + size]

    mine, at = [], 0
    for size in data.draw(st.lists(st.integers(1, 4000), max_size=8)):
        mine.append(drawn(at, size))
        at = min(at + size, len(whole))
        if data.draw(st.integers(0, 9)) == 0:
            at = data.draw(st.integers(0, at))
    others = [drawn(int(part * (len(whole) - 1)), size) for part, size in data.draw(WRITES)]
    disk, crc = bytearray(len(whole)), StreamingCrc()
    for first, block in interleaved(mine, others, data):
        disk[first : first + len(block)] = block
    for first, block in interleaved(mine, others, data):
        crc.watch(first, block)
    covered = sorted((first, first + len(block)) for first, block in [*mine, *others])
    for first, end in gaps(covered, len(whole)):  # the rest is fetched last
        disk[first:end] = whole[first:end]
        crc.watch(first, whole[first:end])

    assert verdict(bytes(disk), {}) == verdict(bytes(disk), crc.members())


def interleaved(
    mine: list[tuple[int, bytes]], others: list[tuple[int, bytes]], data: st.DataObject
) -> list[tuple[int, bytes]]:
    turns = data.draw(st.permutations([0] * len(mine) + [1] * len(others)))
    queues = [iter(mine), iter(others)]
    return [next(queues[turn]) for turn in turns]


def gaps(spans: list[tuple[int, int]], total: int) -> Iterator[tuple[int, int]]:
    at = 0
    for first, end in spans:
        if first > at:
            yield at, first
        at = max(at, end)
    if at < total:
        yield at, total


def directory_of(data: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return file.start_dir


def verdict(data: bytes, seen: Mapping[int, KnownCrc]) -> list[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        path.write_bytes(data)
        return damaged(path, seen)


def test_several_threads_may_write_at_once(tmp_path: Path) -> None:
    """What others have written is left out, however their blocks fall between those of the first."""
    data = archive([0] * 40, [15_000] * 40)
    half, crc = len(data) // 2, StreamingCrc()
    parts = [data[:half], data[half:]]

    def write(number: int) -> None:
        for at, block in in_blocks(parts[number], 999):
            crc.watch(number * half + at, block)

    threads = [threading.Thread(target=write, args=(number,)) for number in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    path = tmp_path / "part"
    path.write_bytes(data)

    seen = crc.members()
    assert 18 <= len(seen) <= 21
    assert [] == damaged(path, seen)


async def test_a_write_that_fails_half_way_leaves_nothing_to_rely_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, crc = archive([0, 0], [3000, 3000]), StreamingCrc()
    async with PartFile(tmp_path / "A.zip", watch=crc.watch) as part:
        await part.write(0, data)
        before = crc.members()

        def half(descriptor: int, block: Block, offset: int) -> None:
            os.pwrite(descriptor, bytes(block)[:500], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("collgs_async.storage.part.write_all", half)
        with pytest.raises(StorageError):
            await part.write(1000, b"!" * 1000)

    assert 3 == len(before)
    assert [] != damaged(part.path, {})
    assert damaged(part.path, {}) == damaged(part.path, crc.members())
