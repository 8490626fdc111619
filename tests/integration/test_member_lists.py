"""The members of archives in the store, listed without fetching these."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import NotAvailableError, Product
from collgs_async.demo.faults import FAULTS
from collgs_async.models.text import format_bytes
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async import MemberList
    from collgs_async.demo.scenes import Scene

SIZE = 6_000_000
TAIL = 64 * 1024


async def listed(site: Any, **options: Any) -> MemberList:
    """List the members of the first product of the catalogue."""
    async with site.client(**options) as client:
        members: MemberList = await client.list_members(await anext(aiter(client.search())))
        return members


def infos(site: Any, scene: Scene) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(site.original(scene))) as archive:
        return [info for info in archive.infolist() if not info.is_dir()]


async def test_all_members_are_listed_by_one_request(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])

    found = await listed(site)

    expected = [(info.filename, info.file_size, info.compress_size) for info in infos(site, scene)]
    assert expected == [(one.name, one.size, one.packed) for one in found.members]
    assert [("bytes=-65536", TAIL)] == [(hit.headers["range"], hit.sent) for hit in site.archive_hits()]
    assert (scene.size, scene.size, False) == (found.size, found.wanted_bytes, found.has_wish)
    assert found.members == found.wanted
    assert f"{len(expected)} members, {format_bytes(scene.size)}" == str(found)
    assert not site.folder.exists()


async def test_bands_and_resolutions_are_told(serve: Callable[..., Any]) -> None:
    site = await serve([level2_scenes(1, size=SIZE)[0]])

    found = await listed(site)

    facts = {one.name[-11:]: (one.band, one.resolution) for one in found.members}
    assert [("B02", 10), ("B02", 20), ("SCL", 60)] == [facts[f"{name}m.jp2"] for name in ("B02_10", "B02_20", "SCL_60")]
    assert (None, None) == facts["_MSIL2A.xml"]


async def test_a_wish_marks_members_and_says_what_they_take_of_the_archive(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])

    found = await listed(site, members=["*_B02_10m.jp2"])
    report = await site.pull(members=["*_B02_10m.jp2"])

    [band] = found.wanted
    assert band.name.endswith("_B02_10m.jp2")
    assert band.packed < found.wanted_bytes < band.packed + TAIL + 1000
    assert found.sized_product.wanted == found.wanted_bytes
    assert report.bytes == found.wanted_bytes
    assert str(found).startswith(f"1 of {len(found.members)} members, ")
    assert str(found).endswith(f" of {format_bytes(scene.size)} ({100 * found.wanted_bytes / scene.size:.1f} %)")


async def test_what_is_here_already_is_marked(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await site.pull(members=["*_B02_10m.jp2"])
    both = ["*_B0[24]_10m.jp2"]

    found = await listed(site, members=both)
    [path] = (site.folder / f"{scene.identifier}.parts").rglob("*_B02_10m.jp2")
    path.write_bytes(b"x")
    changed = await listed(site, members=both)

    assert [True, False] == [one.here for one in found.wanted]
    assert 0 < found.wanted[1].packed < found.bytes_to_fetch < found.wanted[1].packed + 1000
    assert found.missing_on_disk == found.wanted[1].size
    assert [False, False] == [one.here for one in changed.wanted]
    assert TAIL == changed.here_bytes  # with the directory


@pytest.mark.parametrize(
    ("before", "wish"),
    [
        ((), ("*_B0[248]_10m.jp2", "*.xml")),
        (("*_B02_10m.jp2",), ("*_B0[248]_10m.jp2",)),
        (("*_B03_10m.jp2",), ("*_B0[248]_10m.jp2",)),
        (("*_B0[248]_10m.jp2",), ("*_B0[248]_10m.jp2",)),
    ],
)
async def test_the_bytes_to_fetch_are_those_that_a_download_moves(
    serve: Callable[..., Any], before: tuple[str, ...], wish: tuple[str, ...]
) -> None:
    site = await serve([level2_scenes(1, size=20_000_000)[0]])
    if before:
        await site.pull(members=before)

    found = await listed(site, members=wish)
    report = await site.pull(members=wish, segments=1)  # a connection that is cut short may bring more than is taken

    assert report.bytes == found.bytes_to_fetch


async def test_all_members_of_a_whole_archive_are_here(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    await site.pull()

    every, some = await listed(site), await listed(site, bands="B02")

    assert {True} == {one.here for one in every.members} == {one.here for one in some.members}
    assert (0, 0) == (every.bytes_to_fetch, some.bytes_to_fetch)


async def test_a_band_that_the_archive_lacks_is_said_with_those_it_has(serve: Callable[..., Any]) -> None:
    site = await serve([level2_scenes(1, size=SIZE)[0]])

    with pytest.raises(NotAvailableError, match=r"none of the archive's \d+ members matches"):
        await listed(site, members=["*.tiff"])


async def test_a_product_without_a_link_is_no_request(serve: Callable[..., Any]) -> None:
    site = await serve([level2_scenes(1, size=SIZE)[0]])

    async with site.client() as client:
        with pytest.raises(NotAvailableError, match="the catalogue gives no download link"):
            await client.list_members(Product("P", url=None))

    assert [] == site.archive_hits()


async def test_another_link_is_asked_where_the_first_one_fails(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])

    async with site.client() as client:
        product = await anext(aiter(client.search()))
        gone = replace(product, url=f"{product.url}.gone", alternatives=(product.url,))
        found = await client.list_members(gone)

    assert len(infos(site, scene)) == len(found.members)


async def test_several_are_listed_in_their_order_and_one_that_fails_has_no_list(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scenes[1].identifier: FAULTS["missing"]})

    async with site.client(bands="B02") as client:
        products = await client.search().collect()
        found = [both async for both in client.stream_members(products)]
        sized = [product async for product in client.fetch_sizes(products)]

    lists = {product.identifier: members for product, members in found}
    problems = {product.identifier: product.problem for product, _ in found}
    assert [one.identifier for one in products] == list(lists)
    assert {scenes[1].identifier} == {name for name, members in lists.items() if members is None}
    assert sized == [replace(product, problem=None) for product, _ in found]
    assert [None, "HTTP 404: Not Found", None] == [problems[one.identifier] for one in scenes]
    sizes = {scene.identifier: scene.size for scene in scenes}
    wanted = {name: members.wanted_bytes for name, members in lists.items() if members}
    assert wanted == {one.identifier: one.wanted for one in sized if one.wanted}
    assert all(sizes[one.identifier] == one.size for one in sized if one.wanted)
    assert f"{scenes[1].identifier}: what of it would be fetched is not known: HTTP 404" in caplog.text


async def test_a_store_without_ranges_is_said_once_and_else_whole_counts_all(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scenes = level2_scenes(3, size=SIZE)
    site = await serve(scenes, faults={scene.identifier: FAULTS["no-range"] for scene in scenes})

    async with site.client(bands="B02") as client:
        refused = [product async for product in client.fetch_sizes(await client.search().collect())]
    async with site.client(bands="B02", else_whole=True) as client:
        whole = [product async for product in client.fetch_sizes(await client.search().collect())]

    assert [None] * 3 == [product.wanted for product in refused]
    assert sorted(scene.size for scene in scenes) == sorted(product.wanted or 0 for product in whole)
    assert 1 == caplog.text.count("the store sends whole archives only")


async def test_a_plan_with_sizes_has_the_bytes_of_the_wish(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2, size=SIZE))

    async with site.client(bands="SCL") as client:
        plan = await client.create_plan(sizes=True)

    assert all(0 < (product.wanted or 0) < (product.size or 0) / 2 for product in plan.products)
