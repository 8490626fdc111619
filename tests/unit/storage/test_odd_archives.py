"""What is odd about an archive and no reason to refuse it, beside what looks alike and is one."""

from __future__ import annotations

import io
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import IntegrityError
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.audit import verify_folder
from collgs_async.storage.verify import DamagedMembersError, Level, describe_non_zip, verify_archive
from collgs_async.storage.zip_directory import read_members
from tests.conftest import HANGS
from tests.support.archives import Entry, compressed, written
from tests.support.odd_archives import (
    BZIP2,
    DEFLATE64,
    ENCRYPTED,
    LZMA,
    NOISE,
    ODD,
    TEXT,
    UTF8,
    entries,
    renamed,
    umlaut,
    unicode_path,
)
from tests.support.servers import plain, pull, raw_server, saying
from tests.support.writers import program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import RecordedSleeps
    from tests.support.servers import Asked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oddities") / "a.zip"


def is_read_elsewhere(path: Path) -> bool:
    """Whether Python's zipfile, unzip or Java's jar reads all of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is None:
                return True
    except zipfile.BadZipFile:
        pass
    for command in (("unzip", "-tqq"), ("jar", "tf")):
        done = subprocess.run((program(command[0]), *command[1:], path), capture_output=True, timeout=HANGS)
        if done.returncode <= (1 if command[0] == "unzip" else 0):
            return True
    return False


@pytest.mark.parametrize(("data", "warnings"), ODD.values(), ids=ODD.keys())
def test_what_is_harmless_is_said_and_kept(path: Path, data: bytes, warnings: tuple[str, ...]) -> None:
    path.write_bytes(data)

    verdict = verify_archive(path, size=len(data))

    assert (warnings, 0) == (verdict.warnings, verdict.unchecked)
    assert is_read_elsewhere(path)
    verify_archive(path, size=len(data), level=Level.STRUCTURE)
    verify_archive(path, size=len(data), level=Level.SIZE)
    assert describe_non_zip(data[: 64 * 1024]) is None


@pytest.mark.parametrize(("data", "warnings"), ODD.values(), ids=ODD.keys())
def test_what_is_harmless_hides_no_wrong_byte(path: Path, data: bytes, warnings: tuple[str, ...]) -> None:
    """In the middle of the data of the largest member."""
    path.write_bytes(data)
    member = max(read_members(path).members, key=lambda member: member.compressed)
    name, extra = struct.unpack_from("<2H", data, member.header + 26)
    at = member.header + 30 + name + extra + member.compressed // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])

    with pytest.raises(DamagedMembersError):
        verify_archive(path)


@pytest.mark.parametrize(("data", "warnings"), ODD.values(), ids=ODD.keys())
def test_what_is_harmless_hides_no_missing_end(path: Path, data: bytes, warnings: tuple[str, ...]) -> None:
    end = data.rfind(b"PK\5\6")
    for length in (end + 10, end, end - 30, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(IntegrityError):
            verify_archive(path, level=Level.STRUCTURE)


WRONG = {
    "the name of another member": written(
        [Entry(b"P.SAFE/a", TEXT, 8, local={"name": b"P.SAFE/b"}), Entry(b"P.SAFE/b", TEXT, 8)]
    ),
    "the name of another member in another spelling": written(
        [Entry(b"P.SAFE/a/x", TEXT, 8, local={"name": b"P.SAFE\\X"}), Entry(b"P.SAFE/x", TEXT, 8)]
    ),
    "a name that lacks what another member has": written(
        [Entry(b"P.SAFE/x", TEXT, 8, local={"name": b"x"}), Entry(b"x", TEXT, 8)]
    ),
    "another name": written(renamed(lambda name: name + b"x")),
    "no name": written(renamed(lambda _: b"")),
    "another CRC": written(entries(local={"crc": 1})),
    "another length": written(entries(local={"size": 7})),
    "another method": written([Entry(b"P.SAFE/a", TEXT, 0, local={"method": 8})]),
    "a Unicode path of another name": written(
        umlaut(b"P.SAFE/X", local="P.SAFE/Ü".encode(), extra=unicode_path("P.SAFE/Ü", b"P.SAFE/Y"))
    ),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_what_says_something_else_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)

    with pytest.raises(DamagedMembersError):
        verify_archive(path)


CONTRADICTED = [{"crc": 1}, {"size": 7}, {"packed": 7}, {"method": 9}]


@pytest.mark.parametrize("local", CONTRADICTED, ids=str)
async def test_a_local_header_that_contradicts_the_directory_is_believed_when_it_comes_so_twice(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, local: dict[str, int]
) -> None:
    data = written(entries(local=local)[1:])
    async with raw_server([("P", "/archive.zip")], saying(plain(data, ETag='"tag"'))) as server:
        report = await pull(server, tmp_path, sleeps)

    assert (1, 0) == (report.downloaded, report.failed)
    assert len(server.archive_requests) > 1
    assert data == (tmp_path / "P.zip").read_bytes()
    said = ": another CRC-32, length or method in the local header"
    assert any(message.endswith(said) for message in caplog.messages)
    found = await verify_folder(tmp_path, Level.CRC, SilentProgress())
    assert (1, True) == (found.checked, found.ok)


@pytest.mark.parametrize("local", CONTRADICTED, ids=str)
async def test_a_local_header_that_was_spoilt_on_the_way_is_fetched_again(
    tmp_path: Path, sleeps: RecordedSleeps, local: dict[str, int]
) -> None:
    answers = [written(entries(local=local)[1:]), written(entries()[1:])]

    async def say(_: Asked) -> AsyncIterator[bytes]:
        yield plain(answers.pop(0) if answers[1:] else answers[0], ETag='"tag"')

    async with raw_server([("P", "/archive.zip")], say) as server:
        await pull(server, tmp_path, sleeps)

    assert written(entries()[1:]) == (tmp_path / "P.zip").read_bytes()


def test_a_contradiction_does_not_excuse_wrong_data(path: Path) -> None:
    data = written([Entry(b"P.SAFE/a", NOISE, 0, local={"crc": 1})])
    path.write_bytes(data)
    assert 1 == len(verify_archive(path, lenient=True).warnings)

    path.write_bytes(data.replace(NOISE[:9], bytes(9)))
    with pytest.raises(DamagedMembersError, match="its CRC-32 is "):
        verify_archive(path, lenient=True)
    path.write_bytes(written([Entry(b"P.SAFE/a", NOISE, DEFLATE64, local={"crc": 1})]))
    with pytest.raises(DamagedMembersError, match="its local header and the directory differ"):
        verify_archive(path, lenient=True)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(
    ("before", "looks"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "an HTML page"),
        (b"\xef\xbb\xbf\n<html>", "an HTML page"),
        (b'<?xml version="1.0"?><Error/>', "an XML document"),
        (b'{"error": "no"}', "JSON"),
        (b"\x1f\x8b\x08\0", "gzip data"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "an HTTP response"),
        (b"\r\n--frontier\r\nContent-Type: application/zip\r\n\r\n", "a multipart body"),
        (b"b" * 70_000, "bytes 62626262..."),
    ],
)
def test_what_servers_say_instead_is_refused_even_with_an_archive_behind_it(
    path: Path, before: bytes, looks: str, level: Level
) -> None:
    path.write_bytes(written(entries(), before=before, counts_before=False))

    with pytest.raises(IntegrityError, match=looks.replace(".", "[.]")):
        verify_archive(path, level=level)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("hole", [4, 100, 4000])
def test_a_hole_at_the_beginning_is_not_taken_for_bytes_before_the_first_header(
    path: Path, hole: int, level: Level
) -> None:
    data = written(entries())
    path.write_bytes(bytes(hole) + data[hole:])

    with pytest.raises(IntegrityError):
        verify_archive(path, level=level)


@pytest.mark.parametrize("level", [Level.STRUCTURE, Level.CRC])
def test_an_archive_without_its_beginning_is_refused(path: Path, level: Level) -> None:
    data = written(entries())
    second = data.index(b"PK\3\4", 4)
    for first in (second, second - 1, 1):
        path.write_bytes(data[first:])
        with pytest.raises(IntegrityError):
            verify_archive(path, level=level)


# --- bzip2 and LZMA


@pytest.mark.parametrize("block", [1, 7, 4096])
@pytest.mark.parametrize("method", [BZIP2, LZMA])
def test_packed_data_are_read_in_pieces_of_any_length(path: Path, method: int, block: int) -> None:
    path.write_bytes(written([Entry(b"a", TEXT, method), Entry(b"n", NOISE, method), Entry(b"e", b"", method)]))

    assert ((), 0) == (verify_archive(path, block=block).warnings, verify_archive(path, block=block).unchecked)


@pytest.mark.parametrize("method", [BZIP2, LZMA])
def test_packed_data_that_are_cut_short_or_nonsense_are_found(path: Path, method: int) -> None:
    whole = compressed(TEXT, method)
    for stream in (whole[:-8], whole[:3], b"\xff" * 40, whole[:10] + b"\xff" * 30 + whole[40:]):
        entry = Entry(b"a", stream, 0)
        data = written([entry])
        facts = struct.pack("<3I", zlib.crc32(TEXT), len(stream), len(TEXT))
        for at, shift in ((0, 8), (data.index(b"PK\1\2"), 10)):
            data = data[: at + shift] + struct.pack("<H", method) + data[at + shift + 2 :]
            data = data[: at + shift + 6] + facts + data[at + shift + 18 :]
        path.write_bytes(data)
        with pytest.raises(DamagedMembersError):
            verify_archive(path)


@pytest.mark.parametrize("method", [BZIP2, LZMA])
def test_a_bomb_of_zeros_costs_no_memory_and_stops_at_the_announced_length(path: Path, method: int) -> None:
    data = bytearray(written([Entry(b"bomb", bytes(1 << 26), method)]))
    entry = data.index(b"PK\1\2")
    for at in (22, entry + 24):
        struct.pack_into("<I", data, at, 1 << 20)
    path.write_bytes(data)

    tracemalloc.start()
    with pytest.raises(DamagedMembersError, match="unpacks to more than the 1048576 bytes expected"):
        verify_archive(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("method", [BZIP2, LZMA])
def test_a_bomb_that_announces_its_length_is_not_unpacked_but_told(path: Path, method: int) -> None:
    """More than a gigabyte beyond what the archive's length would allow a deflate stream; what follows it is read."""
    data = bytearray(written([Entry(b"bomb", bytes(1000), method), Entry(b"b", TEXT, 8), Entry(b"c", TEXT, method)]))
    entry = data.index(b"PK\1\2")
    for at in (22, entry + 24):
        struct.pack_into("<I", data, at, 0xFFFFFFF0)
    path.write_bytes(data)

    assert 1 == verify_archive(path).unchecked


def test_a_dictionary_that_takes_too_much_memory_is_not_made_but_told(path: Path) -> None:
    data = bytearray(written([Entry(b"large", TEXT, LZMA)]))
    entry = data.index(b"PK\1\2")
    struct.pack_into("<I", data, data.index(b"\x09\x14\x05\x00") + 5, 0xFFFFFFF0)
    path.write_bytes(data)
    assert 0 == verify_archive(path).unchecked

    for at in (22, entry + 24):
        struct.pack_into("<I", data, at, 1 << 28)
    path.write_bytes(data)
    assert ("1 member uses LZMA (method 14), which cannot be read here: its CRC was not checked",) == verify_archive(
        path
    ).warnings


# --- what cannot be read


async def test_what_could_not_be_checked_is_never_called_right(tmp_path: Path) -> None:
    (tmp_path / "right.zip").write_bytes(written(entries()))
    (tmp_path / "odd.zip").write_bytes(written([*entries(), Entry(b"P.SAFE/x", NOISE, DEFLATE64)]))
    locked = [Entry(b"P.SAFE/y", NOISE, 0, flags=ENCRYPTED), Entry(b"P.SAFE/z", NOISE, 93)]
    (tmp_path / "locked.zip").write_bytes(written([*entries(), *locked]))

    found = await verify_folder(tmp_path, Level.CRC, SilentProgress())

    assert (3, 3, ()) == (found.checked, found.unchecked, found.bad)
    assert str(found).endswith(", none of them bad; 3 members could not be checked; 3 do not say of which product")
    (tmp_path / "bad.zip").write_bytes(written(entries())[:-5])
    found = await verify_folder(tmp_path, Level.CRC, SilentProgress())
    assert str(found).endswith(", 1 of them bad; 3 members could not be checked; 3 do not say of which product")


# --- whatever comes

METHODS = st.sampled_from([0, 8, BZIP2, LZMA])
MEMBER = st.builds(
    Entry,
    name=st.sampled_from([b"P.SAFE/a", b"P.SAFE/b/c.jp2", b"P.SAFE/", b"d", "P.SAFE/Ü".encode()]),
    data=st.one_of(st.binary(max_size=300), st.integers(0, 3000).map(lambda size: TEXT[:size])),
    method=METHODS,
    flags=st.sampled_from([0, 0, UTF8]),
    comment=st.sampled_from([b"", b"PK\1\2"]),
    descriptor=st.sampled_from([None, None, "<3I", "<I2Q"]),
    signed=st.booleans(),
    behind=st.sampled_from([b"", b"", b"\0\0"]),
)
ARCHIVE = st.builds(
    written,
    st.lists(MEMBER, min_size=1, max_size=4),
    before=st.sampled_from([b"", b"", b"PK00", b"#!/bin/sh\n"]),
    counts_before=st.booleans(),
    comment=st.sampled_from([b"", b"c"]),
    zip64=st.booleans(),
    behind=st.sampled_from([b"", b"", b"\0"]),
)


def contents(data: bytes) -> list[bytes]:
    """Read an archive as Python's zipfile does."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [archive.read(info) for info in archive.infolist()]


@settings(deadline=None, max_examples=150)
@given(data=ARCHIVE)
def test_what_others_read_is_read_here(scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)

    verdict = verify_archive(scratch, size=len(data), block=512)

    assert 0 == verdict.unchecked
    contents(data)


@settings(deadline=None, max_examples=120)
@given(data=ARCHIVE, place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_before_the_directory_is_found_or_changes_no_content(
    scratch: Path, data: bytes, place: float, bit: int
) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = int(place * archive.start_dir)
    spoilt = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    scratch.write_bytes(spoilt)

    for lenient in (False, True):
        with suppress(IntegrityError):
            assert 0 == verify_archive(scratch, size=len(data), lenient=lenient, block=512).unchecked
            assert contents(data) == contents_by_directory(spoilt)


def contents_by_directory(data: bytes) -> list[bytes]:
    """Read an archive by Python's zipfile, with all that local headers say made what the directory says."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        changed = bytearray(data)
        for info in archive.infolist():
            at, name = info.header_offset, data[info.header_offset + 26 :]
            length = struct.unpack_from("<H", name)[0]
            struct.pack_into("<2H", changed, at + 6, info.flag_bits, info.compress_type)
            written_name = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8 else "cp437")
            if len(written_name) == length:
                changed[at + 30 : at + 30 + length] = written_name
    with zipfile.ZipFile(io.BytesIO(bytes(changed))) as archive:
        for info in archive.infolist():  # where the lengths differ, too, the names are not what is compared
            at = info.header_offset + 30
            length = struct.unpack_from("<H", changed, at - 4)[0]
            info.orig_filename = changed[at : at + length].decode("utf-8" if info.flag_bits & UTF8 else "cp437")
        return [archive.read(info) for info in archive.infolist()]
