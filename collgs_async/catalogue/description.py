"""What the catalogue says that can be asked of it: its OpenSearch description document (protocol §5).

A GeoServer has one for each collection, since a collection's columns decide what can be asked. Older servers have none,
and nothing here needs one: who finds none goes on without.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CatalogueError
from collgs_async.http.messages import error_text, is_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

    from collgs_async.http.requester import Requester

__all__ = ["ACCUSTOMED", "EVERYDAY", "Description", "Parameter", "find_description", "read_description"]

ACCUSTOMED: Final = frozenset(
    {
        *("parentIdentifier", "parentId", "box", "timeStart", "timeEnd", "cloudCover", "count", "maxRecords"),
        *("startIndex", "httpAccept", "productType", "platform"),
    }
)
"""Keys of the original tool and its samples: never refused, for its configurations have to go on working."""

EVERYDAY: Final = (ACCUSTOMED | {"identifier", "uid"}) - {"productType", "platform"}
"""Parameters that every product search has, or whose absence the answer itself shows soon enough."""

_NEVER_LACKING: Final = frozenset({"httpAccept", "parentIdentifier"})
"""We choose the one; the other is part of the address in a document that describes one collection."""

_LARGEST_DOCUMENT: Final = 2**20
"""Bytes; a GeoServer's has 30,000. More would keep the parser busy for long."""

_ELSEWHERE: Final = {
    **dict.fromkeys(("startdate", "start"), "timestart"),
    **dict.fromkeys(("completiondate", "enddate", "end"), "timeend"),
    **dict.fromkeys(("limit", "maxresults"), "count"),
    "intersects": "geometry",
}
"""What other catalogues call it, where the letters would lead elsewhere: startDate is nearer to startIndex."""

_MOST_PARAMETERS: Final = 1000
_NEAR: Final = 0.6


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of a collection.

    Attributes
    ----------
    name
        As it is sent, such as ``cloudCover``.
    least, most
        The range of its values; None: no limit, or none that is told.
    pattern
        What its values look like, in the server's words. Not to be enforced: a GeoServer's patterns demand a sign
        before each whole number, which no request has.
    choices
        The values there are; empty: many, or the server does not say.
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
    """What can be asked of a collection, or of the catalogue about its collections.

    Attributes
    ----------
    title
        What the server calls its search; None when it does not say.
    parameters
        The search parameters, in the server's order.
    """

    title: str | None
    parameters: tuple[Parameter, ...]

    @property
    def page_maximum(self) -> int | None:
        """The most results on a page; None when the document does not say."""
        most = next((parameter.most for parameter in self.parameters if parameter.name == "count"), None)
        return None if most is None or most < 1 else int(most)

    def knows(self, name: str) -> bool:
        """Tell whether a search parameter can be asked about; case does not matter, as at a GeoServer."""
        return name.lower() in {parameter.name.lower() for parameter in self.parameters}

    def nearest(self, name: str) -> str | None:
        """Name the parameter that was most likely meant; None when none is near."""
        by_lower = {parameter.name.lower(): parameter.name for parameter in self.parameters}
        if (same := _ELSEWHERE.get(name.lower(), "")) in by_lower:
            return by_lower[same]
        near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=_NEAR)
        return by_lower[near[0]] if near else None

    def lacking(self, parameters: Mapping[str, str]) -> list[str]:
        """Name those of a query's parameters that the server would ignore, and so find more than was asked for."""
        return [name for name in parameters if name not in _NEVER_LACKING and not self.knows(name)]


async def find_description(requester: Requester, base_url: str, collection: str | None) -> Description | None:
    """Look for a server's document, in each place where one may be.

    Parameters
    ----------
    inquiry
        Asks.
    base_url
        The search address.
    collection
        The collection; None: the search among collections.

    Returns
    -------
    Description or None
        None when the server has no such document.

    Raises
    ------
    CatalogueError
        The server could not be asked, or it refuses, as for a collection that it does not have.
    """
    read = partial(_answer, of="collection" if collection is None else "results")
    for url, parameters in _places(base_url, collection):
        if description := await requester.request(url, parameters, read):
            return description
    return None


def _places(base_url: str, collection: str | None) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Say where a document may be: beside the search, for older servers too, or below it, as the feeds have it."""
    below = base_url.rstrip("/")
    beside, slash, last = below.rpartition("/")
    if last == "search":
        yield f"{beside}{slash}description", {} if collection is None else {"parentIdentifier": collection}
        if collection is not None:
            yield f"{beside}{slash}description", {"parentId": collection}
    yield f"{below}/description", {} if collection is None else {"parentId": collection}


def _answer(status: int, body: bytes, *, of: str) -> Description | None:
    """Tell a document from "there is none" and from a refusal."""
    if status in {400, 401, 403, 429} or status >= 500:
        words = error_text(body) or "no reason given"
        retryable = status == 429 or (status >= 500 and status != 501)
        raise CatalogueError(f"the catalogue answered HTTP {status}: {words}", retryable=retryable)
    if status != 200 or is_html(body):
        return None
    return read_description(body, of=of)


def read_description(body: bytes, *, of: str = "results") -> Description | None:
    """Read a document; where it describes several answers, parameters of all of them count once.

    Parameters
    ----------
    body
        The document.
    of
        What is searched: ``results`` for products, ``collection`` for collections.

    Returns
    -------
    Description or None
        None when the document describes another search: an older server does not understand which collection is meant.

    Raises
    ------
    CatalogueError
        It is no OpenSearch description document.
    """
    if len(body) > _LARGEST_DOCUMENT:
        raise CatalogueError(f"expected an OpenSearch description document, found {len(body)} bytes")
    root = _tree(body)
    if root.tag != "OpenSearchDescription":
        raise CatalogueError(f"expected an OpenSearch description document, found XML of <{root.tag[:80]}>")
    urls = [url for url in root.iter("Url") if url.get("rel", "results") == of]
    if not urls:
        return None
    found: dict[str, Parameter] = {}
    for url in urls:
        for parameter in (*_declared(url), *_in_template(url.get("template", ""))):
            if len(found) < _MOST_PARAMETERS:
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
    """Find the parameters that only the template names: ``cloudCover={eo:cloudCover?}``."""
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
    """Parse XML without a document type, which alone can be dangerous; names lose their namespaces."""
    from xml.etree.ElementTree import TreeBuilder  # most runs read none
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
    except (expat.ExpatError, LookupError, ValueError) as error:  # an encoding that nobody knows
        raise CatalogueError(f"expected an OpenSearch description document, found no XML ({error})") from None
    return builder.close()


def _bare(name: str) -> str:
    return name.rpartition(" ")[2]
