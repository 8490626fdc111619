"""Archives in folders by a layout: each lies in its own, and what is here already is found wherever it lies."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.models.layout import Layout
from collgs_async.models.product import Status
from collgs_async.storage.filenames import former_file_name
from collgs_async.transfer.action import Action
from tests.conftest import fault, is_archive, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandHere

LAYOUT = "{platform}/{year}/{tile}"
OTHER = "{collection}/{month}"
WISH = ["*_MSIL2A.xml"]


async def site_of(serve: Callable[..., Any], count: int = 2, *, size: int = 200_000, **options: Any) -> tuple[Any, Any]:
    scenes = level2_scenes(count, size=size)
    return await serve(scenes, **options), scenes


def archives(site: Any) -> list[str]:
    """List the archives by their paths below the output folder."""
    found = (path.relative_to(site.folder) for path in site.folder.rglob("*.zip"))
    return sorted(path.as_posix() for path in found)


async def expected(site: Any, layout: str) -> list[str]:
    async with site.client() as client:
        products = await client.search().collect()
    return sorted(f"{Layout.parse(layout).folder(product)}/{product.identifier}.zip" for product in products)


async def test_each_archive_lies_in_its_folder(serve: Callable[..., Any]) -> None:
    site, _ = await site_of(serve)

    report = await site.pull(keep={"layout": LAYOUT})

    assert report.downloaded == 2
    assert archives(site) == await expected(site, LAYOUT)
    assert len(archives(site)[0].split("/")) == 4
    assert all(is_archive(path) for path in site.folder.rglob("*.zip"))
    assert {outcome.path for outcome in report.outcomes} == set(site.folder.rglob("*.zip"))
    assert site.litter() == ["layout"]


@pytest.mark.parametrize(("before", "after"), [(None, LAYOUT), (OTHER, LAYOUT), (LAYOUT, None), (LAYOUT, LAYOUT)])
async def test_what_is_here_stays_and_is_not_fetched_again(
    serve: Callable[..., Any], before: str | None, after: str | None
) -> None:
    site, _ = await site_of(serve)
    await site.pull(keep={"layout": before})
    here, moved = archives(site), site.moved()

    report = await site.pull(keep={"layout": after})

    assert (report.skipped, site.moved(), archives(site)) == (2, moved, here)


async def test_new_ones_lie_beside_those_of_before(serve: Callable[..., Any]) -> None:
    site, scenes = await site_of(serve, 3)
    site.server.scenes[:] = scenes[:1]
    await site.pull()
    site.server.scenes[:] = scenes

    report = await site.pull(keep={"layout": LAYOUT})

    assert (report.downloaded, report.skipped) == (2, 1)
    assert f"{scenes[0].identifier}.zip" in archives(site)
    assert len([path for path in archives(site) if "/" in path]) == 2


@pytest.mark.parametrize("layout", [None, OTHER])
async def test_a_part_file_is_resumed_where_it_lies(serve: Callable[..., Any], layout: str | None) -> None:
    scene = level2_scenes(1, size=3_000_000)[0]
    site = await serve([scene], faults={scene.identifier: (fault("cut"), fault("500"))})
    await site.pull(keep={"layout": LAYOUT}, retries=0, segments=1)
    (part,) = site.folder.rglob("*.zip.part")
    held, since = {part.name.removesuffix(".part"): part.stat().st_size}, len(site.server.requests)

    await site.pull(keep={"layout": layout}, segments=1)

    assert is_archive(part.with_name(part.name.removesuffix(".part")))
    assert site.asked_again(held, since) == []
    assert len(archives(site)) == 1


async def test_an_archive_goes_before_a_part_file_elsewhere(serve: Callable[..., Any]) -> None:
    site, _ = await site_of(serve, 1)
    await site.pull()
    moved = site.moved()
    (archive,) = site.folder.rglob("*.zip")
    other = site.folder / "a" / f"{archive.name}.part"
    other.parent.mkdir()
    other.write_bytes(b"PK")

    report = await site.pull(keep={"layout": LAYOUT})

    assert (report.skipped, site.moved()) == (1, moved)


async def test_a_tree_of_members_is_found_and_completed_where_it_lies(serve: Callable[..., Any]) -> None:
    site, scenes = await site_of(serve, 1, size=3_000_000)
    await site.pull(keep={"layout": LAYOUT}, members=WISH)
    (tree,) = site.folder.rglob("*.parts")
    moved = site.moved()

    again = await site.pull(keep={"layout": OTHER}, members=WISH)
    moved_again = site.moved()
    whole = await site.pull(keep={"layout": OTHER})

    assert (again.skipped, moved_again) == (1, moved)
    assert [outcome.path for outcome in whole.outcomes] == [tree.with_name(f"{scenes[0].identifier}.zip")]


async def test_an_archive_of_the_former_name_is_found(serve: Callable[..., Any]) -> None:
    scene = replace(level2_scenes(1)[0], identifier="S2A_odd:1")
    site = await serve([scene])
    await site.pull()
    (path,) = site.folder.iterdir()
    former = former_file_name(scene.identifier)
    assert former
    (site.folder / "old").mkdir()
    path.rename(site.folder / "old" / former)
    moved = site.moved()

    report = await site.pull(keep={"layout": LAYOUT})

    assert (report.skipped, site.moved()) == (1, moved)
    assert archives(site) == [f"old/{path.name}"]


async def test_paths_and_states_are_those_of_the_layout(serve: Callable[..., Any]) -> None:
    site, scenes = await site_of(serve, 2)
    site.server.scenes[:] = scenes[:1]
    await site.pull(keep={"layout": OTHER})
    site.server.scenes[:] = scenes
    async with site.client(keep={"layout": LAYOUT}) as client:
        products = {product.identifier: product for product in await client.search().collect()}
        here, new = (products[scene.identifier] for scene in scenes)

        assert [client.path_for(here).relative_to(site.folder).as_posix()] == archives(site)
        assert await client.local_state(here) is Action.SKIP
        assert client.path_for(new).parent == site.folder / Layout.parse(LAYOUT).folder(new)
        assert await client.local_state(new) is Action.FETCH


async def test_a_damaged_archive_is_fetched_anew_where_it_lies(serve: Callable[..., Any]) -> None:
    site, _ = await site_of(serve, 1)
    await site.pull(keep={"layout": OTHER})
    (path,) = site.folder.rglob("*.zip")
    path.write_bytes(path.read_bytes()[:1000])

    report = await site.pull(keep={"layout": LAYOUT})

    assert report.downloaded == 1
    assert list(site.folder.rglob("*.zip")) == [path]
    assert is_archive(path)


async def test_folders_that_begin_with_a_dot_and_links_are_left_out(serve: Callable[..., Any], tmp_path: Path) -> None:
    """What was moved away is not here; a link may lead round in circles."""
    site, _ = await site_of(serve, 1)
    await site.pull()
    (path,) = site.folder.rglob("*.zip")
    (site.folder / ".collgs" / "old").mkdir(parents=True)
    path.rename(site.folder / ".collgs" / "old" / path.name)
    (site.folder / "loop").symlink_to(site.folder)

    report = await site.pull(keep={"layout": LAYOUT})

    assert report.downloaded == 1


async def test_a_link_in_the_place_of_a_folder_of_the_layout_is_followed(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    """As when the years lie on several disks."""
    site, scenes = await site_of(serve, 1)
    async with site.client() as client:
        folder = Layout.parse("{year}").folder(await anext(aiter(client.search())))
    (tmp_path / "disk").mkdir()
    site.folder.mkdir()
    (site.folder / folder).symlink_to(tmp_path / "disk")

    first, again = await site.pull(keep={"layout": "{year}"}), await site.pull(keep={"layout": "{year}"})

    assert (first.downloaded, again.skipped) == (1, 1)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == [f"{scenes[0].identifier}.zip"]


async def test_many_downloads_at_once_open_one_downloader(serve: Callable[..., Any]) -> None:
    site, _ = await site_of(serve, 3)
    async with site.client(keep={"layout": LAYOUT}) as client:
        products = await client.search().collect()
        outcomes = await asyncio.gather(*(client.download(product) for product in products))

    assert [outcome.status for outcome in outcomes] == [Status.DOWNLOADED] * 3


# ------------------------------------------------------------------------------------------- on the command line


async def run(run_cli: CommandHere, site: Any, command: str, *words: object) -> Any:
    wanted = ("--collection", "S2_MSIL2A", "--base-url", site.server.url, "--output", site.folder)
    return await run_cli(command, *wanted, *words)


async def test_a_dry_run_shows_what_is_here_and_writes_nothing(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, scenes = await site_of(serve, 2)
    site.server.scenes[:] = scenes[:1]
    await site.pull()
    site.server.scenes[:] = scenes
    report = run_cli.folder / "report.json"

    ended = await run(run_cli, site, "download", "--layout", LAYOUT, "--dry-run", "--report", report)

    assert ended.code == 0
    listed = {one["id"]: one for one in json.loads(report.read_text())["products"]}
    assert {name: one["status"] for name, one in listed.items()} == {
        scenes[0].identifier: "skipped",
        scenes[1].identifier: "planned",
    }
    assert listed[scenes[1].identifier]["path"].count("/") == str(site.folder).count("/") + 4
    assert [path.name for path in site.folder.rglob("*")] == [f"{scenes[0].identifier}.zip"]


async def test_quicklooks_lie_beside_their_archives(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, _ = await site_of(serve, 2)
    await site.pull(keep={"layout": LAYOUT})

    first = await run(run_cli, site, "quicklooks", "--layout", LAYOUT)
    again = await run(run_cli, site, "quicklooks", "--layout", LAYOUT)

    assert (first.code, again.code) == (0, 0)
    assert "2 already here" in again.err
    folders = {path.parent for path in site.folder.rglob("*.zip")}
    assert {path.parent for path in map(Path, first.out.split())} == folders


async def test_verify_and_repair_go_by_the_folders(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site, _ = await site_of(serve, 2)
    await site.pull(keep={"layout": LAYOUT})
    await site.pull(keep={"layout": LAYOUT}, members=WISH)
    path = sorted(site.folder.rglob("*.zip"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    words = ("--repair", "--layout", LAYOUT, "--retries", 1)

    ended = await run(run_cli, site, "verify", site.folder, *words)
    after = await run(run_cli, site, "verify", site.folder)

    assert "1 of 1 repaired" in ended.err
    assert (ended.code, after.code) == (0, 0)
    assert len(archives(site)) == 2


async def test_a_folder_that_cannot_be_read_is_told(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, _ = await site_of(serve, 1)
    shut = site.folder / "shut"
    shut.mkdir(parents=True)
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path) == str(shut):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read everything

    ended = await run(run_cli, site, "download", "--layout", LAYOUT)

    assert ended.code == 0
    assert f"{shut}: Permission denied; archives in there are not known" in ended.err


@pytest.mark.parametrize("flag", ["--layout", "keep"])
async def test_an_unknown_word_is_refused_before_any_request(
    serve: Callable[..., Any], run_cli: CommandHere, flag: str
) -> None:
    site, _ = await site_of(serve, 1)
    config = run_cli.folder / "config.json"
    config.write_text(json.dumps({"keep": {"layout": "{tiel}/{year}"}}))
    words = ("--layout", "{tiel}/{year}") if flag == "--layout" else ("--config", config)

    ended = await run(run_cli, site, "download", *words)

    assert ended.code == 2
    assert 'found "{tiel}"; did you mean {tile}?' in ended.err
    assert site.server.requests == []
    assert not site.folder.exists()


async def test_flat_on_the_command_line_goes_before_the_configuration(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    site, scenes = await site_of(serve, 1)
    config = run_cli.folder / "config.json"
    config.write_text(json.dumps({"keep": {"layout": LAYOUT}}))

    await run(run_cli, site, "download", "--config", config, "--layout", "flat")

    assert archives(site) == [f"{scenes[0].identifier}.zip"]
    assert not (site.folder / ".collgs").exists()
