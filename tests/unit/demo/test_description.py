"""The embedded catalogue describes its searches as a GeoServer does, or not at all, as older ones do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from collgs_async.demo.dialects import Dialect
from tests.support.demo import bench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.demo import Answer, Bench

OS = "{http://a9.com/-/spec/opensearch/1.1/}"
PARAM = "{http://a9.com/-/spec/opensearch/extensions/parameters/1.0/}"
ATOM = "{http://www.w3.org/2005/Atom}"
PATH = "/catalog/oseo/description"


def urls(answer: Answer) -> dict[str, ET.Element]:
    """Give the Url elements by their types."""
    assert (200, "application/opensearchdescription+xml") == (answer.status, answer.headers["Content-Type"])
    document = ET.fromstring(answer.body)
    assert f"{OS}OpenSearchDescription" == document.tag
    return {url.attrib["type"]: url for url in document.findall(f"{OS}Url")}


def parameters(url: ET.Element) -> dict[str, dict[str, str]]:
    return {described.attrib["name"]: described.attrib for described in url.findall(f"{PARAM}Parameter")}


async def json_url(it: Bench, query: str = "") -> ET.Element:
    return urls(await it.ask(f"{PATH}{query}"))["application/geo+json"]


async def test_the_global_one_describes_the_search_among_collections(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        found = urls(await it.ask(PATH))

    assert {"application/opensearchdescription+xml", "application/atom+xml", "application/geo+json"} == set(found)
    own, answer = found["application/opensearchdescription+xml"], found["application/geo+json"]
    assert ("self", f"{it.server.origin}{PATH}") == (own.attrib["rel"], own.attrib["template"])
    assert ("collection", "1") == (answer.attrib["rel"], answer.attrib["indexOffset"])
    assert answer.attrib["template"].startswith(f"{it.server.url}?searchTerms={{searchTerms?}}&startIndex=")
    assert answer.attrib["template"].endswith("&httpAccept=json")
    assert found["application/atom+xml"].attrib["template"].endswith("&httpAccept=atom")
    known = parameters(answer)
    assert {"platform", "productType", "processingLevel", "sensorType"} <= set(known)
    assert not {"cloudCover", "orbitNumber", "parentIdentifier"} & set(known)


async def test_that_of_a_collection_names_its_parent_twice(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        answer = await json_url(it, "?parentIdentifier=S2_MSIL2A")

    template = answer.attrib["template"]
    assert "results" == answer.attrib["rel"]
    assert template.startswith(f"{it.server.url}?parentIdentifier=S2_MSIL2A&searchTerms=")
    assert "&parentIdentifier={eo:parentIdentifier?}" in template
    assert "&geoRelation={geo:relation?}&timeStart={time:start?}&timeEnd={time:end?}&timeRelation=" in template
    assert "&cloudCover={eo:cloudCover?}" in template


async def test_the_feed_leads_to_it_by_another_address(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        feed = await it.search("parentIdentifier=S2_MSIL2A", accept="atom")
        (link,) = ET.fromstring(feed.body).findall(f"{ATOM}link[@rel='search']")
        followed = await it.ask(link.attrib["href"])
        asked = await it.ask(f"{PATH}?parentIdentifier=S2_MSIL2A")

    assert f"{it.server.url}/description?parentId=S2_MSIL2A" == link.attrib["href"]
    assert asked.body == followed.body


@pytest.mark.parametrize("maximum", [100, 37])
async def test_tells_the_largest_page_and_the_limits_of_numbers(tmp_path: Path, maximum: int) -> None:
    async with bench(tmp_path, page_maximum=maximum) as it:
        known = parameters(await json_url(it, "?parentIdentifier=S2_MSIL2A"))
        refused = await it.search(f"parentIdentifier=S2_MSIL2A&count={maximum + 1}")

    count = known["count"]
    assert ("{count}", "0", "0", str(maximum)) == (
        count["value"],
        count["minimum"],
        count["minInclusive"],
        count["maxInclusive"],
    )
    assert f"not be greater than {maximum}" in refused.json["exceptions"][0]["exceptionText"]
    assert ("-90", "90") == (known["lat"]["minInclusive"], known["lat"]["maxInclusive"])
    assert ("-180", "180") == (known["lon"]["minInclusive"], known["lon"]["maxInclusive"])
    assert ("{geo:relation}", "{eo:cloudCover}") == (known["geoRelation"]["value"], known["cloudCover"]["value"])


async def test_patterns_are_those_of_the_server_right_or_wrong(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        known = parameters(await json_url(it, "?parentIdentifier=S2_MSIL2A"))

    assert "[+-][0-9]+" == known["count"]["pattern"] == known["orbitNumber"]["pattern"]
    assert known["timeStart"]["pattern"].startswith("^[0-9]{4}-")
    assert known["timeStart"]["pattern"] == known["creationDate"]["pattern"]
    assert "pattern" not in known["orbitDirection"]


async def test_geometry_and_words_have_profiles(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        url = await json_url(it)

    profiles = {
        described.attrib["name"]: [link.attrib["href"].rpartition("/")[2] for link in described.findall(f"{ATOM}link")]
        for described in url.findall(f"{PARAM}Parameter")
    }
    expected = ["LINESTRING", "POINT", "POLYGON", "MULTILINESTRING", "MULTIPOINT", "MULTIPOLYGON"]
    assert expected == profiles["geometry"]
    assert ["searchTerms.html"] == profiles["searchTerms"]


@pytest.mark.parametrize(
    ("collection", "there", "missing"),
    [
        ("S2_MSIL2A", "cloudCover", "polarisationMode"),
        ("S1_SAR_GRD", "polarisationChannels", "cloudCover"),
    ],
)
async def test_each_kind_of_sensor_has_parameters_of_its_own(
    tmp_path: Path, collection: str, there: str, missing: str
) -> None:
    async with bench(tmp_path) as it:
        known = parameters(await json_url(it, f"?parentIdentifier={collection}"))

    assert there in known
    assert missing not in known


async def test_what_it_announces_is_what_the_search_echoes(tmp_path: Path) -> None:
    dialect = Dialect(product_platforms=True, without_columns=frozenset({"orbitNumber"}))
    values = {"startIndex": "1", "count": "1", "lat": "50", "lon": "6", "radius": "100", "geometry": "POINT(6%2050)"}
    values |= {"geoRelation": "intersects", "timeStart": "2021-01-01", "timeEnd": "2022-01-01", "box": "5,49,7,51"}
    values |= {"timeRelation": "during", "creationDate": "2021-01-01", "modificationDate": "2021-01-01"}
    values |= {"availabilityTime": "2021-01-01"}
    values |= {"cloudCover": "5", "snowCover": "5", "orbitNumber": "5", "parentIdentifier": "S2_MSIL2A"}
    async with bench(tmp_path, dialect=dialect) as it:
        known = set(parameters(await json_url(it, "?parentIdentifier=S2_MSIL2A")))
        query = "&".join(f"{key}={values.get(key, 'x')}" for key in {*known, "orbitNumber"})
        answer = await it.search(query)

    assert {"platform", "productType"} <= known
    assert known == {key.partition(":")[2] for key in answer.json["queries"]["request"]}


async def test_an_unknown_parent_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        answer = await it.ask(f"{PATH}?parentIdentifier=UNKNOWN")

    assert (400, "application/xml") == (answer.status, answer.headers["Content-Type"])
    assert "Unknown parentId 'UNKNOWN'" == ET.fromstring(answer.body).findtext("channel/item/title")


async def test_older_servers_have_none(tmp_path: Path) -> None:
    async with bench(tmp_path, dialect=Dialect(description=None)) as it:
        assert 404 == (await it.ask(PATH)).status
        assert 404 == (await it.ask("/catalog/oseo/search/description?parentId=S2_MSIL2A")).status
        feed = await it.search(accept="atom")
    assert [] == ET.fromstring(feed.body).findall(f"{ATOM}link")


async def test_older_servers_announce_atom_alone_and_the_old_name_of_the_parent(tmp_path: Path) -> None:
    async with bench(tmp_path, dialect=Dialect(description="Atom", parent_key="parentId")) as it:
        found = urls(await it.ask(f"{PATH}?parentId=S2_MSIL2A"))
        unheard = urls(await it.ask(f"{PATH}?parentIdentifier=S2_MSIL2A"))

    assert {"application/opensearchdescription+xml", "application/atom+xml"} == set(found)
    assert "/oseo/search?parentId=S2_MSIL2A&" in found["application/atom+xml"].attrib["template"]
    assert "collection" == unheard["application/atom+xml"].attrib["rel"]
