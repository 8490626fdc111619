"""A run with `keep.stac`: an item beside each archive, and catalogs that lead to it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client
from collgs_async.config.keep_options import KeepOptions
from collgs_async.errors import StorageError
from collgs_async.models.product import Outcome, Product, Status
from collgs_async.reporting.stac_items import checksum_of, item_path
from collgs_async.reporting.stac_recorder import StacRecorder
from tests.conftest import level2_scenes
from tests.support.stac_schemas import schema_problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.demo.scenes import Scene

SIZE = 100_000


async def pull(site: Any, **options: Any) -> Any:
    config = replace(site.config(**options), keep=KeepOptions(stac=True))
    async with Client(config, sleep=site.sleeps) as client:
        return await client.download_all()


def items(site: Any) -> dict[str, dict[str, Any]]:
    """Each item by its name, once it is as the schemas demand."""
    found = {path.name: json.loads(path.read_bytes()) for path in site.folder.rglob("*.stac.json")}
    assert [] == [problem for item in found.values() for problem in schema_problems(item)]
    return found


def linked(site: Any) -> list[str]:
    """The names of the items that the catalogs lead to."""

    def walk(path: Path) -> list[str]:
        catalog = json.loads(path.read_bytes())
        assert [] == schema_problems(catalog)
        names = [link["href"] for link in catalog["links"] if link["rel"] == "item"]
        assert all((path.parent / name).is_file() for name in names)
        children = [link["href"] for link in catalog["links"] if link["rel"] == "child"]
        return [*names, *(name for child in children for name in walk(path.parent / child))]

    return sorted(name.removeprefix("./") for name in walk(site.folder / "catalog.json"))


def named(scenes: list[Scene]) -> list[str]:
    return sorted(f"{scene.identifier}.stac.json" for scene in scenes)


async def test_each_archive_of_a_run_has_an_item(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes)

    assert (await pull(site)).ok

    found = items(site)
    assert named(scenes) == sorted(found) == linked(site)
    for scene in scenes:
        item = found[f"{scene.identifier}.stac.json"]
        assert checksum_of(item) == hashlib.sha256(site.archive(scene).read_bytes()).hexdigest()
        properties = item["properties"]
        assert "crc" == properties["collgs:verified"]["how"]
        assert properties["collgs:etag"].startswith('"')
        assert properties["collgs:last_modified"].endswith("GMT")


async def test_a_second_run_writes_nothing(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2, size=SIZE))
    await pull(site)
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in site.folder.rglob("*.json")}

    assert (await pull(site)).ok

    assert before == {path: (path.stat().st_ino, path.read_bytes()) for path in site.folder.rglob("*.json")}


async def test_what_is_missing_or_old_is_made_good_by_the_next_run(serve: Callable[..., Any]) -> None:
    """A run without the setting, one that was killed, a catalog that was lost."""
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes)
    await site.pull()
    assert {} == items(site)
    await pull(site)
    assert named(scenes) == sorted(items(site)) == linked(site)

    item_path(site.archive(scenes[0])).unlink()
    (site.folder / "catalog.json").unlink()
    later = item_path(site.archive(scenes[1])).stat().st_mtime_ns + 1
    site.archive(scenes[1]).write_bytes(site.original(scenes[1], edition=1))
    os.utime(site.archive(scenes[1]), ns=(later, later))
    await pull(site)

    found = items(site)
    assert named(scenes) == sorted(found) == linked(site)
    assert (
        checksum_of(found[f"{scenes[1].identifier}.stac.json"])
        == hashlib.sha256(site.archive(scenes[1]).read_bytes()).hexdigest()
    )


async def test_members_have_an_item_and_the_whole_archive_replaces_it(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(1, size=1_000_000)
    site = await serve(scenes)
    await pull(site, bands="B02,SCL", resolution=20)
    (item,) = items(site).values()
    assert {"B02", "SCL"} < item["assets"].keys()
    for name in ("B02", "SCL"):
        data = (site.folder / item["assets"][name]["href"]).read_bytes()
        assert f"1220{hashlib.sha256(data).hexdigest()}" == item["assets"][name]["file:checksum"]

    await pull(site)

    (item,) = items(site).values()
    assert "archive" in item["assets"]
    assert "B02" not in item["assets"]
    assert named(scenes) == linked(site)


async def test_with_a_layout_each_folder_has_a_catalog(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes)
    config = replace(site.config(), keep=KeepOptions(stac=True, layout="{collection}/{year}/{tile}"))
    async with Client(config, sleep=site.sleeps) as client:
        await client.download_all()

    assert named(scenes) == sorted(items(site)) == linked(site)
    assert (site.folder / "S2_MSIL2A" / "catalog.json").is_file()


async def test_a_failure_is_a_warning_and_no_failed_download(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scenes = level2_scenes(2, size=SIZE)
    site = await serve(scenes)
    place = item_path(site.archive(scenes[0]))
    place.mkdir(parents=True)

    report = await pull(site)

    assert report.ok
    assert named(scenes[1:]) == [path.name for path in site.folder.glob("*.stac.json") if path.is_file()]
    assert (
        f"{site.archive(scenes[0])}: no STAC item was written: {place}: expected a file, found a folder" in caplog.text
    )


async def test_one_product_alone_and_a_repaired_one_have_an_item_too(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(1, size=SIZE)
    site = await serve(scenes)
    config = replace(site.config(), keep=KeepOptions(stac=True))
    async with Client(config, sleep=site.sleeps) as client:
        async for product in client.search():
            await client.download(product)
        first = items(site)
        path = site.archive(scenes[0])
        content = path.read_bytes()
        path.write_bytes(content[:-1000])
        await client.repair(path)

    assert named(scenes) == sorted(first) == linked(site)
    assert content == path.read_bytes()
    item = items(site)[f"{scenes[0].identifier}.stac.json"]
    assert checksum_of(item) == hashlib.sha256(content).hexdigest()


async def test_what_waits_is_dropped_when_the_run_is_stopped(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1, size=SIZE))
    site.folder.mkdir()
    product = Product("S2A_MSIL2A_20210924T103021_N0301_R108_T31UGR_20210924T132718", None)
    archives = [site.folder / f"S2A_{number}.zip" for number in range(50)]
    for path in archives:
        path.write_bytes(b"a")

    async def stopped() -> None:
        async with StacRecorder(site.config()) as recorder:
            recorder.add(Outcome(product, Status.SKIPPED, archives[0], reason="elsewhere"))
            recorder.add(Outcome(product, Status.FAILED))
            for path in archives:
                recorder.add(Outcome(product, Status.SKIPPED, path, reason="exists"))
            raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        await stopped()

    written = sorted(path.name for path in site.folder.glob("*.stac.json"))
    assert [] == [path.name for path in site.folder.iterdir() if path.suffix not in {".json", ".zip"}]
    if written:
        assert written == linked(site)


async def test_many_items_that_cannot_be_written_are_counted(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve([])
    site.folder.mkdir()
    async with StacRecorder(site.config()) as recorder:
        for number in range(50):
            path = site.folder / f"P{number}.zip"
            path.write_bytes(b"a")
            recorder.add(Outcome(Product(path.stem, None), Status.SKIPPED, path, reason="exists"))

    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert 6 == len(warnings)
    assert "a STAC item needs a sensing time" in warnings[0]
    assert "no STAC item was written of 45 other archives" == warnings[-1]
