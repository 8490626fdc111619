"""Check that the products of a page match the query, for servers that do not report which parameters they applied.

A server that does not know a parameter ignores it, and returns products of other years and places as if they were
the result. A GeoServer echoes the parameters it knows; where that echo is missing, each page is compared with the
query. Only a product that is clearly outside counts as evidence:

===================  ================================================  ===============================================
parameter            evidence                                          no evidence
===================  ================================================  ===============================================
parentIdentifier     the entry names another collection; none is       another spelling (``sentinel-2 msil1c``); a
                     named, and the name is of another mission         broader or narrower name (``S2A_MSIL1C``); no
                                                                       mission named
timeStart, timeEnd   sensed outside, both by the entry's times (to     one of them inside; no time; with ``disjoint``
                     their own precision: a second, a day) and by      all that is not wholly inside
                     the name's, give or take a day
box, geometry        the footprint's bounding box is elsewhere by      no footprint; a longitude more or less 360°; the
                     more than 0.1°, as a GeoServer tests it           other side of what is wider than 180°; up to a
                                                                       pole; latitude before longitude
cloudCover           more than one percent outside the interval        unknown
orbitDirection       the other direction                               unknown, or a third word
orbitNumber          the entry has another one, and so has the name    unknown; an absolute one (above 385) against a
                                                                       relative one
identifier, uid      another name                                      a ``.SAFE`` or ``.zip`` suffix; a query with
                                                                       wildcards
all others           never                                             always
===================  ================================================  ===============================================

How the search reacts:

==============================  ====================================================================================
echo of the catalogue           reaction to a product outside the query
==============================  ====================================================================================
missing                         error: none of the results can be trusted
has the parameter               one warning: the results may be complete, with unwanted ones among them
lacks the parameter             one warning without looking at products: the server admits that it ignored it
any; required by the query      error (`Query.required`)
any; also checked locally       none: such products are filtered out later (`Query.also_local`)
==============================  ====================================================================================
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from collgs_async.models.sentinel import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from collgs_async.models.product import Product

__all__ = ["outside"]

_NEARBY: Final = 0.1
"""Tolerance in degrees between a footprint and a box, for rounding."""

_PERCENT: Final = 1.0
_NAME_PRECISION: Final = timedelta(days=1)
"""Tolerance for times in a product name, which may be those of the whole data-take."""

_ZONES: Final = timedelta(hours=14)
"""Largest UTC offset: a time without an offset may be local."""

_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_PAIR: Final = re.compile(rf"({_NUMBER})\s+({_NUMBER})")
_MOST_TRACKS: Final = 385
"""The most relative orbits of a mission: Sentinel-3 repeats its track after 385."""

_MISSION: Final = re.compile(r"s[1-6][a-dp]?")
_SUFFIX: Final = re.compile(r"(?:\.SAFE|\.SEN3)?(?:\.zip)?$", re.I)

_Box = tuple[float, float, float, float]
_Span = tuple[datetime, datetime]


def outside(parameters: Mapping[str, str], products: Iterable[Product]) -> dict[str, str]:
    """Compare the products of a page with the query.

    Parameters
    ----------
    parameters
        The parameters of the request, under their canonical names.
    products
        Products of one page, or of several.

    Returns
    -------
    dict of str
        For each violated parameter, a description of the first product outside it; empty when all products may match.
    """
    checks = [(name, parameters[name], check) for name, check in _CHECKS.items() if name in parameters]
    found: dict[str, str] = {}
    for product in products:
        for name, asked, check in checks:
            if name not in found and (words := check(product, asked, parameters)):
                found[name] = f"{product.identifier} {words}"
    return found


def _collection(product: Product, asked: str, _: Mapping[str, str]) -> str:
    if product.collection is not None:
        return "" if _may_be_one(product.collection, asked) else f"is of {product.collection}"
    ours, theirs = _missions(asked), _missions(product.identifier.partition("_")[0])
    return f"is of {theirs.pop()}" if ours and theirs and not ours & theirs else ""


def _missions(name: str) -> set[str]:
    """Return the missions in a name, such as S2 or S5."""
    return {word[:2].upper() for word in _words(name) if _MISSION.fullmatch(word)}


def _may_be_one(one: str, other: str) -> bool:
    """Whether two names may be spellings of one collection, or one of them is part of the other."""
    fewer, more = sorted((_words(one), _words(other)), key=len)
    return all(any(ours in theirs or theirs in ours for theirs in more) for ours in fewer)


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", re.sub(r"sentinel[\s_-]*(?=\d)", "s", name.casefold()))


def _start(product: Product, asked: str, parameters: Mapping[str, str]) -> str:
    edge = datetime.fromisoformat(asked)
    if _relation(parameters) == "disjoint":
        end = datetime.fromisoformat(parameters["timeEnd"]) if "timeEnd" in parameters else None
        inside = _all_times(product, lambda span: edge < span[0] and (end is None or span[1] < end))
        return f"was sensed {_sensed(product)}, not outside" if inside else ""
    return f"was sensed {_sensed(product)}" if _all_times(product, lambda span: span[1] < edge) else ""


def _end(product: Product, asked: str, parameters: Mapping[str, str]) -> str:
    edge = datetime.fromisoformat(asked)
    if _relation(parameters) == "disjoint":
        inside = "timeStart" not in parameters and _all_times(product, lambda span: span[1] < edge)
        return f"was sensed {_sensed(product)}, not outside" if inside else ""
    return f"was sensed {_sensed(product)}" if _all_times(product, lambda span: span[0] > edge) else ""


def _relation(parameters: Mapping[str, str]) -> str:
    """Return the time relation; all but ``disjoint`` require that both periods intersect."""
    return parameters.get("timeRelation", "").strip().lower()


def _all_times(product: Product, test: Callable[[_Span], bool]) -> bool:
    """Whether a product has sensing times and all of them pass a test."""
    spans = [*_times_of_entry(product), *_times_of_name(product)]
    return bool(spans) and all(test(span) for span in spans)


def _sensed(product: Product) -> str:
    name = parse(product.identifier)
    return product.raw.start or (f"{name.start:%Y-%m-%d}" if name and name.start else "then")


def _times_of_entry(product: Product) -> Iterator[_Span]:
    """Yield the widest interval that an entry's times allow; nothing when one of them is invalid."""
    spans = [_interval_of(text) for text in (product.raw.start, product.raw.end) if text is not None]
    whole = [span for span in spans if span is not None]
    if whole and len(whole) == len(spans):
        yield min(span[0] for span in whole), max(span[1] for span in whole)
    elif spans:
        yield datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _times_of_name(product: Product) -> Iterator[_Span]:
    name = parse(product.identifier)
    if name is not None and name.start is not None:
        try:
            yield name.start - _NAME_PRECISION, (name.stop or name.start) + _NAME_PRECISION
        except OverflowError:  # a date such as 99991231 is a placeholder, and no evidence
            yield datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _interval_of(text: str) -> _Span | None:
    """Parse a time as the interval it denotes at its precision (a day, a second)."""
    text = text.strip()
    try:
        try:
            day = date.fromisoformat(text)
            moment, after = datetime(day.year, day.month, day.day, tzinfo=UTC), timedelta(days=1)
            before = timedelta(0)
        except ValueError:
            moment = datetime.fromisoformat(text)
            digits = sum(letter.isdigit() for letter in text.replace(",", ".").partition(".")[0][:19])
            after = timedelta(milliseconds=1) if moment.microsecond else timedelta(seconds=1 if digits >= 14 else 60)
            before = after
            if moment.tzinfo is None:
                moment, before, after = moment.replace(tzinfo=UTC), before + _ZONES, after + _ZONES
        return moment - before, moment + after
    except (ValueError, OverflowError):
        return None


def _box(product: Product, asked: str, _: Mapping[str, str]) -> str:
    west, south, east, north = map(float, asked.split(","))
    return _outside_box(product, (west, south, east if east >= west else east + 360, north))


def _geometry(product: Product, asked: str, parameters: Mapping[str, str]) -> str:
    """Compare with the bounding box of a shape that products must intersect."""
    corners = [(float(x), float(y)) for x, y in _PAIR.findall(asked)]
    bounds = _around(corners)
    if bounds is None or bounds[2] - bounds[0] > 180 or parameters.get("geoRelation", "").strip().lower() == "disjoint":
        return ""
    return _outside_box(product, bounds)


def _outside_box(product: Product, box: _Box) -> str:
    bounds = _around(_corners(product.footprint))
    if bounds is None or any(_meet(one, box) for one in _readings(bounds)):
        return ""
    return f"lies within {','.join(f'{degrees:g}' for degrees in bounds)}"


def _corners(footprint: Mapping[str, Any] | None) -> list[tuple[float, float]]:
    """Return all positions of a geometry of any type; empty when one of them is malformed."""
    found: list[tuple[float, float]] = []
    left: list[object] = [] if footprint is None else [footprint]
    while left:
        match left.pop():
            case {"geometries": list() as geometries}:
                left += geometries
            case {"coordinates": list() as coordinates}:
                left.append(coordinates)
            case [int() | float() as x, int() | float() as y, *_]:
                found.append((x, y))
            case list() as more:
                left += more
            case _:
                return []
    return found


def _around(corners: list[tuple[float, float]]) -> _Box | None:
    """Return the bounding box of positions; None when there are none, or they are not in degrees."""
    if not corners or not all(abs(x) <= 540 and abs(y) <= 540 for x, y in corners):  # false for NaN, too
        return None
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _readings(bounds: _Box) -> Iterator[_Box]:
    """Yield each box that a footprint of these bounds may cover."""
    for west, south, east, north in (bounds, (bounds[1], bounds[0], bounds[3], bounds[2])):
        if east - west > 180:  # it crosses the antimeridian, or contains a pole
            low, high = (-90.0 if south < -45 else south), (90.0 if north > 45 else north)
            yield from ((west, low, east, high), (east, low, west + 360, high))
        else:
            yield west, south, east, north


def _meet(one: _Box, other: _Box) -> bool:
    if one[1] > other[3] + _NEARBY or one[3] < other[1] - _NEARBY:
        return False
    west, east = one[0] - _NEARBY, one[2] + _NEARBY
    return any(west + turn <= other[2] and east + turn >= other[0] for turn in (-720, -360, 0, 360, 720))


def _cloud_cover(product: Product, asked: str, _: Mapping[str, str]) -> str:
    if product.cloud_cover is None:
        return ""
    least, _comma, most = asked.partition(",")
    if not _comma:
        least, most = (asked, "") if asked[:1] in {"[", "]"} else ("", asked)
    low, high = float(least.strip("[] ") or 0), float(most.strip("[] ") or 100)
    return "" if low - _PERCENT <= product.cloud_cover <= high + _PERCENT else f"has {product.cloud_cover:g} % of cloud"


def _orbit_direction(product: Product, asked: str, _: Mapping[str, str]) -> str:
    known = {"ASC", "DES"}
    wanted, found = {word.strip().upper()[:3] for word in asked.split(",")}, (product.orbit_direction or "").upper()[:3]
    return "" if found not in known or found in wanted or wanted - known else f"is of a {product.orbit_direction} orbit"


def _orbit_number(product: Product, asked: str, _: Mapping[str, str]) -> str:
    """Compare with the relative or absolute orbits of a product, since catalogues use the parameter for either."""
    name = parse(product.identifier)
    known = {product.orbit_number, product.relative_orbit, name.relative_orbit if name else None} - {None}
    numbers = [int(digits) for digits in re.findall(r"\d+", asked)]
    if product.orbit_number is None or not re.fullmatch(r"[\d\s,{}\[\]]+", asked):
        return ""
    relative = {number <= _MOST_TRACKS for number in (*numbers, product.orbit_number)}
    if len(relative) > 1 or any(_lies_in(number, asked, numbers) for number in known):
        return ""
    return f"is of orbit {product.orbit_number}"


def _lies_in(number: int | None, asked: str, numbers: list[int]) -> bool:
    """Whether a number is one of a set, or within an interval; any is where the interval is open."""
    if not {"[", "]"} & set(asked):
        return number in numbers
    return number is None or len(numbers) != 2 or numbers[0] <= number <= numbers[1]


def _identifier(product: Product, asked: str, _: Mapping[str, str]) -> str:
    if set(asked) & set("*%?[]"):
        return ""
    return "" if _bare(product.identifier) in {_bare(name) for name in asked.split(",")} else "was not asked for"


def _bare(identifier: str) -> str:
    return _SUFFIX.sub("", identifier.strip()).casefold()


_CHECKS: Final[Mapping[str, Callable[[Product, str, Mapping[str, str]], str]]] = {
    "parentIdentifier": _collection,
    "timeStart": _start,
    "timeEnd": _end,
    "box": _box,
    "geometry": _geometry,
    "cloudCover": _cloud_cover,
    "orbitDirection": _orbit_direction,
    "orbitNumber": _orbit_number,
    "identifier": _identifier,
    "uid": _identifier,
}
