"""The words for bands, by kind of product, and whether a collection can have them.

Names and resolutions are those of the products' user guides (sentinels.copernicus.eu): Sentinel-2 Products
Specification Document, Sentinel-1 Product Specification, Sentinel-3 OLCI Level-1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import did_you_mean
from collgs_async.models.product_types import kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.models.wish import Wish

__all__ = [
    "BAND_WORDS",
    "LAYERS",
    "NO_WORDS",
    "POLARISATIONS",
    "SWATHS",
    "BandWords",
    "band_words",
    "canonical_word",
    "wish_problems",
]

POLARISATIONS: Final = ("VV", "VH", "HH", "HV")
SWATHS: Final = ("IW1", "IW2", "IW3", "EW1", "EW2", "EW3", "EW4", "EW5")
LAYERS: Final = ("CAL", "NOISE", "RFI")
"""Annotations of a radar product that can be wanted alone: calibration, noise, radio frequency interference."""


@dataclass(frozen=True, slots=True)
class BandWords:
    """The words for the members of one kind of product.

    Attributes
    ----------
    shown
        The words as a message lists them, such as ``B01 to B12``; empty: there are none.
    words
        Each word with the resolutions that it may have, in metres; none: it has no choice of resolutions.
    along
        Patterns for the members that a program needs to open any band, below the top folder. For Sentinel-1, GDAL also
        needs the annotation of an image, which is fetched with it.
    """

    shown: str
    words: Mapping[str, tuple[int, ...]]
    along: tuple[str, ...] = ()


_GRANULE: Final = "GRANULE/*/MTD_TL.xml"
_MASKS: Final[Mapping[str, tuple[int, ...]]] = {"PVI": (), "MASKS": ()}
_L1C: Final = BandWords(
    "B01 to B12, B8A, TCI, PVI, MASKS",
    {
        **dict.fromkeys(["B01"], (60,)),
        **dict.fromkeys(["B02", "B03", "B04"], (10,)),
        **dict.fromkeys(["B05", "B06", "B07"], (20,)),
        "B08": (10,),
        "B8A": (20,),
        **dict.fromkeys(["B09", "B10"], (60,)),
        **dict.fromkeys(["B11", "B12"], (20,)),
        "TCI": (10,),
        **_MASKS,
    },
    ("MTD_MSIL1C.xml", _GRANULE),
)
_L2A: Final = BandWords(
    "B01 to B09, B8A, B11, B12, AOT, WVP, SCL, TCI, CLD, SNW, PVI, MASKS",
    {
        "B01": (20, 60),  # at 20 m since baseline 04.00
        **dict.fromkeys(["B02", "B03", "B04"], (10, 20, 60)),
        **dict.fromkeys(["B05", "B06", "B07"], (20, 60)),
        "B08": (10,),
        "B8A": (20, 60),
        "B09": (60,),
        **dict.fromkeys(["B11", "B12"], (20, 60)),
        **dict.fromkeys(["AOT", "WVP"], (10, 20, 60)),
        "SCL": (20, 60),
        "TCI": (10, 20, 60),
        **dict.fromkeys(["CLD", "SNW"], (20, 60)),
        **_MASKS,
    },
    ("MTD_MSIL2A.xml", _GRANULE),
)
_GRD: Final = BandWords(
    "VV, VH, HH, HV, CAL, NOISE, RFI",
    dict.fromkeys([*POLARISATIONS, *LAYERS], ()),
    ("manifest.safe",),
)
_SLC: Final = BandWords(
    "VV, VH, HH, HV, IW1 to IW3, EW1 to EW5, CAL, NOISE, RFI",
    dict.fromkeys([*POLARISATIONS, *SWATHS, *LAYERS], ()),
    ("manifest.safe",),
)
_OLCI: Final = BandWords(
    "Oa01 to Oa21, GEO, TIE, FLAGS",
    dict.fromkeys([*(f"Oa{number:02}" for number in range(1, 22)), "GEO", "TIE", "FLAGS"], ()),
    ("xfdumanifest.xml",),  # small, and SNAP opens the product by it
)
NO_WORDS: Final = BandWords("", {})
"""Of kinds of products whose members have no words."""

BAND_WORDS: Final[Mapping[str, BandWords]] = {
    "S2MSI1C": _L1C,
    "S2MSI2A": _L2A,
    "GRD": _GRD,
    "SLC": _SLC,
    "OL_1": _OLCI,
}
"""By product type as in `sentinel.Name`; that of Sentinel-3 without its last part."""

_SPELLINGS: Final = {word.upper(): word for table in BAND_WORDS.values() for word in table.words}
_NUMBERED = re.compile("([A-Z]{1,2})([0-9]{1,3})(A?)")
_RADAR = re.compile("(?:(?:IW|EW|WV|EN|RF|S[1-6]|N[1-6])_)?(RAW|SLC|GRD|OCN|ETA)(?:[DFHM_].*)?")
_WITHOUT_WORDS = re.compile("S2MSI|(?:OL|SL|SR|DO|MW|GN|SY|TM)_|S5P|S6")


def canonical_word(word: str) -> str:
    """Return a word in its usual spelling: ``B02`` for ``b2``, ``Oa03`` for ``oa3``; an unknown one as it is."""
    upper = word.strip().upper()
    spellings = [upper]
    if found := _NUMBERED.fullmatch(upper):
        letters, number, end = found.groups()
        spellings += [f"{letters}{int(number):02}{end}", f"{letters}{int(number)}{end}"]
    return next((_SPELLINGS[one] for one in spellings if one in _SPELLINGS), word)


def band_words(product_type: str) -> BandWords | None:
    """Return the words of a type of products, or of a collection that is named after one; None: it is not known."""
    name = kind(product_type)
    if found := _RADAR.fullmatch(name):
        return BAND_WORDS.get(found[1], NO_WORDS)
    if name.startswith("OL_1_"):
        return _OLCI
    known = BAND_WORDS.get(name)
    if known is None and (_WITHOUT_WORDS.match(name) or _WITHOUT_WORDS.match(product_type.upper())):
        return NO_WORDS
    return known


def wish_problems(wish: Wish, collections: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what no product of these collections can have.

    Parameters
    ----------
    wish
        What is wanted.
    collections
        Names of collections or product types; where one is not known, or there is none, every word is accepted.

    Yields
    ------
    tuple of str
        The key of the setting, ``bands`` or ``resolution``, and the error.
    """
    tables = [band_words(name) for name in collections]
    known = [table for table in tables if table]
    of, shown = "", "such as B02, SCL, VV or Oa03"
    if len(known) == len(tables) > 0:
        of = f" of {', '.join(collections)}"
        shown = f"({'; '.join(dict.fromkeys(table.shown for table in known if table.shown))})"
    else:
        known = list(BAND_WORDS.values())
    possible: dict[str, set[int]] = {}
    for table in known:
        for word, metres in table.words.items():
            possible.setdefault(word, set()).update(metres)
    if not possible:
        if wish.bands or wish.resolutions or wish.every_resolution:
            key, found = ("bands", ",".join(wish.bands)) if wish.bands else ("resolution", _resolution(wish))
            yield (
                key,
                f"expected none for {', '.join(collections)}, found {found}; --members chooses its files by pattern",
            )
        return
    for word in wish.bands:
        if word not in possible:
            yield "bands", f"expected bands{of} {shown}, found {word}{_nearest(word, possible)}"
        elif wish.resolutions and possible[word] and possible[word].isdisjoint(wish.resolutions):
            expected = " or ".join(map(str, sorted(possible[word])))
            found = ",".join(map(str, wish.resolutions))
            yield "resolution", f"expected {expected} for {word}{of}, found {found}"
    if (wish.resolutions or wish.every_resolution) and not any(possible.values()):
        names = ", ".join(collections)
        yield "resolution", f"expected none for {names}, whose images have one only, found {_resolution(wish)}"


def _resolution(wish: Wish) -> str:
    return "all" if wish.every_resolution else ",".join(map(str, wish.resolutions))


def _nearest(word: str, possible: Mapping[str, object]) -> str:
    """Return a suggestion: of numbered words the one before or after it, of others the most similar."""
    if found := _NUMBERED.fullmatch(word.upper()):
        letters, number, _ = found.groups()
        same = [(one, _NUMBERED.fullmatch(one.upper())) for one in possible]
        numbered = {one: int(match[2]) for one, match in same if match and match[1] == letters}
        if numbered:
            near = min(numbered, key=lambda one: abs(numbered[one] - int(number)))
            return f"; did you mean {near}?" if abs(numbered[near] - int(number)) <= 1 else ""
    by_upper = {one.upper(): one for one in possible}
    hint = did_you_mean(word.upper(), by_upper)
    return hint and f"; did you mean {by_upper[hint.removeprefix('; did you mean ').removesuffix('?')]}?"
