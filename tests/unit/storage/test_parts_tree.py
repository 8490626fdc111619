"""The tree of members: what is under its name is right, and nothing outside is touched."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import resource
import signal
import struct
import tracemalloc
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import FileError, IntegrityError, StorageError, UnreadableError
from collgs_async.storage.archive_reading import Stopped
from collgs_async.storage.filenames import file_name, is_parts_folder, parts_folder
from collgs_async.storage.member_names import safe_path, twins
from collgs_async.storage.member_refusals import refuse_members
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.storage.zip_directory import read_members
from tests.support.archives import Entry, written
from tests.support.odd_archives import BZIP2, DEFLATE64, LZMA, NOISE, ODD, TEXT, UTF8, entries
from tests.support.servers import files_in
from tests.support.trees import ID, extracted, files_below

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from collgs_async.storage.parts_record import HeldMember
    from collgs_async.storage.zip_members import Damage

MANIFEST, BAND, EMPTY = "P.SAFE/manifest.safe", "P.SAFE/GRANULE/B02.jp2", "P.SAFE/empty.xml"
CONTENT = {MANIFEST: TEXT, BAND: NOISE, EMPTY: b""}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / f"{ID}.zip.part"
    path.write_bytes(written(entries()))
    return path


@pytest.fixture
def tree(tmp_path: Path) -> PartsTree:
    return PartsTree(tmp_path / f"{ID}.parts")


def extract(
    tree: PartsTree, archive: Path, names: Sequence[str] | None = None, **options: Callable[..., object]
) -> tuple[list[HeldMember], list[Damage]]:
    directory = read_members(archive)
    chosen = [member for member in directory.members if names is None or member.name in names]
    return tree.extract(archive, directory, chosen, **options)  # type: ignore[arg-type] # of each test


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


# ------------------------------------------------------------------------------------------------------------ right


def test_each_member_gets_its_name_and_is_described(tree: PartsTree, archive: Path) -> None:
    announced: list[HeldMember] = []
    held, damaged = extract(tree, archive, on_member=announced.append)

    assert [] == damaged
    assert CONTENT == files_below(tree.folder)
    assert held == announced
    for member in held:
        data = CONTENT[member.name]
        assert (zlib.crc32(data), hashlib.sha256(data).hexdigest(), len(data)) == (
            member.crc,
            member.sha256,
            member.size,
        )
        assert (tree.folder / member.name).stat().st_mtime_ns == member.mtime_ns


def test_only_the_chosen_members_are_read(tree: PartsTree, archive: Path) -> None:
    """What is in the gaps of a sparse archive does not matter."""
    data = archive.read_bytes()
    band = next(one for one in read_members(archive).members if one.name == BAND)
    archive.write_bytes(bytes(band.header) + data[band.header :])

    assert ([BAND], []) == ([one.name for one in extract(tree, archive, [BAND])[0]], extract(tree, archive, [BAND])[1])
    assert {BAND: NOISE} == files_below(tree.folder)


def test_folders_are_no_members(tree: PartsTree, archive: Path) -> None:
    archive.write_bytes(written([Entry(b"P.SAFE/"), Entry(b"P.SAFE/HTML/"), *entries()]))

    assert 3 == len(extract(tree, archive)[0])
    assert CONTENT == files_below(tree.folder)


@pytest.mark.parametrize("data", [data for data, _ in ODD.values()], ids=ODD.keys())
def test_members_of_odd_archives_are_extracted_or_refused_by_name(tree: PartsTree, archive: Path, data: bytes) -> None:
    archive.write_bytes(data)
    directory = read_members(archive)
    refused = ""
    try:
        refuse_members(directory, directory.members)
    except IntegrityError as error:
        refused = str(error)
    if refused:
        assert any(repr(one.name) in refused for one in directory.members)
        return
    held, damaged = extract(tree, archive)

    assert [] == damaged
    assert {str(safe_path(one.name)) for one in held} == set(files_below(tree.folder))
    by_header = {one.header: one for one in directory.members}
    assert all((tree.folder / one.name).stat().st_size == by_header[one.header].uncompressed for one in held)


NAMES = st.lists(st.sampled_from(["a", "B", "b", "é", "x.jp2", "..", "P.SAFE"]), min_size=1, max_size=3).map("/".join)
PARTIAL = st.builds(
    Entry,
    NAMES.map(str.encode),
    st.sampled_from([b"", b"x", TEXT, NOISE]),
    st.sampled_from([0, 8, BZIP2, LZMA]),
    flags=st.just(UTF8),
    descriptor=st.sampled_from([None, None, "<3I", "<I2Q"]),
    comment=st.binary(max_size=9),
)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trees")


@settings(deadline=None, derandomize=True, max_examples=120)
@given(
    st.lists(PARTIAL, min_size=1, max_size=6),
    st.sampled_from([b"", b"stub" * 9]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"", b"comment"]),
    st.data(),
)
def test_each_file_is_what_zipfile_extracts_and_seed_and_rest_are_the_archive(
    scratch: Path, members: list[Entry], before: bytes, counted: bool, zip64: bool, comment: bytes, data: st.DataObject
) -> None:
    folder = scratch / random.Random().randbytes(8).hex()
    content = written(members, before=before, counts_before=counted, zip64=zip64, comment=comment)
    names = sorted({one.name.decode() for one in members})
    alike = twins(names + [one.name.decode() for one in members])
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    usable = [name for name in chosen if name not in alike and ".." not in name.split("/")]

    tree, record = extracted(folder, content, usable)

    (folder / "a.zip").write_bytes(content)
    with zipfile.ZipFile(folder / "a.zip") as reference:
        expected = {str(safe_path(name)): reference.read(name) for name in usable}
    found = files_below(tree.folder)
    del found["parts.json"]
    assert expected == found
    assert set(usable) == tree.here(record)

    held = tree.seed(folder / "part", record, record.remote)

    seeded = (folder / "part").read_bytes()
    assert len(content) == len(seeded)
    completed = bytearray(seeded)
    for first, end in held.gaps(len(content)):
        completed[first:end] = content[first:end]
    assert content == completed
    stored = [one for one in members if one.method == 0 and one.name.decode() in usable]
    rest = len(record.directory) + sum(len(one.data) + 30 + len(one.name) for one in stored)
    assert rest <= held.total <= rest + 24 * len(stored)


@pytest.mark.parametrize("level", [0, 1])
def test_a_larger_file_is_extracted_in_blocks(tree: PartsTree, archive: Path, level: int) -> None:
    large = random.Random(5).randbytes(3_000_001) * 2
    archive.write_bytes(written([Entry(b"P.SAFE/large", large, 8 * level)]))
    tracemalloc.start()

    held, _ = extract(tree, archive)

    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert hashlib.sha256(large).hexdigest() == held[0].sha256
    assert large == (tree.folder / "P.SAFE/large").read_bytes()


# ----------------------------------------------------------------------------------------------------------- wrong


@pytest.mark.parametrize("name", [MANIFEST, BAND])
def test_a_damaged_member_gets_no_name_and_the_others_do(tree: PartsTree, archive: Path, name: str) -> None:
    member = next(one for one in read_members(archive).members if one.name == name)
    flip(archive, member.header + 60 + len(name))

    held, damaged = extract(tree, archive)

    assert {other: data for other, data in CONTENT.items() if other != name} == files_below(tree.folder)
    assert [name] == [one.name for one in damaged]
    assert member.header == damaged[0].start < member.header + member.compressed < damaged[0].end
    assert 2 == len(held)


def test_a_damaged_member_does_not_replace_the_right_one(tree: PartsTree, archive: Path) -> None:
    extract(tree, archive)
    flip(archive, next(one for one in read_members(archive).members if one.name == BAND).header + 200)

    assert [BAND] == [one.name for one in extract(tree, archive)[1]]
    assert CONTENT == files_below(tree.folder)


def test_a_gap_is_not_taken_for_data(tree: PartsTree, archive: Path) -> None:
    data = archive.read_bytes()
    start = read_members(archive).start
    archive.write_bytes(bytes(start) + data[start:])

    held, damaged = extract(tree, archive)

    assert ([], {"it has no local header"}) == (held, {one.problem for one in damaged})
    assert {} == files_below(tree.folder)


def test_right_data_with_a_contradicting_header_are_here_and_not_seeded(tree: PartsTree, archive: Path) -> None:
    archive.write_bytes(written([Entry(b"P.SAFE/a", NOISE, local={"crc": 5})]))

    held, damaged = extract(tree, archive)

    assert ([b""], []) == ([one.local for one in held], damaged)


BOMB = bytes(1 << 26)


@pytest.mark.parametrize("method", [8, BZIP2, LZMA])
def test_a_bomb_that_lies_costs_what_it_states(
    tree: PartsTree, archive: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(written([Entry(b"bomb", BOMB, method)]))
    for at in (22, data.index(b"PK\1\2") + 24):
        struct.pack_into("<I", data, at, 1 << 20)
    archive.write_bytes(data)
    written_bytes, pwrite = 0, os.pwrite

    def count(descriptor: int, block: bytes, offset: int) -> int:
        nonlocal written_bytes
        written_bytes += len(block)
        return pwrite(descriptor, block, offset)

    monkeypatch.setattr(os, "pwrite", count)

    tracemalloc.start()
    held, damaged = extract(tree, archive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [] == held
    assert "unpacks to more than the 1048576 bytes expected" in damaged[0].problem
    assert written_bytes <= 1 << 20
    assert peak < 16 * 2**20
    assert [] == files_in(tree.folder)


REFUSED: dict[str, tuple[list[Entry], str]] = {
    "absolute": ([Entry(b"/etc/passwd", TEXT)], "'/etc/passwd' .it is absolute"),
    "above": ([Entry(b"P.SAFE/../../x", TEXT)], "leaves the folder"),
    "backslash": ([Entry(b"..\\x", TEXT)], "backslash"),
    "the record": ([Entry(b"Parts.json", b"{}")], "reserved"),
    "unfinished": ([Entry(b".0123456789abcdef.part", TEXT)], "reserved"),
    "twins": ([Entry(b"P/a", TEXT), Entry(b"P/A", NOISE)], "another member has this name"),
    "twice": ([Entry(b"P/a", TEXT), Entry(b"P/a", NOISE)], "another member has this name"),
    "a folder": ([Entry(b"P/a", TEXT), Entry(b"P/a/b", NOISE)], "another member has this name"),
    "encrypted": ([Entry(b"P/a", NOISE, flags=1)], "'P/a' .it is encrypted"),
    "method": ([Entry(b"P/a", NOISE, DEFLATE64)], "it is packed with Deflate64 .method 9"),
    "bomb": ([Entry(b"P/a", bytes(100 << 20), 8)], "it would unpack from 10. kB to 105 MB"),
}


@pytest.mark.parametrize(("members", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_never_unpacked_is_refused_by_name_before_anything_is_written(
    tree: PartsTree, archive: Path, members: list[Entry], problem: str
) -> None:
    archive.write_bytes(written([*members, *entries()]))

    with pytest.raises(IntegrityError, match=problem):
        extract(tree, archive)

    assert not tree.folder.exists()
    assert 3 == len(extract(tree, archive, list(CONTENT))[0])
    assert CONTENT == files_below(tree.folder)


def test_many_members_together_are_no_bomb_either(tree: PartsTree, archive: Path) -> None:
    stream = zlib.compress(bytes(60 << 20), wbits=-15)
    data = bytearray(written([Entry(b"P/%02d" % number, stream, 0) for number in range(24)]))
    for signature, method, size in ((b"PK\3\4", 8, 22), (b"PK\1\2", 10, 24)):
        at = 0
        while (at := data.find(signature + b"\x14\0", at)) >= 0:
            data[at + method : at + method + 2] = b"\x08\0"
            data[at + size : at + size + 4] = (60 << 20).to_bytes(4, "little")
            at += 4
    archive.write_bytes(data)

    with pytest.raises(IntegrityError, match=r"its members would unpack from 1\.. MB to 1\.5 GB"):
        extract(tree, archive)
    assert not tree.folder.exists()


# ------------------------------------------------------------------------------------------------- something in place


KINDS = ["link", "dangling link", "fifo", "folder"]


def put(path: Path, kind: str, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if "link" in kind:
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", KINDS)
def test_something_else_in_the_place_of_a_file_is_neither_followed_nor_replaced(
    tree: PartsTree, archive: Path, kind: str
) -> None:
    outside, path = tree.folder.parent / "outside", tree.folder / BAND
    if kind == "link":
        outside.write_text("mine")
    put(path, kind, outside)
    before = path.lstat()

    with pytest.raises(FileError, match=r"B02\.jp2: expected a file, found a"):
        extract(tree, archive)

    assert (before.st_ino, before.st_mode) == (path.lstat().st_ino, path.lstat().st_mode)
    assert ("mine" if kind == "link" else None) == (outside.read_text() if outside.exists() else None)
    assert ["P.SAFE"] == files_in(tree.folder)


@pytest.mark.parametrize("kind", [*KINDS[:-1], "file"])
@pytest.mark.parametrize("place", ["", "P.SAFE", "P.SAFE/GRANULE"])
def test_something_else_in_the_place_of_a_folder_is_not_followed(
    tree: PartsTree, archive: Path, kind: str, place: str
) -> None:
    outside, path = tree.folder.parent / "outside", tree.folder / place
    if kind == "link":
        outside.mkdir()
    if kind == "file":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    else:
        put(path, kind, outside)

    with pytest.raises(FileError, match="expected a folder, found a"):
        extract(tree, archive)

    assert path.is_symlink() is ("link" in kind)
    assert ([] if kind == "link" else None) == (files_in(outside) if outside.exists() else None)


def test_a_file_with_further_names_is_replaced_and_they_keep_the_old_content(tree: PartsTree, archive: Path) -> None:
    other = tree.folder.parent / "other"
    other.write_text("mine")
    (tree.folder / BAND).parent.mkdir(parents=True)
    (tree.folder / BAND).hardlink_to(other)

    extract(tree, archive)

    assert ("mine", NOISE) == (other.read_text(), (tree.folder / BAND).read_bytes())


# --------------------------------------------------------------------------------------------------------- the disk


def test_what_a_killed_run_has_left_is_removed(tree: PartsTree, archive: Path) -> None:
    tree.folder.mkdir()
    (tree.folder / ".0123456789abcdef.part").write_bytes(NOISE)
    (tree.folder / ".note.part").write_text("of the user")

    extract(tree, archive)

    assert [".note.part", "P.SAFE"] == files_in(tree.folder)


@pytest.mark.parametrize("call", ["fsync", "pwrite", "replace", "close"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EFBIG, errno.ENAMETOOLONG])
def test_an_error_of_the_disk_leaves_no_name_and_says_which_file(
    tree: PartsTree, archive: Path, call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, failed = getattr(os, call), False

    def fail(*given: object, **named: object) -> object:
        nonlocal failed
        if failed or (call == "close" and os.fstat(given[0]).st_size != len(NOISE)):  # type: ignore[arg-type] # a descriptor
            return genuine(*given, **named)
        failed = True
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises((FileError, StorageError)) as caught:
            extract(tree, archive, [BAND])

    assert f"{tree.folder / BAND}: {os.strerror(number)}" in str(caught.value)
    assert (number == errno.ENOSPC) is isinstance(caught.value, StorageError)
    assert {} == files_below(tree.folder)
    assert 1 == len(extract(tree, archive, [BAND])[0])


def test_a_file_that_is_too_large_for_its_file_system_fails_this_product(tree: PartsTree, archive: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(NOISE) - 1, hard))
    try:
        with pytest.raises(FileError, match=r"B02\.jp2: File too large"):
            extract(tree, archive, [BAND])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)

    assert {} == files_below(tree.folder)


def test_a_cancelled_extraction_leaves_only_complete_files(tree: PartsTree, archive: Path) -> None:
    done: list[HeldMember] = []

    with pytest.raises(Stopped):
        extract(tree, archive, stop=lambda: len(done) == 1, on_member=done.append)

    assert {done[0].name: CONTENT[done[0].name]} == files_below(tree.folder)


def test_an_archive_that_cannot_be_read_back_is_no_damage_of_a_member(
    tree: PartsTree, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("collgs_async.storage.zip_members.MemberReader.unpack", fail)
    with pytest.raises(UnreadableError):
        extract(tree, archive)


# ------------------------------------------------------------------------------------------------------------- here


def test_an_unchanged_file_is_not_read_and_any_other_is(tmp_path: Path) -> None:
    tree, record = extracted(tmp_path, written(entries()))
    band, manifest = tree.folder / BAND, tree.folder / MANIFEST
    assert set(CONTENT) == tree.here(record)
    before = band.stat()

    manifest.touch()  # the same content at another time
    flip(band, 7)
    assert {MANIFEST, EMPTY} == tree.here(record)
    os.utime(band, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert set(CONTENT) == tree.here(record)

    confirmed = record.with_members(tree.confirmed(record))
    manifest.write_bytes(TEXT[:-1])
    (tree.folder / EMPTY).unlink()
    assert {BAND} == tree.here(record)
    assert {one.name: one.mtime_ns for one in confirmed.here}[MANIFEST] != record.here[0].mtime_ns


@pytest.mark.parametrize("kind", KINDS)
def test_something_else_in_the_place_of_a_file_is_not_here(tmp_path: Path, kind: str) -> None:
    tree, record = extracted(tmp_path, written(entries()))
    (tree.folder / BAND).rename(tmp_path / "moved")
    put(tree.folder / BAND, kind, tmp_path / ("moved" if kind == "link" else "nowhere"))

    assert {MANIFEST, EMPTY} == tree.here(record)


def test_a_linked_folder_of_the_tree_is_not_here(tmp_path: Path) -> None:
    tree, record = extracted(tmp_path, written(entries()))
    (tree.folder / "P.SAFE").rename(tmp_path / "moved")
    (tree.folder / "P.SAFE").symlink_to(tmp_path / "moved")

    assert frozenset() == tree.here(record)


def test_without_a_tree_nothing_is_here(tmp_path: Path) -> None:
    tree, record = extracted(tmp_path, written(entries()))

    assert frozenset() == PartsTree(tmp_path / "other.parts").here(record)
    assert [] == PartsTree(tmp_path / "other.parts").adopt([])
    assert set(CONTENT) == tree.here(record)


def test_files_without_a_record_are_adopted_by_the_directory(tree: PartsTree, archive: Path) -> None:
    held, _ = extract(tree, archive)
    flip(tree.folder / MANIFEST, 3)
    members = read_members(archive).members

    adopted = tree.adopt(members)

    assert [BAND, EMPTY] == [one.name for one in adopted]
    assert [(one.crc, one.sha256, one.mtime_ns) for one in held[1:]] == [(a.crc, a.sha256, a.mtime_ns) for a in adopted]


# -------------------------------------------------------------------------------------------------- seed, set aside


def test_a_changed_file_and_deflated_ones_are_not_seeded(tmp_path: Path) -> None:
    data = written([*entries(), Entry(b"P.SAFE/B03.jp2", NOISE[::-1])])
    tree, record = extracted(tmp_path, data)
    flip(tree.folder / BAND, 9)
    part = tmp_path / "P.zip.part"

    held = tree.seed(part, record, record.remote)

    header = {one.name: one.header for one in record.here}
    gaps = held.gaps(len(data))
    assert [(header[MANIFEST], header[EMPTY])] == gaps
    assert part.stat().st_size == len(data)
    assert ["P.zip.part", "P.zip.part.json", tree.folder.name] == files_in(tmp_path)


def test_a_part_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    tree, record = extracted(tmp_path, written(entries()))
    part = tmp_path / "P.zip.part"
    part.write_text("mine")

    with pytest.raises(FileError, match="expected no file, found one of 4 bytes"):
        tree.seed(part, record, record.remote)

    assert "mine" == part.read_text()
    part.write_bytes(b"")
    assert tree.seed(part, record, record.remote).total


def test_a_tree_is_set_aside_under_a_name_of_its_own(tmp_path: Path) -> None:
    for expected in (f"{ID}.parts", f"{ID}.parts.1", f"{ID}.parts.2"):
        tree, _ = extracted(tmp_path, written(entries()))
        assert tmp_path / ".collgs/old/replaced" / expected == tree.set_aside(tmp_path)
        assert not tree.folder.exists()
    assert tree.set_aside(tmp_path) is None


@pytest.mark.parametrize("place", [".collgs", ".collgs/old", f"{ID}.parts"])
def test_nothing_is_set_aside_through_a_link(tmp_path: Path, place: str) -> None:
    output, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    tree, _ = extracted(output, written(entries()))
    elsewhere.mkdir()
    if place == tree.folder.name:
        tree.folder.rename(tmp_path / "moved")
    (output / place).parent.mkdir(exist_ok=True)
    (output / place).symlink_to(elsewhere)

    with pytest.raises(FileError, match="expected a folder, found a symbolic link"):
        tree.set_aside()

    assert [] == files_in(elsewhere)


def test_the_folder_of_a_tree_is_named_after_the_archive(tmp_path: Path) -> None:
    for identifier in ("P", "P.zip", "a/b", "x" * 400, ".."):
        folder = parts_folder(tmp_path / file_name(identifier))
        assert is_parts_folder(folder.name)
        assert not folder.name.endswith((".zip", ".SAFE"))
        assert folder.parent == tmp_path
    assert parts_folder(tmp_path / "P.zip") != parts_folder(tmp_path / "P.zip.zip")
