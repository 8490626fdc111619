"""`collgs-async verify` on folders with trees of members."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.models.wish import Wish
from collgs_async.storage.parts_record import write_record
from tests.conftest import level2_scenes
from tests.support.archives import written
from tests.support.odd_archives import entries
from tests.support.trees import extracted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandHere

BAND = "P.SAFE/GRANULE/B02.jp2"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree, record = extracted(tmp_path / "downloads", written(entries()), [BAND])
    wished = type(record)(
        record.identifier, record.remote, record.fetched, Wish(bands=("B02",)), record.directory, record.here
    )
    write_record(tree.folder, wished)
    return tree.folder


async def test_a_right_tree_is_said_to_be_a_part(run_cli: CommandHere, tree: Path) -> None:
    ended = await run_cli("verify", tree.parent)

    assert 0 == ended.code
    assert f"{tree}: note: 1 of 3 members of the archive are here" in ended.err
    assert "all of them right; 1 is a part of an archive" in ended.err


async def test_a_damaged_tree_is_named_and_its_members_are_fetched_again(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scenes = level2_scenes(2, size=3_000_000)
    site = await serve(scenes)
    await site.pull(members=["*_SCL_60m.jp2"])
    await site.pull(bands="B02,B03", resolution=60)
    folder = site.folder / f"{scenes[0].identifier}.parts"
    before = {path.name: path.read_bytes() for path in folder.rglob("*.jp2")}
    for path in folder.rglob("*.jp2"):
        if "_B03_" in path.name or "_SCL_" in path.name:  # SCL is not part of the last wish
            path.write_bytes(b"x")
    site.server.forget()
    repair = ("verify", site.folder, "--repair", "--collection", "S2_MSIL2A", "--base-url", site.server.url)

    planned = await run_cli(*repair, "--dry-run")
    asked = len(site.archive_hits())
    repaired = await run_cli(*repair)
    again = await run_cli("verify", site.folder)

    assert [1, 0, 0] == [one.code for one in (planned, repaired, again)]
    assert f"{folder}: would be repaired, 2 members of it" in planned.err
    assert f"{folder}: repaired, " in repaired.err
    assert "1 of 1 repaired" in repaired.err
    assert before == {path.name: path.read_bytes() for path in folder.rglob("*.jp2")}
    assert 0 == asked
    assert site.moved() < 200_000
    record = json.loads((folder / "parts.json").read_bytes())
    assert ["B02", "B03"] == record["wish"]["bands"]


async def test_a_tree_that_the_catalogue_does_not_list_stays_as_it_is(
    serve: Callable[..., Any], run_cli: CommandHere, tree: Path
) -> None:
    site = await serve(level2_scenes(1))
    (tree / BAND).write_bytes(b"x")
    record = (tree / "parts.json").read_bytes()

    ended = await run_cli("verify", tree.parent, "--repair", "--collection", "S2_MSIL2A", "--base-url", site.server.url)

    assert 1 == ended.code
    assert f"{tree}: not repaired: the catalogue lists no product {tree.stem} in S2_MSIL2A" in ended.err
    assert record == (tree / "parts.json").read_bytes()


async def test_a_damaged_tree_beside_its_whole_archive_is_not_fetched(
    serve: Callable[..., Any], run_cli: CommandHere
) -> None:
    scene = level2_scenes(1, size=3_000_000)[0]
    site = await serve([scene])
    await site.pull(bands="B02", resolution=60)
    await site.pull()
    [band] = (site.folder / f"{scene.identifier}.parts").rglob("*_B02_60m.jp2")
    band.write_bytes(b"x")

    ended = await run_cli("verify", site.folder, "--repair", "--collection", "S2_MSIL2A", "--base-url", site.server.url)

    assert 1 == ended.code
    assert ".parts: not repaired: the whole archive is here" in ended.err


async def test_a_tree_without_its_record_is_named_and_nothing_is_dropped(run_cli: CommandHere, tree: Path) -> None:
    (tree / "parts.json").unlink()

    ended = await run_cli(
        "verify", tree.parent, "--repair", "--collection", "S2_MSIL2A", "--base-url", "http://127.0.0.1:9"
    )

    assert 1 == ended.code
    assert f"{tree}: not repaired: there is no parts.json, which says what the files must be" in ended.err
    assert "0 of 1 repaired" in ended.err


@pytest.mark.parametrize("record", [None, b"{", b"[]"])
async def test_a_run_with_bands_mends_a_tree_without_a_usable_record_as_verify_says(
    serve: Callable[..., Any], run_cli: CommandHere, record: bytes | None
) -> None:
    scene = level2_scenes(1, size=3_000_000)[0]
    site = await serve([scene])
    catalogue = ("--collection", "S2_MSIL2A", "--base-url", site.server.url)
    await site.pull(bands="B02,B03", resolution=60)
    file = site.folder / f"{scene.identifier}.parts" / "parts.json"
    file.unlink()
    if record is not None:
        file.write_bytes(record)
    site.server.forget()

    told = [await run_cli("verify", site.folder, *words) for words in ([], ["--repair", *catalogue])]
    planned = await run_cli("verify", site.folder, "--repair", "--dry-run", *catalogue)
    mended = await run_cli(*catalogue, "-o", site.folder, "--bands", "B02", "--resolution", "60")
    right = await run_cli("verify", site.folder)

    advice = "a download of some of its bands (--bands) compares them with the archive, and writes it again"
    assert [1, 1, 1] == [one.code for one in (*told, planned)]
    assert all(advice in one.err for one in (*told, planned))
    assert (0, 0) == (mended.code, right.code)
    assert site.moved() <= 2 * 65536
    members = json.loads(file.read_bytes())["here"]
    assert {"B02", "B03"} <= {member["name"].rsplit("_", 2)[-2] for member in members if ".jp2" in member["name"]}
