"""What was joined without a validator is one version or the other: proved byte by byte, or fetched once more."""

from __future__ import annotations

import random
import re
import struct
import zipfile
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import IntegrityError
from collgs_async.storage.verify import UnprovenError, verify_archive
from tests.support.archives import Entry, written
from tests.support.odd_archives import ODD, TEXT, UTF8, entries, with_times
from tests.support.servers import files_in, plain, pull, raw_server
from tests.support.writers import WRITERS, unpack_content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import RecordedSleeps
    from tests.support.servers import Asked

NOISE = random.Random(11).randbytes(400_000)
DEFLATE64, BZIP2, LZMA = 9, 12, 14
NAME = "S2A_MSIL1C_20250501T103021_N0511_R008_T31UGR_20250501T120000"


def joined(path: Path, data: bytes) -> str | None:
    """Say why these bytes would have to be fetched once more; None when they would not."""
    path.write_bytes(data)
    verify_archive(path)
    try:
        verify_archive(path, joined=True)
    except UnprovenError as error:
        return str(error).partition("versions: ")[2]
    return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("joined") / "a.zip"


@pytest.mark.parametrize(
    "data",
    [
        written(entries()),
        written(entries(flags=UTF8)),
        written(entries(descriptor="<3I")),
        written(entries(descriptor="<3I", signed=False)),
        written(entries(descriptor="<I2Q")),
        written(entries(descriptor="<I2Q", signed=False), zip64=True, comment=b"c"),
        written(entries(extra=with_times(1, 2), local={"extra": with_times(1, 2)})),
        written(entries(extra=with_times(1, 2), comment=b"more than the local header says")),
        written([Entry(b"a", TEXT, BZIP2), Entry(b"b", TEXT, LZMA), Entry(b"c", b"", 0)]),
        written([Entry(b"a", TEXT, 0, local={"extra": struct.pack("<2H2Q", 1, 16, len(TEXT), len(TEXT))})]),
    ],
)
def test_what_the_directory_and_the_checksums_tell_is_proved(path: Path, data: bytes) -> None:
    assert joined(path, data) is None


@pytest.mark.parametrize("write", ["python stored", "python deflated", "python ZIP64", "python streamed", "7z", "java"])
def test_what_most_writers_write_is_proved(path: Path, write: str) -> None:
    unpack_content(path.parent)
    WRITERS[write](path)

    assert joined(path, path.read_bytes()) is None


@pytest.mark.parametrize(
    "data",
    [
        written(entries(local={"time": 2})),
        written(entries(local={"date": 0x5AA2})),
        written(entries(local={"version": 45})),
        written(entries(local={"flags": UTF8})),
        written(entries(local={"extra": with_times(1, 2)})),
        written(entries(local={"extra": with_times(1, 2)}, extra=with_times(1, 3))),
        written(entries(local={"extra": b"\0\0\0"})),
        written(entries(local={"extra": struct.pack("<2H2Q", 1, 16, 5, 6)})),
        written(entries(descriptor="<3I", local={"crc": 5})),
        written(entries(local={"flags": 8, "crc": 5, "packed": 5, "size": 5}, flags=8)),
    ],
)
def test_what_a_local_header_alone_tells_is_not_proved(path: Path, data: bytes) -> None:
    assert str(joined(path, data)).startswith("of ")


@pytest.mark.parametrize("name", [name for name, (_, warnings) in ODD.items() if warnings])
def test_what_is_odd_is_not_proved(path: Path, name: str) -> None:
    assert joined(path, ODD[name][0])


@pytest.mark.parametrize("changes", [{"method": DEFLATE64}, {"method": 93}, {"flags": 1}, {"method": 99, "flags": 1}])
def test_what_cannot_be_read_is_not_proved(path: Path, changes: dict[str, int]) -> None:
    data = written([Entry(b"a", TEXT, **changes), Entry(b"b", TEXT, 8)])  # type: ignore[arg-type] # numbers all

    assert "1 member could not be checked" == joined(path, data)


def test_damage_is_told_before_doubts(path: Path) -> None:
    path.write_bytes(written([Entry(b"a", TEXT, DEFLATE64), Entry(b"b", b"data", local={"crc": 9})]))

    with pytest.raises(IntegrityError, match="1 of 2 members damaged: 'b'"):
        verify_archive(path, joined=True)


def version(chosen: tuple[int, int, int, int, bytes, bool], method: int) -> bytes:
    """Zip the same members again, with other times, extra fields of the same length, attributes or data."""
    time, modified, accessed, letter, comment, extended = chosen
    members = []
    for number in range(3):
        data = bytes([letter]) * 50 if number == 1 else TEXT[:80]
        times = with_times(modified, accessed)
        local = {"time": time, "extra": times if extended else b""}
        members.append(Entry(b"P.SAFE/%d" % number, data, method, local=local, extra=times, comment=comment))
    # The directory of a right archive has the time of its local headers.
    zipped = bytearray(written(members))
    at = zipped.index(b"PK\1\2")
    for member in members:
        struct.pack_into("<H", zipped, at + 12, time)
        at += 46 + len(member.name) + len(member.extra) + len(member.comment)
    return bytes(zipped)


VERSION = st.tuples(
    st.sampled_from([0, 1]), st.sampled_from([5, 6]), st.sampled_from([7, 8]), st.sampled_from([65, 66]),
    st.sampled_from([b"a", b"b"]), st.booleans(),
)  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(one=VERSION, other=VERSION, place=st.floats(0, 1), method=st.sampled_from([0, 8, BZIP2, DEFLATE64]))
def test_what_is_proved_is_one_version_or_the_other(
    scratch: Path,
    one: tuple[int, int, int, int, bytes, bool],
    other: tuple[int, int, int, int, bytes, bool],
    place: float,
    method: int,
) -> None:
    """Joined anywhere before the directory; within it, what is compared at the joint is more than all of it."""
    first, second = version((*one[:5], other[5]), method), version(other, method)
    cut = int(place * first.index(b"PK\1\2"))
    both = first[:cut] + second[cut:]
    scratch.write_bytes(both)

    try:
        verify_archive(scratch, joined=True)
    except IntegrityError:
        return
    assert both in (first, second)


# --- over the wire


class Store:
    """A store of one archive after another: which one, where its answers break off, what validator it gives."""

    def __init__(self, versions: list[bytes], *, breaks: list[int | None], tags: list[str] | None = None) -> None:
        self.versions, self.breaks, self.tags = versions, breaks, tags
        self.asked: list[str | None] = []

    def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        turn = len(self.asked)
        wanted = asked.headers.get("range")
        self.asked.append(wanted)
        data = self.versions[min(turn, len(self.versions) - 1)]
        tag = self.tags[min(turn, len(self.tags) - 1)] if self.tags else None
        headers = {"ETag": tag} if tag else {}
        first, status = 0, "200 OK"
        if wanted and asked.headers.get("if-range") in (None, tag):
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
            assert span is not None
            first, status = int(span[1]), "206 Partial Content"
            last = min(int(span[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data = data[: last + 1]
        most = self.breaks[turn] if turn < len(self.breaks) else None
        return self._respond(plain(data[first:], status, **headers), most)

    async def _respond(self, answer: bytes, most: int | None) -> AsyncIterator[bytes]:
        yield answer if most is None else answer[:most]


def product(seed: int, *, method: int = 0, middle: bytes = NOISE, **changes: object) -> bytes:
    """Write a version of which the large member in the middle never changes."""
    noise = random.Random(seed).randbytes(1000)
    members = [(b"manifest.safe", noise), (b"B02.jp2", middle), (b"B03.jp2", noise[::-1])]
    names = f"{NAME}.SAFE/".encode()
    return written([Entry(names + name, data, method, **changes) for name, data in members])  # type: ignore[arg-type]  # of each test


async def pulled(store: Store, folder: Path, sleeps: RecordedSleeps) -> bytes:
    async with raw_server([(NAME, "/archive.zip")], store) as server:
        report = await pull(server, folder, sleeps)
    assert (1, 0) == (report.downloaded, report.failed)
    assert [f"{NAME}.zip"] == files_in(folder)
    return (folder / f"{NAME}.zip").read_bytes()


UNREADABLE = partial(product, method=DEFLATE64, descriptor="<3I")


async def test_versions_of_which_nothing_can_be_read_are_not_joined(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    one, other = UNREADABLE(1), UNREADABLE(2)
    store = Store([one, other], breaks=[200_000])

    assert other == await pulled(store, tmp_path, sleeps)
    assert [True, False] == [bool(wanted) for wanted in store.asked[-2:]]


@pytest.mark.parametrize("make", [UNREADABLE, product], ids=["unreadable", "readable"])
async def test_another_tag_whose_bytes_are_equal_at_the_joint_is_no_proof(
    tmp_path: Path, sleeps: RecordedSleeps, make: Callable[..., bytes]
) -> None:
    one, other = make(1), make(2)
    store = Store([one, other], breaks=[200_000], tags=['"a"', '"b"'])

    assert other == await pulled(store, tmp_path, sleeps)


@pytest.mark.parametrize("changes", [{"time": 9}, {"date": 9}, {"version": 45}], ids=str)
async def test_versions_zipped_again_are_not_joined(
    tmp_path: Path, sleeps: RecordedSleeps, changes: dict[str, int]
) -> None:
    """All data are equal, and so are all checksums."""
    one, other = product(1, local=changes), product(1)
    store = Store([one, other], breaks=[200_000])

    assert other == await pulled(store, tmp_path, sleeps)


async def test_versions_zipped_again_with_other_access_times_are_not_joined(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    """The directory has only the times of the last change."""
    modified = struct.pack("<2HBI", 0x5455, 5, 3, 1)
    one, other = (product(1, extra=modified, local={"extra": with_times(1, accessed)}) for accessed in (2, 3))
    store = Store([one, other], breaks=[200_000])

    assert other == await pulled(store, tmp_path, sleeps)


async def test_what_can_be_proved_is_not_fetched_again(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    """No byte that is here, but the block that is compared."""
    data = product(1)
    store = Store([data], breaks=[200_000, 100_000])

    assert data == await pulled(store, tmp_path, sleeps)
    assert 3 == len(store.asked)
    assert all(store.asked[1:])


async def test_a_line_that_breaks_again_is_not_joined_a_second_time(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    """From then on the whole is asked for, and what is here is compared: all bytes come from one response."""
    data = UNREADABLE(1)
    store = Store([data], breaks=[200_000, None, 150_000, 300_000])

    assert data == await pulled(store, tmp_path, sleeps)
    assert [False, True, False, False, False] == [bool(wanted) for wanted in store.asked]


async def test_with_a_strong_validator_the_second_time_is_resumed(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    one, other = UNREADABLE(1), UNREADABLE(2)
    store = Store([one, other], breaks=[200_000, None, None, 150_000], tags=['"a"', '"b"'])

    assert other == await pulled(store, tmp_path, sleeps)
    assert store.asked[-1] is not None


async def test_what_a_killed_run_has_joined_is_not_forgotten(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    """Its part has no sidecar, so that nothing speaks for its bytes."""
    one, other = UNREADABLE(1), UNREADABLE(2)
    (tmp_path / f"{NAME}.zip.part").write_bytes(one[:100_000] + other[100_000:300_000])
    store = Store([other], breaks=[])

    assert other == await pulled(store, tmp_path, sleeps)


async def test_an_odd_archive_that_was_joined_is_fetched_whole_and_kept(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    data = product(1, local={"crc": 0})
    store = Store([data], breaks=[200_000])

    assert data == await pulled(store, tmp_path, sleeps)


def test_archives_of_this_file_are_read_by_others(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(product(1))

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
