"""One answer of the catalogue, in every shape that a catalogue or what stands before it may give it."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.catalogue.response import Page, PageLimitError, read_page
from collgs_async.errors import CatalogueError
from collgs_async.models.product import Product, RawTimes

BASE = "https://collgs.lu/"
NAME = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
SEARCH = "https://collgs.lu/catalog/oseo/search"
STORED = f"repository/data_191/Sentinel-2/A/MSI/Level-2A/S2MSI2A/2021/09/24/{NAME}.zip"
QUICKLOOK = "https://collgs.lu/catalog/oseo/quicklook?parentIdentifier=S2_MSIL2A&uid=..."
FOOTPRINT = {
    "type": "Polygon",
    "coordinates": [[[-90.6, 36.0], [-89.4, 36.0], [-89.4, 36.9], [-90.6, 36.9], [-90.6, 36.0]]],
}
ACQUISITION = {
    "platform": {"platformShortName": "Sentinel-2", "platformSerialIdentifier": "A"},
    "instrument": {"instrumentShortName": "MSI", "sensorType": "OPTICAL"},
    "acquisitionParameters": {
        "operationalMode": "INS-NOBS",
        "beginningDateTime": "2021-09-24T16:30:21.024+00:00",
        "endingDateTime": "2021-09-24T16:30:21.024+00:00",
        "orbitDirection": "DESCENDING",
        "orbitNumber": 83,
        "acquisitionType": "NOMINAL",
        "acquisitionAngles": {"illuminationZenithAngle": 39.2},
    },
}
EXAMPLE: dict[str, Any] = {
    "type": "FeatureCollection",
    "features": [
        {
            "id": f"{SEARCH}?parentIdentifier=S2_MSIL2A&uid={NAME}&httpAccept=application%2Fgeo%2Bjson",
            "type": "Feature",
            "geometry": FOOTPRINT,
            "properties": {
                "identifier": NAME,
                "parentIdentifier": "S2_MSIL2A",
                "status": "ARCHIVED",
                "date": "2021-09-24T16:30:21.024Z/2021-09-24T16:30:21.024Z",
                "created": "2021-09-24T21:17:18.000+00:00",
                "acquisitionInformation": [ACQUISITION],
                "productInformation": {
                    "cloudCover": 3,
                    "processingMode": "NOMINAL",
                    "qualityInformation": {"qualityStatus": "NOMINAL"},
                },
                "links": {
                    "alternates": [{"href": f"{SEARCH}?uid=...", "type": "application/atom+xml"}],
                    "previews": [{"href": QUICKLOOK, "type": "image/jpeg", "title": "Quicklook"}],
                    "data": [{"href": STORED, "type": "application/octet-stream", "title": "Download"}],
                    "up": [{"href": SEARCH, "type": "application/geo+json", "title": "Up"}],
                },
            },
        }
    ],
    "id": "http://internal-host:8080/catalog/oseo/search?parentIdentifier=S2_MSIL2A&httpAccept=json&count=1",
    "totalResults": 19,
    "itemsPerPage": 1,
    "startIndex": 1,
    "queries": {"request": {"os:count": "1", "eo:parentIdentifier": "S2_MSIL2A"}},
    "properties": {
        "title": "OSEO - Search Response",
        "links": {
            "profiles": [{"href": "http://www.opengis.net/spec/owc-geojson/1.0/req/core"}],
            "next": [{"href": f"{SEARCH}?count=1&eo%3AparentIdentifier=S2_MSIL2A&startIndex=2"}],
        },
    },
}
"""A page as GeoServer writes it, after the template and the test values in its source."""

KEYS = st.sampled_from(
    [
        "features",
        "totalResults",
        "queries",
        "request",
        "properties",
        "links",
        "next",
        "data",
        "previews",
        "rel",
        "href",
        "length",
        "identifier",
        "id",
        "geometry",
        "type",
        "date",
        "acquisitionInformation",
        "acquisitionParameters",
        "orbitNumber",
        "platform",
        "platformShortName",
        "services",
        "download",
        "url",
        "size",
        "productInformation",
        "cloudCover",
        "exceptions",
        "exceptionText",
        "title",
        "parentIdentifier",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers().map(lambda n: n * 10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)


def read(answer: object, status: int = 200, base: str = BASE) -> Page[Product]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode("utf-8", "surrogatepass")
    return read_page(status, body, download_base=base)


def product(base: str = BASE, /, **properties: Any) -> Product:
    """Read an entry with only these properties."""
    return read({"features": [{"properties": properties}]}, base=base).products[0]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"created": "2021-09-24T21:17:18.000+00:00"}, {"created": "2021-09-24T21:17:18+00:00"}),
        ({"updated": "2021-09-24T23:17:18+02:00"}, {"updated": "2021-09-24T21:17:18+00:00"}),
        ({"updated": "2021-09-24"}, {"updated": "2021-09-24T00:00:00+00:00"}),
        ({"updated": 1632518238000}, {"updated": "2021-09-24T21:17:18+00:00"}),
        (
            {"productInformation": {"availabilityTime": "2021-09-24T21:17:18Z"}},
            {"available": "2021-09-24T21:17:18+00:00"},
        ),
        ({"created": None, "updated": "soon", "productInformation": {"availabilityTime": ["x"]}}, {}),
        ({"created": {"at": "2021-09-24"}, "updated": True, "productInformation": 7}, {}),
    ],
)
def test_when_the_entry_was_made_changed_and_published(properties: dict[str, Any], expected: dict[str, str]) -> None:
    one = product(**properties)

    found = {"created": one.created, "updated": one.updated, "available": one.available}
    assert {"created": None, "updated": None, "available": None} | expected == {
        name: moment and moment.isoformat() for name, moment in found.items()
    }
    assert not {"created", "updated", "available"} & set(one.to_record())
    assert {"created", "updated", "available"} <= set(one.to_dict())


def linked(href: object, base: str = BASE) -> Product:
    return product(base, identifier="P", links={"data": [{"href": href}]})


def refusal(body: bytes, status: int = 200) -> CatalogueError:
    with pytest.raises(CatalogueError) as caught:
        read(body, status)
    return caught.value


def test_full_example_is_read_field_by_field() -> None:
    page = read(EXAMPLE)

    assert (19, frozenset({"count", "parentIdentifier"}), True) == (page.total, page.echo, page.more)
    assert (
        Product(
            identifier=NAME,
            url=BASE + STORED,
            collection="S2_MSIL2A",
            raw=RawTimes("2021-09-24T16:30:21.024+00:00", "2021-09-24T16:30:21.024+00:00"),
            footprint=FOOTPRINT,
            cloud_cover=3,
            orbit_direction="DESCENDING",
            orbit_number=83,
            platform="Sentinel-2A",
            size=None,
            quicklook=QUICKLOOK,
            problem=None,
            created=datetime(2021, 9, 24, 21, 17, 18, tzinfo=UTC),
        ),
    ) == page.products


@pytest.mark.parametrize(
    "acquisition",
    [
        pytest.param(ACQUISITION, id="an object"),
        pytest.param([ACQUISITION], id="an array"),
        pytest.param(
            [{"platform": ACQUISITION["platform"]}, {"acquisitionParameters": ACQUISITION["acquisitionParameters"]}]
        ),
        pytest.param([None, 7, ACQUISITION], id="an array with odd things in it"),
    ],
)
def test_acquisition_information_is_read_in_every_shape(acquisition: object) -> None:
    found = product(acquisitionInformation=acquisition)

    assert ("Sentinel-2A", "DESCENDING", 83) == (found.platform, found.orbit_direction, found.orbit_number)


def test_omitted_keys_are_none() -> None:
    assert Product("P", url=None, problem="the catalogue gives no download link for it") == product(identifier="P")


@pytest.mark.parametrize("entry", [None, 7, "x", [], {}, {"properties": None}, {"properties": {"identifier": 7}}])
def test_odd_entry_is_a_product_with_a_name_and_a_problem(entry: object) -> None:
    found = read({"features": [EXAMPLE["features"][0], entry]}).products[1]

    assert found.identifier.startswith("unnamed-")
    assert found.url is None
    assert found.problem


def test_nameless_entries_are_told_apart_by_what_they_hold_and_not_by_their_place() -> None:
    """The same entry on two pages is one product, two entries at the same place are two."""
    first, second = {"properties": {"cloudCover": 1}}, {"properties": {"cloudCover": 2}}
    one, other, again = read({"features": [first, second, first]}).products

    assert one.identifier == again.identifier != other.identifier


def test_nameless_entry_is_not_fetched_though_it_has_a_link() -> None:
    found = product(links={"data": [{"href": "a.zip"}]})

    assert (None, "the catalogue gives it no identifier") == (found.url, found.problem)


def test_name_is_the_identifier_else_the_title_else_the_uid_of_the_entrys_own_url() -> None:
    own = {"id": f"{SEARCH}?uid=U&httpAccept=json"}

    assert "I" == product(identifier="I", title="T").identifier
    assert "T" == product(title="T").identifier
    assert "U" == read({"features": [own]}).products[0].identifier


def test_own_url_that_is_no_url_does_no_harm() -> None:
    entry = {"id": "http://[", "properties": {"identifier": "P"}}

    assert "P" == read({"features": [entry]}).products[0].identifier


@pytest.mark.parametrize("number", [10**400, -(10**400), -1, 101, 1e308, "many", True, [], None])
def test_numbers_that_are_none_are_left_out(number: object) -> None:
    found = product(
        productInformation={"cloudCover": number},
        acquisitionInformation={"acquisitionParameters": {"orbitNumber": "x"}},
    )

    assert (None, None) == (found.cloud_cover, found.orbit_number)


@pytest.mark.parametrize(
    ("properties", "cover"),
    [
        ({"productInformation": {"cloudCover": "85.0"}}, 85),
        ({"productInformation": {"cloudCover": " 85 % "}}, 85),
        ({"productInformation": {"cloudCover": {"value": "85.5", "uom": "%"}}}, 85.5),
        ({"cloudCover": "100"}, 100),
        ({"cloudCoverPercentage": 85}, 85),
        ({"eo:cloud_cover": 0}, 0),
        ({"cloudCover": "85,5"}, None),
        ({"cloudCover": "less than 85"}, None),
        ({"cloudCover": "101 %"}, None),
        ({"cloudCover": "-1"}, None),
        ({"cloudCover": "٨٥"}, None),
        ({"cloudCover": {"value": 8, "uom": "okta"}}, None),
        ({"cloudCover": {"value": {"value": 8}}}, None),
        ({"cloudCover": -1, "cloudCoverPercentage": 3}, None),
    ],
)
def test_percentages_may_be_texts(properties: dict[str, Any], cover: float | None) -> None:
    assert cover == product(**properties).cloud_cover


@pytest.mark.parametrize(
    ("properties", "start"),
    [
        ({"date": 1536661821024}, "2018-09-11T10:30:21.024Z"),
        ({"date": "1536661821024"}, "2018-09-11T10:30:21.024Z"),
        ({"datetime": "2018-09-11T10:30:21Z"}, "2018-09-11T10:30:21Z"),
        (
            {"acquisitionInformation": {"acquisitionParameters": {"beginningDateTime": 1536661821024}}},
            "2018-09-11T10:30:21.024Z",
        ),
        ({"date": "2021-01-01", "datetime": "2018-09-11T10:30:21Z"}, "2021-01-01"),
        ({"date": None, "datetime": None}, None),
        ({"date": 1536661821}, None),
        ({"date": 20180911}, None),
        ({"date": "20180911"}, "20180911"),
        ({"date": "201809111030"}, "201809111030"),
        ({"date": 10**400}, None),
        ({"date": True}, None),
    ],
)
def test_times_may_be_milliseconds_since_1970(properties: dict[str, Any], start: str | None) -> None:
    assert RawTimes(start, start) == product(**properties).raw


@pytest.mark.parametrize(
    ("bbox", "corners"),
    [
        ([100, 10, 101, 11], (100, 10, 101, 11)),
        ([100, 10, 0, 101, 11, 500], (100, 10, 101, 11)),
        ([179, 10, -179, 11], (179, 10, -179, 11)),
        ([-180, -90, 180, 90], None),
        ([100, 10, 101], None),
        ([100, 11, 101, 10], None),
        ([100, 10, 101, 91], None),
        ([float("nan"), 10, 101, 11], None),
        (["100", "10", "101", "11"], None),
        ({"west": 100}, None),
    ],
)
def test_bounding_box_of_an_entry_is_its_footprint(bbox: object, corners: tuple[int, int, int, int] | None) -> None:
    entry = {"properties": {"identifier": "P"}, "geometry": None, "bbox": bbox}
    found = read({"features": [entry, {**entry, "geometry": FOOTPRINT}]}).products

    assert FOOTPRINT == found[1].footprint
    if corners is None:
        assert found[0].footprint is None
    else:
        west, south, east, north = corners
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        assert {"type": "Polygon", "coordinates": [ring]} == found[0].footprint


def test_one_instant_is_both_start_and_end() -> None:
    found = product(date="2021-09-24T16:30:21.024Z")

    assert ("2021-09-24T16:30:21.024Z", "2021-09-24T16:30:21.024Z") == (found.raw.start, found.raw.end)


def test_links_may_be_an_array_with_relations() -> None:
    links = [{"rel": "self", "href": "s"}, {"rel": "enclosure", "href": "a.zip", "length": 7}]
    found = product(identifier="P", links=links)

    assert (f"{BASE}a.zip", 7) == (found.url, found.size)


def test_archive_is_not_taken_for_the_quicklook() -> None:
    assert product(links=[{"rel": "enclosure", "href": "a.zip"}]).quicklook is None


@pytest.mark.parametrize("relation", [[], {}, None, 7])
def test_odd_relation_of_a_link_does_no_harm(relation: object) -> None:
    assert product(links=[{"rel": relation, "href": "a.zip"}]).url is None


def test_download_service_is_a_link_too() -> None:
    found = product(identifier="P", services={"download": {"url": "https://h/a.zip", "size": 7}})

    assert ("https://h/a.zip", 7) == (found.url, found.size)


@pytest.mark.parametrize(
    ("length", "size"), [(7, 7), ("7", 7), (0, 0), (-1, None), (7.5, None), ("7 MB", None), (None, None)]
)
def test_announced_length_counts_if_it_is_one(length: object, size: int | None) -> None:
    assert size == product(links={"data": [{"href": "a.zip", "length": length}]}).size


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("repository/a.zip", "https://collgs.lu/repository/a.zip"),
        ("/repository/a.zip", "https://collgs.lu/repository/a.zip"),
        (" repository/a.zip ", "https://collgs.lu/repository/a.zip"),
        ("//data.collgs.lu/a.zip", "https://data.collgs.lu/a.zip"),
        ("http://other/a.zip", "http://other/a.zip"),
        ("HTTPS://other/a.zip?x=1", "https://other/a.zip?x=1"),
    ],
)
def test_link_that_can_be_followed_becomes_absolute(href: str, url: str) -> None:
    assert (url, None) == (linked(href).url, linked(href).problem)


def test_relative_link_starts_from_the_download_base() -> None:
    assert (
        "https://data.collgs.lu/store/repository/a.zip"
        == linked("repository/a.zip", "https://data.collgs.lu/store/").url
    )
    assert "https://data.collgs.lu/a.zip" == linked("/a.zip", "https://data.collgs.lu/store/").url


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "ftp://host/a.zip",
        "data:application/zip,PK",
        "javascript:alert(1)",
        "mailto:a@b",
        "s3://b/k",
    ],
)
def test_link_of_another_scheme_is_a_problem(href: str) -> None:
    found = linked(href)

    assert found.url is None
    assert f"its download link is not http or https: {href!r}" == found.problem


@pytest.mark.parametrize(
    "href",
    [
        "http://[::1",
        "http://host:99999/",
        "http://host:port/",
        "http://\u2100/",
        "http://xn--a/x.zip",
        "//xn--/",
        "http://b[]@",
        "//[::1 \u0130]",
    ],
)
def test_link_that_is_nonsense_is_a_problem(href: str) -> None:
    assert (None, f"its download link is no URL: {href!r}") == (linked(href).url, linked(href).problem)


def test_preview_that_is_nonsense_is_none() -> None:
    assert product(links={"previews": [{"href": "http://xn--a/q.jpg"}]}).quicklook is None


@pytest.mark.parametrize("href", [None, 7, [], {}, "", "  "])
def test_link_without_an_address_is_no_link(href: object) -> None:
    assert "the catalogue gives no download link for it" == linked(href).problem


def test_problem_stays_short() -> None:
    assert len(linked("ftp://" + "x" * 100_000).problem or "") < 300


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_any_link_gives_a_web_address_or_a_problem(href: str) -> None:
    found = linked(href)

    assert (found.url is None) == (found.problem is not None)
    assert found.url is None or found.url.startswith(("http://", "https://"))


def test_total_may_be_in_the_properties_or_nowhere() -> None:
    assert 7 == read({"features": [], "properties": {"totalResults": 7}}).total
    assert read({"features": []}).total is None
    assert read({"features": [], "totalResults": -1}).total is None


@pytest.mark.parametrize(
    ("links", "more"),
    [
        ({"next": [{"href": "x"}]}, True),
        ({"first": [{"href": "x"}]}, False),
        ([{"rel": "next", "href": "x"}], True),
        ([], False),
        (None, None),
    ],
)
def test_next_page_is_announced_by_the_links(links: object, *, more: bool | None) -> None:
    assert more is read({"features": [], "properties": {"links": links}}).more


def test_echo_may_be_an_array_or_missing() -> None:
    assert frozenset({"box"}) == read({"features": [], "queries": {"request": [{"geo:box": "1"}]}}).echo
    assert read({"features": []}).echo is None


def test_json_error_is_told_in_its_own_words_and_final() -> None:
    body = b'{"type":"Exception","exceptions":[{"exceptionText":"Unknown parentId \'X\'","locator":null}]}'

    for status in (200, 400):
        error = refusal(body, status)
        assert (f"the catalogue answered HTTP {status}: Unknown parentId 'X'", False) == (str(error), error.retryable)


def test_rss_error_is_told_in_its_own_words_and_final() -> None:
    body = b"<rss><channel><title>Error report</title><item><title>Unknown parentId 'X'</title></item></channel></rss>"

    assert "the catalogue answered HTTP 400: Unknown parentId 'X'" == str(refusal(body, 400))
    assert "the catalogue answered with XML instead of JSON: Unknown parentId 'X'" == str(refusal(body))
    assert not refusal(body).retryable


@pytest.mark.parametrize("status", [503, 200])
def test_maintenance_page_may_be_gone_in_a_minute(status: int) -> None:
    error = refusal(b"<!DOCTYPE html><html><head><title>Maintenance</title></head></html>", status)

    assert error.retryable
    assert str(error).endswith(": Maintenance")


def test_json_that_breaks_off_is_worth_another_try_wherever_it_breaks() -> None:
    body = json.dumps(EXAMPLE).encode()

    for end in range(0, len(body), 50):
        error = refusal(body[:end])
        assert error.retryable
        assert "broke off" in str(error)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (408, True),
        (429, True),
        (500, True),
        (502, True),
        (504, True),
    ],
)
def test_status_decides_whether_to_ask_again(status: int, *, retryable: bool) -> None:
    assert retryable is refusal(b"", status).retryable


@pytest.mark.parametrize(
    ("words", "maximum"),
    [
        ("Invalid 'count' value, should not be greater than 50", 50),
        ("count exceeds the maximum of 20", 20),
    ],
)
def test_refusal_that_names_the_page_maximum_is_told_apart(words: str, maximum: int) -> None:
    error = refusal(json.dumps({"exceptions": [{"exceptionText": words}]}).encode(), 400)

    assert isinstance(error, PageLimitError)
    assert (words, maximum) == (str(error), error.maximum)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(503, b"The request count exceeds the maximum of 20", id="a server that is busy"),
        pytest.param(403, b"Your account has more than 3 sessions", id="an account is no count"),
        pytest.param(400, b"Invalid 'count' value, should be positive or zero", id="no number"),
        pytest.param(400, b"Invalid 'count' value, should not be greater than 0", id="no room"),
    ],
)
def test_other_refusals_are_no_page_maximum(status: int, words: bytes) -> None:
    assert not isinstance(refusal(words, status), PageLimitError)


@pytest.mark.parametrize("answer", [None, 7, "x", [], {}, {"features": {}}, {"features": None}])
def test_json_without_results_is_an_error_and_final(answer: object) -> None:
    error = refusal(json.dumps(answer).encode())

    assert str(error).startswith("the catalogue's answer is JSON, but no list of results")
    assert not error.retryable


def test_json_that_is_nested_without_end_is_an_error() -> None:
    assert refusal(b"[" * 200_000).retryable


@settings(deadline=None, derandomize=True)
@given(st.sampled_from([200, 200, 400, 503]), st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_page_or_a_catalogue_error(status: int, body: bytes) -> None:
    with suppress(CatalogueError):
        assert isinstance(read(body, status), Page)


@settings(deadline=None, derandomize=True)
@given(JSON)
def test_any_json_is_a_page_or_a_catalogue_error(answer: object) -> None:
    with suppress(CatalogueError):
        assert isinstance(read(answer), Page)


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(KEYS, JSON), st.dictionaries(KEYS, JSON))
def test_any_entry_is_a_product(fields: dict[str, Any], properties: dict[str, Any]) -> None:
    found = read({"features": [fields | {"properties": properties}]}).products

    assert 1 == len(found)
    assert found[0].identifier
    assert (found[0].url is None) == (found[0].problem is not None)


@pytest.mark.parametrize("status", [429, 503])
def test_a_rate_limit_is_no_address_that_is_too_long(status: int) -> None:
    with pytest.raises(CatalogueError) as caught:
        read_page(status, b"Query rate limit exceeded", download_base="http://h/")

    assert caught.value.retryable
