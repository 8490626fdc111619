"""The members of an archive by product type, with their real names and relative sizes.

Names follow the products' own manifests; sizes are those of common products, in kilobytes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from collgs_async.demo.scenes import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collgs_async.demo.scenes import Scene

__all__ = ["Part", "header_bytes", "layout"]

_ROOM_FOR_NAMES = 4_096
_NAMES_SHARE = 12
"""The headers take at most a twelfth of an archive: a small one lacks members, the less important ones first."""

_RADAR = re.compile(r"S1(\w)_(\w\w)_(\w{3})\w_\d\w{3}_(\d{8}T\d{6})_(\d{8}T\d{6})_(\d{6})_(\w{6})_")
_OPTICAL = re.compile(r"S2\w_MSIL(1C|2A)_(\d{8}T\d{6})_N(\d{4})_R\d{3}_(T\w{5})_(\d{8}T\d{6})")
_OLCI = re.compile(r"S3\w_OL_1_")
_SWATHS = {"IW": ("iw1", "iw2", "iw3"), "EW": ("ew1", "ew2", "ew3", "ew4", "ew5")}
_MODERN_BASELINE = 400
_BANDS = {
    10: ("B02", "B03", "B04", "B08"),
    20: ("B05", "B06", "B07", "B11", "B12", "B8A"),
    60: ("B01", "B09", "B10"),
}
_SIZES_L1C = {10: 110_000, 20: 33_000, 60: 4_000}
_SIZES_L2A = {10: 120_000, 20: 33_000, 60: 3_750}
_OTHER_LAYERS = {
    10: {"AOT": 600, "TCI": 103_000, "WVP": 9_400},
    20: {"AOT": 600, "SCL": 2_000, "TCI": 30_000, "WVP": 3_300},
    60: {"AOT": 200, "SCL": 500, "TCI": 3_800, "WVP": 600},
}
_IMAGES = (".jp2", ".tiff", ".nc", ".png")
_QUALITY_REPORTS = ("FORMAT_CORRECTNESS", "GENERAL_QUALITY", "GEOMETRIC_QUALITY")


class Part(NamedTuple):
    """One member.

    Attributes
    ----------
    name
        The path below the product's folder.
    weight
        Its unpacked size relative to the other members.
    rank
        Members of a higher rank are the first that a small archive lacks; it has all those of rank 0.
    """

    name: str
    weight: int
    rank: int = 3

    @property
    def is_image(self) -> bool:
        """Whether its data are noise; otherwise it is text."""
        return self.name.endswith(_IMAGES)


def layout(scene: Scene) -> tuple[str, list[Part]]:
    """Return the product's folder, and its members in the order of the archive: a manifest first, an image last."""
    radar, optical = _RADAR.match(scene.identifier), _OPTICAL.match(scene.identifier)
    folder = f"{scene.identifier}.{'SEN3' if _OLCI.match(scene.identifier) else 'SAFE'}"
    if scene.size < _ROOM_FOR_NAMES:
        image = "B02.jp2" if COLLECTIONS[scene.collection].optical else "image.tiff"
        return folder, [Part("manifest.safe", 0), Part(image, 1)]
    if folder.endswith(".SEN3"):
        parts = _olci()
    elif radar or not COLLECTIONS[scene.collection].optical:
        parts = _radar(scene, radar)
    else:
        parts = _optical(scene, optical)
    fitting = _fitting(list(parts), folder, scene.size // _NAMES_SHARE)
    last = max(place for place, part in enumerate(fitting) if part.is_image)
    return folder, [*fitting[:last], *fitting[last + 1 :], fitting[last]]


def header_bytes(folder: str, parts: Iterable[Part]) -> list[int]:
    """Return the bytes that the headers of each member take: the local one and that of the directory."""
    fixed = 30 + 46 + 2 * len(f"{folder}/".encode())
    return [fixed + 2 * len(part.name) for part in parts]


def _fitting(parts: Sequence[Part], folder: str, room: int) -> list[Part]:
    """Return the most important parts whose headers fit into so many bytes, in their order."""
    sizes = header_bytes(folder, parts)
    if sum(sizes) <= room:
        return list(parts)
    chosen = set()
    for place in sorted(range(len(parts)), key=lambda place: parts[place].rank):
        room -= sizes[place]
        if room < 0 and parts[place].rank > 0:
            break
        chosen.add(place)
    return [part for place, part in enumerate(parts) if place in chosen]


def _optical(scene: Scene, named: re.Match[str] | None) -> Iterator[Part]:
    usual = ("2A" if scene.collection == "S2_MSIL2A" else "1C", f"{scene.start:%Y%m%dT%H%M%S}", "0301", "T31UGR")
    level, start, baseline, tile, made = named.groups() if named else (*usual, f"{scene.made_at:%Y%m%dT%H%M%S}")
    granule = f"GRANULE/L{level}_{tile}_A{scene.orbit_number:06d}_{start}"
    strip = f"DATASTRIP/DS_VGS2_{made}_S{start}"
    yield Part("manifest.safe", 70, 0)
    yield Part(f"MTD_MSIL{level}.xml", 55, 0)
    yield Part("INSPIRE.xml", 19)
    yield Part("HTML/UserProduct_index.html", 8)
    yield Part("HTML/UserProduct_index.xsl", 10)
    yield Part(f"{strip}/MTD_DS.xml", 5_500)
    for report in (*_QUALITY_REPORTS, "RADIOMETRIC_QUALITY", "SENSOR_QUALITY"):
        yield Part(f"{strip}/QI_DATA/{report}.xml", 6)
    yield Part(f"{granule}/AUX_DATA/AUX_ECMWFT", 2)
    modern = int(baseline) >= _MODERN_BASELINE
    for folder, image, weight, rank in _images(level, modern=modern):
        yield Part(f"{granule}/IMG_DATA/{folder}{tile}_{start}_{image}.jp2", weight, rank)
    yield Part(f"{granule}/MTD_TL.xml", 550, 1)
    reports = (*_QUALITY_REPORTS, "SENSOR_QUALITY")
    yield from (Part(f"{granule}/QI_DATA/{report}.xml", 5) for report in reports)
    for mask, weight in _masks(level, as_images=modern):
        yield Part(f"{granule}/QI_DATA/{mask}", weight, 4)
    yield Part(f"{granule}/QI_DATA/{tile}_{start}_PVI.jp2", 165)


def _rank(band: str) -> int:
    return 0 if band == "B02" else 1 if band in {*_BANDS[10], "SCL"} else 2


@cache
def _images(level: str, *, modern: bool) -> tuple[tuple[str, str, int, int], ...]:
    """Return the images in their order: the folder below IMG_DATA, the end of the name, weight and rank."""
    return tuple(_images_l1c() if level == "1C" else _images_l2a(modern=modern))


def _images_l1c() -> Iterator[tuple[str, str, int, int]]:
    bands = {band: _SIZES_L1C[resolution] for resolution, bands in _BANDS.items() for band in bands}
    for band, weight in sorted(bands.items()):
        yield "", band, weight, _rank(band)
    yield "", "TCI", 50_000, 2


def _images_l2a(*, modern: bool) -> Iterator[tuple[str, str, int, int]]:
    """Yield each band at its own resolution and all coarser ones (B08 at 10 m only), and the layers that are made."""
    for resolution, layers in _OTHER_LAYERS.items():
        native = {band: finest for finest, bands in _BANDS.items() for band in bands if finest <= resolution}
        native |= {"B01": 20} if resolution == 20 and modern else {}
        bands = [band for band in native if band != "B10" and (band != "B08" or resolution == 10)]
        weights = dict.fromkeys(bands, _SIZES_L2A[resolution]) | layers
        for band, weight in sorted(weights.items()):
            is_finest = native.get(band) == resolution or (band, resolution) == ("SCL", 20)
            yield f"R{resolution}m/", f"{band}_{resolution}m", weight, _rank(band) if is_finest else 2


@cache
def _masks(level: str, *, as_images: bool) -> tuple[tuple[str, int], ...]:
    """Return the masks in their order: names and weights."""
    bands = sorted(band for bands in _BANDS.values() for band in bands)
    kinds = ("DETFOO", "QUALIT") if as_images else ("DEFECT", "DETFOO", "NODATA", "SATURA", "TECQUA")
    suffix = "jp2" if as_images else "gml"
    of_bands = [(f"MSK_{kind}_{band}.{suffix}", 40 if kind == "DETFOO" else 1) for kind in kinds for band in bands]
    clouds = [("MSK_CLDPRB_20m.jp2", 7_600), ("MSK_CLDPRB_60m.jp2", 1_600)] if level == "2A" else []
    snow = [("MSK_SNWPRB_20m.jp2", 280), ("MSK_SNWPRB_60m.jp2", 60)] if level == "2A" else []
    return ((f"MSK_{'CLASSI' if as_images else 'CLOUDS'}_B00.{suffix}", 60), *clouds, *of_bands, *snow)


def _radar(scene: Scene, named: re.Match[str] | None) -> Iterator[Part]:
    times = f"{scene.start:%Y%m%dT%H%M%S}", f"{scene.end:%Y%m%dT%H%M%S}"
    usual = (scene.serial, "IW", "GRD", *times, "030000", "036F00")
    serial, mode, kind, *rest = (part.lower() for part in (named.groups() if named else usual))
    swaths: Iterable[str] = _SWATHS.get(mode.upper(), (mode,)) if kind == "slc" else (mode,)
    ending = "-cog.tiff" if scene.identifier.endswith("_COG") else ".tiff"
    channels = [(channel.lower(), swath) for channel in scene.polarisations or ("VV", "VH") for swath in swaths]
    yield Part("manifest.safe", 22, 0)
    for number, (channel, swath) in enumerate(channels, 1):
        name = f"s1{serial}-{swath}-{kind}-{channel}-{'-'.join(rest)}-{number:03d}"
        yield Part(f"annotation/{name}.xml", 1_700, 1)
        yield Part(f"annotation/calibration/calibration-{name}.xml", 1_000, 1)
        yield Part(f"annotation/calibration/noise-{name}.xml", 400, 1)
        yield Part(f"annotation/rfi/rfi-{name}.xml", 60, 2)
        weight = 1_200_000 if kind == "slc" else 870_000
        yield Part(f"measurement/{name}{ending}", weight, 0 if number == 1 else 1)
    yield Part("preview/map-overlay.kml", 1)
    yield Part("preview/product-preview.html", 3)
    yield Part("preview/quick-look.png", 330)
    for schema in ("calibration", "measurement", "noise", "product", "quicklook", "rfi"):
        yield Part(f"support/s1-level-1-{schema}.xsd", 20, 4)


def _olci() -> Iterator[Part]:
    yield Part("xfdumanifest.xml", 280, 0)
    for band in range(1, 22):
        yield Part(f"Oa{band:02d}_radiance.nc", 21_500, 0 if band == 8 else 1 if band in {3, 17} else 2)
    others = {"geo_coordinates": 57_700, "instrument_data": 950, "qualityFlags": 1_500, "removed_pixels": 14_500}
    ties = {"tie_geo_coordinates": 1_260, "tie_geometries": 2_180, "tie_meteo": 17_300, "time_coordinates": 15}
    yield from (Part(f"{name}.nc", weight, 2) for name, weight in (others | ties).items())
