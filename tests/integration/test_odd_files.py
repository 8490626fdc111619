"""What else may lie in the folder: odd files under our names, disks that forget, files that are not ours to write."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.errors import ExhaustedError, FileError, StorageError, TakenOverError
from collgs_async.storage.files import open_regular, read_small, separate, trouble
from collgs_async.storage.part import SMALL, PartFile
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.storage.zip_directory import read_members
from tests.conftest import HANGS, fault, level2_scenes
from tests.support.commands import (
    assert_clean_exit,
    at_url,
    files_below,
    may_mount,
    originals,
    stored_scenes,
    wrong_finals,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command, CommandHere

BIG = RemoteVersion("http://store/a.zip", SMALL + 1, '"tag"')


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have no more than 107 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def make_folder(path: Path) -> None:
    path.mkdir()


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_a_file(path: Path) -> None:
    path.symlink_to("../thesis.txt")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("../nothing")


ODD = (make_fifo, make_socket, make_folder, link_to_zeros, link_to_itself, link_to_a_file, link_to_nothing)
odd = pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)


@odd
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT], ids=["read", "write", "create"])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None], flags: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "thesis.txt").write_text("years of work")
    make(folder / "odd")

    with pytest.raises(FileError, match="odd: expected a file, found a"):
        open_regular(folder / "odd", flags)

    assert not (tmp_path / "nothing").exists()


def test_a_small_file_is_read_to_its_limit_and_a_missing_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "small"
    assert read_small(path, 10) is None
    path.write_bytes(bytes(100))
    os.truncate(path, 2**40)
    assert bytes(10) == read_small(path, 10)


@pytest.mark.parametrize("suffix", ["", ".part", ".part.json", ".part.lease"])
@odd
async def test_an_odd_neighbour_fails_its_product_alone_and_is_left_alone(
    serve: Callable[..., Any], make: Callable[[Path], None], suffix: str
) -> None:
    """A link under the final name that leads to no archive may be replaced, for that harms nothing."""
    scenes = level2_scenes(2, size=6_000_000)
    site = await serve(scenes)
    site.folder.mkdir()
    thesis = site.folder.with_name("thesis.txt")
    thesis.write_text("years of work")
    final = site.archive(scenes[0])
    if suffix == ".part.json":
        final.with_name(f"{final.name}.part").write_bytes(site.original(scenes[0])[:5_000_000])
    path = final.with_name(final.name + suffix)
    make(path)
    before = path.lstat()

    for options in ({}, {"skip_existing": False}):
        async with asyncio.timeout(HANGS):
            report = await site.pull(**options)
        assert site.archive(scenes[1]).is_file()
        replaced = suffix == "" and make in (link_to_a_file, link_to_nothing)
        assert report.failed == (0 if replaced else 1)
        assert all(str(path) in str(failure.error) for failure in report.failures)
        assert replaced or (before.st_ino, before.st_mode) == (path.lstat().st_ino, path.lstat().st_mode)

    assert "years of work" == thesis.read_text()
    assert not site.folder.with_name("nothing").exists()


@pytest.mark.parametrize("suffix", [".part", ".part.json"])
async def test_what_has_a_second_name_is_not_written(serve: Callable[..., Any], suffix: str) -> None:
    """As in a snapshot that is made of hard links."""
    scene = stored_scenes(1, 6_000_000)[0]
    site = await serve([scene])
    right = site.original(scene)
    site.folder.mkdir()
    final = site.archive(scene)
    part = final.with_name(f"{final.name}.part")
    part.write_bytes(right[:5_000_000])
    part.with_name(f"{part.name}.json").write_text('{"url": "of another", "size": null}' + " " * 1000)
    snapshot = site.folder.with_name("snapshot")
    os.link(final.with_name(final.name + suffix), snapshot)
    before = snapshot.read_bytes()

    report = await site.pull()

    assert (1, 0) == (report.downloaded, report.failed)
    assert right == final.read_bytes()
    assert before == snapshot.read_bytes()
    assert 1 == final.stat().st_nlink


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root may read everything")
@pytest.mark.parametrize("suffix", ["", ".part", ".part.json", ".part.lease"])
async def test_what_cannot_be_read_fails_its_product_alone(
    serve: Callable[..., Any], tmp_path: Path, suffix: str
) -> None:
    scenes = level2_scenes(2, size=6_000_000)
    site = await serve(scenes)
    site.folder.mkdir()
    final = site.archive(scenes[0])
    final.with_name(f"{final.name}.part").write_bytes(site.original(scenes[0])[:5_000_000])
    hidden = final.with_name(final.name + suffix)
    hidden.write_bytes(hidden.read_bytes() if hidden.exists() else b"{}")
    hidden.chmod(0)
    prefix: list[str] = []
    if os.getuid() == 0:
        # Without the rights of root its own user may still not read what has no rights.
        prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]

    process = await asyncio.create_subprocess_exec(
        *(*prefix, sys.executable, "-m", "collgs_async", *map(str, at_url(site))),
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    _, said = await process.communicate()

    assert 1 == process.returncode
    assert site.archive(scenes[1]).is_file()
    assert not final.is_file() or hidden == final
    assert f"{hidden}: Permission denied" in said.decode() or f"{hidden} cannot be read" in said.decode()


@odd
async def test_odd_neighbours_of_archives_are_bad_archives(
    serve: Callable[..., Any], run_cli: CommandHere, make: Callable[[Path], None]
) -> None:
    site = await serve(level2_scenes(1))
    await site.pull()
    site.folder.with_name("thesis.txt").write_text("years of work")
    make(site.folder / "odd.zip")

    ended = assert_clean_exit(await run_cli("verify", site.folder))

    folder = make is make_folder  # in which there may be archives
    assert ended.code == (0 if folder else 1)
    assert ("odd.zip" in ended.err) is not folder


@pytest.mark.parametrize("most", [16, 20, 24])
async def test_few_descriptors_slow_a_run_down_and_do_not_end_it(
    serve: Callable[..., Any], command: Command, most: int
) -> None:
    site = await serve(stored_scenes(12, 300_000))
    right = originals(site)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'ulimit -n {most}; exec "$@"', "sh"),
        *(sys.executable, "-m", "collgs_async", *map(str, at_url(site)), "--workers", "8"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=command.folder,
    )

    ended = assert_clean_exit(await command.end(process))

    assert 0 == ended.code
    assert sorted(right) == files_below(site.folder)
    assert [] == wrong_finals(site.folder, right)
    assert "No space" not in ended.err


# ------------------------------------------------------------------------------------------------ whose trouble it is


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "number",
    [
        *(errno.EFBIG, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM),
        *(errno.EILSEQ, errno.EINVAL, errno.EIO, errno.ENOENT),
    ],
    ids=os.strerror,
)
def test_what_the_folder_has_no_part_in_is_trouble_of_one_file(tmp_path: Path, number: int) -> None:
    assert type(trouble(failure(number), tmp_path / "a.zip")) is FileError
    assert type(trouble(failure(number), tmp_path / "gone" / "a.zip")) is StorageError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS], ids=os.strerror)
def test_a_disk_that_takes_nothing_is_trouble_of_all(tmp_path: Path, number: int) -> None:
    assert type(trouble(failure(number), tmp_path / "a.zip")) is StorageError


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE], ids=os.strerror)
def test_too_many_open_files_are_trouble_of_the_moment(tmp_path: Path, number: int) -> None:
    assert type(trouble(failure(number), tmp_path / "a.zip")) is ExhaustedError


# ------------------------------------------------------------------------------------------------ whose file it is


async def test_a_part_that_was_taken_over_is_another_file(tmp_path: Path) -> None:
    """A process that still has the old file open writes only into that, without harm."""
    final = tmp_path / "a.zip"
    async with PartFile(final) as stale:
        await stale.write(0, b"abc")
        separate(stale.path)
        await stale.write(1, b"XY")
        assert b"abc" == stale.path.read_bytes()
    assert ["a.zip.part"] == files_below(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 3 * 2**20 + 5])
@pytest.mark.parametrize("by_system", [True, False])
def test_a_copy_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, *, by_system: bool
) -> None:
    if not by_system:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    path, content = tmp_path / "a.zip.part", os.urandom(length)
    path.write_bytes(content)
    before = path.stat().st_ino

    separate(path)

    assert content == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
    assert before != path.stat().st_ino


async def taken(final: Path) -> PartFile:
    part = PartFile(final)
    assert part.lock.acquire()
    await part.set_version(BIG)
    async with part:
        await part.write(0, b"abc")
    return part


@pytest.mark.parametrize("step", ["write", "cut", "remember", "record", "discard", "publish"])
@pytest.mark.parametrize("how", ["lock", "part"])
async def test_nothing_is_written_or_removed_that_another_run_took_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, how: str
) -> None:
    """After a pause, as of a container, which the clock tells; a part that was replaced is seen where it matters."""
    part = await taken(tmp_path / "a.zip")
    async with part:
        if how == "lock":
            (tmp_path / "a.zip.part.lease").write_text("of another run")
        separate(part.path)
        part.path.write_bytes(b"of another run")
        part.sidecar.write_text('{"url": "of another run"}')
        monkeypatch.setattr("collgs_async.storage.lock._clock", lambda: 1e12)
        steps: dict[str, Callable[[], Any]] = {
            "write": lambda: part.write(3, b"d"),
            "cut": lambda: part.cut(1),
            "remember": lambda: part.set_version(None),
            "record": lambda: part.invalidate([(0, 1)]),
            "discard": part.discard,
            "publish": lambda: asyncio.to_thread(part.publish),
        }
        if how == "part" and step in {"write", "record"}:
            await steps[step]()  # the file that is open has no name any more, and the sidecar is checked by its bytes
        else:
            with pytest.raises(TakenOverError):
                await steps[step]()
    assert b"of another run" == part.path.read_bytes()
    assert not part.final.exists()


async def test_a_lock_is_looked_at_only_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = await taken(tmp_path / "a.zip")
    monkeypatch.setattr("collgs_async.storage.lock.read_small", lambda *_: pytest.fail("looked"))

    async with part:
        await part.write(3, b"def")


# ------------------------------------------------------------------------------------------------ disks that forget

THIN = """
mount -t tmpfs -o size=12m tmpfs "$OUT" || exit 77
truncate -s 200m "$OUT/image" && mkfs.ext4 -q -O ^has_journal "$OUT/image" || exit 77
mkdir "$OUT/disk" && mount -o loop "$OUT/image" "$OUT/disk" || exit 77
"$@" 2> first.err; echo $? > first.code
ls "$OUT/disk" > first.names
mount -o remount,size=100m "$OUT"
"$@" 2> second.err; echo $? > second.code
umount "$OUT/disk" && mount -o loop "$OUT/image" "$OUT/disk" || exit 78
cp -R "$OUT/disk" second
umount "$OUT/disk"
"""
"""Runs a command twice on a disk that is smaller than it says, which only a flush finds out; then mounts it anew."""


def may_loop() -> bool:
    trial = "mount -t tmpfs tmpfs /mnt && truncate -s 8m /mnt/i && mkfs.ext4 -q /mnt/i && mount -o loop /mnt/i /mnt"
    tools = all(map(shutil.which, ("unshare", "mkfs.ext4", "losetup")))
    return tools and not subprocess.run(["unshare", "-m", "sh", "-c", trial], capture_output=True).returncode


@pytest.mark.skipif(not (may_mount() and may_loop()), reason="mounting a disk of its own is not permitted here")
async def test_what_a_flush_could_not_bring_to_the_disk_is_fetched_anew(
    serve: Callable[..., Any], command: Command
) -> None:
    site = await serve(stored_scenes(2, 16_000_000))
    right = originals(site)
    site.folder.mkdir()
    words = [*map(str, at_url(site)), "--workers", "1", "--output", str(site.folder / "disk")]
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "sh", "-c", THIN, "sh", sys.executable, "-m", "collgs_async", *words),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    assert 0 == await shell.wait()

    assert "1\n" == (command.folder / "first.code").read_text()
    dropped = re.findall(r"([^/\s]+\.zip\.part): .*dropped", (command.folder / "first.err").read_text())
    assert dropped  # the other archive may have begun, and its part stays
    assert set(dropped).isdisjoint((command.folder / "first.names").read_text().split())
    assert "0\n" == (command.folder / "second.code").read_text(), (command.folder / "second.err").read_text()
    assert [] == wrong_finals(command.folder / "second", right)
    assert set(right) == {path.name for path in (command.folder / "second").glob("*.zip")}


# ------------------------------------------------------------------------------------------------ disks that wear out

WORN = """
mount -t tmpfs tmpfs "$OUT" || exit 77
truncate -s 96m "$OUT/image" && mkfs.ext4 -q -O ^has_journal "$OUT/image" || exit 77
mkdir "$OUT/disk" && mount -o loop "$OUT/image" "$OUT/disk" && cp before/* "$OUT/disk" || exit 77
umount "$OUT/disk" && mount -o loop "$OUT/image" "$OUT/disk" && truncate -s 10m "$OUT/image" || exit 77
"$@" 2> run.err; echo $? > run.code
cp -R "$OUT/disk" after
umount "$OUT/disk"
"""
"""Runs a command in a folder whose files have lost their bytes: there are errors where they are read, until new ones
are written."""


@pytest.mark.skipif(not (may_mount() and may_loop()), reason="mounting a disk of its own is not permitted here")
@pytest.mark.parametrize("kept", ["part", "part and sidecar", "archive"])
async def test_what_cannot_be_read_back_is_fetched_anew(serve: Callable[..., Any], command: Command, kept: str) -> None:
    """Where the part is joined by equal bytes it is read at once; else when it is verified."""
    scenes = stored_scenes(2, 12_000_000)
    site = await serve(scenes, faults={scene.identifier: (fault("cut"), fault("500")) for scene in scenes})
    right = originals(site)
    await site.pull(retries=0, outage=0, segments=1)  # a helper would meet the second fault
    before, worn = command.folder / "before", site.archive(scenes[0]).name
    before.mkdir()
    for path in site.folder.glob(f"{worn}.part*"):
        shutil.copy(path, before)
    if kept != "part and sidecar":
        (before / f"{worn}.part.json").unlink()
    if kept == "archive":
        (before / f"{worn}.part").unlink()
        (before / worn).write_bytes(right[worn])
    site.folder = site.folder.with_name("disks")
    site.folder.mkdir()
    shell = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "sh", "-c", WORN, "sh", sys.executable, "-m", "collgs_async", *map(str, at_url(site))),
        *("--output", str(site.folder / "disk")),
        cwd=command.folder,
        env={**os.environ, "OUT": str(site.folder)},
    )
    assert 0 == await shell.wait()

    said = (command.folder / "run.err").read_text()
    assert "0\n" == (command.folder / "run.code").read_text(), said
    assert 1 == said.count("cannot be read back from the disk (Input/output error)"), said
    assert [] == wrong_finals(command.folder / "after", right)
    assert set(right) == {path.name for path in (command.folder / "after").glob("*.zip")}
    assert [] == list((command.folder / "after").glob("*.part*"))


async def test_what_cannot_be_read_back_twice_fails_alone(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    worn = site.archive(scenes[1])

    def read(path: Path, **named: Any) -> Any:
        if path.name.startswith(worn.name):
            raise failure(errno.EIO)
        return read_members(path, **named)

    monkeypatch.setattr("collgs_async.storage.verify.read_members", read)

    report = await site.pull()

    assert (2, 1) == (report.downloaded, report.failed)
    assert isinstance(report.failures[0].error, FileError)
    assert str(report.failures[0].error).endswith("(Input/output error), also after it was fetched once more")
    assert 2 == sum(worn.name in hit.path for hit in site.archive_hits())
    assert [] == site.litter()


async def test_a_sidecar_that_cannot_be_read_back_is_dropped_with_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the only record of what is here, so the part without it would be believed."""
    (await taken(tmp_path / "a.zip")).lock.release()
    part = PartFile(tmp_path / "a.zip")
    with monkeypatch.context() as patched:
        patched.setattr("collgs_async.storage.sidecar.read_small", lambda *_: (_ for _ in ()).throw(failure(errno.EIO)))
        part.open_existing()

    assert (0, None) == (part.held.total, part.remote)
    assert [] == files_below(tmp_path)
    assert 1 == caplog.text.count("it cannot be read back from the disk (Input/output error); it is dropped")
    async with part:
        await part.write(0, b"new")
    assert b"new" == part.path.read_bytes()
