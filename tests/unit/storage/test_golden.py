"""The archives of real names and sizes are what they say: right ones, of these lengths, that take no disk."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.storage.zip_directory import read_members
from tests.support.golden import GOLDEN, GoldenMember, crc_of, write_sparse

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = {"L1C": 98, "L2A": 87, "L2A_N0214": 124, "GRD": 20, "GRD_EW": 25, "COG": 20, "SLC": 38, "OLCI": 30}
TAIL = 64 * 1024


@given(start=st.binary(max_size=40), zeros=st.integers(0, 100_000))
def test_the_crc_of_zeros_is_that_of_zlib(start: bytes, zeros: int) -> None:
    assert crc_of(start, zeros) == zlib.crc32(start + bytes(zeros))


@given(name=st.text("abc/", min_size=1, max_size=40), size=st.integers(0, 5_000), width=st.integers(1, 8))
def test_packed_data_unpack_to_the_name_and_zeros(name: str, size: int, width: int) -> None:
    member = GoldenMember(name, size, width)
    packed = b"".join(bytes(part) if isinstance(part, int) else part for part in member.parts())
    unpacker = zlib.decompressobj(wbits=-15)
    data = packed if width == 8 else unpacker.decompress(packed)

    assert data == name.encode()[:size].ljust(size, b"\0")
    assert zlib.crc32(data) == member.crc
    assert len(packed) == member.packed
    assert width == 8 or (unpacker.eof and not unpacker.unused_data)


@pytest.mark.parametrize("kind", MEMBERS)
def test_an_archive_has_the_members_of_the_product_and_takes_no_disk(tmp_path: Path, kind: str) -> None:
    product, path = GOLDEN[kind], tmp_path / "sparse.zip"
    write_sparse(path, product)

    with zipfile.ZipFile(path) as archive:
        found = [(info.filename, info.file_size, info.compress_size, info.CRC) for info in archive.infolist()]
        directory = path.stat().st_size - archive.start_dir
    assert found == [(member.name, member.size, member.packed, member.crc) for member in product.members]
    assert [member.name for member in read_members(path).members] == list(product.names)
    assert len(found) == MEMBERS[kind]
    assert directory < TAIL
    assert path.stat().st_blocks * 512 < 2_000_000


def test_a_whole_archive_unpacks(tmp_path: Path) -> None:
    write_sparse(tmp_path / "sparse.zip", GOLDEN["L1C"])

    with zipfile.ZipFile(tmp_path / "sparse.zip") as archive:
        assert archive.testzip() is None


def test_members_may_be_shuffled_and_folders_have_entries(tmp_path: Path) -> None:
    product, path = GOLDEN["SLC"], tmp_path / "sparse.zip"
    write_sparse(path, product, shuffled=1, folders=True)

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        last = max(archive.infolist(), key=lambda info: info.header_offset)
        assert last.header_offset > 1 << 32
        with archive.open(product.members[1].name) as member:
            assert member.read(20) == product.members[1].name[:20].encode()
    files = [name for name in names if not name.endswith("/")]
    assert files != list(product.names)
    assert sorted(files) == sorted(product.names)
    assert names[0] == f"{product.identifier}.SAFE/"
    assert len(names) == len(set(names)) == len(files) + 8
