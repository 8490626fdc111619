"""Parse a response of the catalogue to a page of products, or to an error in the server's own words.

Formats are those of GeoServer's OpenSearch EO module and similar servers (OGC 17-047, GeoJSON of RFC 7946). All
functions are pure, and treat their input as hostile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from collgs_async.catalogue.entries import Entry, at, objects, read_product, whole_number
from collgs_async.catalogue.lenient_json import read_json
from collgs_async.catalogue.recognition import describe_json, describe_markup, kind_of_results, unusable_results
from collgs_async.errors import CatalogueError
from collgs_async.http.messages import error_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collgs_async.models.product import Product

__all__ = ["AddressTooLongError", "Collection", "Page", "PageLimitError", "read_collections", "read_page"]

E = TypeVar("E")

MAX_RESULTS: Final = 50_000
"""Limit on results per page: five times the largest page ever requested."""

_PAGES = frozenset({"first", "last", "next", "prev", "previous"})

_COUNT_LIMIT = re.compile(r"\bcount\b.*?(?:greater|more|larger|exceed|maximum|at most)\D*(\d+)", re.I | re.S)

_TOO_LONG = r".{0,60}?(?:\btoo (?:long|large|big)|\bexceed|\bmaximum (?:allowed )?length)"
_ADDRESS_TOO_LONG = re.compile(
    r"\b(?:UR[IL]s?|address|query[ -]?string|request.{0,20}?(?:line|target|header)|headers?)\b" + _TOO_LONG, re.I | re.S
)
_QUERY_TOO_LONG = re.compile(r"\bquery\b" + _TOO_LONG, re.I | re.S)
"""Matches complaints about the request or about the size of its result."""

_RESULTS = re.compile(
    r"\b(?:results?|records?|rows?|features?|items?|entries|hits|matches|products?|granules?|documents?|responses?|"
    r"answers?|pages?|counts?|maxrecords)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """One page of results.

    Attributes
    ----------
    products
        The products or collections, in the server's order.
    total
        The number of results over all pages; None when the server does not count.
    echo
        The search parameters that the server reports as understood, without prefixes; None when it reports none.
    more
        Whether the server announces a next page; None when it has no paging links at all.
    kind
        The kind of server, such as "a resto API"; None: a supported one.
    strange
        Why this cannot be used as a first page, such as "it is a STAC API"; None when it can.
    size
        The server's page size; None when it does not report one. Some report the capacity of a page, others the number
        of its results.
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
    """A collection of products; what the catalogue does not state is None.

    Attributes
    ----------
    identifier
        The value for ``--collection``.
    title
        The catalogue's description.
    platform, instrument, product_type
        Such as ``Sentinel-2``, ``MSI``, ``S2MSI2A``.
    start, end
        Sensing times of its products; None: open.
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
        The largest page size in results.
    """

    def __init__(self, message: str, maximum: int) -> None:
        super().__init__(message)
        self.maximum = maximum


class AddressTooLongError(CatalogueError):
    """The server, or a proxy before it, refuses the URL for its length (RFC 9110 §15.5.15).

    Parameters
    ----------
    message
        The server's own words.
    certain
        False when the message may also be about the page size.
    """

    def __init__(self, message: str, *, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain


def read_page(status: int, body: bytes, *, download_base: str) -> Page[Product]:
    """Parse a page of products.

    Parameters
    ----------
    status, body
        The HTTP status and the whole body. The media type is ignored, since errors come without one.
    download_base
        The base of relative download links.

    Raises
    ------
    PageLimitError
        The page requested is larger than the server allows.
    AddressTooLongError
        The URL is longer than the server allows.
    CatalogueError
        Anything else that is not a page of results; retryable when a second request may succeed.
    """
    answer = _results(status, body)
    products = tuple(read_product(entry, download_base) for entry in answer["features"])
    named = sum(Entry(entry).identifier() is not None for entry in answer["features"])
    linked, kind = sum(product.url is not None for product in products), kind_of_results(answer)
    strange = unusable_results(kind, entries=len(products), named=named, linked=linked, echoed=bool(_echo(answer)))
    return _page(answer, products, kind, strange)


def read_collections(status: int, body: bytes) -> Page[Collection]:
    """Parse a page of collections; an unnamed one has an empty name.

    Raises
    ------
    PageLimitError, CatalogueError
        As for `read_page`.
    """
    answer = _results(status, body)
    entries = [Entry(entry) for entry in answer["features"]]
    names = [facts.identifier() or "" for facts in entries]
    kind, named = kind_of_results(answer), sum(map(bool, names))
    if strange := unusable_results(kind, entries=len(entries), named=named, linked=named, echoed=bool(_echo(answer))):
        raise CatalogueError(strange)
    return _page(answer, tuple(map(_collection, entries, names)))


def _page(
    answer: Mapping[str, Any], entries: tuple[E, ...], kind: str | None = None, strange: str | None = None
) -> Page[E]:
    return Page(
        entries,
        total=whole_number(answer.get("totalResults", at(answer, "properties", "totalResults"))),
        echo=_echo(answer),
        more=_has_more(answer),
        kind=kind,
        strange=strange,
        size=whole_number(answer.get("itemsPerPage", at(answer, "properties", "itemsPerPage"))),
    )


def _results(status: int, body: bytes) -> Mapping[str, Any]:
    """Return the response as JSON, if it is a list of results."""
    if status != 200:
        raise _refusal(status, body)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n\0")[:1] == b"<":
        what, passing = describe_markup(body)
        raise CatalogueError(f"the catalogue answered with {what}", retryable=passing)
    answer = read_json(body)
    match answer:
        case {"features": list() as entries}:
            if len(entries) > MAX_RESULTS:
                raise CatalogueError(f"the catalogue's answer has {len(entries)} results, more than {MAX_RESULTS}")
            return answer  # type: ignore[no-any-return]
        case {"exceptions": _}:
            raise _refusal(status, body)
    message = "the catalogue's answer is JSON, but no list of results"
    words = error_text(body) if isinstance(answer, dict) else ""
    more = describe_json(answer) or ("" if words.startswith("{") else words)
    raise CatalogueError(f"{message}: {more}" if more else message)


def _collection(facts: Entry, name: str) -> Collection:
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
    words = error_text(body) or "no reason given"
    if status in {200, 400} and (limit := _COUNT_LIMIT.search(words)) and int(limit[1][:9]) > 0:
        return PageLimitError(words, int(limit[1][:9]))
    message = f"the catalogue answered HTTP {status}: {words}"
    if status in {414, 431, 494}:  # 494 is nginx's 431
        return AddressTooLongError(message, certain=True)
    if status >= 400 and status not in {408, 425, 429, 502, 503, 504}:
        address, of_results = _ADDRESS_TOO_LONG.search(words), _RESULTS.search(words)
        if address or (_QUERY_TOO_LONG.search(words) and not of_results):
            return AddressTooLongError(message, certain=bool(address and not of_results))
    return CatalogueError(message, retryable=status >= 500 or status in {408, 425, 429} or _is_truncated(body))


def _is_truncated(body: bytes) -> bool:
    """Whether this is truncated JSON."""
    try:
        read_json(body)
    except CatalogueError as error:
        return error.retryable and body.lstrip()[:1] == b"{"
    return False


def _echo(answer: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the parameters that the server repeats: an object at a GeoServer, an array elsewhere."""
    request = at(answer, "queries", "request")
    if isinstance(request, list):
        request = next(objects(request), None)
    return frozenset(key.rpartition(":")[2] for key in request) if isinstance(request, dict) else None


def _has_more(answer: Mapping[str, Any]) -> bool | None:
    links = at(answer, "properties", "links")
    if isinstance(links, dict):
        # Without any paging links, a missing "next" means nothing.
        return bool(links.get("next")) if _PAGES.intersection(links) else None
    if isinstance(links, list):
        return any(link.get("rel") == "next" for link in objects(links))
    return None
