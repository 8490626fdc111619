"""Small products that GDAL opens: real names, the least metadata that its drivers need, images of one value each."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.golden import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["EXTENT", "value_of", "write_grd", "write_level2"]

EXTENT = 1_800
"""Metres along each side of a tile, where a real one has 109,800."""

_LINES = 100
_UTM = "EPSG:32701"
_WEST, _NORTH = 99_960, 8_200_000


def value_of(name: str) -> int:
    """Return the value of each pixel of an image, which no other image of its product has."""
    product = next(product for product in GOLDEN.values() if name in product.names)
    return 1_000 + product.names.index(name)


def write_level2(path: Path) -> None:
    """Write the archive of a product of Sentinel-2, level 2A."""
    _write(path, dict(_level2()))


def write_grd(path: Path) -> None:
    """Write the archive of a product of Sentinel-1, GRD, of two polarisations."""
    _write(path, dict(_grd()))


def _write(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _level2() -> Iterator[tuple[str, bytes]]:
    for name in GOLDEN["L2A"].names:
        if found := re.search(r"IMG_DATA/R(\d+)m/\w+\.jp2$", name):
            bands = 3 if "_TCI_" in name else 1
            yield name, _image("JP2OpenJPEG", EXTENT // int(found[1]), value_of(name), bands)
        elif name.endswith("MTD_MSIL2A.xml"):
            yield name, _level2_metadata()
        elif name.endswith("MTD_TL.xml"):
            yield name, _tile_metadata()
        else:
            yield name, b""


def _level2_metadata() -> bytes:
    product = GOLDEN["L2A"]
    images = "".join(
        f"<IMAGE_FILE>{name.partition('/')[2].removesuffix('.jp2')}</IMAGE_FILE>"
        for name in product.names
        if "/IMG_DATA/" in name
    )
    return (
        '<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">'
        f"<n1:General_Info><Product_Info><PRODUCT_URI>{product.identifier}.SAFE</PRODUCT_URI>"
        "<PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL><PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>"
        "<Query_Options><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>"
        '<Product_Organisation><Granule_List><Granule granuleIdentifier="'
        'S2A_OPER_MSI_L2A_TL_2APS_20230822T021825_A042640_T01KAB_N05.09" imageFormat="JPEG2000">'
        f"{images}</Granule></Granule_List></Product_Organisation></Product_Info></n1:General_Info>"
        "</n1:Level-2A_User_Product>"
    ).encode()


def _tile_metadata() -> bytes:
    grids = "".join(
        f'<Size resolution="{step}"><NROWS>{EXTENT // step}</NROWS><NCOLS>{EXTENT // step}</NCOLS></Size>'
        f'<Geoposition resolution="{step}"><ULX>{_WEST}</ULX><ULY>{_NORTH}</ULY>'
        f"<XDIM>{step}</XDIM><YDIM>-{step}</YDIM></Geoposition>"
        for step in (10, 20, 60)
    )
    return (
        '<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">'
        f"<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>{_UTM}</HORIZONTAL_CS_CODE>{grids}</Tile_Geocoding>"
        "</n1:Geometric_Info></n1:Level-2A_Tile_ID>"
    ).encode()


def _grd() -> Iterator[tuple[str, bytes]]:
    for name in GOLDEN["GRD"].names:
        if name.endswith("manifest.safe"):
            yield name, _manifest()
        elif "/measurement/" in name:
            yield name, _image("GTiff", _LINES, value_of(name), 1)
        elif "/calibration-" in name:
            yield name, _calibration()
        elif "/annotation/" in name and "/noise-" not in name:
            yield name, _annotation("VV" if "-vv-" in name else "VH")
        else:
            yield name, b""


def _manifest() -> bytes:
    """Point at each annotation, and from each image to its annotations."""
    names = [name.partition("/")[2] for name in GOLDEN["GRD"].names]
    annotations = [name for name in names if name.startswith("annotation/")]
    images = [name for name in names if name.startswith("measurement/")]
    units = [_unit("Metadata Unit", name) for name in annotations]
    for image in images:
        its_own = [name for name in annotations if PurePosixPath(image).stem in name]
        units.append(_unit("Measurement Data Unit", image, " ".join(f"{_key(name)}Annotation" for name in its_own)))
    objects = [
        f'<metadataObject ID="{_key(name)}Annotation"><dataObjectPointer dataObjectID="{_key(name)}"/></metadataObject>'
        for name in annotations
    ]
    files = [
        f'<dataObject ID="{_key(name)}" repID="{_schema(name)}"><byteStream>'
        f'<fileLocation locatorType="URL" href="./{name}"/></byteStream></dataObject>'
        for name in (*annotations, *images)
    ]
    return (
        '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"><informationPackageMap><xfdu:contentUnit>'
        f"{''.join(units)}</xfdu:contentUnit></informationPackageMap>"
        f"<metadataSection>{''.join(objects)}</metadataSection>"
        f"<dataObjectSection>{''.join(files)}</dataObjectSection></xfdu:XFDU>"
    ).encode()


def _unit(kind: str, name: str, described_by: str = "") -> str:
    return (
        f'<xfdu:contentUnit unitType="{kind}" repID="{_schema(name)}" dmdID="{described_by}">'
        f'<dataObjectPointer dataObjectID="{_key(name)}"/></xfdu:contentUnit>'
    )


def _key(name: str) -> str:
    return re.sub(r"\W", "", name)


def _schema(name: str) -> str:
    if name.startswith("measurement/"):
        return "s1Level1MeasurementSchema"
    kind = "Noise" if "/noise-" in name else "Calibration" if "/calibration-" in name else "Product"
    return f"s1Level1{kind}Schema"


def _annotation(polarisation: str) -> bytes:
    return (
        f"<product><adsHeader><productType>GRD</productType><polarisation>{polarisation}</polarisation>"
        "<mode>IW</mode><swath>IW</swath></adsHeader><imageAnnotation><imageInformation>"
        "<pixelValue>Detected</pixelValue><outputPixels>16 bit Unsigned Integer</outputPixels>"
        f"<numberOfSamples>{_LINES}</numberOfSamples><numberOfLines>{_LINES}</numberOfLines>"
        "</imageInformation></imageAnnotation></product>"
    ).encode()


def _calibration() -> bytes:
    rows = "".join(f'<{row} count="2">1 1</{row}>' for row in ("sigmaNought", "betaNought", "gamma", "dn"))
    return (
        "<calibration><calibrationInformation><absoluteCalibrationConstant>1.0</absoluteCalibrationConstant>"
        '</calibrationInformation><calibrationVectorList count="1"><calibrationVector>'
        f'<azimuthTime>2021-08-09T17:39:53</azimuthTime><line>0</line><pixel count="2">0 {_LINES - 1}</pixel>'
        f"{rows}</calibrationVector></calibrationVectorList></calibration>"
    ).encode()


def _image(driver: str, side: int, value: int, bands: int) -> bytes:
    numpy = pytest.importorskip("numpy")
    rasterio = pytest.importorskip("rasterio")
    exact: dict[str, Any] = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    file = rasterio.io.MemoryFile()
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an image of radar has no coordinates of its own
        kind = "uint8" if bands == 3 else "uint16"
        with file.open(driver=driver, width=side, height=side, count=bands, dtype=kind, **exact) as image:
            image.write(numpy.full((bands, side, side), value % 256 if bands == 3 else value, kind))
        return bytes(file.read())
