"""What a member of an archive is, from its path: band, resolution, polarisation, swath.

The paths are those of the SAFE and SEN3 formats, in the products' user guides (sentinels.copernicus.eu). They are text
of a server: each is split, never searched, so that any text takes linear time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from collgs_async.models.band_words import BAND_WORDS, NO_WORDS, band_words
from collgs_async.models.sentinel import recognise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collgs_async.models.band_words import BandWords

__all__ = ["MemberFacts", "describe_member", "is_old_sentinel_2", "words_of_product"]

_TEXT: Final = frozenset({"xml", "safe", "xsd", "xsl", "html", "json", "txt", "csv"})
_SUPPORT: Final = frozenset({"support", "preview", "icons"})
_METRES: Final = {"10m": 10, "20m": 20, "60m": 60}
_MASKS: Final = {"CLDPRB": "CLD", "CLD": "CLD", "SNWPRB": "SNW", "SNW": "SNW"}
_PREVIEW_METRES: Final = 320
_L1C: Final = BAND_WORDS["S2MSI1C"].words
_OPTICAL_IMAGES: Final = frozenset({*_L1C, *BAND_WORDS["S2MSI2A"].words}) - {"CLD", "SNW", "PVI", "MASKS"}
_RADAR_FILE: Final = re.compile(
    "(?:(calibration|noise|rfi)-)?s1[a-d]-([a-z]{2}[0-9]?|s[1-6])-(?:slc|grd)-(vv|vh|hh|hv)-"
)
_RADAR_LAYERS: Final = {"calibration": "CAL", "noise": "NOISE", "rfi": "RFI"}
_RADIANCE: Final = re.compile("(Oa(?:0[1-9]|1[0-9]|2[01]))_radiance[.]nc")
_LONGEST_IDENTIFIER: Final = 255
_BY_MEMBER: Final = re.compile(
    "(?P<L1C>MTD_MSIL1C[.]xml$)|(?P<L2A>MTD_MSIL2A[.]xml$)|(?P<GRD>s1[a-d]-[a-z0-9]{2}-grd-[hv]{2}-)"
    "|(?P<SLC>s1[a-d]-[a-z0-9]{2,3}-slc-[hv]{2}-)|(?P<OLCI>Oa[0-9]{2}_radiance[.]nc$)"
)
_MEMBER_TYPES: Final = {"L1C": "S2MSI1C", "L2A": "S2MSI2A", "GRD": "GRD", "SLC": "SLC", "OLCI": "OL_1"}
_OLCI_FILES: Final = {"geo_coordinates.nc": "GEO", "qualityFlags.nc": "FLAGS"}


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What a member is; unknown facts are None.

    Attributes
    ----------
    band
        The word that a wish takes it by, such as ``B02``, ``SCL``, ``VV``, ``CAL`` or ``Oa03``.
    resolution
        Of an image of Sentinel-2, in metres.
    polarisation
        Of a radar product: ``VV``, ``VH``, ``HH``, ``HV``.
    swath
        Of a radar product: ``IW2``; of a product with all of them in one image, its mode: ``IW``.
    role
        An ``image``; a ``mask`` of Sentinel-2's quality data; ``annotation`` of a radar image; ``auxiliary`` data of
        Sentinel-3, such as coordinates; other ``metadata``; ``other`` files, such as previews.
    """

    band: str | None = None
    resolution: int | None = None
    polarisation: str | None = None
    swath: str | None = None
    role: Literal["image", "mask", "annotation", "auxiliary", "metadata", "other"] = "other"


def describe_member(name: str) -> MemberFacts:
    """Return what a member is.

    Parameters
    ----------
    name
        Its path in the archive, with or without the top folder.
    """
    top, *_ = name.split("/", 1)
    folders, _, file = name.rpartition("/")
    above = ["", "", *folders.rsplit("/", 2)[-2:]][-2:]
    if _product_words(top) is not NO_WORDS:
        for read in (_optical, _radar, _olci):
            if facts := read(above[0], above[1], file):
                return facts
    is_text = file.rpartition(".")[2] in _TEXT and above[1] not in _SUPPORT
    return MemberFacts(role="metadata" if is_text or above[1] == "AUX_DATA" else "other")


def words_of_product(identifier: str, names: Iterable[str]) -> BandWords:
    """Return the words for bands of a product, by its identifier, or by its members where that is of no known scheme.

    Parameters
    ----------
    identifier
        The product's.
    names
        Paths of its members.
    """
    if known := _product_words(identifier):
        return known
    for name in names:
        if found := _BY_MEMBER.match(name.rpartition("/")[2]):
            return BAND_WORDS[_MEMBER_TYPES[found.lastgroup or ""]]
    return NO_WORDS


def is_old_sentinel_2(identifier: str) -> bool:
    """Whether a product has the format of before December 2016, with other names of members."""
    name = recognise(identifier)
    return name is not None and name.mission == "S2" and identifier[4:8].upper() != "MSIL"


@lru_cache(maxsize=64)
def _product_words(identifier: str) -> BandWords | None:
    """Return the words of a product by its identifier; None: it is of no known scheme."""
    if len(identifier) > _LONGEST_IDENTIFIER or (name := recognise(identifier)) is None:
        return None
    if is_old_sentinel_2(identifier):
        return NO_WORDS
    return band_words(name.product_type) or NO_WORDS


def _optical(above: str, folder: str, file: str) -> MemberFacts | None:
    """Return what a member of Sentinel-2 is, from the end of its name: ``_B02_10m.jp2``, ``_B02.jp2``."""
    stem, _, suffix = file.rpartition(".")
    words = stem.rsplit("_", 2)
    metres = _METRES.get(words[-1])
    band = words[-1] if metres is None else words[-2] if len(words) > 1 else ""
    if "IMG_DATA" in (folder, above) and suffix == "jp2" and len(words) > 1 and band in _OPTICAL_IMAGES:
        return MemberFacts(band, metres or _only(_L1C.get(band, ())), role="image")
    if folder != "QI_DATA":
        return None
    if file.startswith("MSK_"):
        return MemberFacts(_MASKS.get(band, "MASKS"), metres, role="mask")
    if suffix == "jp2" and band in _MASKS:
        return MemberFacts(_MASKS[band], metres, role="mask")
    return MemberFacts("PVI", _PREVIEW_METRES) if suffix == "jp2" and band == "PVI" else None


def _only(metres: tuple[int, ...]) -> int | None:
    return metres[0] if len(metres) == 1 else None


def _radar(above: str, folder: str, file: str) -> MemberFacts | None:
    """Return what a member of Sentinel-1 is, from the beginning of its name: ``s1a-iw2-slc-vv-``."""
    if (found := _RADAR_FILE.match(file)) is None:
        return None
    layer, swath, channel = found.groups()
    facts = MemberFacts(_RADAR_LAYERS.get(layer, channel.upper()), None, channel.upper(), swath.upper())
    if folder == "measurement" and layer is None:
        return replace(facts, role="image")
    return replace(facts, role="annotation") if "annotation" in (folder, above) else None


def _olci(_above: str, _folder: str, file: str) -> MemberFacts | None:
    if found := _RADIANCE.fullmatch(file):
        return MemberFacts(found[1], role="image")
    band = "TIE" if file.startswith("tie_") and file.endswith(".nc") else _OLCI_FILES.get(file)
    return MemberFacts(band, role="auxiliary") if band else None
