"""What the catalogue says that can be asked of it, and what comes of asking for something else."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import Client, Config, ConfigError, Selection
from collgs_async.catalogue.description import read_description
from collgs_async.demo.dialects import Dialect
from collgs_async.demo.scenes import make_scenes
from collgs_async.errors import CatalogueError
from tests.conftest import level2_scenes
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import RecordedSleeps

DOCUMENT = """<?xml version="1.0"?>
<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/"
  xmlns:param="http://a9.com/-/spec/opensearch/extensions/parameters/1.0/">
  <ShortName>short</ShortName>
  <Url rel="results" type="application/geo+json" template="https://x.example/?count={count?}&amp;cloudCover={c?}">
    <param:Parameter name="count" value="{count}" minInclusive="0" maxInclusive="50" pattern="[+-][0-9]+"/>
    <param:Parameter name="orbitDirection" value="{o}">
      <param:Option value="ASCENDING"/><param:Option value="DESCENDING"/>
    </param:Parameter>
  </Url>
</OpenSearchDescription>"""


def described(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def found(client: Any) -> int:
    async with client:
        return len([product async for product in client.catalogue.search()])


def paths(site: Any) -> list[str]:
    return [hit.path.rpartition("/")[2] for hit in site.server.requests]


# ---------------------------------------------------------------------------------------------- the document


def test_parameters_have_ranges_patterns_and_choices() -> None:
    description = read_description(DOCUMENT.encode())

    assert description is not None
    assert "short" == description.title
    assert 50 == description.page_maximum
    count, direction, cloud = description.parameters
    assert ("count", "0 to 50", "[+-][0-9]+") == (count.name, count.range, count.pattern)
    assert ("ASCENDING", "DESCENDING") == direction.choices
    assert ("cloudCover", "") == (cloud.name, cloud.range)


def test_what_is_near_is_named_whatever_its_case() -> None:
    description = read_description(DOCUMENT.encode())

    assert description is not None
    assert description.has("CLOUDCOVER")
    assert "cloudCover" == description.nearest("cloudcovr")
    assert description.nearest("xyzzy") is None


@pytest.mark.parametrize("most", ["", "many", "nan", "inf", "0", "-5", "1e400"])
def test_a_maximum_that_is_none_is_not_believed(most: str) -> None:
    description = read_description(DOCUMENT.replace('maxInclusive="50"', f'maxInclusive="{most}"').encode())

    assert description is not None
    assert description.page_maximum is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        b"<OpenSearchDescription>",
        b"{}",
        b'<?xml version="1.0" encoding="klingon"?><OpenSearchDescription/>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><OpenSearchDescription>&a;</OpenSearchDescription>',
    ],
)
def test_what_is_no_document_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(CatalogueError, match="expected an OpenSearch description document, found"):
        read_description(body)


@given(st.binary(max_size=200), st.integers(0, len(DOCUMENT)))
def test_a_spoilt_document_is_read_or_refused(noise: bytes, place: int) -> None:
    body = DOCUMENT.encode()

    with suppress(CatalogueError):  # and nothing else
        read_description(body[:place] + noise + body[place:])


def test_the_search_among_collections_is_not_taken_for_that_of_one() -> None:
    assert read_description(DOCUMENT.replace('rel="results"', 'rel="collection"').encode()) is None


# ---------------------------------------------------------------------------------------------- asking for it


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(description="Atom"), Dialect(parent_key="parentId")])
async def test_any_server_that_has_one_is_understood(serve: Callable[..., Any], dialect: Dialect) -> None:
    site = await serve(level2_scenes(1), dialect=dialect, page_maximum=7)

    async with site.client() as client:
        description = await client.catalogue.describe()

    assert description is not None
    assert 7 == description.page_maximum
    assert description.has("cloudCover")


async def test_a_radar_collection_has_no_cloud(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))

    async with site.client() as client:
        description = await client.catalogue.describe("S1_SAR_GRD")

    assert description is not None
    assert not description.has("cloudCover")
    assert description.has("polarisationMode")


async def test_an_older_server_has_none(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1), dialect=Dialect(description=None))

    async with site.client() as client:
        assert await client.catalogue.describe() is None


async def test_a_collection_that_is_not_there_is_refused_in_the_servers_words(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))

    async with site.client() as client:
        with pytest.raises(CatalogueError, match="Unknown parentId 'S9_NONE'"):
            await client.catalogue.describe("S9_NONE")


async def test_collections_are_listed_over_all_pages(serve: Callable[..., Any]) -> None:
    site = await serve(make_scenes(6), page_maximum=2)

    async with site.client() as client:
        names = [collection.identifier for collection in await client.catalogue.collections()]

    assert ["S1_SAR_GRD", "S2_MSIL1C", "S2_MSIL2A"] == names


# ---------------------------------------------------------------------------------------------- before a search


async def test_a_parameter_that_the_collection_lacks_is_named_before_the_search(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve(level2_scenes(3))

    assert 3 == await found(site.client(parameters={"orbitDirektion": "ASCENDING"}))

    expected = "S2_MSIL2A has no search parameter orbitDirektion; did you mean orbitDirection?"
    assert [f"{expected}; the catalogue will ignore it"] == described(caplog)
    assert ["description", "search"] == paths(site)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("platform", "--platform (selection.platform)"),
        ("productType", "--product-type (selection.product_type)"),
        ("tileId", "--tile (selection.tile)"),
        ("relativeOrbitNumber", "--relative-orbit (selection.relative_orbit)"),
    ],
)
async def test_what_only_our_side_can_check_is_named_with_its_flag(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture, name: str, flag: str
) -> None:
    site = await serve(level2_scenes(3))

    assert 3 == await found(site.client(parameters={name: "x"}))

    expected = f"S2_MSIL2A has no search parameter {name}; {flag} is checked on this side; the catalogue will ignore it"
    assert [expected] == described(caplog)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("startDate", "timeStart"), ("completionDate", "timeEnd"), ("bbox", "box"), ("limit", "count")],
)
async def test_names_of_other_catalogues_are_understood(serve: Callable[..., Any], name: str, meant: str) -> None:
    site = await serve(level2_scenes(1))

    async with site.client() as client:
        description = await client.catalogue.describe()

    assert description is not None
    assert meant == description.nearest(name)


async def test_a_search_by_everyday_parameters_asks_for_no_description(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(3))

    assert 3 == await found(site.client(parameters={"cloudCover": "[0,100]", "box": "-180,-90,180,90"}))

    assert ["search"] == paths(site)


async def test_a_right_parameter_is_asked_for_without_a_word(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve(level2_scenes(3))

    assert 3 == await found(site.client(parameters={"productionStatus": "ARCHIVED"}))

    assert [] == described(caplog)


async def test_the_page_maximum_is_learnt_from_the_description(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(5), page_maximum=2)

    assert 5 == await found(site.client(parameters={"productionStatus": "ARCHIVED"}))

    assert {200} == {hit.status for hit in site.server.requests}


async def test_without_a_description_the_search_goes_on(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve(level2_scenes(3), dialect=Dialect(description=None))

    assert 3 == await found(site.client(parameters={"productionStatus": "ARCHIVED"}))

    assert [] == described(caplog)


# ---------------------------------------------------------------------------------------------- servers that fail

BUSY = 503, b"busy"
SIGN_IN = 200, b"<html><form><input type='password'></form></html>"
ENDLESS = 200, DOCUMENT.encode().replace(b"<Url", b"<a>" * 350_000 + b"<Url", 1)
NO_DOCUMENT = 200, b"<rss/>"


@pytest.mark.parametrize(
    ("answer", "asks"),
    [(BUSY, 1), (SIGN_IN, 2), (ENDLESS, 1), (NO_DOCUMENT, 1)],  # the sign-in begins by asking again
    ids=["busy", "sign-in", "endless", "no document"],
)
async def test_a_search_does_not_wait_for_a_description_and_goes_on_without(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, answer: tuple[int, bytes], asks: int
) -> None:
    asked: list[str] = []

    async def server(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if request.path.endswith("description"):
            return web.Response(status=answer[0], body=answer[1])
        return web.json_response({"features": [], "totalResults": 0})

    async with listening(server) as origin:
        parameters = {"parentIdentifier": "X", "colour": "red"}
        config = Config(base_url=f"{origin}/search", parameters=parameters, output_directory=tmp_path)
        async with Client(config, sleep=sleeps, credentials=lambda: None) as client:
            for _ in range(3):
                assert [] == [product async for product in client.catalogue.search()]

    assert [*["/description"] * asks, *["/search"] * 3] == asked
    assert [] == sleeps.seconds
    assert [] == described(caplog)


async def test_a_strict_search_asks_again(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    answers = [web.Response(status=503), web.Response(body=DOCUMENT.encode())]

    async def server(_: web.BaseRequest) -> web.StreamResponse:
        return answers.pop(0)

    async with listening(server) as origin:
        parameters = {"parentIdentifier": "X", "colour": "red"}
        selection = Selection(strict=True)
        config = Config(
            base_url=f"{origin}/search", parameters=parameters, selection=selection, output_directory=tmp_path
        )
        async with Client(config, sleep=sleeps) as client:
            with pytest.raises(ConfigError, match="X has no search parameter colour"):
                await anext(aiter(client.catalogue.search()))

    assert 1 == len(sleeps.seconds)


async def test_what_is_ignored_is_told_once_for_all_batches(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scenes = level2_scenes(100)
    site = await serve(scenes, page_maximum=50)
    parameters = {"parentIdentifier": "S2_MSIL2A", "colour": "red", "platform": "S2A"}
    selection = Selection(ids=tuple(scene.identifier for scene in scenes))
    config = Config(base_url=site.server.url, parameters=parameters, selection=selection, output_directory=site.folder)

    async with Client(config, sleep=site.sleeps) as client:
        assert 100 == len([product async for product in client.search()])

    assert ["colour", "platform"] == [line.split()[5].rstrip(";") for line in described(caplog)]


async def test_the_page_maximum_is_learnt_once_for_all_batches(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(100)
    site = await serve(scenes, page_maximum=50)
    selection = Selection(ids=tuple(scene.identifier for scene in scenes))
    config = Config(
        base_url=site.server.url,
        parameters={"parentIdentifier": "S2_MSIL2A"},
        selection=selection,
        output_directory=site.folder,
    )

    async with Client(config, sleep=site.sleeps) as client:
        assert 100 == len([product async for product in client.search()])

    statuses = [hit.status for hit in site.server.requests]
    assert [400] == [status for status in statuses if status != 200]
    assert 4 <= len(statuses)


def test_the_collection_itself_is_no_parameter_that_could_be_lacking() -> None:
    description = read_description(DOCUMENT.encode())

    assert description is not None
    assert ["colour"] == description.unsupported({"parentIdentifier": "X", "count": "1", "colour": "red"})
