"""The dialogue with the catalogue, page after page, in every dialect that the embedded one speaks."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import CatalogueError, Client, Config
from collgs_async.demo.dialects import Dialect
from collgs_async.http import requester
from tests.conftest import fault, level2_scenes
from tests.support.servers import ask, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import RecordedSleeps

TINY = 1000
STAGES = {"parentIdentifier": "S2_MSIL2A", "httpAccept": "json"}


async def found(site: Any, **options: Any) -> list[str]:
    """Search with these parameters (or settings) and give the identifiers."""
    async with site.client(**options) as client:
        return [product.identifier async for product in client.catalogue.search()]


async def refused(site: Any, **options: Any) -> CatalogueError:
    with pytest.raises(CatalogueError) as caught:
        await found(site, **options)
    return caught.value


def names(scenes: Sequence[Any]) -> list[str]:
    """Give their identifiers in the catalogue's order, the newest first."""
    return [
        scene.identifier for scene in sorted(scenes, key=lambda scene: (-scene.start.timestamp(), scene.identifier))
    ]


def pages(site: Any) -> list[tuple[int, int]]:
    """Give startIndex and count of each page that was really given."""
    hits = [hit for hit in site.server.requests if hit.path.endswith("/search") and hit.status == 200]
    return [(int(hit.query["startIndex"]), int(hit.query["count"])) for hit in hits]


async def test_own_parameters_go_out_on_every_page(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(20, size=TINY), page_maximum=7)
    box = {"box": "-180,-90,180,90", "timeStart": "2000-01-01", "cloudCover": "[0,100]"}

    await found(site, parameters=box)

    sent = {**STAGES, **box, "timeStart": "2000-01-01T00:00:00.000Z"}
    queries = [dict(hit.query) for hit in site.server.requests]
    assert 5 == len(queries)
    for query in queries:
        assert sent == {key: value for key, value in query.items() if key not in {"startIndex", "count"}}


async def test_page_maximum_is_learnt_from_the_refusal(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(20, size=TINY)
    site = await serve(scenes, page_maximum=7)

    assert names(scenes) == await found(site)
    assert [400, 200, 200, 200, 200] == [hit.status for hit in site.server.requests]
    assert [(1, 7), (7, 7), (13, 7), (19, 7)] == pages(site)


async def test_count_goes_over_several_pages_and_no_further(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(20, size=TINY)
    site = await serve(scenes, page_maximum=7)

    assert names(scenes)[:10] == await found(site, parameters={"count": 10})
    assert [(1, 7), (7, 7)] == pages(site)


async def test_small_count_asks_for_no_more_than_that(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(20, size=TINY), page_maximum=7)

    assert 3 == len(await found(site, parameters={"count": 3}))
    assert [(1, 3)] == pages(site)


async def test_start_index_is_where_the_search_begins(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(20, size=TINY)
    site = await serve(scenes)

    async with site.client(parameters={"startIndex": 16}) as client:
        search = client.catalogue.search()
        assert names(scenes)[15:] == [product.identifier async for product in search]
        assert (20, 5, 1) == (search.total, search.expected, search.pages)


@pytest.mark.parametrize(
    ("count", "asked"), [(0, 1), (1, 1), (6, 1), (7, 2), (8, 2), (12, 2), (13, 3), (14, 3), (40, 7)]
)
async def test_in_calm_pages_overlap_by_one_and_only_a_full_last_one_needs_another(
    serve: Callable[..., Any], count: int, asked: int
) -> None:
    site = await serve(level2_scenes(count, size=TINY), page_maximum=7)

    assert count == len(await found(site))
    assert [(1 + 6 * number, 7) for number in range(asked)] == pages(site)


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("echo", [True, False])
async def test_search_ends_right_whatever_the_server_leaves_out(
    serve: Callable[..., Any], *, total: bool, links: bool, echo: bool
) -> None:
    scenes = level2_scenes(14, size=TINY)
    site = await serve(scenes, page_maximum=7, dialect=Dialect(total=total, links=links, echo=echo))

    assert names(scenes) == await found(site)
    assert (3 if total or links else 5) == len(pages(site))  # a short page alone does not prove the end


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(absolute_hrefs=True),
        Dialect(leading_slash=True),
        Dialect(acquisition_object=True),
        Dialect(sizes=True),
        Dialect(bare=True),
    ],
    ids=str,
)
async def test_every_dialect_leads_to_the_archive(serve: Callable[..., Any], dialect: Dialect) -> None:
    scene = level2_scenes(1, size=TINY)[0]
    site = await serve([scene], dialect=dialect)

    async with site.client() as client:
        products = [product async for product in client.catalogue.search()]

    assert [f"{site.server.origin}/{scene.location}"] == [product.url for product in products]
    assert (scene.size if dialect.sizes else None) == products[0].size
    assert (None if dialect.bare else f"{scene.platform}{scene.serial}") == products[0].platform


@pytest.mark.parametrize("newcomers", [1, 7, 15])
async def test_products_that_are_pushed_to_a_later_page_come_once(serve: Callable[..., Any], newcomers: int) -> None:
    scenes = level2_scenes(20, size=TINY)
    site = await serve(scenes, page_maximum=7, dialect=Dialect(newcomers=newcomers))

    handed_out = await found(site)

    assert len(set(handed_out)) == len(handed_out)
    assert names(scenes) == [name for name in handed_out if name in names(scenes)]


async def test_count_is_kept_when_pages_bring_old_products(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(20, size=TINY)
    site = await serve(scenes, page_maximum=7, dialect=Dialect(newcomers=5))

    assert names(scenes)[:16] == await found(site, parameters={"count": 16})


async def test_second_page_is_not_asked_for_before_it_is_wanted(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(20, size=TINY), page_maximum=7)

    async with site.client() as client:
        products = aiter(client.catalogue.search())
        assert [] == pages(site)
        for _ in range(7):
            await anext(products)
        assert [(1, 7)] == pages(site)
        await anext(products)
        assert [(1, 7), (7, 7)] == pages(site)
        await products.aclose()


async def test_first_archive_is_requested_before_the_second_page(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(120, size=TINY)
    site = await serve(scenes, page_maximum=50)

    report = await site.pull()

    kinds = [
        "archive" if hit.path.startswith("/repository/") else hit.query["startIndex"] for hit in site.server.requests
    ]
    assert 120 == report.downloaded
    assert kinds.index("archive") < kinds.index("50")


async def test_old_server_is_asked_by_the_old_name(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(10, size=TINY)
    site = await serve(scenes, page_maximum=7, dialect=Dialect(parent_key="parentId"))

    assert names(scenes) == await found(site)
    assert "S2_MSIL2A" == site.server.requests[-1].query["parentId"]
    assert "parentIdentifier" not in site.server.requests[-1].query


@pytest.mark.parametrize("xml", [True, False])
async def test_unknown_collection_is_told_in_the_servers_words_and_not_asked_for_again(
    serve: Callable[..., Any], sleeps: RecordedSleeps, *, xml: bool
) -> None:
    site = await serve(level2_scenes(1), dialect=Dialect(xml_errors=xml))

    error = await refused(site, parameters={"parentIdentifier": "S9_NONE"})

    words = "the catalogue answered HTTP 400: Unknown parentId 'S9_NONE'"
    assert f"{words}; `collgs-async collections` lists all" == str(error)
    assert ["S9_NONE", None] == [hit.query.get("parentIdentifier") for hit in site.server.requests]
    assert [] == sleeps.seconds


async def test_page_maximum_is_learnt_from_an_xml_refusal_too(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(10, size=TINY), page_maximum=7, dialect=Dialect(xml_errors=True))

    assert 10 == len(await found(site))


async def test_maintenance_is_waited_for_and_given_up_with_its_words(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    site = await serve(level2_scenes(1), dialect=Dialect(html_errors=True))

    error = await refused(site, parameters={"parentIdentifier": "S9_NONE"})

    assert "the catalogue answered HTTP 503: Maintenance" == str(error)
    assert (3, 2) == (len(site.server.requests), len(sleeps.seconds))


@pytest.mark.parametrize("name", ["catalogue-503", "catalogue-html", "catalogue-cut", "catalogue-500"])
async def test_each_fault_of_the_catalogue_is_got_over(
    serve: Callable[..., Any], sleeps: RecordedSleeps, name: str
) -> None:
    scenes = level2_scenes(10, size=TINY)
    site = await serve(scenes, page_maximum=100, faults={"catalogue": fault(name)})

    assert names(scenes) == await found(site)
    assert 1 == len(sleeps.seconds)


async def test_retry_after_of_the_catalogue_is_obeyed(serve: Callable[..., Any], sleeps: RecordedSleeps) -> None:
    site = await serve(level2_scenes(1), faults={"catalogue": fault("catalogue-503")})

    await found(site)

    assert 1.0 <= sleeps.seconds[0] <= 1.1


async def test_catalogue_that_is_gone_is_named(serve: Callable[..., Any], sleeps: RecordedSleeps) -> None:
    site = await serve([])

    error = await refused(site, base_url="http://127.0.0.1:9/search")

    assert "the catalogue at http://127.0.0.1:9/search: no connection to 127.0.0.1:9 (Connection refused)" == str(error)
    assert 2 == len(sleeps.seconds)


async def test_ignored_filters_are_warned_of_once_by_name(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve(level2_scenes(20, size=TINY), page_maximum=7, dialect=Dialect(description=None))

    with caplog.at_level(logging.WARNING, "collgs_async"):
        await found(site, parameters={"platform": "Sentinel-2", "box": "-180,-90,180,90", "colour": "red"})

    warnings = [record.getMessage() for record in caplog.records]
    assert 1 == len(warnings)
    assert warnings[0].startswith("the catalogue ignored platform and colour:")


async def test_filters_that_work_are_not_warned_of(serve: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    site = await serve(level2_scenes(5, size=TINY))
    filters = {
        "box": "-180,-90,180,90",
        "timeStart": "2000-01-01",
        "timeEnd": "2100-01-01",
        "cloudCover": "[0,100]",
        "orbitDirection": "DESCENDING",
    }

    with caplog.at_level(logging.WARNING, "collgs_async"):
        assert 5 == len(await found(site, parameters=filters))

    assert [] == caplog.records


class Scripted:
    """A catalogue that answers with these pages of names, the last one for ever."""

    def __init__(self, *pages: Sequence[str], total: int | None = None) -> None:
        self.asked = 0
        self._pages = pages
        self._total = total

    async def __call__(self, _: web.BaseRequest) -> web.StreamResponse:
        page = self._pages[min(self.asked, len(self._pages) - 1)]
        self.asked += 1
        entries = [{"properties": {"identifier": name, "links": {"data": [{"href": "a.zip"}]}}} for name in page]
        answer = {"features": entries} | ({} if self._total is None else {"totalResults": self._total})
        return web.Response(text=json.dumps(answer))


@pytest.mark.parametrize("total", [None, 10**6])
async def test_catalogue_that_repeats_itself_for_ever_is_left(
    tmp_path: Path, sleeps: RecordedSleeps, total: int | None
) -> None:
    server = Scripted(["A", "B"], total=total)
    async with listening(server) as origin:
        with pytest.raises(CatalogueError, match="repeats itself: it gave the same page 4 times"):
            await ask(origin, tmp_path, sleeps)

    assert 4 == server.asked


async def test_page_without_news_between_others_is_no_end(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    server = Scripted(["A"], ["A"], ["B"], ["B"], ["C"], [])
    async with listening(server) as origin:
        assert ["A", "B", "C"] == await ask(origin, tmp_path, sleeps)


async def test_page_with_more_than_was_asked_for_is_cut_to_the_count(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with listening(Scripted(["A", "B", "C", "D"])) as origin:
        assert ["A", "B"] == await ask(origin, tmp_path, sleeps, count=2)


async def test_names_that_differ_in_a_broken_character_are_two(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async with listening(Scripted(["P\ud800", "P\ud801", "P?"], total=3)) as origin:
        assert 3 == len(await ask(origin, tmp_path, sleeps))


async def test_page_without_end_is_refused_without_reading_it(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requester, "LARGEST_ANSWER", 2**20)
    sent = 0

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" " * 2**16)
            sent += 2**16
        return response

    async with listening(flood) as origin:
        with pytest.raises(CatalogueError, match="the catalogue's answer is larger than 1 MiB"):
            await ask(origin, tmp_path, sleeps)

    assert sent < 30 * 2**20
    assert [] == sleeps.seconds


@pytest.mark.parametrize(("asked", "requests"), [("900", 3), ("901", 1)])
async def test_server_that_asks_to_wait_for_very_long_has_said_no(
    tmp_path: Path, sleeps: RecordedSleeps, asked: str, requests: int
) -> None:
    seen = 0

    async def busy(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal seen
        seen += 1
        return web.Response(status=503, text="busy", headers={"Retry-After": asked})

    async with listening(busy) as origin:
        with pytest.raises(CatalogueError, match="HTTP 503: busy"):
            await ask(origin, tmp_path, sleeps)

    assert requests == seen
    assert all(900 <= pause <= 901 for pause in sleeps.seconds)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param({"status": 200, "body": b""}, id="200 without a byte"),
        pytest.param({"status": 416, "headers": {"Content-Range": "bytes */0"}}, id="416 of an empty archive"),
    ],
)
async def test_empty_archive_costs_that_product_alone(
    tmp_path: Path, sleeps: RecordedSleeps, reply: dict[str, Any]
) -> None:
    catalogue = Scripted(["EMPTY"], total=1)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await catalogue(request) if request.path == "/search" else web.Response(**reply)

    async with listening(answer) as origin:
        config = Config(
            base_url=f"{origin}/search", parameters={"parentIdentifier": "X"}, output_directory=tmp_path / "archives"
        )
        async with Client(config, sleep=sleeps) as client:
            report = await client.download_all()

    assert (0, 1) == (report.downloaded, report.failed)
