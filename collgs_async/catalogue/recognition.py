"""What is at an address that is no catalogue of the kind that is spoken here: one look at its first answer tells.

Spoken is the search of OpenSearch for Earth Observation as a GeoServer has it: its parameters' names, and answers in
GeoJSON (OGC 17-003, 17-047). What else answers under an address that somebody took for one is named, so that he finds
the right one: a STAC API, OData, a feed, a description document, the start page of a server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import error_text, html_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["foreign_names", "kind_of_results", "unspoken_json", "unspoken_markup", "unspoken_results"]

_EXAMPLE: Final = "https://collgs.lu/catalog/oseo/search"
_EXPECTED: Final = f"base_url: expected the search address of an OpenSearch-EO catalogue, such as {_EXAMPLE}"

_FOREIGN: Final = frozenset(
    {
        *("startrecord", "startpage", "page", "si", "offset", "cursor"),
        *("maximumrecords", "maxrecords", "itemsperpage", "limit", "rows", "pw"),
    }
)
"""What other catalogues call ``startIndex`` and ``count``, in small letters."""

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
"""What the root elements of XML stand for."""

_START_PAGES: Final = {
    "geoserver": "the start page of a GeoServer; its search is at .../oseo/search below its address",
    "index of /": "the listing of a folder",
    "swagger": "the documentation of an API",
    "stac browser": "a STAC browser",
}
"""What stands in the titles of pages that will still be there in a minute."""


def unspoken_markup(body: bytes) -> tuple[str, bool]:
    """Say what XML or HTML is that came instead of JSON, and whether it may be gone in a minute.

    A maintenance page may; a report, a document or a start page is the server's last word.
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
    if what := _XML.get(name):
        return f"{what}; {_EXPECTED}", False
    return f"XML instead of JSON: {error_text(body)}", False


def _after(text: str, services: str) -> str:
    """Find the first of these services that the beginning of a document names."""
    lower = text[:2000].lower()
    named = [(lower.find(service), service) for service in services.split() if service in lower]
    return min(named)[1].upper() if named else "OGC"


def unspoken_json(answer: object) -> str:
    """Say what JSON is that has no list of results; an empty string when nothing is known of it."""
    if isinstance(answer, list):
        return f"it is a bare JSON array, which is not spoken here; {_EXPECTED}"
    if not isinstance(answer, dict):
        return ""
    for what, is_it in _JSON.items():
        if is_it(answer):
            return f"it is {what}, which is not spoken here; {_EXPECTED}"
    return ""


def kind_of_results(answer: Mapping[str, Any]) -> str | None:
    """Name the kind of server that a list of results comes from; None when it may be one of those spoken here."""
    entry = next((one for one in answer["features"] if isinstance(one, dict)), {})
    return next((what for what, is_it in _RESULTS.items() if is_it(answer, entry)), None)


def unspoken_results(kind: str | None, *, entries: int, named: int, linked: int, echoed: bool = False) -> str | None:
    """Say why a list of results is none that can be worked with; None when it can.

    Parameters
    ----------
    kind
        What its server is; see `kind_of_results`.
    entries, named, linked
        How many entries there are, how many of them have an identifier, and how many a link that can be followed.
    echoed
        Whether the answer repeats our parameters. Another kind of server that does not has not understood them: names
        and links that can be read are no sign that its pages can be turned.
    """
    if linked and named and (echoed or kind is None):
        return None
    if kind is not None:
        return f"the catalogue's address answers as {kind}, which is not spoken here; {_EXPECTED}"
    if entries and not named:
        lack = "its one entry has no" if entries == 1 else f"none of its {entries} entries has an"
        return f"the catalogue's answer is an ordinary GeoJSON: {lack} identifier; {_EXPECTED}"
    return None


def foreign_names(echo: Iterable[str]) -> list[str]:
    """Find the parameters by which an answer was paged, where these are not ``startIndex`` and ``count``."""
    said = {name.lower(): name for name in echo}
    return [] if "startindex" in said else sorted(said[name] for name in _FOREIGN & set(said))


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
"""What answers without results are, the more special ones first."""

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
"""What lists of results are, the more special ones first."""


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else {}
