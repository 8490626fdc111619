"""Format responses: pages as GeoJSON or Atom, errors as JSON or RSS, as GeoServer does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode
from xml.sax.saxutils import escape, quoteattr

from collgs_async.demo.responses import maintenance, text_reply
from collgs_async.demo.scenes import COLLECTIONS, Collection, Scene

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from collgs_async.demo.criteria import RequestError
    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.query import Search
    from collgs_async.demo.responses import Response

__all__ = ["DESCRIPTION_PATH", "QUICKLOOK_PATH", "SEARCH_PATH", "Page", "atom_reply", "error_reply", "json_reply"]

SEARCH_PATH = "/catalog/oseo/search"
DESCRIPTION_PATH = "/catalog/oseo/description"
QUICKLOOK_PATH = "/catalog/oseo/quicklook"
_GEOJSON = "application/geo+json"
_ATOM = "application/atom+xml"
_AS_GEOJSON = urlencode({"httpAccept": _GEOJSON})
_AS_ATOM = urlencode({"httpAccept": _ATOM})
_RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" version="2.0"><channel>\
<title>OpenSearch for EO Error report</title><link>{origin}/catalog/oseo/description</link>\
<opensearch:totalResults>1</opensearch:totalResults><opensearch:startIndex>1</opensearch:startIndex>\
<opensearch:itemsPerPage>1</opensearch:itemsPerPage>\
<item><title>{text}</title><description>{text}</description></item></channel></rss>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results.

    Attributes
    ----------
    search
        The request.
    items
        The products, or collections, on this page.
    total
        Their number on all pages.
    origin
        Scheme, host and port of the server.
    """

    search: Search
    items: Sequence[Scene | Collection]
    total: int
    origin: str


def json_reply(page: Page, dialect: Dialect) -> Response:
    """Format a page as GeoJSON, its features first."""
    search = page.search
    # The address behind the proxy: links resolved against it lead nowhere.
    own = "http://catalogue.invalid:8080" + SEARCH_PATH + "?" + urlencode(search.known)
    document: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": [_feature(item, page.origin, dialect) for item in page.items],
        "id": own,
    }
    if dialect.total:
        document["totalResults"] = page.total
    document |= {"itemsPerPage": search.count, "startIndex": search.start_index}
    if dialect.echo:
        document["queries"] = {"request": search.echo()}
    document["properties"] = {"title": "OSEO - Search Response", "creator": "OSEO", "lang": "en"}
    if dialect.links:
        document["properties"]["links"] = _page_links(page)
    return text_reply(200, json.dumps(document), _GEOJSON)


def atom_reply(page: Page, dialect: Dialect) -> Response:
    """Format a page as a small Atom feed of identifiers and enclosures."""
    entries = "".join(_atom_entry(item, page.origin, dialect) for item in page.items)
    feed = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:os="http://a9.com/-/spec/opensearch/1.1/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<os:totalResults>{page.total}</os:totalResults><os:startIndex>{page.search.start_index}</os:startIndex>"
        f"<os:itemsPerPage>{page.search.count}</os:itemsPerPage><title>OpenSearch for EO</title>"
        f"{_description_link(page, dialect)}{entries}</feed>\n"
    )
    return text_reply(200, feed, _ATOM)


def _description_link(page: Page, dialect: Dialect) -> str:
    if dialect.description is None:
        return ""
    parent = f"?{urlencode({'parentId': page.search.parent})}" if page.search.parent else ""
    href = quoteattr(f"{page.origin}{SEARCH_PATH}/description{parent}")
    return f'<link rel="search" href={href} type="application/opensearchdescription+xml"/>'


def error_reply(error: RequestError, origin: str, dialect: Dialect, *, as_json: bool) -> Response:
    """Format a refusal: as JSON, which has no content type, or as an RSS document."""
    if dialect.html_errors:
        return maintenance(503)
    if not as_json or dialect.xml_errors:
        return text_reply(error.status, _RSS.format(origin=origin, text=escape(error.text)), "application/xml")
    code = "InvalidParameterValue" if error.status == 400 else "NoApplicableCode"
    exception = {"exceptionCode": code, "exceptionText": error.text, "locator": error.locator}
    return text_reply(error.status, json.dumps({"type": "Exception", "exceptions": [exception]}), None)


def _page_links(page: Page) -> Mapping[str, Any]:
    count, start = page.search.count, page.search.start_index
    last = 1 + (page.total - 1) // count * count if count and page.total else 1
    links: dict[str, Any] = {"profiles": [{"href": "http://www.opengis.net/spec/owc-geojson/1.0/req/core"}]}
    links["first"] = [_page_link(page, 1, "First results")]
    if start > 1:
        links["previous"] = [_page_link(page, max(1, start - count), "Previous results")]
    if start + count <= page.total:
        links["next"] = [_page_link(page, start + count, "Next results")]
    links["last"] = [_page_link(page, last, "Last results")]
    return links


def _page_link(page: Page, start_index: int, title: str) -> Mapping[str, str]:
    query = {
        "count": str(page.search.count),
        **page.search.link_parameters(),
        "startIndex": str(start_index),
        "httpAccept": _GEOJSON,
    }
    return {"href": f"{page.origin}{SEARCH_PATH}?{urlencode(query)}", "type": _GEOJSON, "title": title}


def _feature(item: Scene | Collection, origin: str, dialect: Dialect) -> Mapping[str, Any]:
    if isinstance(item, Collection):
        return _collection_feature(item, origin)
    feature: dict[str, Any] = {"type": "Feature", "geometry": item.footprint}
    properties: dict[str, Any] = {"identifier": item.identifier}
    download = _download(item, origin, dialect)
    if dialect.bare:
        return {**feature, "properties": {**properties, "links": {"data": [download]}}}
    # Written out, since urlencode took a third of the time of a page.
    parent = f"parentIdentifier={quote_plus(item.collection)}"
    query = f"{parent}&uid={quote_plus(item.identifier)}"
    links = {
        "alternates": [{"href": f"{origin}{SEARCH_PATH}?{query}&{_AS_ATOM}", "type": _ATOM, "title": "Atom format"}],
        "previews": [{"href": f"{origin}{QUICKLOOK_PATH}?{query}", "type": "image/jpeg", "title": "Quicklook"}],
        "data": [download],
        "up": [{"href": f"{origin}{SEARCH_PATH}?{parent}&{_AS_GEOJSON}", "type": _GEOJSON, "title": "Up"}],
    }
    properties |= {**_product_properties(item, dialect), "links": links}
    return {"id": f"{origin}{SEARCH_PATH}?{query}&{_AS_GEOJSON}", **feature, "properties": properties}


def _product_properties(scene: Scene, dialect: Dialect) -> Mapping[str, Any]:
    acquisition, dates = _acquisition(scene), scene.dates
    properties = {
        "parentIdentifier": scene.collection,
        "status": "ARCHIVED",
        "date": _instant(scene.start) if scene.start == scene.end else f"{_instant(scene.start)}/{_instant(scene.end)}",
        "created": dates.created and _instant(dates.created, "+00:00"),
        "updated": dates.updated and _instant(dates.updated, "+00:00"),
        "acquisitionInformation": acquisition if dialect.acquisition_object else [acquisition],
        "productInformation": _product_information(scene) or None,
    }
    return {name: value for name, value in properties.items() if value is not None}


def _product_information(scene: Scene) -> dict[str, object]:
    cloud = {} if scene.cloud_cover is None else {"cloudCover": scene.cloud_cover, "processingMode": "NOMINAL"}
    available = scene.dates.available
    return cloud if available is None else {**cloud, "availabilityTime": _instant(available, "+00:00")}


def _acquisition(scene: Scene) -> Mapping[str, Any]:
    collection = COLLECTIONS[scene.collection]
    return {
        "platform": {"platformShortName": scene.platform, "platformSerialIdentifier": scene.serial},
        "instrument": {"instrumentShortName": collection.instrument, "sensorType": collection.sensor_type},
        "acquisitionParameters": {
            "operationalMode": collection.mode,
            "beginningDateTime": _instant(scene.start, "+00:00"),
            "endingDateTime": _instant(scene.end, "+00:00"),
            "orbitDirection": scene.orbit_direction,
            "orbitNumber": scene.orbit_number,
            "acquisitionType": "NOMINAL",
            **_radar(scene),
        },
    }


def _radar(scene: Scene) -> Mapping[str, Any]:
    channels = scene.polarisations
    if not channels:
        return {}
    mode = "D" if len(channels) == 2 else "S"
    return {"polarisationMode": mode, "polarisationChannels": list(channels), "antennaLookDirection": "RIGHT"}


def _download(scene: Scene, origin: str, dialect: Dialect) -> Mapping[str, Any]:
    link = {"href": _download_href(scene, origin, dialect), "type": "application/octet-stream", "title": "Download"}
    return {**link, "length": scene.size} if dialect.sizes else link


def _download_href(scene: Scene, origin: str, dialect: Dialect) -> str:
    if scene.href is not None:
        return scene.href
    if dialect.absolute_hrefs:
        return f"{origin}/{scene.location}"
    return f"/{scene.location}" if dialect.leading_slash else scene.location


def _collection_feature(collection: Collection, origin: str) -> Mapping[str, Any]:
    itself = f"{origin}{SEARCH_PATH}?{urlencode({'uid': collection.identifier})}"
    return {
        "id": f"{itself}&{_AS_GEOJSON}",
        "type": "Feature",
        "geometry": collection.footprint,
        "properties": {
            "identifier": collection.identifier,
            "title": collection.identifier,
            "abstract": collection.description,
            "date": _instant(collection.start),
            "acquisitionInformation": {
                "platform": {"platformShortName": collection.platform, "orbitType": "LEO"},
                "instrument": {
                    "instrumentShortName": collection.instrument,
                    "sensorType": collection.sensor_type,
                },
            },
            "productInformation": {
                "productType": collection.product_type,
                "processingLevel": collection.level,
            },
            "links": {
                "alternates": [{"href": f"{itself}&{_AS_ATOM}", "type": _ATOM, "title": "Atom format"}],
            },
        },
    }


def _atom_entry(item: Scene | Collection, origin: str, dialect: Dialect) -> str:
    name = escape(item.identifier)
    entry = f"<title>{name}</title><dc:identifier>{name}</dc:identifier>"
    if isinstance(item, Scene):
        href = quoteattr(_download_href(item, origin, dialect))
        kind = 'type="application/octet-stream" title="Source package download"'
        entry += f'<link rel="enclosure" href={href} {kind}/>'
    return f"<entry>{entry}</entry>"


def _instant(moment: datetime, zone: str = "Z") -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + zone
