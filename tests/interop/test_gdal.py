"""What GDAL opens of a product of which only some members are here, and what it makes of those that are not."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from aiohttp import web

from tests.support.golden import GOLDEN
from tests.support.openable import EXTENT, value_of, write_grd, write_level2
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

LEVEL2, GRD = GOLDEN["L2A"], GOLDEN["GRD"]
METADATA = r"MTD_(MSIL2A|TL)\.xml$"
FOUR_BANDS = rf"B0[2348]_10m\.jp2$|{METADATA}"
ONE_POLARISATION = r"manifest\.safe$|annotation/(calibration/calibration-)?s1a-iw-grd-vv-|measurement/.*-vv-"


@pytest.fixture
def gdal() -> Any:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.Env():
        yield rasterio


async def fetched(write: Callable[[Path], None], folder: Path, wanted: str) -> Path:
    """Serve the archive over HTTP, and extract the members that match; gives the folder that the product is in."""
    write(folder / "a.zip")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.FileResponse(folder / "a.zip")

    async with listening(answer) as origin:
        body = await asyncio.to_thread(lambda: urlopen(f"{origin}/a.zip").read())
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if re.search(wanted, name)])
        return folder / archive.namelist()[0].partition("/")[0]


def bands_at_10_m(gdal: Any, product: Path) -> dict[str, tuple[Any, Any, Any]]:
    """Read the bands of 10 m, by name: the values, the values of the mask, and what says that there are no data."""
    with gdal.open(product / "MTD_MSIL2A.xml") as opened:
        subdatasets = opened.subdatasets
    with gdal.open(next(name for name in subdatasets if ":10m:" in name)) as image:
        assert image.shape == (EXTENT // 10, EXTENT // 10)
        assert image.crs.to_epsg() == 32701
        names = [description.partition(",")[0] for description in image.descriptions]
        return {
            name: (set(image.read(number).flat), set(image.read_masks(number).flat), image.nodatavals[number - 1])
            for number, name in enumerate(names, 1)
        }


def value(band: str) -> int:
    return value_of(next(name for name in LEVEL2.names if name.endswith(f"_{band}_10m.jp2")))


async def test_four_bands_and_two_files_of_metadata_are_opened(gdal: Any, tmp_path: Path) -> None:
    product = await fetched(write_level2, tmp_path, FOUR_BANDS)

    assert 6 == sum(path.is_file() for path in product.rglob("*"))
    bands = bands_at_10_m(gdal, product)
    for band, spelt in (("B2", "B02"), ("B3", "B03"), ("B4", "B04"), ("B8", "B08")):
        assert ({value(spelt)}, {255}) == bands[band][:2]


async def test_a_band_that_is_not_here_reads_as_zeros_that_look_valid(gdal: Any, tmp_path: Path) -> None:
    """This is why a run says so at its end."""
    product = await fetched(write_level2, tmp_path, rf"B0[24]_10m\.jp2$|{METADATA}")

    bands = bands_at_10_m(gdal, product)

    assert {value("B02")} == bands["B2"][0]
    assert bands["B3"] == bands["B8"] == ({0}, {255}, None)


@pytest.mark.parametrize("missing", ["MTD_MSIL2A.xml", "MTD_TL.xml"])
async def test_without_either_file_of_metadata_there_is_no_band(gdal: Any, tmp_path: Path, missing: str) -> None:
    product = await fetched(write_level2, tmp_path, FOUR_BANDS)
    next(product.rglob(missing)).unlink()

    with pytest.raises((gdal.errors.RasterioIOError, StopIteration)):
        bands_at_10_m(gdal, product)


async def test_the_whole_product_has_no_other_values(gdal: Any, tmp_path: Path) -> None:
    product = await fetched(write_level2, tmp_path, "")

    bands = bands_at_10_m(gdal, product)

    assert {"AOT", "B2", "B3", "B4", "B8", "WVP"} == set(bands)
    assert all(0 not in values for values, _, _ in bands.values())


async def test_one_polarisation_is_opened(gdal: Any, tmp_path: Path) -> None:
    product = await fetched(write_grd, tmp_path, ONE_POLARISATION)

    assert 4 == sum(path.is_file() for path in product.rglob("*"))
    with gdal.open(product / "manifest.safe") as image:
        assert ("SAFE", 1, "VV") == (image.driver, image.count, image.tags(1)["POLARIZATION"])
        assert {value_of(next(name for name in GRD.names if "measurement" in name and "-vv-" in name))} == set(
            image.read(1).flat
        )


@pytest.mark.parametrize("missing", ["annotation/calibration/*", "annotation/*.xml", "manifest.safe"])
async def test_radar_needs_its_annotation_calibration_and_manifest(gdal: Any, tmp_path: Path, missing: str) -> None:
    product = await fetched(write_grd, tmp_path, ONE_POLARISATION)
    for path in product.glob(missing):
        path.unlink()

    with pytest.raises(gdal.errors.RasterioIOError):
        gdal.open(product / "manifest.safe")
    image = next(product.glob("measurement/*.tiff"))
    with gdal.open(image) as opened:
        assert ("GTiff", 1) == (opened.driver, opened.count)
