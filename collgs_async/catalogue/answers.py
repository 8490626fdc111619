"""One answer of the catalogue: bytes in, a page of products or an error in the server's own words out.

The shapes are those of GeoServer's OpenSearch EO module and its neighbours (OGC 17-047, GeoJSON of RFC 7946).
Everything here is a pure function of what the server sent, and trusts none of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from collgs_async.catalogue.offers import archive_links
from collgs_async.catalogue.reading import is_torn, read_json
from collgs_async.catalogue.recognition import kind_of_results, unspoken_json, unspoken_markup, unspoken_results
from collgs_async.errors import CatalogueError
from collgs_async.links import join_link
from collgs_async.models import Product
from collgs_async.words import server_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["AddressTooLongError", "Collection", "Page", "PageLimitError", "read_collections", "read_page"]

_TORN = "a byte is broken in"

_MOST_ALTERNATIVES = 9
"""Links to one archive that are kept beside the first one."""

E = TypeVar("E")

_PAGES = frozenset({"first", "last", "next", "prev", "previous"})

_COUNT_LIMIT = re.compile(r"\bcount\b.*?(?:greater|more|larger|exceed|maximum|at most)\D*(\d+)", re.I | re.S)


_TOO_LONG = re.compile(
    r"\b(?:UR[IL]|address|query|request.{0,20}?(?:line|target|header)|header)\b.{0,60}?"
    r"(?:\btoo (?:long|large|big)|\bexceed|\bmaximum (?:allowed )?length)",
    re.I | re.S,
)


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """One page of results.

    Attributes
    ----------
    products
        As many products, or collections, as the server returned, in its order.
    total
        How many results there are over all pages; None when the server does not count.
    echo
        The search parameters that the server says it understood, by their bare names; None when it does not say.
    more
        Whether the server announces a next page; None when it carries no paging links at all.
    kind
        What its server seems to be, such as "a resto API"; None: nothing else than what is spoken here.
    strange
        Why this is no answer that can be worked with, if it is the first one, such as "it is a STAC API"; None when
        it can.
    size
        How many results the server says that a page has; None when it does not say. Some mean those that there is
        room for, others those that there are.
    """

    products: tuple[E, ...]
    total: int | None
    echo: frozenset[str] | None
    more: bool | None
    kind: str | None = None
    strange: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of products, as the catalogue lists it; what it does not say is None.

    Attributes
    ----------
    identifier
        What ``--collection`` takes.
    title
        What it is, in the catalogue's words.
    platform, instrument, product_type
        Such as ``Sentinel-2``, ``MSI``, ``S2MSI2A``.
    start, end
        Sensing times of its products; an open end is None.
    """

    identifier: str
    title: str | None = None
    platform: str | None = None
    instrument: str | None = None
    product_type: str | None = None
    start: str | None = None
    end: str | None = None


class PageLimitError(CatalogueError):
    """The server refuses pages of this size and names its maximum.

    Parameters
    ----------
    message
        The server's own words.
    maximum
        The most results that it gives on a page.
    """

    def __init__(self, message: str, maximum: int) -> None:
        super().__init__(message)
        self.maximum = maximum


class AddressTooLongError(CatalogueError):
    """The server, or a proxy before it, takes no address as long as that of this search (RFC 9110 §15.5.15)."""


def read_page(status: int, body: bytes, *, download_base: str) -> Page[Product]:
    """Read one answer.

    Parameters
    ----------
    status, body
        The HTTP status and the whole body. The media type is not consulted, since errors come without one.
    download_base
        What relative download links are relative to.

    Raises
    ------
    PageLimitError
        The page asked for is larger than the server allows.
    AddressTooLongError
        The address is longer than the server allows.
    CatalogueError
        Anything that is not a page of results; retryable when it may be one next time.
    """
    answer = _results(status, body)
    products = tuple(_product(entry, download_base) for entry in answer["features"])
    named = sum(_Entry(entry).identifier() is not None for entry in answer["features"])
    linked, kind = sum(product.url is not None for product in products), kind_of_results(answer)
    strange = unspoken_results(kind, entries=len(products), named=named, linked=linked)
    return _page(answer, products, kind, strange)


def read_collections(status: int, body: bytes) -> Page[Collection]:
    """Read one page of collections; what has no name has an empty one.

    Raises
    ------
    PageLimitError, CatalogueError
        As for `read_page`.
    """
    answer = _results(status, body)
    entries = [_Entry(entry) for entry in answer["features"]]
    names = [facts.identifier() or "" for facts in entries]
    kind, named = kind_of_results(answer), sum(map(bool, names))
    if strange := unspoken_results(kind, entries=len(entries), named=named, linked=named):
        raise CatalogueError(strange)
    return _page(answer, tuple(map(_collection, entries, names)))


def _page(
    answer: Mapping[str, Any], entries: tuple[E, ...], kind: str | None = None, strange: str | None = None
) -> Page[E]:
    return Page(
        entries,
        total=_whole_number(answer.get("totalResults", _at(answer, "properties", "totalResults"))),
        echo=_echo(answer),
        more=_more(answer),
        kind=kind,
        strange=strange,
        size=_whole_number(answer.get("itemsPerPage", _at(answer, "properties", "itemsPerPage"))),
    )


def _results(status: int, body: bytes) -> Mapping[str, Any]:
    """Give the answer as JSON, if it is a list of results."""
    if status != 200:
        raise _refusal(status, body)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n\0")[:1] == b"<":
        what, passing = unspoken_markup(body)
        raise CatalogueError(f"the catalogue answered with {what}", retryable=passing)
    answer = read_json(body)
    match answer:
        case {"features": list()}:
            return answer  # type: ignore[no-any-return]
        case {"exceptions": _}:
            raise _refusal(status, body)
    told = "the catalogue's answer is JSON, but no list of results"
    words = server_words(body) if isinstance(answer, dict) else ""
    more = unspoken_json(answer) or ("" if words.startswith("{") else words)
    raise CatalogueError(f"{told}: {more}" if more else told)


def _collection(facts: _Entry, name: str) -> Collection:
    start, end = facts.sensing_times()
    title = facts.text("properties", "title")
    summary = facts.text("properties", "abstract") or facts.text("properties", "description")
    return Collection(
        identifier=name,
        title=summary or (title if title != name else None),
        platform=facts.platform(),
        instrument=facts.acquisition("instrument", "instrumentShortName"),
        product_type=facts.text("properties", "productInformation", "productType"),
        start=start,
        end=end if end != start else None,
    )


def _refusal(status: int, body: bytes) -> CatalogueError:
    words = server_words(body) or "no reason given"
    if status in {200, 400} and (limit := _COUNT_LIMIT.search(words)) and int(limit[1][:9]) > 0:
        return PageLimitError(words, int(limit[1][:9]))
    told = f"the catalogue answered HTTP {status}: {words}"
    if status in {414, 431, 494} or (status >= 400 and _TOO_LONG.search(words)):  # 494 is nginx's 431
        return AddressTooLongError(told)
    return CatalogueError(told, retryable=status >= 500 or status in {408, 425, 429} or _broke_off(body))


def _broke_off(body: bytes) -> bool:
    """Tell whether this is the beginning of JSON whose end is missing."""
    try:
        read_json(body)
    except CatalogueError as error:
        return error.retryable and body.lstrip()[:1] == b"{"
    return False


def _product(entry: object, download_base: str) -> Product:
    """Make a product of an entry; past this function nobody sees the server's field names."""
    facts = _Entry(entry)
    url, size, problem, others = _archive(facts, download_base)
    identifier = facts.identifier()
    if identifier is None:
        digest = hashlib.sha256(repr(entry).encode("utf-8", "replace")).hexdigest()[:12]
        identifier, url, others, problem = f"unnamed-{digest}", None, (), "the catalogue gives it no identifier"
    elif is_torn(identifier):
        url, others, problem = None, (), f"{_TORN} its identifier: the catalogue's answer is not all UTF-8"
    start, end = facts.sensing_times()
    return Product(
        identifier=identifier,
        url=url,
        problem=problem,
        alternatives=others,
        size=size,
        collection=facts.text("properties", "parentIdentifier"),
        start=start,
        end=end,
        footprint=facts.footprint(),
        cloud_cover=facts.percentage("productInformation", "cloudCover"),
        orbit_direction=facts.acquisition("acquisitionParameters", "orbitDirection")
        or facts.text("properties", "orbitDirection"),
        orbit_number=_whole_number(facts.acquired("acquisitionParameters", "orbitNumber")),
        platform=facts.platform(),
        quicklook=_resolve(facts.link("previews"), download_base)[0],
        product_type=facts.trait("productType"),
        polarisation=facts.trait("polarisationChannels", "polarizationChannels", "polarisation"),
        tile=facts.trait("tileId", "tileIdentifier", "mgrsTile"),
        relative_orbit=_whole_number(facts.trait("relativeOrbitNumber", "relativeOrbit", "track")),
    )


def _archive(facts: _Entry, base: str) -> tuple[str | None, int | None, str | None, tuple[str, ...]]:
    """Give where the archive is and how long, else why that is nowhere; and where else it is."""
    problem: str | None = None
    found: dict[str, object] = {}
    for href, length in facts.downloads():
        url, trouble = _resolve(href, base)
        problem = problem or trouble
        if url is not None:
            found.setdefault(url, length)
    if not found:
        return None, None, problem or _resolve(None, base)[1], ()
    first, *others = found
    return first, _whole_number(found[first]), None, tuple(others[:_MOST_ALTERNATIVES])


class _Entry:
    """A feature of the answer, whatever it is made of: a missing or odd field is None, never an error."""

    def __init__(self, entry: object) -> None:
        self._entry = entry

    def text(self, *path: str) -> str | None:
        value = _at(self._entry, *path)
        return value.strip() or None if isinstance(value, str) else None

    def trait(self, *names: str) -> str | None:
        """Find a fact by one of its names, wherever catalogues put it; a list becomes text with commas."""
        places = (("acquisitionParameters",), ("productInformation",), ())
        for name in names:
            for place in places:
                value = self.acquired(*place, name) if place else None
                value = _at(self._entry, "properties", *place, name) if value is None else value
                items = value if isinstance(value, list) else [value]
                if words := ",".join(str(item).strip() for item in items if isinstance(item, str | int)):
                    return words
        return None

    def percentage(self, part: str, name: str) -> float | None:
        """Read a share, from its part of the properties or beside it; some write -1 for what they do not know."""
        value = _at(self._entry, "properties", part, name)
        value = _at(self._entry, "properties", name) if value is None else value
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 100
        return value if right else None

    def identifier(self) -> str | None:
        """Find the product's name; `id` is the entry's own URL, whose ``uid`` is the last resort."""
        if named := self.text("properties", "identifier") or self.text("properties", "title"):
            return named
        try:
            query = parse_qs(urlsplit(self.text("id") or "").query)
        except ValueError:
            return None
        return next(iter(query.get("uid", [])), None)

    def downloads(self) -> Iterator[tuple[str, object]]:
        """Give the links that may lead to the archive, the best first, each with the length that is said of it."""
        yield from archive_links(self._links("data"))
        service = _at(self._entry, "properties", "services", "download")
        if url := self.text("properties", "services", "download", "url"):
            yield url, service.get("size")

    def link(self, relation: str) -> str | None:
        return next((link["href"] for link in self._links(relation) if isinstance(link.get("href"), str)), None)

    def _links(self, relation: str) -> Iterator[Mapping[str, Any]]:
        """Go through the links of one relation: an object of arrays at a GeoServer, an array elsewhere."""
        links = _at(self._entry, "properties", "links")
        if isinstance(links, dict):
            found = links.get(relation)
            yield from _objects(found if isinstance(found, list) else [found])
        elif isinstance(links, list):
            names = ("data", "enclosure") if relation == "data" else (relation,)
            yield from (link for link in _objects(links) if link.get("rel") in names)

    def sensing_times(self) -> tuple[str | None, str | None]:
        """Read ``date``, which is ``start/end`` or one instant; the acquisition's own times are more precise."""
        start, _, end = (self.text("properties", "date") or "").partition("/")
        parameters = "acquisitionParameters"
        start = self.acquisition(parameters, "beginningDateTime") or start or self.text("properties", "startDate") or ""
        last = self.text("properties", "completionDate")  # as resto has both
        return start or None, self.acquisition(parameters, "endingDateTime") or end or last or start or None

    def footprint(self) -> Mapping[str, Any] | None:
        geometry = _at(self._entry, "geometry")
        return geometry if isinstance(geometry, dict) and isinstance(geometry.get("type"), str) else None

    def platform(self) -> str | None:
        name = self.acquisition("platform", "platformShortName")
        serial = self.acquisition("platform", "platformSerialIdentifier")
        return f"{name}{serial or ''}" if name else None

    def acquisition(self, *path: str) -> str | None:
        value = self.acquired(*path)
        return value if isinstance(value, str) and value else None

    def acquired(self, *path: str) -> object:
        """Look into ``acquisitionInformation``, an array for products in some versions, an object in others."""
        held = _at(self._entry, "properties", "acquisitionInformation")
        for part in held if isinstance(held, list) else [held]:
            if (value := _at(part, *path)) is not None:
                return value
        return None


def _resolve(href: str | None, base: str) -> tuple[str | None, str | None]:
    """Make an absolute URL of a link; or say why it is none that can be followed."""
    if href is None:
        return None, "the catalogue gives no download link for it"
    if is_torn(href):
        return None, f"{_TORN} its download link: the catalogue's answer is not all UTF-8"
    try:
        url = join_link(base, href)
        (url.raw_host or "").encode("idna")
    except (ValueError, UnicodeError):
        return None, f"its download link is no URL: {href[:200]!r}"
    if url.scheme not in {"http", "https"} or not url.host:
        return None, f"its download link is not http or https: {href[:200]!r}"
    return str(url), None


def _echo(answer: Mapping[str, Any]) -> frozenset[str] | None:
    """Collect the parameters that the server repeats: an object at a GeoServer, an array elsewhere."""
    said = _at(answer, "queries", "request")
    if isinstance(said, list):
        said = next(_objects(said), None)
    return frozenset(key.rpartition(":")[2] for key in said) if isinstance(said, dict) else None


def _more(answer: Mapping[str, Any]) -> bool | None:
    links = _at(answer, "properties", "links")
    if isinstance(links, dict):
        # One that gives no links to pages at all says nothing by giving none to a next one.
        return bool(links.get("next")) if _PAGES.intersection(links) else None
    if isinstance(links, list):
        return any(link.get("rel") == "next" for link in _objects(links))
    return None


def _at(value: object, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _objects(values: list[Any]) -> Iterator[Mapping[str, Any]]:
    return (value for value in values if isinstance(value, dict))


def _whole_number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
