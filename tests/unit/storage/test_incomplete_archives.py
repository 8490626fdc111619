"""The directory of an archive of which only some bytes are here: which others are asked for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import MissingBytesError
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_directory import Directory, members_of_tail, read_members
from tests.support.archives import Entry, written
from tests.support.odd_archives import NOISE, ODD, TEXT, entries

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024
TAIL = 64 * KIB


def fetched(path: Path, data: bytes, first: int) -> tuple[Directory, list[tuple[int, int]]]:
    """Read the directory of a sparse file that gets what is asked for; return the ranges beside."""
    held = ByteRanges([(max(0, len(data) - first), len(data))])
    asked: list[tuple[int, int]] = []
    for _ in range(9):
        present = bytearray(b"\xa5" * len(data))  # what is read by mistake is no zero
        for begin, end in held:
            present[begin:end] = data[begin:end]
        path.write_bytes(present)
        try:
            return read_members(path, held=held), asked
        except MissingBytesError as error:
            asked.append((error.first, error.end))
        assert 0 <= asked[-1][0] < asked[-1][1] <= len(data)
        assert any(not is_here for *_, is_here in held.split(*asked[-1]))
        held.add(*asked[-1])
    raise AssertionError(asked)


def whole(path: Path, data: bytes) -> Directory:
    path.write_bytes(data)
    return read_members(path)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("incomplete") / "a.zip"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


def with_bands(count: int, **options: object) -> bytes:
    members = [Entry(b"P.SAFE/B%05d.jp2" % number, NOISE[:40]) for number in range(count)]
    return written([Entry(b"P.SAFE/large.jp2", NOISE * 40), *members], **options)  # type: ignore[arg-type] # of each test


@pytest.mark.parametrize("zip64", [False, True])
def test_a_directory_within_the_last_64_kib_needs_nothing_else(path: Path, zip64: bool) -> None:
    data = with_bands(90, zip64=zip64, comment=b"a comment")

    assert (whole(path, data), []) == fetched(path, data, TAIL)


@pytest.mark.parametrize("zip64", [False, True])
def test_a_directory_that_is_larger_is_asked_for_at_once(path: Path, zip64: bool) -> None:
    data = with_bands(3000, zip64=zip64)
    directory = whole(path, data)
    assert len(data) - directory.start > 2 * TAIL

    assert (directory, [(directory.start, len(data) - TAIL)]) == fetched(path, data, TAIL)


def test_a_long_comment_costs_one_more_request_of_a_mebibyte_at_most(path: Path) -> None:
    data = with_bands(90, comment=b"c" * 0xFFFF)
    data = data.replace(NOISE * 40, NOISE * 400)
    at = data.rindex(b"PK\5\6")
    data = data[: at + 16] + struct.pack("<I", data.index(b"PK\1\2")) + data[at + 20 :]
    directory, asked = fetched(path, data, TAIL)

    assert whole(path, data) == directory
    assert [(len(data) - KIB * KIB, len(data) - TAIL)] == asked[:1]
    assert len(asked) <= 2


def test_without_an_end_record_nothing_beyond_a_mebibyte_is_asked_for(path: Path) -> None:
    data = NOISE * 500
    asked = ByteRanges([(len(data) - TAIL, len(data))])
    path.write_bytes(data)

    with pytest.raises(MissingBytesError) as caught:
        read_members(path, held=asked)
    asked.add(caught.value.first, caught.value.end)

    assert KIB * KIB == asked.total
    with pytest.raises(IntegrityError, match="no end record in the last 1048576 bytes"):
        read_members(path, held=asked)


def test_bytes_before_the_archive_cost_the_signature_of_the_first_member(path: Path) -> None:
    data = written([Entry(b"large", NOISE * 40), *entries()], before=b"stub" * 30, counts_before=False)

    assert (whole(path, data), [(120, 124)]) == fetched(path, data, TAIL)


def test_a_shorter_file_is_an_error_and_nothing_that_could_be_fetched(path: Path) -> None:
    data = with_bands(90)
    path.write_bytes(data[:-10])

    with pytest.raises(IntegrityError):
        read_members(path, held=ByteRanges([(0, len(data))]))


@pytest.mark.parametrize("data", [data for data, _ in ODD.values()], ids=ODD.keys())
@pytest.mark.parametrize("first", [22, 100, TAIL])
def test_odd_archives_have_the_same_directory(path: Path, data: bytes, first: int) -> None:
    directory = whole(path, data)

    assert directory == fetched(path, data, first)[0]
    assert directory == members_of_tail(data[directory.start :], len(data))


ENTRIES = st.builds(
    Entry,
    st.binary(min_size=1, max_size=12).filter(lambda name: b"PK" not in name),
    st.sampled_from([b"", TEXT, NOISE, NOISE * 30]),
    st.sampled_from([0, 8]),
    descriptor=st.sampled_from([None, "<3I", "<I2Q"]),
    comment=st.binary(max_size=20),
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.lists(ENTRIES, min_size=1, max_size=6),
    st.binary(max_size=50),
    st.booleans(),
    st.binary(max_size=300),
    st.booleans(),
    st.sampled_from([b"", b"\r\n", bytes(400)]),
    st.integers(0, TAIL),
)
def test_any_archive_has_the_directory_of_the_whole_file(
    scratch: Path,
    members: list[Entry],
    before: bytes,
    counted: bool,
    comment: bytes,
    zip64: bool,
    behind: bytes,
    first: int,
) -> None:
    data = written(members, before=before, counts_before=counted, comment=comment, zip64=zip64, behind=behind)
    try:
        expected = whole(scratch, data)
    except IntegrityError:
        with pytest.raises(IntegrityError):
            fetched(scratch, data, first)
        return

    found, asked = fetched(scratch, data, first)

    assert expected == found
    assert len(asked) <= 4
    assert expected == members_of_tail(data[expected.start :], len(data))


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_as_a_tail_are_a_directory_or_an_error(tail: bytes, size: int) -> None:
    data = tail + written(entries())[-90:]

    for candidate in (tail, data, data[:-3]):
        with pytest.raises(IntegrityError):
            members_of_tail(candidate, size)
