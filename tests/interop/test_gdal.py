"""What GDAL opens of a product of which only some members are here, and what it makes of those that are not."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import Client, Config, PartsOptions
from tests.support.golden import GOLDEN
from tests.support.openable import EXTENT, value_of, write_grd, write_level2
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

LEVEL2, GRD = GOLDEN["L2A"], GOLDEN["GRD"]
FOUR_BANDS = {"bands": "B02,B03,B04,B08"}
ONE_POLARISATION = {"bands": "VV"}


@pytest.fixture
def gdal() -> Any:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.Env():
        yield rasterio


async def fetched(write: Callable[[Path], None], folder: Path, **parts: Any) -> Path:
    """Fetch these parts of an archive; gives the folder that the product is in."""
    write(folder / "a.zip")
    with zipfile.ZipFile(folder / "a.zip") as archive:
        top = archive.namelist()[0].partition("/")[0]
    name = top.removesuffix(".SAFE")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/a.zip":
            return web.FileResponse(folder / "a.zip")
        entry = {"properties": {"identifier": name, "links": {"data": [{"href": f"{origin}/a.zip"}]}}}
        return web.json_response({"features": [entry], "totalResults": 1})

    async with listening(answer) as origin:
        config = Config(
            base_url=f"{origin}/search",
            parameters={"parentIdentifier": "X"},
            output_directory=folder / "here",
            parts=PartsOptions(**parts),
        )
        async with Client(config) as client:
            report = await client.download_all()
    assert report.ok
    if not parts:
        with zipfile.ZipFile(folder / "here" / f"{name}.zip") as archive:
            archive.extractall(folder)
        return folder / top
    return folder / "here" / f"{name}.parts" / top


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
    product = await fetched(write_level2, tmp_path, **FOUR_BANDS)

    assert 6 == sum(path.is_file() for path in product.rglob("*"))
    bands = bands_at_10_m(gdal, product)
    for band, spelt in (("B2", "B02"), ("B3", "B03"), ("B4", "B04"), ("B8", "B08")):
        assert ({value(spelt)}, {255}) == bands[band][:2]


async def test_a_band_that_is_not_here_reads_as_zeros_that_look_valid(gdal: Any, tmp_path: Path) -> None:
    """This is why a run says so at its end."""
    product = await fetched(write_level2, tmp_path, bands="B02,B04")

    bands = bands_at_10_m(gdal, product)

    assert {value("B02")} == bands["B2"][0]
    assert bands["B3"] == bands["B8"] == ({0}, {255}, None)


@pytest.mark.parametrize("missing", ["MTD_MSIL2A.xml", "MTD_TL.xml"])
async def test_without_either_file_of_metadata_there_is_no_band(gdal: Any, tmp_path: Path, missing: str) -> None:
    product = await fetched(write_level2, tmp_path, **FOUR_BANDS)
    next(product.rglob(missing)).unlink()

    with pytest.raises((gdal.errors.RasterioIOError, StopIteration)):
        bands_at_10_m(gdal, product)


async def test_the_whole_product_has_no_other_values(gdal: Any, tmp_path: Path) -> None:
    product = await fetched(write_level2, tmp_path)

    bands = bands_at_10_m(gdal, product)

    assert {"AOT", "B2", "B3", "B4", "B8", "WVP"} == set(bands)
    assert all(0 not in values for values, _, _ in bands.values())


async def test_one_polarisation_is_opened(gdal: Any, tmp_path: Path) -> None:
    product = await fetched(write_grd, tmp_path, **ONE_POLARISATION)

    assert 5 == sum(path.is_file() for path in product.rglob("*"))  # the image, three annotations, the manifest
    with gdal.open(product / "manifest.safe") as image:
        assert ("SAFE", 1, "VV") == (image.driver, image.count, image.tags(1)["POLARIZATION"])
        assert {value_of(next(name for name in GRD.names if "measurement" in name and "-vv-" in name))} == set(
            image.read(1).flat
        )


@pytest.mark.parametrize("missing", ["annotation/calibration/*", "annotation/*.xml", "manifest.safe"])
async def test_radar_needs_its_annotation_calibration_and_manifest(gdal: Any, tmp_path: Path, missing: str) -> None:
    product = await fetched(write_grd, tmp_path, **ONE_POLARISATION)
    for path in product.glob(missing):
        path.unlink()

    with pytest.raises(gdal.errors.RasterioIOError):
        gdal.open(product / "manifest.safe")
    image = next(product.glob("measurement/*.tiff"))
    with gdal.open(image) as opened:
        assert ("GTiff", 1) == (opened.driver, opened.count)
