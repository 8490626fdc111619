"""Trees of members in an audit: checked by their record, and never taken for archives."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from collgs_async.errors import FileError, IntegrityError
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.audit import verify_folder
from collgs_async.storage.filenames import part_of
from collgs_async.storage.lock import ProductLock
from collgs_async.storage.verify import DamagedMembersError, Level
from collgs_async.storage.verify_tree import tree_size, verify_tree
from tests.support.archives import Entry, written
from tests.support.odd_archives import NOISE, TEXT, entries
from tests.support.trees import ID, extracted

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.storage.parts_record import PartsRecord
    from collgs_async.storage.parts_tree import PartsTree

MANIFEST, BAND, EMPTY = "P.SAFE/manifest.safe", "P.SAFE/GRANULE/B02.jp2", "P.SAFE/empty.xml"


@pytest.fixture
def held(tmp_path: Path) -> tuple[PartsTree, PartsRecord]:
    return extracted(
        tmp_path, written([Entry(b"P.SAFE/"), *entries(), Entry(b"P.SAFE/B03.jp2", TEXT)]), [MANIFEST, BAND]
    )


def rot(path: Path) -> None:
    """Change one bit, and nothing that the file system tells."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("level", Level)
def test_a_right_tree_says_how_much_of_its_archive_it_has(held: tuple[PartsTree, PartsRecord], level: Level) -> None:
    verdict = verify_tree(held[0].folder, level)

    assert ("2 of 4 members of the archive are here",) == verdict.notes
    assert ((), 0) == (verdict.warnings, verdict.unchecked)
    assert len(TEXT) + len(NOISE) == tree_size(held[0].folder)


def test_a_flipped_bit_is_found_by_reading_only(held: tuple[PartsTree, PartsRecord]) -> None:
    tree, record = held
    rot(tree.folder / BAND)

    verify_tree(tree.folder, Level.STRUCTURE)
    with pytest.raises(
        DamagedMembersError, match=r"1 of 2 members damaged: 'P.SAFE/GRANULE/B02.jp2' \(its CRC-32 is"
    ) as c:
        verify_tree(tree.folder)

    band = next(one for one in record.here if one.name == BAND)
    assert [(BAND, band.header)] == [(one.name, one.start) for one in c.value.damaged]
    assert band.header + len(NOISE) < c.value.damaged[0].end


@pytest.mark.parametrize("level", Level)
def test_a_missing_and_a_shorter_file_are_found_at_each_level(
    held: tuple[PartsTree, PartsRecord], level: Level
) -> None:
    (held[0].folder / MANIFEST).unlink()
    (held[0].folder / BAND).write_bytes(NOISE[:-1])

    with pytest.raises(DamagedMembersError) as caught:
        verify_tree(held[0].folder, level)

    assert "2 of 2 members damaged: 'P.SAFE/manifest.safe' (it is missing)" in str(caught.value)
    assert "(it has 4999 bytes, 5000 expected)" in str(caught.value)


def test_a_link_in_the_place_of_a_file_is_named(held: tuple[PartsTree, PartsRecord], tmp_path: Path) -> None:
    (held[0].folder / BAND).rename(tmp_path / "moved")
    (held[0].folder / BAND).symlink_to(tmp_path / "moved")

    with pytest.raises(DamagedMembersError, match="expected a file, found a symbolic link"):
        verify_tree(held[0].folder)


def test_further_files_are_a_note(held: tuple[PartsTree, PartsRecord]) -> None:
    (held[0].folder / "P.SAFE" / "B02.jp2.aux.xml").write_text("of GDAL")
    (held[0].folder / ".0123456789abcdef.part").write_text("of a run")

    notes = verify_tree(held[0].folder).notes

    assert "1 file of no member that is here, such as 'P.SAFE/B02.jp2.aux.xml'" == notes[1]


def test_a_tree_without_a_usable_record_is_no_tree_that_is_right(held: tuple[PartsTree, PartsRecord]) -> None:
    record = held[0].folder / "parts.json"
    text = record.read_text()

    record.write_text(text[:-9])
    with pytest.raises(IntegrityError, match="the record is damaged"):
        verify_tree(held[0].folder)
    record.write_text(text.replace('"version": 1', '"version": 7'))
    with pytest.raises(FileError, match="a later release"):
        verify_tree(held[0].folder)
    record.unlink()
    with pytest.raises(IntegrityError, match=r"there is no parts\.json"):
        verify_tree(held[0].folder)
    assert tree_size(held[0].folder) is None
    shutil.rmtree(held[0].folder / "P.SAFE")
    assert ("no member of the archive is here yet",) == verify_tree(held[0].folder).notes


# ------------------------------------------------------------------------------------------------------- in an audit


async def test_an_audit_counts_trees_and_takes_nothing_in_them_for_an_archive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = written(entries())
    tree, _ = extracted(tmp_path / "year", written([Entry(b"P.SAFE/inner.zip", inner), Entry(b"P.SAFE/bad.zip", TEXT)]))
    (tree.folder / "P.SAFE" / "further.zip").write_text("no archive")
    (tmp_path / "P.zip.parts").mkdir()
    (tmp_path / "P.zip.parts" / "x.zip").write_text("no archive")
    (tmp_path / "P.zip.parts" / "parts.json").write_bytes((tree.folder / "parts.json").read_bytes())
    (tmp_path / "P.zip").write_bytes(inner)
    caplog.set_level("INFO")

    audit = await verify_folder(tmp_path, Level.CRC, SilentProgress())

    assert (3, 2, 1) == (audit.checked, audit.trees, len(audit.bad))
    assert tmp_path / "P.zip.parts" == audit.bad[0].path
    assert audit.bad[0].is_tree
    assert ("P.SAFE/bad.zip", "P.SAFE/inner.zip") == tuple(sorted(audit.bad[0].members))
    assert "; 2 are parts of archives" in str(audit)
    assert f"{tree.folder}: note: 2 of 2 members of the archive are here" in caplog.messages
    assert len(inner) + len(TEXT) <= audit.bytes


async def test_a_tree_can_be_named_and_those_set_aside_are_left_alone(tmp_path: Path) -> None:
    tmp_path = tmp_path / "above" / "output"
    tree, _ = extracted(tmp_path, written(entries()))

    alone = await verify_folder(tree.folder, Level.CRC, SilentProgress())
    rot(tree.folder / BAND)
    found = await verify_folder(tree.folder, Level.CRC, SilentProgress())
    tree.set_aside(tmp_path)
    tree, _ = extracted(tmp_path, written(entries()))
    tree.set_aside(tmp_path)
    (tmp_path / ".collgs/old/replaced" / f"{ID}.parts.1" / "P.SAFE" / "a.zip").write_text("no archive")
    after = await verify_folder(tmp_path, Level.CRC, SilentProgress())
    above = await verify_folder(tmp_path.parent, Level.CRC, SilentProgress())

    assert [(1, True), (1, False), (0, True), (0, True)] == [
        (one.checked, one.ok) for one in (alone, found, after, above)
    ]
    assert "1 checked" in str(alone)
    assert "1 is a part of an archive" in str(alone)
    assert "no archives there" == str(after)


async def test_a_linked_tree_is_not_followed(tmp_path: Path) -> None:
    tree, _ = extracted(tmp_path / "a", written(entries()))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / tree.folder.name).symlink_to(tree.folder)

    audit = await verify_folder(tmp_path / "b", Level.CRC, SilentProgress())

    assert [(1, False)] == [(audit.checked, audit.ok)]
    assert "found a symbolic link" in str(audit.bad[0].problem)


def test_dropped_members_are_not_here_any_more(held: tuple[PartsTree, PartsRecord]) -> None:
    tree, record = held
    rot(tree.folder / BAND)
    assert BAND in tree.here(record)

    assert tree.drop([BAND])

    recorded = tree.read_record()
    assert recorded is not None
    assert {MANIFEST} == recorded.names == tree.here(recorded)
    assert [] == list(tree.folder.parent.glob("*.lease*"))


def test_nothing_is_dropped_while_another_run_has_the_product(held: tuple[PartsTree, PartsRecord]) -> None:
    tree, record = held
    lock = ProductLock(part_of(tree.folder.with_name(f"{ID}.zip")))
    assert lock.acquire()

    assert not tree.drop([BAND])

    assert record == tree.read_record()
    lock.release()
