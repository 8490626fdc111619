"""The members of the demo's archives have the names of real products, and sizes like theirs."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from collgs_async.demo.archives import write_archive
from collgs_async.demo.layouts import layout
from collgs_async.demo.scenes import make_scenes
from collgs_async.models.wish import Wish
from collgs_async.selection.bands import choose_members
from tests.support.golden import GOLDEN

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene

MIB = 1 << 20
SCENES = make_scenes(20, size=MIB)
LIKE = {"L1C": "S2_MSIL1C", "L2A": "S2_MSIL2A", "OLCI": "S2_MSIL1C", "GRD": "S1_SAR_GRD", "COG": "S1_SAR_GRD"}
FREE = re.compile(r"(?<=GRANULE/)\w+|(?<=DATASTRIP/)\w+|-\d{8}t\d{6}|-\d{3}(?=[.-])|^[^/]+/")
"""What a name does not tell, and the product's folder."""


def scene_of(kind: str, **changes: object) -> Scene:
    like = next(scene for scene in SCENES if scene.collection == LIKE.get(kind, "S1_SAR_GRD"))
    return replace(like, identifier=GOLDEN[kind].identifier, deflated=False, **changes)  # type: ignore[arg-type] # of each test


def chosen(kind: str, names: list[str]) -> list[str]:
    """Names of images, masks, annotations and metadata, in order."""
    pattern = r"IMG_DATA/|MSK_|MTD_|measurement/|annotation/|manifest|\.nc$"
    return sorted(FREE.sub("", name) for name in names if re.search(pattern, name) and not is_extra(kind, name))


def is_extra(kind: str, name: str) -> bool:
    """Tell whether only products of another age have a member."""
    return "/rfi/" in name or (kind == "GRD" and name.endswith("-cog.tiff"))


@pytest.mark.parametrize("kind", ["L1C", "L2A", "L2A_N0214", "GRD", "GRD_EW", "OLCI"])
def test_the_names_are_those_of_a_real_product(kind: str) -> None:
    scene = scene_of(kind)
    folder, parts = layout(replace(scene, collection="S2_MSIL1C") if kind.startswith("L2A") else scene)

    assert chosen(kind, list(GOLDEN[kind].names)) == chosen(kind, [f"{folder}/{part.name}" for part in parts])
    assert folder == GOLDEN[kind].names[0].partition("/")[0]
    assert "manifest" in parts[0].name


@pytest.mark.parametrize("kind", ["L1C", "L2A", "GRD", "COG", "SLC", "OLCI"])
@pytest.mark.parametrize("deflated", [False, True])
def test_the_archive_has_its_exact_size_and_each_member_its_share(tmp_path: Path, kind: str, deflated: bool) -> None:
    path = tmp_path / "a.zip"
    write_archive(replace(scene_of(kind, size=20 * MIB), deflated=deflated), path)
    product = GOLDEN[kind]
    total = sum(member.size for member in product.members)
    real = {FREE.sub("", member.name): member.size / total for member in product.members}

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        found = {FREE.sub("", info.filename): info.file_size / (20 * MIB) for info in archive.infolist()}
        assert {info.compress_type for info in archive.infolist()[:-1]} == {8 if deflated else 0}
    assert path.stat().st_size == 20 * MIB
    large = {name for name, share in real.items() if share > 0.01 and name in found and ".xml" not in name}
    assert len(large) >= 2
    assert all(0.5 < found[name] / real[name] < 2 for name in large)


def test_a_band_is_larger_the_finer_it_is() -> None:
    _, parts = layout(scene_of("L2A"))
    for band in ("B02", "TCI", "WVP"):
        weights = [part.weight for part in parts if f"_{band}_" in part.name and "IMG_DATA" in part.name]
        assert 3 == len(weights)
        assert all(finer > coarser for finer, coarser in pairwise(weights))


@pytest.mark.parametrize("size", [640, 4_095, 4_096, 8_000, 30_000, 60_000])
@pytest.mark.parametrize("kind", ["L2A", "GRD", "SLC", "OLCI"])
def test_a_small_archive_lacks_the_less_important_members(tmp_path: Path, kind: str, size: int) -> None:
    scene = scene_of(kind, size=size)
    _, parts = layout(scene)
    write_archive(scene, tmp_path / "a.zip")

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
    assert size == (tmp_path / "a.zip").stat().st_size or size == 640
    assert "manifest" in parts[0].name
    assert parts[-1].is_image
    if size >= 30_000:
        assert any(re.search(r"B04_10m|-vv-.*tiff|Oa17", part.name) for part in parts)


def test_a_name_that_says_nothing_has_the_members_of_its_collection() -> None:
    for scene in (replace(scene, identifier="x/ ü") for scene in SCENES):
        names = [part.name for part in layout(scene)[1]]
        assert any(name.startswith("measurement/") for name in names) == (scene.cloud_cover is None)
        assert any("/R20m/" in name for name in names) == (scene.collection == "S2_MSIL2A")


WORDS = {
    "L1C": "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12 TCI PVI MASKS",
    "L2A": "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12 AOT WVP SCL TCI CLD SNW PVI MASKS",
    "GRD": "VV VH CAL NOISE RFI",
    "COG": "VV VH CAL NOISE RFI",
    "SLC": "VV VH IW1 IW2 IW3 CAL NOISE RFI",
    "OLCI": " ".join(["GEO", "TIE", "FLAGS", *(f"Oa{band:02}" for band in range(1, 22))]),
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in WORDS.items() for word in words.split()])
def test_each_band_can_be_chosen(kind: str, word: str) -> None:
    folder, parts = layout(scene_of(kind))
    names = [f"{folder}/{part.name}" for part in parts]

    chosen = choose_members(names, Wish.from_dict({"bands": word}), identifier=GOLDEN[kind].identifier)

    assert 1 <= len(chosen) < len(names)
