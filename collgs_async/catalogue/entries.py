"""Map one entry of a response to a product; a missing or malformed field becomes None.

This is the only module that knows the server's field names.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import parse_qs, urlsplit

from collgs_async.catalogue.lenient_json import is_torn
from collgs_async.catalogue.offers import archive_links
from collgs_async.http.links import join_link
from collgs_async.models.product import Product, RawTimes, read_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Entry", "at", "objects", "read_product", "whole_number"]

_TORN = "a byte is broken in"

_GROUPS = ("acquisitionParameters", "productInformation")
"""Groups of properties, within ``acquisitionInformation`` or beside it."""

_CLOUD_COVER = ("cloudCover", "cloudCoverPercentage", "eo:cloud_cover")
_PERCENTAGE: Final = re.compile(r"\d{1,3}(?:\.\d*)?(?=\s*%?$)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS: Final = range(10**12, 10**13)
"""Numbers that are times in milliseconds: from 2001 to 2286. Others may be seconds, or digits such as 202109241630."""

_MAX_ALTERNATIVES = 9
"""Limit on additional links kept per archive."""

_MAX_TRIED = 100
"""Limit on links resolved per entry, since entries with thousands of them would take long."""


def read_product(entry: object, download_base: str) -> Product:
    """Create a product from an entry."""
    facts = Entry(entry)
    url, size, problem, others = _archive(facts, download_base)
    identifier = facts.identifier()
    if identifier is None:
        digest = hashlib.sha256(repr(entry).encode("utf-8", "replace")).hexdigest()[:12]
        identifier, url, others, problem = f"unnamed-{digest}", None, (), "the catalogue gives it no identifier"
    elif is_torn(identifier):
        url, others, problem = None, (), f"{_TORN} its identifier: the catalogue's answer is not all UTF-8"
    return Product(
        identifier=identifier,
        url=url,
        problem=problem,
        alternatives=others,
        size=size,
        collection=facts.text("properties", "parentIdentifier"),
        raw=RawTimes(*facts.sensing_times()),
        footprint=facts.footprint(),
        cloud_cover=facts.cloud_cover(),
        orbit_direction=facts.acquisition("acquisitionParameters", "orbitDirection")
        or facts.text("properties", "orbitDirection"),
        orbit_number=whole_number(facts.acquired("acquisitionParameters", "orbitNumber")),
        platform=facts.platform(),
        quicklook=_resolve(facts.link("previews"), download_base)[0],
        product_type=facts.trait("productType"),
        polarisation=facts.trait("polarisationChannels", "polarizationChannels", "polarisation"),
        tile=facts.trait("tileId", "tileIdentifier", "mgrsTile"),
        relative_orbit=whole_number(facts.trait("relativeOrbitNumber", "relativeOrbit", "track")),
        created=facts.moment("created"),
        updated=facts.moment("updated"),
        available=facts.moment("availabilityTime"),
    )


def _archive(facts: Entry, base: str) -> tuple[str | None, int | None, str | None, tuple[str, ...]]:
    """Return the archive's URL, its length, the reason when there is no URL, and alternative URLs."""
    problem: str | None = None
    found: dict[str, object] = {}
    for href, length in islice(facts.downloads(), _MAX_TRIED):
        url, trouble = _resolve(href, base)
        problem = problem or trouble
        if url is not None:
            found.setdefault(url, length)
    if not found:
        return None, None, problem or _resolve(None, base)[1], ()
    first, *others = found
    return first, whole_number(found[first]), None, tuple(others[:_MAX_ALTERNATIVES])


class Entry:
    """Access to the fields of a feature; a missing or malformed field is None, never an error."""

    def __init__(self, entry: object) -> None:
        self._entry = entry
        properties = at(entry, "properties")
        self._properties: dict[str, Any] = properties if isinstance(properties, dict) else {}
        held = self._properties.get("acquisitionInformation")  # an array in some versions and an object in others
        self._acquisitions = list(objects(held if isinstance(held, list) else [held]))
        holders = [*self._acquisitions, self._properties]
        groups = objects([holder.get(group) for group in _GROUPS for holder in holders])
        self._traits = [*groups, self._properties]

    def text(self, *path: str) -> str | None:
        """Return a text field; None when it is blank."""
        value = at(self._entry, *path)
        return value.strip() or None if isinstance(value, str) else None

    def trait(self, *names: str) -> str | None:
        """Return a property by one of its names, in any of its usual places; a list is joined with commas."""
        for name in names:
            for group in self._traits:
                value = group.get(name)
                items = value if isinstance(value, list) else [value]
                if words := ",".join(str(item).strip() for item in items if isinstance(item, str | int)):
                    return words
        return None

    def moment(self, name: str) -> datetime | None:
        """Return a property that is a time, in UTC; None when it is invalid."""
        return read_time(_time(self.trait(name)))

    def cloud_cover(self) -> float | None:
        """Return the percentage of cloud, from the product information or the top level; None when it is invalid."""
        for group in (self._properties.get("productInformation"), self._properties):
            for name in _CLOUD_COVER:
                if (value := at(group, name)) is not None:
                    return _percentage(value)
        return None

    def identifier(self) -> str | None:
        """Return the product's name; the last resort is the ``uid`` in `id`, which is the entry's own URL."""
        if named := self.text("properties", "identifier") or self.text("properties", "title"):
            return named
        try:
            query = parse_qs(urlsplit(self.text("id") or "").query)
        except ValueError:
            return None
        return next(iter(query.get("uid", [])), None)

    def downloads(self) -> Iterator[tuple[str, object]]:
        """Yield the links that may lead to the archive, best first, each with its stated length."""
        yield from archive_links(self._links("data"))
        service = at(self._entry, "properties", "services", "download")
        if url := self.text("properties", "services", "download", "url"):
            yield url, service.get("size")

    def link(self, relation: str) -> str | None:
        """Return the first link of a relation."""
        return next((link["href"] for link in self._links(relation) if isinstance(link.get("href"), str)), None)

    def _links(self, relation: str) -> Iterator[Mapping[str, Any]]:
        """Yield the links of a relation: an object of arrays at a GeoServer, an array elsewhere."""
        links = at(self._entry, "properties", "links")
        if isinstance(links, dict):
            found = links.get(relation)
            yield from objects(found if isinstance(found, list) else [found])
        elif isinstance(links, list):
            names = ("data", "enclosure") if relation == "data" else (relation,)
            yield from (link for link in objects(links) if link.get("rel") in names)

    def sensing_times(self) -> tuple[str | None, str | None]:
        """Return start and end of sensing: the acquisition's own times, else those of the coarser ``date``."""
        start, _, end = (self._time("date") or "").partition("/")
        parameters = "acquisitionParameters"
        start = _time(self.acquired(parameters, "beginningDateTime")) or start or self._time("startDate", "datetime")
        end = _time(self.acquired(parameters, "endingDateTime")) or end or self._time("completionDate")  # as in resto
        return start or None, end or start or None

    def _time(self, *names: str) -> str:
        """Return the first of these properties that is a time; an empty string without one."""
        return next((time for name in names if (time := _time(self._properties.get(name)))), "")

    def footprint(self) -> dict[str, Any] | None:
        """Return what may be a GeoJSON geometry, else the entry's ``bbox`` as one."""
        geometry = at(self._entry, "geometry")
        if isinstance(geometry, dict) and isinstance(geometry.get("type"), str):
            return geometry
        return _rectangle(at(self._entry, "bbox"))

    def platform(self) -> str | None:
        """Return the satellite's name, with its letter."""
        name = self.acquisition("platform", "platformShortName")
        serial = self.acquisition("platform", "platformSerialIdentifier")
        return f"{name}{serial or ''}" if name else None

    def acquisition(self, *path: str) -> str | None:
        """Return a text field of the acquisition."""
        value = self.acquired(*path)
        return value if isinstance(value, str) and value else None

    def acquired(self, *path: str) -> object:
        """Return a field of ``acquisitionInformation``."""
        return next((value for held in self._acquisitions if (value := at(held, *path)) is not None), None)


def _resolve(href: str | None, base: str) -> tuple[str | None, str | None]:
    """Return the absolute URL of a link, or the reason why it cannot be followed."""
    if href is None:
        return None, "the catalogue gives no download link for it"
    if is_torn(href):
        return None, f"{_TORN} its download link: the catalogue's answer is not all UTF-8"
    try:
        url = join_link(base, href)
    except ValueError:
        return None, f"its download link is no URL: {href[:200]!r}"
    if not url.host:
        return None, f"its download link is not http or https: {href[:200]!r}"
    return str(url), None


def at(value: object, *path: str) -> Any:
    """Follow keys through nested objects; None where one is missing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def objects(values: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list."""
    return (value for value in values if isinstance(value, dict))


def _time(value: object) -> str:
    """Return a time as text; a number that can only be milliseconds since 1970 is converted to ISO 8601."""
    text = value.strip() if isinstance(value, str) else ""
    number = whole_number(text or value)
    if number is None or number not in _MILLISECONDS:
        return text
    return (_EPOCH + timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _percentage(value: object) -> float | None:
    """Read a percentage: a number, also as text with or without a percent sign, or in ``{"value": 85, "uom": "%"}``."""
    if isinstance(value, dict) and value.get("uom", "%") == "%":
        value = value.get("value")
    if isinstance(value, str):
        found = _PERCENTAGE.match(value.strip())
        value = float(found[0]) if found else None
    return value if _is_number(value) and 0 <= value <= 100 else None


def _rectangle(bbox: object) -> dict[str, Any] | None:
    """Return a bounding box (RFC 7946 §5) as a polygon; None when it is malformed, or wider than half the globe."""
    match bbox:
        case [west, south, east, north] | [west, south, _, east, north, _]:
            pass
        case _:
            return None
    if not (_is_number(west) and _is_number(south) and _is_number(east) and _is_number(north)):
        return None
    width = east - west if east >= west else east + 360 - west  # it may cross the antimeridian
    if not (-90 <= south <= north <= 90 and -360 <= west <= 360 and 0 <= width <= 180):
        return None
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole_number(value: object) -> int | None:
    """Parse a non-negative count, also from text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
