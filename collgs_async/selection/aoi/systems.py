"""Read a coordinate system: whether it is longitude and latitude in WGS 84, or how it is converted.

The check uses spheroid, unit, prime meridian and authority, since every program spells names in its own way. Supported
are both generations of WKT (OGC 01-009, ISO 19162), codes and their URNs, PROJ strings, and the lines of an ArcInfo
coverage.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.aoi.places import refusal
from collgs_async.selection.aoi.reprojection import Reprojection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.selection.aoi.places import ParseNotes

__all__ = ["read_system"]

_MAX_CHARACTERS: Final = 2**16
"""Limit in characters; the rest is ignored."""

_EXPECTED: Final = "longitude and latitude in WGS 84"
_WGS84 = re.compile(r"wgs\W*_?(?:19)?84|world.geodetic.system.1984|^(?:OGC:)?CRS:?84", re.I)
_CODE = re.compile(
    r"(?:[^\[]*[^a-z0-9])?(?:EPSG|OGC|CRS)\b(?:[^\[]*[:/#=])?\s*(CRS\d\dh?|\d+)(?:/(?:proj4|ogcwkt)?/?)?", re.I
)
_RIGHT = {"4326", "4979", "CRS84", "CRS84H", "84", *map(str, range(9053, 9058)), "9755", "10606"}
_NEAR = {"4258": "ETRS89", "4937": "ETRS89", "4269": "NAD83", "CRS83": "NAD83", "83": "NAD83", "4171": "RGF93",
         "4283": "GDA94", "7844": "GDA2020", "4167": "NZGD2000", "4674": "SIRGAS 2000", "4612": "JGD2000",
         "6668": "JGD2011", "4490": "CGCS2000"}  # fmt: skip
"""Systems within a few metres of WGS 84: less than a pixel, and than the accuracy of footprints."""

_FAR = re.compile(r"GGRS|Greek|Israel|Kuda?ms|CGRS|Cyprus|National_?Geodetic_?Network|NGN|Ouvea|VN.?2000|Viet", re.I)
"""Datums on the spheroid of WGS 84 or ETRS89 but ten to five hundred metres off, by their EPSG names."""

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|([\[(])|([\])])|([^\s,\[\]()"]+)')
_WRAPPERS = {"COMPD_CS", "COMPOUNDCRS", "BOUNDCRS", "SOURCECRS"}
_GEOGRAPHIC = {"GEOGCS", "GEOGCRS", "GEOGRAPHICCRS", "GEODCRS", "GEODETICCRS"}
_DEGREE: Final = math.pi / 180


def read_system(text: str, place: str, notes: ParseNotes, *, expected: str = _EXPECTED) -> Reprojection | None:
    """Return how coordinates are converted; None: they are longitude and latitude in WGS 84, or within metres of it.

    Parameters
    ----------
    text
        The definition, in any of the forms; empty: none.
    place
        Its place, for messages.
    notes
        Receives a note when the system is another one.
    expected
        The expected system, for messages.

    Raises
    ------
    ConfigError
        The system cannot be converted, or only with pyproj; the line has its name and how it differs.
    """
    text = text[:_MAX_CHARACTERS].strip("\ufeff\x00 \t\r\n")
    if not text:
        notes.add(place, f"says no coordinate system; {_EXPECTED} is assumed")
        return None
    system = _coded(text) or _proj(text) or _coverage(text) or _wkt(text) or _System(text, "")
    wrong = "a datum elsewhere" if system.wrong is None and _FAR.search(system.names) else system.wrong
    if wrong is not None:
        refused = refusal(place, expected, quote_value(system.name) + (f" ({wrong})" if wrong else ""))
        if not system.definition:
            raise refused
        return Reprojection(system.definition, place, notes, refused)
    if not _WGS84.search(system.names):
        notes.add(place, f"is in {quote_value(system.name)}, within a few metres of WGS 84, and is taken as it is")
    return None


@dataclass(frozen=True, slots=True)
class _System:
    """A coordinate system.

    Attributes
    ----------
    name
        Its name.
    wrong
        How it differs from WGS 84; None: not at all.
    names
        Its name and that of its datum.
    definition
        What PROJ knows it by; empty: nothing that is no guess.
    """

    name: str
    wrong: str | None = None
    names: str = ""
    definition: str = ""


def _coded(text: str) -> _System | None:
    """Parse a code such as ``EPSG:4326``, also at the end of a URN or a link."""
    if _WGS84.fullmatch(text):
        return _System(text, None, text)
    if not (found := _CODE.fullmatch(text)):
        return None
    code = found[1].upper()
    name = "WGS 84" if code in _RIGHT else _NEAR.get(code, "")
    if name:
        return _System(name, None, name)
    return _System(text, "", definition=f"EPSG:{code}" if code.isdecimal() else f"OGC:{code}")


def _proj(text: str) -> _System | None:
    """Parse a PROJ string."""
    if not text.startswith("+"):
        return None
    terms = {key: value for key, _, value in (word.partition("=") for word in text.split())}
    if "+init" in terms:
        return _coded(terms["+init"]) or _System(text, "")
    shift = [float(number) for number in re.findall(r"[-+]?\d+\.?\d*", terms.get("+towgs84", ""))]
    right = (
        terms.get("+proj") in {"longlat", "latlong", "lonlat", "latlon"}
        and terms.get("+datum", terms.get("+ellps")) in {"WGS84", "GRS80", "NAD83"}
        and terms.get("+pm", "0") in {"0", "greenwich"}
        and not _moves_points(shift)
        and not {"+to_meter", "+nadgrids"} & {key for key, value in terms.items() if value != "@null"}
    )
    name = terms.get("+datum", terms.get("+ellps", ""))
    return _System(name, None, name) if right else _System(text, "", definition=text)


def _coverage(text: str) -> _System | None:
    """Parse the lines of an ArcInfo coverage: ``Projection GEOGRAPHIC``, ``Units DD`` and so on."""
    terms = {line.split()[0].lower(): line.split()[1:] for line in text.splitlines() if line.split()}
    if "projection" not in terms:
        return None
    one = {key: "".join(words[:2]).upper().replace("_", "") for key, words in terms.items()}
    datum = one.get("datum", "NONE")
    datum = one.get("spheroid", "") if datum == "NONE" else datum
    right = (
        one["projection"] in {"GEOGRAPHIC", "GEOGRAPHICAL"}
        and one.get("units", "DD") in {"DD", "DEGREES"}
        and datum in {"WGS84", "WGS1984", "NAD83", "NAD1983", "GRS80", "GRS1980"}
    )
    return _System(datum, None, datum) if right else _System(" ".join(text.split()), "")


def _wkt(text: str) -> _System | None:
    """Parse WKT; a compound or bound system is judged by its first member."""
    root = node = _tree(text)
    while node and node.keyword in _WRAPPERS:
        node = next(node.nodes(), None)
    if node is None:
        return None
    datum = next(node.descendants("DATUM", "ENSEMBLE", "GEODETICDATUM", "TRF"), node)
    names = f"{node.name} {datum.name}"
    return _System(node.name or node.keyword, _difference(node), names, text if root else "")


def _difference(system: _Node) -> str | None:
    """Return how a system differs from longitude and latitude on the spheroid of WGS 84 or of ETRS89."""
    if system.keyword not in _GEOGRAPHIC:
        return "projected" if system.keyword.startswith("PROJ") else system.keyword
    extensions = [str(node.parts[1:]) for node in system.descendants("EXTENSION")]
    if any(system.descendants("DERIVINGCONVERSION", "BASEGEOGCRS", "BASEGEODCRS")) or "ob_tran" in str(extensions):
        return "derived from another one"
    if any(cs.name.lower() == "cartesian" for cs in system.nodes("CS")):
        return "geocentric"
    for unit in (unit for part in (system, *system.nodes("AXIS")) for unit in part.nodes("UNIT", "ANGLEUNIT")):
        if not math.isclose(unit.number(0, _DEGREE), _DEGREE, rel_tol=1e-6):
            return f"unit {unit.name}"
    for meridian in system.nodes("PRIMEM"):
        if meridian.number(0, 0):
            return f"prime meridian {meridian.name}"
    for spheroid in system.descendants("SPHEROID", "ELLIPSOID"):
        if abs(spheroid.number(0, 0) - 6378137) > 0.5 or abs(spheroid.number(1, 0) - 298.2572) > 0.001:
            return f"spheroid {spheroid.name}"
        break
    else:
        if not _WGS84.search(system.name):
            return "no spheroid"
    shifts = [[node.number(index, 0) for index in range(7)] for node in system.descendants("TOWGS84")]
    return "shifted" if any(map(_moves_points, shifts)) else None


def _moves_points(numbers: list[float]) -> bool:
    """Whether a transformation (metres, seconds of arc, parts per million) moves points by more than metres."""
    return any(abs(number) > 5 for number in numbers[:3]) or any(abs(number) > 1 for number in numbers[3:])


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of WKT: its keyword in upper case, and the contents of its brackets."""

    keyword: str
    parts: list[str | _Node]

    @property
    def name(self) -> str:
        return next((part for part in self.parts[:1] if isinstance(part, str)), "")

    def number(self, index: int, default: float) -> float:
        """Return a number that follows the name; the default where there is none."""
        try:
            return float(self.parts[1 + index])  # type: ignore[arg-type]  # a node is a TypeError
        except (IndexError, TypeError, ValueError):
            return default

    def nodes(self, *keywords: str) -> Iterator[_Node]:
        """Yield the child nodes with these keywords, or all."""
        for part in self.parts:
            if isinstance(part, _Node) and (not keywords or part.keyword in keywords):
                yield part

    def descendants(self, *keywords: str) -> Iterator[_Node]:
        """Yield the nodes with these keywords at any depth."""
        waiting = list(self.nodes())
        while waiting:
            node = waiting.pop(0)
            waiting += node.nodes()
            if node.keyword in keywords:
                yield node


def _tree(text: str) -> _Node | None:
    """Parse WKT to nodes, with either kind of bracket; None when it is malformed."""
    root = _Node("", [])
    open_nodes = [root]
    for quoted, opening, closing, bare in _TOKEN.findall(text):
        parts = open_nodes[-1].parts
        if opening:
            keyword = parts.pop() if parts else None
            if not isinstance(keyword, str):
                return None
            node = _Node(keyword.upper(), [])
            parts.append(node)
            open_nodes.append(node)
        elif closing:
            if len(open_nodes) == 1:
                return None
            open_nodes.pop()
        else:
            parts.append(bare or quoted.replace('""', '"'))
    return next(root.nodes(), None)
