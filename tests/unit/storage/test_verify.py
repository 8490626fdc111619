"""Are these bytes the product? Archives of real writers pass; whatever happened to one is found."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import Stopped
from collgs_async.storage.verify import DamagedMembersError, Level, describe_non_zip, verify_archive
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_members import damaged_members
from tests.support.writers import (
    DEFLATED,
    NOISE,
    STORED,
    TEXT,
    WRITERS,
    archive,
    deflated,
    entry_of,
    patched,
    program,
    run,
    unpack_content,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Sparse(io.FileIO):
    """A file in which zeros take no room."""

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type] # as above
        if len(view) < 1024 or any(view):
            return super().write(view)
        self.seek(len(view), os.SEEK_CUR)
        return len(view)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name a file for tests that write it anew for each example."""
    return tmp_path_factory.mktemp("integrity") / "a.zip"


def warned(path: Path, **options: object) -> tuple[str, ...]:
    return verify_archive(path, **options).warnings  # type: ignore[arg-type] # the options of each test are its own


def refusal(path: Path, data: bytes | None = None, **options: object) -> str:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        verify_archive(path, **options)  # type: ignore[arg-type] # the options of each test are its own
    assert "\n" not in str(caught.value)
    return str(caught.value)


def end_of(data: bytes) -> int:
    return data.rfind(b"PK\x05\x06")


# --- what real writers write


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_an_archive_of_a_real_writer_passes_here_as_it_does_elsewhere(
    path: Path, write: Callable[[Path], object]
) -> None:
    unpack_content(path.parent)
    write(path)

    assert () == warned(path, size=path.stat().st_size)
    run("unzip", "-tq", "a.zip", cwd=path.parent)
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        expected = [(info.orig_filename, info.header_offset, info.file_size) for info in zipped.infolist()]
    found = [(member.name, member.header, member.uncompressed) for member in read_members(path).members]
    assert sorted(expected) == sorted(found)


def test_zip_from_and_to_a_pipe_passes(path: Path) -> None:
    done = subprocess.run((program("zip"), "-q", "-", "-"), input=TEXT, capture_output=True)
    path.write_bytes(done.stdout)

    assert () == warned(path)
    assert ["-"] == [member.name for member in read_members(path).members]


def test_a_comment_written_by_zip_passes(path: Path) -> None:
    unpack_content(path.parent)
    command = (program("zip"), "-qrz", "a.zip", "S2A.SAFE")
    subprocess.run(command, cwd=path.parent, input=b"from the store\n", capture_output=True, check=True)

    assert path.read_bytes().endswith(b"from the store")
    assert () == warned(path)


def test_more_members_than_16_bits_can_count_pass(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as zipped:
        for number in range(65_540):
            zipped.writestr(zipfile.ZipInfo(f"{number}"), b"")

    assert () == warned(path)
    assert 65_540 == len(read_members(path).members)


@pytest.mark.slow
def test_an_archive_above_4_gib_passes_and_a_bit_beyond_is_found(path: Path) -> None:
    zeros = bytes(1 << 24)
    with Sparse(path, "w+") as sparse, zipfile.ZipFile(sparse, "w", STORED) as zipped:
        with zipped.open(zipfile.ZipInfo("large"), "w", force_zip64=True) as large:
            for _ in range(257):
                large.write(zeros)
        zipped.writestr("after", b"beyond 4 GiB")

    assert () == warned(path)
    assert [257 << 24, 12] == [member.uncompressed for member in read_members(path).members]
    with path.open("r+b") as file:
        file.seek(4_300_000_000)
        file.write(b"\x01")
    assert refusal(path).startswith("1 of 2 members damaged: 'large' (its CRC-32 is ")


def test_deflate64_is_accepted_with_a_warning(path: Path) -> None:
    unpack_content(path.parent)
    run("7z", "a", "-tzip", "-mm=Deflate64", "a.zip", "S2A.SAFE/manifest.safe", cwd=path.parent)

    expected = "1 member uses Deflate64 (method 9), which cannot be read here: its CRC was not checked"
    assert (expected,) == warned(path)
    assert () == warned(path, level=Level.STRUCTURE)


def test_encrypted_members_are_accepted_with_one_warning(path: Path) -> None:
    unpack_content(path.parent)
    run("zip", "-qr", "-P", "secret", "a.zip", "S2A.SAFE/manifest.safe", "S2A.SAFE/GRANULE/B02.jp2", cwd=path.parent)

    expected = "2 members use encryption, which cannot be read here: their CRC was not checked"
    assert (expected,) == warned(path)


def test_a_damaged_local_header_is_found_even_where_the_data_cannot_be_read(path: Path) -> None:
    data = archive({"a": b"data"}, STORED)
    unreadable = patched(patched(data, 8, "<H", 9), entry_of(data) + 10, "<H", 9)
    path.write_bytes(unreadable)
    assert 1 == len(warned(path))

    expected = "1 of 1 member damaged: 'a' (its local header has another name)"
    assert expected == refusal(path, patched(unreadable, 30, "c", b"b"))


# --- first bytes and length


@pytest.mark.parametrize(
    ("expected", "head"),
    [
        (None, b"PK\x03\x04"),
        (None, archive()[:100]),
        ("an HTML page", b"<!DOCTYPE html><title>Sign in</title>"),
        ("an HTML page", b"\xef\xbb\xbf\r\n <HTML lang='lb'>"),
        ("an HTML page", b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0//EN'>"),
        ("an XML document", b"<?xml version='1.0'?><ServiceExceptionReport/>"),
        ("an XML document", b"<htmlish/>"),
        ("JSON", b'{"error": "no such product"}'),
        ("JSON", b" [\n]"),
        ("gzip data", b"\x1f\x8b\x08\x00"),
        ("an empty file", b""),
        ("an empty ZIP archive", archive({})),
        ("zeros", bytes(1024)),
        ("bytes 4d5a9000...", b"MZ\x90\x00\x03"),
        ("bytes 00000001...", b"\x00\x00\x00\x01"),
        ("bytes 504b...", b"PK"),
        ("bytes 7bff0000...", b"{\xff\x00\x00"),
    ],
)
def test_first_bytes_tell_what_a_file_looks_like(expected: str | None, head: bytes) -> None:
    assert expected == describe_non_zip(head)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(
    ("looks", "data"),
    [
        ("an HTML page", b"<html>" + archive()),
        ("an empty file", b""),
        ("an empty ZIP archive", archive({})),
        ("zeros", bytes(5_000)),
    ],
)
def test_what_is_no_archive_is_refused_at_every_level(path: Path, level: Level, looks: str, data: bytes) -> None:
    assert f"expected a ZIP archive with members, found {looks}" == refusal(path, data, level=level)


@pytest.mark.parametrize("level", Level)
def test_a_wrong_length_is_refused_at_every_level(path: Path, level: Level) -> None:
    data = archive()

    assert f"expected {len(data) + 1} bytes, found {len(data)}" == refusal(path, data, size=len(data) + 1, level=level)
    assert f"expected 1 byte, found {len(data)}" == refusal(path, size=1, level=level)


def test_size_looks_no_further_than_length_and_first_bytes(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 and nothing else")

    assert () == warned(path, size=21, level=Level.SIZE)
    assert refusal(path, level=Level.STRUCTURE).startswith("no end record")


# --- structure


@pytest.mark.parametrize("level", [Level.STRUCTURE, Level.CRC])
@pytest.mark.parametrize(
    "data",
    [
        archive({"a": b"first", "b": b"second" * 9}),
        archive({"a": b"first"}, STORED, comment=b"a comment"),
        archive({"inner.zip": archive({"a": b"first"}, STORED)}, STORED),
    ],
    ids=["deflated", "commented", "nested"],
)
def test_truncation_at_any_byte_is_refused(path: Path, data: bytes, level: Level) -> None:
    for length in range(len(data)):
        assert refusal(path, data[:length], level=level)


def test_truncation_at_any_byte_of_the_zip64_end_is_refused(path: Path) -> None:
    data = with_zip64_end(archive({"a": b"first"}, STORED))
    path.write_bytes(data)
    assert () == warned(path)

    for length in range(len(data)):
        assert refusal(path, data[:length], level=Level.STRUCTURE)


def with_zip64_end(data: bytes, **changes: int) -> bytes:
    """Move the values of the end record to a ZIP64 one."""
    at = end_of(data)
    _, _, _, entries, _, size, start, _ = struct.unpack("<4s4H2IH", data[at:])
    values = {"length": 44, "disk": 0, "entries": entries, "size": size, "start": start, "at": at, "disks": 1}
    values |= changes
    record = struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", values["length"], 45, 45, values["disk"], 0,
        values["entries"], values["entries"], values["size"], values["start"],
    )  # fmt: skip
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, values["at"], values["disks"])
    full = struct.pack("<4s4H2IH", b"PK\x05\x06", *[0xFFFF] * 4, *[0xFFFFFFFF] * 2, 0)
    return data[:at] + record + locator + full


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("no ZIP64 end record at byte 3, where its locator points", {"at": 3}),
        ("the ZIP64 end record cannot begin at byte 18446744073709551615", {"at": 2**64 - 1}),
        ("no ZIP64 end record at byte", {"length": 2**64 - 1}),
        ("the central directory claims 18446744073709551615 bytes, at most 268435456 are read", {"size": 2**64 - 1}),
        ("the central directory should end at byte", {"start": 2**64 - 1}),
        ("18446744073709551615 members cannot fit in a directory of 47 bytes", {"entries": 2**64 - 1}),
        ("the archive has no member", {"entries": 0}),
        ("the archive is one part of several", {"disk": 1}),
        ("the archive is one part of 3", {"disks": 3}),
    ],
)
def test_a_zip64_end_that_cannot_be_true_is_refused(path: Path, problem: str, changes: dict[str, int]) -> None:
    data = with_zip64_end(archive({"a": b"first"}, STORED), **changes)

    assert refusal(path, data, level=Level.STRUCTURE).startswith(problem)


def test_the_last_whole_end_record_counts_and_bytes_after_it_give_a_warning(path: Path) -> None:
    path.write_bytes(archive() + b"PK\x05\x06" + bytes(30))

    assert ("34 bytes after the end record",) == warned(path)


def test_bytes_after_the_end_record_are_searched_for_1_mib(path: Path) -> None:
    data = archive()
    path.write_bytes(data + b"\n" * (1024 * 1024 - 22))
    assert ("1048554 bytes after the end record",) == warned(path)

    expected = "no end record in the last 1048576 bytes: the archive is cut short"
    assert expected == refusal(path, data + b"\n" * (1024 * 1024 - 21))


def test_two_archives_one_after_the_other_are_refused(path: Path) -> None:
    one, other = archive({"a": b"one"}, STORED), archive({"b": b"other"}, STORED)

    for two in (one + other, one + one):
        expected = f"a member begins at byte 0, the first one of the directory at {len(one)}"
        assert expected == refusal(path, two, level=Level.STRUCTURE) == refusal(path, two, level=Level.CRC)
    expected = f"another archive begins {len(other) - 1} bytes before the end of the file"
    assert expected == refusal(path, one + other[:-1])


def test_the_head_of_one_version_and_the_tail_of_another_are_refused(path: Path) -> None:
    one = archive({"a": b"1" * 500, "b": b"1" * 500}, STORED)
    other = archive({"a": b"2" * 500, "b": b"2" * 500}, STORED)

    for cut in range(4, len(one) - 200):
        if one[:cut] + other[cut:] not in (one, other):
            assert refusal(path, one[:cut] + other[cut:])


def test_members_that_share_bytes_are_refused(path: Path) -> None:
    data = archive({"a": b"first", "b": b"second"}, STORED)
    same = patched(data, entry_of(data, 1) + 42, "<I", 0)
    longer = patched(data, entry_of(data) + 20, "<I", 7)
    outside = patched(data, entry_of(data, 1) + 42, "<I", len(data))

    assert refusal(path, same, level=Level.STRUCTURE).startswith("'a' reaches to byte 35 or further")
    assert refusal(path, longer, level=Level.STRUCTURE).startswith("'a' reaches to byte 37 or further")
    assert refusal(path, outside, level=Level.STRUCTURE).startswith("'b' reaches to byte ")


def test_a_count_that_differs_from_the_directory_is_refused(path: Path) -> None:
    data = archive({"a": b"first", "b": b"second"}, STORED)
    one = patched(data, end_of(data) + 8, "<HH", 1, 1)
    many = patched(data, end_of(data) + 8, "<HH", 3, 3)

    assert "the end record counts 1 member, the directory has 2" == refusal(path, one, level=Level.STRUCTURE)
    assert "3 members cannot fit in a directory of 94 bytes" == refusal(path, many, level=Level.STRUCTURE)


def test_an_archive_of_several_disks_is_refused(path: Path) -> None:
    data = archive({"a": b"first"}, STORED)

    several = "the archive is one part of several: split archives cannot be used"
    assert several == refusal(path, patched(data, end_of(data) + 4, "<H", 1), level=Level.STRUCTURE)
    assert several == refusal(path, patched(data, end_of(data) + 6, "<H", 1), level=Level.STRUCTURE)
    assert several == refusal(path, patched(data, end_of(data) + 8, "<H", 9), level=Level.STRUCTURE)
    assert (
        refusal(path, patched(data, entry_of(data) + 34, "<H", 2), level=Level.STRUCTURE)
        == "'a' begins on disk 2: split archives cannot be used"
    )


def test_a_directory_with_a_broken_entry_is_refused(path: Path) -> None:
    data = archive({"a": b"first", "b": b"second"}, STORED)
    first, second = entry_of(data), entry_of(data, 1)

    assert f"the directory entry at byte {second} is cut short" == refusal(
        path, patched(data, second + 28, "<H", 500), level=Level.STRUCTURE
    )
    assert f"the directory entry at byte {first + 87} is cut short" == refusal(
        path, patched(data, first + 32, "<H", 40), level=Level.STRUCTURE
    )
    assert f"no directory entry at byte {second}, where one should begin" == refusal(
        path, patched(data, second, "<I", 0), level=Level.STRUCTURE
    )
    assert f"no central directory at byte {first}, where the end record points" == refusal(
        path, patched(data, first, "<I", 0), level=Level.STRUCTURE
    )


def test_sizes_are_taken_from_the_zip64_field_and_refused_when_it_is_cut_short(path: Path) -> None:
    data = with_zip64_sizes(archive({"a": b"first"}, STORED), struct.pack("<4H2Q", 0x5455, 0, 1, 16, 5, 5))
    path.write_bytes(data)
    assert () == warned(path)

    short = with_zip64_sizes(archive({"a": b"first"}, STORED), struct.pack("<2HQ", 1, 8, 5))
    assert "the ZIP64 field of 'a' is cut short" == refusal(path, short, level=Level.STRUCTURE)
    missing = with_zip64_sizes(archive({"a": b"first"}, STORED), b"")
    assert refusal(path, missing, level=Level.STRUCTURE).startswith("'a' reaches to byte 4294967325 or further")


def with_zip64_sizes(data: bytes, extra: bytes) -> bytes:
    """Mark both sizes of the only entry as full, and give it this extra field."""
    entry, end = entry_of(data), end_of(data)
    marked = patched(data, entry + 20, "<2I2H", 0xFFFFFFFF, 0xFFFFFFFF, 1, len(extra))
    marked = patched(marked, end + 12, "<I", end - entry + len(extra))
    return marked[:end] + extra + marked[end:]


def test_structure_does_not_read_the_data(path: Path) -> None:
    data = patched(archive({"a": b"first"}, STORED), 33, "c", b"X")
    path.write_bytes(data)

    assert () == warned(path, level=Level.STRUCTURE)
    assert refusal(path).startswith("1 of 1 member damaged: 'a' (its CRC-32 is ")


# --- the data of each member


@settings(deadline=None, max_examples=150)
@given(
    contents=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4),
    method=st.sampled_from([STORED, DEFLATED]),
    place=st.floats(0, 1, exclude_max=True),
)
def test_a_flipped_bit_in_the_data_is_found_unless_they_unpack_to_the_same(
    scratch: Path, contents: list[bytes], method: int, place: float
) -> None:
    data = bytearray(archive({f"{number}": content for number, content in enumerate(contents)}, method))
    scratch.write_bytes(data)
    members = read_members(scratch).members
    bits = [bit for m in members for bit in range((m.header + 31) * 8, (m.header + 31 + m.compressed) * 8)]
    bit = bits[int(place * len(bits))]
    data[bit // 8] ^= 1 << bit % 8
    scratch.write_bytes(data)

    if method == DEFLATED and harmless(bytes(data), contents):
        assert () == warned(scratch)
    else:
        assert refusal(scratch).startswith(f"1 of {len(contents)} member")


def harmless(data: bytes, contents: list[bytes]) -> bool:
    """Tell whether every deflate stream is whole and still unpacks to its content, in the eyes of zlib."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        infos = zipped.infolist()
    for info, content in zip(infos, contents, strict=True):
        start = info.header_offset + 31
        inflater = zlib.decompressobj(-15)
        try:
            unpacked = inflater.decompress(data[start : start + info.compress_size])
        except zlib.error:
            return False
        if unpacked != content or not inflater.eof or inflater.unused_data:
            return False
    return True


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_a_hole_of_zeros_is_found_wherever_it_is(path: Path, method: int) -> None:
    data = archive({"a": NOISE[:3000], "b": NOISE[3000:6000], "c": NOISE[6000:9000]}, method)

    for start in range(0, len(data) - 512, 512):
        holed = data[:start] + bytes(512) + data[start + 512 :]
        assert refusal(path, holed)


@pytest.mark.parametrize(
    ("problem", "at", "layout", "value"),
    [
        ("it has no local header", 0, "<I", 0x04034B51),
        ("its local header has another name", 30, "c", b"b"),
        ("its local header says method 9, the directory 0", 8, "<H", 9),
        ("its local header and the directory differ in CRC-32 or length", 14, "<I", 1),
        ("its local header and the directory differ in CRC-32 or length", 18, "<I", 4),
        ("its local header and the directory differ in CRC-32 or length", 22, "<I", 6),
        ("it reaches 1 byte into what follows", 28, "<H", 1),
    ],
)
def test_a_local_header_that_differs_from_the_directory_is_found(
    path: Path, problem: str, at: int, layout: str, value: object
) -> None:
    data = archive({"first": b"first", "a": b"again"}, STORED)
    second = data.index(b"PK\x03\x04", 4)

    expected = f"1 of 2 members damaged: 'a' ({problem})"
    assert expected == refusal(path, patched(data, second + at, layout, value))


def test_the_local_header_may_leave_lengths_and_crc_to_the_zip64_field(path: Path) -> None:
    data = archive({"a": b"first"}, STORED)
    path.write_bytes(patched(data, 14, "<3I", *[0xFFFFFFFF] * 3))

    assert () == warned(path)


def raw_deflate(content: bytes) -> bytes:
    return zlib.compress(content, wbits=-15)


@pytest.mark.parametrize("block", [1, 7, 1024, 1 << 20])
@pytest.mark.parametrize("more", [b"x", bytes(4), bytes(3000)], ids=["one byte", "four bytes", "many bytes"])
def test_what_follows_a_deflate_stream_is_said_and_the_data_are_kept(path: Path, more: bytes, block: int) -> None:
    """As `unzip`, `jar` and Python's zipfile do: the CRC of the data is right."""
    stream = raw_deflate(TEXT[:5000])
    facts = {"length": 5000, "crc": zlib.crc32(TEXT[:5000])}
    path.write_bytes(deflated(stream, **facts))
    assert () == warned(path, block=block)

    path.write_bytes(deflated(stream + more, **facts))
    assert ("1 member: bytes after the end of the packed data",) == warned(path, block=block)
    expected = "1 of 1 member damaged: 'a' (its deflate stream is cut short)"
    assert expected == refusal(path, deflated(stream[:-1], **facts), block=block)


@pytest.mark.parametrize(
    ("length", "problem"),
    [(99, "it unpacks to more than the 99 bytes expected"), (101, "it unpacks to 100 bytes, 101 expected")],
)
def test_data_of_another_length_than_announced_are_refused(path: Path, length: int, problem: str) -> None:
    data = deflated(raw_deflate(b"a" * 100), length=length, crc=zlib.crc32(b"a" * 100))

    assert f"1 of 1 member damaged: 'a' ({problem})" == refusal(path, data)


def test_a_bomb_costs_no_memory_and_stops_at_the_announced_length(path: Path) -> None:
    path.write_bytes(deflated(raw_deflate(bytes(1 << 28)), length=1 << 27, crc=0))

    tracemalloc.start()
    found = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "1 of 1 member damaged: 'a' (it unpacks to more than the 134217728 bytes expected)" == found
    assert peak < 8 << 20


@pytest.mark.parametrize("block", [1, 13, 4096])
@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_the_verdict_does_not_depend_on_the_block(path: Path, method: int, block: int) -> None:
    content = {"text": TEXT[:20_000], "noise": NOISE[:5_000], "empty": b"", "zeros": bytes(9_000)}
    data = archive(content, method)
    path.write_bytes(data)
    assert () == warned(path, block=block)

    at = data.index(b"noise") + 1000
    assert "'noise'" in refusal(path, patched(data, at, "B", data[at] ^ 1), block=block)


def test_an_empty_member_may_be_deflated_to_nothing(path: Path) -> None:
    path.write_bytes(deflated(b"", length=0, crc=0))

    assert () == warned(path)


# --- what is told about damage


def test_damaged_members_are_told_with_the_bytes_to_fetch_again(path: Path) -> None:
    data = archive({f"{number}.jp2": NOISE[:1000] for number in range(6)}, STORED)
    spoiled = bytearray(data)
    path.write_bytes(data)
    for member in read_members(path).members[1:]:
        spoiled[member.header + 500] ^= 1
    path.write_bytes(spoiled)

    with pytest.raises(DamagedMembersError) as caught:
        verify_archive(path)

    message = str(caught.value)
    assert message.startswith("5 of 6 members damaged: '1.jp2' (its CRC-32 is ")
    assert message.endswith("; and 2 more")
    assert "'3.jp2'" in message
    assert "'4.jp2'" not in message
    assert [f"{number}.jp2" for number in range(1, 6)] == [damage.name for damage in caught.value.damaged]
    for damage in caught.value.damaged:
        spoiled[damage.start : damage.end] = data[damage.start : damage.end]
    path.write_bytes(spoiled)
    assert () == warned(path)


def test_a_name_cannot_break_the_message(path: Path) -> None:
    data = archive({"line\nbreak" + "x" * 5000: b"first"}, STORED)
    at = data.index(b"first")

    found = refusal(path, patched(data, at, "c", b"F"))
    assert found.startswith("1 of 1 member damaged: '…xxx")
    assert len(found) < 400
    data = archive({"line\nbreak\u202e": b"first"}, STORED)
    assert r"'line\nbreak\u202e'" in refusal(path, patched(data, data.index(b"first"), "c", b"F"))


def test_a_name_that_is_not_utf_8_can_be_told(path: Path) -> None:
    data = archive({"ä": b"first"}, STORED).replace("ä".encode(), b"\xff\xfe")
    path.write_bytes(data)
    assert () == warned(path)

    refusal(path, patched(data, data.index(b"first"), "c", b"F")).encode("utf-8")


# --- stopping, and files that are not there


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_a_stop_is_obeyed_before_the_next_block(path: Path, method: int) -> None:
    path.write_bytes(archive({"a": NOISE}, method))
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        return looks == 10

    with pytest.raises(Stopped):
        verify_archive(path, stop=stop, block=4096)
    assert 10 == looks


def test_a_stop_is_obeyed_within_one_block_of_a_bomb(path: Path) -> None:
    path.write_bytes(deflated(raw_deflate(bytes(1 << 24)), length=1 << 24, crc=0))
    answers = iter([False] * 6 + [True])

    with pytest.raises(Stopped):
        verify_archive(path, stop=lambda: next(answers), block=1 << 16)


def test_a_file_that_is_cut_while_it_is_read_is_refused(path: Path) -> None:
    path.write_bytes(archive({"a": NOISE}, STORED))

    def cut() -> bool:
        os.truncate(path, 100_000)
        return False

    directory = read_members(path)
    (damage,) = damaged_members(path, directory, stop=cut, block=4096)
    assert "the file became shorter while it was read" == damage.problem


def test_a_missing_file_is_no_verdict_on_its_bytes(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verify_archive(path)


# --- whatever comes


def verdict(path: Path) -> str:
    try:
        verify_archive(path, block=512)
    except IntegrityError:
        return "refused"
    return "passed"


@settings(deadline=None, max_examples=150)
@given(head=st.sampled_from([b"", b"PK\x03\x04"]), body=st.binary(max_size=400), tail=st.binary(max_size=30))
def test_arbitrary_bytes_are_refused_in_words(scratch: Path, head: bytes, body: bytes, tail: bytes) -> None:
    scratch.write_bytes(head + body + b"PK\x05\x06" + tail)

    assert "refused" == verdict(scratch)


SEEDS = [
    archive({"a": TEXT[:500], "b/": b"", "c": NOISE[:50]}),
    archive({"a": TEXT[:500], "b/": b"", "c": NOISE[:50]}, STORED, comment=b"PK\x05\x06 comment"),
    with_zip64_end(archive({"a": TEXT[:500], "c": NOISE[:50]}, zip64=True)),
]
MUTATION = st.tuples(
    st.floats(0, 1), st.sampled_from([0, 1, 4, 8]), st.one_of(st.binary(max_size=8), st.just(b"\xff" * 8))
)


@settings(deadline=None, max_examples=150)
@given(seed=st.sampled_from(SEEDS), mutations=st.lists(MUTATION, min_size=1, max_size=4))
def test_a_mutated_archive_passes_or_is_refused_in_words(
    scratch: Path, seed: bytes, mutations: list[tuple[float, int, bytes]]
) -> None:
    data = seed
    for place, removed, inserted in mutations:
        at = int(place * len(data))
        data = data[:at] + inserted + data[at + removed :]
    scratch.write_bytes(data)

    assert verdict(scratch) in ("passed", "refused")


def test_a_comment_that_looks_like_an_end_record_does_not_mislead(path: Path) -> None:
    path.write_bytes(archive(comment=b"PK\x05\x06" + b"c" * 60_000))

    assert () == warned(path)


def test_a_million_bytes_of_end_records_take_no_time(path: Path) -> None:
    found = refusal(path, b"PK\x03\x04" + b"PK\x05\x06" * (1 << 18))

    assert "the comment of the end record lacks" in found or "split archives" in found
