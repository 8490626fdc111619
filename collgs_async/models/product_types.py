"""Equate the spellings of product types: ``L1C``, ``MSIL1C``, ``S2MSI1C`` and ``MSI_L1C`` are one type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collgs_async.models.sentinel import Name

__all__ = ["kind", "kinds", "usual_collection"]

_MISSION = re.compile("(?:S1_(?:SAR_)?|S2_|S3_(?=(?:OL|SL|SR|SY|DO|MW|GN|TM)_)|S5P_|S6_(?=P))(?=.)")
_OPTICAL = re.compile("(?:S2_?)?(?:MSI_?)?(?:LEVEL_?|L)?(1A|1B|1C|2A|2AP)(?:_(?:DS|GR|TL))?")
_RADAR = re.compile("(?:(IW|EW|WV|EN|RF|S[1-6]|N[1-6])_)?(RAW|SLC|GRD|OCN|ETA)(?:D(?=$))?(?:_?([FHM])([DS])?)?(?:_.*)?")


def kind(word: str) -> str:
    """Normalise a product type for comparison."""
    text = re.sub("[^A-Z0-9]+", "_", word.upper()).strip("_")
    text = text[found.end() :] if (found := _MISSION.match(text)) else text
    if optical := _OPTICAL.fullmatch(text):
        return f"S2MSI{optical[1]}"
    return "ETA" if text == "ETAD" else text


def usual_collection(name: Name) -> str:
    """Return the collection that CollGS keeps such products in: ``S2_MSIL2A``, ``S1_SAR_GRD``, ``S3_OL_1_EFR``."""
    if name.mission == "S2":
        return f"S2_MSIL{name.level}"
    between = "_SAR_" if name.mission == "S1" else "_"
    return f"{name.mission}{between}{name.product_type.rstrip('_')}"


def kinds(name: Name | None, entry: str | None) -> frozenset[str]:
    """Return all spellings of a product's type, from its name or else from its entry; empty: unknown."""
    if name is None:
        return _with_short_forms(kind(entry)) if entry else frozenset()
    if name.mission == "S1":
        resolution, base = name.resolution or "", name.product_type
        pair = name.polarisation[0] if name.polarisation in {"SH", "SV", "DH", "DV"} else "S"
        return _radar(name.mode, base, resolution, pair) | {f"{name.mode}_{base}{resolution}_{name.level}S"}
    return _with_short_forms(kind(name.product_type))


def _with_short_forms(text: str) -> frozenset[str]:
    """Add shorter forms of a type: that of a radar without its mode, others by their last word, such as ``EFR``."""
    if found := _RADAR.fullmatch(text):
        mode, base, resolution, pair = found.groups()
        return _radar(mode, base, resolution or "", pair or "") | {text}
    return frozenset({text, text.rpartition("_")[2]})


def _radar(mode: str | None, base: str, resolution: str, pair: str) -> frozenset[str]:
    plain = {base, base + resolution, f"{base}_{resolution}{pair}"} if resolution else {base}
    return frozenset(plain | ({f"{mode}_{one}" for one in plain} if mode else set()))
