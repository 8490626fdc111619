"""Trees of members that were copied or touched: their files are read once, and not by each run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from collgs_async.models.product import Status
from collgs_async.storage.lock import ProductLock
from collgs_async.storage.parts_record import read_record
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WISH = ["*_B02_10m.jp2", "*_MSIL2A.xml"]


async def fetched_and_touched(serve: Callable[..., Any]) -> tuple[Any, Path]:
    scene = level2_scenes(1, size=6_000_000)[0]
    site = await serve([scene])
    await site.pull(members=WISH)
    folder: Path = site.folder / f"{scene.identifier}.parts"
    for path in files_of(folder):
        os.utime(path, ns=(1, 1_000_000_007))
    return site, folder


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "parts.json"]


def recorded(folder: Path) -> list[int]:
    record = read_record(folder)
    assert record is not None
    return [member.mtime_ns for member in record.here]


async def skip(site: Any) -> None:
    async with site.client(members=WISH) as client:
        outcome = await client.download(await anext(aiter(client.search())))
    assert Status.SKIPPED == outcome.status


async def test_the_times_of_files_that_were_read_are_recorded(serve: Callable[..., Any]) -> None:
    site, folder = await fetched_and_touched(serve)
    fetched, moved = read_record(folder), site.moved()

    await skip(site)

    record = read_record(folder)
    assert record is not None
    assert fetched is not None
    assert {1_000_000_007} == set(recorded(folder))
    assert (fetched.fetched, fetched.wish, fetched.names) == (record.fetched, record.wish, record.names)
    assert moved == site.moved()
    assert [folder] == list(site.folder.iterdir())


async def test_another_wish_of_the_tree_leaves_the_record_of_a_wrong_file(serve: Callable[..., Any]) -> None:
    site, folder = await fetched_and_touched(serve)
    [band] = folder.rglob("*_B02_10m.jp2")
    band.write_bytes(band.read_bytes()[:-1] + b"?")
    before = recorded(folder)

    async with site.client(members=WISH[1:]) as client:
        await client.download(await anext(aiter(client.search())))

    assert len(before) == len(recorded(folder))
    assert 1 == len(set(before) & set(recorded(folder)))
    assert band.stat().st_mtime_ns not in recorded(folder)


async def test_a_dry_run_records_nothing(serve: Callable[..., Any]) -> None:
    site, folder = await fetched_and_touched(serve)
    before = (folder / "parts.json").read_bytes()

    async with site.client(members=WISH) as client:
        product = await anext(aiter(client.search()))
        action = await client.local_state(product)
        await client.list_members(product)

    assert ("skip", before) == (str(action), (folder / "parts.json").read_bytes())


async def test_while_another_run_has_the_product_nothing_is_recorded(serve: Callable[..., Any]) -> None:
    site, folder = await fetched_and_touched(serve)
    before = (folder / "parts.json").read_bytes()
    lock = ProductLock(folder.with_name(folder.name.replace(".parts", ".zip.part")))
    assert lock.acquire()

    await skip(site)

    lock.release()
    assert before == (folder / "parts.json").read_bytes()
