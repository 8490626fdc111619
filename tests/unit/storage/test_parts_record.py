"""The record of a tree: what it keeps, and that a damaged one costs a check, and one of a later release an error."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import FileError, IntegrityError, StorageError
from collgs_async.models.wish import Wish
from collgs_async.storage.parts_record import HeldMember, PartsRecord, load_record, read_record, write_record
from collgs_async.storage.sidecar import RemoteVersion
from tests.support.archives import written
from tests.support.odd_archives import entries
from tests.support.servers import files_in
from tests.support.trees import record_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = written(entries())
MEMBER = HeldMember(
    "P.SAFE/B02.jp2", 0xEC1106A1, "ab" * 32, 123_249_666, 5_812_345, 0, 1_764_500_000_123_456_789, b"PK\3\4"
)
RECORD = record_of(DATA, wish=Wish(bands=("B02", "SCL"), resolutions=(10, 20))).with_members([MEMBER])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "P.parts"


def fields_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "parts.json").read_text()))


def test_what_was_written_is_read(folder: Path) -> None:
    write_record(folder, RECORD)

    assert RECORD == read_record(folder)
    assert ["parts.json"] == files_in(folder)


def test_the_file_has_the_agreed_form(folder: Path) -> None:
    write_record(folder, RECORD)
    fields = fields_of(folder)

    assert ["collgs-async parts", 1] == [fields["format"], fields["version"]]
    assert {"bands": ["B02", "SCL"], "resolution": [10, 20]} == fields["wish"]
    assert {
        "name": "P.SAFE/B02.jp2", "crc32": "ec1106a1", "sha256": "ab" * 32, "size": 123_249_666,
        "mtime_ns": 1_764_500_000_123_456_789, "header": 5_812_345, "method": 0, "local": "504b0304",
    } == fields["here"][0]  # fmt: skip
    expected = [
        "format",
        "version",
        "id",
        "url",
        "size",
        "etag",
        "last_modified",
        "fetched",
        "wish",
        "directory",
        "here",
    ]
    assert expected == list(fields)


def test_without_a_tree_or_a_record_there_is_none(folder: Path) -> None:
    assert read_record(folder) is None
    folder.mkdir()
    assert read_record(folder) is None


def test_the_directory_is_that_of_the_archive(folder: Path) -> None:
    write_record(folder, RECORD)
    record = read_record(folder)

    assert record is not None
    assert [one.name.decode() for one in entries()] == [one.name for one in record.read_directory().members]


DAMAGE: list[dict[str, Any]] = [
    {"format": "another"},
    {"version": 0},
    {"version": "1"},
    {"version": True},
    {"id": None},
    {"size": None},
    {"size": -1},
    {"size": 2**70},
    {"etag": 5},
    {"directory": "!"},
    {"directory": "eNoD"},
    {"here": None},
    {"here": [None]},
    {"here": [{}]},
    {"here": [{"crc32": "EC1106A1"}]},
    {"here": [{"size": 1.5}]},
    {"here": [{"sha256": "zz"}]},
    {"here": [{"local": "5"}]},
]


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_damaged_record_is_none_and_is_said(
    folder: Path, damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    write_record(folder, RECORD)
    fields = fields_of(folder)
    if isinstance(damage.get("here"), list) and isinstance(damage["here"][0], dict) and damage["here"][0]:
        damage = {"here": [fields["here"][0] | damage["here"][0]]}
    (folder / "parts.json").write_text(json.dumps(fields | damage))

    assert read_record(folder) is None
    assert "the record is damaged" in caplog.text
    with pytest.raises(IntegrityError, match="the record is damaged"):
        load_record(folder)


def test_a_record_that_is_cut_anywhere_is_damaged(folder: Path) -> None:
    write_record(folder, RECORD)
    whole = (folder / "parts.json").read_bytes()

    for length in range(0, len(whole), 17):
        (folder / "parts.json").write_bytes(whole[:length])
        assert read_record(folder) is None


def test_a_record_of_a_later_release_is_an_error_that_says_so(folder: Path) -> None:
    write_record(folder, RECORD)
    (folder / "parts.json").write_text(json.dumps(fields_of(folder) | {"version": 2, "here": "other"}))

    with pytest.raises(FileError, match=r"parts.json: expected version 1, found 2: a later release"):
        read_record(folder)


def test_an_unknown_wish_or_further_keys_damage_nothing(folder: Path) -> None:
    write_record(folder, RECORD)
    (folder / "parts.json").write_text(json.dumps(fields_of(folder) | {"wish": {"cloud": 5}, "further": 1}))

    assert replace(RECORD, wish=Wish()) == read_record(folder)


def test_a_bomb_as_directory_is_not_unpacked(folder: Path) -> None:
    large = replace(RECORD, remote=replace(RECORD.remote, size=2**30))
    write_record(folder, replace(large, directory=bytes(32 * 2**20)))
    assert read_record(folder) is not None

    with pytest.raises(IntegrityError, match="at most 33554432 are recorded"):
        write_record(folder, replace(large, directory=bytes(32 * 2**20 + 1)))


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "folder"])
def test_something_else_in_the_place_of_the_record_is_neither_followed_nor_replaced(folder: Path, kind: str) -> None:
    folder.mkdir()
    outside, path = folder.parent / "outside.json", folder / "parts.json"
    if kind == "link":
        outside.write_text("{}")
    if "link" in kind:
        path.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = path.lstat()

    with pytest.raises(FileError, match="expected a file, found a"):
        read_record(folder)
    with pytest.raises(FileError, match="expected a file, found a"):
        write_record(folder, RECORD)

    assert before.st_ino == path.lstat().st_ino
    assert ("{}" if kind == "link" else None) == (outside.read_text() if outside.exists() else None)
    assert ["parts.json"] == files_in(folder)


def test_a_link_in_the_place_of_the_tree_is_not_followed(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")

    with pytest.raises(FileError, match=r"P.parts: expected a folder, found a symbolic link"):
        read_record(folder)
    with pytest.raises(FileError, match=r"P.parts: expected a folder, found a symbolic link"):
        write_record(folder, RECORD)

    assert [] == files_in(folder.parent / "elsewhere")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_without_the_confirmation_of_the_disk_the_old_record_stays(
    folder: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(folder, RECORD)

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((FileError, StorageError), match=r"P.parts/parts.json: " + os.strerror(number)):
        write_record(folder, RECORD.without([MEMBER.name]))

    assert RECORD == read_record(folder)
    assert ["parts.json"] == files_in(folder)


NUMBERS = st.integers(0, 2**63 - 1)
MEMBERS = st.builds(
    HeldMember, st.text(), st.integers(0, 2**32 - 1), st.just("0" * 64), NUMBERS, NUMBERS, NUMBERS, NUMBERS,
    st.binary(max_size=40), st.binary(max_size=24),
)  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(MEMBERS, max_size=4, unique_by=lambda one: one.name), st.text(), st.none() | st.text(), st.binary())
def test_any_record_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, members: list[HeldMember], text: str, tag: str | None, directory: bytes
) -> None:
    folder = tmp_path_factory.mktemp("record")
    remote = RemoteVersion(text, 5 + len(directory), tag, tag, tag or None)
    record = PartsRecord.begin(text, remote, directory).with_members(members)

    write_record(folder, record)

    assert record == read_record(folder)


def test_members_are_added_replaced_and_dropped() -> None:
    changed, other = replace(MEMBER, size=5), replace(MEMBER, name="P.SAFE/a", header=1)

    record = RECORD.with_members([changed, other])

    assert (other, changed) == record.here
    assert {"P.SAFE/a"} == record.without([MEMBER.name]).names
