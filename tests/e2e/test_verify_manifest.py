"""`collgs-async verify --manifest`: the files of each product beside the digests of its own manifest."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandHere

SIZE = 1_000_000


def pack_again(path: Path, *, without: str = "-", changed: str = "-") -> None:
    """Write an archive again with right checksums: without a member, or with one that has other bytes."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist() if not info.filename.endswith(without)]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            archive.writestr(info, data[:-1] + b"!" if info.filename.endswith(changed) else data)


@pytest.fixture
async def site(serve: Callable[..., Any]) -> Any:
    site = await serve(level2_scenes(2, size=SIZE))
    await site.pull()
    site.server.forget()
    return site


def paths(site: Any) -> list[Path]:
    return sorted(site.folder.glob("*.zip"))


def in_store(folder: Path, archive: Path) -> Path:
    """The file of the store that is equal to an archive."""
    return next(path for path in folder.glob("store*/*.zip") if path.read_bytes() == archive.read_bytes())


def repair(site: Any) -> tuple[object, ...]:
    return "--repair", "--collection", "S2_MSIL2A", "--base-url", site.server.url, "--retries", 1


async def test_right_archives_are_said_to_be_as_their_manifests_state(run_cli: CommandHere, site: Any) -> None:
    ended = await run_cli("verify", site.folder, "--manifest")

    assert 0 == ended.code
    assert ", all of them right; " in ended.err
    assert ended.err.rstrip().endswith(" members as the manifests state")
    assert "manifest" not in (await run_cli("verify", site.folder)).err


async def test_a_band_of_other_bytes_is_found_and_fetched_again(run_cli: CommandHere, site: Any) -> None:
    original = paths(site)[0].read_bytes()
    pack_again(paths(site)[0], changed="_B02_10m.jp2")

    plain, compared = await run_cli("verify", site.folder), await run_cli("verify", site.folder, "--manifest")
    assert (0, 1) == (plain.code, compared.code)
    assert "_B02_10m.jp2' (its " in compared.err
    assert "1 of them bad; " in compared.err

    ended = await run_cli("verify", site.folder, "--manifest", *repair(site))
    assert 0 == ended.code
    assert "1 of 1 repaired" in ended.err
    assert original == paths(site)[0].read_bytes()


async def test_what_the_store_has_as_well_is_not_called_repaired(
    run_cli: CommandHere, site: Any, tmp_path: Path
) -> None:
    path = paths(site)[0]
    stored = in_store(tmp_path, path)
    pack_again(path, changed="_B02_10m.jp2")
    stored.write_bytes(path.read_bytes())

    ended = await run_cli("verify", site.folder, "--manifest", *repair(site))

    assert 1 == ended.code
    assert f"{path}: not repaired: its store has the same bytes" in ended.err
    assert "0 of 1 repaired" in ended.err
    assert site.moved() < SIZE // 2


async def test_a_missing_file_is_named_and_comes_again(run_cli: CommandHere, site: Any) -> None:
    path = paths(site)[0]
    original = path.read_bytes()
    pack_again(path, without="_B03_10m.jp2")
    before = path.read_bytes()

    planned = await run_cli("verify", site.folder, "--manifest", *repair(site), "--dry-run")
    assert 1 == planned.code
    assert "its manifest.safe lists 1 file that the archive does not have: './GRANULE/" in planned.err
    assert "1 would be repaired" in planned.err
    assert before == path.read_bytes()
    assert [] == site.archive_hits()

    ended = await run_cli("verify", site.folder, "--manifest", *repair(site))
    assert (0, original) == (ended.code, path.read_bytes())


@pytest.mark.parametrize("level", ["structure", "size"])
async def test_a_level_that_reads_nothing_is_refused(run_cli: CommandHere, tmp_path: Path, level: str) -> None:
    ended = await run_cli("verify", tmp_path, "--manifest", "--verify", level)

    assert 2 == ended.code
    assert f"--manifest: expected --verify crc, which reads each file, found {level}" in ended.err


async def test_the_manifest_of_a_tree_is_compared_with_what_is_here(run_cli: CommandHere, serve: Any) -> None:
    site = await serve(level2_scenes(1, size=SIZE))
    await site.pull(members=["manifest.safe", "*_B02_10m.jp2"])

    ended = await run_cli("verify", site.folder, "--manifest")

    assert 0 == ended.code
    assert "all of them right; 1 is a part of an archive; 1 member as the manifests state" in ended.err
