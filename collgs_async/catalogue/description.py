"""Read the OpenSearch description document, which lists the search parameters of a collection (OGC 10-032r8).

A GeoServer has one per collection, since the columns of a collection determine its parameters. Older servers have
none, and the search works without.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CatalogueError
from collgs_async.http.messages import error_text, is_html
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

    from collgs_async.http.requester import CatalogueRequester

__all__ = ["COMMON_PARAMETERS", "LEGACY_PARAMETERS", "Description", "Parameter", "find_description", "read_description"]

LEGACY_PARAMETERS: Final = frozenset(
    {
        *("parentIdentifier", "parentId", "box", "timeStart", "timeEnd", "cloudCover", "count", "maxRecords"),
        *("startIndex", "httpAccept", "productType", "platform"),
    }
)
"""Parameters of the original tool and its samples; never rejected, so that its configurations keep working."""

COMMON_PARAMETERS: Final = (LEGACY_PARAMETERS | {"identifier", "uid"}) - {"productType", "platform"}
"""Parameters that every product search has, or whose absence shows in the first response."""

_NEVER_MISSING: Final = frozenset({"httpAccept", "parentIdentifier"})
"""Never reported as missing: one is chosen here, the other is part of the URL in the document of one collection."""

_MAX_DOCUMENT_BYTES: Final = 2**20
"""Limit in bytes, since a larger document would block the parser; a GeoServer's has 30,000."""

_SYNONYMS: Final = {
    **dict.fromkeys(("startdate", "start"), "timestart"),
    **dict.fromkeys(("completiondate", "enddate", "end"), "timeend"),
    **dict.fromkeys(("limit", "maxresults"), "count"),
    "intersects": "geometry",
}
"""Names in other catalogues that a spelling match would map wrongly: startDate is nearest to startIndex."""

_MAX_PARAMETERS: Final = 1000
_NEAR: Final = 0.6


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of a collection.

    Attributes
    ----------
    name
        The name in the request, such as ``cloudCover``.
    least, most
        The range of its values; None: unlimited or unknown.
    pattern
        The server's regular expression for values. Not enforced: a GeoServer's patterns require a sign before each
        whole number, which no request has.
    choices
        The permitted values; empty: any, or unknown.
    """

    name: str
    least: float | None = None
    most: float | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """The range in words, such as ``0 to 100``; empty when there is none."""
        if self.least is not None and self.most is not None:
            return f"{self.least:.10g} to {self.most:.10g}"
        if self.least is not None:
            return f"at least {self.least:.10g}"
        return "" if self.most is None else f"at most {self.most:.10g}"


@dataclass(frozen=True, slots=True)
class Description:
    """The search parameters of a collection, or those of the search for collections.

    Attributes
    ----------
    title
        The server's title of the search; None when it has none.
    parameters
        The search parameters, in the server's order.
    """

    title: str | None
    parameters: tuple[Parameter, ...]

    @property
    def page_maximum(self) -> int | None:
        """The largest page size; None when the document has no limit."""
        most = next((parameter.most for parameter in self.parameters if parameter.name == "count"), None)
        return None if most is None or most < 1 else int(most)

    def has(self, name: str) -> bool:
        """Whether a search parameter exists; case-insensitive, as at a GeoServer."""
        return name.lower() in {parameter.name.lower() for parameter in self.parameters}

    def nearest(self, name: str) -> str | None:
        """Return the most similar parameter name; None when none is similar."""
        by_lower = {parameter.name.lower(): parameter.name for parameter in self.parameters}
        if (same := _SYNONYMS.get(name.lower(), "")) in by_lower:
            return by_lower[same]
        near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=_NEAR)
        return by_lower[near[0]] if near else None

    def unsupported(self, parameters: Mapping[str, str]) -> list[str]:
        """Return the query parameters that the server would ignore, which would make the results too broad."""
        return [name for name in parameters if name not in _NEVER_MISSING and not self.has(name)]


async def find_description(requester: CatalogueRequester, base_url: str, collection: str | None) -> Description | None:
    """Find the description document among its usual addresses.

    Parameters
    ----------
    base_url
        The search address.
    collection
        The collection; None: the search for collections.

    Returns
    -------
    Description or None
        None when the server has no such document.

    Raises
    ------
    CatalogueError
        The request failed, or the server refuses it, as for an unknown collection.
    """
    read = partial(_answer, of="collection" if collection is None else "results")
    for url, parameters in _places(base_url, collection):
        if description := await requester.request(url, parameters, read):
            return description
    return None


def _places(base_url: str, collection: str | None) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield candidate addresses: beside the search (also with the older parameter name), and below it."""
    below = base_url.rstrip("/")
    beside, slash, last = below.rpartition("/")
    if last == "search":
        yield f"{beside}{slash}description", {} if collection is None else {"parentIdentifier": collection}
        if collection is not None:
            yield f"{beside}{slash}description", {"parentId": collection}
    yield f"{below}/description", {} if collection is None else {"parentId": collection}


def _answer(status: int, body: bytes, *, of: str) -> Description | None:
    """Parse a response; None when there is no document."""
    if status in {400, 401, 403, 429} or status >= 500:
        words = error_text(body) or "no reason given"
        retryable = status == 429 or (status >= 500 and status != 501)
        raise CatalogueError(f"the catalogue answered HTTP {status}: {words}", retryable=retryable)
    if status != 200 or is_html(body):
        return None
    return read_description(body, of=of)


def read_description(body: bytes, *, of: str = "results") -> Description | None:
    """Parse a description document; where it describes several response formats, their parameters are merged.

    Parameters
    ----------
    of
        The kind of search: ``results`` for products, ``collection`` for collections.

    Returns
    -------
    Description or None
        None when the document describes another kind of search, as when an older server ignores the collection.

    Raises
    ------
    CatalogueError
        It is no OpenSearch description document.
    """
    if len(body) > _MAX_DOCUMENT_BYTES:
        raise CatalogueError(f"expected an OpenSearch description document, found {plural(len(body), 'byte')}")
    root = _tree(body)
    if root.tag != "OpenSearchDescription":
        raise CatalogueError(f"expected an OpenSearch description document, found XML of <{root.tag[:80]}>")
    urls = [url for url in root.iter("Url") if url.get("rel", "results") == of]
    if not urls:
        return None
    found: dict[str, Parameter] = {}
    for url in urls:
        for parameter in (*_declared(url), *_in_template(url.get("template", ""))):
            if len(found) < _MAX_PARAMETERS:
                found.setdefault(parameter.name, parameter)
    title = root.findtext("LongName") or root.findtext("ShortName")
    return Description(title.strip() or None if title else None, tuple(found.values()))


def _declared(url: Element) -> Iterator[Parameter]:
    for element in url.iter("Parameter"):
        if name := element.get("name", "").strip():
            yield Parameter(
                name,
                _number(element.get("minInclusive")),
                _number(element.get("maxInclusive")),
                element.get("pattern"),
                tuple(option.get("value", "") for option in element.iter("Option")),
            )


def _in_template(template: str) -> Iterator[Parameter]:
    """Yield the parameters named only in the URL template: ``cloudCover={eo:cloudCover?}``."""
    for pair in template.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name and value.startswith("{") and value.endswith("}"):
            yield Parameter(name)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _tree(body: bytes) -> Element:
    """Parse XML and strip namespaces; a document type is refused, since only its entities make XML dangerous."""
    from xml.etree.ElementTree import TreeBuilder  # deferred: most runs parse none
    from xml.parsers import expat

    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise CatalogueError("expected an OpenSearch description document, found XML with a document type")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(
        _bare(tag), {_bare(name): value for name, value in attributes.items()}
    )
    parser.EndElementHandler = lambda tag: builder.end(_bare(tag))
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        raise CatalogueError(f"expected an OpenSearch description document, found no XML ({error})") from None
    return builder.close()


def _bare(name: str) -> str:
    return name.rpartition(" ")[2]
