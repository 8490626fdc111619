"""What is made good of a replacement, by what lies where after a kill."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from collgs_async.errors import FileError
from collgs_async.ledger.change_records import Change, Validators
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.records import Event
from collgs_async.mirror import replacing
from collgs_async.storage.lock import ProductLock

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW, MINE = b"old", b"newer", b"of the user"
ITEM = b'{"properties": {}}'
MOVED = ".collgs/old/replaced/2026-11/a/x.zip"


def change(*, is_deleted: bool = False) -> Change:
    record = OutcomeRecord("x", Event.DOWNLOADED, 2, path="a/x.zip", size=len(NEW), mtime=1000)
    return Change(1, "x", 1, Validators(), len(OLD), 1000, "a/x.zip", MOVED, record, False, is_deleted)


def put(path: Path, content: bytes | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)
        os.utime(path, (1, 1))


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("is_deleted", [False, True])
@pytest.mark.parametrize(
    ("new", "final", "old", "is_here"),
    [
        pytest.param(NEW, OLD, None, True, id="nothing was done"),
        pytest.param(NEW, None, OLD, True, id="the old one was moved"),
        pytest.param(NEW, None, None, True, id="the old one was moved, and removed by the user"),
        pytest.param(None, NEW, OLD, True, id="both were moved"),
        pytest.param(None, NEW, None, True, id="the old one was deleted"),
        pytest.param(None, OLD, None, False, id="the new one is lost"),
        pytest.param(None, None, OLD, False, id="the new one is lost after the old one was moved"),
        pytest.param(None, None, None, False, id="there is neither"),
    ],
)
def test_what_is_left_to_do_follows_from_what_lies_where(
    tmp_path: Path, new: bytes | None, final: bytes | None, old: bytes | None, is_here: bool, is_deleted: bool
) -> None:
    put(tmp_path / ".collgs/again/x.zip", new)
    put(tmp_path / "a/x.zip", final)
    put(tmp_path / MOVED, old)

    for _ in range(2):
        assert is_here == replacing._carry_out(tmp_path, change(is_deleted=is_deleted))
        there = NEW if is_here else final or old
        assert there == read(tmp_path / "a/x.zip")
        moved = OLD if is_here and OLD in (final, old) else None
        assert moved == read(tmp_path / MOVED)
        assert not (tmp_path / ".collgs/again/x.zip").exists()
    for _ in range(2):
        replacing._remove(tmp_path, MOVED)
        assert not (tmp_path / ".collgs/old").exists()
        assert there == read(tmp_path / "a/x.zip")


def test_what_lies_beside_the_old_one_goes_along(tmp_path: Path) -> None:
    put(tmp_path / ".collgs/again/x.zip", NEW)
    put(tmp_path / "a/x.zip", OLD)
    put(tmp_path / "a/x.stac.json", ITEM)
    put(tmp_path / "a/x.jpg", b"picture")

    assert replacing._carry_out(tmp_path, change())

    assert ["x.zip"] == [path.name for path in (tmp_path / "a").iterdir()]
    assert b"deprecated" in (tmp_path / MOVED).with_name("x.stac.json").read_bytes()


@pytest.mark.parametrize("final", [MINE, b"OLD"])
def test_another_file_under_the_final_name_is_never_touched(tmp_path: Path, final: bytes) -> None:
    put(tmp_path / ".collgs/again/x.zip", NEW)
    put(tmp_path / "a/x.zip", final)
    os.utime(tmp_path / "a/x.zip", (100, 100))

    with pytest.raises(FileError, match="is not the archive that was recorded"):
        replacing._carry_out(tmp_path, change())

    assert (final, NEW, None) == (
        read(tmp_path / "a/x.zip"),
        read(tmp_path / ".collgs/again/x.zip"),
        read(tmp_path / MOVED),
    )


def test_an_archive_that_another_run_has_locked_is_left_to_it(tmp_path: Path) -> None:
    put(tmp_path / ".collgs/again/x.zip", NEW)
    put(tmp_path / "a/x.zip", OLD)
    lock = ProductLock(tmp_path / "a/x.zip.part")
    assert lock.acquire()
    try:
        with pytest.raises(FileError, match="another run"):
            replacing._carry_out(tmp_path, change())
    finally:
        lock.release()
    assert OLD == read(tmp_path / "a/x.zip")


def test_the_old_one_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / ".collgs/again/x.zip", NEW)
    put(tmp_path / "a/x.zip", OLD)
    put(tmp_path / "a/x.stac.json", ITEM)
    rename = type(tmp_path).rename

    def refuse(path: Path, to: Path) -> Path:
        if path == tmp_path / ".collgs/again/x.zip":
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, to)

    monkeypatch.setattr(type(tmp_path), "rename", refuse)

    with pytest.raises(PermissionError):
        replacing._carry_out(tmp_path, change())

    assert (OLD, ITEM) == (read(tmp_path / "a/x.zip"), read(tmp_path / "a/x.stac.json"))
