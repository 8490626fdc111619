"""Scheduled checks of a mirror, what they repair, and the STAC items that `sync` writes and notes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, Config
from collgs_async.config.keep_options import KeepOptions
from collgs_async.demo.server import DemoServer
from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.products import attempts_of, file_of, find_product
from collgs_async.ledger.records import Event, State
from collgs_async.ledger.times import to_ms
from collgs_async.mirror.context import Mirror
from collgs_async.mirror.scheduled_check import has_vanished, is_damaged_elsewhere
from collgs_async.mirror.stac_files import note_stac_items
from collgs_async.mirror.sync import Sync
from collgs_async.models.progress import SilentProgress
from collgs_async.models.wish import Wish
from collgs_async.reporting.stac_items import checksum_of, item_path, read_item
from collgs_async.storage.audit import CheckedFile, verify_files
from collgs_async.storage.verify import Level
from collgs_async.storage.zip_directory import read_members
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.ledger.records import AttemptRecord, FileRecord, ProductRecord
    from collgs_async.mirror.result import SyncResult

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SIZE = 400_000


class Mirrored:
    """A folder that `sync` keeps equal to an embedded catalogue of three products."""

    def __init__(self, server: DemoServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.now = NOW

    def config(self, **keep: Any) -> Config:
        config = Config.create(
            base_url=self.server.url, collection="S2_MSIL2A", output_directory=self.folder, retries=0, outage=0
        )
        return replace(config, keep=KeepOptions(**keep))

    async def sync(self, **keep: Any) -> SyncResult:
        """Sync a day later."""
        self.server.forget()
        self.now += timedelta(days=1)
        async with Client(self.config(**keep)) as client:
            return await Sync(client, clock=lambda: self.now).run()

    def archives(self) -> list[Path]:
        return sorted(self.folder.rglob("*.zip"))

    def moved(self) -> int:
        return sum(hit.sent for hit in self.server.requests if hit.path.startswith("/repository/"))

    async def known(self, path: Path) -> tuple[ProductRecord, FileRecord, list[AttemptRecord]]:
        async with Ledger.read(LedgerPaths.of(self.config())) as ledger:
            return await ledger.run(known, path.stem)


def known(connection: Connection, identifier: str) -> tuple[ProductRecord, FileRecord, list[AttemptRecord]]:
    product = find_product(connection, identifier)
    assert product is not None
    file = file_of(connection, product.id)
    assert file is not None
    return product, file, attempts_of(connection, product.id)


@pytest.fixture
async def mirrored(tmp_path: Path) -> AsyncIterator[Mirrored]:
    async with DemoServer(level2_scenes(3, size=SIZE), tmp_path / "store") as server:
        yield Mirrored(server, tmp_path / "mirror")


def flip(path: Path) -> None:
    """Change one byte of the largest member, and nothing that the file system tells."""
    largest = max(read_members(path).members, key=lambda one: one.compressed)
    before, data = path.stat(), bytearray(path.read_bytes())
    data[largest.header + 30 + len(largest.name) + largest.compressed // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_a_sync_checks_the_share_that_its_settings_ask_for(mirrored: Mirrored) -> None:
    assert 0 == (await mirrored.sync()).code
    assert [None] * 3 == [(await mirrored.known(path))[1].sha256 for path in mirrored.archives()]

    for turn in (1, 2, 3, 3):
        result = await mirrored.sync(verify_oldest="1%")
        assert (0, 1) == (result.code, result.check.audit.checked if result.check else None)
        digests = [(await mirrored.known(path))[1].sha256 for path in mirrored.archives()]
        assert turn == 3 - digests.count(None)

    for path in mirrored.archives():
        assert hashlib.sha256(path.read_bytes()).digest() == (await mirrored.known(path))[1].sha256


async def test_what_a_check_finds_the_next_sync_repairs_by_a_part(mirrored: Mirrored) -> None:
    await mirrored.sync()
    path = mirrored.archives()[1]
    original = path.read_bytes()
    flip(path)

    found = await mirrored.sync(verify_oldest="100%")
    assert (1, 1) == (found.code, found.damaged)
    product, file, events = await mirrored.known(path)
    assert (State.WANTED, Event.BAD) == (product.state, events[-1].event)
    assert "damaged" in (file.bad or "")

    repaired = await mirrored.sync()

    assert (0, 1, 0) == (repaired.code, repaired.repaired, repaired.unrepaired)
    assert original == path.read_bytes()
    assert 0 < mirrored.moved() < SIZE // 2
    product, file, events = await mirrored.known(path)
    assert (State.HELD, None) == (product.state, file.bad)
    assert Event.DOWNLOADED == events[-1].event
    assert 0 == (await mirrored.sync()).code
    assert 0 == mirrored.moved()


async def test_what_was_mended_by_hand_is_only_checked(mirrored: Mirrored) -> None:
    await mirrored.sync()
    path = mirrored.archives()[0]
    original = path.read_bytes()
    flip(path)
    await mirrored.sync(verify_oldest="100%")
    path.write_bytes(original)

    result = await mirrored.sync()

    assert (0, 1, 0) == (result.code, result.repaired, mirrored.moved())
    assert (await mirrored.known(path))[1].bad is None


async def test_what_cannot_be_repaired_is_tried_again_later(mirrored: Mirrored) -> None:
    await mirrored.sync()
    path = mirrored.archives()[0]
    flip(path)
    await mirrored.sync(verify_oldest="100%")
    stored = shutil.copytree(mirrored.folder, mirrored.folder.with_name("kept"))
    scenes = list(mirrored.server.scenes)
    mirrored.server.scenes[:] = [scene for scene in scenes if scene.identifier != path.stem]

    failed = await mirrored.sync()

    assert 1 == failed.code
    assert (0, 1) == (failed.repaired, failed.unrepaired)
    assert (stored / path.name).read_bytes() == path.read_bytes()
    mirrored.server.scenes[:] = scenes
    assert (0, 1) == ((await mirrored.sync()).code, len([one for one in mirrored.archives() if one == path]))


async def test_a_damaged_folder_of_members_is_repaired_too(mirrored: Mirrored) -> None:
    config = mirrored.config()
    wished = replace(config, parts=replace(config.parts, bands=("B02", "B03"), resolution=(60,)))
    assert wished.parts.wish != Wish()
    async with Client(wished) as client:
        assert 0 == (await Sync(client, clock=lambda: NOW).run()).code
    band = next(mirrored.folder.rglob("*_B02_60m.jp2"))
    original, before = band.read_bytes(), band.stat()
    band.write_bytes(b"x" * len(original))
    os.utime(band, ns=(before.st_atime_ns, before.st_mtime_ns))  # else each run reads it
    tree = next(folder for folder in band.parents if folder.suffix == ".parts")

    for code in (1, 0):
        mirrored.server.forget()
        async with Client(replace(wished, keep=KeepOptions(verify_oldest="100%"))) as client:
            mirrored.now += timedelta(days=1)
            assert code == (await Sync(client, clock=lambda: mirrored.now).run()).code

    assert original == band.read_bytes()
    assert (State.PART, None) == ((await mirrored.known(tree))[0].state, (await mirrored.known(tree))[1].bad)


async def test_items_of_a_sync_are_noted_with_their_digest(mirrored: Mirrored) -> None:
    assert 0 == (await mirrored.sync(stac=True)).code

    for path in mirrored.archives():
        _, file, _ = await mirrored.known(path)
        assert file.stac is not None
        assert hashlib.sha256(path.read_bytes()).digest() == file.sha256
        item = read_item(path)
        assert item is not None
        assert file.sha256.hex() == checksum_of(item)


async def test_a_mirror_without_items_gets_them_with_what_the_ledger_knows(mirrored: Mirrored) -> None:
    await mirrored.sync()
    await mirrored.sync(stac=True)

    items = [json.loads(item_path(path).read_bytes()) for path in mirrored.archives()]
    catalog = json.loads((mirrored.folder / "catalog.json").read_bytes())

    assert 3 == len([link for link in catalog["links"] if link["rel"] == "item"])
    for item in items:
        assert "2026-12-01T00:00:00Z" == item["properties"]["collgs:retrieved"]
        assert {"at": "2026-12-01T00:00:00Z", "how": "crc"} == item["properties"]["collgs:verified"]
        assert item["properties"]["collgs:etag"]
        assert "eo:cloud_cover" in item["properties"]  # from the entry of the catalogue
    before = {path: path.stat().st_mtime_ns for path in mirrored.folder.rglob("*.json")}
    assert 0 == (await mirrored.sync(stac=True)).code
    assert before == {path: path.stat().st_mtime_ns for path in mirrored.folder.rglob("*.json")}


async def test_an_item_that_cannot_be_written_is_tried_again(
    mirrored: Mirrored, caplog: pytest.LogCaptureFixture
) -> None:
    await mirrored.sync()
    place = item_path(mirrored.archives()[0])
    place.mkdir()

    assert 0 == (await mirrored.sync(stac=True)).code
    assert f"no STAC item was written: {place}: expected a file, found a folder" in caplog.text
    assert (await mirrored.known(mirrored.archives()[0]))[1].stac is None

    place.rmdir()
    assert 0 == (await mirrored.sync(stac=True)).code
    assert (await mirrored.known(mirrored.archives()[0]))[1].stac is not None


async def test_writing_items_can_be_cancelled_while_an_archive_is_read(mirrored: Mirrored) -> None:
    await mirrored.sync()
    config = mirrored.config(stac=True)
    path = mirrored.archives()[0]
    os.truncate(path, 100 * 2**30)  # it takes no room, and minutes to read
    async with Ledger.open(LedgerPaths.of(config)) as ledger:
        mirror = Mirror(config, ledger, SilentProgress(), lambda: to_ms(NOW), 1)
        work = asyncio.create_task(note_stac_items(mirror))
        await asyncio.sleep(0.05)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert not item_path(path).exists()


async def test_an_archive_that_goes_while_others_are_read_is_not_damaged(mirrored: Mirrored) -> None:
    await mirrored.sync()
    paths = {path.name: path for path in mirrored.archives()}
    gone = mirrored.folder / "gone.zip"
    noted: list[Path] = []

    audit = await verify_files(
        {**paths, "gone": gone}, Level.CRC, SilentProgress(), on_checked=lambda one: noted.append(one.path)
    )

    assert (4, [gone]) == (audit.checked, [bad.path for bad in audit.bad])
    one = CheckedFile(gone, None, None, audit.bad[0].problem)
    assert has_vanished(one)
    assert not has_vanished(replace(one, path=mirrored.archives()[0]))


@pytest.mark.parametrize(
    ("members", "before", "told"),
    [
        (["'A'"], [], False),
        (["'A'"], ["now"], False),
        (["'A'"], ["IntegrityError: now"], False),
        (["'A'"], ["1 damaged: 'A' (its CRC"], False),
        (["'A'"], ["1 damaged: 'B' (its CRC"], True),
        (["'A'", "'B'"], ["1 damaged: 'B' (its CRC"], False),
        (["'A'"], ["1 damaged: 'B' (", "1 damaged: 'A' ("], False),
        (["'A'"], ["1 damaged: 'B' (", "IntegrityError: now"], True),
    ],
)
def test_damage_is_elsewhere_if_no_earlier_one_was_at_the_same_member(
    members: list[str], before: list[str], told: bool
) -> None:
    assert told == is_damaged_elsewhere(members, before, "now")
