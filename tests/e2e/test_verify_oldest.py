"""`collgs-async verify --oldest`: the archives that were verified longest ago, by the ledger."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.products import attempts_of, file_of, find_product
from collgs_async.ledger.records import Event, State
from collgs_async.storage.zip_directory import read_members
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.demo.scenes import Scene
    from collgs_async.ledger.records import AttemptRecord, FileRecord, ProductRecord
    from tests.conftest import Command, CommandHere

SIZE = 300_000


async def ledger_of(site: Any) -> LedgerPaths:
    """The ledger of a folder; it is made."""
    paths = LedgerPaths.of(site.config())
    async with Ledger.open(paths):
        pass
    return paths


@pytest.fixture
async def site(serve: Callable[..., Any]) -> Any:
    """Four archives in a folder with a ledger."""
    site = await serve(level2_scenes(4, size=SIZE))
    await ledger_of(site)
    await site.pull()
    site.server.forget()
    return site


def known(connection: Connection, identifier: str) -> tuple[ProductRecord, FileRecord, list[AttemptRecord]]:
    product = find_product(connection, identifier)
    assert product is not None
    file = file_of(connection, product.id)
    assert file is not None
    return product, file, attempts_of(connection, product.id)


async def look(site: Any) -> dict[str, tuple[ProductRecord, FileRecord, list[AttemptRecord]]]:
    async with Ledger.read(LedgerPaths.of(site.config())) as ledger:
        return {scene.identifier: await ledger.run(known, scene.identifier) for scene in site.server.scenes}


def flip(path: Path, member: int) -> str:
    """Change one byte of a member, and nothing that the file system tells; return the member's name."""
    found = sorted(read_members(path).members, key=lambda one: one.compressed)[-member]
    before, data = path.stat(), bytearray(path.read_bytes())
    data[found.header + 30 + len(found.name) + found.compressed // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return found.name


def paths(site: Any) -> list[Path]:
    return sorted(site.folder.glob("*.zip"))


async def test_each_run_takes_the_next_ones_and_notes_the_digest(run_cli: CommandHere, site: Any) -> None:
    for turn in (1, 2, 3, 4, 1):
        ended = await run_cli("verify", site.folder, "--oldest", "1k")
        assert 0 == ended.code
        assert "1 checked (" in ended.err
        assert "all of them right" in ended.err
        digests = [file.sha256 for _, file, _ in (await look(site)).values()]
        assert max(turn, 4 - digests.count(None)) == 4 - digests.count(None)

    for identifier, (product, file, events) in (await look(site)).items():
        content = (site.folder / f"{identifier}.zip").read_bytes()
        assert hashlib.sha256(content).digest() == file.sha256
        assert (State.HELD, "crc", None) == (product.state, file.how, file.bad)
        assert Event.CHECKED in [event.event for event in events]
    assert [] == [*(site.folder / ".collgs" / "spool").iterdir()]


async def test_a_damaged_one_is_noted_and_wanted_again(run_cli: CommandHere, site: Any) -> None:
    flip(paths(site)[0], 1)

    ended = await run_cli("verify", site.folder, "--oldest", "100%")

    assert 1 == ended.code
    assert "4 checked" in ended.err
    assert "1 of them bad" in ended.err
    product, file, events = (await look(site))[paths(site)[0].stem]
    assert State.WANTED == product.state
    assert "1 of" in (file.bad or "")
    assert Event.BAD == events[-1].event


async def test_damage_at_another_member_tells_of_the_disk(run_cli: CommandHere, site: Any) -> None:
    path = paths(site)[0]
    original = path.read_bytes()
    times = path.stat()
    for member, is_told in ((1, False), (1, False), (2, True)):
        path.write_bytes(original)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert 0 == (await run_cli("verify", site.folder)).code
        flip(path, member)
        ended = await run_cli("verify", site.folder, "--oldest", "100%")
        assert 1 == ended.code
        assert is_told == ("it was damaged before, at another member: this disk loses bytes" in ended.err)


async def test_other_bytes_with_right_checksums_are_found_by_the_digest(run_cli: CommandHere, site: Any) -> None:
    path = paths(site)[0]
    assert 0 == (await run_cli("verify", site.folder, "--oldest", "100%")).code
    before, data = path.stat(), bytearray(path.read_bytes())
    for member in read_members(path).members:  # the time in both headers, which no CRC-32 covers
        data[member.header + 10] ^= 1
    at = data.index(b"PK\1\2")
    while at >= 0:
        data[at + 12] ^= 1
        at = data.find(b"PK\1\2", at + 1)
    path.write_bytes(data)
    assert 0 == (await run_cli("verify", path)).code
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    ended = await run_cli("verify", site.folder, "--oldest", "100%")

    assert 1 == ended.code
    assert f"{path}: its SHA-256 is {hashlib.sha256(data).hexdigest()}, " in ended.err


async def test_a_replaced_archive_is_not_compared_with_what_was_recorded(run_cli: CommandHere, site: Any) -> None:
    assert 0 == (await run_cli("verify", site.folder, "--oldest", "100%")).code
    scene: Scene = site.server.scenes[0]
    site.archive(scene).write_bytes(site.original(scene, edition=1))
    os.utime(site.archive(scene), ns=(1, 1))

    assert 0 == (await run_cli("verify", site.folder, "--oldest", "100%")).code

    _, file, _ = (await look(site))[scene.identifier]
    assert hashlib.sha256(site.original(scene, edition=1)).digest() == file.sha256


async def test_a_missing_archive_is_said_and_is_no_damage(run_cli: CommandHere, site: Any) -> None:
    path = paths(site)[0]
    path.unlink()

    ended = await run_cli("verify", site.folder, "--oldest", "100%")

    assert 1 == ended.code
    assert f"{path}: it is not here any more; the next sync fetches it again" in ended.err
    assert "3 checked" in ended.err
    assert (await look(site))[path.stem][1].bad is None


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
async def test_what_is_no_file_is_bad_and_never_waited_for(run_cli: CommandHere, site: Any, kind: str) -> None:
    path = paths(site)[0]
    path.rename(site.folder / "elsewhere")
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("nowhere")

    ended = await run_cli("verify", site.folder, "--oldest", "100%")

    assert 1 == ended.code
    assert f"{path}: " in ended.err
    assert "4 checked" in ended.err


async def test_bad_ones_can_be_repaired_at_once(run_cli: CommandHere, site: Any) -> None:
    original = paths(site)[0].read_bytes()
    flip(paths(site)[0], 1)
    server = ("--collection", "S2_MSIL2A", "--base-url", site.server.url)

    ended = await run_cli("verify", site.folder, "--oldest", "100%", "--repair", *server)

    assert 0 == ended.code
    assert "1 of 1 repaired" in ended.err
    assert original == paths(site)[0].read_bytes()
    assert 0 < site.moved() < SIZE


async def test_while_another_run_writes_the_ledger_the_spool_takes_it(
    command: Command, run_cli: CommandHere, site: Any
) -> None:
    ledger_paths = LedgerPaths.of(site.config())
    assert 0 == (await run_cli("verify", site.folder, "--oldest", "1k")).code
    before = await look(site)

    async with Ledger.open(ledger_paths):
        ended = await command("verify", site.folder, "--oldest", "1k")

    assert 0 == ended.code
    assert before == await look(site)
    assert 0 == (await run_cli("verify", site.folder, "--oldest", "1k")).code
    assert 3 == sum(file.sha256 is not None for _, file, _ in (await look(site)).values())


async def test_the_time_is_over_after_the_archive_that_is_read(run_cli: CommandHere, site: Any) -> None:
    ended = await run_cli("verify", site.folder, "--oldest", "100%", "--max-time", "0.000001")

    assert 3 == ended.code
    assert "4 left for another time" in ended.err


async def test_without_a_ledger_there_is_one_clear_line(run_cli: CommandHere, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()

    ended = await run_cli("verify", folder, "--oldest", "1%")

    assert 2 == ended.code
    said = f"--oldest: expected a ledger of {folder}, found none: 'collgs-async sync' makes one"
    assert f"error: {said}\n" == ended.err
    folder.rmdir()  # it is empty


async def test_a_part_of_the_folder_has_no_ledger_of_its_own(run_cli: CommandHere, site: Any) -> None:
    for part in (site.folder / "sub", paths(site)[0]):
        part.is_file() or part.mkdir()
        ended = await run_cli("verify", part, "--oldest", "1%", "-o", site.folder)
        assert 2 == ended.code
        assert f"--oldest: expected all of {site.folder}, whose ledger it goes by, found {part}" in ended.err


@pytest.mark.parametrize("share", ["0%", "101%", "x", "", "-1", "0", "nan%", "1e400%"])
async def test_a_share_that_is_none_is_refused(run_cli: CommandHere, tmp_path: Path, share: str) -> None:
    ended = await run_cli("verify", tmp_path, f"--oldest={share}")

    assert 2 == ended.code
    assert "--oldest: expected bytes such as 200G, or a share such as 1%, found" in ended.err


async def test_a_damaged_ledger_is_one_line_too(run_cli: CommandHere, site: Any) -> None:
    LedgerPaths.of(site.config()).database.write_bytes(b"no database " * 1000)

    ended = await run_cli("verify", site.folder, "--oldest", "1%")

    assert 1 == ended.code
    assert "ledger" in ended.err
    assert "Traceback" not in ended.err
