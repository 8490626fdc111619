"""What is downloaded: sets of genuine ZIP archives, made when they are first wanted, and compared byte for byte."""

from __future__ import annotations

import os
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collgs_async.demo.archives import write_archive
from collgs_async.demo.scenes import make_scenes

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene

__all__ = ["COLLECTION", "MIB", "SETS", "GoodsSet", "difference"]

MIB = 2**20
COLLECTION = "S2_MSIL2A"

_BLOCK = MIB
_SYMBOLS = 40
_FEW_SYMBOLS = bytes(value % _SYMBOLS for value in range(256))
_DATE = (2021, 1, 1, 0, 0, 0)
_DEFLATE_LEVEL = 6


@dataclass(frozen=True, slots=True)
class GoodsSet:
    """Archives that are served together.

    Attributes
    ----------
    name
        Its folder, in the disk and in addresses.
    title
        For people.
    sizes
        Bytes of each archive, in the order in which the catalogue lists them. For a deflated one: of its members.
    deflated
        Whether members are deflated; else they are stored.
    """

    name: str
    title: str
    sizes: tuple[int, ...]
    deflated: bool = False

    def scenes(self) -> list[Scene]:
        """Give the products, the newest first as the catalogue lists them, with download links that are relative."""
        # About a third of what is made up is of the one collection that is searched.
        made = make_scenes(5 * len(self.sizes) + 50)
        scenes = [scene for scene in reversed(made) if scene.collection == COLLECTION][: len(self.sizes)]
        return [
            replace(scene, size=size, deflated=self.deflated, href=f"{self.name}/{scene.identifier}.zip")
            for scene, size in zip(scenes, self.sizes, strict=True)
        ]

    def make(self, folder: Path) -> list[Path]:
        """Make those archives that are not in the folder yet; give all of them, in the catalogue's order."""
        (folder / self.name).mkdir(parents=True, exist_ok=True)
        places = {folder / f"{scene.href}": scene for scene in self.scenes()}
        missing = [(scene, path) for path, scene in places.items() if not path.exists()]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(lambda wanted: _make(*wanted), missing):
                pass
        return list(places)


_SETS = (
    GoodsSet("few", "1 × 64 KiB", (MIB // 16,)),
    GoodsSet("large", "8 × 256 MiB", (256 * MIB,) * 8),
    GoodsSet("medium", "8 × 64 MiB", (64 * MIB,) * 8),
    GoodsSet("small", "2,000 × 64 KiB", (MIB // 16,) * 2000),
    GoodsSet("tail", "40 × 4 MiB, then 256 MiB", (4 * MIB,) * 40 + (256 * MIB,)),
    GoodsSet("giant", "1 × 1 GiB", (1024 * MIB,)),
    GoodsSet("deflated", "8 × 96 MiB, deflated to about 65 MiB each", (96 * MIB,) * 8, deflated=True),
)

SETS: dict[str, GoodsSet] = {goods.name: goods for goods in _SETS}
"""Every set by name."""


def difference(found: Path, original: Path) -> str | None:
    """Say how a file differs from its original; None: not at all."""
    try:
        with found.open("rb", buffering=0) as one, original.open("rb", buffering=0) as other:
            sizes = os.fstat(one.fileno()).st_size, os.fstat(other.fileno()).st_size
            if sizes[0] != sizes[1]:
                return f"{found.name}: expected {sizes[1]} bytes, found {sizes[0]}"
            for start in range(0, sizes[1], _BLOCK):
                if one.read(_BLOCK) != other.read(_BLOCK):
                    return f"{found.name}: expected the original's bytes, found others after byte {start}"
    except OSError as error:
        return f"{found.name}: {error.strerror}"
    return None


def _make(scene: Scene, path: Path) -> None:
    unfinished = path.with_suffix(".unfinished")
    (_write_deflated if scene.deflated else write_archive)(scene, unfinished)
    unfinished.replace(path)


def _write_deflated(scene: Scene, path: Path) -> None:
    """Write an archive that is work to inflate, as imagery is: noise of few symbols, which deflates to two thirds."""
    rng = random.Random(scene.identifier)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_DEFLATE_LEVEL) as archive:
        for band in ("B02", "B03", "B04", "B08"):
            entry = zipfile.ZipInfo(f"{scene.identifier}.SAFE/{band}.jp2", _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as member:
                for _ in range(scene.size // 4 // _BLOCK):
                    member.write(rng.randbytes(_BLOCK).translate(_FEW_SYMBOLS))
