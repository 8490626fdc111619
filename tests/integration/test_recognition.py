"""What is at an address that is no catalogue of ours: one line says it, and the search stops."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import CatalogueError, Client, Config
from tests.support.servers import ask, listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RecordedSleeps

ITEM = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "S2B_33UUP_20210101_0_L2A",
    "geometry": None,
    "properties": {"datetime": "2021-01-01T10:00:00Z"},
    "links": [{"rel": "self", "href": "https://stac.example/x"}],
    "assets": {"B01": {"href": "https://stac.example/B01.tif"}},
}
FEATURE = {"type": "Feature", "id": "roads.1", "geometry": None, "properties": {"name": "N7"}}
RESTO = {
    "type": "Feature",
    "properties": {"productIdentifier": "/eodata/S2/P.SAFE", "collection": "SENTINEL-2"},
}


def collected(*features: object, **more: object) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **more}


ANSWERS: dict[str, tuple[object, str]] = {
    "STAC items": (collected(ITEM, ITEM), "answers as a STAC API"),
    "STAC items that are named": (
        collected(ITEM | {"properties": {"identifier": "S2A_X"}}, ITEM),
        "answers as a STAC API",
    ),
    "STAC items without a version": (
        collected({**ITEM, "stac_version": None} | {"assets": {}}),
        "answers as a STAC API",
    ),
    "an empty STAC answer": (
        collected(links=[{"rel": "root", "href": "/"}], numberReturned=0),
        "answers as a STAC API or another OGC API",
    ),
    "a STAC landing page": (
        {"stac_version": "1.0.0", "type": "Catalog", "links": [{"rel": "search", "href": "/search"}]},
        "it is a STAC API",
    ),
    "STAC collections": ({"collections": [{"stac_version": "1.0.0"}], "links": []}, "it is a STAC API"),
    "an OGC API": ({"links": [{"rel": "conformance"}, {"rel": "data"}], "title": "x"}, "it is an OGC API"),
    "OData": ({"@odata.context": "$metadata#Products", "value": [{"Id": "1"}]}, "it is OData,"),
    "OData 2": ({"d": {"results": []}}, "it is OData (version 2)"),
    "CMR": ({"feed": {"entry": []}}, "it is a feed as JSON"),
    "Elasticsearch": ({"hits": {"hits": []}}, "it is an Elasticsearch or CMR answer"),
    "Solr": (
        {"responseHeader": {"status": 0}, "response": {"numFound": 0, "start": 0, "docs": []}},
        "it is a Solr answer",
    ),
    "CKAN": ({"success": True, "result": {"count": 0, "results": []}}, "it is a CKAN portal"),
    "results": ({"count": 0, "next": None, "results": []}, "it is an API that lists its results as 'results'"),
    "items": ({"items": [{"id": 1}], "offset": 0}, "it is an API that lists its results as 'items'"),
    "a bare list": ([{"id": "S2A_X"}], "it is a bare JSON array, which is not supported; base_url: expected"),
    "an empty bare list": ([], "it is a bare JSON array"),
    "OpenAPI": ({"openapi": "3.0.0", "paths": {}}, "it is the documentation of an API"),
    "an error under status 200": ({"error": {"message": "log in first"}}, "no list of results: log in first"),
    "WFS": (collected(totalFeatures=0, numberReturned=0, timeStamp="x", crs=None), "answers as a WFS"),
    "ArcGIS": (collected({"attributes": {}}, geometryType="esriGeometryPoint"), "answers as an ArcGIS service"),
    "resto without links": (collected(RESTO), "answers as a resto API"),
    "resto with names and links": (
        collected({"properties": {"title": "A", "services": {"download": {"url": "/a.zip"}}}}),
        "answers as a resto API",
    ),
    "STAC with names and links": (
        collected(ITEM | {"properties": {"identifier": "A", "links": {"data": [{"href": "a.zip"}]}}}),
        "answers as a STAC API",
    ),
    "GeoJSON": (collected(FEATURE, FEATURE), "is an ordinary GeoJSON: none of its 2 entries has an identifier"),
    "GeoJSON of one": (collected(FEATURE), "is an ordinary GeoJSON: its one entry has no identifier"),
    "Atom": ("<?xml version='1.0'?><!-- x --><feed xmlns='http://www.w3.org/2005/Atom'/>", "with an Atom feed"),
    "Atom with a prefix": ("<atom:feed xmlns:atom='x'><atom:entry/></atom:feed>", "with an Atom feed"),
    "RSS": ("<?xml version='1.0'?><rss version='2.0'><channel><title>x</title></channel></rss>", "an RSS feed instead"),
    "RSS 1.0": (
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/'/>",
        "an RSS feed, or other RDF, instead",
    ),
    "OSDD": (
        "<OpenSearchDescription><Url template='https://h.example/geoserver/oseo/search?parentId={x}'/>",
        "its search address is https://h.example/geoserver/oseo/search; base_url",
    ),
    "WFS capabilities": ("<wfs:WFS_Capabilities version='2.0.0'/>", "the capabilities of a WFS service"),
    "CSW capabilities": ("<csw:Capabilities xmlns:csw='http://www.opengis.net/cat/csw/2.0.2'/>", "of a CSW service"),
    "a bucket": ("<ListBucketResult><Name>eodata</Name></ListBucketResult>", "the listing of a storage bucket"),
    "OData metadata": ("<edmx:Edmx Version='4.0'/>", "an OData service"),
    "a report": ("<r:Report><r:message>no layer</r:message></r:Report>", "XML instead of JSON: no layer"),
    "GeoServer": (
        "<!DOCTYPE html><html><head><title>GeoServer: Welcome</title></head><body><p>Hello. You</p></body></html>",
        "its search is at .../oseo/search below its address: GeoServer: Welcome: Hello.",
    ),
    "a page": (
        "<html><head><title>Hub</title><style>p {}</style></head><body><h1>Hub</h1><p>We are away. Back at 5.</p>",
        "an HTML page instead of JSON: Hub: We are away.",
    ),
}  # fmt: skip

ASKED_AGAIN = {"a page"}
"""What may be gone in a minute."""


@pytest.mark.parametrize("kind", ANSWERS)
async def test_one_line_says_what_it_is(tmp_path: Path, sleeps: RecordedSleeps, kind: str) -> None:
    answer, told = ANSWERS[kind]
    body = answer if isinstance(answer, str) else json.dumps(answer)
    asked = 0

    async def give(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(text=body)

    async with listening(give) as origin:
        with pytest.raises(CatalogueError) as caught:
            await ask(origin, tmp_path, sleeps)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (3 if kind in ASKED_AGAIN else 1) == asked


@pytest.mark.parametrize("kind", ["STAC items", "an empty STAC answer", "STAC collections", "GeoJSON", "OData"])
async def test_a_list_of_collections_says_it_too(tmp_path: Path, sleeps: RecordedSleeps, kind: str) -> None:
    answer, told = ANSWERS[kind]

    async def give(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=json.dumps(answer))

    async with listening(give) as origin:
        config = Config(base_url=f"{origin}/search", parameters={"parentIdentifier": "X"}, output_directory=tmp_path)
        async with Client(config, sleep=sleeps) as client:
            with pytest.raises(CatalogueError) as caught:
                await client.catalogue.collections()

    assert told in str(caught.value)


NAMED = {"properties": {"identifier": "A", "links": {"data": [{"href": "a.zip"}]}}}


@pytest.mark.parametrize(
    "features",
    [
        pytest.param([NAMED, FEATURE], id="one without a name among others"),
        pytest.param([{"properties": {"identifier": "A"}}], id="a name without a link"),
        pytest.param([NAMED | {"assets": {}, "stac_version": "1.0.0"}], id="STAC beside what is spoken here"),
    ],
)
async def test_what_can_be_worked_with_is_no_other_server(
    tmp_path: Path, sleeps: RecordedSleeps, features: list[dict[str, Any]]
) -> None:
    echo = {"request": {"eo:parentIdentifier": "X"}} if "assets" in features[0] else {}

    async def give(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=json.dumps(collected(*features, totalResults=len(features), queries=echo)))

    async with listening(give) as origin:
        assert len(features) == len(found := await ask(origin, tmp_path, sleeps))

    assert "A" == found[0]
