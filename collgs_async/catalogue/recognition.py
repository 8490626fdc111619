"""Identify the kind of server behind an address by its first response, to report what is there instead of a catalogue.

Supported is the OpenSearch for Earth Observation of a GeoServer: its parameter names, and responses in GeoJSON
(OGC 17-003, 17-047). Other servers are named in the error message, so that the user can find the right address: a STAC
API, OData, a feed, a description document, the start page of a server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import error_text, html_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["describe_json", "describe_markup", "foreign_names", "kind_of_results", "unusable_results"]

_EXAMPLE: Final = "https://collgs.lu/catalog/oseo/search"
_EXPECTED: Final = f"base_url: expected the search address of an OpenSearch-EO catalogue, such as {_EXAMPLE}"

_FOREIGN: Final = frozenset(
    {
        *("startrecord", "startpage", "page", "si", "offset", "cursor"),
        *("maximumrecords", "maxrecords", "itemsperpage", "limit", "rows", "pw"),
    }
)
"""Names of ``startIndex`` and ``count`` in other catalogues, in lower case."""

_ROOT: Final = re.compile(r"<(?![?!/])(?:[\w.-]{1,40}:)?([\w.-]{1,60})")
_TEMPLATE: Final = re.compile(r"""template\s{0,9}=\s{0,9}["'](https?://[^"'?\s<>]{1,300})\?""")
_LOOKED_AT: Final = 64 * 1024

_XML: Final = {
    "feed": "an Atom feed instead of JSON",
    "rss": "an RSS feed instead of JSON",
    "RDF": "an RSS feed, or other RDF, instead of JSON",
    "service": "an OData or AtomPub service document",
    "Edmx": "an OData service",
    "ListBucketResult": "the listing of a storage bucket",
    "GetRecordsResponse": "a CSW catalogue",
    "FeatureCollection": "a WFS with GML",
    "kml": "KML",
    "urlset": "a sitemap",
}
"""Kinds of document by their XML root element."""

_ERROR_REPORT: Final = re.compile("<title>[^<]{0,80}error", re.IGNORECASE)

_START_PAGES: Final = {
    "geoserver": "the start page of a GeoServer; its search is at .../oseo/search below its address",
    "index of /": "the listing of a folder",
    "swagger": "the documentation of an API",
    "stac browser": "a STAC browser",
}
"""Words in the titles of permanent pages, which a retry would find again."""


def describe_markup(body: bytes) -> tuple[str, bool]:
    """Describe an HTML or XML response, and whether it may be temporary.

    A maintenance page may be; a report, a document or a start page is permanent.
    """
    text = body[:_LOOKED_AT].decode("utf-8", "replace")
    root = _ROOT.search(text)
    name = root[1] if root else ""
    if name.lower() == "html" or "<html" in text[:1024].lower():
        words = html_words(body)
        for title, start_page in _START_PAGES.items():
            if title in words.lower()[:200]:
                return f"an HTML page instead of JSON, {start_page}: {words}; {_EXPECTED}", False
        return f"an HTML page instead of JSON: {words}", True
    if name == "OpenSearchDescription":
        found = _TEMPLATE.search(text)
        here = f"; its search address is {found[1]}" if found else ""
        return f"an OpenSearch description document instead of results{here}; {_EXPECTED}", False
    if name.endswith("Capabilities"):
        service = name.removesuffix("Capabilities").rstrip("_-") or _after(text, "csw wfs wms wcs wmts wps")
        return f"the capabilities of a {service} service instead of JSON; {_EXPECTED}", False
    # GeoServer sends its errors as an RSS feed of that title: its words are worth more than the kind of document.
    if not (name == "rss" and _ERROR_REPORT.search(text)) and (what := _XML.get(name)):
        return f"{what}; {_EXPECTED}", False
    return f"XML instead of JSON: {error_text(body)}", False


def _after(text: str, services: str) -> str:
    """Return the first of these services named at the beginning of a document."""
    lower = text[:2000].lower()
    named = [(lower.find(service), service) for service in services.split() if service in lower]
    return min(named)[1].upper() if named else "OGC"


def describe_json(answer: object) -> str:
    """Describe JSON without a list of results; an empty string when it is unknown."""
    if isinstance(answer, list):
        return f"it is a bare JSON array, which is not supported; {_EXPECTED}"
    if not isinstance(answer, dict):
        return ""
    for what, is_it in _JSON.items():
        if is_it(answer):
            return f"it is {what}, which is not supported; {_EXPECTED}"
    return ""


def kind_of_results(answer: Mapping[str, Any]) -> str | None:
    """Return the kind of server that sent a list of results; None when it may be a supported one."""
    entry = next((one for one in answer["features"] if isinstance(one, dict)), {})
    return next((what for what, is_it in _RESULTS.items() if is_it(answer, entry)), None)


def unusable_results(kind: str | None, *, entries: int, named: int, linked: int, echoed: bool = False) -> str | None:
    """Return why a list of results cannot be used; None when it can.

    Parameters
    ----------
    kind
        The kind of server; see `kind_of_results`.
    entries, named, linked
        The number of entries, of those with an identifier, and of those with a supported link.
    echoed
        Whether the response repeats our parameters. A server of another kind that does not has not understood them:
        readable names and links do not prove that paging works.
    """
    if linked and named and (echoed or kind is None):
        return None
    if kind is not None:
        return f"the catalogue's address answers as {kind}, which is not supported; {_EXPECTED}"
    if entries and not named:
        lack = "its one entry has no" if entries == 1 else f"none of its {entries} entries has an"
        return f"the catalogue's answer is an ordinary GeoJSON: {lack} identifier; {_EXPECTED}"
    return None


def foreign_names(echo: Iterable[str]) -> list[str]:
    """Return the parameters that paged a response, where these are not ``startIndex`` and ``count``."""
    by_lower = {name.lower(): name for name in echo}
    return [] if "startindex" in by_lower else sorted(by_lower[name] for name in _FOREIGN & set(by_lower))


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda answer: any(name in answer for name in names)


def _relations(answer: Mapping[str, Any]) -> set[str]:
    links = answer.get("links")
    found = [link.get("rel") for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return {relation for relation in found if isinstance(relation, str)}


def _is_stac(answer: Mapping[str, Any]) -> bool:
    conforms = answer.get("conformsTo")
    return (
        "stac_version" in answer
        or (isinstance(conforms, list) and any("stacspec.org" in str(one) for one in conforms))
        or (
            isinstance(held := answer.get("collections"), list)
            and any(isinstance(one, dict) and "stac_version" in one for one in held)
        )
    )


_JSON: Final[dict[str, Callable[[Mapping[str, Any]], bool]]] = {
    "a STAC API": _is_stac,
    "OData": _has("@odata.context", "odata.metadata", "@odata.count", "@odata.nextLink"),
    "OData (version 2)": lambda answer: isinstance(answer.get("d"), (dict, list)),
    "an OGC API": lambda answer: "conformsTo" in answer or bool(_relations(answer) & {"conformance", "service-desc"}),
    "the documentation of an API": _has("openapi", "swagger"),
    "a feed as JSON, as of CMR": lambda answer: isinstance(answer.get("feed"), dict),
    "an Elasticsearch or CMR answer": _has("hits"),
    "a Solr answer": lambda answer: isinstance(_part(answer, "response").get("docs"), list),
    "a GraphQL answer": lambda answer: "data" in answer and "errors" in answer,
    "a CKAN portal": lambda answer: isinstance(_part(answer, "result").get("results"), list),
    "an API that lists its results as 'results'": lambda answer: isinstance(answer.get("results"), list),
    "an API that lists its results as 'items'": lambda answer: isinstance(answer.get("items"), list),
}
"""Tests for JSON without results, the more specific ones first."""

_RESULTS: Final[dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], bool]]] = {
    "a STAC API": lambda answer, entry: (
        _is_stac(answer)
        or "stac_version" in entry
        or isinstance(entry.get("assets"), dict)
        or isinstance(answer.get("context"), dict)
    ),
    "a STAC API or another OGC API": lambda answer, _: (
        "numberReturned" in answer and bool(_relations(answer) & {"root", "self", "next"})
    ),
    "a WFS": lambda answer, _: "totalFeatures" in answer or ("numberReturned" in answer and "timeStamp" in answer),
    "an ArcGIS service": lambda answer, _: "geometryType" in answer or "spatialReference" in answer,
    "a resto API": lambda answer, entry: (
        bool({"productIdentifier", "services"} & set(_part(entry, "properties")))
        or "query" in _part(answer, "properties")
    ),
}
"""Tests for lists of results, the more specific ones first."""


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else {}
