"""The SHA-256 of an archive comes from the same pass as the checks of its members."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.storage.archive_reading import Stopped
from collgs_async.storage.hashed_reader import HashedReader
from collgs_async.storage.verify import DamagedMembersError, verify_archive
from tests.support.archives import Entry, written
from tests.support.odd_archives import entries

DATA = os.urandom(5000)


@given(st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 3000), st.booleans())))
def test_each_byte_reaches_the_digest_once_whatever_is_read(steps: list[tuple[int, int, bool]]) -> None:
    digest = hashlib.sha256()
    raw: Any = io.BytesIO(DATA)
    reader = HashedReader(raw, digest)
    for at, length, into in steps:
        reader.seek(at)
        if into:
            buffer = bytearray(length)
            assert buffer[: reader.readinto(buffer)] == DATA[at : at + length]
        else:
            assert reader.read(length) == DATA[at : at + length]
        assert reader.tell() == min(at + length, max(at, len(DATA)))

    reader.finish()

    assert hashlib.sha256(DATA).digest() == digest.digest()


def bytes_read() -> int:
    """What this process has read so far, from files and others."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar:")))


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not tell what was read")
@pytest.mark.parametrize("manifest", [False, True])
def test_the_digest_of_an_archive_costs_no_second_pass(tmp_path: Path, manifest: bool) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("P/B01.jp2", os.urandom(10_000_000))
        archive.writestr("P/B02.jp2", os.urandom(10_000_000), zipfile.ZIP_DEFLATED)
        archive.writestr("P/manifest.safe", b"<XFDU><byteStream><fileLocation href='B01.jp2'/></byteStream></XFDU>")
    path.write_bytes(path.read_bytes() + b"behind the end record")
    before = bytes_read()

    verdict = verify_archive(path, hashed=True, manifest=manifest)

    assert 20_000_000 < bytes_read() - before < 30_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() == verdict.sha256


@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n"])
def test_odd_archives_have_their_digest(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "a.zip"
    odd = [*entries(), Entry(b"locked", b"secret", flags=1), Entry(b"strange", b"data", method=9)]
    path.write_bytes(written(odd, before=before, comment=b"comment", behind=b"more"))

    assert hashlib.sha256(path.read_bytes()).hexdigest() == verify_archive(path, hashed=True).sha256
    assert verify_archive(path).sha256 is None


def test_a_damaged_archive_has_none_and_reading_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    data = bytearray(written(entries()))
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedMembersError):
        verify_archive(path, hashed=True)

    path.write_bytes(written(entries()))
    left = iter(range(3))
    with pytest.raises(Stopped):
        verify_archive(path, hashed=True, stop=lambda: next(left, None) is None)
