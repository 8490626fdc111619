"""Peers that read members of an archive by ranges: ``python readers.py PEER URL FOLDER LIST``.

Each writes the members that LIST names, with their lengths, to files of these names in the folder, by the means that
its documentation shows first.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BLOCK = 1 << 20
_RAW = """<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><VRTRasterBand dataType="Byte" band="1"
 subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="0">{source}</SourceFilename>
 <ImageOffset>{offset}</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>{width}</LineOffset></VRTRasterBand></VRTDataset>"""
_LINE = 1 << 14


def _remotezip(url: str, folder: Path, names: Sequence[str]) -> None:
    from remotezip import RemoteZip

    with RemoteZip(url) as archive:
        for name in names:
            archive.extract(name, folder)


def _fsspec(url: str, folder: Path, names: Sequence[str]) -> None:
    import fsspec

    with fsspec.open(url) as file, zipfile.ZipFile(file) as archive:
        for name in names:
            archive.extract(name, folder)


def _gdal(url: str, folder: Path, names: Sequence[str]) -> None:
    """Read each byte through GDAL's file systems, as an image of raw bytes, so that no time goes into decoding."""
    import rasterio

    os.environ["GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE"] = "ALL"
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", VRT_SHARED_SOURCE="0"):
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                _copy_raw(rasterio, f"/vsizip/{{/vsicurl/{url}}}/{name}", _sizes()[name], file)


def _sizes() -> dict[str, int]:
    """Read the list: the length of each member in bytes, by name."""
    lines = (line.split("\t") for line in Path(sys.argv[4]).read_text().splitlines())
    return {name: int(size) for name, size in lines}


def _copy_raw(rasterio: Any, source: str, size: int, file: Any) -> None:
    """Copy a file in lines, and what is left in one shorter line."""
    lines, rest = divmod(size, _LINE)
    for width, height, offset in ((_LINE, lines, 0), (rest, 1, lines * _LINE)):
        if width and height:
            with rasterio.open(_RAW.format(width=width, height=height, source=source, offset=offset)) as image:
                step = max(1, _BLOCK // width)
                for row in range(0, height, step):
                    window = ((row, min(row + step, height)), (0, width))
                    file.write(image.read(1, window=window).tobytes())


_READERS: dict[str, Callable[[str, Path, Sequence[str]], None]] = {
    "remotezip": _remotezip,
    "fsspec": _fsspec,
    "gdal": _gdal,
}


if __name__ == "__main__":
    _READERS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), list(_sizes()))
