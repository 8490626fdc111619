"""Downloads into a real object store: what appears there, what is skipped, and what the spool is needed for."""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.lock import LockOwner
from tests.support.at_store import at_store, right_objects, spooled
from tests.support.commands import assert_clean_exit, stored_scenes
from tests.support.store_holds import LATER_PARTS, HoldingProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async import Product
    from tests.conftest import CommandHere
    from tests.support.object_servers import Bucket


async def test_archives_appear_whole_and_are_skipped_by_the_next_run(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    site, spool = await serve(stored_scenes(5, 300_000)), tmp_path / "spool"
    words = at_store(site, bucket, spool)

    first = assert_clean_exit(await run_cli(*words))
    asked = len(site.archive_hits())
    second = assert_clean_exit(await run_cli(*words))

    assert (0, 0) == (first.code, second.code), first.err + second.err
    assert right_objects(site, bucket)
    assert asked == len(site.archive_hits())
    assert "5 already here" in second.err
    assert [] == spooled(spool)


async def test_an_object_states_the_length_and_the_entity_tag_of_its_source(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    site = await serve(stored_scenes(1, 300_000))

    await run_cli(*at_store(site, bucket, tmp_path / "spool"))

    [key] = bucket.keys()
    facts = bucket.metadata(key)
    assert str(len(bucket.read(key))) == facts["collgs_size"]
    assert re.fullmatch('"[^"]+"', facts["collgs_etag"])


async def test_archives_in_parts_and_of_one_request_are_uploaded_at_once(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    sizes = (20_000_000, 300_000, 9_000_000, 200_000)
    scenes = [stored_scenes(len(sizes), size)[number] for number, size in enumerate(sizes)]
    site, spool = await serve(scenes), tmp_path / "spool"

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))

    assert 0 == ended.code, ended.err
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


async def test_with_no_skip_existing_they_are_fetched_and_replaced(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    scenes = stored_scenes(1, 300_000)
    site = await serve(scenes)
    words = at_store(site, bucket, tmp_path / "spool")
    await run_cli(*words)
    site.server.replace(scenes[0].identifier)

    ended = assert_clean_exit(await run_cli(*words, "--no-skip-existing"))

    assert 0 == ended.code
    assert right_objects(site, bucket, version=1)


async def test_archives_that_another_program_has_put_there_are_judged_by_their_directory(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    """One is right, one is cut, and one is the archive of another product."""
    scenes = stored_scenes(3, 1_500_000)
    site, spool = await serve(scenes), tmp_path / "spool"
    right = {site.archive(scene).name: site.original(scene) for scene in scenes}
    whole, cut, other = right
    bucket.write(whole, right[whole])
    bucket.write(cut, right[cut][:-1000])
    bucket.write(other, right[whole])

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))

    assert 0 == ended.code, ended.err
    assert right_objects(site, bucket)
    assert 2 == len(site.archive_hits())
    assert "collgs_size" not in bucket.metadata(whole)
    assert 2 == ended.err.count("is not its whole archive")
    assert f"{bucket.url}/{cut}" in ended.err
    assert f"{bucket.url}/{other}" in ended.err


async def test_a_wrong_archive_elsewhere_below_the_prefix_stays_and_nothing_is_fetched_twice(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    """The listing has two objects of one file name."""
    scenes = stored_scenes(1, 300_000)
    site, spool = await serve(scenes), tmp_path / "spool"
    name = site.archive(scenes[0]).name
    bucket.write(f"zzz/{name}", b"junk")

    first = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))
    again = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))

    assert (0, 0) == (first.code, again.code), first.err + again.err
    assert f"it stays, and the archive is {bucket.url}/{name}" in first.err
    assert [name, f"zzz/{name}"] == bucket.keys()
    assert site.original(scenes[0]) == bucket.read(name)
    assert 1 == len(site.archive_hits())
    assert [] == spooled(spool)


async def test_what_is_left_in_a_spool_of_archives_that_are_there_is_cleared(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    site, spool = await serve(stored_scenes(2, 300_000)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    await run_cli(*words)
    for name in list(bucket.keys()):
        (spool / f"{name}.part").write_bytes(b"PK\3\4")
        (spool / f"{name}.part.json").write_text("{}")
    (spool / "theirs.txt").write_text("kept")

    ended = assert_clean_exit(await run_cli(*words))

    assert 0 == ended.code
    assert ["theirs.txt"] == spooled(spool)


async def test_archives_of_the_spools_own_folder_are_not_taken_for_those_of_the_store(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    """The output folder of earlier runs may serve as a spool: what is there stays, and comes to the store as well."""
    scenes = stored_scenes(2, 300_000)
    site, spool = await serve(scenes), tmp_path / "spool"
    spool.mkdir()
    kept = site.archive(scenes[0]).name
    (spool / kept).write_bytes(site.original(scenes[0]))

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))

    assert 0 == ended.code
    assert right_objects(site, bucket)
    assert [kept] == spooled(spool)


async def test_a_dry_run_and_a_report_name_the_objects(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    site, spool = await serve(stored_scenes(3, 300_000)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    urls = sorted(f"{bucket.url}/{site.archive(scene).name}" for scene in site.server.scenes)

    def entries(name: str, status: str) -> list[str]:
        products = json.loads((run_cli.folder / name).read_bytes())["products"]
        return sorted(one["path"] for one in products if one["status"] == status)

    before = assert_clean_exit(await run_cli(*words, "--dry-run", "--report", "before.json"))
    assert urls == entries("before.json", "planned")
    assert [] == bucket.keys()
    assert not spool.exists()
    run = assert_clean_exit(await run_cli(*words, "--report", "run.json"))
    assert urls == entries("run.json", "downloaded")
    after = assert_clean_exit(await run_cli(*words, "--dry-run", "--report", "after.json"))
    assert urls == entries("after.json", "skipped")

    assert (0, 0, 0) == (before.code, run.code, after.code)
    assert f"The archives are in {bucket.url}." in run.err


async def test_the_library_has_the_url_of_an_archive_and_no_path(
    serve: Callable[..., Any], bucket: Bucket, tmp_path: Path
) -> None:
    site = await serve(stored_scenes(1, 300_000))
    config = replace(site.config(), output_directory=bucket.url, spool=tmp_path / "spool")
    progress = Waits()
    async with Client(config, progress) as client:
        [product] = await client.search().collect()
        states = [await client.local_state(product)]
        outcome = await client.download(product)
        states.append(await client.local_state(product))

    assert ["fetch", "skip"] == states
    assert (None, f"{bucket.url}/{product.identifier}.zip") == (outcome.path, outcome.place)
    assert outcome.place == client.place_for(product)
    assert "downloaded" == outcome.status
    assert [None, "uploading", "uploading 300/300 kB"] == progress.words


class Waits(SilentProgress):
    """Records what products wait for."""

    def __init__(self) -> None:
        self.words: list[str | None] = []

    def delayed(self, product: Product, why: str | None, *, seconds: float | None = None) -> None:  # noqa: ARG002
        self.words.append(why)


async def test_a_layout_is_that_of_the_keys(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    """Objects are found where they lie, whatever the layout of the run."""
    scenes = stored_scenes(3, 300_000)
    site, spool = await serve(scenes), tmp_path / "spool"
    words = at_store(site, bucket, spool)

    first = assert_clean_exit(await run_cli(*words, "--layout", "{collection}/{year}"))
    asked = len(site.archive_hits())
    second = assert_clean_exit(await run_cli(*words))

    assert (0, 0) == (first.code, second.code), first.err + second.err
    assert sorted(f"S2_MSIL2A/2021/{site.archive(scene).name}" for scene in scenes) == bucket.keys()
    assert asked == len(site.archive_hits())
    assert "3 already here" in second.err


async def test_a_store_that_ignores_conditions_and_changes_the_case_of_names_serves_as_well(
    serve: Callable[..., Any], run_cli: CommandHere, rclone_bucket: Bucket, tmp_path: Path
) -> None:
    sizes = (20_000_000, 300_000)
    site = await serve([stored_scenes(2, size)[number] for number, size in enumerate(sizes)])
    spool = tmp_path / "spool"
    words = at_store(site, rclone_bucket, spool)

    first = assert_clean_exit(await run_cli(*words))
    asked = len(site.archive_hits())
    second = assert_clean_exit(await run_cli(*words))

    assert (0, 0) == (first.code, second.code), first.err + second.err
    assert right_objects(site, rclone_bucket)
    assert asked == len(site.archive_hits())
    assert [] == spooled(spool)


class SmallDisk:
    """Lets a spool be on a disk of so many bytes."""

    def __init__(self, spool: Path, total: int, patch: pytest.MonkeyPatch) -> None:
        self._spool, self._total = spool, total
        self.most_used = 0
        patch.setattr("collgs_async.storage.disk.shutil.disk_usage", self._usage)

    def _usage(self, _: object) -> SimpleNamespace:
        used = 0
        for path in self._spool.glob("*"):
            try:
                used += path.stat().st_size
            except FileNotFoundError:
                continue  # it went meanwhile
        self.most_used = max(self.most_used, used)
        return SimpleNamespace(total=self._total, free=max(0, self._total - used))


async def test_archives_wait_for_room_in_a_spool_that_others_are_about_to_leave(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked for twice at the most: to learn its length, and when there is room."""
    site, spool = await serve(stored_scenes(8, 1_000_000)), tmp_path / "spool"
    size = max(len(site.original(scene)) for scene in site.server.scenes)
    disk = SmallDisk(spool, 5 * size // 2, monkeypatch)

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, spool), "--workers", 8))

    assert 0 == ended.code, ended.err
    assert right_objects(site, bucket)
    assert disk.most_used <= 5 * size // 2
    assert len(site.archive_hits()) <= 2 * 8
    assert [] == spooled(spool)


async def test_an_archive_larger_than_the_spools_disk_fails_alone(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = [*stored_scenes(3, 500_000)[:2], stored_scenes(3, 3_000_000)[2]]
    site, spool = await serve(scenes), tmp_path / "spool"
    SmallDisk(spool, 2_000_000, monkeypatch)

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))

    assert 1 == ended.code
    assert "the store announces 3.0 MB, and the whole disk of the spool has 2.0 MB" in ended.err
    assert ended.err.endswith("\nName a spool on a larger disk with --spool.\n")
    assert sorted(site.archive(scene).name for scene in scenes[:2]) == bucket.keys()


async def test_a_spool_that_no_archive_is_going_to_leave_ends_the_run(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, spool = await serve(stored_scenes(3, 500_000)), tmp_path / "spool"
    spool.mkdir()
    (spool / "theirs.bin").write_bytes(bytes(1_800_000))
    SmallDisk(spool, 2_000_000, monkeypatch)

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, spool)))

    assert 1 == ended.code
    assert f"{spool}: 200 kB are free, and " in ended.err
    assert "make room, or name another spool" in ended.err
    assert [] == bucket.keys()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_a_spool_of_another_user_in_a_shared_folder_is_refused(
    serve: Callable[..., Any], run_cli: CommandHere, bucket: Bucket, tmp_path: Path
) -> None:
    site, shared = await serve(stored_scenes(1, 300_000)), tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "spool").mkdir()
    os.chown(shared / "spool", 12345, 12345)

    ended = assert_clean_exit(await run_cli(*at_store(site, bucket, shared / "spool")))

    assert 1 == ended.code
    assert "the spool belongs to another user; name another one" in ended.err
    assert [] == site.archive_hits()


async def test_an_upload_is_given_up_once_another_run_has_taken_its_archive_over(
    serve: Callable[..., Any], bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a suspend: the part file is the other run's from then on, and may change while it is sent."""
    monkeypatch.setattr("collgs_async.storage.lock.TRUSTED", 0.0)
    site, spool = await serve(stored_scenes(1, 45_000_000)), tmp_path / "spool"
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        config = replace(site.config(), output_directory=bucket.url, spool=spool, endpoint_url=endpoint)
        hold = proxy.hold(LATER_PARTS)
        async with Client(config) as client:
            [product] = await client.search().collect()
            download = asyncio.ensure_future(client.download(product))
            await hold.wait()
            [lock] = spool.glob("*.lease")
            lock.write_bytes(LockOwner.here().text())
            hold.release()
            outcome = await download

    assert ("skipped", "elsewhere") == (outcome.status, outcome.reason)
    assert [] == bucket.keys()
    assert 45_000_000 <= sum(path.stat().st_size for path in spool.glob("*.part"))
    assert lock.exists()
