"""`collgs-async verify DIR --repair`: what has rotted on the disk is fetched again, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.faults import FAULTS
from collgs_async.models.product import Status
from collgs_async.storage.zip_directory import read_members
from collgs_async.transfer.range_request import OVERLAP
from tests.conftest import is_archive, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.demo.scenes import Scene
    from tests.conftest import CommandHere, Ended

SIZE = 3_000_000


async def pulled(serve: Callable[..., Any], count: int = 3, **options: Any) -> tuple[Any, list[Scene]]:
    """A folder with so many right archives, and a server that has forgotten who fetched them."""
    scenes = level2_scenes(count, size=SIZE)
    site = await serve(scenes, **options)
    await site.pull()
    site.server.forget()
    return site, scenes


async def repair(run_cli: CommandHere, site: Any, *words: object) -> Ended:
    wanted = ("--repair", "--collection", "S2_MSIL2A", "--base-url", site.server.url, "--retries", 1)
    return await run_cli("verify", site.folder, *wanted, *words)


def extents(site: Any, scene: Scene) -> list[tuple[int, int]]:
    directory = read_members(site.archive(scene))
    return [(member.header, end) for member, end in directory.extents()]


def flip(site: Any, scene: Scene, position: int) -> None:
    path = site.archive(scene)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def cut(site: Any, scene: Scene, nbytes: int) -> None:
    path = site.archive(scene)
    path.write_bytes(path.read_bytes()[:-nbytes])


def assert_all_right(site: Any, scenes: list[Scene]) -> None:
    assert all(site.original(scene) == site.archive(scene).read_bytes() for scene in scenes)
    assert [] == site.litter()


@pytest.mark.parametrize("which", [1, 2, 3, 5])
async def test_flipped_bit_costs_its_member_only(serve: Callable[..., Any], run_cli: CommandHere, which: int) -> None:
    site, scenes = await pulled(serve)
    first, end = extents(site, scenes[1])[which]
    flip(site, scenes[1], end - 1)

    ended = await repair(run_cli, site)

    assert 0 == ended.code
    assert "1 of 1 repaired" in ended.err
    assert end - first <= site.moved() <= end - first + 2 * OVERLAP
    assert_all_right(site, scenes)


async def test_very_first_member_can_be_repaired(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    """Nothing is here before it that could be compared."""
    site, scenes = await pulled(serve, 1)
    flip(site, scenes[0], extents(site, scenes[0])[0][1] - 1)

    ended = await repair(run_cli, site)

    assert 0 == ended.code
    assert site.moved() <= 2 * OVERLAP
    assert_all_right(site, scenes)


async def test_two_damaged_members_of_one_archive_cost_both(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, scenes = await pulled(serve, 1)
    damaged = [extents(site, scenes[0])[which] for which in (2, 4)]
    for _, end in damaged:
        flip(site, scenes[0], end - 1)

    ended = await repair(run_cli, site)

    assert 0 == ended.code
    assert site.moved() <= sum(end - first for first, end in damaged) + 4 * OVERLAP
    assert_all_right(site, scenes)


async def test_truncated_archive_costs_its_missing_end_only(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, scenes = await pulled(serve)
    cut(site, scenes[2], 500_000)

    ended = await repair(run_cli, site)

    assert 0 == ended.code
    assert 500_000 <= site.moved() <= 500_000 + OVERLAP
    assert_all_right(site, scenes)


async def test_several_archives_are_repaired_in_one_go(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, scenes = await pulled(serve)
    flip(site, scenes[0], extents(site, scenes[0])[3][1] - 1)
    cut(site, scenes[1], 100_000)
    site.archive(scenes[2]).write_bytes(b"<html>Back soon</html>")

    ended = await repair(run_cli, site)

    assert 0 == ended.code
    assert "3 of 3 repaired" in ended.err
    assert_all_right(site, scenes)


async def test_archive_that_the_catalogue_does_not_list_is_left_as_it_was(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site, scenes = await pulled(serve, 2)
    stranger = site.folder / "S2A_UNKNOWN_PRODUCT.zip"
    stranger.write_bytes(site.original(scenes[0])[:-100])
    before = stranger.read_bytes()
    cut(site, scenes[0], 100_000)

    ended = await repair(run_cli, site)

    assert 1 == ended.code
    assert (
        "S2A_UNKNOWN_PRODUCT.zip: not repaired: the catalogue lists no product S2A_UNKNOWN_PRODUCT in S2_MSIL2A"
        in ended.err
    )
    assert "1 of 2 repaired" in ended.err
    assert before == stranger.read_bytes()
    assert_all_right(site, scenes)


async def test_an_archive_outside_of_the_output_folder_is_left_as_it_was(serve: Callable[..., Any]) -> None:
    site, (scene,) = await pulled(serve, 1)
    cut(site, scene, 100_000)
    outside = site.archive(scene).rename(site.folder.parent / site.archive(scene).name)
    before = outside.read_bytes()

    async with site.client() as client:
        outcome = await client.repair(outside)

    said = f"asked for {scene.identifier}, the catalogue gives a product whose archive is {site.archive(scene)}"
    assert (Status.FAILED, said) == (outcome.status, str(outcome.error))
    assert before == outside.read_bytes()
    assert not site.archive(scene).exists()


async def test_archive_that_is_bad_on_the_server_is_not_repaired(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    """It was pulled without a look at its members; what is asked for again comes with the same bytes."""
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: FAULTS["rotten"]})
    await site.pull(verify="structure")

    ended = await repair(run_cli, site)

    assert 1 == ended.code
    assert "0 of 1 repaired" in ended.err
    assert "bad on the server" in ended.err
    assert not is_archive(site.archive(scene))


async def test_catalogue_that_does_not_answer_leaves_everything_as_it_was(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site, scenes = await pulled(serve, 1)
    cut(site, scenes[0], 100_000)
    before = site.archive(scenes[0]).read_bytes()

    ended = await repair(run_cli, site, "--base-url", "http://127.0.0.1:9/search")

    assert 1 == ended.code
    assert "Connection refused" in ended.err
    assert before == site.archive(scenes[0]).read_bytes()
    assert [] == site.litter()


async def test_archives_in_folders_of_their_own_are_repaired_where_they_are(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site, scenes = await pulled(serve, 1)
    cut(site, scenes[0], 100_000)
    below = site.folder / "2021" / site.archive(scenes[0]).name
    below.parent.mkdir()
    site.archive(scenes[0]).rename(below)

    ended = await repair(run_cli, site)

    assert 0 == ended.code
    assert site.original(scenes[0]) == below.read_bytes()
    assert [below] == [path for path in site.folder.rglob("*") if path.is_file()]


async def test_right_archives_are_not_asked_for(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, _ = await pulled(serve)

    ended = await repair(run_cli, site)

    assert (0, []) == (ended.code, site.server.requests)
    assert "all of them right" in ended.err


async def test_repairing_needs_to_know_the_collection(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, scenes = await pulled(serve, 1)
    cut(site, scenes[0], 100_000)
    before = site.archive(scenes[0]).read_bytes()

    ended = await run_cli("verify", site.folder, "--repair", "--base-url", site.server.url)

    assert (2, "", []) == (ended.code, ended.out, site.server.requests)
    assert 1 == len(ended.err.splitlines())
    assert "--collection: expected a collection" in ended.err
    assert before == site.archive(scenes[0]).read_bytes()


async def test_without_repair_nothing_is_asked_and_nothing_changes(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site, scenes = await pulled(serve, 1)
    cut(site, scenes[0], 100_000)
    before = site.archive(scenes[0]).read_bytes()

    ended = await run_cli("verify", site.folder)

    assert (1, []) == (ended.code, site.server.requests)
    assert before == site.archive(scenes[0]).read_bytes()
